"""The single-step cells: RNNCell, GRUCell, LSTMCell, ResidualRNNCell. Published as ``seqgrad.nn``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.rnn import RNNCellBase

from seqgrad import _recorder
from seqgrad._graph_tap import Tag
from seqgrad._jit import Unscriptable
from seqgrad._ops import eager, settings
from seqgrad._rnn_run import (
    ERRORS,
    Weights,
    check_residual_scale,
    check_state_clip,
    describe_options,
    harmonise,
    plain,
    run,
)
from seqgrad.clip import Norm, Value

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Cell(Unscriptable, RNNCellBase):
    """What the four cells share: the checks of torch.nn in torch.nn's words, and one call of the engine with T = 1."""

    # On the class, so that a module converted from torch.nn needs no attribute of its own.
    state_clip: Norm | Value | None = None
    _seqgrad_tag: Tag | None = None  # while it is recorded
    _name: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any, dtype: Any,
        state_clip: Norm | Value | None,
    ) -> None:  # fmt: skip
        check_state_clip(state_clip)
        super().__init__(input_size, hidden_size, bias, num_chunks, device=device, dtype=dtype)
        self.state_clip = state_clip

    def extra_repr(self) -> str:
        return super().extra_repr() + describe_options(self)

    def _check_rank(self, input: Tensor, hx: Tensor | None) -> None:
        if input.dim() not in (1, 2):
            raise ValueError(f"{self._name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if hx is not None and hx.dim() not in (1, 2):
            raise ValueError(f"{self._name}: Expected hidden to be 1D or 2D, got {hx.dim()}D instead")

    def _step(self, input: Tensor, states: list[Tensor], cell: str, scale: float = 1.0) -> list[Tensor]:
        """``input [N, I]`` or ``[I]`` and its states ``[N, H]`` or ``[H]`` (none: zeros) to the next states."""
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
            states = [state.unsqueeze(0) for state in states]
        weights, new = self._weights(), None
        if self.state_clip is None and plain(input) and not _recorder.on():
            h0, c0 = (*states, None, None)[:2]
            try:  # where nothing is out of the ordinary, not a question asked
                h, _, c = eager(input, *weights, h0, c0, None, settings(cell, False, scale, None, 0))
                new = [h] if c is None else [h, c]
            except ERRORS:
                pass  # the careful way finds the words
        if new is None:
            new = self._careful_step(input, states, weights, cell, scale)
        return new if batched else [state.squeeze(0) for state in new]

    def _weights(self) -> Weights:
        if torch.compiler.is_compiling():
            return Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        # Module.__getattr__ is slow. What is no plain parameter (parametrized, pruned) is not in here.
        plain_ones = self._parameters
        found: list[Any] = [plain_ones[name] if name in plain_ones else getattr(self, name) for name in _NAMES]
        return Weights(*found)

    def _careful_step(
        self, input: Tensor, states: list[Tensor], weights: Weights, cell: str, scale: float
    ) -> list[Tensor]:
        if not states:
            zeros = input.new_zeros(input.size(0), self.hidden_size)
            states = [zeros] * (2 if cell == "lstm" else 1)
        self._check_shapes(input, states)
        x, states, (weights,) = harmonise(input, states, [weights])
        c0 = states[1] if cell == "lstm" else None
        _, hn, cn = run(
            self, "cell", x.unsqueeze(0), weights, states[0], c0, cell=cell, scale=scale, state_clip=self.state_clip
        )
        new = [hn] if cn is None else [hn, cn]
        _recorder.watch(self, "cell", cell=cell, x=x, out=hn, ends=new, h0=states[0], weights=weights)
        return new

    def _check_shapes(self, input: Tensor, states: list[Tensor]) -> None:
        expected, hidden = self.weight_ih.size(1), self.weight_hh.size(1)
        if input.size(1) != expected:
            raise RuntimeError(f"input has inconsistent input_size: got {input.size(1)} expected {expected}")
        for k, state in enumerate(states):
            if input.size(0) != state.size(0):
                raise RuntimeError(
                    f"Input batch size {input.size(0)} doesn't match hidden{k} batch size {state.size(0)}"
                )
            if state.size(1) != hidden:
                raise RuntimeError(f"hidden{k} has inconsistent hidden_size: got {state.size(1)}, expected {hidden}")


class _ElmanCell(_Cell):
    """RNNCell and ResidualRNNCell differ in the name of the cell alone."""

    nonlinearity: str
    residual_scale: float = 1.0
    _family = "rnn"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """``input [N, I]`` or ``[I]``, ``hx [N, H]`` or ``[H]`` (default zeros) to the next hidden state."""
        self._check_rank(input, hx)
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        states = [] if hx is None else [hx]
        return self._step(input, states, f"{self._family}_{self.nonlinearity}", self.residual_scale)[0]


class RNNCell(_ElmanCell):
    """One step ``h' = act(W_ih x + b_ih + W_hh h + b_hh)``: ``torch.nn.RNNCell`` with a gradient you can see.

    Same arguments, parameter names, initial values and errors as ``torch.nn.RNNCell``.

    Args:
        state_clip: ``seqgrad.clip.Norm`` or ``Value``: clips dL/dh' before this step's backward.

    Example:
        >>> cell = RNNCell(10, 20)
        >>> cell(torch.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    _name = "RNNCell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: Any = None, dtype: Any = None, *, state_clip: Norm | Value | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 1, device, dtype, state_clip)
        self.nonlinearity = nonlinearity


class ResidualRNNCell(_ElmanCell):
    """One step ``h' = h + residual_scale * act(W_ih x + b_ih + W_hh h + b_hh)``.

    Arguments as :class:`RNNCell`, and ``residual_scale`` (keyword, a finite number, default 1).

    Example:
        >>> cell = ResidualRNNCell(10, 20, residual_scale=0.1)
        >>> cell(torch.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    _name = "ResidualRNNCell"
    _family = "residual"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: Any = None, dtype: Any = None, *, residual_scale: float = 1.0, state_clip: Norm | Value | None = None,
    ) -> None:  # fmt: skip
        scale = check_residual_scale(residual_scale)
        super().__init__(input_size, hidden_size, bias, 1, device, dtype, state_clip)
        self.nonlinearity = nonlinearity
        self.residual_scale = scale


class GRUCell(_Cell):
    """One step of a gated recurrent unit: ``torch.nn.GRUCell`` with a gradient you can see.

    Same arguments, parameter names, initial values and errors as ``torch.nn.GRUCell``; gates in the order r, z, n.

    Args:
        state_clip: ``seqgrad.clip.Norm`` or ``Value``: clips dL/dh' before this step's backward.

    Example:
        >>> cell = GRUCell(10, 20)
        >>> cell(torch.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    _name = "GRUCell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True,
        device: Any = None, dtype: Any = None, *, state_clip: Norm | Value | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 3, device, dtype, state_clip)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """``input [N, I]`` or ``[I]``, ``hx [N, H]`` or ``[H]`` (default zeros) to the next hidden state."""
        self._check_rank(input, hx)
        return self._step(input, [] if hx is None else [hx], "gru")[0]


class LSTMCell(_Cell):
    """One step of a long short-term memory: ``torch.nn.LSTMCell`` with a gradient you can see.

    Same arguments, parameter names, initial values and errors as ``torch.nn.LSTMCell``; gates in the order i, f, g, o.

    Args:
        state_clip: ``seqgrad.clip.Norm`` or ``Value``: clips dL/dh' before this step's backward.

    Example:
        >>> cell = LSTMCell(10, 20)
        >>> h, c = cell(torch.randn(3, 10))
        >>> h.shape, c.shape
        (torch.Size([3, 20]), torch.Size([3, 20]))
    """

    _name = "LSTMCell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True,
        device: Any = None, dtype: Any = None, *, state_clip: Norm | Value | None = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 4, device, dtype, state_clip)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """``input [N, I]`` or ``[I]``, ``hx = (h, c)`` each ``[N, H]`` or ``[H]`` (default zeros) to the next pair."""
        self._check_rank(input, None)
        for k, state in enumerate(() if hx is None else hx):
            if state.dim() not in (1, 2):
                raise ValueError(f"LSTMCell: Expected hx[{k}] to be 1D or 2D, got {state.dim()}D instead")
        if isinstance(hx, Tensor):
            raise TypeError("lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, not Tensor")
        if hx is not None and len(hx) != 2:
            raise RuntimeError("lstm_cell expects two hidden states")
        h, c = self._step(input, [] if hx is None else list(hx), "lstm")
        return h, c
