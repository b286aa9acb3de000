"""The colours of the themes: readable on their paper, told apart by eyes of every kind."""

from __future__ import annotations

import itertools
import math

import pytest

from seqgrad.display import THEMES, blank, theme
from seqgrad.display._theme import colors

matplotlib = pytest.importorskip("matplotlib")

Triple = tuple[float, float, float]
# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
EYES = {
    "all cones": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)  # D65


def times(matrix: tuple[Triple, Triple, Triple], vector: Triple) -> Triple:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def linear(colour: str) -> Triple:
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in matplotlib.colors.to_rgb(colour))
    return r, g, b


def contrast(one: str, other: str) -> float:
    """WCAG 2: 1 to 21."""
    low, high = sorted(times(XYZ, linear(colour))[1] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour: str, eye: str) -> Triple:
    """CIELAB of what an eye sees."""
    r, g, b = (min(max(v, 0.0), 1.0) for v in times(EYES[eye], linear(colour)))
    x, y, z = (
        (v / w) ** (1 / 3) if v / w > 216 / 24389 else (24389 / 27 * v / w + 16) / 116
        for v, w in zip(times(XYZ, (r, g, b)), WHITE, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_contrast_and_distance_are_those_of_the_standards():
    assert contrast("#000000", "#ffffff") == pytest.approx(21, abs=1e-3)
    assert contrast("#0072B2", "#ffffff") == pytest.approx(5.19, abs=0.01)
    assert lab("#ffffff", "all cones") == pytest.approx((100, 0, 0), abs=0.02)
    assert lab("#ff0000", "all cones") == pytest.approx((53.24, 80.09, 67.20), abs=0.02)
    assert math.dist(lab("#ff0000", "deuteranopia"), lab("#808000", "deuteranopia")) < 20  # red and olive look alike


@pytest.mark.parametrize(("name", "least"), [("light", 3.0), ("dark", 4.5)])
def test_every_colour_stands_out_from_its_paper(name, least):
    look = THEMES[name]
    assert all(contrast(colour, look.paper) >= least for colour in look.colors)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", THEMES)
def test_any_two_colours_are_told_apart(name, eye):
    for one, other in itertools.combinations(THEMES[name].colors, 2):
        assert math.dist(lab(one, eye), lab(other, eye)) >= 20, (one, other)


@pytest.mark.parametrize("name", THEMES)
def test_axes_get_the_colours_of_their_paper(name):
    with theme(name):
        _, ax = blank()
    assert colors(ax) == THEMES[name].colors
    ax.set_facecolor("none")
    assert colors(ax) == THEMES[name].colors  # that of the figure behind
