"""Writes the phantom in the RefHL-Seg layout, in parallel, and checks what it wrote."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .anatomy import FIELD_OF_VIEW_PX, draw_slice, finish, sample_case
from .expressions import Expression, describe
from .lesions import Lesion, place_lesions
from .validation import MARKER, SPLIT_NAMES, check_slice, validate_phantom

GENERATOR_VERSION = 1
DIFFICULTIES = ('default', 'easy')
UNFINISHED = '.phantom_unfinished.json'
_SLICE_TRIES = 200


def make_slice(
    seed: np.random.SeedSequence,
    case_seed: np.random.SeedSequence,
    level: float,
    size: int = 480,
    lesions: tuple[int, int] = (1, 5),
    difficulty: str = 'default',
) -> tuple[np.ndarray, list[Lesion], list[list[Expression]], float]:
    """Makes one slice in memory.

    Args:
        seed: decides what is particular to the slice.
        case_seed: decides the anatomy of the patient.
        level: 0 (dome of the liver) to 1 (lower tip).
        size: side of the picture in pixels.
        lesions: least and greatest number of lesions.
        difficulty: ``'default'`` or ``'easy'``.

    Returns:
        The picture ``(size, size)`` uint8, its lesions, the expressions of each lesion, and the pixel spacing in mm.

    Raises:
        RuntimeError: if no slice with that many lesions was found.
    """
    easy = difficulty == 'easy'
    rng = np.random.default_rng(seed)
    case = sample_case(np.random.default_rng(case_seed), easy)
    spacing = round(case.spacing_480 * FIELD_OF_VIEW_PX / size, 4)
    resolution = size * max(1, round(384 / size))
    base = draw_slice(case, level, resolution, rng, easy)
    count = int(rng.integers(lesions[0], lesions[1] + 1))
    clean = base.hu.copy()
    for attempt in range(_SLICE_TRIES):
        np.copyto(base.hu, clean)
        found = place_lesions(base, count, size, spacing, rng, easy)
        told = describe(found, rng, easy) if found else None
        if told:
            break
        if attempt % 40 == 39:  # too crowded: fewer lesions, but never below the least
            count = max(count - 1, lesions[0])
    else:
        raise RuntimeError(
            f'no slice with {count} lesions of {size} px was found in {_SLICE_TRIES} tries; ask for fewer lesions '
            f'(now {lesions[0]} to {lesions[1]}) or a larger size'
        )
    window, noise = ((75.0, 340.0), 5.0) if easy else ((55.0, 390.0), 11.5 * min(1.0, (size / 480) ** 0.5))
    return finish(base.hu, base.body, rng, noise, window, size), found, told, spacing


# Not mmseg_textseg.fileio: tools/make_phantom.py loads this folder by itself, without PyTorch.
def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    temporary.write_bytes(data)
    temporary.replace(path)


def _write_png(path: Path, image: np.ndarray) -> None:
    ok, data = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not ok or not np.array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), image):
        raise OSError(f'{path}: OpenCV could not encode the picture')
    _write(path, data.tobytes())


def write_case(job: tuple) -> list[dict]:
    """Makes and writes one case; ``job`` is ``(out, case number, arguments)``. Returns its rows."""
    out, number, options = job
    cv2.setNumThreads(1)
    out, easy = Path(out), options['difficulty'] == 'easy'
    case_seed, *rest = np.random.SeedSequence([options['seed'], number]).spawn(2)
    rng = np.random.default_rng(rest[0])
    low, high = options['slices_per_case']
    slices = int(rng.integers(low, high + 1))
    ends = (0.06, 0.45) if easy else (0.06, 0.90)
    levels = np.linspace(*ends, slices + 1)[:-1] + rng.uniform(0, (ends[1] - ends[0]) / slices, slices)
    case_id, rows = f'case_{number:04d}', []
    for index, (seed, level) in enumerate(zip(rest[0].spawn(slices), levels, strict=True)):
        image, lesions, told, spacing = make_slice(
            seed, case_seed, float(level), options['size'], tuple(options['lesions']), options['difficulty']
        )
        check_slice(image, lesions, f'{case_id} slice {index}')
        name = f'{case_id}_s{index:02d}'
        _write_png(out / 'images' / f'{name}.png', image)
        for k, (lesion, expressions) in enumerate(zip(lesions, told, strict=True), start=1):
            mask_name = f'{name}_l{k}.png'
            _write_png(out / 'masks' / mask_name, lesion.mask.astype(np.uint8) * 255)
            for expression in expressions:
                rows.append(
                    dict(
                        case_id=case_id,
                        image=f'{name}.png',
                        mask=mask_name,
                        expression=expression.text,
                        kind=expression.kind,
                        segment=lesion.segment,
                        side=lesion.side,
                        diameter_mm=lesion.rounded_mm,
                        shape=lesion.shape,
                        boundary=lesion.boundary,
                        enhancement=lesion.enhancement,
                        type=lesion.type,
                        pixel_spacing_mm=spacing,
                    )
                )
    return rows


def _split_cases(cases: int, splits: Sequence[float], seed: int) -> dict[str, list[int]]:
    val, test = (max(1, round(cases * share)) for share in splits[1:])
    if cases - val - test < 1:
        raise ValueError(f'cases={cases} is too few for three non-empty splits {tuple(splits)}; ask for more cases')
    order = np.random.default_rng(np.random.SeedSequence([seed, 2**31])).permutation(cases) + 1
    parts = np.split(order, [cases - val - test, cases - test])
    return {name: sorted(int(n) for n in part) for name, part in zip(SPLIT_NAMES, parts, strict=True)}


def _checked_options(cases, size, seed, slices_per_case, lesions, difficulty, splits) -> dict:
    if isinstance(slices_per_case, int):
        slices_per_case = (slices_per_case, slices_per_case)
    if size < 64:
        raise ValueError(f'size={size} is below 64 pixels; lesions would be too small to see')
    if seed < 0:
        raise ValueError(f'seed={seed} is negative; give 0 or more')
    for name, (low, high), most in (('lesions', lesions, 8), ('slices_per_case', slices_per_case, 99)):
        if not 1 <= low <= high <= most:
            raise ValueError(f'{name}=({low}, {high}): expected 1 <= least <= greatest <= {most}')
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty='{difficulty}' is unknown; expected one of {DIFFICULTIES}")
    if len(splits) != 3 or min(splits) <= 0 or abs(sum(splits) - 1) > 1e-6:
        raise ValueError(f'splits={tuple(splits)}: expected three shares above 0 that sum to 1, for {SPLIT_NAMES}')
    return dict(
        cases=cases,
        size=size,
        seed=seed,
        slices_per_case=list(slices_per_case),
        lesions=list(lesions),
        difficulty=difficulty,
        splits=[float(s) for s in splits],
    )


def _prepare(out: Path, arguments: dict, overwrite: bool) -> dict | None:
    """Empties or creates ``out``; returns the counts of a finished phantom made with the same arguments."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f'{out} is a file; give a folder')
    marker, unfinished = out / MARKER, out / UNFINISHED
    if marker.exists():
        before = json.loads(marker.read_text())
        same = before.get('arguments') == arguments and before.get('generator_version') == GENERATOR_VERSION
        if same and not overwrite:
            return before['counts']
        if not overwrite:
            raise FileExistsError(
                f'{out} holds a phantom made with other arguments, {before.get("arguments")}; '
                'choose another folder, or pass --overwrite (overwrite=True) to replace it'
            )
    elif unfinished.exists() and not overwrite:
        raise FileExistsError(
            f'{out} holds an interrupted phantom (no {MARKER}); pass --overwrite (overwrite=True) to make it anew'
        )
    elif out.exists() and any(out.iterdir()) and not unfinished.exists():
        raise FileExistsError(
            f'{out} is not empty and is no phantom (no {MARKER}); choose an empty or new folder, nothing was changed'
        )
    # Only what the phantom writes is removed, and its marker first, so that an interruption stays recognisable.
    out.mkdir(parents=True, exist_ok=True)
    _write(unfinished, json.dumps(dict(arguments=arguments)).encode())
    marker.unlink(missing_ok=True)
    for name in SPLIT_NAMES:
        (out / f'{name}.jsonl').unlink(missing_ok=True)
    for folder in ('images', 'masks'):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir()
    return None


def _cores() -> int:
    # The affinity, where there is one: a container may own fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def make_phantom(
    out: str | os.PathLike,
    cases: int,
    size: int = 480,
    seed: int = 0,
    slices_per_case: int | tuple[int, int] = (6, 12),
    lesions: tuple[int, int] = (1, 5),
    difficulty: str = 'default',
    workers: int | None = None,
    splits: Sequence[float] = (0.7, 0.1, 0.2),
    progress: bool = True,
    overwrite: bool = False,
) -> dict:
    """Makes CT slices with referring expressions and writes them in the RefHL-Seg layout.

    The files depend on the arguments only, not on ``workers``. Nothing is real: ``phantom.json`` marks the folder.

    Args:
        out: folder to write; new, empty or a phantom.
        cases: number of made-up patients.
        size: side of the pictures in pixels, at least 64. The field of view does not depend on it.
        seed: seed of everything.
        slices_per_case: number of slices a case, or the least and the greatest.
        lesions: least and greatest number of lesions a slice; a crowded slice gets fewer, never below the least.
        difficulty: ``'default'``, or ``'easy'`` for large plain lesions and short sentences.
        workers: processes; None takes all cores for more than 60 slices and none beside this one otherwise.
        splits: shares of the cases in train, val and test.
        progress: whether to show a progress bar.
        overwrite: replace a phantom made with other arguments, or an interrupted one.

    Returns:
        Counts: ``{'cases', 'slices', 'lesions', 'expressions'}``, each ``{'train', 'val', 'test', 'total'}``.

    Raises:
        ValueError: for arguments out of range.
        FileExistsError: if ``out`` holds something else.
        RuntimeError: if that many lesions do not fit into a slice.
    """
    options = _checked_options(cases, size, seed, slices_per_case, lesions, difficulty, splits)
    parts = _split_cases(cases, splits, seed)
    if workers is not None and workers < 1:
        raise ValueError(f'workers={workers}: expected 1 or more, or None')
    out = Path(out)
    finished = _prepare(out, options, overwrite)
    if finished is not None:
        return finished
    if workers is None:
        enough = cases * sum(options['slices_per_case']) / 2 > 60
        workers = _cores() if enough else 1
    jobs = [(str(out), number, options) for number in range(1, cases + 1)]
    bar = dict(total=cases, desc='phantom', unit='case', disable=not progress)
    if min(workers, cases) == 1:
        rows = [write_case(job) for job in tqdm(jobs, **bar)]
    else:
        with multiprocessing.get_context('spawn').Pool(min(workers, cases)) as pool:
            rows = list(tqdm(pool.imap(write_case, jobs), **bar))
    counts = {key: {} for key in ('cases', 'slices', 'lesions', 'expressions')}
    for name, numbers in parts.items():
        mine = [row for number in numbers for row in rows[number - 1]]
        _write(out / f'{name}.jsonl', ''.join(json.dumps(row) + '\n' for row in mine).encode())
        counts['cases'][name] = len(numbers)
        counts['slices'][name] = len({row['image'] for row in mine})
        counts['lesions'][name] = len({row['mask'] for row in mine})
        counts['expressions'][name] = len(mine)
    for values in counts.values():
        values['total'] = sum(values.values())
    validate_phantom(out, counts)
    record = dict(made_up=True, generator_version=GENERATOR_VERSION, arguments=options, counts=counts)
    _write(out / MARKER, (json.dumps(record, indent=2) + '\n').encode())
    (out / UNFINISHED).unlink()
    return counts
