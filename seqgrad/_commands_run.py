"""The commands about a training's run file, and about speed: ``show``, ``report``, ``bench``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from seqgrad import _run_file
from seqgrad._commands import JSON, LANG, need_matplotlib, print_json

RUN = click.argument("path", metavar="RUN", type=click.Path(path_type=Path))


@click.command(short_help="A training's run file in the terminal, also live.")
@RUN
@click.option("--follow", "-f", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.05), default=1.0, show_default=True,
    help="Seconds between two looks at the file, with --follow.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="End with 1 if the run holds a finding of severity error.")
@LANG
@JSON
def show(path: Path, follow: bool, interval: float, check: bool, lang: str, as_json: bool) -> None:
    """Show the run file of a training, RUN, as seqgrad.sinks.JSONL or History.save wrote it.

    \b
      seqgrad show run.jsonl             as it stands
      seqgrad show run.jsonl --follow    live; Ctrl-C ends it
      seqgrad show run.jsonl --check     for a script: 1 if something is wrong
      seqgrad show run.jsonl --lang es   en español
      seqgrad show run.jsonl --json      the last step and all findings

    Each series is one line: its gradient norm along the sequence, on a log scale, the ratio and horizon of the last
    recorded step, and how the ratio went over training. Off a terminal --follow prints one line a step (with --json
    one JSON object). A file that is not there yet is waited for.
    """  # noqa: D301
    if follow and check:
        raise click.UsageError("--check judges a run as it stands; leave out --follow")
    from seqgrad import _show
    from seqgrad._tail import Tail

    tail = Tail(path)
    try:
        if follow:
            _show.wait_for(path, interval, lang)
        tail.poll()
        if not follow:
            _show.once(tail, as_json=as_json, lang=lang)
        else:
            _show.follow(tail, as_json=as_json, interval=interval, lang=lang)
    except KeyboardInterrupt:  # the way out of --follow, no failure
        sys.exit(0 if follow else 130)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    bad = check and any(finding.severity == "error" for finding in tail.history.findings)
    sys.exit(1 if bad else 0)


def unreadable(path: Path, error: OSError | ValueError) -> click.UsageError:
    """Exit code 2 with what is wrong about the file."""
    if isinstance(error, FileNotFoundError):
        text = f"there is no file {path}; a training writes one with sinks=[seqgrad.sinks.JSONL({str(path)!r})]"
    elif isinstance(error, OSError):
        text = f"cannot read {path}: {error.strerror or error}"
    else:
        text = str(error)
    return click.UsageError(text)


@click.command(short_help="A training's run file as one HTML page.")
@RUN
@click.option(
    "--out", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The page to write. [default: RUN.html]"
)
@LANG
@JSON
def report(path: Path, out: Path | None, lang: str, as_json: bool) -> None:
    """Write one HTML page about a training: figures, tables, findings, environment.

    RUN is a run file, a record that GradientRecord.save wrote, or a folder of them: then each gets its section and
    their last gradients are compared.

    \b
      seqgrad report run.jsonl           writes run.html
      seqgrad report record.npz          a saved record, with what the rules find in it
      seqgrad report runs -o all.html    every *.jsonl and *.npz in the folder runs

    The page is one file that asks nothing of the network, for phones and wide screens, light and dark.
    """  # noqa: D301
    need_matplotlib()
    from seqgrad._run_report import load_runs, write_runs

    target = (path / "report.html" if path.is_dir() else path.with_suffix(".html")) if out is None else out
    start = time.perf_counter()
    try:
        runs = load_runs(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    try:
        write_runs(runs, target, lang=lang)
    except OSError as error:
        raise click.UsageError(f"--out: cannot write {target}: {error.strerror}") from None
    if as_json:
        findings = {name: [f.to_dict() for f in run.findings] for name, run in runs.items()}
        data: dict[str, Any] = {"report": str(target), "runs": list(runs), "findings": findings}
        click.echo(_run_file.encode({**data, "seconds": round(time.perf_counter() - start, 2)}), nl=False)
    else:
        click.echo(str(target))


@click.command(short_help="Speed against torch.nn on this machine.")
@click.option(
    "--cell", "cells", multiple=True, type=click.Choice(("rnn", "gru", "lstm")), help="Only this; repeatable."
)
@click.option("--device", default="cpu", show_default=True, help="Device to measure on, such as cuda.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch and seqgrad alike. [default: torch's]")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="Budget of each line.")
@JSON
def bench(cells: tuple[str, ...], device: str, threads: int | None, seconds: float, as_json: bool) -> None:
    """Compare this machine's speed of seqgrad with torch.nn: a minute's look, not a benchmark to publish.

    Both run in turn in one process, after a warm-up; shown are medians, the quartiles around them, and torch.nn's time
    over seqgrad's with all norms recorded: above 1 seqgrad is faster. The source tree has the whole grid of shapes:
    `make bench`.

    \b
      seqgrad bench
      seqgrad bench --cell lstm --threads 1 --json
    """  # noqa: D301
    import torch

    from seqgrad import _bench

    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise click.UsageError(f"--device: {str(error).splitlines()[0]}") from None
    if threads is not None:
        torch.set_num_threads(threads)
    rows = []
    problems = _bench.problems(cells or ("rnn", "gru", "lstm"))
    for number, problem in enumerate(problems, 1):
        click.echo(f"[{number}/{len(problems)}] {problem}", err=True)
        rows.append(_bench.measure(problem, place, seconds))
    if as_json:
        print_json({"environment": _bench.environment(place), "rows": rows})
    else:
        click.echo(_bench.table(rows, _bench.environment(place)))
