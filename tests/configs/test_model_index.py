"""model-index.yml: what OpenMMLab's tooling reads of our configs."""

import re

import pytest
from mmengine.infer import BaseInferencer
from reading_configs import ROOT, head, raw

from mmseg_textseg.apis.model_names import find_model

MODELS = list(BaseInferencer._get_models_from_metafile(str(ROOT)))


def test_each_model_is_listed_once():
    names = [model['Name'] for model in MODELS]
    assert len(names) > 25
    assert len(set(names)) == len(names)


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_names_its_config(model):
    assert find_model(model['Name'], 'weights.pth', [ROOT]) == (str(ROOT / model['Config']), 'weights.pth')
    assert model['Config'].endswith(f'/{model["Name"]}.py')
    text = raw(model['Config']).model.get('text_encoder') is not None
    tasks = {result['Task'] for result in model.get('Results', [])}
    assert tasks <= {'Referring Image Segmentation' if text else 'Image Segmentation'}


@pytest.mark.parametrize(
    'model', [model for model in MODELS if 'Results' in model], ids=lambda model: model['Name']
)  # fmt: skip
def test_results_are_those_of_the_config_and_the_results_page(model):
    """The config's head says the Dice, to one digit or two; docs/results.md holds the figures themselves."""
    said = [float(number) for number in re.findall(r'\d+\.\d+', head(model['Config']))]
    page = (ROOT / 'docs' / 'results.md').read_text(encoding='utf-8')
    metrics = model['Results'][0]['Metrics']
    assert any(abs(metrics['Dice'] - number) < 0.06 for number in said), said
    assert [value for value in metrics.values() if f'{value:.2f}' not in page] == []
