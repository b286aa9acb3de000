"""A GradientRecord in words: summary, repr, HTML, and why something is missing. No numbers are defined here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from seqgrad._recorder import Log
from seqgrad._run_words import odd_ones, say

if TYPE_CHECKING:
    from seqgrad._series import Series
    from seqgrad.record import GradientRecord

_EPS = 1e-3  # the horizon that tables show
_FRESH = 1.2  # decay above this many times the carried share: fresh gradient keeps the norm up
_HEAD = (
    *("series", "cell", "direction", "T", "N", "at t=0", "at t=T-1"),
    *("ratio", "decay", "carry", "half-life", "horizon", "passes"),
)


def explain_absence(log: Log, name: str) -> str:
    """Why ``name`` has no series, and what to do: one or two sentences."""
    have = list(dict.fromkeys(p.key for p in log.passes))
    listing = f"Recorded: {', '.join(map(repr, (k for k in log.keys if k in have)))}."
    silent = [k for k in log.calls if k not in have]
    waiting = [k for k in silent if name in (k, log.keys[k][0])] or ([] if have else silent)
    if waiting:
        calls = ", ".join(f"{k!r} ({log.calls[k]}x)" for k in waiting)
        scope = "no backward ran inside the block" if not have else "no backward inside the block reached it"
        return (
            f"Its forward was seen, {calls}, but {scope}: call loss.backward() before the block ends "
            f"(torch.autograd.grad and backward(inputs=...) do not reach the recorder).{' ' + listing if have else ''}"
        )
    if name in log.untracked or (log.untracked and not have):
        layers = ", ".join(map(repr, log.untracked))
        return f"Inside the block {layers} ran only under torch.no_grad(); run forward with grad mode on."
    complex_one = any(name == one or name.startswith(f"{one}.") for one in log.complex_layers)
    if complex_one or (log.complex_layers and not have):
        layers = ", ".join(map(repr, log.complex_layers))
        return (
            f"Complex layers ({layers}) have no gradient norm at each timestep: they run as torch's own operations; "
            "seqgrad.check_grads(model) and seqgrad.Monitor judge their parameters and states."
        )
    if name in log.unconverted or (log.unconverted and not have):
        layers = ", ".join(map(repr, log.unconverted))
        return f"torch.nn's own layers ({layers}) do not show their gradients; seqgrad.convert_(model) swaps them."
    if not have:
        return "No backward ran inside the block, and no forward of a seqgrad layer of this model either."
    return listing


def number(value: float, digits: int = 3) -> str:
    """Short and aligned-friendly: 1.23e-10, 0.577, inf, nan."""
    return f"{value:.{digits}g}"


def _direction(series: Series) -> str:
    return "reverse" if series.reverse else "forward"


def _row(record: GradientRecord, key: str) -> list[str]:
    series: Series = record.all(key)[-1]
    norm = series.norm().cpu()
    ends = [number(float(norm[0])), number(float(norm[-1]))] if series.steps else ["-", "-"]
    return [
        key,
        series.cell,
        _direction(series),
        str(series.steps),
        str(series.batch),
        *ends,
        number(series.ratio()),
        number(series.decay()),
        number(series.transmission()),
        number(series.half_life()),
        number(series.horizon(_EPS)),
        str(len(record.all(key))),
    ]


def _notes(record: GradientRecord) -> list[str]:
    notes = []
    for key, hit in record.first_nonfinite.items():
        if hit is None:
            continue
        series = record.all(key)[-1]
        where = f" (backward {hit.backward}, call {hit.call})" if len(record.all(key)) > 1 else ""
        notes.append(
            f"{key}, {_direction(series)}: {hit.quantity} is {hit.value} at t={hit.t}, sample "
            f"{hit.n}{where}, the first in backprop order; expected finite. Look at what enters the layer there, or "
            f"clip inside the backward with state_clip=seqgrad.clip.Norm(1.0)."
        )
    for key, series in record.items():
        # An LSTM also carries gradient in its cell state, so what its hidden state carries proves nothing.
        decay, carry = series.decay(), series.transmission()
        if series.cell != "lstm" and carry < 1 and decay > _FRESH * carry:
            notes.append(
                f"{key}, {_direction(series)}: the norm changes by {number(decay)} per step, but only {number(carry)} "
                f"of it is carried over; the rest enters from outside at every step. Judge by carry."
            )
    if any(series.reverse for series in record.values()):
        notes.append("The reverse direction is stored in input-time order; its backprop runs from t=0 upwards.")
    return notes


def summary(record: GradientRecord) -> str:
    """Text table; see GradientRecord.summary."""
    if not record:
        return f"GradientRecord{_of_rank(record)}, empty. {explain_absence(record._log, '')}"
    rows = [list(_HEAD), *(_row(record, key) for key in record)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    left = 3  # names read from the left, numbers from the right

    def line(row: Sequence[str]) -> str:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(cells).rstrip()

    batch = "the batch" if record.rank is None else f"rank {record.rank}'s part of the batch"
    title = f"Gradient norms |dL/dh_t| over {batch}; {_count(record.backwards, 'backward')}, last pass of each series"
    foot = (
        "ratio: end over start of backprop. decay: factor per step back. carry: share of the gradient at a step that\n"
        f"reaches the one before. half-life: steps. horizon: steps back that keep {_EPS:g} of the start."
    )
    table = [line(rows[0]), line(["-" * w for w in widths]), *map(line, rows[1:])]
    return "\n".join([title, "", *table, "", foot, *_notes(record)])


def _of_rank(record: GradientRecord) -> str:
    return "" if record.rank is None else f" of rank {record.rank}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def short(record: GradientRecord, log: Log) -> str:
    """repr: what is in it, without reading a tensor."""
    if not record:
        return f"<GradientRecord{_of_rank(record)}, empty: {explain_absence(log, '')}>"
    lines = []
    for key, series in record.items():
        passes = len(record.all(key))
        more = f", {passes} passes" if passes > 1 else ""
        lines.append(f"\n  {key}: {series.cell}, {_direction(series)}, T={series.steps}, N={series.batch}{more}")
    count = f"{len(record)} series, {_count(record.backwards, 'backward')}"
    return f"<GradientRecord{_of_rank(record)}: {count}{''.join(lines)}>"


def html(record: GradientRecord, log: Log) -> str:
    """Table with a sparkline per series: inline SVG, colours of the page it stands on."""
    if not record:
        return f"<p><b>GradientRecord</b>{_of_rank(record)}, empty. {escape(explain_absence(log, ''))}</p>"
    head = "".join(f"<th>{escape(h)}</th>" for h in (*_HEAD, "|dL/dh_t|, log, t to the right"))
    body = []
    for key in record:
        norm = [float(v) for v in record.all(key)[-1].norm().cpu()]
        cells = "".join(f"<td>{escape(c)}</td>" for c in _row(record, key))
        body.append(f"<tr>{cells}<td>{sparkline(norm, key)}</td></tr>")
    notes = "".join(f"<p>{escape(n)}</p>" for n in _notes(record))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{notes}"
    return table if record.rank is None else f"<p><b>GradientRecord</b>{_of_rank(record)}</p>{table}"


def sparkline(values: Sequence[float], label: str, lang: str = "en", width: int = 160, height: int = 32) -> str:
    """SVG of positive ``values`` on a log scale; exact zeros are ticks at the foot, NaN and Inf crosses above."""
    logs = [math.log10(v) if 0 < v < math.inf else None for v in values]
    real = [v for v in logs if v is not None]
    low, high = (min(real), max(real)) if real else (0.0, 0.0)
    span = high - low or 1.0
    step = (width - 6) / max(len(values) - 1, 1)
    parts: list[str] = []
    run: list[str] = []

    def flush() -> None:
        if len(run) > 1:
            parts.append(f'<polyline points="{" ".join(run)}" fill="none" stroke="currentColor" stroke-width="1.5"/>')
        elif run:
            x, y = run[0].split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="1.5" fill="currentColor"/>')
        run.clear()

    for i, log in enumerate(logs):
        x = 3 + i * step
        if log is not None:
            run.append(f"{x:.1f},{height - 7 - (log - low) / span * (height - 14):.1f}")
            continue
        flush()
        if values[i] == 0:
            parts.append(f'<path d="M{x:.1f} {height - 4}v3" stroke="#0072B2" stroke-width="1.5"/>')
        else:
            parts.append(f'<path d="M{x - 2:.1f} 1l4 4m0-4l-4 4" stroke="#D55E00" stroke-width="1.5"/>')
    flush()
    spread = say("spark.range", lang, 10**low, 10**high) if real else say("no range", lang)
    words = say(
        "spark",
        lang,
        label=label,
        spread=spread,
        n=len(values),
        extra="".join(f", {one}" for one in odd_ones(values, lang)),
    )
    title = f"<title>{escape(words)}</title>"
    return (
        f'<svg role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{title}{"".join(parts)}</svg>'
    )
