"""The commands of ``seqgrad`` and its experiments; those about run files and speed are in ``_commands_run.py``."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqgrad._page import write_whole
from seqgrad._terminal import Bar, echo_claims
from seqgrad.experiments.texts import LANGUAGES

if TYPE_CHECKING:
    from seqgrad.experiments import Experiment

LANG = click.option(
    "--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of all texts."
)
QUICK = click.option("--quick", is_flag=True, help="Fewer seeds and shorter training.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
OUT = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("lesson_out"), show_default=True,
    help="Folder for the report, its figures and results.json.",
)  # fmt: skip


def _version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from seqgrad._ext import build_info

        click.echo(f"seqgrad {build_info().version}")
        ctx.exit()


class _Group(click.Group):
    """Ctrl-C ends with one line and exit code 130, which no verdict uses; what is written stays whole."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted; files written so far are whole", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def main() -> None:
    """See the gradient of a recurrent network at every timestep.

    \b
    Start here:
      seqgrad lesson                     measure real networks, write a report
      seqgrad show run.jsonl --follow    watch a training that writes
                                         seqgrad.sinks.JSONL("run.jsonl")
      seqgrad report run.jsonl           the same run as one HTML page
      seqgrad doctor                     is this installation right?

    \b
    Exit codes: 0 all is well, 1 a claim or a check failed, 2 wrong usage or an
    unreadable file, 130 interrupted. Results go to stdout, progress to stderr;
    every command has --json. NO_COLOR=1 turns colours off.

    \b
    Completion of commands and options, for bash (zsh and fish likewise):
      eval "$(_SEQGRAD_COMPLETE=bash_source seqgrad)"
    """  # noqa: D301


@main.command(short_help="Measure the long-sequence problem, write a report.")
@OUT
@LANG
@QUICK
@JSON
def lesson(out: Path, lang: str, quick: bool, as_json: bool) -> None:
    """Run all experiments, check the lesson's claims and write one HTML report.

    \b
      seqgrad lesson --quick             rougher numbers, a fraction of the time
      seqgrad lesson --lang es --out d   in Spanish, into the folder d

    Ends with 1 if a claim is not reproduced.
    """  # noqa: D301
    from seqgrad import experiments

    start, results = time.perf_counter(), {}
    need_matplotlib()
    _need_folder(out)
    chosen = [entry for entry in experiments.EXPERIMENTS.values() if entry.group == "lesson"]
    total, before = sum(entry.weight for entry in chosen), 0.0
    with Bar() as bar:
        for entry in chosen:
            results[entry.name] = _run(entry, quick, bar, lang, before / total, entry.weight / total)
            before += entry.weight
    from seqgrad.report import claims_of, write_lesson

    path = write_lesson(results, out, lang=lang, quick=quick)
    claims = list(claims_of(results).values())
    seconds = time.perf_counter() - start
    if as_json:
        print_json(
            {
                "ok": all(claim.ok for claim in claims), "seconds": round(seconds, 1), "quick": quick, "lang": lang,
                "report": str(path), "results": str(out / "results.json"),
                "claims": [claim.to_dict() for claim in claims],
            }
        )  # fmt: skip
    else:
        echo_claims(claims, lang, report=path, seconds=seconds)
    sys.exit(0 if all(claim.ok for claim in claims) else 1)


@main.command("list", short_help="The experiments that `run` knows.")
@LANG
@JSON
def list_(lang: str, as_json: bool) -> None:
    """List the experiments that `seqgrad run` knows."""
    from seqgrad.experiments import EXPERIMENTS
    from seqgrad.experiments.texts import say

    names = {name: say(f"name.{name}", lang) for name in EXPERIMENTS}
    if as_json:
        print_json(names)
    else:
        for name, text in names.items():
            click.echo(f"{name:<16} {text}")


@main.command(short_help="One experiment and its claims.")
@click.argument("name")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Save its figures and its table here.")
@click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds, where the experiment has several.")
@LANG
@QUICK
@JSON
def run(name: str, out: Path | None, seeds: int | None, lang: str, quick: bool, as_json: bool) -> None:
    """Run one experiment (see `seqgrad list`) and print its claims.

    \b
      seqgrad run decay
      seqgrad run long_dependency --quick --json
      seqgrad run gradient_flow --out d  figures and table into the folder d

    Ends with 1 if a claim is not reproduced.
    """  # noqa: D301
    from seqgrad import experiments

    try:
        entry = experiments.find(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if seeds is not None and not entry.takes("seeds"):
        raise click.UsageError(f"{name} runs one seed; leave --seeds out")
    if out is not None:
        need_matplotlib()
        _need_folder(out)
    with Bar() as bar:
        result = _run(entry, quick, bar, lang, 0.0, 1.0, **({} if seeds is None else {"seeds": seeds}))
    if out is not None:
        for kind in result.kinds:
            _save_figure(result.plot(kind, lang=lang).figure_, out / f"{name}_{kind}_{lang}.png")
        write_whole(out / f"{name}.json", json.dumps(result.to_dict(), ensure_ascii=False))
    if as_json:
        print_json(result.to_dict())
    else:
        echo_claims(result.claims, lang, seconds=result.seconds)
    sys.exit(0 if all(claim.ok for claim in result.claims) else 1)


@main.command(short_help="Versions, build, a check of every op.")
@JSON
def doctor(as_json: bool) -> None:
    """Show versions and build, and check every op against the reference written in plain torch.

    Ends with 1 if a check fails; `seqgrad doctor --json` is what to send along with a question.
    """
    from seqgrad._doctor import examine

    found = examine()
    if as_json:
        print_json(found)
    else:
        for key, value in found["environment"].items():
            click.echo(f"{key:<12} {value}")
        for check in found["checks"]:
            click.echo(f"{'ok  ' if check['ok'] else 'FAIL'} {check['name']:<32} {check['detail']}")
    sys.exit(0 if found["ok"] else 1)


def _run(entry: Experiment, quick: bool, bar: Bar, lang: str, before: float, share: float, **options: Any) -> Any:
    from seqgrad import experiments
    from seqgrad.experiments.texts import say

    title = say(f"name.{entry.name}", lang)
    if entry.takes("workers"):
        options["workers"] = _processors()
    try:
        return experiments.run(
            entry.name, quick=quick, progress=lambda done, what: bar.show(before + share * done, title, what), **options
        )
    except (ImportError, RuntimeError) as error:
        raise click.ClickException(f"{entry.name}: {error}") from error


def _save_figure(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_whole(path, buffer.getvalue())


def _processors() -> int:
    """Processors this process may use, fewer than the machine has in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def need_matplotlib() -> None:
    """Found out before minutes of training, not after them."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise click.UsageError("figures need matplotlib: pip install 'seqgrad[plot]'")


def _need_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: cannot make the folder {out}: {error.strerror}") from None


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1))
