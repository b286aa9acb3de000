"""A real text: an LSTM learns to spell CPython's documentation, and its gradient is measured as it learns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

import seqgrad as sg
from seqgrad.experiments._reach import FAINT, reach_of
from seqgrad.experiments._result import Progress, Result, positive, reporter, seeded
from seqgrad.experiments._speller import LENGTH, Speller, held_out_bits, last_character, loss_of, window, write
from seqgrad.experiments.claims import judge
from seqgrad.experiments.tasks import Text, bigram_bits, documentation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE, CLIP = 5e-3, 1.0


@dataclass
class Checkpoint:
    """The state of the model after ``step`` training steps, on held-out text."""

    step: int
    bits: float  # per character
    grad_c: list[float]  # t = 1..T, relative to t = T, median of 64 windows, loss on their last character alone
    horizon: int  # how many steps back that median stays above a thousandth of its last value
    far: float  # share of windows in which the gradient is still above a thousandth at t = 1


@dataclass
class CharModel(Result):
    """``checkpoints`` from untrained to trained, ``train_bits`` at every step, a ``sample`` written by the model."""

    name: ClassVar[str] = "char_model"
    kinds: ClassVar[tuple[str, ...]] = ("learning", "horizon")

    hidden: int
    origin: str
    characters: int
    bigram: float
    train_bits: list[float]
    checkpoints: list[Checkpoint]
    sample: str

    def rows(self) -> list[dict[str, Any]]:
        """One row per checkpoint and timestep."""
        return [
            {
                "step": c.step,
                "bits": c.bits,
                "horizon": c.horizon,
                "far": c.far,
                "t": t,
                "lag": LENGTH - t,
                "grad_c": value,
            }
            for c in self.checkpoints
            for t, value in enumerate(c.grad_c, 1)
        ]

    def facts(self) -> dict[str, Any]:
        """Numbers of the first and the last checkpoint."""
        first, last = self.checkpoints[0], self.checkpoints[-1]
        return {
            "hidden": self.hidden, "origin": self.origin, "characters": self.characters, "bigram": self.bigram,
            "steps": last.step, "bits_first": first.bits, "bits": last.bits, "horizon_first": first.horizon,
            "horizon_last": last.horizon, "sample": self.sample, "rate": RATE, "length": LENGTH,
            "far_first": first.far, "far": last.far,
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``learning`` (bits) or ``horizon`` (gradients)."""
        from seqgrad.experiments import _figures

        if kind == "learning":
            return _figures.learning(figure, self.train_bits, self.checkpoints, self.bigram, say)
        return _figures.horizons(figure, self.checkpoints, say)


def char_model(
    *, steps: int = 600, hidden: int = 128, checkpoints: int = 6, seed: int = 0, progress: bool | Progress = False
) -> CharModel:
    """Train on windows of 100 characters (32 a step, Adam 5e-3, clipping at norm 1); a tenth of the text is held out.

    At each checkpoint one extra backward is recorded with the loss on the *last* character of a held-out window only:
    a loss at every step would feed every timestep directly and hide how far the gradient travels.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.char_model(steps=2, hidden=8, checkpoints=1)
        >>> [c.step for c in run.checkpoints]
        [0, 2]
    """
    positive("steps", steps), positive("hidden", hidden, at_least=2), positive("checkpoints", checkpoints)
    start, tell = time.perf_counter(), reporter(progress, "char_model")
    text = documentation()
    stops = sorted({round(steps * (k / checkpoints) ** 2) for k in range(checkpoints + 1)})
    with seeded(seed):
        model = Speller(len(text.alphabet), lambda inputs: sg.LSTM(inputs, hidden))
        optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
        train_bits: list[float] = []
        marks: list[Checkpoint] = []
        for step in range(steps + 1):
            if step in stops:
                marks.append(_checkpoint(model, text, step))
            if step < steps:
                train_bits.append(_train_step(model, text, optimizer))
                tell(step / steps, f"{train_bits[-1]:.2f} bits per character")
        sample = write(model, text)
    table = bigram_bits(text)
    total = len(text.train) + len(text.held_out)
    result = CharModel(hidden, text.origin, total, table, train_bits, marks, sample)
    if steps >= 100:
        first, last = marks[0], marks[-1]
        result.claims = [
            judge("char.beats_bigrams", table - last.bits),
            judge("char.horizon_moves", last.horizon / max(1, first.horizon)),
        ]
    result.seconds = time.perf_counter() - start
    return result


def _train_step(model: Speller, text: Text, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = loss_of(model, window(text))
    loss.backward()
    sg.clip.grad_norm_(model, CLIP)
    optimizer.step()
    return float(loss.detach()) / math.log(2)


def _checkpoint(model: Speller, text: Text, step: int) -> Checkpoint:
    """Held-out bits over the whole held-out text (64 parallel readers), and the recorded probe on 64 of its windows."""
    series = last_character(model, text)
    reach = reach_of(series)
    norms = series.grad_c.double()
    far = float((norms[0] / norms[-1] >= FAINT).double().mean())
    return Checkpoint(step, held_out_bits(model, text), reach.curve[::-1], int(reach.horizon), far)
