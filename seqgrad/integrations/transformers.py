"""A monitor for ``transformers.Trainer``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seqgrad.history import History
from seqgrad.integrations._watch import Watch
from seqgrad.monitor import Monitor, OnFinding
from seqgrad.rules import Rule
from seqgrad.sinks import Sink

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError("seqgrad.integrations.transformers needs transformers: pip install 'seqgrad[hf]'") from error

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

__all__ = ["GradientCallback"]


class GradientCallback(TrainerCallback):
    """Watch a training: a :class:`seqgrad.Monitor` that the Trainer opens and closes.

    ::

        from transformers import Trainer
        from seqgrad.integrations.transformers import GradientCallback

        trainer = Trainer(model, arguments, train_dataset=data)  # a model with seqgrad layers in it
        watch = GradientCallback(every=50).attach(trainer)
        trainer.train()
        watch.history.plot()

    At observed steps the norms at the first and the last timestep, ratio, horizon, decay and transmission of every
    series, the model's grad_norm, and how many findings are new, go to ``trainer.log``, and so into
    ``trainer.state.log_history`` and to every integration that the Trainer reports to, as
    ``{prefix}/rnn.l0/ratio`` and the like. A callback does not know its Trainer: one that was handed over as
    ``callbacks=[GradientCallback()]``, without :meth:`attach`, adds to ``log_history`` alone. What is wrong is told as
    a warning.

    A step is one of the optimizer, over all batches whose gradients are accumulated. The monitor counts from 0 and so
    calls the first step 0; the Trainer logs it as 1. Norms are divided by a GradScaler's scale, and grad_norm is that
    before clipping. The loss is the one that the model returns; the Trainer hands no callback its own.

    Args:
        every, rules, sinks, on_finding, log, first, keep: as in :class:`seqgrad.Monitor`.
        prefix: before the names of what is logged.

    Raises:
        TypeError, ValueError: bad arguments; at ``train``, a model without seqgrad layers.
        seqgrad.FindingError: from ``train`` with ``on_finding="raise"``.
    """

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
        self._log: Callable[[dict[str, float]], object] | None = None
        self._handle: RemovableHandle | None = None
        self._reduction = "mean"

    def attach(self, trainer: Trainer) -> GradientCallback:
        """Add this callback to ``trainer``, unless it is there, and log through ``trainer.log``; returns itself."""
        if self not in trainer.callback_handler.callbacks:
            trainer.add_callback(self)
        self._log = trainer.log
        return self

    def close(self) -> None:
        """End the watch over a training that an exception ended; ``train`` does so by itself where it returns.

        The Trainer tells no callback of exceptions. Until this is called, or ``train`` once more, a step that was
        observed when it broke off goes on being recorded.
        """
        self._unhook()
        self._watch.finish()

    @property
    def monitor(self) -> Monitor | None:
        """Of the training that runs, or ran last; None before the first."""
        return self._watch.monitor

    @property
    def history(self) -> History:
        """What was seen so far."""
        return History() if self._watch.monitor is None else self._watch.monitor.history

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make the monitor."""
        self._unhook()
        self._watch.begin(kwargs["model"], state.global_step)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Before the first batch of a step."""
        self._watch.enter()
        if self._watch.due:
            self._handle = kwargs["model"].register_forward_hook(self._look, with_kwargs=True)

    def _look(self, model: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if model.training:
            self._watch.add_loss(_loss(output))
            # Divided by the items of all accumulated batches, losses add up to that of the step.
            self._reduction = "mean" if kwargs.get("num_items_in_batch") is None else "sum"

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The backward's scale is known until the optimizer has stepped."""
        self._unhook()
        self._watch.stepping(getattr(kwargs.get("optimizer"), "scaler", None))  # accelerate's optimizer has it

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Judge the step, and log it."""
        self._unhook()
        numbers = self._watch.end(self._reduction)
        if not numbers:
            return
        if self._log is not None:
            self._log(numbers)
        else:
            state.log_history.append({**numbers, "epoch": state.epoch, "step": state.global_step})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the sinks."""
        self.close()

    def _unhook(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _loss(output: Any) -> Tensor | None:
    """Where the Trainer looks for it: under its name, or first."""
    if isinstance(output, Mapping):
        return output.get("loss")
    return output[0] if isinstance(output, (tuple, list)) and output else None
