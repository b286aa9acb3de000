"""Experiments: closed forms exactly, trained behaviour at small settings, and purity of the functions."""

import math
import string

import pytest
import torch

import seqgrad as sg
from seqgrad.experiments import _words, tasks
from seqgrad.experiments._findings import scan
from seqgrad.experiments._measure import Setup, flow
from seqgrad.experiments._result import median, plain
from seqgrad.experiments.gradient_flow import SETUPS, forget_law, product_of_jacobians
from seqgrad.experiments.texts import say


# -- decay ---------------------------------------------------------------------------------------------------------
def test_toy_decay_is_the_lessons_51_values():
    toy = sg.experiments.decay(0.5, 50, seeds=1)
    assert len(toy.values) == 51
    assert toy.values[4] == 0.0625
    assert toy.values[-1] == 0.5**50 == pytest.approx(8.88e-16, rel=1e-3)
    assert all(claim.ok for claim in toy.claims)
    assert len(toy.rows()) == 102


def test_toy_growth_is_two_to_the_fifty():
    toy = sg.experiments.decay(2.0, 50, seeds=1)
    assert toy.values[4] == 16
    assert toy.values[-1] == 1125899906842624


def test_default_rnn_loses_one_over_root_three_per_step():
    assert sg.experiments.decay(seeds=3).per_step == pytest.approx(1 / math.sqrt(3), rel=0.1)


# -- gradient flow -------------------------------------------------------------------------------------------------
def test_tenth_of_an_orthogonal_matrix_gives_factor_ten_per_ten_steps_against_the_lag():
    result = sg.experiments.gradient_flow(("rnn_tenth",), seeds=1)
    for lag in (10, 20, 30, 40, 50):
        assert result.at_lag("rnn_tenth", lag) == pytest.approx(10 ** (-lag / 10), rel=1e-4)


def test_largest_gradient_is_at_the_last_timestep():
    curve = sg.experiments.gradient_flow(("rnn",), seeds=1, hidden=32).curve("rnn")
    assert curve.index(max(curve)) == len(curve) - 1 == 99


@pytest.mark.parametrize("cell", ["rnn", "residual", "gru"])
def test_recorded_norms_equal_the_product_of_jacobians(cell):
    assert product_of_jacobians(seed=3, cell=cell) < 1e-10


def test_shares_of_the_weights_gradient_sum_to_one_and_the_first_step_has_none():
    shares = sg.experiments.gradient_flow(("rnn",), seeds=1, hidden=16, steps=40).shares[0]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert shares[0] == 0.0  # the state before it is 0
    assert shares.index(max(shares)) == 39


def test_forget_bias_is_taken_by_gated_cells_alone():
    bare = sg.experiments.gradient_flow(("rnn", "lstm"), steps=30, hidden=8, seeds=1)
    kept = sg.experiments.gradient_flow(("rnn", "lstm"), forget_bias=3.0, steps=30, hidden=8, seeds=1)
    assert kept.flows["rnn"] == bare.flows["rnn"]
    assert kept.curve("lstm")[0] > 1e3 * bare.curve("lstm")[0]


def test_cell_gradient_is_the_forget_gate_to_the_lag():
    assert forget_law(0.9) < 1e-10
    assert forget_law(0.5) < 1e-10


def test_gradient_flow_reproduces_every_claim():
    result = sg.experiments.gradient_flow(seeds=2)
    assert len(result.claims) == 13
    assert [claim.id for claim in result.claims if not claim.ok] == []
    assert set(result.flows) == set(SETUPS)


def test_linear_growth_is_exactly_two_to_the_lag():
    boom = sg.experiments.explosion(2.0, train=False)
    for lag in (1, 4, 25, 50):
        assert boom.linear[50 - lag] / boom.linear[50] == pytest.approx(2.0**lag, rel=1e-9)


# -- explosion -----------------------------------------------------------------------------------------------------
def test_detector_names_the_timestep_where_the_norm_first_passes_100():
    boom = sg.experiments.explosion(2.0, train=False)
    assert boom.finding is not None
    assert boom.finding.t == 43  # 2^7 = 128 is the first power above 100, 51 - 7 = 44, and t counts from 0
    assert "timestep 44 of 51" in boom.finding.message
    assert "seqgrad.clip.grad_norm_(model, 1.0)" in boom.finding.message


def test_shrinking_network_gives_no_finding():
    assert sg.experiments.explosion(0.9, train=False).finding is None


def test_unclipped_training_ends_in_nan_and_clipped_training_finishes():
    result = sg.experiments.explosion(seeds=1)
    (free,), (clipped,) = result.runs("relu", False), result.runs("relu", True)
    assert free.broken_at is not None
    assert len(free.losses) < 10
    found = {finding.rule: finding for finding in free.findings}
    assert set(found) == {"Exploding", "NonFinite"}
    assert 0 <= found["NonFinite"].t < 50
    assert clipped.broken_at is None
    assert len(clipped.losses) == 300
    assert all(math.isfinite(loss) for loss in clipped.losses)
    assert [claim.id for claim in result.claims if not claim.ok] == []


def test_nonfinite_gradient_is_traced_to_the_last_timestep_that_has_one():
    class Stub:
        def norm(self, quantity):
            return torch.tensor([math.nan, math.inf, 1.0])

    (finding,) = scan(Stub(), step=7)
    assert (finding.rule, finding.step, finding.t, finding.value) == ("NonFinite", 7, 1, math.inf)
    assert "in the backward pass at timestep 2 of 3" in finding.message


# -- trained -------------------------------------------------------------------------------------------------------
def test_rnn_learns_a_short_dependency_and_an_orthogonal_one_a_long_one():
    run = sg.experiments.long_dependency(("rnn",), (10, 50), seeds=1, cures=("rnn_orthogonal",))
    assert run.success("rnn", 10) == 1.0
    assert run.success("rnn", 50) == 0.0
    assert run.success("rnn_orthogonal", 50) == 1.0
    assert {claim.id for claim in run.claims} == {"dependency.distance", "dependency.rnn_10", "dependency.rnn_50"}
    assert all(claim.ok for claim in run.claims)


def test_workers_change_nothing_but_the_time():
    options = {"cells": ("rnn", "gru"), "lengths": (3,), "seeds": 2, "steps": 5, "cures": ()}
    assert (
        sg.experiments.long_dependency(**options).rows() == sg.experiments.long_dependency(**options, workers=2).rows()
    )


def test_character_model_learns_held_out_text():
    run = sg.experiments.char_model(steps=60, hidden=32, checkpoints=2)
    assert [mark.step for mark in run.checkpoints] == [0, 15, 60]
    assert run.checkpoints[0].bits == pytest.approx(math.log2(len(tasks.documentation().alphabet)), abs=0.3)
    assert run.checkpoints[-1].bits < run.checkpoints[0].bits - 1.5
    assert all(len(mark.grad_c) == 100 and mark.grad_c[-1] == 1.0 for mark in run.checkpoints)
    assert run.sample.startswith("The ")


# -- tasks ---------------------------------------------------------------------------------------------------------
def test_first_element_task_has_a_signal_at_the_start_and_silence_after_it():
    x, y = tasks.first_element(20, 8)
    assert x.shape == (20, 8, 10)
    assert not x[1:].any()
    assert torch.equal(y, (x[0, :, 0] > 0).long())


def test_verb_stands_six_words_after_its_subject():
    assert tasks.word_distance(tasks.SENTENCE, "cat", "was") == 6


def test_documentation_holds_its_last_tenth_out():
    text = tasks.documentation()
    total = len(text.train) + len(text.held_out)
    assert len(text.held_out) == pytest.approx(total / 10, abs=1)
    assert int(text.train.max()) < len(text.alphabet)
    assert 2.5 < tasks.bigram_bits(text) < 4.0


# -- manners -------------------------------------------------------------------------------------------------------
def test_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    first, second = (flow(Setup("gru"), steps=20, hidden=16, seed=4) for _ in range(2))
    assert first == second
    assert flow(Setup("gru"), steps=20, hidden=16, seed=3) != first
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.experiments.run("nope"), "no experiment is called 'nope'; there are: decay, gradient_flow"),
        (lambda: sg.experiments.gradient_flow(("rmm",)), "cells must be one of rnn, .*; got 'rmm'"),
        (lambda: sg.experiments.decay(steps=0), "steps must be at least 1, got 0"),
        (lambda: sg.experiments.long_dependency(lengths=(1,)), "lengths must be at least 2, got 1"),
        (lambda: sg.experiments.long_dependency(lengths=()), "lengths must name at least one length"),
        (lambda: sg.experiments.explosion(-1.0), "gain must be a positive number, got -1.0"),
        (lambda: sg.experiments.decay(steps=2, seeds=1).plot("pie"), "kind must be one of toy; got 'pie'"),
        (lambda: sg.experiments.decay(steps=2, seeds=1).plot(lang="fr"), "lang must be one of en, es; got 'fr'"),
    ],
)
def test_wrong_names_and_numbers_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_type_names_the_argument():
    with pytest.raises(TypeError, match=r"seeds must be a whole number, got float 2\.5"):
        sg.experiments.decay(seeds=2.5)


def test_both_languages_of_a_text_have_the_same_fields():
    for key, text in _words.texts().items():
        assert all(one.strip() for one in text), key
        if "$" in text.en:  # mathtext: a label, never formatted
            continue
        fields = [{name for _, name, _, _ in string.Formatter().parse(one) if name} for one in text]
        assert fields[0] == fields[1], key


def test_say_writes_numbers_in_the_language():
    assert say("report.line", "es", line=18) == "lección, línea 18"
    with pytest.raises(KeyError, match="no text 'nope'"):
        say("nope", "en")


def test_plain_turns_what_json_cannot_hold_into_words():
    assert plain({"a": [math.inf, (1.5, math.nan)]}) == {"a": ["inf", [1.5, "nan"]]}


def test_median_of_even_and_odd_counts():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    assert median([math.nan, 1.0, 2.0]) == 2.0


def test_to_pandas_has_a_row_per_measurement():
    frame = sg.experiments.gradient_flow(("lstm",), steps=5, hidden=8, seeds=2).to_pandas()
    assert list(frame.columns) == ["setup", "seed", "t", "lag", "grad_h", "grad_c"]
    assert len(frame) == 10
    assert (frame["t"] + frame["lag"] == 5).all()
