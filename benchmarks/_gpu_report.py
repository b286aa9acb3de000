"""The Markdown of bench_gpu.py: what was measured on what, a summary, then every problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from _shapes import Shape
from _timing import Timing, geometric_mean


def markdown(result: dict[str, Any]) -> str:
    """One page from what bench_gpu.json holds."""
    facts, rows = result["machine"], result["rows"]
    done = [row for row in rows if "error" not in row]
    lines = [
        f"# seqgrad and torch.nn on {facts.get('gpu', facts['processor'])}",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        f"- seqgrad: {result['build']['version']}, CUDA code for {result['build']['cuda_archs'] or 'nothing'}",
        f"- path: {result['path_wish']}",
        "",
        "Medians with quartiles, in milliseconds. Ratio: torch.nn over seqgrad (training: with the norms recorded);",
        "above 1 seqgrad is faster. Norms: what recording adds. us/step: per timestep, layer and direction, with the",
        "products over all timesteps; model: what the cost model expects of the recurrence alone on "
        f"{result['model_of']}.",
        "",
        *summary(done),
        "",
        *table(done),
    ]
    failed = [row for row in rows if "error" in row]
    if failed:
        lines += ["", "## Failed", "", *(f"- {_name(row)}: {row['error']}" for row in failed)]
    return "\n".join(lines) + "\n"


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """Per cell, precision and mode: geometric mean and worst ratio, mean price of the norms, largest difference."""
    lines = [
        "| cell | precision | mode | problems | geometric mean | worst | at | norms | largest difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((row["cell"], row["precision"], row["mode"]) for row in rows):
        group = [row for row in rows if (row["cell"], row["precision"], row["mode"]) == key]
        worst = min(group, key=lambda row: float(row["ratio"]))
        lines.append(
            f"| {' | '.join(key)} | {len(group)} | {geometric_mean(row['ratio'] for row in group):.2f} "
            f"| {worst['ratio']:.2f} | {_where(worst)} | {_price(group)} | {_largest(group)} |"
        )
    return lines


def table(rows: list[dict[str, Any]]) -> list[str]:
    """One line per problem."""
    lines = [
        "| cell | precision | mode | N,T,I,H | path | torch.nn, ms | seqgrad, ms | ratio | norms | us/step | model |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        timings = {name: Timing(**values) for name, values in row["timings"].items()}
        name = "recording" if "recording" in timings else "seqgrad"
        model = "" if row["model_us"] is None else f"{row['model_us']:.2f}"
        price = "" if row["norms"] is None else f"{row['norms']:+.1%}"
        lines.append(
            f"| {row['cell']} | {row['precision']} | {row['mode']} | {_where(row)} | {', '.join(row['paths'])} "
            f"| {_milliseconds(timings['torch'])} | {_milliseconds(timings[name])} | {row['ratio']:.2f} | {price} "
            f"| {row['step_us'][name]:.2f} | {model} |"
        )
    return lines


def _name(row: dict[str, Any]) -> str:
    return f"{row['cell']} {row['precision']} {row['mode']} {_where(row)}"


def _where(row: dict[str, Any]) -> str:
    extras = (f" x{row['layers']}" if row["layers"] > 1 else "") + (" both ways" if row["bidirectional"] else "")
    return f"{Shape(**row['shape'])}{extras}"


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:.3g} ({timing.low * 1e3:.3g}-{timing.high * 1e3:.3g})"


def _price(rows: Iterable[dict[str, Any]]) -> str:
    prices = [1 + row["norms"] for row in rows if row["norms"] is not None]
    return f"{geometric_mean(prices) - 1:+.1%}" if prices else ""


def _largest(rows: Iterable[dict[str, Any]]) -> str:
    found = [row["difference"] for row in rows if row["difference"] is not None]
    return f"{max(found):.1e}" if found else ""
