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

DOC = """Watch a training: a :class:`seqgrad.Monitor` that the Trainer opens and closes.

    ::

        from {package} import Trainer
        from {module} import GradientCallback

        trainer = Trainer(callbacks=[GradientCallback(every=50)])
        trainer.fit(model)  # a LightningModule with seqgrad layers in it; seqgrad.convert_(model) makes them

    At observed steps the norms at the first and the last timestep, ratio, horizon, decay and transmission of every
    series, the model's grad_norm, and how many findings are new, go to ``trainer.loggers`` and into
    ``trainer.callback_metrics`` as ``{{prefix}}/rnn.l0/ratio`` and the like. What is wrong is told as a warning.

    A step is what Lightning counts as one for its loggers: a batch, or the batches whose gradients are accumulated.
    In manual optimisation it ends with the first batch in which an optimizer stepped; several optimizers and several
    backwards in one batch are one step. Norms are divided by the scale of a GradScaler, whichever precision plugin
    brings it. Resumed trainings count on. A closure that the optimizer evaluates several times (LBFGS) is seen each
    time. Under DDP every rank watches itself, and rank 0 logs.

    Args:
        every, rules, sinks, on_finding, log, first, keep: as in :class:`seqgrad.Monitor`.
        prefix: before the names of what is logged.

    Raises:
        TypeError, ValueError: bad arguments; at ``fit``, a model without seqgrad layers.
        seqgrad.FindingError: from ``fit`` with ``on_finding="raise"``.
    """


class Hooks:
    """Everything but the base class."""

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
