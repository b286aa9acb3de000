"""What a monitor is handed, checked: a clear error for what it cannot use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqgrad._parameters import recurrent_layers, unconverted_layers


def unwrap(model: nn.Module) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}; pass the model")
    while True:
        inner = model._modules.get("_orig_mod")  # torch.compile's wrapper
        if inner is None and isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner


def checked_layers(model: nn.Module) -> dict[str, nn.Module]:
    layers = recurrent_layers(model)
    if layers:
        return layers
    theirs = unconverted_layers(model)
    if theirs:
        names = ", ".join(repr(name) for name in theirs[:3])
        raise ValueError(
            f"the model has no seqgrad layer, only torch.nn's recurrent layers ({names}), which no monitor sees into: "
            "call seqgrad.convert_(model) first"
        )
    raise ValueError(
        "the model has no recurrent layer to watch: build it with seqgrad.RNN, GRU or LSTM, or convert torch.nn's with "
        "seqgrad.convert_(model)"
    )


def listed(name: str, values: Iterable[Any], kind: type) -> list[Any]:
    """``values`` as a list; one that stands alone, or nothing iterable, is told how to be written."""
    if isinstance(values, kind) or not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        hint = f"write {name}=[{type(values).__name__}(...)]" if isinstance(values, kind) else "pass a list"
        raise TypeError(f"{name} must be a list of {name}, got {type(values).__name__} {values!r}; {hint}")
    return list(values)


def count(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int >= {least}, got {type(value).__name__} {value!r}")
    if value < least:
        raise ValueError(f"{name} must be an int >= {least}, got {value}")
    return value


def number(loss: Tensor | float | None) -> Tensor | None:
    if loss is None:
        return None
    value = loss.detach() if isinstance(loss, Tensor) else torch.tensor(float(loss), dtype=torch.float64)
    if value.numel() != 1:
        raise ValueError(f"loss must be a number or a tensor of one element, got shape {list(value.shape)}")
    return value.reshape(())


def scale(scaler: Any) -> Callable[[], float]:
    if scaler is None:
        return lambda: 1.0
    if isinstance(scaler, (int, float)) and not isinstance(scaler, bool):
        if not (scaler > 0 and math.isfinite(scaler)):
            raise ValueError(f"scaler must be a GradScaler or a positive number, got {scaler!r}")
        return lambda: float(scaler)
    if not hasattr(scaler, "get_scale"):
        raise TypeError(f"scaler must be a torch.amp.GradScaler or its scale, got {type(scaler).__name__}")
    return lambda: float(scaler.get_scale())
