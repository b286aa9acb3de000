"""GradientFlowDisplay: what is drawn, and that no timestep is dropped."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from tapped import Tapped

from seqgrad.display import THEMES, Curve, GradientFlowDisplay
from seqgrad.record import record

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

INF, NAN = math.inf, math.nan


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def rec():
    torch.manual_seed(0)
    rnn = Tapped(3, 5, bidirectional=True)
    with record(rnn) as rec:
        rnn(torch.randn(8, 2, 3)).sum().backward()
    return rec


def labels(display):
    legend = display.ax_.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def top_axis(display):
    return display.ax_.child_axes[0] if display.ax_.child_axes else None


def test_record_plots_its_norms_by_timestep(rec):
    display = rec.plot(series="l0")
    (line,) = display.lines_
    assert list(line.get_xdata()) == list(range(8))
    assert list(line.get_ydata()) == pytest.approx(rec["l0"].norm().tolist())
    assert display.ax_.get_yscale() == "log" and display.figure_ is display.ax_.figure
    assert display.ax_.get_xlabel() == "timestep t" and display.ax_.get_title() == "l0"


def lag_above(display, t):
    """What the axis on top says above timestep t."""
    display.figure_.canvas.draw()
    position = display.ax_.transData.transform((t, 1.0))
    return round(top_axis(display).transData.inverted().transform(position)[0], 6)


def test_lag_runs_against_the_timestep_on_top(rec):
    display = rec.plot(series="l0")
    assert (lag_above(display, 7), lag_above(display, 0)) == (0, 7)
    reverse = rec.plot(series="l0_reverse")
    assert (lag_above(reverse, 7), lag_above(reverse, 0)) == (7, 0)
    assert labels(reverse) == ["l0_reverse (reverse, backprop runs to the right)"]


def test_the_lag_axis_is_left_out_where_curves_disagree_on_it(rec):
    assert top_axis(rec.plot()) is None
    assert top_axis(GradientFlowDisplay([Curve("a", [1.0] * 3), Curve("b", [1.0] * 4)]).plot()) is None


def test_it_draws_on_the_axes_it_is_given_and_never_shows(rec, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("plt.show() was called"))
    figure, ax = plt.subplots()
    display = GradientFlowDisplay.from_record(rec, ax=ax)
    assert display.ax_ is ax and display.figure_ is figure and plt.get_fignums() == [figure.number]
    assert display.plot(ax=ax) is display


def test_a_second_display_on_the_same_axes_widens_them():
    _, ax = plt.subplots()
    first = GradientFlowDisplay([Curve("a", [1e-3, 1e3])]).plot(ax=ax)
    low, high = ax.get_ylim()
    GradientFlowDisplay([Curve("b", [1e-9, 1.0])]).plot(ax=ax)
    assert ax.get_ylim()[0] < 1e-9 < low < 1e-3 and ax.get_ylim()[1] == high
    assert first.lines_[0] in ax.get_lines()


def test_zeros_nan_and_inf_stand_at_marked_positions():
    display = GradientFlowDisplay([Curve("x", [0.0, 0.0, 1e-3, NAN, 1.0, INF])]).plot()
    line, zeros, bad = display.ax_.get_lines()
    assert [v if math.isfinite(v) else None for v in line.get_ydata()] == [None, None, 1e-3, None, 1.0, None]
    assert list(zeros.get_xdata()) == [0, 1] and list(bad.get_xdata()) == [3, 5]
    for marks in (zeros, bad):
        assert marks.get_transform() == display.ax_.get_xaxis_transform()
        assert all(0 < y < 1 for y in marks.get_ydata())
    assert line.get_markevery() == [2, 4]  # without neighbours, a line would not show
    assert labels(display) == ["exactly 0", "NaN or Inf"]
    low, high = display.ax_.get_ylim()
    assert low < 1e-3 and high > 1.0


@pytest.mark.parametrize("values", [[0.0] * 4, [NAN] * 4, [1.0], [1e-150, 1e150], [5e-324, 1.0]])
def test_hostile_curves_draw_without_a_warning(values, tmp_path):
    display = GradientFlowDisplay([Curve("x", values)]).plot(relative=len(values) == 1)
    display.figure_.savefig(tmp_path / "x.png")
    low, high = display.ax_.get_ylim()
    assert 0 < low < high < INF


def test_records_are_compared_under_their_labels(rec):
    display = GradientFlowDisplay.from_record({"A": rec, "B": rec}, series="l0")
    assert labels(display) == ["A", "B"]
    assert [line.get_color() for line in display.lines_] == list(THEMES["light"].colors[:2])
    assert len({line.get_linestyle() for line in display.lines_}) == 2
    both = GradientFlowDisplay.from_record({"A": rec})
    assert labels(both) == ["A l0", "A l0_reverse (reverse, backprop runs to the right)"]


def test_against_the_lag_both_directions_run_the_same_way():
    curves = [Curve("f", [0.25, 0.5, 1.0]), Curve("r", [1.0, 0.5, 0.25, 0.125], reverse=True)]
    display = GradientFlowDisplay(curves).plot(x="lag")
    assert [list(line.get_ydata()) for line in display.lines_] == [[1.0, 0.5, 0.25], [1.0, 0.5, 0.25, 0.125]]
    assert top_axis(display) is None and labels(display) == ["f", "r"]


def test_relative_divides_by_the_norm_where_backprop_starts():
    display = GradientFlowDisplay([Curve("f", [1.0, 2.0, 4.0, 0.0])]).plot(relative=True)
    assert list(display.lines_[0].get_ydata())[:3] == [0.25, 0.5, 1.0]
    assert "relative to the start of backprop" in display.ax_.get_ylabel()


def test_labels_speak_spanish(rec):
    display = rec.plot(lang="es", series="l0")
    assert display.ax_.get_xlabel() == "paso de tiempo t"
    assert top_axis(display).get_xlabel().startswith("retardo k")
    zero = GradientFlowDisplay([Curve("x", [0.0, NAN, 1.0])], lang="es").plot()
    assert labels(zero) == ["exactamente 0", "NaN o Inf"]


def test_a_dark_style_gives_a_dark_figure():
    with plt.style.context("dark_background"):
        display = GradientFlowDisplay([Curve("x", [0.5, 1.0])]).plot()
    assert display.figure_.get_facecolor()[:3] == (0, 0, 0)
    assert matplotlib.colors.to_rgb(display.ax_.xaxis.label.get_color()) == (1, 1, 1)


def test_line_options_reach_the_lines():
    display = GradientFlowDisplay([Curve("x", [0.5, 1.0])]).plot(color="red", linewidth=3, title="T")
    assert display.lines_[0].get_color() == "red" and display.lines_[0].get_linewidth() == 3
    assert display.ax_.get_title() == "T"


def test_bad_arguments_are_named(rec):
    with pytest.raises(ValueError, match="curves must hold at least one Curve"):
        GradientFlowDisplay([])
    with pytest.raises(ValueError, match="curve 'x' has a negative value"):
        GradientFlowDisplay([Curve("x", [-1.0])])
    with pytest.raises(ValueError, match="lang must be one of 'en', 'es', got 'fr'"):
        rec.plot(lang="fr")
    with pytest.raises(ValueError, match="x must be 't' or 'lag', got 'y'"):
        rec.plot(x="y")
    with pytest.raises(ValueError, match="record holds no grad_c to draw"):
        rec.plot(quantity="grad_c")
    with pytest.raises(KeyError, match="no gradients are recorded for 'l7'"):
        rec.plot(series=["l7"])


def test_missing_matplotlib_is_an_import_error_with_the_pip_line(rec, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'seqgrad\[plot\]'"):
        rec.plot()
