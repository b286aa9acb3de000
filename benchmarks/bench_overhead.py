"""What a call costs that computes next to nothing: one time step of one sample, beside torch.nn's, and where it goes.

    python benchmarks/bench_overhead.py
    python benchmarks/bench_overhead.py --seconds 10 --json overhead.json

Microseconds per call: medians of interleaved runs. The second table takes a call apart from the inside out: the kernel
by itself (where there is a graph: an autograd Function that does nothing), the function that hands it to autograd,
``forward`` of the module, the module called; each beside the same of torch.nn, which has no function between kernel and
module. Training is a forward and a backward with all gradients of the parameters.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _timing import Timing, interleave, machine
from torch import Tensor, nn

import seqgrad as sg
from seqgrad import _ops

CLASSES = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
MODES = ("inference", "forward", "training")  # without a graph; with one; forward and backward
CELLS = {"RNN": "rnn_tanh", "GRU": "gru", "LSTM": "lstm"}  # the same names in both libraries
BATCH = 50  # calls between two looks at the clock

Call = Callable[[], object]


def by_the_batch(call: Call) -> float:
    """Seconds per call of a few at once: a look at the clock costs about as much as a call's smallest part."""
    start = time.perf_counter()
    for _ in range(BATCH):
        call()
    return (time.perf_counter() - start) / BATCH


def first(result: Any) -> Tensor:
    """The output of a layer or cell."""
    tensor: Tensor = result[0] if isinstance(result, tuple | list) else result
    return tensor


def in_mode(mode: str, run: Call, parameters: Sequence[Tensor]) -> Call:
    """``run`` without a graph, with one, or with one and back through it."""

    def inference() -> None:
        with torch.no_grad():
            run()

    def training() -> None:
        out = first(run())
        torch.autograd.grad(out, parameters, ones)

    ones = torch.ones_like(first(run()))
    return {"inference": inference, "forward": run, "training": training}[mode]


def build(library: Any, name: str, H: int) -> tuple[nn.Module, Tensor]:
    """A module with ``H`` inputs and units, and its input of one sample (and one time step)."""
    torch.manual_seed(0)
    shape = (1, H) if name.endswith("Cell") else (1, 1, H)
    return getattr(library, name)(H, H), torch.randn(shape)


def whole(name: str, mode: str, H: int) -> dict[str, Call]:
    """torch.nn and seqgrad as a user calls them."""
    calls = {}
    for rival, library in (("torch.nn", nn), ("seqgrad", sg)):
        module, x = build(library, name, H)
        calls[rival] = in_mode(mode, partial(module, x), list(module.parameters()))
    return calls


def parts(name: str, mode: str, H: int) -> dict[str, Call]:
    """A call from the inside out, ours and torch.nn's."""
    module, x = build(sg, name, H)
    theirs, _ = build(nn, name, H)
    w_ih, w_hh, b_ih, b_hh = module.parameters()
    weights, own = (w_ih, w_hh, b_ih, b_hh), list(theirs.parameters())
    cell, state = CELLS[name.removesuffix("Cell")], torch.zeros(1, H)
    told = _ops.settings(cell, False, 1.0, None, 0)
    nothing = (None, None, None, None)  # neither projection nor states nor lengths
    inner: dict[str, Call] = {
        "kernel": lambda: torch.ops.seqgrad.eager.default(x, *weights, *nothing, *told, False),
        "function": lambda: _ops.eager(x, *weights, *nothing, told),
    }
    hx: Any = state if name.endswith("Cell") else state.unsqueeze(0)
    if cell == "lstm":
        hx = (hx, hx)
    if name.endswith("Cell"):
        kernel = getattr(torch._VF, f"{CELLS[name.removesuffix('Cell')]}_cell")
        torchs = lambda: kernel(x, hx, *own)  # noqa: E731
    else:
        kernel = getattr(torch._VF, CELLS[name])
        torchs = lambda: kernel(x, hx, own, True, 1, 0.0, True, False, False)  # noqa: E731
    if mode != "inference":
        inner = {"an empty Function": lambda: Nothing.apply(x, *weights), "function": inner["function"]}
    steps = {**inner, "module.forward": lambda: module.forward(x), "module": lambda: module(x)}
    calls = {f"seqgrad {what}": in_mode(mode, run, weights) for what, run in steps.items()}
    steps = {"kernel": torchs, "module.forward": lambda: theirs.forward(x), "module": lambda: theirs(x)}
    return calls | {f"torch.nn {what}": in_mode(mode, run, own) for what, run in steps.items()}


class Nothing(torch.autograd.Function):
    """What autograd takes for a node in Python: forward and backward hand out tensors that are there already."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        """``x`` under another name."""
        ctx.save_for_backward(x, *weights)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The weights as their own gradients."""
        return (None, *ctx.saved_tensors[1:])


def microseconds(timing: Timing) -> str:
    """The median, and the quartiles around it."""
    return f"{timing.median * 1e6:.1f} ({timing.low * 1e6:.1f}-{timing.high * 1e6:.1f})"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=16, help="inputs and units (16)")
    parser.add_argument("--seconds", type=float, default=1.0, help="time per row (1)")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES)
    parser.add_argument("--parts", nargs="*", choices=CLASSES, default=("LSTM", "LSTMCell"), help="what to take apart")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    facts, rows = machine(), []
    print("  ".join(f"{key}: {value}" for key, value in facts.items()), file=sys.stderr)
    print("| class | mode | torch.nn, us | seqgrad, us | seqgrad / torch.nn |\n|---|---|---|---|---|")
    for name in options.classes:
        for mode in MODES:
            found = interleave(whole(name, mode, options.hidden), seconds=options.seconds, timer=by_the_batch)
            ratio = found["seqgrad"].median / found["torch.nn"].median
            rows.append({"class": name, "mode": mode, "timings": {k: t._asdict() for k, t in found.items()}})
            print(f"| {name} | {mode} | {' | '.join(map(microseconds, found.values()))} | {ratio:.2f} |", flush=True)
    print("\n| class | mode | part | us, all that is inside it included |\n|---|---|---|---|")
    for name in options.parts:
        for mode in MODES:
            found = interleave(parts(name, mode, options.hidden), seconds=options.seconds, timer=by_the_batch)
            rows.append({"parts of": name, "mode": mode, "timings": {k: t._asdict() for k, t in found.items()}})
            for part, timing in found.items():
                print(f"| {name} | {mode} | {part} | {microseconds(timing)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "hidden": options.hidden, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
