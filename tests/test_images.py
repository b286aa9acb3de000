"""The displays as pictures, compared with those in tests/baseline: what assertions on artists do not see.

    python -m pytest tests/test_images.py --mpl-generate-path=tests/baseline      after a wanted change, then look

Every picture is drawn from fixed numbers with DejaVu, the font that matplotlib brings along. Letters are drawn
otherwise by other versions of matplotlib, so the pictures hold for one. The tolerance is a root mean square over all
pixels, of 255: drawn again it is 0, a line a fifth thicker makes 2.2, larger markers 3.7, a missing legend 7, one
letter in a label 12.
"""

from __future__ import annotations

import math

import pytest
import torch
from runs import history

import seqgrad as sg
from seqgrad import display
from seqgrad.display import Curve, GradientFlowDisplay

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("pytest_mpl")

DRAWN_WITH = "3.11"  # matplotlib whose letters the pictures hold
TOLERANCE = 1.5
DPI = 62.5  # 400 pixels wide, as on a phone

pytestmark = pytest.mark.skipif(
    not matplotlib.__version__.startswith(f"{DRAWN_WITH}."),
    reason=f"the pictures were drawn with matplotlib {DRAWN_WITH}, this is {matplotlib.__version__}",
)
compare = pytest.mark.mpl_image_compare(
    baseline_dir="baseline", tolerance=TOLERANCE, style="default", savefig_kwargs={"dpi": DPI}, deterministic=True
)


def sheet(draw, theme):
    """A figure in a theme that pyplot does not know."""
    with display.theme(theme):
        figure, ax = display.blank()
        draw(ax)
    return figure


def spread(steps=40, batch=24):
    """``[T, N]``: norms that decay at a rate of their own in every sample, without any random number."""
    lag = torch.arange(steps - 1, -1, -1, dtype=torch.float64).unsqueeze(1)
    rate = torch.linspace(0.02, 0.35, batch, dtype=torch.float64)
    return torch.exp(-lag * rate)


def series(norms, *more, quantities=("grad_h",), lengths=None):
    return sg.Series("encoder.rnn", "l0", "rnn_tanh", False, quantities, torch.stack([norms, *more]), lengths)


@compare
def test_flow_light():
    lag = range(59, -1, -1)
    curves = [
        Curve("RNN", [0.75**k if k < 45 else 0.0 for k in lag]),
        Curve("LSTM", [0.98**k for k in lag]),
        Curve("broken", [1.1**k if k < 30 else math.nan for k in lag]),
    ]
    return sheet(lambda ax: GradientFlowDisplay(curves).plot(ax, title="encoder.rnn.l0"), "light")


@compare
def test_flow_of_training_steps_dark_spanish():
    return sheet(lambda ax: display.flow(history(), "encoder.rnn.l0", ax, lang="es"), "dark")


@compare
def test_heatmap_light():
    return sheet(lambda ax: display.heatmap(history(), "encoder.rnn.l0", ax), "light")


@compare
def test_panels_light():
    return display.heatmap(history(), theme="light").figure_


@compare
def test_heatmap_dark_spanish():
    return sheet(lambda ax: display.heatmap(history(), "encoder.rnn.l0", ax, lang="es"), "dark")


@compare
def test_band_light():
    norms = spread()
    norms[:6, -4:] = 0
    norms[20, 3] = math.inf
    return sheet(lambda ax: display.SampleBandDisplay(series(norms)).plot(ax), "light")


@compare
def test_band_of_samples_dark():
    return sheet(lambda ax: display.SampleBandDisplay(series(spread())).plot(ax, samples=True), "dark")


@compare
def test_gates_dark():
    t = torch.linspace(0, 6, 50).view(-1, 1, 1)
    unit = torch.linspace(-2, 2, 21).view(1, 1, -1)
    gates = {
        "i": torch.sigmoid(unit + torch.sin(t)),
        "f": torch.sigmoid(3 * unit + t),
        "g": torch.tanh(unit * t / 2),
        "o": torch.sigmoid(unit * torch.cos(t)),
    }
    gates["f"][30] = math.nan
    return sheet(lambda ax: display.gates(gates, ax, title="encoder.lstm.l0"), "dark")


@compare
def test_clip_hits_light():
    norms = spread()
    hits = (norms > 0.3).double()
    return sheet(
        lambda ax: display.ClipHitsDisplay([series(norms, hits, quantities=("grad_h", "clip_hits"))]).plot(ax), "light"
    )


@compare
def test_before_after_light():
    before, after = spread()[:, 12:13], spread()[:, 2:3]
    before[:5] = 0
    return display.BeforeAfterDisplay(series(before), series(after)).plot(theme="light").figure_
