"""The part of a report that lays the last recorded gradient of several runs over each other."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from seqgrad import display
from seqgrad._page import figure, png
from seqgrad._run_words import say
from seqgrad.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = 4  # series that several runs have, each with a figure


def strayed(run: History, name: str) -> float:
    """How far the ratio ever was from 1, in powers of e; inf with a NaN or a zero."""
    ratios = [entry.series[name].figures.get("ratio", 1.0) for entry in run.entries if name in entry.series]
    return max((abs(math.log(r)) if 0 < r < math.inf else math.inf for r in ratios), default=0.0)


def section(runs: Mapping[str, History], lang: str) -> str:
    """A figure for each series that runs share; if some run shares none, one with the worst series of every run."""
    curves = {name: _curves(run) for name, run in runs.items() if len(run)}
    if len(curves) < 2:
        return ""
    names = dict.fromkeys(series for own in curves.values() for series in own)
    shared = [name for name in names if sum(name in own for own in curves.values()) > 1]
    shared.sort(key=lambda name: -max(strayed(run, name) for run in runs.values()))
    pictures = [
        _picture(name, {run: own[name] for run, own in curves.items() if name in own}, lang)
        for name in shared[:FIGURES]
    ]
    if any(not set(own) & set(shared) for own in curves.values()):
        worst = {name: max(own, key=lambda key: strayed(runs[name], key)) for name, own in curves.items() if own}
        pictures.append(_picture("", {f"{run} {key}": curves[run][key] for run, key in worst.items()}, lang))
    return f'<h2>{say("compared", lang)}</h2>\n<div class="pair">\n{"".join(pictures)}</div>\n'


def _curves(run: History) -> dict[str, tuple[list[float], bool]]:
    """Norm by timestep and direction of every series, at its newest entry."""
    found = {}
    for name in run.series:
        newest = next(entry.series[name] for entry in reversed(run.entries) if name in entry.series)
        if "grad_h" in newest.norms:
            found[name] = newest.norms["grad_h"].tolist(), newest.reverse
    return found


def _picture(title: str, curves: Mapping[str, tuple[list[float], bool]], lang: str) -> str:
    drawn = [display.Curve(label, values, reverse) for label, (values, reverse) in curves.items()]

    def draw(dark: bool) -> Figure:
        with display.theme("dark" if dark else "light"):
            sheet, ax = display.blank()
            display.GradientFlowDisplay(drawn, lang=lang).plot(ax, x="lag", title=title or None)
        return sheet

    names = ", ".join(curves)
    caption = say("compared.caption", lang, names=f"{title}: {names}" if title else names)
    return figure(*png(draw), say("compare.alt", lang, names), html.escape(caption))
