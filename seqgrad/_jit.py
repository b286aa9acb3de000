"""TorchScript: a trace holds the native op itself, and scripting says what to do instead."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def traced_layer(tensors: tuple[Tensor | None, ...], lengths: Tensor | None, options: tuple[Any, ...]) -> Any:
    """One layer and direction as the op ``seqgrad::forward``, which is saved with the trace: no Python stays in it.

    Whether it keeps what a backward needs is fixed in the trace: it does so if an input or a parameter requires grad
    then, whatever the grad mode. A process that loads the trace imports seqgrad, or loads its extension, first.
    """
    save = any(t is not None and t.requires_grad for t in tensors)
    out, hn, cn, _ = torch.ops.seqgrad.forward.default(*tensors, lengths, None, *options, save)
    return out, hn, None if tensors[-1] is None else cn


class Unscriptable:
    """Base of the layers and cells: torch.jit.script would stop at some line inside them and not say why."""

    def __prepare_scriptable__(self) -> nn.Module:  # torch.jit.script asks for it, also in the middle of a model
        name = type(self).__name__
        instead = "trace it: torch.jit.trace(model, example_inputs)"
        if not name.startswith("Residual"):
            instead += ", or script torch.nn's own layers: torch.jit.script(seqgrad.revert_(copy.deepcopy(model)))"
        raise NotImplementedError(f"torch.jit.script cannot compile seqgrad.{name}; {instead}")
