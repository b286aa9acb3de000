"""Callbacks that give a trainer a monitor. Each module needs its package, and is imported only when asked for.

========================================== ==========================================================================
``seqgrad.integrations.lightning``         :class:`GradientCallback` for ``lightning.pytorch.Trainer``
``seqgrad.integrations.pytorch_lightning`` the same for ``pytorch_lightning.Trainer``, the package under its old name
``seqgrad.integrations.transformers``      :class:`GradientCallback` for ``transformers.Trainer``
========================================== ==========================================================================

Loggers need no module: ``seqgrad.sinks`` has TensorBoard, JSONL, CSV, and Log for whatever has ``log(dict, step=...)``.
"""
