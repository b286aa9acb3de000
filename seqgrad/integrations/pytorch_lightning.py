"""A monitor for ``pytorch_lightning.Trainer``."""

from __future__ import annotations

from seqgrad.integrations._lightning import DOC, Hooks

try:
    from pytorch_lightning import Callback
except ImportError as error:
    raise ImportError("seqgrad.integrations.pytorch_lightning needs pytorch_lightning: pip install pytorch-lightning") from error

__all__ = ["GradientCallback"]


class GradientCallback(Hooks, Callback):
    __doc__ = DOC.format(package="pytorch_lightning", module="seqgrad.integrations.pytorch_lightning")
