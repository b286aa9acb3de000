"""Truncated BPTT: where the gradient is cut, what a cut leaves learnable, and the lesson's sample made whole."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

import seqgrad as sg
from seqgrad.experiments._measure import Setup, build, flow, signal_at_start
from seqgrad.experiments._remember import HIDDEN, remember, success
from seqgrad.experiments._result import Progress, Result, median, positive, reporter, seeded, spread_out
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = {
    "lstm_chrono": Setup("lstm", keep="chrono"),
    "rnn_orthogonal": Setup("rnn", "orthogonal", zero_bias=True),
}
STEPS = 300
KEEPS = Setup("rnn", "orthogonal", zero_bias=True)  # its gradient reaches the start, so that a cut can be seen
# The lesson's loop, lines 150-156, in names of ours: no loss is computed, nothing is cleared, no step is made.
SAMPLE = """\
for i in range(0, len(x), size):
    output, hidden = model(x[i:i + size], hidden)
    loss.backward()
    hidden = hidden.detach()
"""


@dataclass
class Truncation(Result):
    """``curves[size]``: relative norm at t = 1..T, by chunk size; ``accuracy[network, size]``: one per seed."""

    name: ClassVar[str] = "truncation"
    kinds: ClassVar[tuple[str, ...]] = ("cut", "learning")

    length: int
    sizes: tuple[int, ...]  # the last is the whole sequence
    seeds: int
    steps: int
    curves: dict[int, list[float]]
    beyond: float  # largest norm beyond the cut
    whole: float  # largest difference of anything between truncate >= T and no truncation
    loop: float  # and between truncate=k and the loop of chunks with detach, relative
    sample: dict[str, str]  # what the lesson's loop says, run as it stands: "rnn", "lstm", "moved"
    accuracy: dict[tuple[str, int], list[float]]

    def cut(self, size: int) -> int:
        """The first timestep (from 1) that a loss on the last state still reaches."""
        return size * ((self.length - 1) // size) + 1

    def rows(self) -> list[dict[str, Any]]:
        """One row per timestep of a curve, and per trained network."""
        rows: list[dict[str, Any]] = [
            {"part": "gradient", "size": size, "t": t, "norm": value}
            for size, curve in self.curves.items()
            for t, value in enumerate(curve, 1)
        ]
        rows += [
            {"part": "learning", "size": size, "network": network, "seed": seed, "accuracy": value}
            for (network, size), values in self.accuracy.items()
            for seed, value in enumerate(values)
        ]
        return rows

    def facts(self) -> dict[str, Any]:
        """Sizes, success rates, and what the lesson's loop said."""
        table = "; ".join(f"{net} k={size}: {success(v):.0%}" for (net, size), v in self.accuracy.items())
        short, orthogonal = self.sizes[0], self.accuracy.get(("rnn_orthogonal", self.sizes[0]), [math.nan])
        return {
            "length": self.length, "sizes": ", ".join(map(str, self.sizes)), "seeds": self.seeds, "steps": self.steps,
            "short": short, "cut": self.cut(short), "table": table, "reservoir": median(orthogonal),
            "sample_rnn": self.sample["rnn"], "sample_lstm": self.sample["lstm"], "hidden": HIDDEN,
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``cut`` (gradients) or ``learning`` (accuracy)."""
        from seqgrad.experiments import _draw_lesson

        if kind == "cut":
            return _draw_lesson.cuts(figure, {f"k = {size}": curve for size, curve in self.curves.items()}, say)
        return _draw_lesson.strips(figure, self.accuracy, say, "network", None, x_label="truncation.axis")


def truncation(
    sizes: Sequence[int] = (5, 10, 25), *, length: int = 50, seeds: int = 5, steps: int = STEPS, workers: int = 1,
    progress: bool | Progress = False,
) -> Truncation:  # fmt: skip
    """Cut the backward every k steps: see where the gradient ends, and train on a label at the end.

    The task is the lesson's (the sign of the first element, told at the end), ``length`` steps long; H=32, Adam 1e-3,
    clip 1, batches of 32, for every k in ``sizes`` and for the whole sequence. Both networks learn it with the whole
    gradient. Truncated BPTT: Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.truncation((4,), length=8, seeds=1, steps=1)
        >>> [norm > 0 for norm in run.curves[4]]
        [False, False, False, False, True, True, True, True]
    """
    positive("length", length, at_least=2)
    if not sizes:
        raise ValueError("sizes must name at least one chunk size, got none")
    for size in sizes:
        positive("sizes", size)
        if size >= length:
            raise ValueError(f"sizes must be below length={length}, which is always run besides; got {size}")
    positive("seeds", seeds), positive("steps", steps), positive("workers", workers)
    start, tell = time.perf_counter(), reporter(progress, "truncation")
    chunks = (*sorted(set(sizes)), length)
    curves = {}
    for size in chunks:
        norms = flow(KEEPS, steps=length, hidden=HIDDEN, seed=0, truncate=size).grad_h
        curves[size] = [norm / norms[-1] for norm in norms]
    jobs = [
        (NETWORKS[name], length, seed, steps, size) for name in NETWORKS for size in chunks for seed in range(seeds)
    ]
    values = spread_out(_train, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks"))
    keys = [(name, size) for name in NETWORKS for size in chunks]
    accuracy = {key: values[k * seeds : (k + 1) * seeds] for k, key in enumerate(keys)}
    result = Truncation(
        length, chunks, seeds, steps, curves, 0.0, whole_distance(length), loop_distance(length, chunks[0]),
        sample_said(), accuracy,
    )  # fmt: skip
    result.beyond = max(max(curves[size][: result.cut(size) - 1]) for size in chunks[:-1])
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def _train(setup: Setup, length: int, seed: int, steps: int, size: int) -> float:
    return remember(setup, length, seed, steps=steps, truncate=size)


def _gradients(length: int, truncate: int | None) -> list[torch.Tensor]:
    """Outputs, norms and all gradients of an LSTM with a loss at every step, in float32."""
    with seeded(0):
        layer: Any = build(Setup("lstm"), hidden=HIDDEN, steps=length, truncate=truncate)
        x = torch.randn(length, 4, 10, requires_grad=True)
    with sg.record(layer) as rec:
        out, _ = layer(x)
        out.square().sum().backward()
    assert x.grad is not None
    return [out.detach(), rec[""].l0.grad_h, x.grad, *(p.grad for p in layer.parameters())]


def whole_distance(length: int) -> float:
    """Largest difference of any output, norm or gradient between ``truncate`` of T and more and full BPTT: 0."""
    whole = _gradients(length, None)
    return max(
        float((a - b).abs().max())
        for size in (length, length + 7)
        for a, b in zip(_gradients(length, size), whole, strict=True)
    )


def loop_distance(length: int, size: int) -> float:
    """Relative distance of the weights' gradient with ``truncate=size`` to the loop of chunks with detach, float64."""
    grads = []
    for fused in (True, False):
        with seeded(0):
            layer: Any = build(
                Setup("lstm"), hidden=HIDDEN, steps=length, dtype=torch.float64, truncate=size if fused else None
            )
            x = torch.randn(length, 4, 10, dtype=torch.float64)
        state: Any = None
        for chunk, _, _, _ in [(x, None, 0, True)] if fused else sg.tbptt(x, size=size):
            out, state = layer(chunk, sg.detach(state))
            out.square().sum().backward()
        grads.append(layer.weight_hh_l0.grad)
    return float((grads[0] - grads[1]).norm() / grads[1].norm())


def sample_said() -> dict[str, str]:
    """Run the lesson's loop as it stands, then with a loss, on an RNN and on an LSTM: what Python answers.

    ``moved`` tells how far the weights have come when the loop, given a loss, ends: it makes no step.
    """
    said = {}
    with seeded(0):
        x = signal_at_start(20, 4)
        for name, cls in (("rnn", sg.RNN), ("lstm", sg.LSTM)):
            model: Any = cls(10, 8)
            code = SAMPLE if name == "rnn" else SAMPLE.replace("loss.", "output.sum().")
            try:
                exec(code, {"x": x, "size": 5, "model": model, "hidden": None})
                said[name] = "-"
            except (NameError, AttributeError) as error:
                said[name] = f"{type(error).__name__}: {error}"
        model = sg.RNN(10, 8)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        exec(SAMPLE.replace("loss.", "output.sum()."), {"x": x, "size": 5, "model": model, "hidden": None})
        moved = sum(float((a - b).detach().abs().sum()) for a, b in zip(model.parameters(), before, strict=True))
    return {**said, "moved": repr(moved)}


def _judge(result: Truncation) -> list[Claim]:
    failing = [name for name in ("rnn", "lstm") if "Error" in result.sample[name]]
    claims = [
        judge("truncation.zero", result.beyond),
        judge("truncation.whole", result.whole),
        judge("truncation.loop", result.loop),
        judge("truncation.sample", len(failing) + (result.sample["moved"] == "0.0")),
    ]
    if result.steps == STEPS and result.length == 50:
        whole = [success(result.accuracy[name, 50]) for name in NETWORKS]
        cut = [success(result.accuracy[name, size]) for name in NETWORKS for size in result.sizes[:-1]]
        claims += [
            judge("truncation.learns_whole", min(whole)),
            judge("truncation.learns_cut", max(cut)),
            judge("truncation.reservoir", result.facts()["reservoir"]),
        ]
    return claims
