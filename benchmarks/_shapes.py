"""The shapes that are timed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GATES = {"rnn": 1, "residual": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class Shape:
    """``N`` samples, ``T`` timesteps, ``I`` inputs, ``H`` hidden units; ragged: lengths spread evenly over T/10..T."""

    N: int
    T: int
    I: int  # noqa: E741 - the letter of the formulas
    H: int
    ragged: bool = False

    def __str__(self) -> str:
        return f"{self.N},{self.T},{self.I},{self.H}{' ragged' if self.ragged else ''}"

    @property
    def lengths(self) -> Tensor | None:
        """``[N]`` of a ragged batch, falling, as torch.nn likes them best; None without."""
        return torch.linspace(self.T, max(self.T // 10, 1), self.N).long() if self.ragged else None

    @property
    def real_steps(self) -> int:
        """Timesteps of all samples together, padding left out."""
        return self.N * self.T if self.lengths is None else int(self.lengths.sum())

    @property
    def steps(self) -> int:
        """Multiply-adds of one pass, in units of one gate."""
        return self.N * self.T * self.H * (self.I + self.H)


GRID = (
    Shape(1, 50, 32, 32),
    Shape(1, 100, 64, 64),
    Shape(1, 1000, 256, 256),
    Shape(1, 2000, 64, 128),
    Shape(4, 500, 16, 64),
    Shape(8, 200, 300, 200),
    Shape(16, 100, 40, 48),
    Shape(20, 60, 500, 1000),
    Shape(24, 150, 100, 72),
    Shape(32, 80, 150, 300),
    Shape(48, 100, 20, 136),
    Shape(32, 100, 64, 64),
    Shape(32, 100, 256, 256),
    Shape(32, 100, 128, 250, ragged=True),
    Shape(64, 500, 128, 128),
    Shape(64, 500, 128, 128, ragged=True),
    Shape(64, 100, 512, 512),
    Shape(100, 77, 33, 65, ragged=True),
    Shape(128, 50, 1024, 1024),
    Shape(256, 50, 64, 32),
    Shape(256, 100, 28, 128),
)
QUICK = tuple(shape for shape in GRID if shape.steps < 500_000_000 and shape.T < 1000)
