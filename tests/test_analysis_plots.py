"""Results of the analysis, drawn: every value is on the axes, zeros and NaN as what they are, in two languages."""

from __future__ import annotations

import math
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import seqgrad as sg
from seqgrad import analysis
from seqgrad.analysis import Lyapunov


@pytest.fixture(autouse=True)
def _clean():
    torch.manual_seed(0)
    yield
    plt.close("all")


@pytest.fixture
def flow() -> analysis.InformationFlow:
    """Remembers its last four inputs exactly and nothing else."""
    rnn = sg.RNN(1, 4, nonlinearity="relu", bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.diag(torch.ones(3), -1))
        rnn.weight_ih_l0.zero_()[0] = 1
    return analysis.information_flow(rnn, torch.rand(9, 60, 1))


def spectrum(values, errors) -> Lyapunov:
    values, errors = torch.tensor(values, dtype=torch.float64), torch.tensor(errors, dtype=torch.float64)
    return Lyapunov("l0", values, errors, values.unsqueeze(0), torch.tensor([10]), 0)


def test_information_flow_has_a_panel_for_each_quantity(flow):
    display = flow.plot(title="shift register")
    assert list(display.axes_) == ["sensitivity", "probe", "spread"] and display.figure_ is display.ax_.figure
    top, middle = display.axes_["sensitivity"], display.axes_["probe"]
    assert top.get_yscale() == "log" and middle.get_yscale() == "linear" and top.get_title() == "shift register"
    shown = top.lines[0].get_ydata()
    assert np.isnan(shown[:5]).all() and np.allclose(shown[5:], 1)
    assert list(top.lines[1].get_xdata()) == [0, 1, 2, 3, 4]  # exact zeros, on the floor
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["exactly 0"]
    assert np.allclose(middle.lines[1].get_ydata()[5:], 1, atol=1e-6)
    labels = display.axes_["spread"].get_xlabel(), top.get_ylabel().split("\n")[0]
    assert labels == ("timestep t", "sensitivity")


def test_what_is_not_a_number_is_marked_and_one_step_is_shown():
    few = analysis.information_flow(sg.GRU(1, 3), torch.randn(1, 2, 1)).plot()
    probe = few.axes_["probe"]
    assert list(probe.lines[-1].get_xdata()) == [0]  # too few samples: a cross at the ceiling
    assert [text.get_text() for text in probe.get_legend().get_texts()] == ["NaN or Inf"]
    assert few.axes_["sensitivity"].lines[0].get_marker() == "."


def test_the_spectrum_shows_values_errors_and_what_dies_at_once():
    display = spectrum([0.1, -0.5, -math.inf, math.nan], [0.01, 0.02, math.nan, math.nan]).plot(title="x")
    ax = display.ax_
    points = next(line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 2)
    assert list(points.get_xdata()) == [1, 2] and list(points.get_ydata()) == [0.1, -0.5]
    segments = ax.collections[0].get_segments()
    assert np.allclose(segments[1][:, 1], [-0.54, -0.46])  # two standard errors each way
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["neither grows nor fades", "dies at once", "NaN or Inf"] and ax.get_title() == "x"
    assert spectrum([-math.inf], [math.nan]).plot().ax_.get_ylim() == (-1, 1)


def test_spanish_and_dark_and_given_axes(flow):
    display = flow.plot(lang="es", theme="dark")
    assert display.axes_["spread"].get_xlabel() == "paso de tiempo t"
    assert display.figure_.get_facecolor()[0] < 0.2
    ax = plt.subplots()[1]
    assert spectrum([0.0], [0.1]).plot(ax, lang="es").ax_ is ax and ax.get_xlabel() == "exponente"
    for wrong in (lambda: flow.plot(lang="fr"), lambda: spectrum([0.0], [0.1]).plot(lang="fr")):
        with pytest.raises(ValueError, match="lang must be one of 'en', 'es', got 'fr'"):
            wrong()


def test_gates_are_drawn_by_their_display():
    display = analysis.gates(sg.LSTM(3, 4), torch.randn(6, 2, 3)).plot(lang="es")
    assert list(display.axes_) == ["i", "f", "g", "o"]


def test_a_missing_matplotlib_or_pandas_is_named(flow, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for draw in (flow.plot, spectrum([0.0], [0.1]).plot):
        with pytest.raises(ImportError, match=r"pip install 'seqgrad\[plot\]'"):
            draw()
    monkeypatch.setitem(sys.modules, "pandas", None)
    for frame in (flow.to_pandas, spectrum([0.0], [0.1]).to_pandas):
        with pytest.raises(ImportError, match=r"pip install 'seqgrad\[pandas\]'"):
            frame()
