"""How much faster the example programs train on seqgrad's layers: whole training steps, everything included.

    python benchmarks/bench_examples.py
    python benchmarks/bench_examples.py --threads 1 --seconds 20 --json results.json

Two trainings of one program, on torch.nn's and on seqgrad's layers, take one step in turn, on the same data. A step is
the batch, forward, loss, backward, clipping where the program clips, and the optimizer. The ratio is of the medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _timing import interleave, machine

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import language_model
import sequence_classifier

CASES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    *((language_model, ("--cell", cell)) for cell in language_model.CELLS),
    *((language_model, ("--cell", cell, "--unit", "char", "--bptt", "100")) for cell in language_model.CELLS),
    *((sequence_classifier, ("--cell", cell)) for cell in sequence_classifier.CELLS),
)


def stepper(program: Any, layers: str, arguments: tuple[str, ...]) -> Callable[[], float]:
    """One training step per call, epoch after epoch."""
    training = program.Training(program.parse(["--layers", layers, *arguments]))
    losses = itertools.chain.from_iterable(training.epoch() for _ in itertools.count())
    return lambda: next(losses)


def measure(program: Any, arguments: tuple[str, ...], seconds: float) -> dict[str, Any]:
    rivals = {layers: stepper(program, layers, arguments) for layers in ("torch", "seqgrad")}
    times = interleave(rivals, seconds=seconds)
    row: dict[str, Any] = {"program": program.__name__, "arguments": " ".join(arguments)}
    row |= {name: {"median": t.median, "low": t.low, "high": t.high} for name, t in times.items()}
    row["rounds"] = times["torch"].rounds
    row["ratio"] = times["torch"].median / times["seqgrad"].median
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="per case")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    facts = machine()
    print("  ".join(f"{name} {value}" for name, value in facts.items()))
    rows = []
    for program, arguments in CASES:
        rows.append(row := measure(program, arguments, options.seconds))
        torch_ms, ours_ms = (
            f"{1e3 * t['median']:.1f} ({1e3 * t['low']:.1f}-{1e3 * t['high']:.1f})"
            for t in (row["torch"], row["seqgrad"])
        )
        print(f"{row['program']:>20} {row['arguments']:<36} torch.nn {torch_ms} ms  seqgrad {ours_ms} ms  "
              f"ratio {row['ratio']:.2f}  ({row['rounds']} rounds)", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
