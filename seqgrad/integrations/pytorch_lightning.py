"""A monitor for ``pytorch_lightning.Trainer``: Lightning under its old name."""

from __future__ import annotations

from seqgrad.integrations._lightning import Hooks

try:
    from pytorch_lightning import Callback
except ImportError as error:
    raise ImportError(
        "seqgrad.integrations.pytorch_lightning needs pytorch_lightning: pip install pytorch-lightning"
    ) from error

__all__ = ["GradientCallback"]


class GradientCallback(Hooks, Callback):
    """What :class:`seqgrad.integrations.lightning.GradientCallback` is, for Lightning under its old name."""
