"""COCO's captions_*.json -> a jsonl a split."""

import argparse
import json

import pytest

from mmseg_textseg.datasets import ImageCaptionDataset
from mmseg_textseg.datasets.converters import Conversion, ConversionError, coco_captions


def captions(*texts, images=(9, 4)):
    """Annotations of image 4 and 9 in turn; ids fall, so the last is the first by id."""
    return dict(
        info=dict(year=2017),
        licenses=[],
        images=[dict(id=i, file_name=f'{i:012d}.jpg', height=4, width=5) for i in images],
        annotations=[dict(id=100 - n, image_id=(4, 9)[n % 2], caption=text) for n, text in enumerate(texts, start=0)],
    )


@pytest.fixture
def src(tmp_path):
    folder = tmp_path / 'src' / 'annotations'
    folder.mkdir(parents=True)
    (folder / 'captions_train2017.json').write_text(json.dumps(captions('a cat ', 'a dog.', 'the cat')))
    (folder / 'captions_val2017.json').write_text(json.dumps(captions('a bird')))
    (folder / 'instances_train2017.json').write_text('{}')
    return folder.parent


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(src, out, *words):
    parser = argparse.ArgumentParser()
    coco_captions.add_arguments(parser)
    args = parser.parse_args([str(word) for word in words])
    with Conversion('coco-captions', out, dict(captions=args.captions), progress=False) as conversion:
        coco_captions.convert(src, conversion, args)
    return conversion


def problems(*args):
    with pytest.raises(ConversionError) as caught:
        run(*args)
    return caught.value.problems


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_captions_in_the_order_of_images_and_ids(src, out):
    conversion = run(src, out)
    assert rows(out / 'train2017.jsonl') == [
        dict(image='000000000009.jpg', expression='a dog.'),
        dict(image='000000000004.jpg', expression='the cat'),
        dict(image='000000000004.jpg', expression='a cat'),
    ]
    assert conversion.counts == {
        'train2017 images': 2, 'train2017 captions': 3, 'val2017 images': 1, 'val2017 captions': 1,
    }  # fmt: skip


def test_first_captions(src, out):
    run(src, out, '--captions', 'first')
    assert [row['expression'] for row in rows(out / 'train2017.jsonl')] == ['a dog.', 'the cat']


def test_the_class_reads_the_same_from_both(src, out, tmp_path):
    run(src, out)
    images = tmp_path / 'train2017'
    images.mkdir()
    for name in ('000000000004.jpg', '000000000009.jpg'):
        (images / name).touch()
    prefix = dict(img_path=str(images))
    options = dict(data_prefix=prefix, captions='all')
    ours = ImageCaptionDataset(str(out / 'train2017.jsonl'), **options)
    published = ImageCaptionDataset(str(src / 'annotations' / 'captions_train2017.json'), **options)
    pairs = [
        [(item['img_path'], item['text']) for item in map(d.get_data_info, range(len(d)))] for d in (ours, published)
    ]
    assert pairs[0] == pairs[1]
    assert len(ours) == 3


def test_images_are_looked_for(src, out, tmp_path):
    images = tmp_path / 'images'
    assert problems(src, out, '--images', images) == (
        f'--images: no folder {images / "train2017"}',
        f'--images: no folder {images / "val2017"}',
    )
    for split in ('train2017', 'val2017'):
        (images / split).mkdir(parents=True)
        (images / split / '000000000004.jpg').touch()
    assert problems(src, out, '--images', images) == (f'{images / "train2017"}: no 000000000009.jpg',)
    assert not out.exists()
    (images / 'train2017' / '000000000009.jpg').touch()
    run(src, out, '--images', images)
    assert {path.name for path in out.glob('*.jsonl')} == {'train2017.jsonl', 'val2017.jsonl'}


def test_problems_of_all_files_come_together(src, out):
    (src / 'annotations' / 'captions_train2017.json').write_text(json.dumps(captions('a', ' ', 7, 'b')))
    (src / 'annotations' / 'captions_val2017.json').write_text(json.dumps(captions('a', images=(9,))))
    (src / 'annotations' / 'captions_x.json').write_text('[1]')
    found = problems(src, out)
    assert "'caption' is ' '" in found[0]
    assert "'caption' is 7" in found[1]
    assert "captions_val2017.json annotation 1 (id 100): 'image_id' is 4" in found[2]
    assert 'captions_x.json: expected an object with' in found[3]
    assert not out.exists()


def test_broken_json(src, out):
    (src / 'annotations' / 'captions_val2017.json').write_text('{"images"')
    (problem,) = problems(src, out)
    assert 'captions_val2017.json: is no JSON' in problem


def test_nothing_there(tmp_path, out):
    assert problems(tmp_path, out) == ("no captions_*.json: give COCO's folder annotations",)
