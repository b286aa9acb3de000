"""The commands of ``seqgrad`` and its experiments; those about run files and speed are in ``_commands_run.py``."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
RESUME = click.option(
    "--resume", is_flag=True, help="Use again what an earlier run finished with the same settings, versions and code."
)
QUICK = click.option("--quick", is_flag=True, help="Fewer seeds and shorter training.")
WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that share the training; by default one per processor."
)
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
@RESUME
@WORKERS
@JSON
def lesson(out: Path, lang: str, quick: bool, resume: bool, workers: int | None, as_json: bool) -> None:
    """Run all experiments, check the lesson's claims and write one HTML report.

    \b
      seqgrad lesson --quick             rougher numbers, a fraction of the time
      seqgrad lesson --lang es --out d   in Spanish, into the folder d
      seqgrad lesson --resume            after an interruption, or to write
                                         the report in the other language

    Each experiment's result is saved in the folder `finished` as soon as it is
    there.

    Ends with 1 if a claim is not reproduced.
    """  # noqa: D301
    from seqgrad import experiments

    start, results = time.perf_counter(), {}
    need_matplotlib()
    _need_folder(out)
    chosen = [entry for entry in experiments.EXPERIMENTS.values() if entry.group == "lesson"]
    total, before = sum(entry.weight for entry in chosen), 0.0
    with _kept(), Bar() as bar:
        for entry in chosen:
            options: dict[str, Any] = {"speed": True} if entry.takes("speed") else {}
            options |= {"workers": workers} if entry.takes("workers") else {}
            place = (before / total, entry.weight / total)
            results[entry.name] = _run(entry, quick, bar, lang, *place, out=out, resume=resume, **options)
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
    from typing import get_args

    from seqgrad.experiments import EXPERIMENTS, Group
    from seqgrad.experiments.texts import say

    if as_json:
        known = EXPERIMENTS.values()
        print_json({one.name: {"group": one.group, "says": say(f"name.{one.name}", lang)} for one in known})
        return
    for group in get_args(Group):
        entries = [one for one in EXPERIMENTS.values() if one.group == group]
        if entries:
            click.echo(say(f"group.{group}", lang))
        for one in entries:
            click.echo(f"  {one.name:<24} {say(f'name.{one.name}', lang)}")


@main.command(short_help="One experiment and its claims.")
@click.argument("name")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Save its figures and its table here.")
@click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds, where the experiment has several.")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="OPTION=VALUE",
    help="Any other option of the experiment's function, such as --set lengths=10,50; repeat for more.",
)
@LANG
@QUICK
@RESUME
@WORKERS
@JSON
def run(
    name: str, out: Path | None, seeds: int | None, given: tuple[str, ...], lang: str, quick: bool, resume: bool,
    workers: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Run one experiment (see `seqgrad list`) and print its claims.

    \b
      seqgrad run decay
      seqgrad run long_dependency --quick --json
      seqgrad run gradient_flow --out d  figures and table into the folder d
      seqgrad run long_dependency --set cells=lstm --set lengths=10,50

    Claims are judged where the settings are those they were made for. Ends with
    1 if a claim is not reproduced.
    """  # noqa: D301
    from seqgrad import experiments

    try:
        entry = experiments.find(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    options = _given(entry, given)
    if seeds is not None:
        if not entry.takes("seeds"):
            raise click.UsageError(f"{name} runs one seed; leave --seeds out")
        options["seeds"] = seeds
    if resume and out is None:
        raise click.UsageError("--resume looks into the folder of an earlier run; name it with --out")
    if out is not None:
        need_matplotlib()
        _need_folder(out)
    with Bar() as bar:
        result = _run(entry, quick, bar, lang, 0.0, 1.0, out=out, resume=resume, workers=workers, **options)
    if out is not None:
        for kind in result.kinds:
            _save_figure(result.plot(kind, lang=lang).figure_, out / f"{name}_{kind}_{lang}.png")
        write_whole(out / f"{name}.json", json.dumps(result.to_dict(), ensure_ascii=False))
    if as_json:
        print_json(result.to_dict())
    else:
        echo_claims(result.claims, lang, seconds=result.seconds)
    sys.exit(0 if all(claim.ok for claim in result.claims) else 1)


def _given(entry: Experiment, given: tuple[str, ...]) -> dict[str, Any]:
    """``--set`` as keyword arguments: Python's literals, else the words themselves; ``a,b`` is a tuple."""
    options: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes OPTION=VALUE, got {one!r}")
        if key not in entry.options:
            raise click.UsageError(
                f"--set: {entry.name} has no option {key!r}; there are: {', '.join(sorted(entry.options))}"
            )
        parts = [_literal(part) for part in text.split(",") if part]
        several = "," in text or isinstance(entry.options[key], tuple)
        options[key] = tuple(parts) if several else _literal(text)
    return options


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


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


@contextmanager
def _kept() -> Iterator[None]:
    """Ctrl-C in here loses the experiment at work, and no other."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("what has finished is kept: the same command with --resume goes on from there", err=True)
        raise


def _run(
    entry: Experiment, quick: bool, bar: Bar, lang: str, before: float, share: float, *, out: Path | None, resume: bool,
    workers: int | None = None, **options: Any,
) -> Any:  # fmt: skip
    """Run one experiment, or take what is kept in ``out`` of an earlier run; keep it there."""
    from seqgrad import experiments
    from seqgrad.experiments import _store
    from seqgrad.experiments.texts import say

    title = say(f"name.{entry.name}", lang)
    settings = {**(entry.quick if quick else {}), **options}
    kept = None if out is None else out / "finished" / f"{entry.name}.json"
    found = _store.load(entry.result, kept, settings) if kept and resume else None
    if found is not None:
        return found
    if entry.takes("workers"):
        options["workers"] = workers or _processors()
    elif workers:
        raise click.UsageError(f"{entry.name} runs in one process; leave --workers out")
    try:
        found = experiments.run(
            entry.name, quick=quick, progress=lambda done, what: bar.show(before + share * done, title, what), **options
        )
    except (ValueError, TypeError) as error:
        raise click.UsageError(f"{entry.name}: {error}") from error
    except (ImportError, RuntimeError) as error:
        raise click.ClickException(f"{entry.name}: {error}") from error
    if kept:
        kept.parent.mkdir(exist_ok=True)
        _store.save(found, kept, settings)
    return found


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
