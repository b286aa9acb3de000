"""What the norms promise: their meaning is held against autograd in test_ops, here are their laws and their range."""

from __future__ import annotations

import pytest
import torch
from cases import Shape
from problem import CELLS, Problem, expect, make, solve
from torch import Tensor

from seqgrad.clip import Norm, Value

NORMS = ("grad_h", "grad_carry", "grad_c")


def diagonal(T: int, u: Tensor, v: Tensor) -> Problem:
    """A relu RNN with W_hh = diag(u), alive everywhere: dL/dh_t = u^(T-t) v for the loss <v, h_T>. One sample."""
    H = u.numel()
    tensors = {
        "x": v.new_ones(T, 1, 1), "w_ih": v.new_ones(H, 1), "w_hh": u.diag(), "b_ih": None, "b_hh": None,
        "h0": v.new_ones(1, H), "c0": None, "w_hr": None,
    }  # fmt: skip
    return Problem("rnn_relu", tensors, (None, v.unsqueeze(0), None))


@pytest.mark.parametrize(
    ("dtype", "steps"), [(torch.float32, 148), (torch.float64, 1070)], ids=["fp32 to denormals", "fp64 to denormals"]
)
def test_a_halving_network_gives_exact_norms_down_to_the_smallest_number(dtype: torch.dtype, steps: int) -> None:
    """|(3, 4) 2^-k| = 5 2^-k; squares leave the range of fp64 at k = 511."""
    r = solve(diagonal(steps, torch.full((2,), 0.5, dtype=dtype), torch.tensor([3.0, 4.0], dtype=dtype)))
    exact = 5 * 2.0 ** -torch.arange(steps, dtype=torch.float64).flip(0)
    assert torch.equal(r["grad_h"][:, 0], exact.to(dtype))
    assert torch.equal(r["grad_carry"][:-1, 0], exact[:-1].to(dtype))
    assert r["grad_h"][0, 0] > 0


@pytest.mark.parametrize(("dtype", "steps"), [(torch.float32, 125), (torch.float64, 1020)], ids=["fp32", "fp64"])
def test_a_doubling_network_gives_exact_norms_up_to_the_largest_number(dtype: torch.dtype, steps: int) -> None:
    """5 2^k up to the last power that fits; h_0 and x are tiny, so that the states fit as well."""
    problem = diagonal(steps, torch.full((2,), 2.0, dtype=dtype), torch.tensor([3.0, 4.0], dtype=dtype))
    tiny = torch.finfo(dtype).tiny
    problem.tensors["h0"] *= tiny
    problem.tensors["x"] *= tiny
    r = solve(problem)
    exact = 5 * 2.0 ** torch.arange(steps, dtype=torch.float64).flip(0)
    assert torch.equal(r["grad_h"][:, 0], exact.to(dtype))


@pytest.mark.parametrize(("rho", "steps"), [(0.9, 800), (0.794, 360), (1.1, 500), (1.7, 155)])
def test_norms_hold_to_1e_5_over_the_range_of_fp32(rho: float, steps: int) -> None:
    """A tanh RNN at the origin with W_hh = rho Q, in fp32, against powers of the same rounded matrix in fp64."""
    torch.manual_seed(0)
    H = 6
    W = (rho * torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]).float()
    v = torch.randn(1, H)
    zeros = {"x": torch.zeros(steps, 1, 1), "w_ih": torch.zeros(H, 1), "h0": torch.zeros(1, H)}
    nothing = dict.fromkeys(("b_ih", "b_hh", "c0", "w_hr"))
    r = solve(Problem("rnn_tanh", {**zeros, **nothing, "w_hh": W}, (None, v, None)))
    g, exact = v.double(), []
    for _ in range(steps):
        exact.append(g.norm())
        g = g @ W.double()
    oracle = torch.stack(exact).flip(0)
    assert (oracle.min() < 2e-35) if rho < 1 else (oracle.max() > 1e20)
    inside = (oracle > 1e-37) & (oracle < 1e37)
    torch.testing.assert_close(r["grad_h"][inside, 0].double(), oracle[inside], rtol=1e-5, atol=0)


@pytest.mark.parametrize("decade", [-36, -30, -20, -10, 10, 20, 30, 35])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_reports_any_scale_of_the_loss(cell: str, decade: int) -> None:
    problem = make(cell, Shape(9, 3, 4, 31), ragged=True, gain=0.8)
    scaled = problem._replace(grads=tuple(None if g is None else g * 10.0**decade for g in problem.grads))
    ours, exact = solve(scaled.to(torch.float32)), expect(scaled)
    for name in NORMS:
        if name not in ours:
            continue
        inside = exact[name] > 1e-37
        assert inside.any()
        torch.testing.assert_close(ours[name][inside].double(), exact[name][inside], rtol=1e-5, atol=0)


@pytest.mark.parametrize("decade", [-290, -200, -155, 155, 200, 290])
@pytest.mark.parametrize("cell", CELLS)
def test_fp64_norms_survive_squares_beyond_the_range(cell: str, decade: int) -> None:
    problem = make(cell, Shape(5, 3, 4, 9), ragged=True, proj=4 if cell == "lstm" else 0)
    scaled = problem._replace(grads=tuple(None if g is None else g * 10.0**decade for g in problem.grads))
    ours, exact = solve(scaled), expect(problem)
    for name in NORMS:
        if name in ours:
            torch.testing.assert_close(ours[name] / 10.0**decade, exact[name], rtol=1e-11, atol=0)


@pytest.mark.parametrize("power", [-40, -1, 3, 40])
@pytest.mark.parametrize("cell", CELLS)
def test_scaling_the_loss_scales_every_norm_and_gradient_to_the_bit(cell: str, power: int) -> None:
    problem = make(cell, Shape(6, 3, 4, 33), ragged=True).to(torch.float32)
    one = solve(problem)
    other = solve(problem._replace(grads=tuple(None if g is None else g * 2.0**power for g in problem.grads)))
    for name in one:
        if name not in ("out", "hn", "cn"):
            assert torch.equal(other[name], one[name] * 2.0**power), name


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_with_a_last_step_loss_all_but_the_last_is_carried(cell: str, reverse: bool) -> None:
    """The trap of ``out.retain_grad()``: it shows the direct part alone, exactly 0 for every earlier step."""
    problem = make(cell, Shape(6, 2, 4, 5), reverse=reverse)
    r = solve(problem._replace(grads=(None, problem.grads[1], None)))
    last, others = (0, slice(1, None)) if reverse else (-1, slice(0, -1))
    assert not r["grad_carry"][last].any()
    torch.testing.assert_close(r["grad_h"][last], problem.grads[1].norm(dim=-1), rtol=1e-14, atol=0)
    assert torch.equal(r["grad_h"][others], r["grad_carry"][others])
    assert (r["grad_h"] > 0).all()


def test_torch_nn_hides_the_carried_gradient_that_grad_h_shows() -> None:
    problem = make("rnn_tanh", Shape(6, 2, 4, 5)).to(torch.float32)
    theirs = torch.nn.RNN(4, 5)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    with torch.no_grad():
        for name, key in zip(names, ("w_ih", "w_hh", "b_ih", "b_hh"), strict=True):
            getattr(theirs, name).copy_(problem.tensors[key])
    out, _ = theirs(problem.tensors["x"], problem.tensors["h0"].unsqueeze(0))
    out.retain_grad()
    (out[-1] * problem.grads[1]).sum().backward()
    assert not out.grad[:-1].any()
    direct = torch.zeros_like(problem.grads[0])
    direct[-1] = problem.grads[1]
    r = solve(problem._replace(grads=(direct, None, None)))
    assert (r["grad_h"][:-1] > 0).all()
    torch.testing.assert_close(r["out"], out.detach())


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_nan_and_infinity_appear_where_they_enter_and_in_no_other_sample(
    cell: str, dtype: torch.dtype, poison: float
) -> None:
    problem = make(cell, Shape(7, 3, 4, 5)).to(dtype)
    base = solve(problem)
    problem.grads[0][4, 1, 2] = poison
    r = solve(problem)
    for name in (n for n in NORMS if n in r):
        assert torch.equal(r[name][:, [0, 2]], base[name][:, [0, 2]]), name
        assert torch.equal(r[name][5:, 1], base[name][5:, 1]), name
    assert torch.equal(r["grad_carry"][4, 1], base["grad_carry"][4, 1])
    want = torch.tensor(poison).abs().to(r["grad_h"].dtype)
    torch.testing.assert_close(r["grad_h"][4, 1], want, equal_nan=True)
    if cell != "rnn_relu" or not torch.isfinite(expect(problem)["grad_h"][3, 1]):  # a dead relu stops Infinity
        assert not r["grad_h"][3, 1].isfinite()
        assert not r["grad_carry"][3, 1].isfinite()


@pytest.mark.parametrize("cell", CELLS)
def test_an_infinite_gradient_follows_torch(cell: str) -> None:
    """Weights of one sign: Infinity is carried as Infinity, not as NaN, unless torch itself makes a NaN of it."""
    for H in (3, 8, 17):
        problem = make(cell, Shape(5, 2, 4, H))
        for name in ("w_ih", "w_hh"):
            problem.tensors[name].abs_().add_(0.01)
        problem.grads[0][3, 0, 0] = float("inf")
        for dtype in (torch.float64, torch.float32):
            ours, theirs = solve(problem.to(dtype)), expect(problem.to(dtype))
            for name in ("grad_h", *(["grad_c"] if cell == "lstm" else [])):
                torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("clip", [Norm(1e-3), Value(1e-3)], ids=["norm", "value"])
@pytest.mark.parametrize("cell", CELLS)
def test_grad_h_is_reported_before_clipping_and_hits_are_counted(cell: str, clip: Norm | Value) -> None:
    problem = make(cell, Shape(5, 3, 4, 9), ragged=True)
    open_, closed = solve(problem), solve(problem._replace(state_clip=clip))
    ends = (problem.lengths - 1).clamp(min=0)
    at = (ends, torch.arange(3))
    assert torch.equal(open_["grad_h"][at], closed["grad_h"][at])  # nothing was clipped before the last step
    assert (open_["grad_carry"] - closed["grad_carry"]).abs().max() > 1e-3
    alive = torch.arange(5).unsqueeze(1) < problem.lengths
    assert torch.equal(closed["clip_hits"] > 0, alive)
    if isinstance(clip, Norm):
        assert set(closed["clip_hits"].unique().tolist()) <= {0.0, 1.0}
    else:
        assert closed["clip_hits"].max() > 1


@pytest.mark.parametrize("clip", [Norm(1e30), Value(1e30)], ids=["norm", "value"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_clip_that_never_hits_changes_no_bit(cell: str, clip: Norm | Value) -> None:
    problem = make(cell, Shape(5, 3, 4, 9), ragged=True).to(torch.float32)
    open_, closed = solve(problem), solve(problem._replace(state_clip=clip))
    assert not closed["clip_hits"].any()
    for name in open_:
        assert torch.equal(open_[name], closed[name]), name


def test_clip_lets_nan_pass_and_counts_infinity() -> None:
    for clip in (Norm(1.0), Value(1.0)):
        problem = make("rnn_tanh", Shape(3, 3, 2, 4), state_clip=clip)
        problem.grads[0][2, 0, 0] = float("nan")
        problem.grads[0][2, 1, 0] = float("inf")
        r = solve(problem)
        assert r["grad_h"][2, 0].isnan()
        assert r["grad_h"][1, 0].isnan()
        assert r["grad_h"][2, 1] == float("inf")
        assert r["clip_hits"][2, 1] > 0
        assert r["grad_h"][:, 2].isfinite().all()
