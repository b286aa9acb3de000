"""Initialisations that decide how far gradients travel, and the spectrum that tells.

Every function takes a layer or a cell, ours or torch.nn's, works on all its layers and directions gate by gate,
changes it in place under no_grad and returns it. Bias values go into ``bias_ih`` alone, with ``bias_hh`` zero for
that gate, because torch adds the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter, RNNBase
from torch.nn.modules.rnn import RNNCellBase

_Recurrent = TypeVar("_Recurrent", bound=torch.nn.Module)

GATES: dict[int, tuple[str, ...]] = {1: ("h",), 3: ("r", "z", "n"), 4: ("i", "f", "g", "o")}  # by their number
KEEPS = {"lstm": "f", "gru": "z"}  # the gate that multiplies what the state was
CANDIDATES = ("n", "g")  # a tanh each; the other gates are sigmoids


class Spectrum(NamedTuple):
    """Of one gate's recurrent matrix."""

    radius: float  # largest |eigenvalue|: growth per step in the long run
    largest: float  # largest singular value: the most a step can do
    smallest: float  # smallest singular value: the least


def orthogonal_(rnn: _Recurrent, gain: float = 1.0) -> _Recurrent:
    """Each gate's ``W_hh`` becomes ``gain`` times a random orthogonal matrix (Saxe et al. 2014); biases stay.

    With ``proj_size`` the matrices ``[H, P]`` have orthonormal columns.

    Example:
        >>> rnn = orthogonal_(torch.nn.RNN(4, 8), gain=0.9)
        >>> [round(value, 3) for value in recurrent_spectrum(rnn)["l0"]["h"]]
        [0.9, 0.9, 0.9]
    """
    return _each_gate(rnn, "weight_hh", lambda block: torch.nn.init.orthogonal_(block, gain))


def xavier_(rnn: _Recurrent, gain: float = 1.0) -> _Recurrent:
    """Each gate's ``W_ih [H, I]`` is drawn from U(-a, a), a = gain sqrt(6 / (I + H)) (Glorot and Bengio 2010).

    Its variance is gain^2 2 / (I + H). ``W_hh`` and biases stay.

    Example:
        >>> rnn = xavier_(torch.nn.LSTM(2, 4))
        >>> bool(rnn.weight_ih_l0.abs().max() <= 1)
        True
    """
    return _each_gate(rnn, "weight_ih", lambda block: torch.nn.init.xavier_uniform_(block, gain))


def identity_(rnn: _Recurrent, scale: float = 1.0) -> _Recurrent:
    """Each gate's ``W_hh`` becomes ``scale`` times the identity and every bias 0: the IRNN of Le et al. 2015.

    Made for ``nonlinearity="relu"``. Call it before :func:`forget_bias_`, whose values it would erase.

    Example:
        >>> identity_(torch.nn.RNN(4, 2, nonlinearity="relu"), scale=0.5).weight_hh_l0.tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    _each_gate(rnn, "weight_hh", lambda block: torch.nn.init.eye_(block).mul_(scale))
    for suffix in _suffixes(rnn):
        for name in ("bias_ih", "bias_hh"):
            bias = getattr(rnn, name + suffix, None)
            if bias is not None:
                _store(rnn, name + suffix, torch.zeros_like(bias))
    return rnn


def forget_bias_(rnn: _Recurrent, value: float = 1.0) -> _Recurrent:
    """The gate that keeps the state gets bias ``value``: the LSTM's f (Gers et al. 2000), the GRU's z.

    ``bias_ih`` holds it and ``bias_hh`` is 0 there, so that the gate sees it once. At zero input and state the gate
    then stands at sigmoid(value): .5 for 0, .73 for 1, .88 for 2.

    Example:
        >>> lstm = forget_bias_(torch.nn.LSTM(4, 2), 1.0)
        >>> (lstm.bias_ih_l0 + lstm.bias_hh_l0)[2:4].tolist()  # rows i i f f g g o o
        [1.0, 1.0]

    Raises:
        TypeError: the layer has no such gate. ValueError: it has no bias.
    """
    for suffix in _suffixes(rnn):
        gates = _gated(rnn, suffix, "forget_bias_")
        _set_bias(rnn, suffix, "f" if "f" in gates else "z", lambda bias: bias.fill_(value))
    return rnn


def chrono_(rnn: _Recurrent, T: int) -> _Recurrent:
    """Biases for memories up to ``T`` steps (Tallec and Ollivier 2018): b_f = log U(1, T - 1), LSTM: b_i = -b_f.

    In a GRU, where z keeps the state, b_z = log U(1, T - 1). With f = u / (1 + u) a unit remembers 1 / (1 - f) = 1 + u
    steps, which is uniform between 2 and T.

    Args:
        rnn: a GRU, an LSTM or one of their cells.
        T: longest dependency expected, in timesteps, at least 2.

    Raises:
        TypeError: the layer has no gate that keeps the state, or T is no number. ValueError: no bias, or T < 2.

    Example:
        >>> lstm = chrono_(torch.nn.LSTM(4, 2), T=100)
        >>> torch.equal(lstm.bias_ih_l0[:2], -lstm.bias_ih_l0[2:4])  # i mirrors f
        True
    """
    if isinstance(T, bool) or not isinstance(T, (int, float)):
        raise TypeError(f"T must be a number of timesteps, at least 2, got {type(T).__name__} {T!r}")
    if not 2 <= T < float("inf"):
        raise ValueError(f"T must be a number of timesteps, at least 2, got {T!r}")
    for suffix in _suffixes(rnn):
        gates = _gated(rnn, suffix, "chrono_")
        if "f" in gates:
            keep = _set_bias(rnn, suffix, "f", lambda bias: bias.uniform_(1, T - 1).log_())
            _set_bias(rnn, suffix, "i", lambda bias, keep=keep: bias.copy_(-keep))  # type: ignore[misc]
        else:
            _set_bias(rnn, suffix, "z", lambda bias: bias.uniform_(1, T - 1).log_())
    return rnn


@torch.no_grad()
def recurrent_spectrum(rnn: torch.nn.Module) -> dict[str, dict[str, Spectrum]]:
    """Spectral radius, largest and smallest singular value of the recurrent matrix, per layer and gate.

    Computed in float64. Keys as in a record ("l0", "l0_reverse", "l1", ...; "cell" for a cell), then the gate:
    "h" for an RNN, r z n for a GRU, i f g o for an LSTM. With ``proj_size`` the matrix is ``W_hh W_hr [H, H]``.

    Example:
        >>> rnn = identity_(torch.nn.GRU(4, 8), scale=0.5)
        >>> recurrent_spectrum(rnn)["l0"]["n"]
        Spectrum(radius=0.5, largest=0.5, smallest=0.5)
    """
    found: dict[str, dict[str, Spectrum]] = {}
    for suffix in _suffixes(rnn):
        weight = getattr(rnn, "weight_hh" + suffix).detach().double()
        project = getattr(rnn, "weight_hr" + suffix, None)
        gates = {}
        for gate, rows in _blocks(rnn, suffix):
            matrix = weight[rows] if project is None else weight[rows] @ project.detach().double()
            if not bool(matrix.isfinite().all()):
                gates[gate] = Spectrum(float("nan"), float("nan"), float("nan"))
                continue
            singular = torch.linalg.svdvals(matrix)
            radius = torch.linalg.eigvals(matrix).abs().max()
            gates[gate] = Spectrum(float(radius), float(singular[0]), float(singular[-1]))
        found[suffix.lstrip("_") or "cell"] = gates
    return found


def _suffixes(rnn: torch.nn.Module) -> list[str]:
    """What follows "weight_hh" in the parameter names: "_l0", "_l0_reverse", ...; "" for a cell."""
    layer = rnn._modules.get("_orig_mod", rnn)  # inside torch.compile's wrapper, which hands on all attributes
    if isinstance(layer, RNNCellBase):
        return [""]
    if isinstance(layer, RNNBase):
        directions = ("", "_reverse") if layer.bidirectional else ("",)
        return [f"_l{k}{direction}" for k in range(layer.num_layers) for direction in directions]
    raise TypeError(
        f"expected a recurrent layer or cell of seqgrad or torch.nn (RNN, GRU, LSTM, ...), got {type(rnn).__name__}; "
        "pass the layer itself, e.g. model.rnn"
    )


def _blocks(rnn: torch.nn.Module, suffix: str) -> Iterator[tuple[str, slice]]:
    hidden = int(rnn.hidden_size)  # type: ignore[arg-type]
    for k, gate in enumerate(GATES[int(getattr(rnn, "weight_hh" + suffix).size(0)) // hidden]):
        yield gate, slice(k * hidden, (k + 1) * hidden)


def _gated(rnn: torch.nn.Module, suffix: str, function: str) -> list[str]:
    gates = [gate for gate, _ in _blocks(rnn, suffix)]
    if len(gates) == 1:
        raise TypeError(
            f"{function} needs a gate that keeps the state, and {type(rnn).__name__} has none; use LSTM or GRU"
        )
    if getattr(rnn, "bias_ih" + suffix, None) is None:
        raise ValueError(f"{function} sets a bias, and this {type(rnn).__name__} was built with bias=False")
    return gates


@torch.no_grad()
def _each_gate(rnn: _Recurrent, kind: str, fill: Callable[[Tensor], Tensor]) -> _Recurrent:
    for suffix in _suffixes(rnn):
        weight = getattr(rnn, kind + suffix)
        value = weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)  # QR has no half
        for _, rows in _blocks(rnn, suffix):
            fill(value[rows])
        _store(rnn, kind + suffix, value)
    return rnn


@torch.no_grad()
def _set_bias(rnn: torch.nn.Module, suffix: str, gate: str, fill: Callable[[Tensor], Tensor]) -> Tensor:
    rows = dict(_blocks(rnn, suffix))[gate]
    values: list[Tensor] = []
    for name in ("bias_ih", "bias_hh"):
        bias: Tensor = getattr(rnn, name + suffix).detach().clone()
        fill(bias[rows]) if name == "bias_ih" else bias[rows].zero_()
        _store(rnn, name + suffix, bias)
        values.append(bias[rows])
    return values[0]


@torch.no_grad()
def _store(rnn: torch.nn.Module, name: str, value: Tensor) -> None:
    weight = getattr(rnn, name)
    if isinstance(weight, Parameter):
        weight.copy_(value)
    else:  # parametrized: assigning goes through the parametrization's right inverse
        setattr(rnn, name, value.to(weight.dtype))
