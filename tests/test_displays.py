"""Heatmap, band, gates, clip hits, before/after: what is drawn, in which words, and that nothing is lost."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from runs import LENGTH, STEPS, history, norms

import seqgrad as sg
from seqgrad import display
from seqgrad.display import (
    PALETTE,
    THEMES,
    BeforeAfterDisplay,
    ClipHitsDisplay,
    GatesDisplay,
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


def series(values, lengths=None, **changes):
    """A series from ``values [T, N]``."""
    data = torch.tensor(values, dtype=torch.float64).unsqueeze(0)
    options = {"layer": "rnn", "name": "l0", "cell": "rnn_tanh", "reverse": False, "quantities": ("grad_h",)}
    return sg.Series(**{**options, "data": data, "lengths": lengths, **changes})


def recorded(rnn, steps=12, batch=4, **options):
    torch.manual_seed(0)
    with sg.record(rnn) as rec:
        rnn(torch.randn(steps, batch, 3), **options)[0][-1].sum().backward()
    return rec


def labels(legend):
    return [text.get_text() for text in legend.get_texts()]


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


# -- what holds for all ------------------------------------------------------------------------------------------------
def every_display(**options):
    clipped = recorded(sg.RNN(3, 5, state_clip=sg.clip.Norm(0.01)))
    return [
        lambda **more: display.flow(clipped, **more, **options),
        lambda **more: display.flow(history(8), "encoder.rnn.l0", **more, **options),
        lambda **more: display.heatmap(history(8), "encoder.rnn.l0", **more, **options),
        lambda **more: display.band(clipped, **more, **options),
        lambda **more: display.clip_hits(clipped, **more, **options),
        lambda **more: display.before_after(clipped, clipped, **more, **options),
        lambda **more: display.gates({"f": torch.rand(5, 2, 3)}, **more, **options),
        lambda **more: display.heatmap(history(8), "encoder.rnn.l0_reverse", **more, **options),
        lambda **more: display.flow(history(8), "encoder.rnn.l0_reverse", **more, **options),
    ]


def words_of(shown):
    import matplotlib.text

    shown.figure_.canvas.draw()
    return {text.get_text() for text in shown.figure_.findobj(matplotlib.text.Text)}


@pytest.mark.parametrize("number", range(7))
def test_each_draws_on_given_axes_in_both_languages_and_leaves_no_state(number, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("plt.show() was called"))
    before = dict(matplotlib.rcParams)
    figure, ax = plt.subplots()
    shown = every_display()[number](ax=ax)
    assert shown.ax_ is ax and shown.figure_ is figure and shown.plot(ax=ax) is shown
    assert plt.get_fignums() == [figure.number]
    english, spanish = (words_of(every_display(lang=lang)[number]()) for lang in ("en", "es"))
    assert "timestep t" in english and "paso de tiempo t" in spanish
    only = {TEXT["en"][key] for key in TEXT["en"] if TEXT["en"][key] != TEXT["es"][key]}
    assert not only & spanish
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("number", range(7))
def test_themes_colour_paper_and_every_word(number):
    for name, look in THEMES.items():
        shown = every_display()[number](theme=name)
        assert colors.to_hex(shown.figure_.get_facecolor()) == look.paper
        shown.figure_.canvas.draw()
        panels = [ax for ax in shown.figure_.findobj(plt.Axes) if ax.axison]
        assert panels
        for ax in panels:
            texts = [ax.xaxis.label, ax.yaxis.label, ax.title, *ax.get_xticklabels(), *ax.get_yticklabels()]
            assert {colors.to_hex(text.get_color()) for text in texts} == {look.ink}
    with pytest.raises(ValueError, match="theme must be one of 'light', 'dark', or None"):
        every_display()[number](theme="sepia")
    with pytest.raises(ValueError, match=r"theme styles a new figure, but ax was given too"):
        every_display()[number](theme="dark", ax=plt.subplots()[1])


@pytest.mark.parametrize("number", range(9))
def test_no_text_is_cut_off_or_laid_over_other_text(number):
    """At the size of a phone's page: 400 pixels wide."""
    for lang in ("en", "es"):
        shown = every_display(lang=lang)[number](theme="light")
        figure = shown.figure_
        figure.set_dpi(400 / figure.get_figwidth())
        figure.canvas.draw()
        renderer, paper = figure.canvas.get_renderer(), figure.bbox
        boxes = []
        for ax in figure.findobj(plt.Axes):
            if not ax.axison:
                continue
            legend = ax.get_legend()
            outside = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
            if legend is not None:
                outside += legend.get_texts()
            boxes += [(text.get_text(), text.get_window_extent(renderer)) for text in outside
                      if text.get_text() and text.get_visible() and _within(ax, text)]  # fmt: skip
        for word, box in boxes:
            assert paper.x0 <= box.x0 and box.x1 <= paper.x1, word
            assert paper.y0 <= box.y0 and box.y1 <= paper.y1, word
            assert box.height >= 7, f"{word} is too small to read"
        for (word, box), (other, second) in itertools.combinations(boxes, 2):
            assert not _overlap(box, second), (word, other)


def _within(ax, text):
    """Tick labels beyond the limits exist, but are not drawn."""
    for axis, labels in ((ax.xaxis, ax.get_xticklabels()), (ax.yaxis, ax.get_yticklabels())):
        if text in labels:
            low, high = sorted(axis.get_view_interval())
            at = text.get_position()[0 if axis is ax.xaxis else 1]
            return low <= at <= high
    return True


def _overlap(one, two):
    return min(one.x1, two.x1) - max(one.x0, two.x0) > 1 and min(one.y1, two.y1) - max(one.y0, two.y0) > 1


def test_both_languages_have_every_text():
    assert TEXT["en"].keys() == TEXT["es"].keys()


def test_figures_for_a_log_are_unknown_to_pyplot():
    past = history(8)
    for kind in display.OF_HISTORY:
        figure = display.figure(past, kind, name="encoder.rnn.l0", lang="es", theme="dark")
        assert colors.to_hex(figure.get_facecolor()) == THEMES["dark"].paper
        assert figure.axes[0].get_title() == "encoder.rnn.l0"
    assert display.figure(recorded(sg.RNN(3, 5)), "band").axes
    assert plt.get_fignums() == []
    with pytest.raises(
        ValueError, match="kind must be one of 'flow', 'heatmap', 'band', 'gates', 'clip_hits', got 'x'"
    ):
        display.figure(past, "x")


def test_history_plots_itself():
    assert isinstance(history(3).plot(name="encoder.rnn.l0"), HeatmapDisplay)
    shown = history().plot("flow", "encoder.rnn.l0", count=3)
    assert labels(shown.ax_.get_legend())[:3] == ["training step 0", "training step 1000", "training step 1950"]
    with pytest.raises(ValueError, match="kind must be one of 'heatmap', 'flow', got 'band'"):
        history(3).plot("band")


@pytest.mark.parametrize("kind", ["heatmap", "flow"])
def test_a_history_of_several_series_has_a_panel_for_each(kind: str):
    past = history()
    shown = past.plot(kind, lang="es", theme="dark")
    assert [ax.get_title() for ax in shown.axes_] == list(past.series) == list(shown.displays_)
    assert shown.ax_ is shown.axes_[0] and colors.to_hex(shown.figure_.get_facecolor()) == THEMES["dark"].paper
    if kind == "heatmap":
        values = [past.matrix(name) for name in past.series]
        finite = torch.cat([v[(v > 0) & v.isfinite()] for v in values])
        for one in shown.displays_.values():
            assert one.mesh_.get_clim() == pytest.approx((float(finite.min()), float(finite.max())))
    plt.close(shown.figure_)


def test_bad_arguments_are_named():
    clipped = recorded(sg.GRU(3, 5, num_layers=2))
    cases = [
        (lambda: display.figure(history(3), "heatmap"), "history holds 2 series; say which to draw: 'encoder.rnn.l"),
        (lambda: display.heatmap(history(3), "l9"), "history holds no series 'l9'; there are: 'encoder.rnn.l0'"),
        (lambda: display.heatmap(sg.History()), "history is empty"),
        (lambda: HeatmapDisplay([]), "rows hold no grad_h to draw"),
        (lambda: HeatmapDisplay([Row(1, "x", [1.0], False)] * 2), "in order of their training steps"),
        (lambda: HeatmapDisplay([Row(1, "x", [-1.0], False)]), "rows hold a negative value"),
        (lambda: display.band(clipped), "record holds 2 series; say which to draw: 'l0', 'l1'"),
        (lambda: display.band(clipped, series="l0", quantity="grad_c"), "quantity must be one of grad_h, grad_carry"),
        (lambda: display.clip_hits(clipped), "recorded with state_clip, got none"),
        (lambda: display.clip_hits(clipped, series="l0"), "series 'l0' has no clip hits; give its layer state_clip"),
        (lambda: GatesDisplay({}), "gates must hold at least one gate"),
        (lambda: GatesDisplay({"f": torch.ones(3)}), r"gate 'f' must have shape \[T, N, H\].*got \[3\]"),
        (lambda: GatesDisplay({"i": torch.ones(3, 1, 1), "f": torch.ones(2, 1, 1)}), "got i T=3, f T=2"),
        (
            lambda: BeforeAfterDisplay(series([[1.0]]), series([[1.0], [1.0]])),
            r"must agree on timesteps and direction.*T=1.*T=2.*plot\(x='lag'\)",
        ),
        (lambda: display.band(clipped, series="l0", lang="fr"), "lang must be one of 'en', 'es', got 'fr'"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(KeyError, match="no gradients are recorded for 'l7'"):
        display.band(clipped, series="l7")


def test_palette_has_one_home():
    from seqgrad.experiments import _figures

    assert _figures.PALETTE is PALETTE


@pytest.mark.parametrize("lang", ["en", "es"])
def test_no_legend_covers_a_curve(lang):
    """It stands below the axes, and as wide as they are at most, in both languages."""
    lag = range(59, -1, -1)
    curves = [display.Curve(f"layer {k}", [(0.5 + 0.1 * k) ** n if n < 50 - k else 0.0 for n in lag]) for k in range(6)]
    held = [[0.5], [0.0], [math.nan]]
    drawn = {
        "flow": display.GradientFlowDisplay(curves, lang=lang).plot().ax_,
        "training": display.flow(history(), "encoder.rnn.l0", lang=lang).ax_,
        "map": display.heatmap(history(), "encoder.rnn.l0", lang=lang).ax_,
        "band": SampleBandDisplay(series(held), lang=lang).plot().ax_,
        "change": BeforeAfterDisplay(series(held), series(held), lang=lang).plot().change_ax_,
    }
    for name, ax in drawn.items():
        ax.figure.draw_without_rendering()
        box, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
        assert legend.y1 < box.y0, name
        assert box.width > 0.6 * ax.figure.bbox.width, name
        assert legend.x0 >= 0 and legend.x1 <= ax.figure.bbox.width, name
        plt.close(ax.figure)


def test_crosses_of_the_lower_panel_have_an_entry():
    shown = BeforeAfterDisplay(series([[0.0], [1.0]]), series([[1.0], [1.0]])).plot()
    assert labels(shown.change_ax_.get_legend())[2:] == ["exactly 0", "NaN or Inf"]
