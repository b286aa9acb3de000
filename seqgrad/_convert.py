"""convert_ and revert_: a whole model from torch.nn's recurrent layers to ours, and back, in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch.nn.utils import parametrize

_Model = TypeVar("_Model", bound=torch.nn.Module)
_Classes = Mapping[type[torch.nn.Module], type[torch.nn.Module]]


def convert_(model: _Model) -> _Model:
    """Turn every torch.nn RNN, GRU, LSTM and cell inside ``model`` into seqgrad's, in place; returns ``model``.

    The module objects stay the same and only change class, so everything that refers to them goes on working:
    Parameters (optimizers keep theirs), buffers, forward and backward hooks, parametrizations, the training flag,
    names in the state_dict, and ``model`` itself when it is such a layer. Outputs stay the same
    up to rounding.

    Only torch.nn's own classes are converted. A subclass, which may have a forward of its own, is left alone, and
    so are scripted modules. To clip or truncate in a converted layer, set its ``state_clip`` or ``truncate``.

    Raises:
        TypeError: ``model`` is not a torch.nn.Module.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.LSTM(10, 20))
        >>> convert_(model)
        Sequential(
          (0): LSTM(10, 20)
        )
        >>> type(model[0]).__module__
        'seqgrad.nn'
    """
    return _swap("convert_", model, _counterparts())


def revert_(model: _Model) -> _Model:
    """Undo :func:`convert_`: every seqgrad RNN, GRU, LSTM and cell becomes torch.nn's, in place; returns ``model``.

    Layers that were built as seqgrad's are turned too, so a model can be saved for a place without seqgrad.
    ``state_clip`` and ``truncate`` act in the backward alone and are dropped. ResidualRNN and its cell have no
    counterpart in torch.nn and stay; subclasses stay too.

    Raises:
        TypeError: ``model`` is not a torch.nn.Module.
    """
    return _swap("revert_", model, {ours: theirs for theirs, ours in _counterparts().items()})


def _counterparts() -> _Classes:
    from seqgrad import nn  # here, because nn publishes the functions above

    return {
        torch.nn.RNN: nn.RNN,
        torch.nn.GRU: nn.GRU,
        torch.nn.LSTM: nn.LSTM,
        torch.nn.RNNCell: nn.RNNCell,
        torch.nn.GRUCell: nn.GRUCell,
        torch.nn.LSTMCell: nn.LSTMCell,
    }


def _swap(function: str, model: _Model, classes: _Classes) -> _Model:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"{function} expects a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        target = _target(module, classes)
        if target is None:
            continue
        for option in ("state_clip", "truncate"):
            module.__dict__.pop(option, None)
        module.__class__ = target
        if isinstance(module, torch.nn.RNNBase):
            module._init_flat_weights()  # torch.nn caches the weights and lays them side by side on CUDA, ours does not
    return model


def _target(module: torch.nn.Module, classes: _Classes) -> type[torch.nn.Module] | None:
    kind = type(module)
    if kind in classes:
        return classes[kind]
    if parametrize.is_parametrized(module) and kind.__bases__[0] in classes:
        # parametrize made a class for this module alone, whose properties compute the weights: rebuild it on ours.
        body = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
        return type(kind.__name__, (classes[kind.__bases__[0]],), body)
    return None
