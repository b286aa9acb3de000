"""Tables with sparklines for notebooks and pages: series, histories, findings. No matplotlib, no style of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from seqgrad._record_text import sparkline
from seqgrad._run_words import say
from seqgrad._speech import number

if TYPE_CHECKING:
    from seqgrad._finding import Finding
    from seqgrad._series import Series
    from seqgrad.history import History

SIGNS = {"info": "·", "warning": "!", "error": "✗"}


class Raw(str):
    """Text that is HTML already."""

    __slots__ = ()


def cell(value: str | float | None, label: str, lang: str = "en") -> str:
    """A table's cell: numbers with three digits, a dash for what is not there. ``label`` heads its column."""
    head = f' data-label="{escape(label)}"'
    if isinstance(value, Raw):
        return f"<td{head}>{value}</td>"
    if isinstance(value, str):
        return f"<td{head}>{escape(value)}</td>"
    return f'<td{head} style="text-align:right">{"–" if value is None else number(value, lang)}</td>'


def table(head: Sequence[str], rows: Iterable[Sequence[str | float | None]], lang: str = "en") -> str:
    """A table; text is escaped unless it is :class:`Raw`. Cells know their heading, so that a page may stack them."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f"<tr>{''.join(cell(value, name, lang) for value, name in zip(row, head, strict=True))}</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def series(one: Series) -> str:
    """One series of a record: a row for each of its quantities."""
    rows = []
    for quantity in (q for q in one.quantities if q != "clip_hits"):
        norm = one.norm(quantity).tolist()
        ends = (norm[0], norm[-1]) if norm else (None, None)
        rows.append([quantity, *ends, one.ratio(quantity), one.decay(quantity), one.horizon(quantity=quantity),
                     Raw(sparkline(norm, f"{one.key} {quantity}"))])  # fmt: skip
    direction = f", {say('reverse', 'en')}" if one.reverse else ""
    facts = f"{escape(one.cell)}{direction}, T={one.steps}, N={one.batch}"
    head = ["", *(say(name, "en") for name in ("first", "last", "ratio", "decay", "horizon", "curve"))]
    return f"<p><b>{escape(one.key)}</b>: {facts}</p>{table(head, rows)}"


def series_table(past: History, lang: str = "en") -> str:
    """The series of a history, each at its newest entry, with how their ratio went where there is more than one."""
    last = past.steps[-1] if len(past) else None
    columns = ["series", "steps", "first", "last", "ratio", "horizon", "curve", "trend"]
    head = [say(name, lang) for name in (columns if len(past) > 1 else columns[:-1])]
    rows: list[list[str | float | None]] = []
    for name in past.series:
        entries = [entry for entry in past.entries if name in entry.series]
        newest = entries[-1].series[name]
        norm = newest.norms["grad_h"].tolist() if "grad_h" in newest.norms else []
        trend = [one.series[name].figures.get("ratio", math.nan) for one in entries]
        label = f"{name} ({say('reverse', lang)})" if newest.reverse else name
        if entries[-1].step != last:
            label += f", {say('last_seen', lang, entries[-1].step)}"
        horizon = newest.figures.get("horizon", math.nan)
        reach = "–" if math.isnan(horizon) else say("of", lang, f"{horizon:.0f}", len(norm) - 1)
        ends = (norm[0], norm[-1]) if norm else (None, None)
        curves = [
            Raw(sparkline(values, f"{name}, {say(what, lang)}", lang))
            for values, what in ((norm, "curve"), (trend, "trend"))
        ]
        rows.append([label, str(len(norm)), *ends, newest.figures.get("ratio"), reach, *curves][: len(head)])
    return table(head, rows, lang)


def findings(found: Iterable[Finding]) -> str:
    """Findings as a table, in the order given."""
    rows = []
    for one in found:
        spot = [one.key or "model"] + [f"t={one.t}"] * (one.t is not None)
        spot += [f"{say('sample', 'en')} {one.sample}"] * (one.sample is not None)
        step = None if one.step is None else str(one.step)
        rows.append([sign(one, "en"), one.rule, step, ", ".join(spot), one.value, one.message])
    if not rows:
        return f"<p>{say('none', 'en')}</p>"
    return table([say(w, "en") for w in ("severity", "rule", "step", "place", "value", "says")], rows)


def sign(finding: Finding, lang: str) -> str:
    """Severity as a sign and a word."""
    return f"{SIGNS[finding.severity]} {say(finding.severity, lang)}"


def history(past: History) -> str:
    """A history: where it stands, its series, its newest findings."""
    steps = past.steps
    if not steps:
        return f"<p><b>History</b>: {say('no_steps', 'en')}</p>"
    known = [entry.loss for entry in past.entries if entry.loss is not None]
    loss = past.entries[-1].loss
    told = "" if loss is None else f", loss {number(loss, 'en')}"
    curve = f" {sparkline(known, 'loss')}" if len(known) > 1 else ""
    title = f"<p><b>History</b>: {len(past)} entries, steps {steps[0]} to {steps[-1]}{told}{curve}</p>"
    shown = past.findings[-20:]
    more = f"<p>{len(past.findings) - 20} earlier findings are left out.</p>" if len(past.findings) > 20 else ""
    return title + series_table(past) + more + findings(shown)
