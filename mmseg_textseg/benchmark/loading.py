"""What loading costs: an epoch beside loaders that run BERT, its pieces, and reading a table."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS
from torch.utils.data import DataLoader, Dataset
from transformers import BertConfig, BertModel

from ..datasets import CachedTransforms, PackTextSegInputs, TextSegDataset, TokenizeText
from ..datasets.phantom import make_phantom
from .group import Group

# Keyword arguments of BertConfig: its defaults are BERT-base; the other is the shape of MiniLM-L6-H384.
ENCODERS = {
    'BERT-base per item': dict(),
    'MiniLM-shape per item': dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
}
FOLDERS = dict(img_path='images', seg_map_path='masks')
BATCH = 16


class EncodedInLoader(Dataset):
    """A dataset whose items bring the features of their sentence, worked out in ``__getitem__``.

    Args:
        dataset: gives packed items with ``text_ids`` and ``text_mask``.
        encoder: takes ``input_ids`` and ``attention_mask`` of one sentence; not padded, which is to its advantage.
    """

    def __init__(self, dataset: Dataset, encoder: torch.nn.Module) -> None:
        self.dataset = dataset
        self.encoder = encoder.eval()

    def __len__(self) -> int:
        return len(self.dataset)

    @torch.no_grad()
    def __getitem__(self, index: int) -> dict:
        item = self.dataset[index]
        sample = item['data_samples']
        output = self.encoder(input_ids=sample.text_ids[None], attention_mask=sample.text_mask[None].long())
        sample.set_data(dict(text_features=output.last_hidden_state[0]))
        return item


def groups(
    sizes: Sequence[int] = (96, 256),
    items: int = 128,
    rows: Sequence[int] = (1_000, 10_000, 100_000),
    encoders: Mapping[str, dict] | None = None,
) -> Iterator[Group]:
    """Epochs of the phantom for each size of its pictures, their pieces, and tables of so many rows.

    Pictures are resized to 32 pixels less. Random weights cost what trained ones do.

    Args:
        sizes: sides of the pictures, at least 64.
        items: of an epoch, in this process (``num_workers=0``).
        rows: of the tables.
        encoders: contenders that encode the sentence of each item: name -> arguments of ``BertConfig``; None:
            :data:`ENCODERS`. The first of them is the reference.
    """
    encoders = ENCODERS if encoders is None else encoders
    for size in sizes:
        with TemporaryDirectory() as folder:
            cases = max(3, items // 12)  # two slices of two lesions, each with three sentences or more
            options = dict(slices_per_case=2, lesions=(2, 2), difficulty='easy', progress=False)
            make_phantom(folder, cases, size=size, **options)
            yield _epoch(Path(folder), size, items, encoders)
            yield from _pieces(Path(folder), size, items)
    for count in rows:
        with TemporaryDirectory() as folder:
            write_table(Path(folder), count)
            yield _table(Path(folder), count)


def _steps(folder: Path, size: int) -> list:
    """Loading, mask, resizing; tokeniser; packing."""
    side = size - 32
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadMask'),
        dict(type='Resize', scale=(side, side), keep_ratio=False),
        dict(type='TokenizeText', tokenizer=dict(build_from=str(folder / 'train.jsonl'))),
        dict(type='PackTextSegInputs'),
    ]
    return [TRANSFORMS.build(step) for step in steps]


def _dataset(folder: Path, pipeline: list, **options) -> TextSegDataset:
    return TextSegDataset('train.jsonl', data_root=str(folder), data_prefix=FOLDERS, pipeline=pipeline, **options)


def _epoch(folder: Path, size: int, items: int, encoders: Mapping[str, dict]) -> Group:
    def pass_of(dataset: Dataset) -> Callable[[], int]:
        order = [number % len(dataset) for number in range(items)]
        loader = DataLoader(dataset, BATCH, sampler=order, collate_fn=pseudo_collate)
        return lambda: sum(len(batch['inputs']) for batch in loader)

    plain = _dataset(folder, _steps(folder, size))
    first, rest = _steps(folder, size)[:3], _steps(folder, size)[3:]
    cached = pass_of(_dataset(folder, [CachedTransforms(first), *rest]))
    cached()  # the first epoch fills the cache
    models = {name: BertModel(BertConfig(**arch), add_pooling_layer=False) for name, arch in encoders.items()}
    contenders = {name: pass_of(EncodedInLoader(plain, model)) for name, model in models.items()}
    contenders |= {'ours': pass_of(plain), 'ours + cache': cached}
    job = f'load {items} pictures of {size} x {size} with mask and sentence, in batches of {BATCH}'
    return Group(f'loading/epoch/{size}', job, contenders, next(iter(contenders)), dict(pixels=size**2, items=items))


def _pieces(folder: Path, size: int, items: int) -> Iterator[Group]:
    """What an item goes through, each step by itself."""
    load_image, load_mask, resize, tokenize, _ = _steps(folder, size)
    dataset = _dataset(folder, [])
    rows = [dataset.get_data_info(number % len(dataset)) for number in range(items)]

    def each(step: Callable[[dict], object], given: list[dict]) -> Callable[[], None]:
        def run() -> None:
            for item in given:
                step({**item, 'seg_fields': [*item['seg_fields']]})

        return run

    def group(piece: str, job: str, contenders: dict, given: list[dict]) -> Group:
        calls = {name: each(step, given) for name, step in contenders.items()}
        axis = dict(pixels=size**2, items=items)
        return Group(
            f'loading/{piece}/{size}', f'{job}, {items} items of {size} x {size}', calls, next(iter(calls)), axis
        )

    load = Compose([load_image, load_mask])
    cached = CachedTransforms([load_image, load_mask, resize])
    each(cached, rows)()
    yield group('read', 'an item of the table', {'ours': lambda item: dataset.get_data_info(item['sample_idx'])}, rows)
    yield group('decode', 'picture and mask from their files', {'ours': load}, rows)
    loaded = [load({**item, 'seg_fields': []}) for item in rows]
    yield group('resize', 'picture and mask resized', {'ours': resize}, loaded)
    both = {'ours': Compose([load_image, load_mask, resize]), 'ours + cache': cached}
    yield group('cache', 'picture and mask, decoded and resized', both, rows)
    resized = [resize({**item}) for item in loaded]
    source, most = tokenize.tokenizer, tokenize.max_tokens
    ways = {'anew each time': lambda item: TokenizeText(source, most)(item), 'ours': tokenize}
    yield group('tokenise', 'token ids of the sentence', ways, resized)
    done = [tokenize({**item}) for item in resized]
    ways = {'MMSegmentation, without text': PackSegInputs(), 'ours': PackTextSegInputs()}
    yield group('pack', 'tensors of an item', ways, done)


def _table(folder: Path, rows: int) -> Group:
    contenders = {
        'dicts, serialised by mmengine': lambda: len(_dataset(folder, [], serialize_data=True)),
        'ours': lambda: len(_dataset(folder, [])),
    }
    job = f'read and check a table of {rows:,} rows'
    return Group(f'loading/table/{rows}', job, contenders, 'dicts, serialised by mmengine', dict(rows=rows))


def write_table(root: Path, rows: int) -> None:
    """Write ``train.jsonl`` with made-up rows of the RefHL-Seg layout, and the files it names, empty.

    Five expressions an image, two a mask.
    """
    for name in FOLDERS.values():
        (root / name).mkdir(parents=True)
    with (root / 'train.jsonl').open('w', encoding='utf-8') as file:
        for number in range(rows):
            case = f'case_{number // 50:05d}'
            image, mask = f'{case}_s{number // 5 % 10:02d}.png', f'mask_{number // 2:07d}.png'
            (root / 'images' / image).touch()
            (root / 'masks' / mask).touch()
            diameter = number % 977 / 2
            expression = (
                f'A cyst in segment VI of the liver, with a diameter of {diameter:g} mm, round shape, clear boundary, '
                'and no enhancement.'
            )
            row = dict(case_id=case, image=image, mask=mask, expression=expression, segment='VI', shape='round')
            row |= dict(diameter_mm=diameter, boundary='clear', enhancement='non-enhancing', type='cyst')
            file.write(json.dumps(row) + '\n')
