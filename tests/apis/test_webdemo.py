"""The web page without a browser: what it does, and that it is served on this machine alone."""

import socket
import urllib.error
import urllib.request

import cv2
import nibabel as nib
import numpy as np
import pytest

from mmseg_textseg.apis import TextSegInferencer, load_config
from mmseg_textseg.apis.examples import find_examples, read_examples
from mmseg_textseg.apis.webdemo import UserError, WebDemo, summary

LEFT = 'The lesion in the left lobe.'


@pytest.fixture
def demo(segment, tmp_path) -> WebDemo:
    return WebDemo(segment, tmp_path)


@pytest.fixture
def png(phantom) -> str:
    return str(sorted((phantom / 'images').iterdir())[0])


@pytest.fixture
def volume(tmp_path) -> str:
    values = np.random.default_rng(0).normal(100, 50, (6, 5, 4)).repeat(8, 0).repeat(8, 1)
    nib.save(nib.Nifti1Image(values.astype(np.int16), np.diag([-2.0, -3.0, 5.0, 1.0])), tmp_path / 'ct.nii.gz')
    return str(tmp_path / 'ct.nii.gz')


def test_a_picture_and_a_sentence(demo, segment, png):
    opened = demo.open(png)
    assert (opened.slices, opened.deep) == (1, False)
    assert png.endswith(f'{opened.name}.png')
    answer = demo.ask(opened, f'  {LEFT}\n')
    expected = segment(png, LEFT)
    assert np.array_equal(answer.mask, expected.mask)
    assert answer.text == LEFT
    half = answer.above(float(np.median(answer.probability)))
    path = demo.write_mask(half, opened.name)
    assert path.endswith(f'{opened.name}_mask.png')
    assert np.array_equal(cv2.imread(path, cv2.IMREAD_UNCHANGED), half.mask * np.uint8(255))


def test_a_volume_opens_in_its_middle_and_goes_on_from_there(demo, segment, volume):
    opened = demo.open(volume)
    assert (opened.slices, opened.slice, opened.deep, opened.name) == (4, 2, True, 'ct')
    assert opened.picture.spacing == (3, 2)
    first = demo.open(volume, 0, 'liver')
    assert np.array_equal(first.picture.shown, segment.load(volume, dict(slice=0), window='liver').shown)
    assert not np.array_equal(first.picture.shown, opened.picture.shown)
    answer = demo.ask(first, LEFT)
    assert np.array_equal(answer.mask, segment(volume, LEFT, slice=0, window='liver').mask)
    assert answer.area_mm2 == pytest.approx(6 * answer.mask.sum())
    assert demo.open(volume, attributes=dict(slice='1')).slice == 1


def test_deep_pictures_are_stretched(demo, tmp_path):
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)  # of 65536: all but black by its upper bits
    cv2.imwrite(str(tmp_path / 'deep.png'), values)
    opened = demo.open(str(tmp_path / 'deep.png'))
    assert opened.deep
    assert (opened.picture.shown.min(), opened.picture.shown.max()) == (0, 255)


def test_a_model_of_medical_images_opens_them_as_it_was_trained(tiny_config, checkpoint, volume, tmp_path):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadMedicalImage', window=(100, 90))
    segment = TextSegInferencer(cfg, checkpoint, 'cpu')
    demo = WebDemo(segment, tmp_path)
    assert demo.window == 'as in training' == demo.windows[0]
    shown = demo.open(volume, 1).picture.shown
    assert np.array_equal(shown, segment.load(volume, dict(slice=1)).shown)
    assert not np.array_equal(shown, demo.open(volume, 1, 'lung').picture.shown)


def test_mistakes_are_said_in_words_for_the_page(demo, png, volume, tmp_path):
    opened = demo.open(png)
    (tmp_path / 'notes.png').write_text('no picture')
    for wrong, said in (
        (lambda: demo.ask(None, LEFT), 'Open a picture first'),
        (lambda: demo.ask(opened, ' '), 'Write a sentence'),
        (lambda: demo.ask(opened, None), 'Write a sentence'),
        (lambda: demo.open(str(tmp_path / 'notes.png')), '^notes.png is not a picture'),
        (lambda: demo.open(volume, 0, 'livr'), "window 'livr' is unknown"),
        (lambda: demo.open(str(tmp_path / 'gone.nii')), 'gone.nii'),
    ):
        with pytest.raises(UserError, match=said) as error:
            wrong()
        assert str(tmp_path) not in str(error.value)


def test_remarks_name_unknown_words_and_what_is_cut(demo):
    assert demo.remarks(LEFT) == []
    (unknown,) = demo.remarks('The zebra in the left LOBE, a zebra.')
    assert unknown == 'Not in the training text: zebra.'
    (cut,) = demo.remarks('lesion ' * 30)
    assert 'first 18 words' in cut


def test_summary(demo, png):
    answer = demo.ask(demo.open(png, attributes=dict(spacing_mm=2)), LEFT)
    assert 'Nothing found' in summary(answer.above(0.9999999))
    every = summary(answer.above(-1.0))
    assert '**4,096 pixels**, 16,384 mm² (100.0% of the picture)' in every


def test_examples_are_of_the_test_set(tiny_config, phantom, tmp_path):
    examples = find_examples(load_config(tiny_config), tmp_path / 'new')
    table = read_examples(str(phantom / 'test.jsonl'))
    assert 1 <= len(examples) <= 6
    assert [(e.image, e.text) for e in examples] == [(e.image, e.text) for e in table]
    assert examples[0].attributes['pixel_spacing_mm'] > 0
    assert not (tmp_path / 'new').exists()
    with pytest.raises(FileNotFoundError, match='gone'):
        read_examples(str(tmp_path / 'gone.jsonl'))


def test_a_phantom_is_made_where_the_test_set_was_one(tiny_config, tmp_path):
    cfg = load_config(tiny_config)
    cfg.test_dataloader.dataset.data_root = 'data/phantom_gone'
    examples = find_examples(cfg, tmp_path / 'new')
    assert len(examples) == 6
    assert len({example.image for example in examples}) == 3
    assert cv2.imread(examples[0].image).shape[:2] == (96, 96)
    cfg.test_dataloader.dataset.data_root = 'data/somewhere'
    assert find_examples(cfg, tmp_path / 'new') == []


@pytest.fixture
def served(demo, phantom):
    pytest.importorskip('gradio')
    from mmseg_textseg.apis.webpage import build_page, serve

    page = build_page(demo, read_examples(str(phantom / 'test.jsonl')), 'tiny model')
    yield serve(page, '127.0.0.1', None), page
    page.close()


def test_the_page_is_served_here_alone_and_loads_nothing_from_elsewhere(served):
    address, page = served
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    html = opener.open(address, timeout=20).read().decode()
    assert 'tiny model' in html
    assert 'Not a medical device' in html
    for outside in ('fonts.googleapis', 'fonts.gstatic', 'cdnjs', 'unpkg', 'jsdelivr'):
        assert outside not in html
    assert page.analytics_enabled is False
    assert page.share is False
    port = int(address.rstrip('/').rsplit(':', 1)[1])
    assert page.server.config.host == '127.0.0.1'
    assert page.max_file_size == 500 * 2**20
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {'127.0.0.1'}
    for other in others:
        with pytest.raises(OSError):
            socket.create_connection((other, port), timeout=2)


def test_a_taken_port_is_said(served, demo):
    from mmseg_textseg.apis.webpage import build_page, serve

    port = int(served[0].rstrip('/').rsplit(':', 1)[1])
    page = build_page(demo, [], 'tiny model')
    with pytest.raises(OSError, match=f'port {port} is taken'):
        serve(page, '127.0.0.1', port)
