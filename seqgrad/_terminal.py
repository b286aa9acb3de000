"""What the command line shows: progress on stderr, claims on stdout; rich where it is there and a terminal listens."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import click

from seqgrad.experiments.claims import Claim, count, number
from seqgrad.experiments.texts import say

COLORS = {"reproduced": "green", "corrected": "yellow", "not reproduced": "red"}
MARKS = {"reproduced": "✓", "corrected": "✎", "not reproduced": "✗"}
QUIET_SECONDS = 5.0  # between two plain lines of progress


def interactive(stream: TextIO | None = None) -> bool:
    """Whether a person looks on at a terminal that can redraw; ``stdout`` by default."""
    return (sys.stdout if stream is None else stream).isatty() and os.environ.get("TERM") != "dumb"


def no_color() -> bool:
    """Whether the reader asked for no colours (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def blocks() -> bool:
    """Whether stdout can write the block characters of a sparkline."""
    try:
        "▁█×·✗".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Bar:
    """Progress on stderr: rich's bar on a terminal, else a plain line when the title changes or five seconds passed."""

    def __init__(self) -> None:
        self._rich: Any = None
        self._task: Any = None
        self._title, self._last = "", 0.0

    def __enter__(self) -> Bar:
        if interactive(sys.stderr) and not no_color():
            try:
                from rich.console import Console
                from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
            except ImportError:
                return self
            columns = (
                BarColumn(24),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._rich = Progress(*columns, console=Console(stderr=True), transient=True)
            self._rich.start()
            self._task = self._rich.add_task("", total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def show(self, done: float, title: str, what: str) -> None:
        """``done`` in 0..1 of everything, what runs, and where it stands."""
        if self._rich is not None:
            from rich.markup import escape

            self._rich.update(self._task, completed=done, description=escape(f"{title} ({what})"))
            return
        now = time.monotonic()
        if title != self._title or now - self._last > QUIET_SECONDS:
            self._title, self._last = title, now
            click.echo(f"[{done:4.0%}] {title} ({what})", err=True)


def echo_claims(claims: Sequence[Claim], lang: str, *, seconds: float, report: Path | None = None) -> None:
    """One line per claim with its verdict, the correction below where there is one, and the tally."""
    plain = no_color()
    for claim in claims:
        mark = f"{MARKS[claim.verdict]} {say(f'verdict.{claim.verdict}', lang):<14}"
        where = f"{claim.spec.line:>4}" if claim.spec.line else "   -"
        numbers = f"{number(claim.measured, lang)}  ({say('report.expected', lang)} {claim.spec.expectation(lang)})"
        click.echo(
            f"{mark if plain else click.style(mark, fg=COLORS[claim.verdict])} {where}  {claim.id:<30} {numbers}"
        )
        text = claim.correction(lang) or claim.text(lang)
        click.echo(textwrap.fill(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
    tally = count(claims)
    fields = {"reproduced": tally["reproduced"], "corrected": tally["corrected"], "missed": tally["not reproduced"]}
    click.echo(f"\n{say('cli.summary', lang, **fields)} ({say('cli.took', lang, seconds=seconds)})")
    if report is not None:
        click.echo(say("cli.report", lang, path=report))
