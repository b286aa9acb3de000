"""The lesson's experiments beyond decay, flow and explosion: their laws at small settings, saving, bad arguments."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping

import pytest
import tiny
import torch

import seqgrad as sg
from seqgrad import experiments
from seqgrad.experiments import _store
from seqgrad.experiments._findings import scan
from seqgrad.experiments._measure import Setup, build, flow, signal_at_start, spread
from seqgrad.experiments._remember import remember
from seqgrad.experiments.claims import judge
from seqgrad.experiments.information_flow import measure
from seqgrad.experiments.residual import formula_distance
from seqgrad.experiments.truncation import loop_distance, sample_said, whole_distance


def failed(result):
    return [(claim.id, claim.measured) for claim in result.claims if not claim.ok]


# -- clipping ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clipped():
    return experiments.clipping(seeds=2, steps=3)


def test_clipping_bounds_the_norm_and_keeps_the_direction_by_value_neither(clipped):
    for one in clipped.of("norm"):
        assert one.after == pytest.approx(min(one.norm, 1.0), rel=1e-5)
        assert one.cosine == pytest.approx(1, abs=1e-6)
    large = [one for one in clipped.of("value") if one.norm > 100]
    assert all(one.after > 1 and one.cosine < 0.95 for one in large)
    assert failed(clipped) == []


def test_after_clipping_by_norm_hardly_an_element_is_left_for_the_value_clip(clipped):
    assert max(one.touched for one in clipped.of("both")) < 0.01
    assert max(one.touched for one in clipped.of("value")) > 0.2


def test_a_negative_bound_turns_torchs_gradient_round_and_is_refused_by_ours(clipped):
    assert clipped.negative == pytest.approx(-1, abs=1e-6)
    assert clipped.refused == 1.0
    assert clipped.after_nan == 0.0


def test_only_clipped_by_norm_an_exploding_relu_network_trains(clipped):
    assert all(run.broken_at == 2 for run in clipped.runs("relu", "none"))
    assert all(run.broken_at is None for run in clipped.runs("relu", "norm"))


# -- initialisation ------------------------------------------------------------------------------------------------
def test_initialisation_reproduces_every_claim():
    result = experiments.initialisation(seeds=3)
    assert len(result.claims) == 12 and failed(result) == []
    keys, rows = result.table()
    assert keys == ["setup", "radius", "sigma_max", "sigma_min", "lag_9", "lag_49", "lag_99", "spread"]
    table = {row[0]: dict(zip(keys[1:], row[1:], strict=True)) for row in rows}
    # the reference values of the lesson's map, one seed each; medians of three seeds here
    assert table["rnn"]["lag_9"] == pytest.approx(7e-3, rel=0.3)
    assert table["rnn"]["sigma_max"] == pytest.approx(1.13, abs=0.04)
    assert table["rnn_orthogonal_zero_bias"]["lag_9"] == pytest.approx(0.96, abs=0.01)
    assert table["rnn_orthogonal_zero_bias"]["lag_49"] == pytest.approx(0.77, abs=0.03)
    assert table["rnn_orthogonal_zero_bias"]["spread"] == pytest.approx(0.37, rel=0.3)
    assert 1e3 < table["residual"]["lag_99"] < 1e5 and 1e3 < table["residual_orthogonal"]["lag_99"] < 1e5
    assert table["lstm"]["lag_99"] < 1e-17 < 1e-8 < table["lstm_forget_one"]["lag_99"] < 1e-5
    assert table["lstm_forget_99"]["lag_99"] == pytest.approx(34, rel=0.6)


def test_a_gradient_through_the_identity_keeps_its_norm_where_relu_is_awake():
    curve = flow(Setup("rnn", "identity", nonlinearity="relu"), steps=30, hidden=64, seed=0).grad_h
    assert curve[1] == pytest.approx(curve[-2], rel=1e-6)


# -- residual ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_residual_layer_is_the_lessons_line(scale):
    assert formula_distance(scale=scale) < 1e-12


def test_residual_gradients_grow_with_the_scale_and_stay_put_when_it_is_small():
    result = experiments.residual((1.0, 0.1, 0.01), seeds=2, training=1)
    growth = [min(values) for values in result.growth.values()]
    assert growth[0] > 1e3 > growth[1] > 5 > growth[2] > 0.9
    assert result.curve("rnn")[0] < 1e-15
    assert failed(result) == []


def test_a_residual_layer_passes_gradcheck():
    layer = build(Setup("residual", scale=0.5), hidden=3, steps=4, dtype=torch.float64)
    x = torch.randn(4, 2, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,))


# -- truncation ----------------------------------------------------------------------------------------------------
def test_beyond_the_cut_the_gradient_is_exactly_zero_and_before_it_that_of_the_whole():
    result = experiments.truncation((7, 20), length=50, seeds=1, steps=1)
    assert result.beyond == 0.0 and (result.cut(7), result.cut(20)) == (50, 41)
    whole = result.curves[50]
    for size in (7, 20):
        curve, cut = result.curves[size], result.cut(size)
        assert set(curve[: cut - 1]) == {0.0}
        assert curve[cut - 1 :] == whole[cut - 1 :]  # the same bits


def test_truncation_at_the_length_is_full_bptt_to_the_bit_and_below_it_the_loop_with_detach():
    assert whole_distance(30) == 0.0
    assert loop_distance(30, 7) < 1e-12


def test_the_lessons_loop_lacks_a_loss_a_step_and_a_state_that_can_be_detached():
    said = sample_said()
    assert said["rnn"].startswith("NameError") and "'tuple' object has no attribute 'detach'" in said["lstm"]
    assert said["moved"] == "0.0"


def test_a_label_beyond_the_cut_is_not_learnt():
    setup = Setup("lstm", keep="chrono")
    assert remember(setup, 50, 0) > 0.9
    assert remember(setup, 50, 0, truncate=10) < 0.7


# -- information flow ----------------------------------------------------------------------------------------------
def test_sensitivity_is_the_jacobian_of_the_state_by_the_first_input():
    found = measure(Setup("rnn"), steps=6, hidden=8, seed=1).sensitivity
    torch.manual_seed(1)
    layer = build(Setup("rnn"), hidden=8, steps=6)
    x = signal_at_start(6, 32)[:, :4].double()
    layer.double()
    for t in (1, 6):
        jacobian = torch.autograd.functional.jacobian(
            lambda x1, t=t: layer(torch.cat([x1[None], x[1:]]))[0][t - 1], x[0]
        )
        per_sample = [jacobian[n, :, n].square().sum() for n in range(4)]
        assert found[t - 1] == pytest.approx(math.sqrt(sum(per_sample) / 4), rel=1e-9)


def test_information_fades_in_a_default_network_and_stays_in_an_orthogonal_one():
    result = experiments.information_flow(("rnn", "rnn_orthogonal_zero_bias"), steps=50, seeds=1)
    default, orthogonal = result.flows["rnn"][0], result.flows["rnn_orthogonal_zero_bias"][0]
    assert default.probe[1] > 0.85 and default.probe[50] < 0.6
    assert orthogonal.probe[50] > 0.8
    assert 1e-3 < default.spread[9] < 2e-2 and default.spread[49] < 2e-7
    assert default.gradient[0] < 1e-8 < orthogonal.gradient[0]


def test_spread_is_the_largest_difference_in_any_unit():
    states = torch.tensor([[[0.0, 5.0], [1.0, 2.0], [0.5, 3.0]]])
    assert spread(states).tolist() == [3.0]


# -- detection -----------------------------------------------------------------------------------------------------
def test_the_detector_names_what_exceeds_it_and_is_blind_to_vanishing():
    result = experiments.detection((0.5, 1.0, 2.5), seeds=2)
    assert failed(result) == [] and len(result.claims) == 7
    assert [one.fires for one in result.seen] == [False, False, False, False, True, True]
    assert all(one.rules == ["Vanishing"] for one in result.default)
    assert all("Exploding" in one.rules for one in result.seen if one.gain == 2.5)
    weights = result.curve("weight")
    assert weights[0.5] > 0.5 and result.curve("first_input")[0.5] < 1e-12


# -- accuracy against length ---------------------------------------------------------------------------------------
def test_accuracy_display_draws_a_dot_per_seed_and_counts_successes():
    shown = sg.display.AccuracyVsLengthDisplay({"A": {10: [0.99, 0.95, 0.5]}, "B": {10: [0.6], 50: [0.91]}}, lang="es")
    shown.plot(theme="dark")
    dots = [line for line in shown.ax_.lines if len(line.get_xdata()) and line.get_linestyle() == "None"]
    assert sorted(len(line.get_xdata()) for line in dots) == [1, 1, 3]
    assert [text.get_text() for text in shown.ax_.texts] == ["2/3", "0/1", "1/1"]
    assert shown.ax_.get_xlabel() == "longitud de la secuencia"
    import matplotlib.pyplot as plt

    plt.close(shown.figure_)


@pytest.mark.parametrize(
    ("runs", "message"),
    [({}, "runs must hold accuracies"), ({"A": {}}, "got none"), ({"A": {5: [99.0]}}, "'A' at length 5 has")],
)
def test_accuracy_display_refuses_what_is_no_accuracy(runs, message):
    with pytest.raises(ValueError, match=message):
        sg.display.AccuracyVsLengthDisplay(runs)


# -- saving --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("entry", tiny.lesson(), ids=lambda entry: entry.name)
def test_a_saved_result_comes_back_whole(entry, tmp_path):
    settings = tiny.TINY[entry.name]
    result = entry.function(**settings)
    _store.save(result, tmp_path / "one.json", settings)
    back = _store.load(entry.result, tmp_path / "one.json", settings)
    assert type(back) is entry.result
    assert json.dumps(_store.encode(back)) == json.dumps(_store.encode(result))
    assert repr(back) == repr(result)  # types too
    assert [claim.verdict for claim in back.claims] == [claim.verdict for claim in result.claims]
    assert _store.load(entry.result, tmp_path / "one.json", {**settings, "seeds": 77}) is None


def _fits_json(kind):
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return all(_fits_json(hints[one.name]) for one in dataclasses.fields(kind))
    inner = [one for one in typing.get_args(kind) if one not in (type(None), Ellipsis)]
    origin = typing.get_origin(kind)
    if origin in (list, tuple, dict, Mapping):
        return all(map(_fits_json, inner))
    if origin in (typing.Union, types.UnionType):
        return all(map(_fits_json, inner)) and (len(inner) == 1 or set(inner) <= {float, int, str})
    return origin is typing.Literal or kind in (float, int, str, bool)


@pytest.mark.parametrize("entry", experiments.EXPERIMENTS.values(), ids=lambda entry: entry.name)
def test_every_result_has_fields_that_come_back_from_json(entry):
    """Else ``--out`` could not keep it and ``--resume`` not find it."""
    kind = entry.result
    hints = typing.get_type_hints(kind)
    wrong = [one.name for one in dataclasses.fields(kind) if one.name != "claims" and not _fits_json(hints[one.name])]
    assert wrong == []


def test_a_damaged_or_absent_file_is_no_result(tmp_path):
    path = tmp_path / "decay.json"
    assert _store.load(experiments.Decay, path, {}) is None
    for text in ("", "{}", '{"result": 5}', "[1]"):
        path.write_text(text)
        assert _store.load(experiments.Decay, path, {}) is None


def test_claims_of_another_time_make_a_file_no_result(tmp_path):
    path = tmp_path / "decay.json"
    result = experiments.decay(steps=2, seeds=1)
    _store.save(result, path, {})
    data = json.loads(path.read_text())
    data["result"]["claims"].append({"id": "decay.gone", "measured": 1.0})
    path.write_text(json.dumps(data))
    assert _store.load(experiments.Decay, path, {}) is None
    assert judge("decay.four_factors", 0.0625) in result.claims


# -- manners -------------------------------------------------------------------------------------------------------
def test_scan_finds_nothing_in_a_sound_series():
    layer = sg.RNN(3, 4)
    with sg.record(layer) as rec:
        layer(torch.randn(5, 2, 3))[0].sum().backward()
    assert scan(rec[""].l0, step=1) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: experiments.clipping(-1.0), "max_norm must be a positive number, got -1.0"),
        (lambda: experiments.clipping(clip_value=math.nan), "clip_value must be a positive number, got nan"),
        (lambda: experiments.clipping(seeds=0), "seeds must be at least 1, got 0"),
        (lambda: experiments.initialisation(("rmm",)), "setups must be one of rnn, rnn_xavier, .*; got 'rmm'"),
        (lambda: experiments.initialisation(()), "setups must name at least one of rnn"),
        (lambda: experiments.residual((0.0,)), "scales must be a positive number, got 0.0"),
        (lambda: experiments.residual(()), "scales must name at least one residual_scale"),
        (lambda: experiments.truncation((50,)), "sizes must be below length=50, which is always run besides; got 50"),
        (lambda: experiments.truncation((0,)), "sizes must be at least 1, got 0"),
        (lambda: experiments.truncation(length=1), "length must be at least 2, got 1"),
        (lambda: experiments.information_flow(("gru",)), "setups must be one of rnn, .*; got 'gru'"),
        (lambda: experiments.information_flow(steps=1), "steps must be at least 2, got 1"),
        (lambda: experiments.detection((2.0, -1.0)), "gains must be a positive number, got -1.0"),
        (lambda: experiments.gradient_flow(()), "cells must name at least one of rnn"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
