"""Laws that every figure of a series obeys: scale, order, lengths, direction; and the closed forms of exact decays."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqgrad as sg
from seqgrad.record import Series

F64 = torch.float64
NAN, INF = math.nan, math.inf
quick = settings(deadline=None, max_examples=60)
norms = st.floats(1e-12, 1e12)
rows = st.integers(1, 12).flatmap(
    lambda steps: st.lists(st.lists(norms, min_size=steps, max_size=steps), min_size=1, max_size=4)
)


def series(columns, *, reverse=False, lengths=None, carry=None, dtype=F64) -> Series:
    """Sample n has the norms columns[n] by timestep."""
    data = [torch.tensor(columns, dtype=dtype).T]
    names = ("grad_h",) if carry is None else ("grad_h", "grad_carry")
    if carry is not None:
        data.append(torch.tensor(carry, dtype=dtype).T)
    lengths = None if lengths is None else torch.tensor(lengths)
    return Series("", "l0", "rnn_tanh", reverse, names, torch.stack(data), lengths)


def figures(s: Series) -> dict[str, float]:
    found = {"ratio": s.ratio(), "decay": s.decay(), "half_life": s.half_life(), "horizon": s.horizon(1e-3)}
    return found | {"transmission": s.transmission(), "below_eps": s.below_eps()}


def same(a: dict[str, float], b: dict[str, float], rel: float = 1e-9) -> None:
    assert a == pytest.approx(b, rel=rel, nan_ok=True)


@quick
@given(rows, st.floats(1e-6, 1e6))
def test_the_scale_of_the_loss_changes_no_figure(columns, factor):
    # the horizon and the count below eps compare with a border, which a factor's rounding may cross: a power of two
    exact = 2.0 ** round(math.log2(factor))
    plain = series(columns, carry=[[v / 3 for v in c] for c in columns])
    scaled = series([[v * exact for v in c] for c in columns], carry=[[v * exact / 3 for v in c] for c in columns])
    same(figures(plain), figures(scaled))
    torch.testing.assert_close(plain.contribution(), scaled.contribution(), rtol=1e-12, atol=0)


@quick
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_the_batch_and_copies_of_it_change_no_figure(columns, random):
    mixed = columns * 2
    random.shuffle(mixed)
    plain, mixed = figures(series(columns)), figures(series(mixed))
    for border in ("horizon", "below_eps"):  # means in another order differ by a rounding
        assert abs(plain.pop(border) - mixed.pop(border)) <= 1
    same(plain, mixed)


@quick
@given(rows, st.integers(0, 5), st.booleans())
def test_what_lies_beyond_the_lengths_changes_no_figure(columns, more, reverse):
    steps = len(columns[0])
    garbage = [NAN, INF, 1e30, 0.0, 1.0][:more]
    lengths = [steps] * len(columns)
    plain = series(columns, reverse=reverse)
    padded = series([c + garbage for c in columns], lengths=lengths, reverse=reverse)
    same(figures(plain), figures(padded), rel=1e-12)
    shares = padded.contribution()
    torch.testing.assert_close(shares[:steps], plain.contribution(), rtol=1e-12, atol=0)
    assert not shares[steps:].any()
    assert padded.first_nonfinite() is None


@quick
@given(rows)
def test_the_reverse_direction_is_the_forward_one_seen_from_the_other_end(columns):
    forward, reverse = series(columns), series([c[::-1] for c in columns], reverse=True)
    same(figures(forward), figures(reverse), rel=1e-12)
    torch.testing.assert_close(forward.contribution(), reverse.contribution().flip(0), rtol=1e-12, atol=0)


@quick
@given(rows, st.lists(st.integers(1, 12), min_size=4, max_size=4))
def test_a_short_sample_counts_its_lag_from_its_own_end(columns, cuts):
    steps = len(columns[0])
    lengths = [min(cut, steps) for cut in cuts[: len(columns)]]
    cut = series([c[:n] + [9.0] * (steps - n) for c, n in zip(columns, lengths, strict=True)], lengths=lengths)
    profile = cut.profile()
    assert len(profile) == max(lengths)
    for lag in range(max(lengths)):
        there = [c[n - 1 - lag] for c, n in zip(columns, lengths, strict=True) if n > lag]
        assert float(profile[lag]) == pytest.approx(math.sqrt(sum(v * v for v in there) / len(there)), rel=1e-9)


@quick
@given(rows, st.floats(1e-9, 1), st.floats(1e-9, 1))
def test_a_smaller_eps_reaches_further_and_counts_fewer(columns, first, second):
    low, high = sorted((first, second))
    s = series(columns)
    assert s.horizon(low) >= s.horizon(high)
    assert s.below_eps(low) <= s.below_eps(high)
    assert 0 <= s.horizon(high) < s.steps and 0 <= s.below_eps(high) < max(s.steps, 1) + 1


@quick
@given(st.floats(0.05, 3.0), st.integers(2, 60), st.integers(1, 3), st.booleans())
def test_exponential_decay_gives_exact_figures(rho, steps, batch, reverse):
    by_lag = [rho**k for k in range(steps)]
    column = by_lag if reverse else by_lag[::-1]
    carry = [0.0, *by_lag[1:]] if reverse else [0.0, *by_lag[1:]][::-1]
    s = series([column] * batch, carry=[carry] * batch, reverse=reverse)
    assert s.decay() == pytest.approx(rho, rel=1e-9)
    assert s.transmission() == pytest.approx(rho, rel=1e-9)
    assert s.ratio() == pytest.approx(rho ** (steps - 1), rel=1e-9)
    if rho < 0.999:
        assert s.half_life() == pytest.approx(math.log(0.5) / math.log(rho), rel=1e-6)
    total = sum(by_lag)
    shares = s.contribution() if reverse else s.contribution().flip(0)
    assert shares.tolist() == pytest.approx([v / total for v in by_lag], rel=1e-9)
    for eps in (0.3, 1e-3, 1e-6):
        lost = sum(v / total < eps for v in by_lag)
        clear = all(abs(v / total / eps - 1) > 1e-9 for v in by_lag)
        assert not clear or s.below_eps(eps) == lost


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_real_recordings_show_the_factor_whatever_the_loss_reads(every_step: bool, reverse: bool):  # A1, A5
    rho, steps = 0.6, 30
    q = torch.linalg.qr(torch.randn(4, 4, dtype=F64))[0]
    rnn = sg.RNN(1, 4, bias=False, bidirectional=True, dtype=F64)
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            p.copy_(rho * q if "hh" in name else torch.zeros_like(p))
    lengths = torch.tensor([steps, 12])
    with sg.record(rnn) as rec:
        out, h = rnn(torch.zeros(steps, 2, 1, dtype=F64), lengths=lengths)
        part = out[..., 4:] if reverse else out[..., :4]
        (part.sum() if every_step else h[int(reverse)].sum()).backward()
    s = rec["l0_reverse" if reverse else "l0"]
    assert s.transmission() <= rho * (1 + 1e-9)
    if every_step:  # the same direct part at every step: level in grad_h, and rotated sums below rho in the carry
        assert s.decay() == pytest.approx(1, abs=0.15) and s.decay("grad_carry") == pytest.approx(1, abs=0.15)
        assert s.below_eps() == 0
    else:
        assert s.decay() == pytest.approx(rho, rel=1e-9) and s.transmission() == pytest.approx(rho, rel=1e-9)
        assert s.decay("grad_carry") == pytest.approx(rho, rel=1e-9)
        assert s.horizon(rho**7) == 7
        at = [rho ** (steps - 1 - t) + rho ** (11 - t) * (t < 12) for t in range(steps)]  # both samples, by time
        if reverse:
            at = [rho**t * (1 + (t < 12)) for t in range(steps)]
        assert s.contribution().tolist() == pytest.approx([v / sum(at) for v in at], rel=1e-9)
        assert s.below_eps(1e-3) == sum(v / sum(at) < 1e-3 for v in at)


def test_contribution_weighs_each_sample_by_the_state_before():
    s = series([[1.0, 2.0], [3.0, 4.0]])
    assert s.contribution().tolist() == pytest.approx([0.4, 0.6])
    states = torch.tensor([[0.0, 1.0], [5.0, 0.5]])  # [T, N]
    assert s.contribution(states).tolist() == pytest.approx([3 / 15, 12 / 15])
    assert s.below_eps(0.3, states) == 1
    with pytest.raises(ValueError, match=r"states must hold norms >= 0 of shape \[2, 2\], got shape \[2\]"):
        s.contribution(torch.ones(2))
    with pytest.raises(ValueError, match="got -1 in it"):
        s.contribution(-torch.ones(2, 2))


def test_contribution_neither_overflows_nor_underflows():
    assert series([[1e-200, 1e-200]]).contribution(torch.full((2, 1), 1e-200, dtype=F64)).tolist() == [0.5, 0.5]
    assert series([[1e200, 1e200]]).contribution(torch.full((2, 1), 1e200, dtype=F64)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("values", "shares", "lost"),
    [
        ([2.0], [1.0], 0),  # T = 1
        ([0.0, 0.0], [NAN, NAN], NAN),
        ([NAN, NAN], [NAN, NAN], NAN),
        ([1.0, NAN], [NAN, NAN], NAN),
        ([1.0, INF], [NAN, NAN], NAN),
        ([0.0, 1.0], [0.0, 1.0], 1),
        ([1e-17, 1.0], [1e-17, 1.0], 1),
        ([1e-9, 1.0], [1e-9, 1.0], 0),
    ],
)
def test_contribution_on_zeros_nan_inf_and_one_step(values, shares, lost):
    s = series([values])
    assert s.contribution().tolist() == pytest.approx(shares, nan_ok=True)
    assert s.below_eps() == pytest.approx(lost, nan_ok=True)


def test_the_default_eps_is_that_of_the_recorded_dtype():
    values = [[1e-9, 1.0]]
    assert series(values, dtype=torch.float32).below_eps() == 1 and series(values).below_eps() == 0
    assert isinstance(series(values).below_eps(), int)
    for eps in (0, -1, NAN, INF, True, "a"):
        with pytest.raises(ValueError, match="eps must be a positive finite number"):
            series(values).below_eps(eps)


def test_empty_batches_and_samples_without_steps_have_no_figures():
    empty = Series("", "l0", "gru", False, ("grad_h",), torch.zeros(1, 4, 0))
    none = series([[1.0, 2.0]], lengths=[0])
    for s in (empty, none):
        assert all(math.isnan(v) for v in figures(s).values()), figures(s)
    partly = series([[1.0, 2.0], [9.0, 9.0]], lengths=[2, 0])
    assert partly.contribution().tolist() == pytest.approx([1 / 3, 2 / 3])


def test_all_nan_gives_nan_everywhere_and_a_place():
    s = series([[NAN, NAN, NAN]], carry=[[NAN, NAN, NAN]])
    assert all(math.isnan(v) for v in figures(s).values())
    assert s.first_nonfinite()[:3] == (2, 0, "grad_carry")


def test_a_record_offers_its_figures_by_key():
    rnn = sg.GRU(3, 4, state_clip=sg.clip.Norm(1e-6))
    with sg.record(rnn) as rec:
        rnn(torch.randn(9, 2, 3))[0][-1].sum().backward()
    assert rec.below_eps(0.5)["l0"] == rec["l0"].below_eps(0.5)
    assert torch.equal(rec.contribution["l0"], rec["l0"].contribution())
    assert rec.clip_hits == {"l0": int(rec["l0"].clip_hits.sum())} and rec.clip_hits["l0"] > 0
    plain = sg.GRU(3, 4)
    with sg.record(plain) as rec:
        plain(torch.randn(9, 2, 3))[0][-1].sum().backward()
    assert rec.clip_hits == {}
