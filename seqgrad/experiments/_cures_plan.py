"""What is compared: the cures, the tasks, and how one network of each pair is built and trained."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments import _speller, datasets
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._reach import Reach, Reader, probe
from seqgrad.experiments._result import seeded
from seqgrad.experiments.tasks import documentation, first_element

CELLS = ("rnn", "gru", "lstm", "residual")
GATED = ("gru", "lstm")
LEARNT = 0.9  # accuracy on fresh data from which on a network counts as a success
GROWN = 10.0  # times larger at the first timestep than at the last: a gradient that grows
BATCH, CLIP, OMEGA_EVERY, SCALE = 32, 1.0, 5, 0.1


@dataclass(frozen=True)
class Cure:
    """One mitigation: the cells it makes sense for, how the layer starts, what the layer and the loop do otherwise."""

    cells: tuple[str, ...] = CELLS
    start: dict[str, Any] = field(default_factory=dict)  # arguments of Setup
    layer: dict[str, Any] = field(default_factory=dict)  # attributes of the layer
    clip: bool = True
    truncate: bool = False
    omega: bool = False


CURES: dict[str, Cure] = {
    "none": Cure(clip=False),
    "clip": Cure(),
    "state_clip": Cure(clip=False, layer={"state_clip": sg.clip.Norm(1 / BATCH)}),
    "orthogonal": Cure(start={"recurrent": "orthogonal", "zero_bias": True}),
    "identity": Cure(("rnn",), start={"recurrent": "identity", "nonlinearity": "relu"}),
    "forget_one": Cure(GATED, start={"keep": 1.0}),
    "chrono": Cure(GATED, start={"keep": "chrono"}),
    "truncate": Cure(truncate=True),
    "omega": Cure(omega=True),
    "residual_scale": Cure(("residual",), layer={"residual_scale": SCALE}),
}


@dataclass(frozen=True)
class Task:
    """What is learnt, with which budget. ``measure`` is the outcome of one network: higher is better but for bits."""

    steps: int  # timesteps of a sequence
    cut: int  # where truncated BPTT cuts: chunks of equal length, the loss at the end of the last
    hidden: int
    updates: int
    rate: float
    seeds: int
    measure: Literal["success", "accuracy", "bits"]


TASKS: dict[str, Task] = {
    "first_50": Task(50, 25, 32, 300, 1e-3, 10, "success"),
    "first_100": Task(100, 25, 32, 300, 1e-3, 10, "success"),
    "pixels": Task(64, 16, 64, 800, 2e-3, 5, "accuracy"),
    "spelling": Task(100, 25, 64, 300, 5e-3, 5, "bits"),
}


@dataclass(frozen=True)
class Network:
    """One trained network. ``outcome`` is accuracy or bits per character, NaN if its loss stopped being a number."""

    task: str
    cell: str
    cure: str
    seed: int
    updates: int
    outcome: float
    horizon_before: float
    horizon_after: float
    ratio_before: float
    ratio_after: float
    seconds: float = field(compare=False)


class Lesson:
    """A network, its optimiser and its data: ``step()`` trains once, ``outcome()`` and ``reach()`` look at it."""

    def __init__(self, task: str, cell: str, cure: str) -> None:
        self.task, self.cure = TASKS[task], CURES[cure]
        self.name = task
        if task == "spelling":
            self.text = documentation()
            self.model: Any = _speller.Speller(len(self.text.alphabet), lambda inputs: self._layer(cell, inputs))
        elif task == "pixels":
            self.data = datasets.digits("pixel")
            self.model = Reader(self._layer(cell, 1), 10)
        else:
            self.model = Reader(self._layer(cell, 10), 2)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, self.task.rate, fused=True)
        self.updates = 0

    def _layer(self, cell: str, inputs: int) -> nn.Module:
        setup = Setup(cell, **self.cure.start)
        layer: Any = build(setup, hidden=self.task.hidden, steps=self.task.steps, inputs=inputs)
        for name, value in self.cure.layer.items():
            setattr(layer, name, value)
        if self.cure.truncate:
            layer.truncate = self.task.cut
        return layer

    def _forward(self) -> tuple[Tensor, Any, Any]:
        """The loss of a fresh batch, the layer's input and what it returned."""
        if self.name == "spelling":
            characters = _speller.window(self.text)
            x = self.model.embed(characters[:-1])
            target = characters[1:].flatten()
        elif self.name == "pixels":
            images, labels, _ = self.data.train
            chosen = torch.randint(0, len(labels), (BATCH,))
            x, target = images[:, chosen], labels[chosen]
        else:
            x, target = first_element(self.task.steps, BATCH)
        returned = self.model.rnn(x)
        read = returned[0].flatten(0, 1) if self.name == "spelling" else returned[0][-1]
        return nn.functional.cross_entropy(self.model.head(read), target), x, returned

    def step(self) -> float:
        """One training step; returns the loss before it."""
        self.optimizer.zero_grad()
        loss, x, returned = self._forward()
        total = loss
        if self.cure.omega and self.updates % OMEGA_EVERY == 0:
            total = loss + sg.regularizers.omega(self.model.rnn, x, returned, loss)
        total.backward()
        if self.cure.clip:
            sg.clip.grad_norm_(self.parameters, CLIP, nonfinite="keep")
        self.optimizer.step()
        self.updates += 1
        return float(loss.detach())

    @torch.no_grad()
    def outcome(self) -> float:
        """On data never trained on: accuracy, or bits per character."""
        if self.name == "spelling":
            return _speller.held_out_bits(self.model, self.text, length=self.task.steps)
        x, y = self.data.test[:2] if self.name == "pixels" else first_element(self.task.steps, 1000)
        return float((self.model(x).argmax(1) == y).float().mean())

    def reach(self) -> Reach:
        """How far the gradient of a loss at the end reaches, with whatever the cure does to the backward."""
        if self.name == "spelling":
            return _speller.probe(self.model, self.text)
        if self.name == "pixels":
            x, y, _ = self.data.test
            return probe(self.model, (x[:, :64],), y[:64])
        x, y = first_element(self.task.steps, 64)
        return probe(self.model, (x,), y)


def train_once(task: str, cell: str, cure: str, seed: int, updates: int) -> Network:
    """One network from scratch. Training ends early where the loss stops being a number."""
    start = time.perf_counter()
    with seeded(seed):
        lesson = Lesson(task, cell, cure)
        before = lesson.reach()
        alive = all(math.isfinite(lesson.step()) for _ in range(updates))
        outcome = lesson.outcome() if alive else math.nan
        after = lesson.reach() if alive else Reach([math.nan])
    return Network(
        task, cell, cure, seed, updates, outcome, before.horizon, after.horizon, before.ratio, after.ratio,
        time.perf_counter() - start,
    )  # fmt: skip
