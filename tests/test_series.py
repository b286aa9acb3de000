"""Figures of a Series, on hand-made norms: each definition, and what it says of zeros, NaN, Inf and T = 1."""

from __future__ import annotations

import math

import pytest
import torch

from seqgrad.record import NonFinite, Series

INF, NAN = math.inf, math.nan


def series(*columns, reverse=False, lengths=None, carry=None, dtype=torch.float64, **extra):
    """Series whose sample n has the norms columns[n] by timestep."""
    rows = {"grad_h": torch.tensor(columns, dtype=dtype).T}
    if carry is not None:
        rows["grad_carry"] = torch.tensor(carry, dtype=dtype).T
    data = torch.stack(list(rows.values()))
    lengths = None if lengths is None else torch.tensor(lengths)
    return Series("enc", "l0", "rnn_tanh", reverse, tuple(rows), data, lengths, **extra)


def powers(rho, steps):
    """rho^k with k = T - 1 - t, stored by t: oracle A1 with |v| = 1."""
    return [rho ** (steps - 1 - t) for t in range(steps)]


@pytest.mark.parametrize("rho", [0.5, 0.794, 0.9, 1.0, 1.1, 2.0])
@pytest.mark.parametrize("reverse", [False, True])
def test_geometric_norms_give_back_their_factor(rho, reverse):
    values = powers(rho, 40)
    s = series(values[::-1] if reverse else values, reverse=reverse)
    assert s.decay() == pytest.approx(rho, rel=1e-12)
    assert s.ratio() == pytest.approx(rho**39, rel=1e-12)
    expected = math.inf if rho >= 1 else math.log(0.5) / math.log(rho)
    assert s.half_life() == pytest.approx(expected, rel=1e-9)


def test_decay_of_a_million_to_one_range_survives_outliers():
    values = powers(0.7, 60)
    for t in (3, 17, 18, 40):
        values[t] *= 1e5
    assert series(values).decay() == pytest.approx(0.7, rel=1e-3)


def test_decay_of_a_long_sequence_is_fitted_on_a_subset_of_points():
    assert series(powers(0.999, 5000)).decay() == pytest.approx(0.999, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "ratio", "decay", "half_life", "horizon"),
    [
        ([3.0], 1.0, NAN, NAN, 0),  # T = 1
        ([0.0], NAN, NAN, NAN, NAN),
        ([0.0, 0.0, 0.0], NAN, NAN, NAN, NAN),  # nothing arrives
        ([0.0, 0.0, 1.0], 0.0, 0.0, 0.0, 0),  # dies in one step
        ([0.0, 0.25, 0.5, 1.0], 0.0, 0.5, 1.0, 2),  # truncated: zeros are left out of the fit
        ([0.25, 0.5, 1.0, 0.0, 0.0], 0.25, 0.5, 1.0, 2),  # the loss enters at t = 2
        ([NAN, 0.5, 1.0], NAN, 0.5, 1.0, 1),
        ([INF, 4.0, 2.0], NAN, 2.0, INF, 1),
        ([0.5, 1.0, NAN], NAN, NAN, NAN, NAN),  # born at the start: nothing to compare with
        ([0.5, 1.0, INF], NAN, NAN, NAN, NAN),
        ([1.0, 1e-9, 1.0], 1.0, 1.0, INF, 0),  # a gap ends the horizon
    ],
)
def test_figures_on_zeros_nan_inf_and_one_step(values, ratio, decay, half_life, horizon):
    s = series(values)
    got = s.ratio(), s.decay(), s.half_life(), s.horizon(1e-3)
    assert got == pytest.approx((ratio, decay, half_life, horizon), nan_ok=True)


def test_denormal_norms_are_left_out_of_the_fit():
    values = [1e-45, 1.4e-45, 3e-40, 1e-36, 1e-30, 1e-24]  # float32: the first three have lost digits
    assert series(values, dtype=torch.float32).decay() == pytest.approx(1e-6, rel=1e-3)


def test_ratio_neither_underflows_nor_overflows():
    assert series([1e-200, 1e200]).ratio() == 0.0  # 1e-400 is no float
    assert series([1e200, 1e-200]).ratio() == INF
    assert series([1e-150, 1e150]).ratio() == pytest.approx(1e-300, rel=1e-9)


def test_horizon_counts_lags_and_takes_the_border_in():
    s = series([10.0 ** -(5 - t) for t in range(6)], dtype=torch.float32)
    assert [s.horizon(eps) for eps in (1.0, 0.5, 0.1, 1e-3, 1e-9)] == [0, 0, 1, 3, 5]
    assert isinstance(s.horizon(1e-3), int)


@pytest.mark.parametrize("eps", [0, -1.0, NAN, INF, "a", True, None])
def test_horizon_refuses_a_senseless_eps(eps):
    with pytest.raises(ValueError, match="eps must be a positive finite number"):
        series([1.0]).horizon(eps)


def test_norm_is_the_norm_of_the_slab():
    torch.manual_seed(0)
    slab = torch.randn(5, 7, 11, dtype=torch.float64)
    s = Series("", "l0", "gru", False, ("grad_h",), slab.norm(dim=-1).unsqueeze(0))
    torch.testing.assert_close(s.norm(), slab.flatten(1).norm(dim=1), rtol=1e-13, atol=0)


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_norm_over_the_batch_neither_underflows_nor_overflows(size):
    s = series([3 * size], [4 * size])
    assert s.norm().item() == pytest.approx(5 * size, rel=1e-14)
    assert s.profile().item() == pytest.approx(5 * size / math.sqrt(2), rel=1e-14)


def test_norm_lets_nan_and_inf_through_and_handles_an_empty_batch():
    s = series([1.0, INF, NAN, 0.0], [1.0, 2.0, INF, 0.0])
    torch.testing.assert_close(s.norm(), torch.tensor([2**0.5, INF, NAN, 0.0], dtype=torch.float64), equal_nan=True)
    empty = Series("", "l0", "gru", False, ("grad_h",), torch.zeros(1, 4, 0))
    assert empty.norm().tolist() == [0.0] * 4
    assert math.isnan(empty.ratio()) and empty.first_nonfinite() is None


def test_norm_of_float32_norms_is_float64():
    assert series([1e-30], dtype=torch.float32).norm().dtype == torch.float64


def test_steps_beyond_the_length_take_part_in_nothing():
    long, short = powers(0.5, 6), [*powers(0.5, 3), NAN, 7.0, INF]
    s = series(long, short, lengths=[6, 3])
    expected = [math.hypot(a, b) for a, b in zip(long, [*powers(0.5, 3), 0, 0, 0], strict=True)]
    assert s.norm().tolist() == pytest.approx(expected)
    assert s.profile().tolist() == pytest.approx(long[::-1])  # by lag, both samples agree
    assert (s.decay(), s.ratio(), s.horizon(0.2)) == pytest.approx((0.5, 0.5**5, 2))
    assert s.first_nonfinite() is None


def test_padding_beyond_the_longest_sample_does_not_stretch_the_figures():
    s = series([*powers(0.5, 3), 0.0, 0.0], lengths=[3])
    assert s.profile().tolist() == [1.0, 0.5, 0.25]
    assert s.ratio() == 0.25
    assert series([0.0, 0.0], lengths=[0]).profile().tolist() == []
    assert math.isnan(series([0.0, 0.0], lengths=[0]).ratio())


def test_reverse_direction_counts_its_lag_from_t_0():
    s = series([1.0, 0.5, 0.25, NAN], [1.0, 0.5, 0.25, 0.125], lengths=[3, 4], reverse=True)
    assert s.profile().tolist() == pytest.approx([1.0, 0.5, 0.25, 0.125])
    assert s.horizon(0.3) == 1


def test_loss_at_every_step_hides_vanishing_in_grad_h_but_not_in_transmission():
    # Oracle A5, W = rho I, |v| = 1: total (1 - rho^(k+1)) / (1 - rho), of which 1 is direct.
    rho, steps = 0.5, 50
    total = [(1 - rho ** (steps - t)) / (1 - rho) for t in range(steps)]
    s = series(total, carry=[[x - 1 for x in total]])
    assert s.decay() == pytest.approx(1.0, abs=1e-3)
    assert s.horizon(1e-3) == steps - 1
    assert s.transmission() == pytest.approx(rho, rel=1e-12)


def test_transmission_agrees_with_decay_for_a_loss_at_the_last_step():
    total = powers(0.8, 20)
    s = series(total, carry=[[*total[:-1], 0.0]])
    assert s.transmission() == pytest.approx(s.decay(), rel=1e-12)
    ragged = series(
        total,
        [*powers(0.8, 7), *[9.0] * 13],
        carry=[[*total[:-1], 0.0], [*powers(0.8, 7)[:-1], *[0.0] * 14]],
        lengths=[20, 7],
    )
    assert ragged.transmission() == pytest.approx(0.8, rel=1e-12)


def test_transmission_is_zero_when_nothing_is_carried_and_nan_when_unknown():
    assert series([1.0, 1.0, 1.0], carry=[[0.0, 0.0, 0.0]]).transmission() == 0.0
    assert math.isnan(series([1.0, 1.0]).transmission())
    assert math.isnan(series([1.0], carry=[[0.0]]).transmission())


@pytest.mark.parametrize(("reverse", "t"), [(False, 3), (True, 1)])
def test_first_nonfinite_is_the_one_born_in_backprop_order(reverse, t):
    s = series([1.0, 1.0, 1.0, 1.0, 1.0], [1.0, NAN, NAN, INF, 1.0], [1.0, INF, 1.0, NAN, 1.0], reverse=reverse)
    hit = s.first_nonfinite()
    assert (hit.t, hit.n, hit.quantity) == (t, 1, "grad_h")
    assert hit.value == INF if t == 3 else math.isnan(hit.value)


def test_first_nonfinite_blames_the_carry_before_the_total():
    s = series([NAN, NAN, 1.0], carry=[[NAN, NAN, 0.0]], backward=2, call=5)
    assert s.first_nonfinite()[:3] == (1, 0, "grad_carry")
    assert s.first_nonfinite()[4:] == (2, 5)
    direct = series([NAN, NAN, 1.0], carry=[[NAN, 1.0, 0.0]])
    assert direct.first_nonfinite()[:3] == (1, 0, "grad_h")
    assert series([1.0, 0.0]).first_nonfinite() is None
    assert isinstance(direct.first_nonfinite(), NonFinite)


def test_quantities_that_a_series_lacks():
    s = series([1.0, 2.0])
    assert s.grad_c is None and s.clip_hits is None and s.grad_carry is None
    with pytest.raises(ValueError, match=r"series 'enc.l0' \(rnn_tanh\) has no 'grad_c'; it has grad_h"):
        s.norm("grad_c")
    with pytest.raises(ValueError, match="counts"):
        s.norm("clip_hits")


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"data must have shape \[Q, T, N\] with Q = 1 \(grad_h\), got \[2, 3\]"):
        Series("", "l0", "gru", False, ("grad_h",), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"lengths must have shape \[3\], got \[2\]"):
        Series("", "l0", "gru", False, ("grad_h",), torch.zeros(1, 2, 3), torch.tensor([1, 2]))


def test_repr_names_layer_direction_timestep_and_value():
    text = repr(series(powers(0.5, 3), reverse=False))
    assert text == (
        "<Series 'enc.l0': rnn_tanh, forward, T=3, N=1, grad_h, |grad_h| 0.25 at t=0, 1 at t=2, decay 0.5 per step>"
    )
