"""Slices of volumes as images."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmseg_textseg.doctor import contact_sheet
from mmseg_textseg.doctor.splits import Loading


@pytest.fixture
def volumes(tiny):
    """The pictures as slices of one volume, the masks of another."""
    nib = pytest.importorskip('nibabel')
    rows = [row for split in tiny.rows.values() for row in split]
    for folder in ('images', 'masks'):
        stack = np.stack([cv2.imread(str(tiny.root / folder / row['image']), 0).T for row in rows], axis=2)
        nib.save(nib.Nifti1Image(stack.astype(np.int16), np.diag([-1, -1, 2, 1])), tiny.root / folder / 'v.nii')
    for number, row in enumerate(rows):
        row.update(image='v.nii', mask='v.nii', slice=number)
    return tiny


def volume_splits(volumes):
    loading = Loading(dict(type='LoadMedicalImage', window=(127.5, 255)), dict(type='LoadMedicalMask'), 2)
    return [replace(split, loading=loading) for split in volumes.splits()]


def test_slices_of_volumes(volumes):
    found = volumes.found(volume_splits(volumes))
    assert not found.all.failed
    assert all(finding.severity == 'note' for finding in found.all.findings)
    assert '10 images, 32 to 32 high' in found.by['images'].message
    assert 'foreground 9.77 %' in found.by['masks'].message
    assert contact_sheet(found.all, 6).shape[2] == 3


def test_slices_that_are_not_there(volumes):
    volumes.rows['train'][2]['slice'] = 17
    finding = volumes.found(volume_splits(volumes)).by['unreadable']
    assert 'v.nii has no slice 17: its axial slices are 0 to 9' in finding.examples[0]['detail']


def test_a_label_volume_that_is_cut_off(volumes):
    path = volumes.root / 'masks' / 'v.nii'
    path.write_bytes(path.read_bytes()[:-40])
    assert volumes.found(volume_splits(volumes)).by['unreadable'].count == 10
