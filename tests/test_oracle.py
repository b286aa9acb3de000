"""The tolerance helper must fail when it should: a rule that never fails proves nothing."""

from __future__ import annotations

import pytest
import torch
from cases import GRID, HIDDEN, INPUTS, SAMPLES, STEPS
from oracle import assert_close, assert_within_ratio

NAN, INF = float("nan"), float("inf")


def test_equal_values_pass():
    value = torch.tensor([1.0, -2.0, 0.0])
    assert_within_ratio(value, value, value.double())


def test_error_up_to_k_times_the_peers_passes_and_beyond_fails():
    exact = torch.ones(3, dtype=torch.float64)
    peer = (exact + torch.tensor([0.0, 1e-3, 0.0])).float()
    assert_within_ratio((exact + 3.9e-3).float(), peer, exact, k=4)
    with pytest.raises(AssertionError, match="error above"):
        assert_within_ratio((exact + 4.1e-3).float(), peer, exact, k=4)


def test_the_floor_is_a_few_ulps_of_the_largest_value():
    exact = torch.tensor([100.0, 0.0], dtype=torch.float64)
    eps = torch.finfo(torch.float32).eps
    assert_close(torch.tensor([100.0, 60 * 100 * eps]), exact, ulps=64)
    with pytest.raises(AssertionError):
        assert_close(torch.tensor([100.0, 70 * 100 * eps]), exact, ulps=64)


def test_the_worst_element_is_named():
    exact = torch.zeros(2, 3, dtype=torch.float64)
    ours = torch.zeros(2, 3)
    ours[0, 1], ours[1, 2] = 1e-3, 5.0
    with pytest.raises(AssertionError, match=r"dL/dx\[1, 2\]: 5\.0, oracle 0\.0"):
        assert_close(ours, exact, what="dL/dx")


@pytest.mark.parametrize(("mine", "truth"), [(NAN, 1.0), (1.0, NAN), (INF, 1.0), (1.0, INF), (-INF, INF), (NAN, INF)])
def test_nan_and_inf_must_match(mine, truth):
    exact = torch.tensor([0.0, truth], dtype=torch.float64)
    with pytest.raises(AssertionError, match=r"value\[1\]"):
        assert_within_ratio(torch.tensor([0.0, mine]), exact.float(), exact)


def test_matching_nan_and_inf_pass_and_do_not_hide_a_wrong_neighbour():
    exact = torch.tensor([NAN, INF, 1.0], dtype=torch.float64)
    assert_within_ratio(exact.float(), exact.float(), exact)
    with pytest.raises(AssertionError, match=r"\[2\]"):
        assert_within_ratio(torch.tensor([NAN, INF, 1.1]), exact.float(), exact)


def test_a_nan_of_the_peer_grants_no_tolerance():
    exact = torch.ones(2, dtype=torch.float64)
    with pytest.raises(AssertionError):
        assert_within_ratio(torch.tensor([1.0, 1.1]), torch.tensor([1.0, NAN]), exact)


def test_shape_and_dtype_must_agree():
    one = torch.ones(1)
    with pytest.raises(AssertionError, match="shapes"):
        assert_within_ratio(torch.ones(2), one, one.double())
    with pytest.raises(AssertionError, match="dtype"):
        assert_within_ratio(one, one.double(), one.double())


def test_the_grid_holds_every_pair_of_every_two_axes():
    axes = (STEPS, SAMPLES, INPUTS, HIDDEN)
    for i in range(4):
        for j in range(i + 1, 4):
            assert {(g[i], g[j]) for g in GRID} == {(a, b) for a in axes[i] for b in axes[j]}
    assert len(GRID) < 30
