"""The comparison of cures as a table for documents, in Markdown and HTML, in both languages."""

from __future__ import annotations

import html as _html
import math
from typing import TYPE_CHECKING

from seqgrad.experiments._cures_plan import GROWN, TASKS
from seqgrad.experiments.texts import say

if TYPE_CHECKING:
    from seqgrad.experiments.cures import Cures, Entry

NOT_APPLICABLE = "–"


def outcome(task: str, entry: Entry, lang: str, *, spread: bool = True) -> str:
    """``9/10`` seeds that learnt, or the median and in brackets the worst and the best seed; † counts diverged ones."""
    if TASKS[task].measure == "success":
        text = f"{round(entry.outcome * entry.seeds)}/{entry.seeds}"
    else:
        text = fixed(entry.outcome, lang) if math.isfinite(entry.outcome) else "∞"
        if spread and math.isfinite(entry.low):
            text += f" ({fixed(entry.low, lang)}–{fixed(entry.high, lang)})"
    return text + (f" †{entry.diverged}" if entry.diverged else "")


def fixed(value: float, lang: str) -> str:
    """Two decimals, one from 10 on, none from 100 on; with the language's sign."""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return text.replace(".", ",") if lang == "es" else text


def horizon(entry: Entry) -> str:
    """Before and after training, in steps back; an arrow upwards where the gradient grows tenfold on the way."""
    pairs = ((entry.horizon_before, entry.ratio_before), (entry.horizon_after, entry.ratio_after))
    before, after = (f"{v:.0f}{'↑' * (ratio > GROWN)}" if math.isfinite(v) else "?" for v, ratio in pairs)
    return f"{before} → {after}"


def _head(result: Cures, lang: str) -> list[str]:
    head = [say("cures.cell", lang), say("cures.cure", lang)]
    for task in result.tasks:
        head += [say(f"cures.{task}.short", lang), say("cures.horizon.short", lang)]
    return [*head, say("cures.time", lang), say("cures.knob", lang)]


def _body(result: Cures, lang: str) -> list[list[str]]:
    body = []
    for cell, cure in result.lines:
        row = [say(f"cell.{cell}", lang), say(f"cures.{cure}", lang)]
        for task in result.tasks:
            entry = result.entry(task, cell, cure)
            row += [NOT_APPLICABLE] * 2 if entry is None else [outcome(task, entry, lang), horizon(entry)]
        row += [fixed(result.costs.get((cell, cure), math.nan), lang), say(f"cures.knob.{cure}", lang)]
        body.append(row)
    return body


def markdown(result: Cures, lang: str) -> str:
    """A Markdown table, cells aligned left but numbers."""
    head = _head(result, lang)
    lines = [head, ["---", "---", *["---:"] * (len(head) - 3), "---"], *_body(result, lang)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def html(result: Cures, lang: str) -> str:
    """An HTML table in a box that scrolls by itself; the cell's name stands once, beside the rows of its cures."""
    head, body = _head(result, lang), _body(result, lang)
    escaped = "".join(f'<th scope="col">{_html.escape(text)}</th>' for text in head)
    rows, last = [], ""
    for row in body:
        same = sum(other[0] == row[0] for other in body)
        first = "" if row[0] == last else f'<th scope="rowgroup" rowspan="{same}">{_html.escape(row[0])}</th>'
        rows.append(f"<tr>{first}{''.join(f'<td>{_html.escape(text)}</td>' for text in row[1:])}</tr>\n")
        last = row[0]
    look = "border-collapse:separate;border-spacing:.7em .1em"
    inside = f"<thead><tr>{escaped}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>"
    table = f'<table style="{look}">\n{inside}\n</table>'
    return f'<div style="overflow-x:auto;white-space:nowrap">\n{table}\n</div>\n'
