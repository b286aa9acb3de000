"""Heatmap, band, gates, clip hits, before/after: what is drawn, in which words, and that nothing is lost."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from drawn import labels, recorded, series
from runs import LENGTH, STEPS, history, norms

import seqgrad as sg
from seqgrad import display
from seqgrad.display import (
    BeforeAfterDisplay,
    ClipHitsDisplay,
    HeatmapDisplay,
    Row,
    SampleBandDisplay,
    _heatmap,
)
from seqgrad.display._text import TEXT
from seqgrad.display._theme import BAD, ZERO, sequence

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")
colors = pytest.importorskip("matplotlib.colors")

INF, NAN = math.inf, math.nan


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def colour_at(shown, step, t):
    """The colour of the picture at a training step and a timestep, as it is on paper."""
    import numpy

    shown.figure_.canvas.draw()
    x, y = shown.ax_.transData.transform((step, t))
    picture = numpy.asarray(shown.figure_.canvas.buffer_rgba())
    return colors.to_hex(picture[picture.shape[0] - 1 - round(y), round(x), :3] / 255)


# -- heatmap -----------------------------------------------------------------------------------------------------------
def test_heatmap_shows_every_norm_of_the_history_in_its_place():
    shown = display.heatmap(history(), "encoder.rnn.l0")
    table = shown.mesh_.get_array()
    assert table.shape == (LENGTH, STEPS)
    for k, t in itertools.product((0, 6, 20, 30, 39), (0, 10, 34, 59)):
        value = norms(k)[t] if t < len(norms(k)) else NAN
        if 0 < value < INF:
            assert table[t, k] == value
        else:
            assert table.mask[t, k]
    assert shown.ax_.get_xlabel() == "training step" and shown.ax_.get_ylabel() == "timestep t"
    assert isinstance(shown.mesh_.norm, colors.LogNorm)
    assert shown.colorbar_.ax.get_ylabel() == TEXT["en"]["grad_h"]


def test_heatmap_gives_zeros_and_nan_colours_of_their_own_and_a_legend():
    shown = display.heatmap(history(), "encoder.rnn.l0")
    assert colour_at(shown, 50 * 24, 3) == ZERO
    assert colour_at(shown, 50 * 37, 12) == BAD.lower()
    assert colour_at(shown, 0, 30) not in (ZERO, BAD.lower(), "#ffffff")
    assert labels(shown.ax_.get_legend())[:3] == ["exactly 0", "NaN or Inf", "no such timestep"]


def test_a_row_of_nan_is_drawn_as_nan_and_not_as_absent():
    past = sg.History(None)
    for step, value in ((0, 1.0), (1, NAN)):
        norm = torch.full((5,), value, dtype=torch.float64)
        past.append(_entry(step, norm))
    shown = display.heatmap(past)
    assert labels(shown.ax_.get_legend()) == ["NaN or Inf"]
    assert colour_at(shown, 1, 2) == BAD.lower()


def _entry(step, norm):
    from seqgrad.history import Entry, SeriesEntry

    return Entry(step, {"l0": SeriesEntry({"grad_h": norm}, {})})


@pytest.mark.parametrize(
    "values", [[[0.0] * 3] * 2, [[NAN] * 3], [[1.0]], [[1e-300, 1e300]], [[0.0, NAN, INF, 1.0]], [[2.0] * 4] * 3]
)
def test_hostile_maps_draw_without_a_warning(values, tmp_path):
    shown = HeatmapDisplay([Row(k, "x", row, False) for k, row in enumerate(values)]).plot()
    shown.figure_.savefig(tmp_path / "x.png")
    assert (shown.mesh_ is None) == (not any(0 < v < INF for row in values for v in row))


def test_columns_stand_at_their_training_step_however_unevenly_they_were_taken():
    rows = [Row(step, "x", [1.0, 2.0], False) for step in (0, 1, 2, 4, 8, 100)]
    columns, edges = _heatmap._columns(rows)
    assert len(columns) == 6
    assert edges[1:-1] == [0.5, 1.5, 3.0, 6.0, 54.0]
    assert edges[0] < 0 and edges[-1] > 100


def test_a_single_nan_among_thousands_of_cells_is_not_lost():
    rows = [Row(step, "x", [1.0] * 1000, False) for step in range(2000)]
    rows[1234].values[567] = NAN
    shown = HeatmapDisplay(rows).plot()
    assert max(shown.mesh_.get_array().shape) <= _heatmap.MOST
    assert shown.mesh_.get_array().mask.sum() == 1
    assert labels(shown.ax_.get_legend()) == ["NaN or Inf"]


def test_merged_cells_are_geometric_means():
    assert _heatmap._merge([1e-4, 1.0]) == pytest.approx(1e-2)
    assert _heatmap._merge([0.0, 4.0]) == 4.0
    assert _heatmap._merge([0.0, 0.0]) == 0.0
    assert math.isnan(_heatmap._merge([1.0, INF]))
    assert _heatmap._merge([]) is None


def test_heatmap_marks_where_each_rule_first_found_something():
    shown = display.heatmap(history(), "encoder.rnn.l0")
    assert labels(shown.ax_.get_legend())[3:] == ["Vanishing", "Exploding", "NonFinite"]
    spots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in shown.ax_.get_lines()]
    assert spots == [(300, 20), (1400, 2), (1750, 29)]
    assert display.heatmap(history(), "encoder.rnn.l0_reverse").ax_.get_legend() is None


def test_reverse_maps_say_so():
    assert "upwards" in display.heatmap(history(), "encoder.rnn.l0_reverse").ax_.get_ylabel()
    flow = display.flow(history(), "encoder.rnn.l0_reverse")
    assert "reverse" in flow.ax_.get_xlabel() and "reverse" not in "".join(labels(flow.ax_.get_legend()))


def vision(rgb, matrix):
    return tuple(sum(m * v for m, v in zip(row, rgb, strict=True)) for row in matrix)


# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
DICHROMATS = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(rgb):
    """CIE L*a*b* of linear sRGB under D65."""
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [max(v, 0.0) / w for v, w in zip(vision(rgb, to_xyz), (0.9505, 1.0, 1.089), strict=True)]
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def linear(colour):
    return tuple(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colors.to_rgb(colour))


@pytest.mark.parametrize("kind", [None, *DICHROMATS])
def test_zeros_and_nan_differ_from_every_colour_of_the_scale_for_colour_blind_readers(kind):
    def seen(colour):
        rgb = linear(colour)
        return lab(rgb if kind is None else vision(rgb, DICHROMATS[kind]))

    scale = [seen(colour) for colour in sequence().colors]
    for special in (ZERO, BAD):
        assert min(math.dist(seen(special), one) for one in scale) > 15  # 2.3 is just noticeable
    assert math.dist(seen(ZERO), seen(BAD)) > 15


# -- band --------------------------------------------------------------------------------------------------------------
def reach(band):
    heights = band.get_paths()[0].vertices[:, 1]
    return heights.min(), heights.max()


def test_band_quantiles_are_those_of_the_samples():
    values = [[float(n + 1) for n in range(101)]] * 3
    shown = SampleBandDisplay(series(values)).plot()
    assert shown.quantiles_[:, 0].tolist() == pytest.approx([1, 6, 26, 51, 76, 96, 101])
    assert list(shown.line_.get_ydata()) == [51.0] * 3
    assert len(shown.bands_) == 3
    assert reach(shown.bands_[2]) == (26, 76)


def test_band_leaves_padding_and_bad_samples_out_of_the_quantiles():
    values = [[1.0, 3.0], [1.0, NAN], [1.0, 0.0]]
    shown = SampleBandDisplay(series(values, torch.tensor([3, 2]))).plot()
    assert shown.quantiles_[3].tolist() == [2.0, 1.0, 1.0]
    assert labels(shown.ax_.get_legend())[4:] == ["a sample is NaN or Inf"]
    assert shown.ax_.child_axes == []  # the lag is not the same for all samples


def test_band_marks_zeros_and_reaches_down_to_the_floor():
    shown = SampleBandDisplay(series([[0.0, 1.0, 2.0], [1.0, 1.0, 2.0]])).plot()
    assert labels(shown.ax_.get_legend())[4:] == ["a sample is exactly 0"]
    bottom = shown.ax_.get_ylim()[0]
    assert reach(shown.bands_[0])[0] == pytest.approx(bottom)


def test_band_draws_samples_one_by_one_when_asked():
    shown = SampleBandDisplay(series([[1.0, 2.0, 4.0]] * 5)).plot(samples=True)
    assert shown.bands_ == [] and len(shown.ax_.get_lines()) == 4


@pytest.mark.parametrize("values", [[[0.0, 0.0]] * 3, [[NAN, NAN]] * 3, [[1.0]], [[1e-300, 1e300]] * 2])
def test_hostile_bands_draw_without_a_warning(values, tmp_path):
    shown = SampleBandDisplay(series(values)).plot()
    shown.figure_.savefig(tmp_path / "x.png")
    assert shown.quantiles_.shape == (7, len(values))


# -- gates -------------------------------------------------------------------------------------------------------------
def test_gates_have_a_panel_each_on_their_own_range():
    gates = {"r": torch.full((6, 2, 3), 0.25), "n": torch.linspace(-0.5, 0.5, 36).view(6, 2, 3)}
    shown = display.gates(gates)
    assert list(shown.axes_) == ["r", "n"]
    assert [round(v) for v in shown.axes_["r"].get_ylim()] == [0, 1]
    assert [round(v) for v in shown.axes_["n"].get_ylim()] == [-1, 1]
    assert list(shown.axes_["r"].get_lines()[0].get_ydata()) == [0.25] * 6


def test_gates_count_what_is_saturated():
    values = torch.tensor([0.005, 0.5, 0.995, 0.6]).view(1, 1, 4).expand(3, 2, 4)
    assert display.gates({"f": values}).saturated_ == {"f": 0.5}
    tanh = torch.tensor([-0.995, 0.0, 0.004, -0.5]).view(1, 1, 4)
    assert display.gates({"g": tanh}).saturated_ == {"g": 0.25}


def test_gates_show_nan():
    values = torch.full((4, 2, 3), 0.5)
    values[2, 0, 0] = NAN
    shown = display.gates({"f": values})
    crosses = shown.axes_["f"].get_lines()[-1]
    assert list(crosses.get_xdata()) == [2] and crosses.get_marker() == "x"
    assert "NaN or Inf" in labels(shown.axes_["f"].get_legend())


def test_gates_of_a_real_layer_are_drawn():
    torch.manual_seed(0)
    shown = display.gates(sg.analysis.gates(sg.GRU(3, 5), torch.randn(7, 2, 3)))
    assert set(shown.axes_) == {"r", "z", "n"}


# -- clip hits ---------------------------------------------------------------------------------------------------------
def test_clip_hits_are_the_share_of_samples_that_reach_the_step():
    hits = torch.tensor([[1.0, 5.0], [0.0, 1.0], [1.0, 9.0]], dtype=torch.float64)
    data = torch.stack([torch.ones_like(hits), hits])
    one = series([[1.0]], torch.tensor([3, 2]), data=data, quantities=("grad_h", "clip_hits"))
    shown = ClipHitsDisplay([one]).plot()
    assert shown.rates_["rnn.l0"] == [1.0, 0.5, 1.0]
    assert labels(shown.ax_.get_legend()) == ["rnn.l0: mean 80%"]


def test_clip_hits_draw_all_clipped_layers_of_a_record():
    rec = recorded(sg.GRU(3, 5, num_layers=2, state_clip=sg.clip.Value(1e-6)))
    shown = display.clip_hits(rec)
    assert list(shown.rates_) == ["l0", "l1"] and len(shown.lines_) == 2
    assert shown.rates_["l1"][-1] == 1.0


# -- before and after --------------------------------------------------------------------------------------------------
def test_before_after_draws_both_curves_and_their_factor():
    shown = BeforeAfterDisplay(series([[1.0], [2.0], [4.0]]), series([[8.0], [4.0], [4.0]])).plot()
    assert shown.factor_ == [8.0, 2.0, 1.0]
    assert list(shown.line_.get_ydata()) == [8.0, 2.0, 1.0]
    assert labels(shown.change_ax_.get_legend()) == ["before (horizon 2)", "after (horizon 2)"]
    assert shown.change_ax_.get_ylabel() == "after / before"


def test_factors_of_zero_and_nan_are_marked():
    before, after = [[0.0], [1.0], [NAN], [0.0], [1.0]], [[0.0], [0.0], [1.0], [1.0], [2.0]]
    shown = BeforeAfterDisplay(series(before), series(after)).plot()
    assert shown.factor_[:2] == [1.0, 0.0] and math.isnan(shown.factor_[2]) and shown.factor_[3:] == [INF, 2.0]
    marks = {line.get_marker(): list(line.get_xdata()) for line in shown.change_ax_.get_lines()[2:]}
    assert marks == {"o": [1], "x": [2, 3]}


def test_before_after_of_records():
    rnn = sg.RNN(3, 8)
    before = recorded(rnn)
    sg.init.orthogonal_(rnn)
    shown = display.before_after(before, recorded(rnn), labels=("xavier", "orthogonal"))
    assert shown.change_ax_.get_ylabel() == "orthogonal / xavier" and len(shown.factor_) == 12
