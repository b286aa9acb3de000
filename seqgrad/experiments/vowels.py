"""Ragged sequences: nine speakers told apart by a vowel pair, in packed batches; ``lengths=`` gives the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from seqgrad.experiments._comparison import BATCH, CELLS, LAYERS, Comparison, Fit, check, fit
from seqgrad.experiments._reach import Reader
from seqgrad.experiments._result import Progress, reporter, seeded, spread_out
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.datasets import japanese_vowels

HIDDEN, RATE, UPDATES = 32, 2e-3, 600


@dataclass
class Vowels(Comparison):
    """Accuracy on 370 test utterances; ``difference`` between the two forms of a ragged batch."""

    name: ClassVar[str] = "vowels"
    rate: ClassVar[float] = RATE

    difference: float  # of the gradients, relative to their norm in float64: the largest over cells and batches

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
    the 370 test utterances (up to 29 timesteps). Besides, the gradients of every cell in float64 on packed batches are
    compared with those on padded ones with ``lengths=``. The gradient's reach is counted back from each utterance's own
    end.

    Source: data of Kudo, Toyama and Shimbo 1999; see :func:`seqgrad.experiments.datasets.japanese_vowels`.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.vowels(("gru",), seeds=1, updates=3)
        >>> run.difference < 1e-12
        True
    """
    check(cells, seeds=seeds, updates=updates, workers=workers)
    start, tell = time.perf_counter(), reporter(progress, "vowels")
    data = japanese_vowels()
    jobs = [(cell, seed, updates) for cell in cells for seed in range(seeds)]
    fits = spread_out(_train, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks"))
    difference = max(between_forms(cell) for cell in cells)
    result = Vowels(fits, updates, HIDDEN, {"vowels": data.steps}, difference=difference)
    result.claims = _judge(result) if updates == UPDATES else []
    result.seconds = time.perf_counter() - start
    return result


def packed(x: Tensor, lengths: Tensor) -> tuple[PackedSequence]:
    """What a network is called with: the batch without its padding."""
    return (pack_padded_sequence(x, lengths, enforce_sorted=False),)


def padded(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The same batch as it is, with its lengths."""
    return x, lengths


def between_forms(cell: str, *, batches: int = 5) -> float:
    """Largest distance of all parameters' gradients, packed and padded, over the norm of the packed ones; float64."""
    x, y, lengths = japanese_vowels().train
    with seeded(0):
        model = Reader(LAYERS[cell](x.size(2), HIDDEN), 9).double()
        worst = 0.0
        for _ in range(batches):
            chosen = torch.randint(0, len(y), (BATCH,))
            one, other = (
                torch.autograd.grad(
                    cross_entropy(model(*form(x[:, chosen].double(), lengths[chosen])), y[chosen]),
                    list(model.parameters()),
                )
                for form in (packed, padded)
            )
            gap = [(a - b).norm() for a, b in zip(one, other, strict=True)]
            worst = max(worst, float(torch.stack(gap).norm() / torch.stack([a.norm() for a in one]).norm()))
    return worst


def _train(cell: str, seed: int, updates: int) -> Fit:
    return fit("vowels", cell, seed, japanese_vowels(), hidden=HIDDEN, rate=RATE, updates=updates, form=packed)


def _judge(result: Vowels) -> list[Claim]:
    """Only the claims whose cells were run."""
    claims = [judge("vowels.same", result.difference)]
    if set(CELLS) <= set(result.cells):
        claims.append(judge("vowels.learnt", min(result.outcome("vowels", cell) for cell in CELLS)))
        claims.append(judge("vowels.horizon", result.opening("vowels")))
    return claims
