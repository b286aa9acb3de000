"""A monitor for ``lightning.pytorch.Trainer``."""

from __future__ import annotations

from seqgrad.integrations._lightning import DOC, Hooks

try:
    from lightning.pytorch import Callback
except ImportError as error:
    raise ImportError("seqgrad.integrations.lightning needs lightning: pip install 'seqgrad[lightning]'") from error

__all__ = ["GradientCallback"]


class GradientCallback(Hooks, Callback):
    __doc__ = DOC.format(package="lightning.pytorch", module="seqgrad.integrations.lightning")
