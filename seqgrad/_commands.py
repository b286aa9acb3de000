"""The commands of ``seqgrad``: results to stdout, progress to stderr; exit 0 ok, 1 a claim or check failed, 2 usage."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from seqgrad._terminal import Bar, echo_claims
from seqgrad.experiments.texts import LANGUAGES

LANG = click.option(
    "--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of all texts."
)
QUICK = click.option("--quick", is_flag=True, help="Fewer seeds and shorter training.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
OUT = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("lesson_out"), show_default=True,
    help="Folder for the report, its figures and results.json.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """See the gradient of a recurrent network at every timestep.

    Start with `seqgrad lesson`: it builds and trains networks, measures their gradients and writes a report.
    """


@main.command()
@OUT
@LANG
@QUICK
@JSON
def lesson(out: Path, lang: str, quick: bool, as_json: bool) -> None:
    """Run all experiments, check the lesson's claims and write one HTML report."""
    from seqgrad import experiments

    start, results = time.perf_counter(), {}
    _need_matplotlib()
    _need_folder(out)
    total, before = sum(entry.weight for entry in experiments.EXPERIMENTS.values()), 0.0
    with Bar() as bar:
        for name, entry in experiments.EXPERIMENTS.items():
            results[name] = _run(name, quick, bar, lang, before / total, entry.weight / total)
            before += entry.weight
    from seqgrad.report import claims_of, write_lesson

    path = write_lesson(results, out, lang=lang, quick=quick)
    claims = list(claims_of(results).values())
    seconds = time.perf_counter() - start
    if as_json:
        _print_json(
            {
                "ok": all(claim.ok for claim in claims), "seconds": round(seconds, 1), "quick": quick, "lang": lang,
                "report": str(path), "results": str(out / "results.json"),
                "claims": [claim.to_dict() for claim in claims],
            }
        )  # fmt: skip
    else:
        echo_claims(claims, lang, report=path, seconds=seconds)
    sys.exit(0 if all(claim.ok for claim in claims) else 1)


@main.command("list")
@LANG
@JSON
def list_(lang: str, as_json: bool) -> None:
    """List the experiments that `seqgrad run` knows."""
    from seqgrad.experiments import EXPERIMENTS
    from seqgrad.experiments.texts import say

    names = {name: say(f"name.{name}", lang) for name in EXPERIMENTS}
    if as_json:
        _print_json(names)
    else:
        for name, text in names.items():
            click.echo(f"{name:<16} {text}")


@main.command()
@click.argument("name")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Save its figures and its table here.")
@click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds, where the experiment has several.")
@LANG
@QUICK
@JSON
def run(name: str, out: Path | None, seeds: int | None, lang: str, quick: bool, as_json: bool) -> None:
    """Run one experiment (see `seqgrad list`) and print its claims."""
    from seqgrad import experiments

    try:
        experiments.find(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if seeds is not None and name == "char_model":
        raise click.UsageError("char_model runs one seed; leave --seeds out")
    if out is not None:
        _need_matplotlib()
        _need_folder(out)
    with Bar() as bar:
        result = _run(name, quick, bar, lang, 0.0, 1.0, **({} if seeds is None else {"seeds": seeds}))
    if out is not None:
        for kind in result.kinds:
            result.plot(kind, lang=lang).figure_.savefig(out / f"{name}_{kind}_{lang}.png", dpi=150)
        (out / f"{name}.json").write_text(json.dumps(result.to_dict(), ensure_ascii=False), encoding="utf-8")
    if as_json:
        _print_json(result.to_dict())
    else:
        echo_claims(result.claims, lang, seconds=result.seconds)
    sys.exit(0 if all(claim.ok for claim in result.claims) else 1)


@main.command()
@JSON
def doctor(as_json: bool) -> None:
    """Show versions and build, and check every op against the reference written in plain torch."""
    from seqgrad._doctor import examine

    found = examine()
    if as_json:
        _print_json(found)
    else:
        for key, value in found["environment"].items():
            click.echo(f"{key:<12} {value}")
        for check in found["checks"]:
            click.echo(f"{'ok  ' if check['ok'] else 'FAIL'} {check['name']:<32} {check['detail']}")
    sys.exit(0 if found["ok"] else 1)


def _run(name: str, quick: bool, bar: Bar, lang: str, before: float, share: float, **options: Any) -> Any:
    from seqgrad import experiments
    from seqgrad.experiments.texts import say

    title = say(f"name.{name}", lang)
    if name == "long_dependency":
        options["workers"] = _processors()
    try:
        return experiments.run(
            name, quick=quick, progress=lambda done, what: bar.show(before + share * done, title, what), **options
        )
    except RuntimeError as error:
        raise click.ClickException(f"{name}: {error}") from error


def _processors() -> int:
    """Processors this process may use, fewer than the machine has in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _need_matplotlib() -> None:
    """Found out before minutes of training, not after them."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise click.UsageError("figures need matplotlib: pip install 'seqgrad[plot]'")


def _need_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: cannot make the folder {out}: {error.strerror}") from None


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1))
