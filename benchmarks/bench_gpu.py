"""seqgrad against torch.nn (cuDNN) on a GPU: one Markdown and one JSON file with everything that was measured.

    python benchmarks/bench_gpu.py --out gpu_report
    python benchmarks/bench_gpu.py --quick --cells lstm --precisions bf16
    python benchmarks/bench_gpu.py --device cpu --tiny     # no GPU: the same code on small problems, timed by the host

A ratio above 1 means that seqgrad is faster. Training is one forward and one backward with all gradients, the norms of
every timestep recorded; `norms` is what recording costs over not recording. `us/step` is time per timestep and layer,
beside what the cost model behind seqgrad.explain expects of the recurrence alone (model).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _gpu_report import markdown
from _machines import PRECISIONS, Gpu, Host, precision, settled
from _problems import MODES, PEERS, rivals, settle
from _shapes import Shape
from _timing import interleave

import seqgrad as sg
from seqgrad import _ext


class Problem(NamedTuple):
    """One line of the report."""

    cell: str
    precision: str
    mode: str
    shape: Shape
    layers: int = 1
    bidirectional: bool = False

    def __str__(self) -> str:
        extras = (f" {self.layers} layers" if self.layers > 1 else "") + (" both ways" if self.bidirectional else "")
        return f"{self.cell} {self.precision} {self.mode} {self.shape}{extras}"


class Variant(NamedTuple):
    """A shape and how layers are stacked on it."""

    shape: Shape
    layers: int = 1
    bidirectional: bool = False


HIDDEN = (64, 100, 128, 256, 300, 512, 768, 1000, 1024, 1536)  # cuDNN's persistent kernels: H % 128 == 0, H <= 1024
SAMPLES = (1, 8, 16, 64, 100, 256)
FULL = (
    *(Variant(Shape(32, 256, H, H)) for H in HIDDEN),
    *(Variant(Shape(N, 256, 512, 512)) for N in SAMPLES),
    Variant(Shape(16, 1024, 768, 768)),  # the point of published cuDNN figures
    Variant(Shape(1, 2000, 64, 128)),
    Variant(Shape(32, 256, 256, 256, ragged=True)),
    Variant(Shape(64, 256, 300, 300, ragged=True)),
    Variant(Shape(32, 256, 256, 256), bidirectional=True),
    Variant(Shape(32, 256, 512, 512), layers=2),
)
QUICK = tuple(variant for variant in FULL if variant.shape.T <= 256 and variant.shape.H in (128, 300, 512, 1024))
TINY = (
    Variant(Shape(3, 4, 5, 7)),
    Variant(Shape(4, 6, 3, 16, ragged=True)),
    Variant(Shape(2, 3, 4, 8), layers=2, bidirectional=True),
)


def problems(arguments: argparse.Namespace) -> Iterator[Problem]:
    """Everything that was asked for, the cells outermost."""
    variants = TINY if arguments.tiny else QUICK if arguments.quick else FULL
    for cell, name, variant, mode in itertools.product(
        arguments.cells, arguments.precisions, variants, arguments.modes
    ):
        yield Problem(cell, name, mode, *variant)


def plans(problem: Problem, where: _ext.CudaDevice | str) -> dict[str, Any]:
    """Path and expected microseconds per step of both passes, of the first layer and direction."""
    shape, dtype = problem.shape, PRECISIONS[problem.precision]
    layer = PEERS[problem.cell][1](shape.I, shape.H, problem.layers, bidirectional=problem.bidirectional)
    x = torch.empty(shape.T, shape.N, shape.I, device="meta", dtype=dtype)
    forward, backward, *_ = sg.explain(layer.to("meta", dtype), x, device=where)
    passes = {"infer": [forward], "train": [forward, backward]}[problem.mode]
    expected = [row.step_us for row in passes if row.step_us is not None]
    return {"paths": [row.path for row in passes], "model_us": sum(expected) if expected else None}


def calls(problem: Problem, mode: str, machine: Host | Gpu) -> dict[str, Callable[[], object]]:
    """The rivals on this machine."""
    return rivals(
        problem.cell,
        problem.shape,
        mode,
        device=machine.device,
        dtype=PRECISIONS[problem.precision],
        layers=problem.layers,
        bidirectional=problem.bidirectional,
    )


def measure(problem: Problem, machine: Host | Gpu, where: _ext.CudaDevice | str, seconds: float) -> dict[str, Any]:
    """One row: timings, ratio, price of the norms, microseconds per step, and how far the outputs are apart."""
    shape = problem.shape
    row: dict[str, Any] = {**problem._asdict(), "shape": vars(shape), **plans(problem, where)}
    with precision(problem.precision):
        row["difference"] = difference(problem, machine)
        timings = interleave(calls(problem, problem.mode, machine), seconds=seconds, timer=machine.seconds)
    ours = timings.get("recording", timings["seqgrad"])
    sequential = shape.T * problem.layers * (2 if problem.bidirectional else 1)
    return row | {
        "timings": {name: timing._asdict() for name, timing in timings.items()},
        "ratio": timings["torch"].median / ours.median,
        "norms": ours.median / timings["seqgrad"].median - 1 if problem.mode == "train" else None,
        "step_us": {name: timing.median / sequential * 1e6 for name, timing in timings.items()},
    }


def difference(problem: Problem, machine: Host | Gpu) -> float | None:
    """Largest distance of the two outputs, relative to the largest value. A fast wrong answer is none."""
    if problem.shape.ragged:
        return None  # the peer gives packed rows
    both = calls(problem, "infer", machine)
    theirs, ours = both["torch"](), both["seqgrad"]()
    assert isinstance(theirs, torch.Tensor) and isinstance(ours, torch.Tensor)
    return float((theirs.double() - ours.double()).abs().max() / theirs.double().abs().max())


def try_to_measure(
    problem: Problem, machine: Host | Gpu, where: _ext.CudaDevice | str, seconds: float
) -> dict[str, Any]:
    """A problem that fails (out of memory, say) costs one line of the report, not the report."""
    try:
        return measure(problem, machine, where, seconds)
    except RuntimeError as error:
        return {**problem._asdict(), "shape": vars(problem.shape), "error": str(error).splitlines()[0]}
    finally:
        settle()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--cells", nargs="+", choices=PEERS, default=["rnn", "gru", "lstm"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the middle of the grid, a third of the time each")
    size.add_argument("--tiny", action="store_true", help="a few tiny problems: to try the script itself")
    parser.add_argument("--seconds", type=float, help="budget per problem (default: 0.6; quick 0.2; tiny 0.01)")
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_report"), help="folder for bench_gpu.md and bench_gpu.json"
    )
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not (sg.has_cuda() and torch.cuda.is_available()):
        missing = "no CUDA device" if sg.has_cuda() else f"no CUDA kernels in this build ({_ext.REBUILD_WITH_CUDA})"
        parser.error(f"{missing}; --device cpu --tiny tries the script without")
    return arguments


def main() -> int:
    """Measure, write both files; 1 if a problem failed."""
    arguments = parse()
    if arguments.tiny:
        torch.set_num_threads(1)
    machine = Gpu() if arguments.device == "cuda" else Host()
    where = _ext.cuda_devices()[torch.cuda.current_device()] if arguments.device == "cuda" else "H100"
    seconds = arguments.seconds or (0.01 if arguments.tiny else 0.2 if arguments.quick else 0.6)
    todo, rows = list(problems(arguments)), []
    settled(machine, rivals("lstm", TINY[0].shape, "infer", device=machine.device)["torch"], seconds=seconds)
    for number, problem in enumerate(todo, 1):
        print(f"[{number}/{len(todo)}] {problem}", file=sys.stderr)
        rows.append(try_to_measure(problem, machine, where, seconds))
    result = {
        "machine": machine.facts(),
        "build": sg.build_info()._asdict(),
        "path_wish": os.environ.get("SEQGRAD_CUDA_PATH", "auto"),
        "model_of": "this device" if arguments.device == "cuda" else where,
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "bench_gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "bench_gpu.md").write_text(markdown(result), encoding="utf-8")
    print(f"{arguments.out / 'bench_gpu.md'}\n{arguments.out / 'bench_gpu.json'}")
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
