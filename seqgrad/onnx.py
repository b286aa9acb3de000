"""Export to ONNX: what ``torch.onnx.export`` has to be told about the layers of seqgrad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["translation_table"]


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table that ``torch.onnx.export(..., custom_translation_table=...)`` asks for.

    RNN, GRU, LSTM and their cells become ONNX's operators of that name, one for each layer and direction, in every
    opset from 18 on. ``lengths=`` becomes their ``sequence_lens``. ResidualRNN, for which ONNX has no operator, becomes
    a Scan. Batch and time may be dynamic. ``state_clip`` and ``truncate`` leave no trace: they act in backwards only.
    The table may be merged with one of your own: ``{**mine, **translation_table()}``.

    An LSTM with ``proj_size`` has no counterpart in ONNX: its export ends in a ``torch.onnx`` error whose cause says
    so. onnxruntime runs these operators in float32 and float16, not in float64.

    Returns:
        From torch operator to the function that writes it in ONNX's.

    Raises:
        ImportError: onnxscript is missing; ``pip install 'seqgrad[onnx]'``.

    Example:
        >>> import torch, seqgrad as sg
        >>> model, x = sg.GRU(4, 8, batch_first=True).eval(), torch.randn(2, 20, 4)
        >>> axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
        >>> program = torch.onnx.export(
        ...     model, (x,), dynamic_shapes={"input": axes}, dynamo=True, verbose=False,
        ...     custom_translation_table=sg.onnx.translation_table(),
        ... )  # program.save("model.onnx") writes the file
        >>> [node.op_type for node in program.model.graph if node.op_type == "GRU"]
        ['GRU']
    """
    try:
        from seqgrad import _onnx_operators
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("onnx", "onnxscript", "onnx_ir", "ml_dtypes"):
            raise
        raise ImportError(
            f"exporting to ONNX needs {error.name}, which is not installed: pip install 'seqgrad[onnx]'"
        ) from error
    return {torch.ops.seqgrad.forward.default: _onnx_operators.forward}
