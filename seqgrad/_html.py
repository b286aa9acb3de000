"""Tables with sparklines for notebooks and pages: series, histories, findings. No matplotlib, no style of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from seqgrad._record_text import sparkline

if TYPE_CHECKING:
    from seqgrad._finding import Finding
    from seqgrad._series import Series
    from seqgrad.history import History

SIGNS = {"info": "·", "warning": "!", "error": "✗"}
WORDS = {
    "en": {
        "series": "series", "steps": "T", "first": "at t=0", "last": "at t=T-1", "ratio": "ratio", "decay": "decay",
        "horizon": "horizon", "curve": "gradient by timestep, log, t to the right", "trend": "ratio over training, log",
        "reverse": "reverse", "step": "step", "severity": "severity", "rule": "rule",
        "place": "where", "value": "value",
        "says": "what, and what to do", "none": "No findings.", "no_steps": "No step recorded yet.",
        "info": "info", "warning": "warning", "error": "error", "findings": "findings", "sample": "sample",
        "of": "{0} of {1}", "last_seen": "last at step {0}",
    },
    "es": {
        "series": "serie", "steps": "T", "first": "en t=0", "last": "en t=T-1", "ratio": "cociente", "decay": "factor",
        "horizon": "horizonte", "curve": "gradiente por paso de tiempo, log, t hacia la derecha",
        "trend": "cociente durante el entrenamiento, log", "reverse": "inversa", "step": "paso", "severity": "gravedad",
        "rule": "regla", "place": "dónde", "value": "valor", "says": "qué pasa y qué hacer", "none": "Sin hallazgos.",
        "no_steps": "Aún no hay ningún paso registrado.", "info": "nota", "warning": "aviso", "error": "error",
        "findings": "hallazgos", "sample": "muestra", "of": "{0} de {1}", "last_seen": "por última vez en el paso {0}",
    },
}  # fmt: skip


class Raw(str):
    """Text that is HTML already."""

    __slots__ = ()


def cell(value: str | float | None) -> str:
    """A table's cell: numbers with three digits, a dash for what is not there."""
    if isinstance(value, Raw):
        return f"<td>{value}</td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    text = "–" if value is None else "NaN" if math.isnan(value) else f"{value:.3g}"
    return f'<td style="text-align:right">{text}</td>'


def table(head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    """A table; text is escaped unless it is :class:`Raw`."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def series(one: Series) -> str:
    """One series of a record: a row for each of its quantities."""
    words = WORDS["en"]
    rows = []
    for quantity in (q for q in one.quantities if q != "clip_hits"):
        norm = one.norm(quantity).tolist()
        ends = (norm[0], norm[-1]) if norm else (None, None)
        rows.append([quantity, *ends, one.ratio(quantity), one.decay(quantity), one.horizon(quantity=quantity),
                     Raw(sparkline(norm, f"{one.key} {quantity}"))])  # fmt: skip
    direction = f", {words['reverse']}" if one.reverse else ""
    facts = f"{escape(one.cell)}{direction}, T={one.steps}, N={one.batch}"
    head = ["", *(words[name] for name in ("first", "last", "ratio", "decay", "horizon", "curve"))]
    return f"<p><b>{escape(one.key)}</b>: {facts}</p>{table(head, rows)}"


def series_table(past: History, lang: str = "en") -> str:
    """The series of a history, each at its newest entry, with how their ratio went."""
    words, last = WORDS[lang], past.steps[-1] if len(past) else None
    rows: list[list[str | float | None]] = []
    for name in past.series:
        entries = [entry for entry in past.entries if name in entry.series]
        newest = entries[-1].series[name]
        norm = newest.norms["grad_h"].tolist() if "grad_h" in newest.norms else []
        trend = [one.series[name].figures.get("ratio", math.nan) for one in entries]
        label = f"{name} ({words['reverse']})" if newest.reverse else name
        if entries[-1].step != last:
            label += f", {words['last_seen'].format(entries[-1].step)}"
        horizon = newest.figures.get("horizon", math.nan)
        reach = "–" if math.isnan(horizon) else words["of"].format(f"{horizon:.0f}", len(norm) - 1)
        ends = (norm[0], norm[-1]) if norm else (None, None)
        curves = [
            Raw(sparkline(values, f"{name}, {words[what]}")) for values, what in ((norm, "curve"), (trend, "trend"))
        ]
        rows.append([label, str(len(norm)), *ends, newest.figures.get("ratio"), reach, *curves])
    return table([words[w] for w in ("series", "steps", "first", "last", "ratio", "horizon", "curve", "trend")], rows)


def findings(found: Iterable[Finding], lang: str = "en") -> str:
    """Findings as a table, in the order given."""
    words, rows = WORDS[lang], []
    for one in found:
        spot = [one.key or "model"] + [f"t={one.t}"] * (one.t is not None)
        spot += [f"{words['sample']} {one.sample}"] * (one.sample is not None)
        step = None if one.step is None else str(one.step)
        sign = f"{SIGNS[one.severity]} {words[one.severity]}"
        rows.append([sign, one.rule, step, ", ".join(spot), one.value, one.message])
    if not rows:
        return f"<p>{words['none']}</p>"
    return table([words[w] for w in ("severity", "rule", "step", "place", "value", "says")], rows)


def history(past: History) -> str:
    """A history: where it stands, its series, its newest findings."""
    words, steps = WORDS["en"], past.steps
    if not steps:
        return f"<p><b>History</b>: {words['no_steps']}</p>"
    known = [entry.loss for entry in past.entries if entry.loss is not None]
    loss = past.entries[-1].loss
    told = "" if loss is None else f", loss {loss:.3g}"
    curve = f" {sparkline(known, 'loss')}" if len(known) > 1 else ""
    title = f"<p><b>History</b>: {len(past)} entries, steps {steps[0]} to {steps[-1]}{told}{curve}</p>"
    shown = past.findings[-20:]
    more = f"<p>{len(past.findings) - 20} earlier findings are left out.</p>" if len(past.findings) > 20 else ""
    return title + series_table(past) + more + findings(shown)
