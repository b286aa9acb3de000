"""A monitor's view of the parameters: norms, what was not cleared, how far the optimizer moved. No waiting here."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_ROWS = 64  # of each matrix, to measure how far it moved without copying it


def recurrent_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers and cells of seqgrad in ``model`` by name, each once."""
    from seqgrad._cells import _Cell
    from seqgrad.nn import _Layer

    return {name: module for name, module in model.named_modules() if isinstance(module, (_Layer, _Cell))}


def unconverted_layers(model: nn.Module) -> list[str]:
    """Names of torch.nn's recurrent layers, which no recorder sees."""
    ours = recurrent_layers(model).values()
    kinds = (nn.RNNBase, nn.RNNCellBase)
    return [name for name, module in model.named_modules() if isinstance(module, kinds) and module not in ours]


def norms(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """L2 norm of each tensor by name, left on its device; those that are empty or have no values are passed over."""
    found: dict[tuple[torch.device, torch.dtype], list[tuple[str, Tensor]]] = {}
    for name, tensor in tensors:
        values = tensor.detach()
        if values.is_sparse:
            values = values.coalesce().values()
        if values.numel() and values.device.type != "meta" and (values.is_floating_point() or values.is_complex()):
            found.setdefault((values.device, values.dtype), []).append((name, values))
    result: dict[str, Tensor] = {}
    for (_, dtype), pairs in found.items():
        if dtype in (torch.float16, torch.bfloat16):  # the sum of squares would not fit
            sizes = [torch.linalg.vector_norm(values, dtype=torch.float32) for _, values in pairs]
        else:
            sizes = list(torch._foreach_norm([values for _, values in pairs], 2))
        result |= {name: whole(size) for (name, _), size in zip(pairs, sizes, strict=True)}
    return result


def whole(figure: Tensor) -> Tensor:
    """A figure over all shards of a tensor that fully_shard has spread over processes; each of them must ask."""
    return figure.full_tensor() if hasattr(figure, "full_tensor") else figure


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Norm of the gradient of every parameter that has one."""
    return norms((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)


class Movement:
    """How far the optimizer moves the weights of the recurrent layers between two moments."""

    def __init__(self, layers: dict[str, nn.Module]) -> None:
        self._before = {name: [part.clone() for part in parts] for name, parts in _matrices(layers).items()}

    def measure(self, layers: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Distance over norm per layer, on the device."""
        result = {}
        for name, parts in _matrices(layers).items():
            before = self._before.get(name, [])
            if len(before) == len(parts) and all(
                a.shape == b.shape and a.device == b.device for a, b in zip(before, parts, strict=True)
            ):
                moved = torch._foreach_norm([a - b for a, b in zip(parts, before, strict=True)], 2)
                size = torch._foreach_norm(before, 2)
                result[name] = torch.stack(list(map(whole, moved))).norm() / torch.stack(list(map(whole, size))).norm()
        return result


def _matrices(layers: dict[str, nn.Module]) -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = {}
    for name, module in layers.items():
        matrices = [p.detach() for p in module.parameters() if p.dim() == 2 and p.numel()]
        if matrices and all(m.device.type != "meta" for m in matrices):
            found[name] = [
                m[:: -(-m.shape[0] // _ROWS)].to(torch.promote_types(m.dtype, torch.float32)) for m in matrices
            ]
    return found


class Clearing:
    """Whether gradients were cleared after the optimizer stepped.

    ``versions`` counts in-place changes of the parameters when a step began; a gradient that is still there when the
    next step's backward begins, with the count moved on, was used by the optimizer and not cleared.
    """

    def __init__(self, layers: dict[str, nn.Module]) -> None:
        self._layers = layers
        self._versions = {id(p): p._version for p in _own(layers).values()}

    @torch.no_grad()
    def stale(self) -> dict[str, Tensor]:
        """Norms of gradients that should have been cleared, on the device; all of them may turn out to be 0."""
        moved = {
            name: p.grad
            for name, p in _own(self._layers).items()
            if p.grad is not None and self._versions.get(id(p), p._version) != p._version
        }
        return norms(moved.items())


def _own(layers: dict[str, nn.Module]) -> dict[str, nn.Parameter]:
    return {
        f"{name}.{key}" if name else key: p for name, module in layers.items() for key, p in module.named_parameters()
    }
