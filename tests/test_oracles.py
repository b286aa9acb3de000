"""Closed forms: networks whose gradient at every timestep is known on paper.

k = T - t is the distance to the loss, v the gradient of the last state, g_t the total dL/dh_t. Tensors not named are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import Shape
from problem import CELLS, Problem, make, solve
from torch import Tensor

from seqgrad import _ops

T, N, H = 40, 2, 6
DTYPES = [torch.float64, torch.float32]
WIDE = torch.float64
both = pytest.mark.parametrize("dtype", DTYPES, ids=["fp64", "fp32"])


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def matrix(rho: float, seed: int = 0) -> Tensor:
    """rho times a random orthogonal matrix, fp64."""
    generator = torch.Generator().manual_seed(seed)
    return rho * torch.linalg.qr(torch.randn(H, H, dtype=WIDE, generator=generator))[0]


def vector(seed: int = 1, rows: int = N) -> Tensor:
    return torch.randn(rows, H, dtype=WIDE, generator=torch.Generator().manual_seed(seed))


def network(
    cell: str, dtype: torch.dtype, *, grads: tuple[Tensor | None, ...], steps: int = T, scale: float = 1.0, **given: Any
) -> Problem:
    """A layer [T, N, 1] -> H whose weights, biases and states are 0 unless given, in ``dtype``."""
    info = _ops.CELLS[cell]
    zeros = {
        "x": torch.zeros(steps, N, 1), "w_ih": torch.zeros(info.gates * H, 1), "w_hh": torch.zeros(info.gates * H, H),
        "b_ih": torch.zeros(info.gates * H), "b_hh": torch.zeros(info.gates * H), "h0": torch.zeros(N, H),
        "c0": torch.zeros(N, H) if info.states == 2 else None, "w_hr": None,
    }  # fmt: skip
    return Problem(cell, {**zeros, **given}, grads, scale=scale).to(dtype)


def powers(start: Tensor, times: Callable[[Tensor], Tensor], steps: int = T) -> Tensor:
    """[T, N, H] in fp64: ``times`` applied T - t times to ``start``."""
    found = [start]
    for _ in range(steps - 1):
        found.append(times(found[-1]))
    return torch.stack(found[::-1])


def agree(ours: Tensor, exact: Tensor, dtype: torch.dtype, rtol: float | None = None) -> None:
    """To 1e-12 in fp64 and 2e-5 in fp32, relative to each step: over 40 steps a rounded weight errs 40 times alike."""
    rtol = rtol or (1e-12 if dtype == WIDE else 2e-5)
    torch.testing.assert_close(ours.double(), exact.expand(ours.shape), rtol=rtol, atol=0)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=WIDE).unsqueeze(1)


@both
@pytest.mark.parametrize("rho", [0.5, 0.794, 0.9, 1.0, 1.1, 2.0])
def test_a1_orthogonal_rnn_at_the_origin_decays_as_rho_to_the_lag(rho: float, dtype: torch.dtype) -> None:
    v = vector()
    r = solve(network("rnn_tanh", dtype, w_hh=matrix(rho), grads=(None, v, None)))
    agree(r["grad_h"], column([rho ** (T - 1 - t) for t in range(T)]) * v.norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("cell", ["rnn_tanh", "residual_tanh"])
def test_a1_prime_any_matrix_at_the_origin_gives_powers_of_its_transpose(cell: str, dtype: torch.dtype) -> None:
    """Residual: the Jacobian is I + scale W."""
    W, v, scale = torch.randn(H, H, dtype=WIDE, generator=torch.Generator().manual_seed(3)) * 0.4, vector(), 0.25
    r = solve(network(cell, dtype, w_hh=W, scale=scale, grads=(None, v, None)))
    step = (lambda g: g + scale * g @ W) if cell == "residual_tanh" else (lambda g: g @ W)
    agree(r["grad_h"], powers(v, step).norm(dim=-1), dtype, 1e-12 if dtype == WIDE else 1e-4)
    agree(r["dh0"], step(powers(v, step)[0]), dtype, 1e-10 if dtype == WIDE else 1e-2)


@both
@pytest.mark.parametrize(("rho", "c"), [(0.9, 0.3), (1.1, 0.5), (1.3, 0.7)])
def test_a2_tanh_at_a_fixed_point_decays_by_rho_times_its_slope(rho: float, c: float, dtype: torch.dtype) -> None:
    W, v, h = matrix(rho), vector(), torch.full((N, H), c, dtype=WIDE)
    bias = math.atanh(c) - W @ h[0]
    r = solve(network("rnn_tanh", dtype, w_hh=W, b_ih=bias, h0=h, grads=(None, v, None)))
    exact = column([(rho * (1 - c * c)) ** (T - 1 - t) for t in range(T)]) * v.norm(dim=-1)
    agree(r["grad_h"], exact, dtype, 1e-12 if dtype == WIDE else 1e-4)


@both
def test_a3_relu_at_a_fixed_point_gives_powers_of_any_matrix(dtype: torch.dtype) -> None:
    W, v, h = matrix(0.9) + 0.05 * torch.ones(H, H, dtype=WIDE), vector(), torch.full((N, H), 5.0, dtype=WIDE)
    r = solve(network("rnn_relu", dtype, w_hh=W, b_ih=h[0] - W @ h[0], h0=h, grads=(None, v, None)))
    agree(r["grad_h"], powers(v, lambda g: g @ W).norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.0, 1.1])
def test_a4_irnn_decays_as_alpha_to_the_lag(alpha: float, dtype: torch.dtype) -> None:
    v, ones = vector(), torch.ones(T, N, 1)
    W = alpha * torch.eye(H, dtype=WIDE)
    r = solve(network("rnn_relu", dtype, x=ones, w_ih=torch.ones(H, 1), w_hh=W, grads=(None, v, None)))
    agree(r["grad_h"], column([alpha ** (T - 1 - t) for t in range(T)]) * v.norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("rho", [0.5, 0.9, 1.0, 1.1])
def test_a5_a_loss_at_every_step_adds_up_a_geometric_series(rho: float, dtype: torch.dtype) -> None:
    v = vector()
    W = rho * torch.eye(H, dtype=WIDE)
    r = solve(network("rnn_tanh", dtype, w_hh=W, grads=(v.expand(T, N, H), None, None)))
    terms = column([sum(rho**j for j in range(T - t)) for t in range(T)])
    if rho != 1:
        torch.testing.assert_close(terms[0, 0], torch.tensor((1 - rho**T) / (1 - rho), dtype=WIDE))
    agree(r["grad_h"], terms * v.norm(dim=-1), dtype)
    agree(r["grad_carry"], (terms - 1) * v.norm(dim=-1), dtype)


@both
def test_a6_diagonal_relu_decays_unit_by_unit(dtype: torch.dtype) -> None:
    v, u = vector(), torch.tensor([0.1, 0.5, 0.9, 1.0, 1.05, 0.75], dtype=WIDE)
    ones = torch.ones(T, N, 1)
    r = solve(network("rnn_relu", dtype, x=ones, w_ih=torch.ones(H, 1), w_hh=u.diag(), grads=(None, v, None)))
    agree(r["grad_h"], torch.stack([(v * u ** (T - 1 - t)).square().sum(-1).sqrt() for t in range(T)]), dtype)


@both
@pytest.mark.parametrize("w", [1.2, 2.0, 3.0])
def test_a7_a_latched_unit_forgets_by_the_slope_of_its_fixed_point(w: float, dtype: torch.dtype) -> None:
    a, steps = 1.0, 20
    for _ in range(2000):
        a = math.tanh(w * a)
    one = {"x": torch.zeros(steps, 1, 1), "w_ih": torch.zeros(1, 1), "w_hh": torch.full((1, 1), w, dtype=WIDE)}
    tensors = {**one, "h0": torch.full((1, 1), a, dtype=WIDE), **dict.fromkeys(("b_ih", "b_hh", "c0", "w_hr"))}
    r = solve(Problem("rnn_tanh", tensors, (None, torch.ones(1, 1), None)).to(dtype))
    exact = column([(w * (1 - a * a)) ** (steps - 1 - t) for t in range(steps)])
    agree(r["grad_h"], exact, dtype, 1e-11 if dtype == WIDE else 2e-3)  # 1 - a^2 cancels


def lstm_bias(f: float = 0.5, g: float = 0.0, i: float = 0.5, o: float = 0.5) -> Tensor:
    return torch.tensor([logit(i), logit(f), math.atanh(g), logit(o)], dtype=WIDE).repeat_interleave(H)


@both
@pytest.mark.parametrize("f", [0.5, 0.73, 0.99])
def test_b1_lstm_without_weights_keeps_c_by_its_forget_gate(f: float, dtype: torch.dtype) -> None:
    v = vector()
    r = solve(network("lstm", dtype, b_ih=lstm_bias(f, 0.4), grads=(None, None, v)))
    agree(r["grad_c"], column([f ** (T - 1 - t) for t in range(T)]) * v.norm(dim=-1), dtype)
    assert not r["grad_h"].any()


@both
@pytest.mark.parametrize("f", [0.5, 0.73, 0.99])
def test_b2_lstm_without_weights_carries_nothing_in_h(f: float, dtype: torch.dtype) -> None:
    v, g, o = vector(), 0.9 * (1 - f), 0.8  # c stays where 1 - tanh^2 c is no cancellation
    r = solve(network("lstm", dtype, b_ih=lstm_bias(f, g, o=o), grads=(None, v, None)))
    c = sum(f**j for j in range(T)) * 0.5 * g
    last = (v * o * (1 - math.tanh(c) ** 2)).norm(dim=-1)
    agree(r["grad_c"], column([f ** (T - 1 - t) for t in range(T)]) * last, dtype, 1e-12 if dtype == WIDE else 1e-4)
    assert not r["grad_h"][:-1].any()
    agree(r["grad_h"][-1], v.norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("f", [0.5, 0.9])
def test_b3_lstm_at_the_origin_mixes_forget_gate_and_recurrence(f: float, dtype: torch.dtype) -> None:
    """L = <v, h_T>: dL/dc_T = o v, and with A alone in the rows of gate g, dL/dc_t = (f I + i o A^T) dL/dc_(t+1)."""
    v, A, i, o = vector(), matrix(0.8), 0.6, 0.7
    W = torch.zeros(4 * H, H, dtype=WIDE)
    W[2 * H : 3 * H] = A
    r = solve(network("lstm", dtype, w_hh=W, b_ih=lstm_bias(f, 0.0, i, o), grads=(None, v, None)))
    cells = powers(o * v, lambda g: f * g + i * o * g @ A)
    agree(r["grad_c"], cells.norm(dim=-1), dtype)
    agree(r["grad_h"][:-1], (i * cells[1:] @ A).norm(dim=-1), dtype)


def gru_bias(z: float, r: float = 0.5) -> Tensor:
    return torch.tensor([logit(r), logit(z), 0.0], dtype=WIDE).repeat_interleave(H)


@both
@pytest.mark.parametrize("z", [0.5, 0.9, 0.99])
def test_c1_gru_without_weights_decays_by_its_update_gate(z: float, dtype: torch.dtype) -> None:
    v = vector()
    r = solve(network("gru", dtype, b_ih=gru_bias(z), grads=(None, v, None)))
    agree(r["grad_h"], column([z ** (T - 1 - t) for t in range(T)]) * v.norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("z", [0.5, 0.9])
def test_c2_gru_at_the_origin_mixes_update_gate_and_recurrence(z: float, dtype: torch.dtype) -> None:
    v, A, reset = vector(), matrix(1.5), 0.3
    W = torch.zeros(3 * H, H, dtype=WIDE)
    W[2 * H :] = A
    r = solve(network("gru", dtype, w_hh=W, b_ih=gru_bias(z, reset), grads=(None, v, None)))
    agree(r["grad_h"], powers(v, lambda g: z * g + (1 - z) * reset * g @ A).norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("gain", [0.0, 0.25])
def test_residual_without_recurrence_keeps_the_gradient_and_with_it_grows(gain: float, dtype: torch.dtype) -> None:
    """At the origin h_t = h_(t-1) + s tanh(W h_(t-1)) with W = gain I: (1 + s gain)^k."""
    v, scale = vector(), 0.5
    W = gain * torch.eye(H, dtype=WIDE)
    for cell, given in (
        ("residual_tanh", {}),
        ("residual_relu", {"x": torch.ones(T, N, 1), "w_ih": torch.ones(H, 1)}),
    ):
        r = solve(network(cell, dtype, w_hh=W, scale=scale, grads=(None, v, None), **given))
        agree(r["grad_h"], column([(1 + scale * gain) ** (T - 1 - t) for t in range(T)]) * v.norm(dim=-1), dtype)


@both
@pytest.mark.parametrize("reverse", [False, True])
def test_d1_with_identity_input_weights_dx_is_the_state_gradient_times_the_slope(
    reverse: bool, dtype: torch.dtype
) -> None:
    problem = make("rnn_tanh", Shape(12, 3, H, H), gain=0.7, reverse=reverse)
    problem.tensors["w_ih"] = torch.eye(H, dtype=WIDE)
    r = solve(problem.to(dtype))
    slope = 1 - r["out"].double().square()
    agree(r["grad_h"], (r["dx"].double() / slope).norm(dim=-1), dtype, 1e-11 if dtype == WIDE else 5e-4)


@both
@pytest.mark.parametrize("cell", CELLS)
def test_d2_weight_gradients_are_sums_of_outer_products(cell: str, dtype: torch.dtype) -> None:
    """With W_ih = I (one input per pre-activation) dL/dx_t is delta_t itself."""
    gates = _ops.CELLS[cell].gates
    problem = make(cell, Shape(9, 3, gates * H, H), gain=0.7, ragged=True)
    problem.tensors["w_ih"] = torch.eye(gates * H, dtype=WIDE)
    problem = problem.to(dtype)
    r = {k: t.double() for k, t in solve(problem).items()}
    t = {k: None if t is None else t.double() for k, t in problem.tensors.items()}
    delta, before = r["dx"], torch.cat([t["h0"].unsqueeze(0), r["out"][:-1]])
    recurrent = delta.clone()
    if cell == "gru":  # the last gate's recurrent pre-activation sits inside r * (...)
        pre = t["x"] + t["b_ih"] + before @ t["w_hh"].t() + t["b_hh"]
        recurrent[..., 2 * H :] *= torch.sigmoid(pre[..., :H])
    tolerance = {"rtol": 0, "atol": 1e-12 if dtype == WIDE else 1e-4}
    torch.testing.assert_close(r["dw_hh"], torch.einsum("tng,tnh->gh", recurrent, before), **tolerance)
    torch.testing.assert_close(r["dw_ih"], torch.einsum("tng,tni->gi", delta, t["x"]), **tolerance)
    torch.testing.assert_close(r["db_ih"], delta.sum((0, 1)), **tolerance)
    torch.testing.assert_close(r["db_hh"], recurrent.sum((0, 1)), **tolerance)


@both
@pytest.mark.parametrize("cell", CELLS)
def test_d2_input_gradients_pass_through_the_input_weights(cell: str, dtype: torch.dtype) -> None:
    gates = _ops.CELLS[cell].gates
    problem = make(cell, Shape(9, 3, 5, H), gain=0.7, ragged=True)
    wx = problem.tensors["x"] @ problem.tensors["w_ih"].t()
    direct = problem._replace(tensors={**problem.tensors, "x": wx, "w_ih": torch.eye(gates * H, dtype=WIDE)})
    ours, delta = solve(problem.to(dtype))["dx"].double(), solve(direct.to(dtype))["dx"].double()
    atol = 1e-13 if dtype == WIDE else 1e-5
    torch.testing.assert_close(ours, delta @ problem.tensors["w_ih"], rtol=0, atol=atol)


@both
def test_saturated_tanh_makes_every_earlier_gradient_exactly_zero(dtype: torch.dtype) -> None:
    r = solve(network("rnn_tanh", dtype, b_ih=torch.full((H,), 50.0), w_hh=matrix(1.0), grads=(None, vector(), None)))
    assert not r["grad_h"][:-1].any()
    assert (r["grad_h"][-1] > 0).all()
    assert (r["out"] == 1).all()


@both
@pytest.mark.parametrize("cell", CELLS)
def test_the_reverse_direction_is_the_forward_one_on_flipped_time_to_the_bit(cell: str, dtype: torch.dtype) -> None:
    """So every closed form above holds for it with k = t - 1."""
    problem = make(cell, Shape(9, 3, 5, H)).to(dtype)
    x, grad = problem.tensors["x"].flip(0), problem.grads[0].flip(0)
    flipped = problem._replace(reverse=True, tensors={**problem.tensors, "x": x}, grads=(grad, *problem.grads[1:]))
    a, b = solve(problem), solve(flipped)
    for name in ("out", "dx", "grad_h", "grad_carry", *(["grad_c"] if cell == "lstm" else [])):
        assert torch.equal(a[name].flip(0), b[name]), name
    for name in ("hn", "dh0"):
        assert torch.equal(a[name], b[name]), name


@both
@pytest.mark.parametrize("cell", CELLS)
def test_a_lower_layer_is_driven_by_the_upper_layers_input_gradient(cell: str, dtype: torch.dtype) -> None:
    """Two layers in one graph: the lower one's norms are those of its own problem with grad_out = the upper dL/dx."""
    lower, upper = make(cell, Shape(7, 3, 5, H)).to(dtype), make(cell, Shape(7, 3, H, H), seed=1).to(dtype)
    middle = solve(lower)["out"]
    above = solve(upper._replace(tensors={**upper.tensors, "x": middle}))
    apart = solve(lower._replace(grads=(above["dx"], None, None)))
    tap = torch.zeros(len(_ops.quantities(cell, None)), 7, 3, dtype=dtype, requires_grad=True)
    hidden, *_ = _ops.layer(**lower.tensors, cell=cell, tap=tap)
    outputs = _ops.layer(**{**upper.tensors, "x": hidden}, cell=cell)
    pairs = [(o, g) for o, g in zip(outputs, upper.grads, strict=True) if o is not None]
    torch.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
    assert torch.equal(tap.grad[0], apart["grad_h"])
    assert torch.equal(tap.grad[1], apart["grad_carry"])
