"""Agreement at a fixed distance: how long training takes, beside the gradient that reaches the subject before it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import seqgrad as sg
from seqgrad.experiments._lexicon import LEXICONS
from seqgrad.experiments._reader import BATCH, CELLS, CLIP, EMBED, HIDDEN, RATE, Reader, Teacher
from seqgrad.experiments._result import Progress, Result, one_of, positive, reporter, seeded, spread_out
from seqgrad.experiments._tasks_agreement import Agreement, agreement
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODIFIERS = (1, 2, 3, 4, 6)
MOST = len(LEXICONS["en"].nouns[0]) - 1
STEPS, EVERY, LEARNT, TESTED = 1500, 10, 0.95, 500


@dataclass(frozen=True)
class Network:
    """One training. ``mixed``: its sentences had any number of modifiers up to ``modifiers``, on which it is tested.

    ``log_ratio``: log10 of the gradient at the subject over that at the last word before the first step (dL/dc for an
    LSTM). ``steps``: until 95 % of fresh sentences are right, None if that was never so. ``number`` and ``gender``:
    share of answers that are right in these at the end.
    """

    language: str
    cell: str
    modifiers: int
    mixed: bool
    seed: int
    log_ratio: float
    steps: int | None
    number: float
    gender: float


@dataclass
class AgreementDistance(Result):
    """``networks``: one entry per training."""

    name: ClassVar[str] = "agreement_distance"
    kinds: ClassVar[tuple[str, ...]] = ("steps", "gradient")

    budget: int
    seeds: int
    networks: list[Network]

    def chosen(
        self, *, cell: str | None = None, modifiers: int | None = None, mixed: bool = False, language: str | None = None
    ) -> list[Network]:
        """The networks like that; None takes all."""
        return [
            net for net in self.networks
            if net.mixed == mixed and cell in (None, net.cell) and modifiers in (None, net.modifiers)
            and language in (None, net.language)
        ]  # fmt: skip

    def waits(self, networks: Sequence[Network]) -> list[float]:
        """Training steps until 95 %, the budget for those that never got there."""
        return [float(net.steps or self.budget) for net in networks]

    def success(self, networks: Sequence[Network]) -> float:
        """Share of networks that reached 95 %; NaN of none."""
        return sum(net.steps is not None for net in networks) / len(networks) if networks else math.nan

    def rows(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [asdict(net) for net in self.networks]

    def facts(self) -> dict[str, Any]:
        """Protocol; medians and success rates by cell and number of modifiers."""
        facts: dict[str, Any] = {
            "steps": self.budget, "seeds": self.seeds, "hidden": HIDDEN, "embed": EMBED, "batch": BATCH, "rate": RATE,
            "clip": CLIP, "tested": TESTED, "every": EVERY, "correlation": rank_correlation(*self._pairs()),
        }  # fmt: skip
        lines = []
        for language, cell in dict.fromkeys((net.language, net.cell) for net in self.networks):
            of = [self.chosen(language=language, cell=cell, modifiers=k) for k in MODIFIERS]
            parts = [f"{len([n for n in nets if n.steps])}/{len(nets)}" for nets in of if nets]
            lines.append(f"{cell} ({language}): {', '.join(parts)}")
        facts["table"] = "; ".join(lines)
        return facts

    def _pairs(self) -> tuple[list[float], list[float]]:
        networks = self.chosen()
        return [-net.log_ratio for net in networks], self.waits(networks)

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``steps`` against distance, or against the ``gradient`` at the start."""
        from seqgrad.experiments import _draw_agreement

        if kind == "steps":
            return _draw_agreement.waits(figure, self, say)
        return _draw_agreement.ratios(figure, self, say)


def agreement_distance(
    cells: Sequence[str] = CELLS, languages: Sequence[str] = tuple(LEXICONS), *,
    modifiers: Sequence[int] = MODIFIERS, seeds: int = 5, steps: int = STEPS, workers: int = 1,
    progress: bool | Progress = False,
) -> AgreementDistance:  # fmt: skip
    """Train readers on sentences with so many ``modifiers`` and no fewer, until 95 % of 500 fresh ones are right.

    "The map near the keys behind the box [was ...]": each modifier moves the answer three words away. Before training,
    one backward of the test sentences is recorded: how much of the last word's gradient reaches the subject. At the
    largest number of modifiers each cell is trained once more with shorter sentences among the long ones.

    Protocol: embedding 16, H=32, torch's initialisation, Adam 3e-3, clipping at norm 1, at most ``steps`` batches of 64
    fresh sentences, tested every 10. ``workers`` processes share the networks.

    Source: Linzen, Dupoux and Goldberg 2016, "Assessing the Ability of LSTMs to Learn Syntax-Sensitive Dependencies",
    for the task; Bengio, Simard and Frasconi 1994, "Learning Long-Term Dependencies with Gradient Descent is
    Difficult", for why distance costs.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.agreement_distance(("lstm",), ("en",), modifiers=(1,), seeds=1)
        >>> run.success(run.chosen())
        1.0
    """
    for cell in cells:
        one_of("cells", cell, CELLS)
    for language in languages:
        one_of("languages", language, tuple(LEXICONS))
    if not (cells and languages and modifiers):
        raise ValueError("cells, languages and modifiers must name at least one each")
    for count in modifiers:
        if positive("modifiers", count) > MOST:
            raise ValueError(f"modifiers must be at most {MOST}, since no noun comes twice; got {count}")
    positive("seeds", seeds), positive("steps", steps), positive("workers", workers)
    start, tell = time.perf_counter(), reporter(progress, "agreement_distance")
    kinds: list[tuple[tuple[int, ...], bool]] = [((count,), False) for count in modifiers]
    if len(modifiers) > 1:
        kinds.append((tuple(sorted(modifiers)), True))
    jobs = [
        (language, cell, depths, mixed, seed, steps)
        for depths, mixed in sorted(kinds, key=lambda kind: -kind[0][-1])  # long ones first: no worker ends with one
        for language in languages for cell in cells for seed in range(seeds)
    ]  # fmt: skip
    networks = spread_out(
        train_once, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks")
    )
    result = AgreementDistance(steps, seeds, networks)
    full = steps == STEPS and set(MODIFIERS) <= set(modifiers) and set(CELLS) == set(cells)
    result.claims = _judge(result) if full else []
    result.seconds = time.perf_counter() - start
    return result


def train_once(language: str, cell: str, depths: tuple[int, ...], mixed: bool, seed: int, steps: int) -> Network:
    """One network from scratch, until it has learnt or ``steps`` are over."""
    with seeded(seed):
        data = agreement(steps * BATCH, language=language, kind="modified", depths=depths)
        test = agreement(TESTED, language=language, kind="modified", depths=depths[-1:])
        reader = Reader(cell, len(data.vocabulary), len(data.answers))
        ratio, teacher = _log_ratio(reader, test), Teacher(reader, data)
        learnt = None
        for step in range(1, steps + 1):
            teacher.step()
            if step % EVERY == 0 and float(reader.right(test).double().mean()) >= LEARNT:
                learnt = step
                break
        answers, labels = reader.answer(test), test.labels
        number, gender = answers % 2 == labels % 2, answers // 2 == labels // 2
        return Network(
            language, cell, depths[-1], mixed, seed, ratio, learnt,
            float(number.double().mean()), float(gender.double().mean()),
        )  # fmt: skip


def _log_ratio(reader: Reader, test: Agreement) -> float:
    """Log10 of the recorded gradient at the subject, the second word, over that at the last word."""
    with sg.record(reader) as rec:
        cross_entropy(reader(test), test.labels).backward()
    reader.zero_grad()
    series = rec["rnn"].l0
    norms = series.norm("grad_h" if series.grad_c is None else "grad_c").double()
    return float((norms[1] / norms[-1]).log10())


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks.

    Example:
        >>> rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
        0.8
    """

    def ranks(values: Sequence[float]) -> Tensor:
        x = torch.tensor(values, dtype=torch.float64)
        return (x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1) - 1) / 2

    pair = torch.stack([ranks(first), ranks(second)]).double()
    return round(float(torch.corrcoef(pair)[0, 1]), 12)


def _judge(result: AgreementDistance) -> list[Claim]:
    longest = max(net.modifiers for net in result.networks)
    return [
        judge("distance.short", result.success(result.chosen(modifiers=1))),
        judge("distance.long", result.success(result.chosen(modifiers=longest))),
        judge("distance.gradient", result.facts()["correlation"]),
        judge("distance.curriculum", result.success(result.chosen(modifiers=longest, mixed=True))),
    ]
