"""The problems that are timed: a layer of torch.nn and ours with the same weights, on the same data."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import _peers
import torch
from _shapes import Shape
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import seqgrad as sg

PEERS: dict[str, tuple[Callable[..., nn.RNNBase], Callable[..., nn.RNNBase]]] = {
    "rnn": (nn.RNN, sg.RNN),
    "residual": (nn.RNN, sg.ResidualRNN),  # torch.nn has none: its RNN does one addition less
    "gru": (nn.GRU, sg.GRU),
    "lstm": (nn.LSTM, sg.LSTM),
}
MODES = ("infer", "train")


def rivals(
    cell: str,
    shape: Shape,
    mode: str,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    layers: int = 1,
    bidirectional: bool = False,
    peers: Sequence[str] = (),
) -> dict[str, Callable[[], object]]:
    """``{"torch": ..., "seqgrad": ...}`` and in train mode ``"recording"``: ours inside ``sg.record``; then ``peers``.

    In mode infer a call of the first two returns its output.
    """
    torch.manual_seed(0)
    theirs, ours = (
        kind(shape.I, shape.H, layers, bidirectional=bidirectional).to(device, dtype) for kind in PEERS[cell]
    )
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape.T, shape.N, shape.I).to(device, dtype)
    lengths = shape.lengths

    def peer_output(data: Tensor) -> Tensor:
        out = theirs(data if lengths is None else pack_padded_sequence(data, lengths))[0]
        return out.data if isinstance(out, PackedSequence) else out

    def our_output(data: Tensor) -> Tensor:
        out: Tensor = (ours(data) if lengths is None else ours(data, lengths=lengths))[0]
        return out

    others = {}
    for name in peers:
        others[name], output = _peers.build(name, cell, theirs, x, shape, mode)
        with torch.no_grad():
            expected = our_output(x)
        _peers.check(name, output, expected, shape)
    if mode == "infer":
        return {"torch": _without_grad(peer_output, x), "seqgrad": _without_grad(our_output, x), **others}
    leaf = x.requires_grad_()  # as in a deeper model: dx is wanted

    def recorded() -> None:
        with sg.record(ours):
            _step(our_output, leaf, ours)

    return {
        "torch": lambda: _step(peer_output, leaf, theirs),
        "seqgrad": lambda: _step(our_output, leaf, ours),
        "recording": recorded,
        **others,
    }


def _without_grad(output: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    def call() -> Tensor:
        with torch.inference_mode():
            return output(x)

    return call


def _step(output: Callable[[Tensor], Tensor], x: Tensor, module: nn.Module) -> None:
    output(x).sum().backward()
    x.grad = None
    module.zero_grad(set_to_none=True)


def settle() -> None:
    """Collect what the last problem left, so that the next does not pay for it."""
    gc.collect()
