"""The ops as citizens of torch: opcheck, derivatives of first and second order, compile."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import Shape
from problem import ARGUMENTS, CELLS, Problem, make
from torch import Tensor

from seqgrad import _ops, _reference
from seqgrad.clip import Norm, Value

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reverse": {"reverse": True},
    "ragged": {"ragged": True},
    "ragged_reverse": {"ragged": True, "reverse": True},
    "no_bias": {"bias": False},
    "proj": {"proj": 2},
    "proj_ragged_reverse": {"proj": 2, "ragged": True, "reverse": True},
    "scale": {"scale": 0.4},
}
CASES = [
    (cell, option)
    for cell in CELLS
    for option in OPTIONS
    if not (option.startswith("proj") and cell != "lstm") and not (option == "scale" and "residual" not in cell)
]
# No derivatives of any function, by definition; their second order is the composite's, see below.
NOT_TRUE = {"norm": {"state_clip": Norm(0.7)}, "value": {"state_clip": Value(0.2)}, "truncate": {"truncate": 2}}
SMALL = Shape(3, 2, 2, 3)


def smooth(cell: str, **options: Any) -> Problem:
    """A small problem; relu cells are kept off their corner, where no difference quotient is a derivative."""
    problem = make(cell, SMALL, **options)
    if cell.endswith("relu"):
        problem.tensors["x"].abs_()
        problem.tensors["w_ih"].abs_().add_(0.3)
        problem.tensors["w_ih"][0] *= -1
        for name in ("w_hh", "b_ih", "b_hh"):
            if problem.tensors[name] is not None:
                problem.tensors[name] *= 0.1
    return problem


def function(problem: Problem) -> tuple[Any, list[Tensor]]:
    """``f(*tensors)`` and its tensors, as gradcheck wants them; the tap takes no part."""
    names = [n for n in ARGUMENTS if problem.tensors[n] is not None]

    def f(*given: Tensor) -> tuple[Tensor, ...]:
        tensors = {**problem.tensors, **dict(zip(names, given, strict=True))}
        outputs = _ops.layer(**tensors, state_clip=problem.state_clip, **problem.options())
        return tuple(o for o in outputs if o is not None)

    return f, [problem.tensors[n].requires_grad_() for n in names]


@pytest.mark.parametrize(("cell", "option"), CASES)
def test_gradcheck_and_gradgradcheck(cell: str, option: str) -> None:
    f, tensors = function(smooth(cell, **OPTIONS[option]))
    assert torch.autograd.gradcheck(f, tensors)
    assert torch.autograd.gradgradcheck(f, tensors, fast_mode=True)


def second_order(problem: Problem, engine: bool) -> list[Tensor]:
    """Gradients of the sum of squares of all first gradients, by the engine or by the reference."""
    leaves = {n: None if t is None else t.clone().requires_grad_() for n, t in problem.tensors.items()}
    given = [g.clone().requires_grad_() for g in problem.grads if g is not None]
    if engine:
        outputs = _ops.layer(**leaves, state_clip=problem.state_clip, **problem.options())
    else:
        clip = _ops._clip_function(*_ops._clip_arguments(problem.state_clip))
        outputs = _reference.layer(**leaves, state_clip=clip, **problem.options())[:3]
    live = [t for t in leaves.values() if t is not None]
    first = torch.autograd.grad([o for o in outputs if o is not None], live, given, create_graph=True)
    return list(torch.autograd.grad(sum(g.square().sum() for g in first), [*live, *given]))


@pytest.mark.parametrize("option", [*NOT_TRUE, "ragged_reverse"])
@pytest.mark.parametrize("cell", CELLS)
def test_double_backward_is_that_of_the_torch_composite(cell: str, option: str) -> None:
    problem = smooth(cell, **{**NOT_TRUE, **OPTIONS}[option])
    for ours, theirs in zip(second_order(problem, True), second_order(problem, False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cell", CELLS)
def test_norms_are_constants_of_a_double_backward(cell: str) -> None:
    problem = smooth(cell)
    tap = torch.zeros(len(_ops.quantities(cell, None)), 3, 2, dtype=torch.float64, requires_grad=True)
    leaves = {n: None if t is None else t.requires_grad_() for n, t in problem.tensors.items()}
    out, *_ = _ops.layer(**leaves, cell=cell, tap=tap)
    norms, dw = torch.autograd.grad(out.square().sum(), [tap, leaves["w_hh"]], create_graph=True)
    assert not norms.requires_grad
    assert dw.requires_grad
    again, *_ = _ops.layer(**leaves, cell=cell)
    (plain,) = torch.autograd.grad(again.square().sum(), leaves["w_hh"], create_graph=True)
    penalty = torch.autograd.grad(dw.square().sum(), leaves["w_ih"])[0]
    assert torch.equal(penalty, torch.autograd.grad(plain.square().sum(), leaves["w_ih"])[0])


def forward_arguments(cell: str, clip: Norm | Value | None, **options: Any) -> tuple[Any, ...]:
    """The positional arguments of torch.ops.seqgrad.forward, recording."""
    problem = make(cell, SMALL, **options)
    t = {n: None if v is None else v.requires_grad_() for n, v in problem.tensors.items()}
    tap = torch.zeros(len(_ops.quantities(cell, clip)), 3, 2, dtype=torch.float64, requires_grad=True)
    return (
        t["x"], t["w_ih"], t["w_hh"], t["b_ih"], t["b_hh"], t["w_hr"], t["h0"], t["c0"], problem.lengths, tap,
        cell, problem.reverse, 0.5, *_ops._clip_arguments(clip), problem.truncate, True,
    )  # fmt: skip


def backward_arguments(cell: str, clip: Norm | Value | None, **options: Any) -> tuple[Any, ...]:
    """The positional arguments of torch.ops.seqgrad.backward after that forward."""
    args = forward_arguments(cell, clip, **options)
    with torch.no_grad():
        out, hn, cn, saved = torch.ops.seqgrad.forward(*args)
    inputs = [None if t is None else t.detach() for t in args[:9]]
    grad_cn = torch.ones_like(cn) if cn.numel() else None
    ones = torch.ones_like(out), torch.ones_like(hn)
    return (*ones, grad_cn, out, saved, *inputs, *args[10:16], True, True, True)


OPCHECKS = [
    ("plain", None, {}),
    ("everything", Norm(0.3), {"ragged": True, "reverse": True, "bias": False, "truncate": 2}),
    ("projected", Value(0.3), {"proj": 2}),
]
OPCHECK_CASES = [(cell, *row) for cell in CELLS for row in OPCHECKS if row[0] != "projected" or cell == "lstm"]
by_option = pytest.mark.parametrize(
    ("cell", "clip", "options"),
    [(c, k, o) for c, _, k, o in OPCHECK_CASES],
    ids=[f"{r[0]}-{r[1]}" for r in OPCHECK_CASES],
)


# opcheck of torch 2.14 reads .grad of tensors that are no leaves, its own warning about it included
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@by_option
def test_opcheck_forward(cell: str, clip: Norm | Value | None, options: dict[str, Any]) -> None:
    torch.library.opcheck(torch.ops.seqgrad.forward.default, forward_arguments(cell, clip, **options))


@by_option
def test_opcheck_backward(cell: str, clip: Norm | Value | None, options: dict[str, Any]) -> None:
    torch.library.opcheck(torch.ops.seqgrad.backward.default, backward_arguments(cell, clip, **options))


@by_option
def test_opcheck_without_anything_optional(cell: str, clip: Norm | Value | None, options: dict[str, Any]) -> None:
    """Inference, and a backward from which nothing is wanted: the fake kernels must follow the empty tensors."""
    args = [t.detach() if isinstance(t, Tensor) else t for t in forward_arguments(cell, clip, **options)]
    args[9], args[-1] = None, False
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.seqgrad.forward.default, tuple(args), test_utils=checks)
    back = (None, *backward_arguments(cell, clip, **options)[1:-3], False, False, False)
    torch.library.opcheck(torch.ops.seqgrad.backward.default, back, test_utils=checks)


@pytest.mark.parametrize("states", ["flat", "stacked", "left out"])
@by_option
def test_opcheck_of_the_eager_ops(cell: str, clip: Norm | Value | None, options: dict[str, Any], states: str) -> None:
    """They have no autograd of their own: seqgrad._ops gives it to them."""
    args = [t.detach() if isinstance(t, Tensor) else t for t in forward_arguments(cell, clip, **options)]
    _, reverse, scale, _, _, truncate, _ = args[10:]
    told = _ops.settings(cell, reverse, scale, clip, truncate)
    if states != "flat":
        args[6:8] = [None if t is None or states == "left out" else t.unsqueeze(0) for t in args[6:8]]
    inputs, checks = args[:9], ("test_schema", "test_faketensor")
    forward, backward = torch.ops.seqgrad.eager.default, torch.ops.seqgrad.eager_backward.default
    for save in (False, True):
        torch.library.opcheck(forward, (*inputs, *told, save), test_utils=checks)
    out, hn, cn, saved = forward(*inputs, *told, True)
    for wanted in (0, 7):
        torch.library.opcheck(backward, (out, hn, cn, out, saved, *inputs, *told, wanted), test_utils=checks)


@pytest.mark.parametrize("cell", CELLS)
def test_opcheck_of_a_single_eager_step(cell: str) -> None:
    t = {name: None if v is None else v.detach() for name, v in make(cell, SMALL).tensors.items()}
    inputs = [t["x"][0], *[t[k] for k in ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")], None]
    told, checks = _ops.settings(cell, False, 1.0, None, 0), ("test_schema", "test_faketensor")
    forward, backward = torch.ops.seqgrad.eager.default, torch.ops.seqgrad.eager_backward.default
    h, hn, c, saved = forward(*inputs, *told, True)
    assert hn is None
    torch.library.opcheck(forward, (*inputs, *told, True), test_utils=checks)
    torch.library.opcheck(backward, (h, None, c, h, saved, *inputs, *told, 3), test_utils=checks)


@pytest.mark.parametrize("cell", CELLS)
def test_compiles_to_one_graph_with_the_norms_in_it(cell: str) -> None:
    problem = make(cell, SMALL, ragged=True).to(torch.float32)
    names = [n for n in ARGUMENTS if problem.tensors[n] is not None]

    def f(tap: Tensor, lengths: Tensor, *given: Tensor) -> Tensor:
        tensors = {**dict.fromkeys(ARGUMENTS), **dict(zip(names, given, strict=True))}
        out, hn, _ = _ops.layer(**tensors, cell=cell, lengths=lengths, state_clip=Norm(0.5), tap=tap)
        return out.square().sum() + hn.sin().sum()

    results = []
    torch._dynamo.reset()
    for g in (f, torch.compile(f, fullgraph=True, backend="aot_eager")):
        tap = torch.zeros(len(_ops.quantities(cell, Norm(0.5))), 3, 2, requires_grad=True)
        leaves = [problem.tensors[n].clone().requires_grad_() for n in names]
        loss = g(tap, problem.lengths, *leaves)
        results.append((loss.detach(), *torch.autograd.grad(loss, [tap, *leaves])))
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-6, atol=1e-7)
    assert results[1][1].any()
