"""What ``seqgrad show`` prints: a run file as tables of text, once or live, and as JSON."""

from __future__ import annotations

import math
import shutil
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from seqgrad import _run_file
from seqgrad._finding import Finding
from seqgrad._run_words import say
from seqgrad._spark import MARKS, spark
from seqgrad._speech import number
from seqgrad._tail import Tail
from seqgrad._terminal import blocks, interactive, no_color
from seqgrad.history import History

SEVERITY = {"info": ("·", "cyan"), "warning": ("!", "yellow"), "error": ("✗", "red")}
SHOWN = 8  # findings
WIDTH = 100  # columns of text where there is no terminal to ask
_HEAD = ("series", "show.curve", "first", "last", "ratio", "horizon", "show.trend")
_SPARED = (6, 2, 3, 1)  # columns that a narrow terminal goes without, the first to go first


def short(value: float | None, lang: str) -> str:
    """Three digits; a dash for what is not there."""
    return "-" if value is None else number(value, lang)


class View:
    """A history ready to be shown.

    ``titles`` say which run it is, ``head`` names the columns, ``rows`` hold a list of cells per series, ``findings``
    are the newest, ``notes`` stand above them.
    """

    def __init__(self, tail: Tail, *, unicode: bool, width: int, lang: str = "en") -> None:
        history = tail.history
        self.unicode, self.width, self.lang = unicode, width, lang
        self.titles = _titles(tail, lang)
        self.head = [say(name, lang) for name in _HEAD]
        room = max(8, min(32, (width - 62) // 2))
        self.rows = [row for name in history.series if (row := _row(history, name, room, unicode, lang))]
        self.marks = _marks_used(self.rows, unicode, lang)
        self.findings = history.findings[-SHOWN:]
        earlier = len(history.findings) - len(self.findings)
        self.notes = [] if self.findings else [say("show.none", lang)]
        self.notes += [say("show.older", lang, n=earlier)] * bool(earlier)


def _titles(tail: Tail, lang: str) -> list[str]:
    history = tail.history
    known = {"seqgrad": "seqgrad", "torch": "torch", "device": say("header.device", lang)}
    facts = [f"{word} {history.header[name]}" for name, word in known.items() if name in history.header]
    steps = history.steps
    lines = [f"{tail.path.name}  {', '.join(facts)}"]
    if not steps:
        lines.append(say("show.empty", lang))
    else:
        loss = history.entries[-1].loss
        told = "" if loss is None else say("show.loss", lang, loss=short(loss, lang))
        lines.append(say("show.step", lang, step=steps[-1], loss=told, n=len(steps), first=steps[0]))
    if tail.torn:
        lines.append(say("show.torn", lang))
    return lines


def _row(history: History, name: str, room: int, unicode: bool, lang: str) -> list[str] | None:
    """Cells of one series, from the newest entry that has it."""
    entry = next((one for one in reversed(history.entries) if name in one.series), None)
    norms = None if entry is None else entry.series[name].norms.get("grad_h")
    if entry is None or norms is None or not len(norms):
        return None
    values, figures = norms.tolist(), entry.series[name].figures
    past = history.figures(name).get("ratio", [])
    seen = [ratio for ratio, one in zip(past, history.entries, strict=True) if name in one.series]
    label = name + (f" ({say('reverse', lang)})" if entry.series[name].reverse else "")
    horizon = figures.get("horizon")
    return [
        label + ("" if entry.step == history.steps[-1] else f" @{entry.step}"),
        spark(values, room, blocks=unicode),
        short(values[0], lang),
        short(values[-1], lang),
        short(figures.get("ratio"), lang),
        "-" if horizon is None or math.isnan(horizon) else say("of", lang, f"{horizon:.0f}", len(values) - 1),
        spark(seen, room, blocks=unicode),
    ]


def _marks_used(rows: list[list[str]], unicode: bool, lang: str) -> str:
    curves = "".join(row[1] + row[-1] for row in rows)
    notes = zip(MARKS[unicode], (say("zero", lang), say("bad", lang)), strict=True)
    return "   ".join(f"{sign} {word}" for sign, word in notes if sign in curves)


def heading(finding: Finding, lang: str) -> str:
    """Severity and rule."""
    return f"{say(finding.severity, lang)} {finding.title(lang)}"


def sentence(finding: Finding, lang: str = "en") -> str:
    """Severity, rule and message in one line; the step too, which most messages name themselves."""
    text = finding.text(lang)
    told = finding.step is None or text.startswith((f"step {finding.step},", f"paso {finding.step},"))
    step = "" if told else say("show.at", lang, step=finding.step)
    return f"{heading(finding, lang)}{step}: {text}"


def plain(view: View, *, every_column: bool = True) -> str:
    """The view as plain text, in its width but for the table where ``every_column`` is wanted."""
    lines = [*view.titles, ""]
    if view.rows:
        table = [view.head, *view.rows]
        widths = [max(len(row[k]) for row in table) for k in range(len(_HEAD))]
        columns, right = range(len(_HEAD)) if every_column else fitting(view), range(2, 6)
        for row in table:
            cells = (row[k].rjust(widths[k]) if k in right else row[k].ljust(widths[k]) for k in columns)
            lines.append("  ".join(cells).rstrip())
        lines += [view.marks] if view.marks else []
    lines += ["", *view.notes]
    for finding in view.findings:
        sign = SEVERITY[finding.severity][0] if view.unicode else "-"
        text = sentence(finding, view.lang)
        lines.append(textwrap.fill(text, view.width, initial_indent=f"{sign} ", subsequent_indent="  "))
    return "\n".join(lines)


def fitting(view: View) -> list[int]:
    """The columns that stand side by side in the view's width with every cell whole; series, ratio and horizon stay."""
    wide = [max(len(row[k]) for row in [view.head, *view.rows]) + 2 for k in range(len(_HEAD))]
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
            table.add_column(view.head[k], justify="right" if 2 <= k < 6 else "left", no_wrap=k > 0, overflow="fold")
        for row in view.rows:
            table.add_row(*[Text(row[k], style="cyan" if k in (1, 6) else "") for k in columns])
        parts += [table, Text(view.marks, style="dim"), Text("")]
    parts += [Text(note, style="dim") for note in view.notes]
    for finding in view.findings:
        sign, color = SEVERITY[finding.severity]
        head = heading(finding, view.lang)
        rest = sentence(finding, view.lang).removeprefix(head)
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


def once(tail: Tail, *, as_json: bool, lang: str = "en") -> None:
    """Print the run as it stands. A terminal's width is kept to with and without colours; a pipe gets every column."""
    if as_json:
        click.echo(_run_file.encode(summary(tail)), nl=False)
        return
    console = _console()
    if console is None:
        person = interactive()
        width = shutil.get_terminal_size().columns if person else WIDTH
        click.echo(plain(View(tail, unicode=blocks(), width=width, lang=lang), every_column=not person))
    else:
        console.print(rich_view(View(tail, unicode=blocks(), width=console.width, lang=lang)))


def wait_for(path: Path, interval: float, lang: str, wait: Callable[[float], None] = time.sleep) -> None:
    """Until the training has begun to write; a folder that does not exist is for who opens the file to complain of."""
    told = False
    while path.parent.is_dir() and not (path.exists() and (path.is_dir() or path.stat().st_size)):
        if not told:
            click.echo(say("show.waiting", lang, path=path), err=True)
        told = True
        wait(interval)


def follow(
    tail: Tail, *, as_json: bool, interval: float, lang: str = "en", wait: Callable[[float], None] = time.sleep
) -> None:
    """Show what comes until interrupted: a live view on a terminal, a line per step and finding elsewhere."""
    console = None if as_json else _console(redraw=True)
    if console is None:
        for line in _new_lines(tail, interval, wait):
            text = _run_file.encode(line).rstrip("\n") if as_json else _told(tail, line, lang)
            click.echo(text)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(rich_view(View(tail, unicode=blocks(), width=console.width, lang=lang)), refresh=True)
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


def _told(tail: Tail, line: dict[str, Any], lang: str) -> str:
    """A line of the file in words."""
    if line["kind"] == "finding":
        return sentence(Finding.from_dict(line), lang)
    if line["kind"] != "step":
        return say("show.begins", lang, name=tail.path.name)
    parts = [f"{say('step', lang)} {line['step']}"]
    if "loss" in line:
        parts.append(f"{say('loss', lang).lower()} {short(_run_file.number(line['loss']), lang)}")
    for name, one in line["series"].items():
        ratio = one.get("figures", {}).get("ratio")
        parts.append(f"{name} {say('ratio', lang)} {short(None if ratio is None else _run_file.number(ratio), lang)}")
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
