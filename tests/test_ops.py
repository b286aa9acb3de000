"""The engine at the level of its ops: right against the reference, indifferent to everything that must not matter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import GRID, TILED, TILED_FEW, Shape
from oracle import assert_within_ratio
from problem import CELLS, DTYPES, Problem, arithmetic, expect, make, solve
from torch import Tensor

from seqgrad import _ops
from seqgrad.clip import Norm, Value

PROJ = {"proj": -1}  # stands for half the hidden size
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reverse": {"reverse": True},
    "ragged": {"ragged": True},
    "ragged_reverse": {"ragged": True, "reverse": True},
    "no_bias": {"bias": False},
    "proj": PROJ,
    "proj_ragged_reverse": {**PROJ, "ragged": True, "reverse": True},
    "proj_clip": {**PROJ, "state_clip": Norm(0.5)},
    "clip_norm": {"state_clip": Norm(1.5)},
    "clip_norm_ragged": {"state_clip": Norm(1.5), "ragged": True},
    "clip_value_reverse": {"state_clip": Value(0.5), "reverse": True},
    "truncate": {"truncate": 3},
    "truncate_ragged_reverse": {"truncate": 2, "reverse": True, "ragged": True},
    "everything": {
        "truncate": 4, "reverse": True, "ragged": True, "state_clip": Value(0.4), "scale": 0.7, "bias": False,
    },
    "scale": {"scale": 0.3, "gain": 1.5},
}  # fmt: skip


def applies(cell: str, option: str) -> bool:
    return not (option.startswith("proj") and cell != "lstm") and not (option == "scale" and "residual" not in cell)


def problems(cell: str, option: str) -> list[tuple[str, Problem]]:
    """The whole grid for ``plain``; for an option every fifth shape, another fifth for each option."""
    first = list(OPTIONS).index(option) % 5
    found = []
    for i, shape in enumerate([*(GRID if option == "plain" else GRID[first::5]), TILED, TILED_FEW]):
        kwargs = dict(OPTIONS[option])
        if "proj" in kwargs:
            kwargs["proj"] = max(1, shape.H // 2)
        if kwargs["proj"] < shape.H if "proj" in kwargs else True:
            found.append((f"{cell} {option} {tuple(shape)}", make(cell, shape, seed=i, **kwargs)))
    return found


CASES = [(cell, option) for cell in CELLS for option in OPTIONS if applies(cell, option)]


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """The answers agree to the bit (NaN included) in every name that both hold."""
    assert a.keys() & b.keys()
    for name in a.keys() & b.keys():
        assert torch.equal(a[name].isnan(), b[name].isnan()), name
        assert torch.equal(a[name].nan_to_num(7.0), b[name].nan_to_num(7.0)), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("cell", "option"), CASES)
def test_results_gradients_and_norms_match_the_reference(cell: str, option: str, dtype: torch.dtype) -> None:
    for what, problem in problems(cell, option):
        rounded = problem.to(dtype)
        exact = expect(rounded.to(torch.float64))
        ours, peer = solve(rounded), exact if dtype == torch.float64 else expect(rounded)
        assert ours.keys() == exact.keys()
        for name in exact:
            if name == "clip_hits" and dtype.itemsize == 2:
                continue  # a threshold crossed or not is no rounding error; see test_clip_hits_count_what_grad_h_says
            check(
                ours[name], peer[name].to(ours[name].dtype), exact[name], dtype, f"{what} {name}", spread(name, exact)
            )


def spread(name: str, exact: dict[str, Tensor]) -> float:
    """How far the terms of a gradient may outgrow their sum.

    A weight's T N terms: a random walk of steps grad_h times a state. An input's: the gates' shares of one grad_h.
    """
    if name[0] != "d" or not exact["grad_h"].numel():
        return 0.0
    return float(exact["grad_h"].max() if name in ("dx", "dh0", "dc0") else exact["grad_h"].norm())


def check(ours: Tensor, peer: Tensor, exact: Tensor, dtype: torch.dtype, what: str, spread: float) -> None:
    """fp64: ulps of the scale. Else at most twice what torch loses in the same dtype, and a floor."""
    ulps = {torch.float64: 64.0, torch.float32: 32.0}.get(dtype, 4.0)
    if ours.dtype != dtype:  # norms of 16-bit layers come in fp32, of states known to 16 bits
        ulps *= torch.finfo(dtype).eps / torch.finfo(ours.dtype).eps
    if exact.numel() and spread > (scale := float(exact.abs().max())) > 0:
        ulps *= spread / scale
    assert_within_ratio(ours, peer, exact, k=2.0, ulps=ulps, what=what)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_clip_hits_count_what_grad_h_says(cell: str, dtype: torch.dtype) -> None:
    for seed, limit in enumerate((0.7, 3.0)):
        r = solve(make(cell, Shape(7, 8, 5, 31), seed=seed, ragged=True, state_clip=Norm(limit)).to(dtype))
        assert torch.equal(r["clip_hits"], (r["grad_h"] > limit).to(r["clip_hits"].dtype))
        assert 0 < r["clip_hits"].sum() < 7 * 8


@pytest.mark.parametrize("cell", CELLS)
def test_strides_do_not_change_a_bit(cell: str) -> None:
    T, N, I, H = 5, 3, 6, 7  # noqa: E741
    problem = make(cell, Shape(T, N, I, H), ragged=True).to(torch.float32)
    layouts = {
        "batch first": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
        "last index strided": lambda t: torch.stack([t, t], -1).flatten(-2)[..., ::2],
        "a window": lambda t: torch.nn.functional.pad(t, (2, 3, 1, 1))[..., 1 : N + 1, 2 : 2 + t.shape[-1]],
        "features first": lambda t: t.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    }
    plain = solve(problem)
    for layout in layouts.values():
        moved = problem._replace(
            tensors={**problem.tensors, "x": layout(problem.tensors["x"])},
            grads=(layout(problem.grads[0]), *problem.grads[1:]),
        )
        assert not moved.tensors["x"].is_contiguous()
        same_bits(plain, solve(moved))
    expanded = problem._replace(
        tensors={**problem.tensors, "x": problem.tensors["x"][:, :1].expand(T, N, I)},
        grads=(problem.grads[0][:1, :, :1].expand(T, N, H), *problem.grads[1:]),
    )
    dense = expanded._replace(
        tensors={**expanded.tensors, "x": expanded.tensors["x"].contiguous()},
        grads=(expanded.grads[0].contiguous(), *expanded.grads[1:]),
    )
    same_bits(solve(expanded), solve(dense))
    transposed = {k: t if t is None or t.dim() != 2 else t.t().contiguous().t() for k, t in problem.tensors.items()}
    same_bits(plain, solve(problem._replace(tensors=transposed)))


@pytest.mark.parametrize("present", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)])
@pytest.mark.parametrize("cell", CELLS)
def test_an_output_without_gradient_counts_as_zero(cell: str, present: tuple[int, ...]) -> None:
    problem = make(cell, Shape(4, 3, 5, 33), ragged=True)
    if not any(g is not None and p for g, p in zip(problem.grads, present, strict=True)):
        pytest.skip("this cell has no cn")
    some = problem._replace(grads=tuple(g if p else None for g, p in zip(problem.grads, present, strict=True)))
    zeros = tuple(None if g is None else g * p for g, p in zip(problem.grads, present, strict=True))
    same_bits(solve(some), solve(problem._replace(grads=zeros)))


@pytest.mark.parametrize("wanted", [("x",), ("w_hh",), ("h0",), ("b_ih", "c0"), ("x", "w_ih", "w_hr"), ("b_hh", "h0")])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_do_not_depend_on_which_are_wanted(cell: str, wanted: tuple[str, ...]) -> None:
    problem = make(cell, Shape(4, 3, 5, 9), ragged=True, proj=4 if cell == "lstm" else 0).to(torch.float32)
    some = solve(problem, wanted=wanted)
    assert {k for k in some if k.startswith("d")} == {f"d{k}" for k in wanted if problem.tensors[k] is not None}
    same_bits(some, solve(problem))


@pytest.mark.parametrize("clip", [None, Norm(1.0), Value(0.3)], ids=["unclipped", "norm", "value"])
@pytest.mark.parametrize("cell", CELLS)
def test_recording_changes_no_gradient(cell: str, clip: Norm | Value | None) -> None:
    problem = make(cell, Shape(7, 8, 5, 33), ragged=True, state_clip=clip).to(torch.float32)
    off = solve(problem, record=False)
    assert "grad_h" not in off
    same_bits(off, solve(problem))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_truncate_is_the_chunk_loop_with_detach(cell: str, reverse: bool) -> None:
    T, k = 11, 4
    problem = make(cell, Shape(T, 3, 5, 9), reverse=reverse, proj=4 if cell == "lstm" else 0)
    leaves = {name: None if t is None else t.requires_grad_() for name, t in problem.tensors.items()}
    h, c = leaves["h0"], leaves["c0"]
    starts = list(range(0, T, k))
    outs = []
    for start in reversed(starts) if reverse else starts:
        inputs = {**leaves, "x": leaves["x"][start : start + k], "h0": h, "c0": c}
        out, h, c = _ops.layer(**inputs, cell=cell, reverse=reverse)
        outs.append(out)
        last, h, c = (h, c), h.detach(), None if c is None else c.detach()
    out = torch.cat(outs[::-1] if reverse else outs)
    pairs = [(o, g) for o, g in zip((out, *last), problem.grads, strict=True) if o is not None]
    live = {name: t for name, t in leaves.items() if t is not None}
    found = torch.autograd.grad([o for o, _ in pairs], list(live.values()), [g for _, g in pairs])
    fused = solve(problem._replace(truncate=k))
    for name, grad in zip(live, found, strict=True):
        torch.testing.assert_close(fused[f"d{name}"], grad, rtol=1e-13, atol=1e-13)
    first_chunk = slice(starts[-1], T) if reverse else slice(0, k)
    assert (fused["dx"][first_chunk] - solve(problem)["dx"][first_chunk]).abs().max() > 1e-6  # the cut does something


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_truncate_from_t_on_is_full_backpropagation_to_the_bit(cell: str, dtype: torch.dtype) -> None:
    for options in ({}, {"reverse": True}, {"ragged": True}):
        problem = make(cell, Shape(7, 3, 5, 33), **options).to(dtype)
        for k in (7, 8, 100):
            same_bits(solve(problem), solve(problem._replace(truncate=k)))


@pytest.mark.parametrize("cell", CELLS)
def test_backward_twice_gives_the_same_bits_and_leaves_inputs_alone(cell: str) -> None:
    problem = make(cell, Shape(5, 3, 4, 9), ragged=True, proj=4 if cell == "lstm" else 0).to(torch.float32)
    leaves = {name: None if t is None else t.clone().requires_grad_() for name, t in problem.tensors.items()}
    tap = torch.zeros(len(_ops.quantities(cell, None)), 5, 3, requires_grad=True)
    outputs = [o for o in _ops.layer(**leaves, tap=tap, cell=cell, lengths=problem.lengths) if o is not None]
    kept = [o.detach().clone() for o in outputs]
    asked = [t for t in leaves.values() if t is not None] + [tap]
    given = [g.clone() for g in problem.grads if g is not None]
    first = torch.autograd.grad(outputs, asked, given, retain_graph=True)
    second = torch.autograd.grad(outputs, asked, given)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, outputs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, [g for g in problem.grads if g is not None], strict=True))
    assert all(t is None or torch.equal(t, leaves[name]) for name, t in problem.tensors.items())


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_is_saved_when_nothing_needs_a_gradient(cell: str) -> None:
    problem = make(cell, Shape(5, 3, 4, 9)).to(torch.float32)

    def saved(grad: bool, needs: bool) -> int:
        leaves = {name: None if t is None else t.requires_grad_(needs) for name, t in problem.tensors.items()}
        packed: list[int] = []
        with (
            torch.set_grad_enabled(grad),
            torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t.numel()) or t, lambda t: t),
        ):
            _ops.layer(**leaves, cell=cell)
        return sum(packed)

    assert saved(grad=True, needs=True) > 0
    assert saved(grad=False, needs=True) == 0
    assert saved(grad=True, needs=False) == 0
    raw = torch.ops.seqgrad.forward(
        *(problem.tensors[k] for k in ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")), None, None,
        cell, False, 1.0, "none", 0.0, 0, False,
    )  # fmt: skip
    assert raw[3].numel() == 0


@pytest.mark.parametrize("record", [False, True], ids=["plain", "recorded"])
@pytest.mark.parametrize(("cell", "option"), CASES)
def test_the_ops_of_a_graph_give_the_bits_of_eager_code(cell: str, option: str, record: bool) -> None:
    kwargs = {**OPTIONS[option], **({"proj": 4} if "proj" in OPTIONS[option] else {})}
    problem = make(cell, Shape(6, 3, 5, 9), **kwargs).to(torch.float32)
    eager = solve(problem, record=record)
    t = problem.tensors
    inputs = [t[k] for k in ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")]
    told = _ops.options(cell, problem.reverse, problem.scale, problem.state_clip, problem.truncate)
    out, hn, cn, saved = torch.ops.seqgrad.forward(*inputs, problem.lengths, None, *told, True)
    *grads, norms = torch.ops.seqgrad.backward(
        *problem.grads, out, saved, *inputs, problem.lengths, *told, True, True, record
    )
    names = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")
    found = {"out": out, "hn": hn, "cn": cn, **{f"d{name}": g for name, g in zip(names, grads, strict=True)}}
    found |= dict(zip(_ops.quantities(cell, problem.state_clip), norms, strict=False))
    absent = found.keys() - eager.keys()
    assert absent <= {"cn", "db_ih", "db_hh", "dw_hr", "dc0"}
    assert all(found.pop(name).numel() == 0 for name in absent)
    same_bits(found, eager)


@pytest.mark.parametrize("cell", CELLS)
def test_states_may_be_stacked_or_left_out(cell: str) -> None:
    """Three ways to begin at zero give the same bits; final states and gradients come in the form of the states."""
    two = cell == "lstm"
    problem = make(cell, Shape(5, 3, 4, 9), ragged=True, proj=4 if two else 0).to(torch.float32)
    t = problem.tensors
    flat = {name: torch.zeros_like(t[name]) for name in (("h0", "c0") if two else ("h0",))}
    forms: dict[str, dict[str, Any]] = {
        "flat": flat,
        "stacked": {name: s.unsqueeze(0) for name, s in flat.items()},
        "left out": dict.fromkeys(flat),
    }
    answers = {}
    for form, states in forms.items():
        leaves = {n: None if v is None else v.clone().requires_grad_() for n, v in {**t, **states}.items()}
        out, hn, cn = _ops.layer(**leaves, cell=cell, lengths=problem.lengths)
        leading = (3,) if form == "flat" else (1, 3)
        assert hn.shape[:-1] == leading and (cn.shape[:-1] == leading if two else cn is None)
        ends = [hn, cn] if two else [hn]
        given = [g.view_as(end) for g, end in zip(problem.grads[1:], ends, strict=False)]
        asked = {name: leaf for name, leaf in leaves.items() if leaf is not None}
        for create_graph in (False, True):  # by the eager op, and by those of a graph
            loss_grads = [problem.grads[0], *given]
            found = torch.autograd.grad(
                [out, *ends], list(asked.values()), loss_grads, retain_graph=True, create_graph=create_graph
            )
            assert all(g.shape == leaf.shape for g, leaf in zip(found, asked.values(), strict=True))
            answers[form, create_graph] = {
                "out": out, "hn": hn.view(3, -1), **dict(zip(asked, found, strict=True)),
            }  # fmt: skip
    whole = {name: g.reshape(3, -1) if name in flat else g for name, g in answers.pop(("flat", False)).items()}
    for answer in answers.values():
        same_bits({name: g.reshape(3, -1) if name in flat else g for name, g in answer.items()},
                  {name: g for name, g in whole.items() if name in answer})  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_invisible(cell: str, dtype: torch.dtype) -> None:
    """Garbage and NaN beyond a sample's length change no bit; each sample alone gives the same numbers."""
    for reverse in (False, True):
        clean = make(cell, Shape(7, 5, 4, 9), ragged=True, reverse=reverse, proj=4 if cell == "lstm" else 0).to(dtype)
        T, lengths = 7, clean.lengths
        beyond = torch.arange(T).unsqueeze(1) >= lengths
        assert beyond.any()
        base = solve(clean)
        for garbage in (float("nan"), float("inf"), 1e4):
            x, grad = clean.tensors["x"].clone(), clean.grads[0].clone()
            x[beyond], grad[beyond] = garbage, garbage
            dirty = clean._replace(tensors={**clean.tensors, "x": x}, grads=(grad, *clean.grads[1:]))
            same_bits(base, solve(dirty))
        for name in ("out", "dx", "grad_h", "grad_carry", *(["grad_c"] if cell == "lstm" else [])):
            assert not base[name][beyond].any(), name
        for n in (lengths > 0).nonzero().flatten().tolist():
            alone, steps = solve(clean.sample(n)), int(lengths[n])
            for name in ("out", "dx", "grad_h", "grad_carry"):
                assert torch.equal(alone[name][:, 0], base[name][:steps, n]), name
            for name in ("hn", "dh0"):
                assert torch.equal(alone[name][0], base[name][n]), name
        assert torch.equal(base["hn"][lengths == 0], clean.tensors["h0"][lengths == 0])
        assert torch.equal(base["dh0"][lengths == 0], clean.grads[1][lengths == 0])


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("cell", CELLS)
def test_nan_and_infinity_stay_in_their_sample(cell: str, poison: float) -> None:
    clean = make(cell, Shape(6, 5, 4, 9)).to(torch.float32)
    base = solve(clean)
    others = torch.tensor([0, 1, 2, 4])
    x, grad, h0 = clean.tensors["x"].clone(), clean.grads[0].clone(), clean.tensors["h0"].clone()
    x[2, 3, 1] = grad[4, 3, 0] = h0[3, 2] = poison
    for tensors, grads in (
        ({**clean.tensors, "x": x}, clean.grads),
        ({**clean.tensors, "h0": h0}, clean.grads),
        (clean.tensors, (grad, *clean.grads[1:])),
    ):
        got = solve(clean._replace(tensors=tensors, grads=grads))
        for name in ("out", "dx", "grad_h", "grad_carry"):
            assert torch.equal(got[name][:, others], base[name][:, others]), name
        for name in ("hn", "dh0"):
            assert torch.equal(got[name][others], base[name][others]), name
    assert not got["grad_h"][:5, 3].isfinite().all()


@pytest.mark.parametrize(("N", "H"), [(2, 1), (2, 3), (2, 8), (2, 31), (TILED.N, TILED.H)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_infinite_input_saturates_as_in_torch(cell: str, dtype: torch.dtype, N: int, H: int) -> None:
    problem = make(cell, Shape(4, N, 3, H), proj=2 if cell == "lstm" and H == 31 else 0).to(dtype)
    weights = ("w_ih", "w_hh", "w_hr")
    positive = {k: t.abs() + 0.1 if t is not None and k in weights else t for k, t in problem.tensors.items()}
    for value in (float("inf"), -float("inf")):
        x = problem.tensors["x"].clone()
        x[1, 0, 0] = value
        infinite = problem._replace(tensors={**positive, "x": x})
        ours, exact = solve(infinite), expect(infinite.to(torch.float64))
        for name in ("out", "hn", "dh0", "grad_h", "grad_carry"):
            torch.testing.assert_close(ours[name].double(), exact[name], rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("cell", ["rnn_relu", "residual_relu", "gru", "lstm"])  # the others magnify what forward lost
def test_a_long_way_back_loses_at_most_thrice_what_torch_loses(cell: str) -> None:
    """A gradient that bypasses W_hh is large beside what passes through it, step after step."""
    problem = make(cell, Shape(600, 8, 3, 96)).to(torch.float32)
    ours, peer, exact = solve(problem), expect(problem), expect(problem.to(torch.float64))
    for name in ("dh0", "dx", "dw_ih", "dw_hh"):
        error, usual = ((found[name].double() - exact[name]).norm() for found in (ours, peer))
        assert error < 3 * usual, (name, error / usual)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [Shape(20, 12, 150, 160), TILED, TILED_FEW], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_same_bits_run_to_run_and_with_any_number_of_threads_but_for_weight_sums(
    cell: str, shape: Shape, dtype: torch.dtype
) -> None:
    """Work enough for four slices, or teams. Only the sums over the batch depend on how it was dealt to threads."""
    problem = make(cell, shape, ragged=shape != TILED_FEW).to(dtype)
    before, results = torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            results[threads] = solve(problem)
            same_bits(results[threads], solve(problem))
    finally:
        torch.set_num_threads(before)
    sums = ("dw_ih", "dw_hh", "db_ih", "db_hh", "dw_hr")
    for threads in (2, 4):
        same_bits(
            {k: v for k, v in results[1].items() if k not in sums},
            {k: v for k, v in results[threads].items() if k not in sums},
        )
        for name in set(sums) & results[1].keys():
            scale = float(results[1][name].abs().max())
            atol = 16 * torch.finfo(dtype).eps * scale
            torch.testing.assert_close(results[threads][name], results[1][name], rtol=0, atol=atol)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [Shape(6, 8, 5, 33), TILED], ids=str)
def test_batch_order_and_neighbours_change_no_bit(cell: str, shape: Shape) -> None:
    problem = make(cell, shape, ragged=True).to(torch.float32)
    order = torch.randperm(shape.N, generator=torch.Generator().manual_seed(0))

    def reorder(t: Tensor | None, dim: int = 0) -> Tensor | None:
        return None if t is None else t.index_select(dim, order)

    moved = problem._replace(
        tensors={k: reorder(t, int(k == "x")) if k in ("x", "h0", "c0") else t for k, t in problem.tensors.items()},
        grads=tuple(reorder(g, int(i == 0)) for i, g in enumerate(problem.grads)),
        lengths=problem.lengths[order],
    )
    a, b = solve(problem), solve(moved)
    for name in ("out", "dx", "grad_h", "grad_carry", "hn", "dh0"):
        assert torch.equal(reorder(a[name], int(name not in ("hn", "dh0"))), b[name]), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_empty_batches_and_inputs_work(cell: str, dtype: torch.dtype) -> None:
    nobody = solve(make(cell, Shape(3, 0, 4, 5)).to(dtype))
    assert nobody["out"].shape == (3, 0, 5)
    assert nobody["grad_h"].shape == (3, 0)
    assert not nobody["dw_hh"].any()
    assert not nobody["db_ih"].any()
    blind = make(cell, Shape(3, 2, 0, 5)).to(dtype)
    ours, theirs = solve(blind), expect(blind.to(torch.float64))
    torch.testing.assert_close(ours["dw_hh"].double(), theirs["dw_hh"], rtol=0.05, atol=0.05)
    assert ours["dx"].shape == (3, 2, 0)


@pytest.mark.parametrize("cell", CELLS)
def test_norms_come_in_the_arithmetic_type(cell: str) -> None:
    for dtype in DTYPES:
        r = solve(make(cell, Shape(2, 2, 3, 4)).to(dtype))
        assert r["grad_h"].dtype == arithmetic(dtype)
        assert r["out"].dtype == r["dw_hh"].dtype == dtype


@pytest.mark.parametrize(("T", "N"), [(3, 300), (600, 1), (40, 13)])
@pytest.mark.parametrize("cell", CELLS)
def test_problems_larger_than_the_engines_scratch(cell: str, T: int, N: int) -> None:
    """The engine works in chunks of 256 rows (step, sample); here one step holds more, or many chunks follow."""
    for options in ({"ragged": True}, {"ragged": True, "reverse": True}):
        problem = make(cell, Shape(T, N, 3, 5), gain=0.5, proj=2 if cell == "lstm" else 0, **options)
        ours, exact = solve(problem), expect(problem)
        for name in exact:
            check(ours[name], exact[name], exact[name], torch.float64, f"{cell} {name}", spread(name, exact))


@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_of_empty_sequences_passes_its_state_through(cell: str) -> None:
    problem = make(cell, Shape(4, 3, 5, 7)).to(torch.float32)._replace(lengths=torch.zeros(3, dtype=torch.int64))
    r = solve(problem)
    assert torch.equal(r["hn"], problem.tensors["h0"])
    assert torch.equal(r["dh0"], problem.grads[1])
    if cell == "lstm":
        assert torch.equal(r["cn"], problem.tensors["c0"])
        assert torch.equal(r["dc0"], problem.grads[2])
    for name in r.keys() - {"hn", "cn", "dh0", "dc0"}:
        assert not r[name].any(), name


@pytest.mark.parametrize("cell", CELLS)
def test_expanded_states_and_strided_lengths_are_read_right(cell: str) -> None:
    problem = make(cell, Shape(4, 3, 5, 7), ragged=True).to(torch.float32)
    states = {k: problem.tensors[k][:1] for k in ("h0", "c0") if problem.tensors[k] is not None}
    strided = torch.stack([problem.lengths, -problem.lengths], 1)[:, 0]
    expanded = problem._replace(
        tensors={**problem.tensors, **{k: t.expand(3, 7) for k, t in states.items()}}, lengths=strided
    )
    dense = problem._replace(tensors={**problem.tensors, **{k: t.repeat(3, 1) for k, t in states.items()}})
    same_bits(solve(expanded), solve(dense))
