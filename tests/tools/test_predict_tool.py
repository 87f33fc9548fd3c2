"""tools/predict.py: one picture, a folder with a table of sentences, a folder with one sentence."""

import csv
import importlib.util
import sys
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest
from torch import nn

from mmseg_textseg.apis import TextSegInferencer

ROOT = Path(__file__).resolve().parents[2]
LEFT, RIGHT = 'The lesion in the left lobe.', 'The lesion in the right lobe.'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('predict_tool', ROOT / 'tools' / 'predict.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def predict(tool, tiny_model, monkeypatch, capsys):
    """Function (options...) -> what the tool printed; a failure is raised as RuntimeError with its message."""

    def run(*options, config=None, checkpoint=None) -> str:
        model = [config or tiny_model.config, checkpoint or tiny_model.checkpoint]
        monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, [*model, '--device', 'cpu', *options])])
        try:
            tool.main()
        except SystemExit as stop:
            raise RuntimeError(f'{stop.code}\n{capsys.readouterr().err}') from None
        return capsys.readouterr().out

    return run


@pytest.fixture(scope='module')
def segment(tiny_model):
    return TextSegInferencer(str(tiny_model.config), str(tiny_model.checkpoint), 'cpu')


@pytest.fixture
def folder(tmp_path, tiny_model) -> Path:
    """Three pictures of two sizes, one in a folder below, and a volume of three slices."""
    images = tmp_path / 'pictures'
    (images / 'more').mkdir(parents=True)
    phantom = sorted((tiny_model.data / 'images').iterdir())
    for name, size in (('a.png', (64, 64)), ('b.jpg', (50, 40)), ('more/a.png', (64, 64))):
        picture = cv2.resize(cv2.imread(str(phantom[len(name) % 3])), size)
        cv2.imwrite(str(images / name), picture)
    volume = np.random.default_rng(0).integers(-100, 200, (6, 5, 3)).repeat(8, 0).repeat(8, 1)
    nib.save(nib.Nifti1Image(volume.astype(np.int16), np.diag([-2.0, -3.0, 5.0, 1.0])), images / 'ct.nii')
    (images / 'notes.txt').write_text('no picture')
    return images


def write_table(path: Path, rows: list[dict]) -> Path:
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_table(out: Path) -> list[dict]:
    with (out / 'predictions.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def test_one_picture(predict, segment, folder, tmp_path):
    said = predict('--image', folder / 'b.jpg', '--text', LEFT, '--out', tmp_path / 'new' / 'm.png')
    answer = segment(folder / 'b.jpg', LEFT)
    mask = read(tmp_path / 'new' / 'm.png')
    assert np.array_equal(mask, answer.mask * np.uint8(255))
    assert f'{answer.mask.sum()} pixels' in said
    drawn = read(tmp_path / 'new' / 'm_overlay.png')
    assert np.array_equal(drawn[:40][..., ::-1], answer.overlay())
    assert drawn.shape[0] > 40, 'the sentence is below'


def test_text_in_int8_and_a_folded_model(predict, tool, folder, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(tool, 'TextSegInferencer', lambda *options: made.append(TextSegInferencer(*options)) or made[0])
    options = ['--text-int8', '--fuse']
    predict('--image', folder / 'b.jpg', '--text', LEFT, '--out', tmp_path / 'm.png', *options)
    assert not any(isinstance(module, nn.Linear) for module in made[0].model.text_encoder.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made[0].model.modules())


def test_one_slice_with_a_threshold(predict, segment, folder, tmp_path):
    options = ['--slice', 1, '--window', '50,300', '--load', 'orientation=neurological', '--threshold', '0.2']
    said = predict('--image', folder / 'ct.nii', '--text', LEFT, '--out', tmp_path / 'm.png', *options)
    answer = segment(folder / 'ct.nii', LEFT, slice=1, window=(50, 300), orientation='neurological')
    mask = read(tmp_path / 'm.png')
    assert mask.shape == (40, 48)
    assert np.array_equal(mask != 0, answer.probability > 0.2)
    assert f'{6.0 * (mask != 0).sum():.1f} mm²' in said


def test_a_folder_with_a_table(predict, segment, folder, tmp_path):
    rows = [
        dict(image='a.png', expression=LEFT, slice='', spacing_mm='0.5'),
        dict(image='a.png', expression=RIGHT, slice='', spacing_mm='0.5'),
        dict(image='b', expression=LEFT, slice='', spacing_mm=''),
        dict(image='more/a.png', expression=LEFT, slice='', spacing_mm=''),
        dict(image='ct.nii', expression=LEFT, slice=2, spacing_mm=''),
        dict(image='ct.nii', expression=LEFT, slice=0, spacing_mm=''),
    ]
    out = tmp_path / 'out'
    table = write_table(tmp_path / 'rows.csv', rows)
    options = ['--overlays', '--probabilities', '--batch-size', 2, '--window', 'liver']
    said = predict('--images', folder, '--texts', table, '--out', out, *options)
    written = read_table(out)
    assert [row['sample_id'] for row in written] == ['a-0', 'a-1', 'b-0', 'a~2-0', 'ct-2-0', 'ct-0-0']
    assert [row['image'] for row in written] == ['a.png', 'a.png', 'b.jpg', 'more/a.png', 'ct.nii', 'ct.nii']
    assert [row['expression'] for row in written] == [row['expression'] for row in rows]
    empty = 0
    for row, asked in zip(written, rows, strict=True):
        number = None if asked['slice'] == '' else asked['slice']
        answer = segment(folder / row['image'], row['expression'], slice=number, window='liver')
        assert np.array_equal(read(out / row['mask']), answer.mask * np.uint8(255))
        assert int(row['pixels']) == answer.mask.sum()
        assert float(row['fraction']) == pytest.approx(answer.mask.mean(), abs=1e-6)
        assert float(row['max_probability']) == pytest.approx(answer.probability.max(), abs=1e-4)
        stored = read(out / 'probabilities' / f'{row["sample_id"]}.png')
        assert stored.dtype == np.uint16
        np.testing.assert_allclose(stored / 65535, answer.probability, atol=2e-5)
        drawn = read(out / 'overlays' / f'{row["sample_id"]}.png')
        assert np.array_equal(drawn[: len(answer.mask)][..., ::-1], answer.overlay())
        empty += not answer.mask.any()
    areas = [row['area_mm2'] for row in written]
    assert areas[2:4] == ['', '']
    assert float(areas[0]) == pytest.approx(0.25 * int(written[0]['pixels']), abs=0.01)
    assert float(areas[4]) == pytest.approx(6 * int(written[4]['pixels']), abs=0.01)
    assert f'6 masks, {empty} of them empty' in said


def test_a_folder_with_one_sentence(predict, segment, folder, tmp_path):
    (folder / 'ct.nii').unlink()
    out = tmp_path / 'out'
    predict('--images', folder, '--text', RIGHT, '--out', out)
    rows = read_table(out)
    assert [(row['image'], row['expression']) for row in rows] == [('a.png', RIGHT), ('b.jpg', RIGHT)]
    assert np.array_equal(read(out / rows[1]['mask']) != 0, segment(folder / 'b.jpg', RIGHT).mask)
    assert sorted(path.name for path in out.iterdir()) == ['masks', 'predictions.csv']


def test_all_bad_rows_of_a_table_at_once(predict, folder, tmp_path):
    rows = [dict(image=name, expression=text) for name, text in (('gone.png', LEFT), ('a.png', ''), ('a.png', LEFT))]
    table = write_table(tmp_path / 'rows.csv', rows)
    with pytest.raises(RuntimeError) as error:
        predict('--images', folder, '--texts', table, '--out', tmp_path / 'out')
    assert 'rows.csv: 2 problems' in str(error.value)
    assert "row 2: 'image' is 'gone.png'" in str(error.value)
    assert "row 3: 'expression' is empty" in str(error.value)
    assert not (tmp_path / 'out').exists()


def test_all_bad_pictures_at_once_and_before_the_first_mask(predict, folder, tmp_path):
    for name in ('broken.png', 'worse.png'):
        (folder / name).write_text('no picture')
    with pytest.raises(RuntimeError) as error:
        predict('--images', folder, '--text', LEFT, '--out', tmp_path / 'out')
    said = str(error.value)
    assert '3 of 5 rows have a picture that cannot be used' in said
    assert said.count('is not a picture that can be read') == 2
    assert 'ct.nii has 3 axial slices: say which' in said
    assert 'Traceback' not in said
    assert not (tmp_path / 'out').exists()


def test_an_interrupted_run_leaves_no_table(predict, folder, tmp_path, monkeypatch):
    (folder / 'ct.nii').unlink()
    out = tmp_path / 'out'
    predict('--images', folder, '--text', RIGHT, '--out', out)

    def full(*_):
        raise OSError('disk full')

    monkeypatch.setattr('mmseg_textseg.apis.folder.write_png', full)
    with pytest.raises(RuntimeError, match='disk full'):
        predict('--images', folder, '--text', LEFT, '--out', out)
    assert not (out / 'predictions.csv').exists(), 'it would belong to other masks'


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--image', 'gone.png', '--text', LEFT, '--out', 'm.png'], 'gone.png is not there'),
        (['--image', 'a.png', '--text', LEFT, '--out', 'm.jpg'], 'must end in .png'),
        (['--image', 'a.png', '--out', 'm.png'], 'needs a sentence: give --text or --texts'),
        (['--image', 'a.png', '--text', ' ', '--out', 'm.png'], 'text must be a sentence'),
        (['--image', 'a.png', '--texts', 'rows.csv', '--out', 'm.png'], 'go with --images'),
        (['--image', 'a.png', '--images', '.', '--text', LEFT, '--out', 'm.png'], 'not allowed with'),
        (['--text', LEFT, '--out', 'm.png'], 'required'),
        (['--images', 'gone', '--text', LEFT, '--out', 'out'], 'no folder gone'),
        (['--images', 'empty', '--text', LEFT, '--out', 'out'], 'no picture, NIfTI or DICOM file in empty'),
        (['--images', '.', '--texts', 'gone.csv', '--out', 'out'], 'gone.csv'),
        (['--images', '.', '--out', 'out'], 'needs a sentence: give --text or --texts'),
        (['--image', 'ct.nii', '--text', LEFT, '--out', 'm.png', '--slice', '9', '--window', 'liver'], 'no slice 9'),
        (['--image', 'ct.nii', '--text', LEFT, '--out', 'm.png', '--load', 'plain=1'], 'plain'),
    ],
)
def test_mistakes_are_said_in_a_line(predict, folder, tmp_path, monkeypatch, options, said):
    (folder / 'empty').mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(RuntimeError) as error:
        predict(*options)
    assert said in str(error.value)
    assert 'Traceback' not in str(error.value)
    assert not (folder / 'm.png').exists()


def test_an_unknown_model_is_said(predict, folder, tmp_path):
    with pytest.raises(RuntimeError, match="no model 'nothing-like-it'"):
        predict('--image', folder / 'a.png', '--text', LEFT, '--out', tmp_path / 'm.png', config='nothing-like-it')
