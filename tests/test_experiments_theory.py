"""Experiments that stand beside a theory: the laws themselves, and that small runs agree with them."""

from __future__ import annotations

import math

import pytest
import torch

import seqgrad as sg
from seqgrad.experiments.curse_of_memory import sensitivity_law, state_law
from seqgrad.experiments.lyapunov import gaussian_spectrum, linear_spectrum
from seqgrad.experiments.mean_field import STARTS, fixed_point, growth_law

F64 = torch.float64


@pytest.fixture(scope="module")
def curse():
    return sg.experiments.curse_of_memory((0.0, 0.9, 0.95), lags=280, seeds=1)


@pytest.fixture(scope="module")
def field():
    return sg.experiments.mean_field((0.75, 1.5, 2.0), seeds=2)


@pytest.fixture(scope="module")
def spectrum():
    return sg.experiments.lyapunov((0.7, 1.8), seeds=1)


# -- the curse of memory ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.6])
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9])
def test_sensitivity_law_is_the_mixed_derivative_of_two_units_covariance(weight: float, correlation: float):
    a, b = (torch.tensor(weight, dtype=F64, requires_grad=True) for _ in range(2))
    pull = 1 / (1 - a * correlation) + 1 / (1 - b * correlation) - 1
    covariance = pull / (1 - a * b)
    (by_a,) = torch.autograd.grad(covariance, a, create_graph=True)
    (mixed,) = torch.autograd.grad(by_a, b)
    assert sensitivity_law(weight, correlation) == pytest.approx(float(mixed.detach()), rel=1e-12)
    assert state_law(weight, correlation) == pytest.approx(float(covariance.detach()), rel=1e-12)


def test_laws_are_sums_over_impulse_responses():
    lags = torch.arange(400, dtype=F64)
    state = 0.8**lags
    change = lags * 0.8 ** (lags - 1)
    correlation = torch.tensor(0.7, dtype=F64) ** (lags[:, None] - lags).abs()
    assert state_law(0.8, 0.7) == pytest.approx(float(state @ correlation @ state), rel=1e-12)
    assert sensitivity_law(0.8, 0.7) == pytest.approx(float(change @ correlation @ change), rel=1e-12)


def test_sensitivity_grows_while_no_gradient_does(curse):
    assert [claim.id for claim in curse.claims if not claim.ok and claim.id != "curse.sampled"] == []
    assert curse.chosen()[-1].sensitivity > 1000
    assert {one.largest for one in curse.memories} == {1.0}
    assert len(curse.rows()) == 6 and all(one.reparametrised == pytest.approx(1) for one in curse.chosen())
    assert any(one.reparametrised > 5 for one in curse.chosen(0.9))  # the cure is one for white inputs


# -- mean field ------------------------------------------------------------------------------------------------------
def test_law_at_rest_is_the_squared_gain_and_its_fixed_point_stays():
    assert growth_law(0.8, 0.0) == pytest.approx(0.64)
    assert fixed_point(0.0, 0.3) == pytest.approx(0.09)
    q = torch.tensor(fixed_point(1.5, 0.5), dtype=F64)
    z = torch.linspace(-8, 8, 4001, dtype=F64)
    mean = torch.trapezoid((q.sqrt() * z).tanh().square() * (-z.square() / 2).exp() / math.sqrt(2 * math.pi), z)
    assert float(1.5**2 * mean + 0.25) == pytest.approx(float(q), rel=1e-9)


def test_real_networks_follow_the_law(field):
    assert field.error() < 0.05
    assert field.crossing(field.medians()) == pytest.approx(field.crossing(field.theory), rel=0.05)
    assert {row["what"] for row in field.rows()} == {"gain", *STARTS}


def test_gated_cells_keep_what_one_matrix_for_all_steps_foretells(field):
    assert STARTS["lstm"].tied == pytest.approx(0.644, abs=1e-3)
    assert STARTS["lstm_forget_one"].tied == pytest.approx(0.875, abs=1e-3)
    for name, values in field.starts.items():
        assert sum(values) / len(values) == pytest.approx(STARTS[name].tied, rel=0.08)
    assert min(field.starts["lstm"]) > 1.1 * STARTS["lstm"].untied


# -- Lyapunov --------------------------------------------------------------------------------------------------------
def test_spectra_meet_their_closed_forms():
    measured, exact = linear_spectrum()
    assert measured == pytest.approx(exact, abs=1e-6)
    measured, exact = gaussian_spectrum(steps=400)
    assert measured == pytest.approx(exact, abs=0.05)


def test_largest_exponent_is_the_growth_of_the_recorded_gradient(spectrum):
    quiet, chaotic = spectrum.networks
    assert quiet.exponent < 0 < chaotic.exponent
    for net in spectrum.networks:
        assert net.growth == pytest.approx(net.exponent, abs=0.03)
    assert chaotic.predicted == math.inf
    assert quiet.horizon == pytest.approx(quiet.predicted, rel=0.5)


# -- manners ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("lang", ["en", "es"])
def test_figures_and_their_words_exist_in_both_languages(curse, field, spectrum, lang: str):
    for result in (curse, field, spectrum):
        for kind in result.kinds:
            result.plot(kind, lang=lang, dark=lang == "es").figure_.canvas.draw()
            assert len(result.alt(kind, lang)) > 60
            assert sg.experiments.texts.say(f"{result.name}.{kind}.caption", lang, **result.facts())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.experiments.curse_of_memory((1.0,)), r"weights must lie in \[0, 1\), got 1.0"),
        (lambda: sg.experiments.curse_of_memory((0.99,), lags=100), "lags must be at least 1375 for a weight of 0.99"),
        (lambda: sg.experiments.curse_of_memory(()), "weights must name at least one weight"),
        (lambda: sg.experiments.mean_field((0.0,)), "gains must be positive numbers, got 0.0"),
        (lambda: sg.experiments.mean_field(()), "gains must name at least one gain"),
        (lambda: sg.experiments.lyapunov((math.inf,)), "gains must be positive numbers, got inf"),
        (lambda: sg.experiments.lyapunov(seeds=0), "seeds must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
