"""Cells side by side on real data: what each reached, and how far its gradient reached before and after training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments._reach import Reach, Reader, probe
from seqgrad.experiments._result import Result, median, one_of, positive, seeded
from seqgrad.experiments.datasets import Labelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS: dict[str, Callable[[int, int], Any]] = {
    "rnn": sg.RNN,
    "gru": sg.GRU,
    "lstm": sg.LSTM,
    "residual": sg.ResidualRNN,
    "residual_scaled": partial(sg.ResidualRNN, residual_scale=0.1),
}
CELLS = tuple(LAYERS)
BATCH, CLIP, PROBED = 32, 1.0, 64


@dataclass(frozen=True)
class Fit:
    """One trained network: its outcome on data never trained on, the reach of its gradient before and after."""

    group: str
    cell: str
    seed: int
    outcome: float
    before: Reach
    after: Reach


@dataclass
class Comparison(Result):
    """Every cell in every group (a way to read the data), a network a seed."""

    kinds: ClassVar[tuple[str, ...]] = ("outcome", "reach")
    unit: ClassVar[str] = "accuracy"  # or bits
    rate: ClassVar[float]  # of Adam

    fits: list[Fit]
    updates: int
    hidden: int
    steps: dict[str, int]  # timesteps of each group's sequences

    @property
    def reference(self) -> float | None:
        """An outcome to compare with, where there is one."""
        return None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups in the order in which they were run."""
        return tuple(dict.fromkeys(fit.group for fit in self.fits))

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells in the order in which they were run."""
        return tuple(dict.fromkeys(fit.cell for fit in self.fits))

    def select(self, group: str, cell: str) -> list[Fit]:
        """All seeds of one cell in one group."""
        return [fit for fit in self.fits if (fit.group, fit.cell) == (group, cell)]

    def outcome(self, group: str, cell: str) -> float:
        """Median over seeds."""
        return median([fit.outcome for fit in self.select(group, cell)])

    def horizon(self, group: str, cell: str, *, trained: bool) -> float:
        """Median over seeds of how many steps back the gradient keeps a thousandth of its size."""
        return median([(fit.after if trained else fit.before).horizon for fit in self.select(group, cell)])

    def opening(self, group: str, cells: Sequence[str] = ("rnn", "gru", "lstm")) -> float:
        """Trained over untrained horizon, the smallest of ``cells``; the residual RNN's is open from the start."""
        return min(
            self.horizon(group, cell, trained=True) / max(1.0, self.horizon(group, cell, trained=False))
            for cell in cells
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row per network."""
        return [
            {
                "group": fit.group, "cell": fit.cell, "seed": fit.seed, self.unit: fit.outcome,
                "horizon_before": fit.before.horizon, "horizon_after": fit.after.horizon,
                "ratio_before": fit.before.ratio, "ratio_after": fit.after.ratio,
            }
            for fit in self.fits
        ]  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Budget and medians."""
        seeds = len({fit.seed for fit in self.fits})
        many = len(self.groups) > 1
        table = "; ".join(
            f"{group + ' ' if many else ''}{cell} {self.outcome(group, cell):.3g} "
            f"({self.horizon(group, cell, trained=False):.0f} > {self.horizon(group, cell, trained=True):.0f})"
            for group in self.groups
            for cell in self.cells
        )
        return {
            "seeds": seeds, "updates": self.updates, "hidden": self.hidden, "rate": self.rate, "table": table,
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``outcome``: a dot per seed. ``reach``: the gradient against the steps back, untrained and trained."""
        from seqgrad.experiments import _draw_comparison

        draw = _draw_comparison.outcomes if kind == "outcome" else _draw_comparison.reaches
        return draw(figure, self, say)


def check(cells: Sequence[str], **numbers: int) -> None:
    """The arguments that all comparisons share."""
    if not cells:
        raise ValueError(f"cells must name at least one of {', '.join(CELLS)}, got none")
    for cell in cells:
        one_of("cells", cell, CELLS)
    for argument, value in numbers.items():
        positive(argument, value)


def fit(
    group: str, cell: str, seed: int, data: Labelled, *, hidden: int, rate: float, updates: int,
    form: Callable[[torch.Tensor, torch.Tensor], tuple[Any, ...]] = lambda x, lengths: (x,),
) -> Fit:  # fmt: skip
    """Train one classifier: Adam, batches of 32, clipped at norm 1.

    ``form`` turns a padded batch and its lengths into what the network is called with.
    """
    (x, y, lengths), (x_test, y_test, lengths_test) = data.train, data.test
    with seeded(seed):
        model = Reader(LAYERS[cell](data.inputs, hidden), data.classes)
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
        dice = torch.Generator().manual_seed(seed)  # the same batches for every cell

        def look() -> Reach:
            return probe(model, form(x_test[:, :PROBED], lengths_test[:PROBED]), y_test[:PROBED])

        before = look()
        for _ in range(updates):
            chosen = torch.randint(0, len(y), (BATCH,), generator=dice)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(*form(x[:, chosen], lengths[chosen])), y[chosen])
            loss.backward()
            sg.clip.grad_norm_(model, CLIP)
            optimizer.step()
        with torch.no_grad():
            right = (model(*form(x_test, lengths_test)).argmax(1) == y_test).float().mean()
        return Fit(group, cell, seed, float(right), before, look())
