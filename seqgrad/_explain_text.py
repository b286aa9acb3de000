"""An Explanation in words: table, HTML, dict. Nothing is decided here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from seqgrad._plan import CpuPlan, CudaPlan

if TYPE_CHECKING:
    from seqgrad.explain import Explanation, PassExplained

_HEAD = ("series", "pass", "engine", "path", "us/step", "how")
_WIDTH = 110


def cut(plan: CudaPlan) -> str:
    """How a CUDA plan cuts the work, in a few words."""
    if plan.path == "step":
        return "one product and one pointwise kernel per step"
    memory = f"{plan.threads} threads, {plan.shared_bytes / 1024:.0f} KiB"
    samples = _count(plan.rows, "sample")
    if plan.path == "block":
        return f"{_count(plan.groups, 'block')} of {samples}, {memory}"
    return f"{plan.slices} x {plan.groups} blocks of {_count(plan.units, 'unit')} and {samples}, {memory}"


def threads(split: CpuPlan, free: CpuPlan, most: int, wish: str | None, bidirectional: bool) -> tuple[str, str]:
    """How the CPU engine cuts the work, and why; ``free`` is the split without clipping and projection."""
    if split.slices == 0:
        return "", "there is nothing to do"
    together = bidirectional and split.at_once
    used = 1 if together else split.slices * split.team
    if together:
        why = "both directions run at the same time, a thread each (in eager code)"
    elif split.team > 1:
        slices = _count(split.slices, "slice")
        why = f"few samples for these weights and threads: a team of {split.team} shares each of {slices} of the batch"
    elif free.team > 1:
        why = "one thread per slice of the batch: clipping and projection need a whole sample at once"
    elif used > 1:
        why = f"the batch is dealt to {used} threads, which never wait for each other"
    elif most > 1:
        why = "too little work for a second thread"
    else:
        why = "torch has one thread (torch.set_num_threads)"
    chosen = "as SEQGRAD_CPU_ISA says" if wish == split.isa else "the best instruction set of this machine"
    return f"{_count(used, 'thread')} of {most}", f"{split.isa}, {chosen}; {why}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cells(row: PassExplained) -> tuple[str, ...]:
    time = "" if row.step_us is None else f"{row.step_us:.2g}"
    return row.series, row.direction, row.engine, row.path, time, row.how


def _title(found: Explanation) -> str:
    sizes = f"{_count(found.steps, 'step')} of {_count(found.samples, 'sample')}"
    return f"{found.layer}, {sizes}, {found.dtype}, on {found.device}"


def _reasons(found: Explanation) -> list[tuple[str, str]]:
    """Each distinct reason once, with the passes that it holds for."""
    holds: dict[str, list[str]] = {}
    for row in found.rows:
        holds.setdefault(row.why, []).append(f"{row.series} {row.direction}")
    return [(", ".join(passes), why) for why, passes in holds.items()]


def _foot(found: Explanation) -> str:
    return "us/step: estimated by a cost model, not measured." if any(row.step_us for row in found.rows) else ""


def text(found: Explanation) -> str:
    """Table, then the reasons."""
    rows: list[Sequence[str]] = [_HEAD, *map(_cells, found.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rule = "  ".join("-" * width for width in widths)
    reasons = [textwrap.fill(f"{passes}: {why}", _WIDTH, subsequent_indent="  ") for passes, why in _reasons(found)]
    foot = _foot(found)
    return "\n".join([_title(found), "", lines[0], rule, *lines[1:], "", *reasons, *([foot] if foot else [])])


def html(found: Explanation) -> str:
    """The same for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEAD)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in _cells(row)) + "</tr>" for row in found.rows)
    reasons = "".join(f"<li><b>{escape(passes)}</b>: {escape(why)}</li>" for passes, why in _reasons(found))
    return (
        f"<p><b>{escape(_title(found))}</b></p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<ul>{reasons}</ul><p>{escape(_foot(found))}</p>"
    )


def to_dict(found: Explanation) -> dict[str, Any]:
    """See Explanation.to_dict."""
    rows = []
    for row in found.rows:
        plan = None if row.plan is None else {**row.plan._asdict(), "estimate": row.plan.estimate._asdict()}
        rows.append({**row._asdict(), "plan": plan})
    return {
        "layer": found.layer, "T": found.steps, "N": found.samples, "dtype": found.dtype, "device": found.device,
        "rows": rows,
    }  # fmt: skip
