"""Recurrent layers with torch.nn's interface and a gradient you can see at every timestep.

What torch.nn accepts is accepted here: arguments, parameter names, state_dict, PackedSequence, errors. What is added:
``lengths=`` in the call, ``state_clip=`` and ``truncate=`` in the constructor, and the residual RNN.

What meets a layer from outside finds one of torch.nn's kind: parametrizations, pruning, hooks, ``fully_shard``,
DistributedDataParallel, activation checkpointing, ``torch.jit.trace``. Three limits. ``torch.jit.script`` cannot
compile it, and says what to do instead. Dynamic quantization knows torch.nn's exact classes and passes it by:
``revert_`` first. A DTensor as *input* (tensor parallelism) has no rule here; sharded parameters are gathered by
``fully_shard`` and fine.

Differences worth a sentence: under autocast every layer computes in the autocast dtype and returns it (torch.nn does
so on CUDA, and on the CPU only for some layers), and hidden states must have the dtype of the input outside autocast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.nn import RNNBase
from torch.nn.utils.rnn import PackedSequence

from seqgrad import _ops, _recorder, _rnn_input
from seqgrad._cells import GRUCell, LSTMCell, ResidualRNNCell, RNNCell
from seqgrad._convert import convert_, revert_
from seqgrad._graph_tap import Tag
from seqgrad._jit import Unscriptable
from seqgrad._rnn_run import (
    ERRORS,
    Weights,
    check_residual_scale,
    check_state_clip,
    check_truncate,
    describe_options,
    harmonise,
    plain,
)  # fmt: skip
from seqgrad._stack import through_layers
from seqgrad.clip import Norm, Value

__all__ = [
    "GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "ResidualRNN", "ResidualRNNCell", "convert_", "revert_",
]  # fmt: skip

Lengths = Tensor | Sequence[int]
_Packing = _rnn_input.Packing | _rnn_input.PackedRows
_NO_PROJECTION = "proj_size argument is only supported for LSTM, not RNN or GRU"

for _cell in (RNNCell, ResidualRNNCell, GRUCell, LSTMCell):
    _cell.__module__ = __name__  # a pickle then names the public home, not a private file


class _Layer(Unscriptable, RNNBase):
    """What the four layers share.

    They extend RNNBase, whose checks and parameter bookkeeping they use, and not torch.nn.LSTM itself, because
    torch.compile refuses to trace subclasses of that.
    """

    # On the class, so that a module converted from torch.nn needs no attribute of its own.
    state_clip: Norm | Value | None = None
    _seqgrad_tag: Tag | None = None  # while it is recorded
    truncate: int | None = None
    residual_scale: float = 1.0
    _name: ClassVar[str]
    _cells: ClassVar[dict[str, str]]  # torch's mode to the engine's cell
    _rank_noun: ClassVar[str] = ""  # torch.nn.RNN words one error differently from GRU and LSTM

    def __init__(
        self, mode: str, *args: Any, state_clip: Norm | Value | None, truncate: int | None, **kwargs: Any
    ) -> None:
        check_state_clip(state_clip)
        check_truncate(truncate)
        if mode != "LSTM" and "proj_size" in kwargs:
            raise ValueError(_NO_PROJECTION)
        super().__init__(mode, *args, **kwargs)
        if mode != "LSTM" and self.proj_size:  # by position; torch.nn builds such a layer and cannot run it
            raise ValueError(_NO_PROJECTION)
        self.state_clip = state_clip
        self.truncate = truncate

    def _init_flat_weights(self) -> None:
        # torch.nn caches the weights for its kernels. Ours are found by name at every call, which sees parametrized
        # and replaced ones; a cache would hold computed, non-leaf tensors and break deepcopy.
        self._flat_weights: list[Any] = [None] * len(self._flat_weights_names)
        self._flat_weight_refs = [None] * len(self._flat_weights_names)

    def flatten_parameters(self) -> None:
        """Does nothing: the parameters need no particular place in memory. Kept because torch.nn has it."""

    def extra_repr(self) -> str:
        return super().extra_repr() + describe_options(self)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        # torch.nn's checks and words, on the weight found by name.
        dtype = getattr(self, self._flat_weights_names[0]).dtype
        if input.dtype != dtype and not torch._C._is_any_autocast_enabled():
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        rank = 2 if batch_sizes is not None else 3
        if input.dim() != rank:
            raise RuntimeError(f"input must have {rank} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def forward(self, input: Any, hx: Any = None, *, lengths: Lengths | None = None) -> tuple[Any, Any]:
        """Run all layers and timesteps.

        Args:
            input: ``[T, N, I]``, ``[N, T, I]`` with batch_first, ``[T, I]`` unbatched, or a PackedSequence.
            hx: initial state ``[L * D, N, H]`` (LSTM: a pair h, c); ``[L * D, H]`` for unbatched input. Default zeros.
            lengths: int tensor or list ``[N]`` for a padded batch: sample n lasts ``lengths[n]`` steps, 0..T. Its
                outputs beyond are 0 and its final state is the one at its last step. Not with a PackedSequence.
                Pass them on the CPU to have them checked without waiting for a GPU.

        Returns:
            output of the last layer, in the form of the input, and the final state, in the form of ``hx``.
        """
        if plain(input) and input.dim() == 3:
            found = self._quick_forward(input, hx, lengths)
            if found is not None:
                return found
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError(
                    "lengths= and a PackedSequence both say how long each sample is; pass only one of them"
                )
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._name}: Expected input to be 2D or 3D, got {input.dim()}D{self._rank_noun} instead"
            )
        batched, batch_dim = input.dim() == 3, 0 if self.batch_first else 1
        if hx is not None:
            hx = self._check_state_rank(hx, batched)
        if not batched:
            input = input.unsqueeze(batch_dim)
        self._check_args(input, hx, None)
        x = input.transpose(0, 1) if self.batch_first else input
        known = None if lengths is None else _rnn_input.check_lengths(lengths, x, batched=batched)
        out, state = self._run(x, self._split(hx), known, None)
        out = out.transpose(0, 1) if self.batch_first else out
        if not batched:
            out, state = out.squeeze(batch_dim), [s.squeeze(1) for s in state]
        return out, self._join(state)

    def _quick_forward(self, input: Tensor, hx: Any, lengths: Any) -> tuple[Tensor, Any] | None:
        """The same without a question asked; None if anything is odd, for the careful way to take or to explain."""
        if type(lengths) is list:
            try:
                lengths = torch.as_tensor(lengths)
            except ERRORS:
                return None
        if lengths is not None and not (
            type(lengths) is Tensor
            and lengths.dtype == torch.int64
            and lengths.is_cpu
            and input.is_cpu
            and _ops.CPU_ENGINE
        ):
            return None  # only the CPU engine looks at lengths itself
        states: Sequence[Any] = ()
        if hx is not None:
            two = self.mode == "LSTM"
            if isinstance(hx, Tensor) is two or (two and len(hx) != 2):
                return None
            states = hx if two else (hx,)
        for state in states:
            if not isinstance(state, Tensor) or state.dim() != 3 or state.size(0) != len(self._all_weights):
                return None
        found = self._at_once(input.transpose(0, 1) if self.batch_first else input, states, lengths)
        if found is None:
            return None
        out, final = found
        return out.transpose(0, 1) if self.batch_first else out, self._join(final)

    def _at_once(
        self, x: Tensor, states: Sequence[Any], lengths: Tensor | None, rows: _rnn_input.PackedRows | None = None
    ) -> tuple[Tensor, list[Any]] | None:
        """All layers of what has the right kind and rank; whether it fits is left to the engine."""
        groups = self._groups()
        cell, recorded, tap = self._cells[self.mode], _recorder.on(), None
        if recorded and (len(groups) > 1 or not (x.is_floating_point() and self.hidden_size)):
            return None  # a call that goes another way after all shall not be counted twice
        try:
            if len(groups) > 1:
                return self._layers(x, states, groups, lengths, rows)
            clip, (h0, c0) = self.state_clip, (*states, None, None)[:2]
            if recorded:
                known = rows.users_lengths() if rows else lengths
                tap = _recorder.make_tap(self, "l0", cell=cell, state_clip=clip, x=x, lengths=known, reverse=False)
            told = _ops.settings(cell, False, self.residual_scale, clip, self.truncate or 0)
            taken = rows.in_users_order(tap) if rows and callable(tap) else tap
            out, *final = _ops.eager(x, *groups[0], h0, c0, lengths, told, taken)
        except ERRORS:
            if isinstance(tap, _recorder.Filing):
                tap.withdraw()
            return None
        if tap is not None:
            _recorder.watch(self, "l0", cell=cell, x=x, out=out, ends=final, h0=h0, weights=groups[0], lengths=lengths)
        return out, final

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, sizes, order, back = input
        as_rows = self._packed_rows(input)
        if as_rows and hx is None:
            found = self._at_once(as_rows.pad(data), (), as_rows.lengths, as_rows)
            if found is not None:
                return PackedSequence(found[0], sizes, order, back), self.permute_hidden(self._join(found[1]), back)
        packing = as_rows or _rnn_input.packing(input, self._split(hx))
        if hx is not None:
            hx = self.permute_hidden(hx, order)  # into packed order and back: torch's own index errors come from here
        self._check_args(data, hx, (packing.samples,))  # torch.nn reads the first of batch_sizes here, no more
        if hx is not None and not as_rows:
            hx = self.permute_hidden(hx, back)
        out, state = self._run(packing.pad(data), self._split(hx), packing.lengths, packing)
        final = self._join(state)
        if as_rows:
            final = self.permute_hidden(final, back)
        return PackedSequence(packing.pack(out), sizes, order, back), final

    def _packed_rows(self, input: PackedSequence) -> _rnn_input.PackedRows | None:
        """``input`` as the CPU engine takes it; None where it has to become a padded batch."""
        x = input.data
        able = plain(x) and x.is_cpu and x.is_floating_point() and self.hidden_size and _ops.CPU_ENGINE
        if not able or _recorder.watching():
            return None
        return _rnn_input.packed_rows(input)

    def _run(
        self, x: Tensor, states: list[Tensor], lengths: Tensor | None, packing: _Packing | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Time-major ``x``, or packed rows, through all layers; states: none, h, or h and c, ``[L * D, N, *]``."""
        if x.size(0) == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        x, states, weights = harmonise(x, states, self._groups())
        return self._layers(x, states, weights, lengths, packing)

    def _layers(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        weights: Sequence[Weights],
        lengths: Tensor | None = None,
        packing: _Packing | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        return through_layers(self, self._cells[self.mode], x, states, weights, lengths, packing)

    def _groups(self) -> list[Weights]:
        """The weights of each layer and direction."""
        # Module.__getattr__ is slow. What is no plain parameter (parametrized, pruned) is not in here.
        plain_ones: dict[str, Any] = {} if torch.compiler.is_compiling() else self._parameters
        groups = []
        for names in self._all_weights:
            found = [plain_ones[name] if name in plain_ones else getattr(self, name) for name in names]
            w_hr = found.pop() if self.proj_size else None
            b_ih, b_hh = found[2:] if self.bias else (None, None)
            groups.append(Weights(found[0], found[1], b_ih, b_hh, w_hr))
        return groups

    def _zeros(self, x: Tensor, *leading: int) -> tuple[Tensor, ...]:
        return (x.new_zeros(*leading, self.hidden_size),)

    def _check_args(self, input: Tensor, hx: Any, batch_sizes: Any) -> None:
        if hx is None:
            self.check_input(input, batch_sizes)
        else:
            self.check_forward_args(input, hx, batch_sizes)

    def _check_state_rank(self, hx: Any, batched: bool) -> Any:
        """The state as 3-D, after torch.nn's check of its rank."""
        if hx.dim() != (3 if batched else 2):
            kind, rank = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
            raise RuntimeError(f"For {kind} input, hx should also be {rank}-D but got {hx.dim()}-D tensor")
        return hx if batched else hx.unsqueeze(1)

    def _split(self, hx: Any) -> list[Tensor]:
        return [] if hx is None else [hx]

    def _join(self, state: list[Tensor]) -> Any:
        return state[0]


class _ElmanLayer(_Layer):
    """RNN and ResidualRNN: both take ``nonlinearity`` as the fourth positional argument, as torch.nn.RNN does."""

    nonlinearity: str
    _rank_noun = " tensor"

    def __init__(self, *args: Any, state_clip: Norm | Value | None, truncate: int | None, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(_NO_PROJECTION)
        if len(args) > 3:
            nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if not isinstance(nonlinearity, str) or nonlinearity not in modes:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(modes[nonlinearity], *args, state_clip=state_clip, truncate=truncate, **kwargs)
        self.nonlinearity = nonlinearity


class RNN(_ElmanLayer):
    """Multi-layer Elman RNN, ``h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``: ``torch.nn.RNN`` to see through.

    Same arguments (also by position), parameter names, initial values and errors as ``torch.nn.RNN``, and:

    Args:
        state_clip: ``seqgrad.clip.Norm`` or ``Value``: clips the gradient carried through the states, at every
            timestep, inside the backward. The result is no longer the true gradient.
        truncate: positive int k: truncated BPTT, the gradient is cut between timesteps at t = k, 2k, ...

    Example:
        >>> rnn = RNN(10, 20, num_layers=2, bidirectional=True)
        >>> out, hn = rnn(torch.randn(5, 3, 10), lengths=[5, 2, 4])
        >>> out.shape, hn.shape
        (torch.Size([5, 3, 40]), torch.Size([4, 3, 20]))
    """

    _name = "RNN"
    _cells: ClassVar[dict[str, str]] = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}

    @overload
    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None, *, state_clip: Norm | Value | None = None, truncate: int | None = None,
    ) -> None: ...  # fmt: skip

    @overload
    def __init__(
        self, *args: Any, state_clip: Norm | Value | None = None, truncate: int | None = None, **kwargs: Any
    ) -> None: ...

    def __init__(
        self, *args: Any, state_clip: Norm | Value | None = None, truncate: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, state_clip=state_clip, truncate=truncate, **kwargs)


class ResidualRNN(_ElmanLayer):
    """Residual RNN, ``h_t = h_{t-1} + residual_scale * act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``.

    Arguments as :class:`RNN`. The identity path keeps the gradient from vanishing; with ``residual_scale`` 1 it may
    grow with the sequence instead, and a scale below 1 tames that.

    Args:
        residual_scale: finite number, default 1.

    Example:
        >>> rnn = ResidualRNN(10, 20, residual_scale=0.1)
        >>> rnn(torch.randn(5, 3, 10))[0].shape
        torch.Size([5, 3, 20])
    """

    _name = "ResidualRNN"
    _cells: ClassVar[dict[str, str]] = {"RNN_TANH": "residual_tanh", "RNN_RELU": "residual_relu"}

    @overload
    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None, *, residual_scale: float = 1.0, state_clip: Norm | Value | None = None,
        truncate: int | None = None,
    ) -> None: ...  # fmt: skip

    @overload
    def __init__(
        self, *args: Any, residual_scale: float = 1.0, state_clip: Norm | Value | None = None,
        truncate: int | None = None, **kwargs: Any,
    ) -> None: ...  # fmt: skip

    def __init__(
        self, *args: Any, residual_scale: float = 1.0, state_clip: Norm | Value | None = None,
        truncate: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        scale = check_residual_scale(residual_scale)
        super().__init__(*args, state_clip=state_clip, truncate=truncate, **kwargs)
        self.residual_scale = scale


class GRU(_Layer):
    """Multi-layer gated recurrent unit: ``torch.nn.GRU`` to see through. Gates in the order r, z, n.

    Same arguments (also by position), parameter names, initial values and errors as ``torch.nn.GRU``;
    ``state_clip`` and ``truncate`` as in :class:`RNN`.

    Example:
        >>> gru = GRU(10, 20, batch_first=True)
        >>> out, hn = gru(torch.randn(3, 5, 10))
        >>> out.shape, hn.shape
        (torch.Size([3, 5, 20]), torch.Size([1, 3, 20]))
    """

    _name = "GRU"
    _cells: ClassVar[dict[str, str]] = {"GRU": "gru"}

    @overload
    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None, *,
        state_clip: Norm | Value | None = None, truncate: int | None = None,
    ) -> None: ...  # fmt: skip

    @overload
    def __init__(
        self, *args: Any, state_clip: Norm | Value | None = None, truncate: int | None = None, **kwargs: Any
    ) -> None: ...

    def __init__(
        self, *args: Any, state_clip: Norm | Value | None = None, truncate: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__("GRU", *args, state_clip=state_clip, truncate=truncate, **kwargs)


class LSTM(_Layer):
    """Multi-layer long short-term memory: ``torch.nn.LSTM`` to see through. Gates in the order i, f, g, o.

    Same arguments (also by position), parameter names, initial values and errors as ``torch.nn.LSTM``, with
    ``proj_size``; ``state_clip`` and ``truncate`` as in :class:`RNN` (``state_clip`` clips dL/dh, not dL/dc).

    Example:
        >>> lstm = LSTM(10, 20)
        >>> out, (hn, cn) = lstm(torch.randn(5, 3, 10))
        >>> out.shape, hn.shape, cn.shape
        (torch.Size([5, 3, 20]), torch.Size([1, 3, 20]), torch.Size([1, 3, 20]))
    """

    _name = "LSTM"
    _cells: ClassVar[dict[str, str]] = {"LSTM": "lstm"}

    @overload
    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
        *, state_clip: Norm | Value | None = None, truncate: int | None = None,
    ) -> None: ...  # fmt: skip

    @overload
    def __init__(
        self, *args: Any, state_clip: Norm | Value | None = None, truncate: int | None = None, **kwargs: Any
    ) -> None: ...

    def __init__(
        self, *args: Any, state_clip: Norm | Value | None = None, truncate: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__("LSTM", *args, state_clip=state_clip, truncate=truncate, **kwargs)

    # The state is a pair here: torch.nn.LSTM's own checks, words included.
    check_forward_args = torch.nn.LSTM.check_forward_args  # type: ignore[assignment]
    get_expected_cell_size = torch.nn.LSTM.get_expected_cell_size
    permute_hidden = torch.nn.LSTM.permute_hidden  # type: ignore[assignment]

    def _zeros(self, x: Tensor, *leading: int) -> tuple[Tensor, ...]:
        c0 = x.new_zeros(*leading, self.hidden_size)
        return (x.new_zeros(*leading, self.proj_size) if self.proj_size else c0), c0

    def _check_state_rank(self, hx: Any, batched: bool) -> Any:
        if hx[0].dim() != (3 if batched else 2) or hx[1].dim() != (3 if batched else 2):
            kind, rank = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
            got = f"({hx[0].dim()}-D, {hx[1].dim()}-D)"
            raise RuntimeError(f"For {kind} input, hx and cx should also be {rank}-D but got {got} tensors")
        if isinstance(hx, Tensor):
            raise TypeError("LSTM: hx must be a pair of tensors (h_0, c_0), got one Tensor")
        if len(hx) != 2:
            raise RuntimeError("lstm expects two hidden states")
        return (hx[0], hx[1]) if batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))

    def _split(self, hx: Any) -> list[Tensor]:
        return [] if hx is None else list(hx)

    def _join(self, state: list[Tensor]) -> Any:
        return state[0], state[1]
