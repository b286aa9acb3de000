"""What ``seqgrad show`` prints: a run file as tables of text, once or live, and as JSON."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from seqgrad import _run_file
from seqgrad._finding import Finding
from seqgrad._spark import MARKS, spark
from seqgrad._tail import Tail
from seqgrad._terminal import blocks, interactive, no_color
from seqgrad.history import History

SEVERITY = {"info": ("·", "cyan"), "warning": ("!", "yellow"), "error": ("✗", "red")}
SHOWN = 8  # findings
_HEAD = ("series", "gradient, t to the right", "at t=0", "at t=T-1", "ratio", "horizon", "ratio, over training")
_SPARED = (6, 2, 3, 1)  # columns that a narrow terminal goes without, the first to go first


def short(value: float | None) -> str:
    """Three digits; a dash for what is not there."""
    return "-" if value is None else "NaN" if math.isnan(value) else f"{value:.3g}"


class View:
    """A history ready to be shown.

    ``titles`` say which run it is, ``rows`` hold a list of cells per series, ``findings`` the newest, worst last.
    """

    def __init__(self, tail: Tail, *, unicode: bool, width: int) -> None:
        history = tail.history
        self.unicode, self.width = unicode, width
        self.titles = _titles(tail)
        room = max(8, min(32, (width - 62) // 2))
        self.rows = [row for name in history.series if (row := _row(history, name, room, unicode))]
        self.marks = _marks_used(self.rows, unicode)
        self.findings = history.findings[-SHOWN:]
        self.earlier = len(history.findings) - len(self.findings)


def _titles(tail: Tail) -> list[str]:
    history = tail.history
    facts = [f"{name} {history.header[name]}" for name in ("seqgrad", "torch", "device") if name in history.header]
    steps = history.steps
    lines = [f"{tail.path.name}  {', '.join(facts)}"]
    if not steps:
        lines.append("no step recorded yet")
    else:
        loss = history.entries[-1].loss
        told = "" if loss is None else f", loss {short(loss)}"
        lines.append(f"step {steps[-1]}{told}  ({len(steps)} recorded steps since step {steps[0]})")
    if tail.torn:
        lines.append("the last line is torn and was left out: it is being written, or its writer was killed")
    return lines


def _row(history: History, name: str, room: int, unicode: bool) -> list[str] | None:
    """Cells of one series, from the newest entry that has it."""
    entry = next((one for one in reversed(history.entries) if name in one.series), None)
    norms = None if entry is None else entry.series[name].norms.get("grad_h")
    if entry is None or norms is None or not len(norms):
        return None
    values, figures = norms.tolist(), entry.series[name].figures
    past = history.figures(name).get("ratio", [])
    seen = [ratio for ratio, one in zip(past, history.entries, strict=True) if name in one.series]
    label = name + (" (reverse)" if entry.series[name].reverse else "")
    horizon = figures.get("horizon")
    return [
        label + ("" if entry.step == history.steps[-1] else f" @{entry.step}"),
        spark(values, room, blocks=unicode),
        short(values[0]),
        short(values[-1]),
        short(figures.get("ratio")),
        "-" if horizon is None or math.isnan(horizon) else f"{horizon:.0f} of {len(values) - 1}",
        spark(seen, room, blocks=unicode),
    ]


def _marks_used(rows: list[list[str]], unicode: bool) -> str:
    curves = "".join(row[1] + row[-1] for row in rows)
    notes = zip(MARKS[unicode], ("exactly 0", "NaN or Inf"), strict=True)
    return "   ".join(f"{sign} {word}" for sign, word in notes if sign in curves)


def sentence(finding: Finding) -> str:
    """Severity, rule and message in one line; the step too, which most messages name themselves."""
    told = finding.step is None or finding.message.startswith(f"step {finding.step},")
    step = "" if told else f" at step {finding.step}"
    return f"{finding.severity} {finding.rule}{step}: {finding.message}"


def plain(view: View, width: int = 100) -> str:
    """The view as plain text."""
    lines = [*view.titles, ""]
    if view.rows:
        table = [list(_HEAD), *view.rows]
        widths = [max(len(row[k]) for row in table) for k in range(len(_HEAD))]
        right = range(2, 6)
        for row in table:
            cells = [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        lines += [view.marks] if view.marks else []
    lines.append("")
    if not view.findings:
        lines.append("no findings")
    if view.earlier:
        lines.append(f"{view.earlier} earlier findings are left out")
    for finding in view.findings:
        sign = SEVERITY[finding.severity][0] if view.unicode else "-"
        lines.append(textwrap.fill(sentence(finding), width, initial_indent=f"{sign} ", subsequent_indent="  "))
    return "\n".join(lines)


def fitting(view: View) -> list[int]:
    """The columns that stand side by side in the view's width with every cell whole; series, ratio and horizon stay."""
    wide = [max(len(row[k]) for row in [list(_HEAD), *view.rows]) + 2 for k in range(len(_HEAD))]
    columns = list(range(len(_HEAD)))
    for spared in _SPARED:
        if sum(wide[k] for k in columns) > view.width:
            columns.remove(spared)
    return columns


def rich_view(view: View) -> Any:
    """The view for rich: a table that fits the terminal, findings in the colour of their severity."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = [Text(view.titles[0], style="bold"), *map(Text, view.titles[1:]), Text("")]
    if view.rows:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        columns = fitting(view)
        for k in columns:
            table.add_column(_HEAD[k], justify="right" if 2 <= k < 6 else "left", no_wrap=k > 0, overflow="fold")
        for row in view.rows:
            table.add_row(*[Text(row[k], style="cyan" if k in (1, 6) else "") for k in columns])
        parts += [table, Text(view.marks, style="dim"), Text("")]
    if not view.findings:
        parts.append(Text("no findings", style="dim"))
    if view.earlier:
        parts.append(Text(f"{view.earlier} earlier findings are left out", style="dim"))
    for finding in view.findings:
        sign, color = SEVERITY[finding.severity]
        head = f"{finding.severity} {finding.rule}"
        rest = sentence(finding).removeprefix(head)
        parts.append(Text.assemble((f"{sign} ", color), (head, f"bold {color}"), rest))
    return Group(*parts)


def summary(tail: Tail) -> dict[str, Any]:
    """The run as JSON has it: header, last step, every series at its newest entry, all findings kept."""
    history = tail.history
    series: dict[str, Any] = {}
    for entry in history.entries:
        for name, one in entry.series.items():
            series[name] = {"step": entry.step, **one.to_dict()}
    last = history.entries[-1] if len(history) else None
    return {
        "file": str(tail.path), "torn": tail.torn, "header": history.header, "entries": len(history),
        "step": None if last is None else last.step, "loss": None if last is None else last.loss, "series": series,
        "findings": [finding.to_dict() for finding in history.findings],
    }  # fmt: skip


def once(tail: Tail, *, as_json: bool) -> None:
    """Print the run as it stands."""
    if as_json:
        click.echo(_run_file.encode(summary(tail)), nl=False)
        return
    console = _console()
    if console is None:
        click.echo(plain(View(tail, unicode=blocks(), width=100)))
    else:
        console.print(rich_view(View(tail, unicode=blocks(), width=console.width)))


def follow(tail: Tail, *, as_json: bool, interval: float, wait: Callable[[float], None] = time.sleep) -> None:
    """Show what comes until interrupted: a live view on a terminal, a line per step and finding elsewhere."""
    console = None if as_json else _console(redraw=True)
    if console is None:
        for line in _new_lines(tail, interval, wait):
            text = _run_file.encode(line).rstrip("\n") if as_json else _told(tail, line)
            click.echo(text)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(rich_view(View(tail, unicode=blocks(), width=console.width)), refresh=True)
            wait(interval)
            tail.poll()


def _new_lines(tail: Tail, interval: float, wait: Callable[[float], None]) -> Iterator[dict[str, Any]]:
    """The newest step and all findings there are, then every line as it comes."""
    history = tail.history
    if len(history):
        yield history.entries[-1].to_dict()
    yield from ({"kind": "finding", **finding.to_dict()} for finding in history.findings)
    while True:
        wait(interval)
        yield from tail.poll()


def _told(tail: Tail, line: dict[str, Any]) -> str:
    """A line of the file in words."""
    if line["kind"] == "finding":
        return sentence(Finding.from_dict(line))
    if line["kind"] != "step":
        return f"{tail.path.name}: a new run begins"
    parts = [f"step {line['step']}"]
    if "loss" in line:
        parts.append(f"loss {short(_run_file.number(line['loss']))}")
    for name, one in line["series"].items():
        ratio = one.get("figures", {}).get("ratio")
        parts.append(f"{name} ratio {short(None if ratio is None else _run_file.number(ratio))}")
    return "  ".join(parts)


def _console(*, redraw: bool = False) -> Any:
    """A rich console where a person looks at a terminal and rich is there, else None.

    NO_COLOR forbids colours, not redrawing: a live view goes on without them.
    """
    if not interactive() or (no_color() and not redraw):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, no_color=no_color())
