"""Measures of drawn shapes against what geometry says."""

import cv2
import numpy as np
import pytest

from mmseg_textseg.datasets.expressions.lesions import (
    label_mask,
    measure_contrast,
    measure_edge_width,
    measure_lesions,
    measure_outline,
)
from mmseg_textseg.datasets.expressions.places import label_shares, lobe_shares, place_in_organ, place_in_picture

Y, X = np.mgrid[:160, :160]


def disc(radius, x=80, y=80):
    return (X - x) ** 2 + (Y - y) ** 2 <= radius**2


def only(mask, **options):
    (lesion,) = measure_lesions(label_mask(mask), **options)
    return lesion


@pytest.mark.parametrize('radius', [6, 15, 40])
def test_disc(radius):
    lesion = only(disc(radius))
    assert lesion.diameter == pytest.approx(2 * radius + 1, abs=0.6)
    assert lesion.center == (80, 80)
    assert lesion.area == disc(radius).sum()
    assert lesion.axis_ratio == pytest.approx(1, abs=0.02)
    assert lesion.solidity > 0.97


def test_square_diameter_is_its_diagonal_and_it_is_convex():
    mask = np.zeros((160, 160), bool)
    mask[40:80, 30:70] = True
    lesion = only(mask)
    assert lesion.diameter == pytest.approx(40 * 2**0.5, abs=1)
    assert lesion.solidity > 0.98


@pytest.mark.parametrize('ratio', [0.4, 0.6, 0.9])
def test_axis_ratio_and_eccentricity_of_an_ellipse(ratio):
    turned = (X - 80) * 0.8 + (Y - 80) * 0.6, -(X - 80) * 0.6 + (Y - 80) * 0.8
    mask = (turned[0] / 50) ** 2 + (turned[1] / (50 * ratio)) ** 2 <= 1
    assert only(mask).axis_ratio == pytest.approx(ratio, abs=0.02)


def test_solidity_of_an_l_is_its_area_over_that_of_the_hull():
    mask = np.zeros((160, 160), bool)
    mask[20:120, 20:60] = mask[80:120, 20:120] = True
    # A square of 100 without one of 60, 6,400; its hull is without the triangle of half of that square, 8,200.
    assert measure_outline(mask)[0] == pytest.approx(6400 / 8200, abs=0.01)


@pytest.mark.parametrize('sigma', [1.5, 2.5])
def test_width_of_a_blurred_edge(sigma):
    mask = disc(40)
    image = cv2.GaussianBlur(np.where(mask, 200, 60).astype(np.float32), (0, 0), sigma)
    width = measure_edge_width(image, mask, np.zeros_like(mask), 81)
    assert width == pytest.approx(np.sqrt(2 * np.pi) * sigma, rel=0.12)


def test_width_is_unknown_without_a_step():
    noise = np.random.default_rng(0).normal(100, 10, (160, 160))
    assert np.isnan(measure_edge_width(noise, disc(30), np.zeros((160, 160), bool), 61))


def test_contrast_is_in_standard_deviations_of_the_ring():
    mask = disc(30)
    image = np.where((X + Y) % 2, 110, 90).astype(np.float32)  # mean 100, standard deviation 10
    image[mask] = 75
    contrast, texture = measure_contrast(image, mask, mask, 61)
    assert contrast == pytest.approx(-2.5, abs=0.02)
    assert texture == 0


def test_contrast_leaves_out_other_lesions_and_what_is_no_organ():
    mask, other = disc(20), disc(8, x=110)
    image = np.where((X + Y) % 2, 110, 90).astype(np.float32)
    image[mask], image[other], image[:60] = 75, 255, 0
    assert measure_contrast(image, mask, mask | other, 41, Y >= 60)[0] == pytest.approx(-2.5, abs=0.05)


def test_components_join_over_corners_and_instances_in_pieces():
    mask = np.array([[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert label_mask(mask).max() == 3
    assert label_mask(mask, instances=True).tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 1]]


def test_place_in_picture_and_in_the_box_of_an_organ():
    lesion = only(disc(5, x=40, y=120))
    assert place_in_picture(lesion) == pytest.approx((40.5 / 160, 120.5 / 160))
    organ = np.zeros((160, 160), bool)
    organ[100:140, 20:100] = True
    assert place_in_organ(lesion, organ) == pytest.approx((20.5 / 80, 20.5 / 40))
    assert np.isnan(place_in_organ(lesion, np.zeros_like(organ))).all()


def test_shares_of_segments_and_lobes():
    lesion = only((X >= 40) & (X < 80) & (Y >= 40) & (Y < 50))
    segments = np.where(X < 50, 2, 5)
    shares = label_shares(lesion, segments, {2: 'II', 5: 'V'})
    assert shares == {'II': 0.25, 'V': 0.75}
    assert lobe_shares(shares, dict(left=['II', 'III'], right=['V'])) == dict(left=0.25, right=0.75)


def test_marks_lesions_that_are_cut_off_or_small():
    mask = disc(10, x=2) | disc(2, x=120)
    first, second = measure_lesions(label_mask(mask), min_area=50)
    assert (first.is_cut, first.is_small, second.is_cut, second.is_small) == (True, False, False, True)
