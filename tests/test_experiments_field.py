"""The field's training experiments: the tasks' laws, small trainings, error messages, figures in both languages."""

import math

import pytest
import torch

import seqgrad as sg
from seqgrad.experiments import _store, tasks
from seqgrad.experiments._training import Run
from seqgrad.experiments.texts import say


# -- tasks ---------------------------------------------------------------------------------------------------------
def test_adding_marks_one_number_in_each_half_and_asks_their_sum():
    x, y = tasks.adding(50, 4000)
    assert x.shape == (50, 4000, 2)
    assert torch.equal(x[:25, :, 1].sum(0), torch.ones(4000))
    assert torch.equal(x[25:, :, 1].sum(0), torch.ones(4000))
    assert torch.equal(x[..., 0][x[..., 1] == 1].sum(), y.sum()) or math.isclose(
        float(x[..., 0][x[..., 1] == 1].sum()), float(y.sum()), rel_tol=1e-5
    )
    assert float((y - 1).square().mean()) == pytest.approx(1 / 6, rel=0.08)  # 3.3 standard errors of 4000 samples
    assert x[:25, :, 1].sum(1).min() > 0


def test_adding_of_an_odd_length_marks_every_position():
    x, _ = tasks.adding(3, 200)
    assert (x[..., 1].sum(1) > 0).all()
    assert torch.equal(x[..., 1].sum(0), torch.full((200,), 2.0))


def test_copy_memory_asks_each_symbol_blanks_plus_ten_steps_after_it_was_shown():
    x, y = tasks.copy_memory(20, 500)
    shown = x.argmax(-1)
    assert x.shape == (40, 500, 10)
    assert torch.equal(x.sum(-1), torch.ones(40, 500))
    assert torch.equal(shown[:10], y[30:])
    assert (y[:30] == 8).all()
    assert (shown[10:29] == 8).all()
    assert (shown[29] == 9).all()
    assert (shown[30:] == 8).all()
    assert torch.bincount(y[30:].flatten(), minlength=8).min() > 500  # of 625 expected


def test_guessing_ten_symbols_costs_the_floor():
    _, y = tasks.copy_memory(20, 100)
    said = torch.full((40, 100, 9), -1e4)
    said[:30, :, 8] = 0  # certain of the blanks
    said[30:, :, :8] = 0  # eight symbols alike
    loss = torch.nn.functional.cross_entropy(said.flatten(0, 1), y.flatten())
    assert float(loss) == pytest.approx(10 * math.log(8) / 40, rel=1e-6)
    assert sg.experiments.CopyMemory(20, 1, 1, {}).floor == pytest.approx(float(loss), rel=1e-6)


def test_temporal_order_has_two_symbols_in_their_tenths_and_balanced_answers():
    x, y = tasks.temporal_order(50, 4000)
    symbol = x[..., :2].sum(-1)
    assert torch.equal(x.sum(-1), torch.ones(50, 4000))
    assert torch.equal(symbol.sum(0), torch.full((4000,), 2.0))
    assert not symbol[:5].any()
    assert not symbol[11:20].any()
    assert not symbol[26:].any()
    order = x[..., 1].cumsum(0)  # how many B so far
    assert torch.equal(2 * order[15] + order[-1] - order[15], y.float())
    assert torch.bincount(y, minlength=4).min() > 900  # of 1000 expected


# -- trials --------------------------------------------------------------------------------------------------------
def test_gru_learns_to_add_over_a_short_stretch_and_its_gradient_comes_to_the_start():
    run = sg.experiments.adding(("gru",), length=10, steps=300, seeds=1)
    assert run.success("gru") == 1.0
    assert run.score("gru") < 0.02 < run.floor
    assert run.learnt_at("gru") < 300
    assert run.ratio("gru", trained=True) > run.ratio("gru", trained=False)
    assert run.claims == []  # they are about length 50


def test_untrained_claims_need_no_training():
    run = sg.experiments.adding(("rnn", "irnn", "lstm", "lstm_forget_one"), steps=1, seeds=3)
    assert {claim.id for claim in run.claims} == {"adding.rnn_vanishes", "adding.irnn_keeps", "adding.forget_horizon"}
    assert [claim.id for claim in run.claims if not claim.ok] == []
    copied = sg.experiments.copy_memory(("rnn_orthogonal", "lstm", "lstm_chrono"), steps=1, seeds=3)
    assert {claim.id for claim in copied.claims} == {
        "copy.orthogonal_keeps", "copy.default_vanishes", "copy.chrono_keeps",
    }  # fmt: skip
    assert [claim.id for claim in copied.claims if not claim.ok] == []
    order = sg.experiments.temporal_order(("rnn_orthogonal", "gru"), steps=1, seeds=3)
    assert {claim.id for claim in order.claims} == {"order.default_vanishes", "order.orthogonal_keeps"}
    assert [claim.id for claim in order.claims if not claim.ok] == []


def test_omega_brings_the_gradient_back_to_the_first_step_and_clipping_alone_does_not():
    run = sg.experiments.temporal_order(("rnn", "rnn_omega"), length=30, steps=150, seeds=1)
    assert run.runs["rnn"][0].before == run.runs["rnn_omega"][0].before
    assert run.per_step("rnn", trained=False) < 0.75
    assert run.per_step("rnn_omega", trained=True) == pytest.approx(1.0, abs=0.2)
    assert run.per_step("rnn", trained=True) < 0.8


def test_a_seed_that_learnt_and_forgot_got_there():
    run = Run(0, 0.25, [0.1, 1.4], 50, [1.0], [1.0])
    result = sg.experiments.TemporalOrder(50, 100, 1, {"rnn_sgd_clipped": [run]})
    assert result.got_there("rnn_sgd_clipped") == 1.0
    assert result.success("rnn_sgd_clipped") == 0.0


def test_chrono_leaves_the_floor_of_a_short_copy_before_the_default_lstm():
    run = sg.experiments.copy_memory(("lstm", "lstm_chrono"), blanks=3, steps=300, seeds=1)
    assert run.score("lstm_chrono") < 0.98 * run.floor
    assert run.score("lstm_chrono") < run.score("lstm") - 0.02 * run.floor


def test_the_order_of_networks_changes_nothing():
    options = {"length": 6, "steps": 3, "seeds": 2}
    one = sg.experiments.adding(("rnn", "gru"), **options).rows()
    other = sg.experiments.adding(("gru", "rnn"), **options).rows()
    assert sorted(one, key=str) == sorted(other, key=str)
    assert [row["seed"] for row in one] == [0, 1, 0, 1]


def test_a_run_counts_lags_from_the_end():
    run = Run(0, 0.0, [], None, before=[0.5, 1e-4, 0.2, 1.0], after=[1.0, 1.0, 1.0, 1.0])
    assert run.horizon(trained=False) == 1  # a gap ends it
    assert run.horizon(trained=True) == 3
    assert run.ratio(trained=False) == 0.5


def test_a_seed_that_never_learns_counts_as_infinitely_late():
    late = Run(0, 0.2, [0.2], None, [1.0], [1.0])
    soon = Run(1, 0.01, [0.01], 50, [1.0], [1.0])
    result = sg.experiments.Adding(50, 50, 3, {"rnn": [late, late, soon]})
    assert result.learnt_at("rnn") == math.inf
    assert result.success("rnn") == pytest.approx(1 / 3)
    assert "RNN: never" in result.alt("learning", "en")
    assert "RNN: nunca" in result.alt("learning", "es")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sg.experiments.adding(("rmm",)), "networks must be one of rnn, irnn, gru, .*; got 'rmm'"),
        (lambda: sg.experiments.adding(()), "networks must name at least one, and none twice, of rnn, .*; got \\[\\]"),
        (lambda: sg.experiments.adding(("rnn", "rnn")), "none twice"),
        (lambda: sg.experiments.adding(length=1), "length must be at least 2, got 1"),
        (lambda: sg.experiments.adding(seeds=0), "seeds must be at least 1, got 0"),
        (lambda: sg.experiments.copy_memory(blanks=0), "blanks must be at least 1, got 0"),
        (lambda: sg.experiments.copy_memory(steps=0), "steps must be at least 1, got 0"),
        (lambda: sg.experiments.temporal_order(length=9), "length must be at least 10, got 9"),
        (lambda: sg.experiments.temporal_order(("irnn",)), "networks must be one of rnn, rnn_omega, .*; got 'irnn'"),
    ],
)
def test_wrong_names_and_numbers_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


SMALL = {
    "adding": lambda: sg.experiments.adding(length=8, steps=6, seeds=2),
    "copy_memory": lambda: sg.experiments.copy_memory(blanks=3, steps=6, seeds=2),
    "temporal_order": lambda: sg.experiments.temporal_order(length=10, steps=6, seeds=2),
}


@pytest.mark.parametrize("name", SMALL)
def test_figures_texts_and_tables_are_whole_in_both_languages(name, tmp_path):
    result = SMALL[name]()
    _store.save(result, tmp_path / "one.json", {})
    assert _store.load(type(result), tmp_path / "one.json", {}) == result
    assert len(result.rows()) == 2 * len(result.runs)
    for kind in result.kinds:
        for lang in ("en", "es"):
            figure = result.plot(kind, lang=lang, dark=lang == "es").figure_
            figure.canvas.draw()
            assert say(f"{name}.{kind}.caption", lang, **result.facts())
            alt = result.alt(kind, lang)
            assert alt.count(";") >= len(result.runs) - 1
    assert result.to_dict()["name"] == name
