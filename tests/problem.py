"""One layer and direction as a problem to be solved twice: by the engine and by the independent reference."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from cases import Shape
from torch import Tensor

from seqgrad import _ops, _reference
from seqgrad.clip import Norm, Value

CELLS = tuple(_ops.CELLS)
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
ARGUMENTS = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "h0", "c0", "w_hr")


def arithmetic(dtype: torch.dtype) -> torch.dtype:
    """The type in which the engine computes and reports norms."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class Problem(NamedTuple):
    """Inputs and output gradients in one dtype, and the options of the call."""

    cell: str
    tensors: dict[str, Any]  # by the names of ARGUMENTS: Tensor or None
    grads: tuple[Tensor | None, ...]  # of out [T, N, P], hn [N, P], cn [N, H]; None: not part of the loss
    reverse: bool = False
    lengths: Tensor | None = None
    scale: float = 1.0
    truncate: int = 0
    state_clip: Norm | Value | None = None

    def to(self, dtype: torch.dtype) -> Problem:
        """The same numbers in another dtype (rounded when it is narrower)."""
        tensors = {name: None if t is None else t.to(dtype) for name, t in self.tensors.items()}
        return self._replace(tensors=tensors, grads=tuple(None if g is None else g.to(dtype) for g in self.grads))

    def on(self, device: str) -> Problem:
        """The same problem on another device."""
        tensors = {name: None if t is None else t.to(device) for name, t in self.tensors.items()}
        grads = tuple(None if g is None else g.to(device) for g in self.grads)
        lengths = None if self.lengths is None else self.lengths.to(device)
        return self._replace(tensors=tensors, grads=grads, lengths=lengths)

    def options(self) -> dict[str, Any]:
        """The keyword arguments that engine and reference understand alike."""
        return {
            "cell": self.cell, "reverse": self.reverse, "lengths": self.lengths, "scale": self.scale,
            "truncate": self.truncate,
        }  # fmt: skip

    def sample(self, n: int) -> Problem:
        """Sample ``n`` alone, its padding cut off."""
        steps = self.tensors["x"].shape[0] if self.lengths is None else int(self.lengths[n])
        cut = dict(self.tensors)
        cut["x"] = self.tensors["x"][:steps, n : n + 1]
        for name in ("h0", "c0"):
            cut[name] = None if self.tensors[name] is None else self.tensors[name][n : n + 1]
        out, *last = self.grads
        grads = (None if out is None else out[:steps, n : n + 1], *[None if g is None else g[n : n + 1] for g in last])
        return self._replace(tensors=cut, grads=grads, lengths=None)


def make(
    cell: str,
    shape: Shape,
    *,
    seed: int = 0,
    bias: bool = True,
    proj: int = 0,
    ragged: bool = False,
    gain: float = 1.0,
    **options: Any,
) -> Problem:
    """A random problem in float64 with weights of variance ``gain^2 / H``; ``ragged`` lengths include 0 and T.

    A residual state grows with every step: a tenth of the weights keep it within fp16 and the problem well conditioned.
    """
    T, N, I, H = shape  # noqa: E741
    states, rows, P = _ops.CELLS[cell].states, _ops.CELLS[cell].gates * H, proj or H
    generator = torch.Generator().manual_seed(seed + 1000 * CELLS.index(cell))

    def normal(*size: int, std: float = 1.0) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64) * std

    weight = gain / H**0.5 * (0.1 if cell.startswith("residual") else 1.0)
    tensors = {
        "x": normal(T, N, I),
        "w_ih": normal(rows, I, std=weight),
        "w_hh": normal(rows, P, std=weight),
        "b_ih": normal(rows, std=weight) if bias else None,
        "b_hh": normal(rows, std=weight) if bias else None,
        "h0": normal(N, P),
        "c0": normal(N, H) if states == 2 else None,
        "w_hr": normal(P, H, std=weight) if proj else None,
    }
    grads = (normal(T, N, P), normal(N, P), normal(N, H) if states == 2 else None)
    lengths = None
    if ragged:
        lengths = torch.randint(0, T + 1, (N,), generator=generator)
        lengths[0], lengths[-1] = (0, T) if N > 1 else (max(1, T // 2),) * 2
    return Problem(cell, tensors, grads, lengths=lengths, **options)


def _leaves(problem: Problem, wanted: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: None if t is None else t.detach().requires_grad_(name in wanted) for name, t in problem.tensors.items()
    }


def _loss_terms(
    outputs: tuple[Tensor | None, ...], grads: tuple[Tensor | None, ...]
) -> tuple[list[Tensor], list[Tensor]]:
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if o is not None and g is not None]
    return [o for o, _ in pairs], [g for _, g in pairs]


def _named(problem: Problem, outputs: tuple[Tensor | None, ...]) -> dict[str, Tensor]:
    return {name: o.detach() for name, o in zip(("out", "hn", "cn"), outputs, strict=True) if o is not None}


def solve(problem: Problem, *, record: bool = True, wanted: tuple[str, ...] = ARGUMENTS) -> dict[str, Tensor]:
    """The engine's answer: out, hn, cn, ``d<name>`` per wanted input and, recording, the norms ``[T, N]``."""
    leaves = _leaves(problem, wanted)
    x = leaves["x"]
    names = _ops.quantities(problem.cell, problem.state_clip)
    tap = None
    if record:
        tap = torch.zeros(len(names), *x.shape[:2], dtype=arithmetic(x.dtype), device=x.device, requires_grad=True)
    outputs = _ops.layer(**leaves, tap=tap, state_clip=problem.state_clip, **problem.options())
    result = _named(problem, outputs)
    terms, given = _loss_terms(outputs, problem.grads)
    live = {name: t for name, t in leaves.items() if t is not None and t.requires_grad}
    found = torch.autograd.grad(terms, [*live.values(), *([tap] if tap is not None else [])], given)
    result |= {f"d{name}": g for name, g in zip(live, found, strict=False)}
    if record:
        result |= dict(zip(names, found[-1].unbind(0), strict=True))
    return result


def expect(problem: Problem) -> dict[str, Tensor]:
    """The reference's answer in the problem's own dtype, differentiated by autograd; the same names as ``solve``."""
    leaves = _leaves(problem, ARGUMENTS)
    clip = None if problem.state_clip is None else _ops._clip_function(*_ops._clip_arguments(problem.state_clip))
    r = _reference.layer(**leaves, state_clip=clip, **problem.options())
    outputs = (r.out, r.hn, r.cn)
    result = _named(problem, outputs)
    terms, given = _loss_terms(outputs, problem.grads)
    live = {name: t for name, t in leaves.items() if t is not None}
    asked = [*live.values(), *r.hs, *r.cs]
    found = torch.autograd.grad(terms, asked, given, allow_unused=True)
    dense = [torch.zeros_like(t) if g is None else g for t, g in zip(asked, found, strict=True)]
    result |= {f"d{name}": g for name, g in zip(live, dense, strict=False)}
    states = torch.stack(dense[len(live) : len(live) + len(r.hs)])
    return result | _norms(problem, states, dense[len(live) + len(r.hs) :])


def _norms(problem: Problem, states: Tensor, cells: list[Tensor]) -> dict[str, Tensor]:
    """Norms of total, carried (total minus direct) and cell gradients, and the hits of state_clip."""
    as_norm = arithmetic(states.dtype)
    states = states.to(as_norm)
    carried = states - _direct(problem, states)
    result = {"grad_h": states.norm(dim=-1), "grad_carry": carried.norm(dim=-1)}
    if cells:
        result["grad_c"] = torch.stack(cells).to(as_norm).norm(dim=-1)
    if isinstance(problem.state_clip, Norm):
        result["clip_hits"] = (result["grad_h"] > problem.state_clip.max_norm).to(as_norm)
    elif isinstance(problem.state_clip, Value):
        result["clip_hits"] = (states.abs() > problem.state_clip.clip_value).sum(-1).to(as_norm)
    return result


def _direct(problem: Problem, states: Tensor) -> Tensor:
    """What the loss itself sends to h_t: grad_out where the sample is alive, and grad_hn at its last processed step."""
    T, N, _ = states.shape
    ends = torch.full((N,), T) if problem.lengths is None else problem.lengths
    out, last, _ = problem.grads
    direct = torch.zeros_like(states) if out is None else out.to(states.dtype).clone()
    direct[torch.arange(T).unsqueeze(1) >= ends] = 0
    if last is not None:
        for n in (ends > 0).nonzero().flatten().tolist():
            direct[0 if problem.reverse else int(ends[n]) - 1, n] += last[n].to(states.dtype)
    return direct
