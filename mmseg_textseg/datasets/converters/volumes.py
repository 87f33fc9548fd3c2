"""CT and MRI volumes with label volumes (LiTS, the Medical Segmentation Decathlon, ...), cut into slices.

--src holds, at any depth, an image and a mask a case: NIfTI, or folders of DICOM series. By default LiTS's:
  volume-0.nii segmentation-0.nii volume-1.nii segmentation-1.nii ...     labels 1 liver, 2 tumour

  ... volume --src LITS --out data/lits --window liver --labels 2 --organ-labels 1 --default-axes LAS
  ... volume --src Task03_Liver --out data/liver --image 'imagesTr/{case}.nii.gz' --mask 'labelsTr/{case}.nii.gz' ...
  ... volume --src SCANS --out data/scans --image '{case}/dicom' --mask '{case}/mask.nii.gz' ...
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..medical import (
    ORIENTATIONS,
    PLANES,
    WINDOWS,
    MedicalImageError,
    SliceView,
    Volume,
    align,
    check_axes,
    open_volume,
    parse_windows,
    slice_axis,
    view_slice,
)
from ..transforms.medical import foreground
from .cases import SPLITS, Case, assign_splits, find_cases
from .conversion import Conversion, ConversionError
from .pairs import noting, write_tables

HELP = 'CT and MRI volumes with label volumes (LiTS, ...) -> slices of 8 (or 16) bits and their masks'

RAW_OFFSET = 32768  # of --raw16: Hounsfield units + 32768 fit 16 bits without a sign


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which files, what is shown, which labels, which slices, which split."""
    files = parser.add_argument_group('files; {case} is the name of a case, * any part of a name')
    files.add_argument('--image', default='volume-{case}.nii*', metavar='PATTERN', help='end of the path (LiTS)')
    files.add_argument('--mask', default='segmentation-{case}.nii*', metavar='PATTERN', help='end of the path (LiTS)')
    files.add_argument('--channel', type=int, metavar='N', help='volume of images with a fourth axis, from 0')
    files.add_argument('--default-axes', metavar='AXES', help='axes of images that do not say theirs, as LPS')
    files.add_argument(
        '--ignore-mask-affine', action='store_true', help='masks lie as their images do, whatever their headers say'
    )
    shown = parser.add_argument_group('what is shown')
    grey = shown.add_mutually_exclusive_group(required=True)
    grey.add_argument(
        '--window',
        nargs='+',
        metavar='W',
        help=f'one, or three for red, green, blue: {", ".join(WINDOWS)}, LEVEL,WIDTH, percentiles as p0.5,p99.5, or '
        'dicom; a level below 0 needs a =, as --window=-600,1500',
    )
    grey.add_argument('--raw16', action='store_true', help=f'16-bit images of the values + {RAW_OFFSET} instead')
    shown.add_argument('--plane', choices=PLANES, default='axial')
    shown.add_argument('--orientation', choices=ORIENTATIONS, default='radiological')
    labels = parser.add_argument_group('labels')
    labels.add_argument('--labels', nargs='+', type=int, metavar='N', help='that are the lesion (default: all but 0)')
    labels.add_argument(
        '--organ-labels', nargs='+', type=int, metavar='N', help='also organs/: masks of these, lesions included'
    )
    kept = parser.add_argument_group('slices and splits')
    kept.add_argument('--slices', choices=['lesion', 'organ', 'all'], default='lesion', help='with which (lesion)')
    kept.add_argument('--every', type=int, default=1, metavar='N', help='only slices whose number N divides (1)')
    kept.add_argument(
        '--splits', type=Path, metavar='TABLE', help='csv, xlsx, ... with the columns case_id and split; others are out'
    )
    kept.add_argument(
        '--shares',
        nargs=3,
        type=float,
        default=[0.7, 0.1, 0.2],
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='of the cases, drawn with --seed, where there is no --splits (0.7 0.1 0.2)',
    )
    kept.add_argument('--seed', type=int, default=0)


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``images/``, ``masks/`` (0/255), with ``--organ-labels`` ``organs/`` (0/255), and a jsonl a split.

    A row is a slice: ``{"case_id", "image", "mask", "organ", "slice", "plane", "spacing_mm", "slice_spacing_mm",
    "mask_area_px", "mask_area_mm2", "labels"}``. ``slice`` counts along the file's own axis from 0; ``spacing_mm`` is
    mm from row to row and from column to column; what the file does not say is null. ``labels`` are the slice's values.

    Args:
        src: see above.
        conversion: writes.
        args: of :func:`add_arguments`.

    Raises:
        ConversionError: for options that do not fit; with all cases whose headers do not, before anything is written;
            with all whose values cannot be used. No table is written then, the slices of good cases are.
    """
    windows = _check(args)
    cases = find_cases(src, args.image, args.mask)
    splits = assign_splits(list(cases), args.splits, args.shares, args.seed)
    if len(cases) > len(splits):
        conversion.count('cases in no split, left out', len(cases) - len(splits))
    problems: list[str] = []
    _check_headers([cases[name] for name in splits], args, src)
    order = sorted(set(splits.values()), key=lambda split: (split not in SPLITS, (*SPLITS, split).index(split), split))
    tables: dict[str, list[dict]] = {split: [] for split in order}
    for name in conversion.each(splits, unit='case'):
        with noting(problems):
            rows = _write_case(conversion, cases[name], windows, args)
            tables[splits[name]] += rows
            conversion.count(f'{splits[name]} cases')
            if not rows:
                conversion.count('cases without a slice of --slices, in no table')
    if problems:
        raise ConversionError(str(src), problems)
    empty = [split for split, rows in tables.items() if not rows]
    if empty:
        raise ConversionError(
            str(src), [f'no slices for {", ".join(empty)}: look at --slices, --labels and the splits']
        )
    write_tables(conversion, tables)


def _check(args: argparse.Namespace) -> tuple:
    try:
        windows = parse_windows(args.window[0] if args.window and len(args.window) == 1 else args.window)
        check_axes(args.default_axes)
    except ValueError as error:
        raise ConversionError('volume', [str(error)]) from error
    if args.slices == 'organ' and not args.organ_labels:
        raise ConversionError('volume', ['--slices organ: say with --organ-labels what the organ is'])
    if args.every < 1:
        raise ConversionError('volume', [f'--every {args.every}: expected 1 or more'])
    return windows


def _check_headers(cases: Sequence[Case], args: argparse.Namespace, src: Path) -> None:
    """What an option mends is told before anything is written, since another run with another option is refused."""
    problems: list[str] = []
    try:
        for case in cases:
            with noting(problems):
                _open(case, args).views()
    except ImportError as error:
        raise ConversionError('volume', [str(error)]) from error
    if problems:
        raise ConversionError(str(src), problems)


@dataclass(frozen=True)
class _Pair:
    """The volumes of a case, and how the slices of its image are cut."""

    image: Volume
    mask: Volume
    alignment: tuple
    args: argparse.Namespace

    def views(self) -> list[SliceView]:
        plane, orientation = self.args.plane, self.args.orientation
        count = self.image.grid.shape[slice_axis(self.image.grid, plane, orientation)]
        return [view_slice(self.image.grid, plane, orientation, k) for k in range(0, count, self.args.every)]

    def labels(self, view: SliceView) -> np.ndarray:
        return self.mask.plane_on(self.alignment, view)


def _open(case: Case, args: argparse.Namespace) -> _Pair:
    image = open_volume(case.image, args.channel, args.default_axes)
    mask = open_volume(case.mask)
    return _Pair(image, mask, align(mask.grid, image.grid, not args.ignore_mask_affine), args)


def _write_case(conversion: Conversion, case: Case, windows: tuple, args: argparse.Namespace) -> list[dict]:
    pair = _open(case, args)
    if args.raw16:
        _check_whole(pair)
    rows = []
    for view in pair.views():
        labels = pair.labels(view)
        lesion = foreground(labels, args.labels)
        organ = foreground(labels, args.organ_labels) | lesion if args.organ_labels else None
        if args.slices != 'all' and not (lesion if args.slices == 'lesion' else organ).any():
            continue
        name = f'{case.name}_{view.index:04d}.png'
        make = partial(_raw, pair, view) if args.raw16 else partial(pair.image.picture, view, windows)
        conversion.write(f'images/{name}', make, case.image)
        sources = (case.image, case.mask)
        conversion.write(f'masks/{name}', partial(_as_picture, lesion), *sources)
        row = dict(case_id=case.name, image=name, mask=name)
        if organ is not None:
            row['organ'] = conversion.write(f'organs/{name}', partial(_as_picture, organ), *sources)
        rows.append({**row, **_measures(view, labels, lesion), **dict(plane=args.plane)})
        conversion.count('slices')
        conversion.count('slices with a lesion', int(lesion.any()))
    return rows


def _as_picture(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255


def _measures(view: SliceView, labels: np.ndarray, lesion: np.ndarray) -> dict:
    spacing, area = view.pixel_spacing, int(lesion.sum())
    known = spacing is not None
    return dict(
        slice=view.index,
        spacing_mm=[round(step, 6) for step in spacing] if known else None,
        slice_spacing_mm=round(view.grid.spacing[view.axis], 6) if known else None,
        mask_area_px=area,
        mask_area_mm2=round(area * spacing[0] * spacing[1], 3) if known else None,
        labels=[int(value) for value in np.unique(np.rint(labels)) if value],
    )


def _raw(pair: _Pair, view: SliceView) -> np.ndarray:
    values = pair.image.plane(view)
    if values.ndim == 3:
        raise MedicalImageError(f'{pair.image.grid.source} has colours: --raw16 is for grey')
    stored = np.rint(np.nan_to_num(values)).astype(np.int64) + RAW_OFFSET
    if stored.min() < 0 or stored.max() > np.iinfo(np.uint16).max:
        raise MedicalImageError(
            f'{pair.image.grid.source} slice {view.index} has values from {values.min():g} to {values.max():g}, which '
            f'do not fit 16 bits: use --window'
        )
    return stored.astype(np.uint16)


def _check_whole(pair: _Pair) -> None:
    """MRI with values from 0 to 1 would become black and white; a slice in the middle shows something."""
    view = pair.views()[len(pair.views()) // 2]
    values = np.nan_to_num(pair.image.plane(view))
    if np.ptp(values) < 100 and np.abs(values - np.rint(values)).max() > 0.01:
        raise MedicalImageError(
            f'{pair.image.grid.source} has values of {values.min():g} to {values.max():g} in slice {view.index}: '
            'rounded to whole numbers for --raw16 they would lose their shades; use --window with percentiles'
        )
