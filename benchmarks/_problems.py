"""The problems that are timed: a layer of torch.nn and ours with the same weights, on the same data."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import seqgrad as sg

PEERS: dict[str, tuple[Callable[..., nn.RNNBase], Callable[..., nn.RNNBase]]] = {
    "rnn": (nn.RNN, sg.RNN),
    "gru": (nn.GRU, sg.GRU),
    "lstm": (nn.LSTM, sg.LSTM),
}
MODES = ("infer", "train")


@dataclass(frozen=True)
class Shape:
    """``N`` samples, ``T`` timesteps, ``I`` inputs, ``H`` hidden units; ragged: lengths spread evenly over T/10..T."""

    N: int
    T: int
    I: int  # noqa: E741 - the letter of the formulas
    H: int
    ragged: bool = False

    def __str__(self) -> str:
        return f"{self.N},{self.T},{self.I},{self.H}{' ragged' if self.ragged else ''}"

    @property
    def steps(self) -> int:
        """Multiply-adds of one pass, in units of one gate."""
        return self.N * self.T * self.H * (self.I + self.H)


GRID = (
    Shape(1, 50, 32, 32),
    Shape(1, 100, 64, 64),
    Shape(1, 1000, 256, 256),
    Shape(1, 2000, 64, 128),
    Shape(4, 500, 16, 64),
    Shape(8, 200, 300, 200),
    Shape(32, 100, 64, 64),
    Shape(32, 100, 256, 256),
    Shape(32, 100, 128, 250, ragged=True),
    Shape(64, 500, 128, 128),
    Shape(64, 500, 128, 128, ragged=True),
    Shape(64, 100, 512, 512),
    Shape(100, 77, 33, 65, ragged=True),
    Shape(128, 50, 1024, 1024),
    Shape(256, 50, 64, 32),
    Shape(256, 100, 28, 128),
)
QUICK = tuple(shape for shape in GRID if shape.steps < 500_000_000 and shape.T < 1000)


def rivals(
    cell: str,
    shape: Shape,
    mode: str,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    layers: int = 1,
    bidirectional: bool = False,
) -> dict[str, Callable[[], object]]:
    """``{"torch": ..., "seqgrad": ...}`` and in train mode ``"recording"``: ours inside ``sg.record``.

    In mode infer a call returns its output.
    """
    torch.manual_seed(0)
    theirs, ours = (
        kind(shape.I, shape.H, layers, bidirectional=bidirectional).to(device, dtype) for kind in PEERS[cell]
    )
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape.T, shape.N, shape.I).to(device, dtype)
    lengths: Tensor | None = None
    if shape.ragged:  # falling, as the peer likes them best
        lengths = torch.linspace(shape.T, max(shape.T // 10, 1), shape.N).long()

    def peer_output(data: Tensor) -> Tensor:
        out = theirs(data if lengths is None else pack_padded_sequence(data, lengths))[0]
        return out.data if isinstance(out, PackedSequence) else out

    def our_output(data: Tensor) -> Tensor:
        out: Tensor = (ours(data) if lengths is None else ours(data, lengths=lengths))[0]
        return out

    if mode == "infer":
        return {"torch": _without_grad(peer_output, x), "seqgrad": _without_grad(our_output, x)}
    leaf = x.requires_grad_()  # as in a deeper model: dx is wanted

    def recorded() -> None:
        with sg.record(ours):
            _step(our_output, leaf, ours)

    return {
        "torch": lambda: _step(peer_output, leaf, theirs),
        "seqgrad": lambda: _step(our_output, leaf, ours),
        "recording": recorded,
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
