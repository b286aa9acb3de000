"""What holds for all displays: themes, languages, room for every text, errors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from drawn import labels, recorded, series
from runs import history

import seqgrad as sg
from seqgrad import display
from seqgrad.display import (
    PALETTE,
    THEMES,
    BeforeAfterDisplay,
    GatesDisplay,
    HeatmapDisplay,
    Row,
    SampleBandDisplay,
)
from seqgrad.display._text import TEXT

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")
colors = pytest.importorskip("matplotlib.colors")

INF, NAN = math.inf, math.nan


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


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
    for axis, ticks in ((ax.xaxis, ax.get_xticklabels()), (ax.yaxis, ax.get_yticklabels())):
        if text in ticks:
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
