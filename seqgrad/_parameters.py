"""A monitor's view of the parameters: norms, what was not cleared, how far the optimizer moved. No waiting here."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_ROWS = 64  # of each matrix, to measure how far it moved without copying it
_HALF = (torch.float16, torch.bfloat16)


def plain_name(name: str) -> str:
    """A dotted name without what torch.compile's wrapper adds: ``model.get_submodule`` finds both."""
    return name if "_orig_mod" not in name else ".".join(part for part in name.split(".") if part != "_orig_mod")


def recurrent_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers and cells of seqgrad in ``model`` by name, each once."""
    from seqgrad._cells import _Cell
    from seqgrad.nn import _Layer

    return {plain_name(name): module for name, module in model.named_modules() if isinstance(module, (_Layer, _Cell))}


def unconverted_layers(model: nn.Module) -> list[str]:
    """Names of torch.nn's recurrent layers, which no recorder sees."""
    ours = recurrent_layers(model).values()
    kinds = (nn.RNNBase, nn.RNNCellBase)
    found = (name for name, module in model.named_modules() if isinstance(module, kinds) and module not in ours)
    return [plain_name(name) for name in found]


def named(layers: dict[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Parameters by name, each once, as ``named_parameters()`` of the layers gives them, in a third of the time.

    What torch.compile's wrapper adds to names is left out.
    """
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for name, layer in layers.items():
        _collect(layer, f"{name}." if name else "", found, seen)
    return found


def _collect(module: nn.Module, prefix: str, found: dict[str, nn.Parameter], seen: set[int]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    for key, p in module._parameters.items():
        if p is not None and id(p) not in seen:
            seen.add(id(p))
            found[prefix + key] = p
    for key, child in module._modules.items():
        if child is not None:
            _collect(child, prefix if key == "_orig_mod" else f"{prefix}{key}.", found, seen)


@torch.no_grad()
def norms(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """L2 norm of each tensor by name, left on its device; those that are empty or have no values are passed over."""
    groups: dict[tuple[torch.device, torch.dtype], dict[str, Tensor]] = {}
    for name, values in tensors:
        if values.is_sparse:
            values = values.coalesce().values()
        if values.numel():
            groups.setdefault((values.device, values.dtype), {})[name] = values
    result: dict[str, Tensor] = {}
    for (device, dtype), group in groups.items():
        if device.type == "meta" or not (dtype.is_floating_point or dtype.is_complex):
            continue
        wide = torch.float32 if dtype in _HALF else None  # the sum of squares would not fit
        sizes = torch._foreach_norm(list(group.values()), 2, dtype=wide)
        result |= zip(group, map(whole, sizes), strict=True)
    return result


def whole(figure: Tensor) -> Tensor:
    """A figure over all shards of a tensor that fully_shard has spread over processes; each of them must ask."""
    return figure.full_tensor() if hasattr(figure, "full_tensor") else figure


def gradients(parameters: dict[str, nn.Parameter], known: Iterable[str] = ()) -> dict[str, Tensor]:
    """Norm of the gradient of every parameter that has one, those already ``known`` left out."""
    known = set(known)
    found = [(name, p.grad) for name, p in parameters.items() if p.grad is not None and name not in known]
    return norms(found) if found else {}


class Movement:
    """How far the optimizer moves the matrices of the recurrent layers, from when this is built to ``measure``.

    Args:
        step: the training step that makes the move.
        layers: their names.
        parameters: theirs, by name.
        sizes: norms of these now, by name, on the device.
    """

    @torch.no_grad()
    def __init__(
        self, step: int, layers: Iterable[str], parameters: dict[str, nn.Parameter], sizes: dict[str, Tensor]
    ) -> None:
        self.step = step
        matrices = [name for name, p in parameters.items() if p.dim() == 2 and name in sizes]
        self._layers = {  # names of each one's matrices
            layer: [name for name in matrices if not layer or name.startswith(f"{layer}.")] for layer in layers
        }
        self._before = {name: (parameters[name], _rows(parameters[name]).clone()) for name in matrices}  # with its rows
        self.sizes = {name: sizes[name] for name in self._before}
        self.moved: dict[str, Tensor] = {}

    @torch.no_grad()
    def measure(self) -> None:
        """Fill ``moved``: norms by name, on the device."""
        now = {name: _rows(p) for name, (p, _) in self._before.items()}
        groups: dict[tuple[torch.device, torch.dtype], dict[str, tuple[Tensor, Tensor]]] = {}
        for name, rows in now.items():
            before = self._before[name][1]
            if rows.shape == before.shape and rows.device == before.device:
                groups.setdefault((rows.device, rows.dtype), {})[name] = rows, before
        for group in groups.values():
            after, kept = [a for a, _ in group.values()], [b for _, b in group.values()]
            sizes = torch._foreach_norm(torch._foreach_sub(after, kept), 2)
            self.moved |= zip(group, map(whole, sizes), strict=True)

    def ratios(self, moved: dict[str, float], sizes: dict[str, float]) -> dict[str, float]:
        """Distance over norm by layer, from ``moved`` and ``sizes`` as numbers; layers that changed are left out."""
        found = {}
        for layer, names in self._layers.items():
            if names and all(name in moved for name in names):
                share = {name: p.size(0) / max(rows.size(0), 1) for name, (p, rows) in self._before.items()}
                length = math.hypot(*(moved[name] * share[name] ** 0.5 for name in names))
                whole_norm = math.hypot(*(sizes[name] for name in names))
                found[layer] = length / whole_norm if whole_norm else math.inf if length else math.nan
        return found


def _rows(matrix: Tensor) -> Tensor:
    """At most ``_ROWS`` rows, at least float32."""
    count = matrix.size(0)
    rows = matrix if count <= _ROWS else matrix[:: -(-count // _ROWS)]
    return rows.float() if rows.dtype in _HALF else rows


class Clearing:
    """Whether gradients were cleared after the optimizer stepped.

    ``versions`` counts in-place changes of the parameters when a step began; a gradient that is still there when the
    next step's backward begins, with the count moved on, was used by the optimizer and not cleared.
    """

    def __init__(self, layers: dict[str, nn.Module]) -> None:
        self._versions = [(name, p, p._version) for name, p in named(layers).items()]

    def stale(self) -> dict[str, Tensor]:
        """Norms of gradients that should have been cleared, on the device; all of them may turn out to be 0."""
        return norms((name, p.grad) for name, p, v in self._versions if p.grad is not None and p._version != v)
