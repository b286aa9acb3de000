"""Gradients, drawn. matplotlib is imported when something is drawn, never before.

Manners of scikit-learn's Display: each class is built from data or with ``from_...``, ``plot(ax=...)`` returns the
display, whose ``ax_`` and ``figure_`` are yours to go on with. Nothing here calls ``plt.show()`` or leaves rcParams
changed. Text, axes and background follow your rcParams, or ``theme="light"`` and ``theme="dark"``; labels speak English
or Spanish (``lang="es"``). No timestep is dropped: zeros, NaN and Inf are drawn as what they are.

============================  =====================================================================================
``flow(record)``              norm at every timestep of one backward, or of several compared
``heatmap(history)``          timestep against training step
``band(record)``              spread over the samples of the batch
``gates(gates)``              activations over time, from ``seqgrad.analysis.gates(rnn, x)``
``clip_hits(record)``         share of samples clipped at every timestep
``before_after(a, b)``        what a change did to the gradient
``AccuracyVsLengthDisplay``   trained networks by the length of their sequences, a dot per seed
============================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqgrad.display import _theme
from seqgrad.display._accuracy import AccuracyVsLengthDisplay
from seqgrad.display._band import SampleBandDisplay
from seqgrad.display._change import BeforeAfterDisplay
from seqgrad.display._clip_hits import ClipHitsDisplay
from seqgrad.display._flow import Curve, GradientFlowDisplay
from seqgrad.display._gates import GatesDisplay
from seqgrad.display._heatmap import HeatmapDisplay
from seqgrad.display._panels import PanelsDisplay
from seqgrad.display._source import Past, Row
from seqgrad.display._theme import PALETTE, THEMES, blank, theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqgrad.record import GradientRecord

__all__ = [
    "PALETTE",
    "THEMES",
    "AccuracyVsLengthDisplay",
    "BeforeAfterDisplay",
    "ClipHitsDisplay",
    "Curve",
    "GatesDisplay",
    "GradientFlowDisplay",
    "HeatmapDisplay",
    "PanelsDisplay",
    "Row",
    "SampleBandDisplay",
    "band",
    "before_after",
    "blank",
    "clip_hits",
    "figure",
    "flow",
    "gates",
    "heatmap",
    "theme",
]

gates = GatesDisplay.from_gates
band = SampleBandDisplay.from_record
clip_hits = ClipHitsDisplay.from_record
before_after = BeforeAfterDisplay.from_records


def heatmap(
    history: Past, name: str | None = None, ax: Axes | None = None, **options: Any
) -> HeatmapDisplay | PanelsDisplay:
    """Training step against timestep of one series of a history; without ``name`` and ``ax`` of each, side by side.

    See :meth:`HeatmapDisplay.from_history` for the options, of which several series take ``quantity``, ``lang`` and
    ``theme``.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(3, 8)
        >>> mon = sg.Monitor(rnn, on_finding=None)
        >>> with mon:
        ...     rnn(torch.randn(20, 4, 3))[0][-1].sum().backward()
        >>> _ = mon.step()
        >>> sg.display.heatmap(mon.history).ax_.get_xlabel()
        'training step'
    """
    if name is None and ax is None and len(history.series) > 1:
        return _panels(history, "heatmap", options)
    return HeatmapDisplay.from_history(history, name, ax, **options)


def _panels(history: Past, kind: str, options: dict[str, Any]) -> PanelsDisplay:
    theme = options.pop("theme", None)
    return PanelsDisplay(history, kind, **options).plot(theme=theme)


def flow(
    source: GradientRecord | Mapping[str, GradientRecord] | Past, *args: Any, **options: Any
) -> GradientFlowDisplay | PanelsDisplay:
    """Gradient flow of a record, of several (a mapping from label to record), or of a history's training steps.

    A history of several series gives one panel for each, unless ``name`` or ``ax`` is given.

    See :meth:`GradientFlowDisplay.from_record` and :meth:`GradientFlowDisplay.from_history` for the arguments.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(4, 8)
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(20, 16, 4))[0][-1].sum().backward()
        >>> sg.display.flow(rec, relative=True).ax_.get_yscale()
        'log'
    """
    if hasattr(source, "matrix"):
        past: Any = source
        if not args and options.get("name") is None and options.get("ax") is None and len(past.series) > 1:
            return _panels(past, "flow", {k: v for k, v in options.items() if k not in ("name", "ax")})
        return GradientFlowDisplay.from_history(past, *args, **options)
    records: Any = source
    return GradientFlowDisplay.from_record(records, *args, **options)


OF_HISTORY: Mapping[str, Any] = {"heatmap": heatmap, "flow": flow}
KINDS: Mapping[str, Any] = {
    "flow": flow, "heatmap": heatmap, "band": band, "gates": gates, "clip_hits": clip_hits,
}  # fmt: skip


def figure(source: Any, kind: str, *, theme: str | None = "light", **options: Any) -> Figure:
    """A display on a figure that pyplot does not know, to be saved or logged: nothing pops up, nothing stays behind.

    Args:
        source: a record, a history, or gates, as ``kind`` needs.
        kind: ``"flow"`` or ``"heatmap"`` of a history; ``"flow"``, ``"band"`` or ``"clip_hits"`` of a
            record; ``"gates"``.
        theme: ``"light"`` or ``"dark"``; None for your rcParams.
        options: passed on: ``name=`` or ``series=``, ``lang=``, ``title=``.

    Raises:
        ValueError: no such ``kind`` or ``theme``.
        ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(4, 8)
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(20, 16, 4))[0][-1].sum().backward()
        >>> sg.display.figure(rec, "flow", theme="dark").axes[0].get_title()
        'l0'
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    with _theme.theme(theme):
        sheet, ax = blank()
        KINDS[kind](source, ax=ax, **options)
    return sheet
