"""Made-up models whose use of the text is known, on pictures with one region on each side."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.registry import MODELS

WORDS = ['the', 'small', 'large', 'lesion', 'in', 'left', 'right', 'lobe', '.']
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS]
LEFT, RIGHT = 200, 100  # grey values of the two regions
SENTENCES = dict(left='The small lesion in the left lobe.', right='The large lesion in the right lobe.')
CASES = 12


@MODELS.register_module()
class MadeUpSegmentor(BaseModel):
    """Marks the regions that the words it listens to name; both where it hears none of them.

    Args:
        hears: word -> region; nothing for a model that ignores the text.
        text_encoder: of no use; tells the audit that this is a model with text.
    """

    calls = 0

    def __init__(self, hears, text_encoder=None):
        super().__init__()
        self.hears = {VOCAB.index(word): region for word, region in hears.items()}
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, *args, **kwargs):
        raise AssertionError('asked through test_step')

    def test_step(self, data):
        assert not self.training
        MadeUpSegmentor.calls += 1
        samples = data['data_samples']
        for image, sample in zip(data['inputs'], samples, strict=True):
            heard = {self.hears[i] for i in sample.text_ids.tolist() if i in self.hears} or {LEFT, RIGHT}
            mask = torch.stack([image[:1] == grey for grey in heard]).any(0)
            sample.pred_sem_seg = PixelData(data=mask.long())
        return samples


HEARS = dict(
    nothing={},
    side=dict(left=LEFT, right=RIGHT),
    size=dict(small=LEFT, large=RIGHT),
)


@pytest.fixture
def place(tmp_path):
    """Data of 12 cases: 4 columns of 16 pixels on the left, case number + 5 columns on the right, 16 x 32 pixels."""
    data = tmp_path / 'data'
    for folder in ('images', 'masks'):
        (data / folder).mkdir(parents=True)
    rows = []
    for case in range(CASES):
        picture = np.zeros((16, 32), np.uint8)
        picture[:, :4] = LEFT
        picture[:, 12 : 12 + 5 + case] = RIGHT
        cv2.imwrite(str(data / 'images' / f'{case}.png'), picture)
        for side, grey in (('left', LEFT), ('right', RIGHT)):
            cv2.imwrite(str(data / 'masks' / f'{case}_{side}.png'), np.uint8(255) * (picture == grey))
            rows.append(
                dict(case_id=f'c{case}', image=f'{case}.png', mask=f'{case}_{side}.png', expression=SENTENCES[side])
            )
    (data / 'test.json').write_text(json.dumps(rows))
    torch.save(dict(state_dict=dict(weight=torch.zeros(1))), tmp_path / 'made_up.pth')
    MadeUpSegmentor.calls = 0

    def config(hears, **dataset):
        pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadMask'),
            dict(type='PickText', mode='random'),
            dict(type='TokenizeText', tokenizer=dict(vocab=' '.join(VOCAB))),
            dict(type='PackTextSegInputs'),
        ]
        source = dict(
            type='TextSegDataset',
            ann_file='test.json',
            data_root=str(data),
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            pipeline=pipeline,
        )
        return Config(
            dict(
                model=dict(type='MadeUpSegmentor', hears=HEARS[hears], text_encoder=dict(type='None')),
                test_dataloader=dict(batch_size=5, num_workers=0, dataset={**source, **dataset}),
                test_evaluator=dict(type='TextSegMetric'),
            )
        )

    return SimpleNamespace(
        config=config,
        checkpoint=str(tmp_path / 'made_up.pth'),
        out=tmp_path / 'out',
        data=data,
        sentences=SENTENCES,
        calls=lambda: MadeUpSegmentor.calls,
    )
