"""Our layer and torch.nn's with the same weights, run on the same data: what the parity tests compare."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

import seqgrad.nn as ours

LAYERS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "rnn_tanh": (ours.RNN, torch.nn.RNN, {}),
    "rnn_relu": (ours.RNN, torch.nn.RNN, {"nonlinearity": "relu"}),
    "gru": (ours.GRU, torch.nn.GRU, {}),
    "lstm": (ours.LSTM, torch.nn.LSTM, {}),
}
CELLS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "rnn_tanh": (ours.RNNCell, torch.nn.RNNCell, {}),
    "rnn_relu": (ours.RNNCell, torch.nn.RNNCell, {"nonlinearity": "relu"}),
    "gru": (ours.GRUCell, torch.nn.GRUCell, {}),
    "lstm": (ours.LSTMCell, torch.nn.LSTMCell, {}),
}


def build(kind: str, *sizes: int, seed: int = 0, table: Any = LAYERS, **options: Any) -> tuple[Any, Any]:
    """(ours, torch.nn's), each drawn from the same seed."""
    mine, theirs, extra = table[kind]
    torch.manual_seed(seed)
    a = mine(*sizes, **extra, **options)
    torch.manual_seed(seed)
    return a, theirs(*sizes, **extra, **options)


def states(module: Any, samples: int, *, seed: int = 1, dtype: torch.dtype = torch.float32) -> Any:
    """A random hx for ``module``: a tensor, or a pair for an LSTM."""
    generator = torch.Generator().manual_seed(seed)
    count = module.num_layers * (2 if module.bidirectional else 1)
    h = torch.randn(count, samples, module.proj_size or module.hidden_size, generator=generator, dtype=dtype)
    if module.mode != "LSTM":
        return h
    return h, torch.randn(count, samples, module.hidden_size, generator=generator, dtype=dtype)


def as_dtype(value: Any, dtype: torch.dtype) -> Any:
    """A copy of a module, tensor, PackedSequence or tuple of tensors; tensors as leaves that require grad."""
    if isinstance(value, torch.nn.Module):
        return copy.deepcopy(value).to(dtype)
    if isinstance(value, PackedSequence):
        return value._replace(data=as_dtype(value.data, dtype))
    if isinstance(value, tuple):
        return tuple(as_dtype(v, dtype) for v in value)
    return None if value is None else value.detach().to(dtype).requires_grad_(True)


def everything(module: Any, x: Any, hx: Any = None, **call: Any) -> dict[str, Tensor]:
    """Outputs of one forward and, for a loss that reads all of them, the gradient of every input and parameter."""
    out, state = module(x, hx, **call)
    found = {"out": out.data if isinstance(out, PackedSequence) else out}
    found |= {f"state{k}": s for k, s in enumerate(state if isinstance(state, tuple) else (state,))}
    generator = torch.Generator().manual_seed(2)
    loss = sum((v * torch.randn(v.shape, generator=generator, dtype=torch.float32).to(v)).sum() for v in found.values())
    leaves = {"x": x.data if isinstance(x, PackedSequence) else x}
    leaves |= {f"hx{k}": h for k, h in enumerate(hx if isinstance(hx, tuple) else () if hx is None else (hx,))}
    leaves |= dict(module.named_parameters())
    grads = torch.autograd.grad(loss, list(leaves.values()))
    return {k: v.detach() for k, v in found.items()} | {"d" + k: g for k, g in zip(leaves, grads, strict=True)}
