"""Cases of loading: they do the job that they name, and the same one."""

import pytest
import torch
from mmseg.structures import SegDataSample
from transformers import BertConfig, BertModel

from mmseg_textseg.benchmark import loading
from mmseg_textseg.datasets import TextSegDataset

TINY = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)


@pytest.fixture
def cases():
    """Groups of a tiny run by name; each is called while its files are there."""

    def run(**options):
        found = {}
        for group in loading.groups(encoders={'tiny per item': TINY}, **options):
            found[group.name] = group, {name: call() for name, call in group.contenders.items()}
        return found

    return run


def test_all_cases_run(cases):
    found = cases(sizes=(64,), items=20, rows=(30, 60))
    pieces = ['read', 'decode', 'resize', 'cache', 'tokenise', 'pack']
    assert list(found) == [
        'loading/epoch/64',
        *(f'loading/{piece}/64' for piece in pieces),
        'loading/table/30',
        'loading/table/60',
    ]
    epoch, results = found['loading/epoch/64']
    assert results == {'tiny per item': 20, 'ours': 20, 'ours + cache': 20}
    assert (epoch.reference, epoch.axis) == ('tiny per item', dict(pixels=4096, items=20))
    tables = [found[f'loading/table/{rows}'] for rows in (30, 60)]
    assert [group.axis for group, _ in tables] == [dict(rows=30), dict(rows=60)]
    assert [set(results.values()) for _, results in tables] == [{30}, {60}]


def test_all_loaders_give_the_same(monkeypatch):
    """What they hand to the collating function, in order."""
    batches = []
    monkeypatch.setattr(loading, 'pseudo_collate', lambda items: batches.append(items) or {'inputs': items})
    cases = loading.groups(sizes=(64,), items=6, rows=(), encoders={'tiny': TINY})  # holds the files
    group = next(cases)
    given = {}
    for name, call in group.contenders.items():
        batches.clear()
        assert call() == 6
        given[name] = [item for batch in batches for item in batch]
    for ours, cached, encoded in zip(given['ours'], given['ours + cache'], given['tiny'], strict=True):
        assert ours['inputs'].shape == (3, 32, 32)
        for other in (cached, encoded):
            assert torch.equal(other['inputs'], ours['inputs'])
            for key in ('text_ids', 'text_mask'):
                assert torch.equal(other['data_samples'].get(key), ours['data_samples'].get(key))
            truths = (one['data_samples'].gt_sem_seg.data for one in (ours, other))
            assert torch.equal(*truths)
        assert encoded['data_samples'].text_features.shape == (len(ours['data_samples'].text_ids), 16)
        assert 'text_features' not in ours['data_samples']


def test_the_encoder_runs_once_an_item():
    class Items:
        def __getitem__(self, index):
            sample = SegDataSample()
            sample.set_data(dict(text_ids=torch.arange(3 + index), text_mask=torch.ones(3 + index, dtype=torch.bool)))
            return dict(data_samples=sample)

    encoder = BertModel(BertConfig(**TINY, vocab_size=10), add_pooling_layer=False)
    sample = loading.EncodedInLoader(Items(), encoder)[2]['data_samples']
    expected = encoder(torch.arange(5)[None]).last_hidden_state[0]
    assert not sample.text_features.requires_grad
    torch.testing.assert_close(sample.text_features, expected.detach())


def test_the_encoders_have_the_shapes_they_are_named_after():
    base, small = (BertConfig(**arch) for arch in loading.ENCODERS.values())
    assert (base.hidden_size, base.num_hidden_layers, base.intermediate_size) == (768, 12, 3072)
    assert (small.hidden_size, small.num_hidden_layers, small.intermediate_size) == (384, 6, 1536)


def test_the_table_has_five_expressions_an_image_and_two_a_mask(tmp_path):
    loading.write_table(tmp_path, 100)
    data = TextSegDataset('train.jsonl', data_root=str(tmp_path), data_prefix=loading.FOLDERS, pipeline=[])
    items = [data.get_data_info(i) for i in range(len(data))]
    assert (len(items), len({i['img_path'] for i in items}), len({i['seg_map_path'] for i in items})) == (100, 20, 50)
    assert len({item['sample_id'] for item in items}) == 100
