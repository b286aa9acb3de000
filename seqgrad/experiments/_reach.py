"""How far a network's gradient reaches: the norm against the steps back, in the median sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad._figures import by_lag

FAINT = 1e-3  # where the horizon is read


@dataclass(frozen=True)
class Reach:
    """``curve[k]``: the norm k steps back over the norm where the loss enters, median over the samples that long.

    A median over samples, because a norm over the batch would show its loudest sample. Of an LSTM it is dL/dc, the
    state that its gates protect; of the others dL/dh.
    """

    curve: list[float]

    @property
    def horizon(self) -> float:
        """The largest k up to which the curve stays at a thousandth or more; NaN if there is no gradient at all."""
        if not math.isfinite(self.curve[0]):
            return math.nan
        lost = (k for k, value in enumerate(self.curve) if not FAINT <= value < math.inf)
        return next(lost, len(self.curve)) - 1

    @property
    def ratio(self) -> float:
        """The curve at its far end: what is left at the first timestep, above 1 if the gradient grew on the way."""
        return self.curve[-1]


def reach_of(series: Any) -> Reach:
    """The reach of one recorded series."""
    norms = (series.grad_h if series.grad_c is None else series.grad_c).double()
    lagged, there = by_lag(norms, series.lengths, False)
    share = torch.where(there, lagged / lagged[0], torch.nan)  # 0 / 0 for a sample whose loss is 0: left out
    return Reach(share.nanmedian(dim=1).values.tolist())


class Reader(nn.Module):
    """A recurrent layer and a linear head on its last state: ``[T, N, I]`` or packed, to scores ``[N, classes]``."""

    def __init__(self, layer: nn.Module, classes: int) -> None:
        super().__init__()
        self.rnn = layer
        self.head = nn.Linear(int(layer.hidden_size), classes)  # type: ignore[arg-type]

    def forward(self, x: Any, lengths: Tensor | None = None) -> Tensor:
        """Scores ``[N, classes]``."""
        _, state = self.rnn(x) if lengths is None else self.rnn(x, lengths=lengths)
        last: Tensor = (state[0] if isinstance(state, tuple) else state)[-1]
        return self.head(last)


def probe(model: Reader, inputs: tuple[Any, ...], y: Tensor) -> Reach:
    """One recorded backward of the classifier's own loss on ``model(*inputs)``; parameters keep no gradient.

    The sum over samples is divided by 32 whatever their number, so that a ``state_clip`` meets the size of gradient
    that it meets in training.
    """
    with sg.record(model) as rec:
        (nn.functional.cross_entropy(model(*inputs), y, reduction="sum") / 32).backward()
    model.zero_grad()
    return reach_of(rec["rnn"].l0)
