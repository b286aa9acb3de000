"""Remember the first element: trained networks against the length of the silence, one dot per seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments._measure import INPUTS, Setup
from seqgrad.experiments._remember import BATCH, CLIP, HIDDEN, LEARNT, RATE, remember, success
from seqgrad.experiments._result import Progress, Result, median, one_of, positive, reporter, seeded, spread_out
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.tasks import SENTENCE, first_element, word_distance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS: dict[str, Setup] = {
    "rnn": Setup("rnn"),
    "gru": Setup("gru"),
    "lstm": Setup("lstm"),
    "rnn_orthogonal": Setup("rnn", "orthogonal", zero_bias=True),
    "gru_chrono": Setup("gru", keep="chrono"),
    "lstm_chrono": Setup("lstm", keep="chrono"),
}
PLAIN = ("rnn", "gru", "lstm")
CURED = ("rnn_orthogonal", "gru_chrono", "lstm_chrono")


@dataclass
class LongDependency(Result):
    """``accuracy[network, length]``: test accuracy on 1000 fresh samples, one number per seed."""

    name: ClassVar[str] = "long_dependency"
    kinds: ClassVar[tuple[str, ...]] = ("accuracy", "cures")

    lengths: tuple[int, ...]
    steps: int
    seeds: int
    accuracy: dict[tuple[str, int], list[float]]
    faster: dict[str, float] = field(default_factory=dict)  # times faster than torch.nn, by cell, where it was timed

    def success(self, network: str, length: int) -> float:
        """Share of seeds whose accuracy is at least 0.9."""
        return success(self.accuracy[network, length])

    def mean(self, network: str, length: int) -> float:
        """Mean accuracy over seeds: the lesson's figure, to be read beside the success rate."""
        values = self.accuracy[network, length]
        return sum(values) / len(values)

    def rows(self) -> list[dict[str, Any]]:
        """One row per trained network."""
        return [
            {"network": network, "length": length, "seed": seed, "accuracy": value, "learnt": value >= LEARNT}
            for (network, length), values in self.accuracy.items()
            for seed, value in enumerate(values)
        ]

    def facts(self) -> dict[str, Any]:
        """Protocol and success rates."""
        facts: dict[str, Any] = {
            "steps": self.steps, "seeds": self.seeds, "hidden": HIDDEN, "rate": RATE, "clip": CLIP,
            "lengths": ", ".join(str(length) for length in self.lengths), "longest": self.lengths[-1],
        }  # fmt: skip
        facts |= {"faster": ", ".join(f"{cell.upper()} {times:.1f}" for cell, times in self.faster.items()) or "-"}
        for group, names in (("plain", PLAIN), ("cured", CURED)):
            facts[f"table_{group}"] = "; ".join(
                f"{name} T={length}: {self.success(name, length):.0%}"
                for (name, length) in self.accuracy
                if name in names
            )
        return facts

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``accuracy`` (default networks) or ``cures``."""
        from seqgrad.experiments import _figures

        names = PLAIN if kind == "accuracy" else CURED
        chosen = {key: values for key, values in self.accuracy.items() if key[0] in names}
        return _figures.dots(figure, chosen, say)


def long_dependency(
    cells: Sequence[str] = PLAIN, lengths: Sequence[int] = (10, 20, 50, 100), *, seeds: int = 10, steps: int = 300,
    cures: Sequence[str] = CURED, speed: bool = False, workers: int = 1, progress: bool | Progress = False,
) -> LongDependency:  # fmt: skip
    """Train every cell at every length, and the ``cures`` at lengths of 50 and more, anew for each seed.

    Protocol: H=32, batches of 32 fresh samples, Adam 1e-3, clipping at norm 1, ``steps`` training steps, tested on 1000
    fresh samples. Chance is 0.5. ``workers`` processes share the work; with more than one, a script needs the customary
    ``if __name__ == "__main__":`` around its call. ``speed`` also times a training step of RNN, GRU and LSTM at length
    100 against torch.nn's, in turns: ``result.faster``.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.long_dependency(("rnn",), (3,), seeds=1, steps=200, cures=())
        >>> run.success("rnn", 3)
        1.0
    """
    for cell in (*cells, *cures):
        one_of("cells", cell, tuple(NETWORKS))
    for length in lengths:
        positive("lengths", length, at_least=2)
    if not lengths:
        raise ValueError("lengths must name at least one length, got none")
    positive("seeds", seeds), positive("steps", steps), positive("workers", workers)
    start, tell = time.perf_counter(), reporter(progress, "long_dependency")
    plan = [(cell, length) for cell in cells for length in lengths]
    plan += [(cell, length) for cell in cures for length in lengths if length >= 50]
    jobs = [(cell, length, seed, steps) for cell, length in plan for seed in range(seeds)]
    jobs.sort(key=lambda job: -job[1])  # long ones first, so that no worker ends with one alone
    values = spread_out(
        train_once, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks")
    )
    by_job = dict(zip(jobs, values, strict=True))
    accuracy = {(cell, length): [by_job[cell, length, seed, steps] for seed in range(seeds)] for cell, length in plan}
    result = LongDependency(tuple(sorted(set(lengths))), steps, seeds, accuracy)
    if speed:
        result.faster = {cell: step_speed(cell) for cell in PLAIN}
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def train_once(network: str, length: int, seed: int, steps: int = 300) -> float:
    """One network from scratch; returns its accuracy on 1000 samples it never saw."""
    return remember(NETWORKS[network], length, seed, steps=steps)


def step_speed(cell: str, length: int = 100, *, rounds: int = 60) -> float:
    """How many times as long torch.nn takes for one training step: medians of steps in turns.

    Both do what :func:`train_once` does in a step, Adam, clipping and fresh data included, on one thread. Processor
    time is measured: work beside it must not count.
    """
    steppers = []
    with seeded(0):
        for home in (sg, nn):
            layer = getattr(home, cell.upper())(INPUTS, HIDDEN)
            head = nn.Linear(HIDDEN, 2)
            parameters = [*layer.parameters(), *head.parameters()]
            steppers.append((layer, head, parameters, torch.optim.Adam(parameters, RATE, fused=True)))
        spent: list[list[float]] = [[], []]
        for turn in range(-5, rounds):  # the first ones warm up
            for k, (layer, head, parameters, optimizer) in enumerate(steppers):
                start = time.process_time()
                x, y = first_element(length, BATCH)
                optimizer.zero_grad()
                nn.functional.cross_entropy(head(layer(x)[0][-1]), y).backward()
                nn.utils.clip_grad_norm_(parameters, CLIP)
                optimizer.step()
                if turn >= 0:
                    spent[k].append(time.process_time() - start)
    return median(spent[1]) / median(spent[0])


def _judge(result: LongDependency) -> list[Claim]:
    """Only the claims whose networks and lengths were run."""
    means = {"dependency.rnn_10": ("rnn", 10), "dependency.rnn_50": ("rnn", 50), "dependency.rnn_100": ("rnn", 100)}
    claims = [judge("dependency.distance", word_distance(SENTENCE, "cat", "was"))]
    if result.steps != 300:
        return claims
    claims += [judge(id, result.mean(*key)) for id, key in means.items() if key in result.accuracy]
    if ("rnn", 20) in result.accuracy:
        values = result.accuracy["rnn", 20]
        between = sum(0.6 < value < LEARNT for value in values) / len(values)
        claims.append(judge("dependency.all_or_nothing", between))
    rates = {
        "dependency.lstm_default": ("lstm", 100),
        "dependency.gru_default": ("gru", 100),
        "dependency.rnn_orthogonal": ("rnn_orthogonal", 100),
        "dependency.lstm_chrono": ("lstm_chrono", 100),
        "dependency.gru_chrono": ("gru_chrono", 100),
    }
    return claims + [judge(id, result.success(*key)) for id, key in rates.items() if key in result.accuracy]
