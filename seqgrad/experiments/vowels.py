"""Ragged sequences: nine speakers told apart by a vowel pair, in packed batches and, the same, with ``lengths=``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from seqgrad.experiments._comparison import CELLS, Comparison, Fit, check, fit
from seqgrad.experiments._result import Progress, reporter, spread_out
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.datasets import japanese_vowels

HIDDEN, RATE, UPDATES = 32, 2e-3, 600


@dataclass
class Vowels(Comparison):
    """Accuracy on 370 test utterances; ``difference`` of the losses between the two forms of a ragged batch."""

    name: ClassVar[str] = "vowels"
    rate: ClassVar[float] = RATE

    difference: float = 0.0  # largest over cells and updates, relative to the loss

    def facts(self) -> dict[str, Any]:
        """Budget and medians."""
        return {**super().facts(), "difference": self.difference}


def vowels(
    cells: Sequence[str] = CELLS, *, seeds: int = 5, updates: int = UPDATES, workers: int = 1,
    progress: bool | Progress = False,
) -> Vowels:  # fmt: skip
    """Train every cell on JapaneseVowels, packed, anew for each seed. Needs the extra ``[data]``.

    Protocol: H=32, Adam 2e-3, clipping at norm 1, 600 updates of 32 of the 270 training utterances, each batch a
    PackedSequence of 7 to 26 timesteps; the state at each utterance's own end is read by a linear layer; accuracy on
    the 370 test utterances (up to 29 timesteps). The first seed of each cell is trained once more from the same start
    with the padded batch and ``lengths=``: the losses must be the same. The gradient is counted back from each
    utterance's own end.

    Source: data of Kudo, Toyama and Shimbo 1999; see :func:`seqgrad.experiments.datasets.japanese_vowels`.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.vowels(("gru",), seeds=1, updates=3)
        >>> run.difference < 1e-5
        True
    """
    check(cells, seeds=seeds, updates=updates, workers=workers)
    start, tell = time.perf_counter(), reporter(progress, "vowels")
    data = japanese_vowels()
    jobs = [(cell, seed, updates, True) for cell in cells for seed in range(seeds)]
    jobs += [(cell, 0, updates, False) for cell in cells]
    found = spread_out(_train, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks"))
    by_job = dict(zip(jobs, found, strict=True))
    fits = [one for (*_, packed), (one, _) in by_job.items() if packed]
    difference = max(
        abs(a - b) / a
        for cell in cells
        for a, b in zip(*(by_job[cell, 0, updates, packed][1] for packed in (True, False)), strict=True)
    )
    result = Vowels(fits, updates, HIDDEN, {"vowels": data.steps}, difference=difference)
    result.claims = _judge(result) if updates == UPDATES else []
    result.seconds = time.perf_counter() - start
    return result


def _train(cell: str, seed: int, updates: int, packed: bool) -> tuple[Fit, list[float]]:
    def form(x: Tensor, lengths: Tensor) -> tuple[Any, ...]:
        return (pack_padded_sequence(x, lengths, enforce_sorted=False),) if packed else (x, lengths)

    return fit("vowels", cell, seed, japanese_vowels(), hidden=HIDDEN, rate=RATE, updates=updates, form=form)


def _judge(result: Vowels) -> list[Claim]:
    """Only the claims whose cells were run."""
    claims = [judge("vowels.same", result.difference)]
    if set(CELLS) <= set(result.cells):
        claims.append(judge("vowels.learnt", min(result.outcome("vowels", cell) for cell in CELLS)))
        claims.append(judge("vowels.horizon", result.opening("vowels")))
    return claims
