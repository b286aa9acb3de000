"""Lightning's hooks, for the package under either name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from seqgrad.history import History
from seqgrad.integrations._watch import Watch
from seqgrad.monitor import Monitor, OnFinding
from seqgrad.rules import Rule
from seqgrad.sinks import Sink


class Hooks:
    """Everything but the base class; ``seqgrad.integrations.lightning`` says what it does."""

    def __init__(
        self,
        every: int = 50,
        rules: Iterable[Rule] | None = None,
        sinks: Iterable[Sink] = (),
        on_finding: OnFinding = "warn",
        *,
        log: bool = True,
        first: int = 3,
        keep: int | None = 256,
        prefix: str = "seqgrad",
    ) -> None:
        super().__init__()
        rules = None if rules is None else list(rules)
        options = {"every": every, "rules": rules, "on_finding": on_finding, "log": log, "first": first, "keep": keep}
        self._watch = Watch(prefix, sinks, options)
        self._handles: list[RemovableHandle] = []

    @property
    def monitor(self) -> Monitor | None:
        """Of the training that runs, or ran last; None before the first."""
        return self._watch.monitor

    @property
    def history(self) -> History:
        """What was seen so far."""
        return History() if self._watch.monitor is None else self._watch.monitor.history

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._watch.begin(pl_module, trainer.fit_loop.epoch_loop._batches_that_stepped)  # the loggers' step

        # on_before_optimizer_step alone would miss torch optimizers that training_step calls by themselves, and these
        # hooks alone the steps that a GradScaler leaves out.
        def stepping(*_: Any) -> None:
            self._watch.stepping(_scaler(trainer))

        for optimizer in trainer.optimizers:
            self._handles.append(optimizer.register_step_pre_hook(stepping))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._watch.enter()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self._watch.stepping(_scaler(trainer))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._watch.add_loss(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
        if not self._watch.stepped:
            return
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        numbers = self._watch.end("sum" if pl_module.automatic_optimization else "mean")  # divided there already
        if numbers:
            trainer.callback_metrics.update({name: torch.tensor(value) for name, value in numbers.items()})
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=step)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._finish()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._finish()

    def _finish(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._watch.finish()


def _scaler(trainer: Any) -> Any:
    return getattr(trainer.precision_plugin, "scaler", None)
