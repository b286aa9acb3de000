"""What the callbacks share: one monitor per training, opened and closed by a trainer's hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqgrad import sinks
from seqgrad._finding import Finding
from seqgrad._parameters import Clearing
from seqgrad.history import Entry, History
from seqgrad.monitor import Monitor
from seqgrad.nn import RNN


class Watch:
    """A monitor whose training step spans hooks: ``begin``, then for each step ``enter``, ``stepping``, ``end``.

    Args:
        prefix: before the names of the numbers that :meth:`end` returns.
        options: those of :class:`seqgrad.Monitor`; told here if they are wrong, not when the training begins.
    """

    def __init__(self, prefix: str, sinks: Iterable[sinks.Sink], options: dict[str, Any]) -> None:
        self.monitor: Monitor | None = None
        self._prefix, self._options, self._sinks = prefix, options, list(sinks)
        Monitor(RNN(1, 1, device="meta"), sinks=self._sinks, **options)
        self._latest = _Latest()
        self._inside = False
        self._forget()

    def _forget(self) -> None:
        self._scale: float | None = None
        self._clearing: Clearing | None = None
        self._losses: list[Tensor] = []
        self.stepped = False

    # -- a training ----------------------------------------------------------------------------------------------------
    def begin(self, model: nn.Module, start: int) -> None:
        """A training of ``model`` begins at step ``start``. The monitor of an earlier one goes on if it fits."""
        self.leave()
        self._forget()
        last = self.monitor
        if last is None or last.model is not model or last.next_step != start:
            self.monitor = Monitor(model, sinks=[*self._sinks, self._latest], start=start, **self._options)

    def finish(self) -> None:
        """The training is over, or broke off: a step that was not ended is forgotten."""
        self.leave()
        if self.monitor is not None:
            self.monitor.close()

    # -- a step --------------------------------------------------------------------------------------------------------
    @property
    def due(self) -> bool:
        """Whether the step that runs, or comes next, is observed."""
        return self.monitor is not None and self.monitor.is_due(self.monitor.next_step)

    def enter(self) -> None:
        """Before the forward. Entered again before the step's end it changes nothing: gradients are accumulated."""
        if self.monitor is not None and not self._inside:
            self._inside = True
            self.monitor.__enter__()

    def leave(self) -> None:
        """After the backward, or whatever broke off in between."""
        if self._inside and self.monitor is not None:
            self._inside = False
            self.monitor.__exit__(None, None, None)

    def add_loss(self, loss: object) -> None:
        """One micro-batch's loss."""
        if self.due and isinstance(loss, Tensor) and loss.numel() == 1 and loss.is_floating_point():
            self._losses.append(loss.detach())

    def stepping(self, scaler: Any) -> None:
        """Just before an optimizer steps: the scale is still that of the backward, the weights are still the old ones.

        That is where a loop of one's own would end the step. Here it ends later, when the trainer is done with the
        batch, so what it must know of this moment is kept.
        """
        monitor = self.monitor
        if monitor is None or self.stepped:
            return
        self.stepped = True
        if scaler is not None and self.due:
            self._scale = float(scaler.get_scale())
        if monitor.is_due(monitor.next_step + 1):
            self._clearing = Clearing(monitor._layers)

    def end(self, reduction: str = "mean") -> dict[str, float]:
        """End the step; what was observed, as flat numbers for a log: at most six for each series.

        Args:
            reduction: "mean" or "sum" of the losses of the micro-batches.
        """
        monitor = self.monitor
        if monitor is None:
            return {}
        self.leave()
        loss = torch.stack([loss.reshape(()) for loss in self._losses]) if self._losses else None
        if loss is not None:
            loss = loss.sum() if reduction == "sum" else loss.mean()
        scale, clearing = self._scale, self._clearing
        self._forget()
        try:
            monitor.step(loss, scaler=scale)
        finally:
            if clearing is not None:
                monitor._clearing = clearing
        return {f"{self._prefix}/{name}": value for name, value in self._latest.take().items()}


class _Latest(sinks.Sink):
    """Keeps the newest numbers until they are taken."""

    def __init__(self) -> None:
        self._numbers: dict[str, float] = {}

    def write(self, history: History, entry: Entry, findings: list[Finding]) -> None:
        self._numbers = {**sinks.scalars(entry), "findings": float(len(findings))}

    def take(self) -> dict[str, float]:
        numbers, self._numbers = self._numbers, {}
        return numbers
