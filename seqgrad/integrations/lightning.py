"""A monitor for ``lightning.pytorch.Trainer``."""

from __future__ import annotations

from seqgrad.integrations._lightning import Hooks

try:
    from lightning.pytorch import Callback
except ImportError as error:
    raise ImportError("seqgrad.integrations.lightning needs lightning: pip install 'seqgrad[lightning]'") from error

__all__ = ["GradientCallback"]


class GradientCallback(Hooks, Callback):
    """Watch a training: a :class:`seqgrad.Monitor` that the Trainer opens and closes.

    ::

        from lightning.pytorch import Trainer
        from seqgrad.integrations.lightning import GradientCallback

        trainer = Trainer(callbacks=[GradientCallback(every=50)])
        trainer.fit(model)  # a LightningModule with seqgrad layers in it; seqgrad.convert_(model) makes them

    At observed steps the norms at the first and the last timestep, ratio, horizon, decay and transmission of every
    series, the model's grad_norm, and how many findings are new, go to ``trainer.loggers`` and into
    ``trainer.callback_metrics`` as ``{prefix}/rnn.l0/ratio`` and the like. What is wrong is told as a warning.

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
