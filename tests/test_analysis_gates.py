"""Gates: the same values as a loop over time, for every cell, form of input and direction; their statistics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import seqgrad as sg
from seqgrad import analysis

LAYERS = {
    "RNN": lambda **o: sg.RNN(3, 5, **o),
    "relu": lambda **o: sg.RNN(3, 5, nonlinearity="relu", **o),
    "ResidualRNN": lambda **o: sg.ResidualRNN(3, 5, residual_scale=0.3, **o),
    "GRU": lambda **o: sg.GRU(3, 5, **o),
    "LSTM": lambda **o: sg.LSTM(3, 5, **o),
    "torch.GRU": lambda **o: nn.GRU(3, 5, **o),
    "torch.LSTM": lambda **o: nn.LSTM(3, 5, **o),
}
NAMES = {"GRU": "rzn", "LSTM": "ifgo"}
F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def looped(rnn, name: str, x, h, c=None, *, lengths=None, reverse=False):
    """Gate activations one step at a time, from the formulas: {gate: {(t, n): [H]}}."""
    w_ih, w_hh, b_ih, b_hh = (getattr(rnn, f"{k}_{name}") for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    project = getattr(rnn, f"weight_hr_{name}", None)
    found: dict[str, dict[tuple[int, int], torch.Tensor]] = {}
    for n in range(x.shape[1]):
        steps = range(x.shape[0] if lengths is None else lengths[n])
        state, cell = h[n], None if c is None else c[n]
        for t in reversed(steps) if reverse else steps:
            a, b = w_ih @ x[t, n] + b_ih, w_hh @ state + b_hh
            if isinstance(rnn, nn.LSTM) or rnn.mode == "LSTM":
                i, f, g, o = (a + b).chunk(4)
                gates = {"i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid()}
                cell = gates["f"] * cell + gates["i"] * gates["g"]
                state = gates["o"] * cell.tanh()
                state = state if project is None else project @ state
            elif rnn.mode == "GRU":
                (ar, az, an), (br, bz, bn) = a.chunk(3), b.chunk(3)
                gates = {"r": (ar + br).sigmoid(), "z": (az + bz).sigmoid()}
                gates["n"] = (an + gates["r"] * bn).tanh()
                state = (1 - gates["z"]) * gates["n"] + gates["z"] * state
            else:
                gates = {"h": (a + b).relu() if rnn.mode == "RNN_RELU" else (a + b).tanh()}
                state = state + 0.3 * gates["h"] if isinstance(rnn, sg.ResidualRNN) else gates["h"]
            for gate, value in gates.items():
                found.setdefault(gate, {})[t, n] = value
    return found


def assert_same(found: analysis.Gates, expected) -> None:
    assert list(found) == list(expected)
    for gate, values in expected.items():
        for (t, n), value in values.items():
            torch.testing.assert_close(found[gate][t, n], value.detach(), rtol=1e-12, atol=1e-14)
        assert int(found[gate].isnan().all(-1).logical_not().sum()) == len(values)  # NaN wherever no step was


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lengths", [None, [6, 2, 0, 4]])
def test_gates_equal_a_loop_over_time(kind: str, lengths):
    rnn = LAYERS[kind](bidirectional=True, dtype=F64)
    x, h = torch.randn(6, 4, 3, dtype=F64), torch.randn(2, 4, 5, dtype=F64)
    lstm = "LSTM" in kind
    hx = (h, torch.randn(2, 4, 5, dtype=F64)) if lstm else h
    found = analysis.gates(rnn, x, hx, layer=None, lengths=lengths)
    assert list(found) == ["l0", "l0_reverse"]
    for k, (name, gates) in enumerate(found.items()):
        assert "".join(gates) == NAMES.get(kind.removeprefix("torch."), "h")
        assert gates.reverse is bool(k)
        c = hx[1][k] if lstm else None
        assert_same(gates, looped(rnn, name, x, h[k], c, lengths=lengths, reverse=bool(k)))


def test_projection_and_the_second_layer():
    rnn = sg.LSTM(3, 5, num_layers=2, proj_size=2, dtype=F64)
    x = torch.randn(6, 4, 3, dtype=F64)
    h, c = torch.zeros(4, 2, dtype=F64), torch.zeros(4, 5, dtype=F64)
    lower = sg.LSTM(3, 5, proj_size=2, dtype=F64)
    lower.load_state_dict({k: v for k, v in rnn.state_dict().items() if k.endswith("l0")})
    assert_same(analysis.gates(rnn, x), looped(rnn, "l0", x, h, c))
    assert_same(analysis.gates(rnn, x, layer="l1"), looped(rnn, "l1", lower(x)[0], h, c))


def test_every_form_of_input_gives_the_same_gates():
    rnn = sg.GRU(3, 5, dtype=F64)
    x, lengths = torch.randn(6, 4, 3, dtype=F64), torch.tensor([6, 2, 5, 4])
    plain, ragged = analysis.gates(rnn, x)["z"], analysis.gates(rnn, x, lengths=lengths)["z"]
    first = sg.GRU(3, 5, batch_first=True, dtype=F64)
    first.load_state_dict(rnn.state_dict())
    same = {
        "batch_first": (analysis.gates(first, x.transpose(0, 1))["z"], plain),
        "unbatched": (analysis.gates(rnn, x[:, 1])["z"], plain[:, 1:2]),
        "packed": (analysis.gates(rnn, pack_padded_sequence(x, lengths, enforce_sorted=False))["z"], ragged),
        "out": (analysis.gates(rnn, x, out=rnn(x)[0])["z"], plain),
        "out, lengths": (analysis.gates(rnn, x, lengths=lengths, out=rnn(x, lengths=lengths)[0])["z"], ragged),
    }
    for what, (ours, expected) in same.items():
        torch.testing.assert_close(ours, expected, rtol=1e-13, atol=0, equal_nan=True, msg=what)


def test_outputs_given_for_two_directions_are_used_and_not_recomputed():
    rnn, x = sg.RNN(3, 5, num_layers=2, bidirectional=True, dtype=F64), torch.randn(6, 4, 3, dtype=F64)
    out = rnn(x)[0]
    given, own = analysis.gates(rnn, x, layer=None, out=out), analysis.gates(rnn, x, layer=None)
    for name in own:
        torch.testing.assert_close(given[name]["h"], own[name]["h"], rtol=1e-13, atol=0)
    moved = analysis.gates(rnn, x, layer=None, out=out + 1)
    assert torch.equal(moved["l0"]["h"], own["l0"]["h"])
    assert not torch.allclose(moved["l1_reverse"]["h"], own["l1_reverse"]["h"])


def test_half_weights_are_looked_at_in_float32_and_nothing_is_recorded_or_kept_for_backward():
    rnn, x = sg.GRU(3, 5, dtype=torch.bfloat16), torch.randn(6, 4, 3, dtype=torch.bfloat16)
    with sg.record(rnn) as rec:
        gates = analysis.gates(rnn, x)
    assert gates["r"].dtype == torch.float32 and not gates["r"].requires_grad
    assert not rec and "no forward" in rec.summary()


def test_statistics_of_known_gates():
    lstm = sg.LSTM(3, 4, dtype=F64)
    f = torch.tensor([0.5, 0.9, 0.999, 0.001], dtype=F64)
    with torch.no_grad():
        for p in lstm.parameters():
            p.zero_()
        lstm.bias_ih_l0[4:8] = torch.logit(f)
        lstm.bias_ih_l0[8:12] = 3.0
    found = analysis.gate_statistics(lstm, torch.randn(7, 3, 3, dtype=F64), lengths=[7, 2, 0])
    forget = found["f"]
    torch.testing.assert_close(forget.mean_by_unit, f)
    assert forget.saturated_by_unit.tolist() == [0, 0, 1, 1] and forget.saturated == 0.5
    torch.testing.assert_close(forget.timescale_by_unit, -1 / f.log())
    assert forget.timescale == pytest.approx(-1 / float(f.log().mean()))
    torch.testing.assert_close(forget.timescale_by_step, torch.full((7,), forget.timescale, dtype=F64))
    assert found["g"].mean == pytest.approx(math.tanh(3)) and found["g"].saturated == 1  # tanh: |g| = 0.995
    assert found["i"].saturated == 0 and found["i"].timescale is None and found["i"].timescale_by_step is None


def test_steps_that_no_sample_reaches_have_no_mean_and_others_count_only_who_is_there():
    gru = sg.GRU(3, 4, dtype=F64)
    x = torch.randn(5, 2, 3, dtype=F64)
    both, short = (
        analysis.gate_statistics(gru, x[:, s], lengths=n)["z"] for s, n in ((slice(2), [3, 1]), (slice(1), [3]))
    )
    assert both.mean_by_step.isnan().tolist() == [False, False, False, True, True]
    assert float(both.mean_by_step[2]) == pytest.approx(float(short.mean_by_step[2]), rel=1e-14)
    assert not math.isnan(both.mean)
    # the same over all 3 + 1 steps, by hand
    values = analysis.gates(gru, x, lengths=[3, 1])["z"]
    assert both.mean == pytest.approx(float(torch.cat([values[:3, 0], values[:1, 1]]).mean()), rel=1e-14)


def test_open_and_closed_gates_have_timescales_inf_and_zero():
    gru = sg.GRU(1, 1, dtype=F64)
    with torch.no_grad():
        for p in gru.parameters():
            p.zero_()
        gru.bias_ih_l0[1] = 800.0  # z
    assert analysis.gate_statistics(gru, torch.zeros(4, 2, 1, dtype=F64))["z"].timescale == math.inf
    with torch.no_grad():
        gru.bias_ih_l0[1] = -800.0
    assert analysis.gate_statistics(gru, torch.zeros(4, 2, 1, dtype=F64))["z"].timescale == 0


def test_relu_counts_dead_units_and_nan_stays_visible():
    rnn = sg.RNN(1, 2, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        for p in rnn.parameters():
            p.zero_()
        rnn.bias_ih_l0[:] = torch.tensor([-1.0, 1.0])
    assert analysis.gate_statistics(rnn, torch.zeros(4, 2, 1, dtype=F64))["h"].saturated_by_unit.tolist() == [1, 0]
    x = torch.zeros(4, 2, 1, dtype=F64)
    x[2, 1] = math.nan
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
    assert analysis.gate_statistics(rnn, x)["h"].mean_by_step.isnan().tolist() == [False, False, True, True]


def test_gates_print_and_become_a_frame():
    gates = analysis.gates(sg.LSTM(3, 2), torch.randn(4, 3, 3), lengths=[4, 1, 0])
    assert repr(gates).startswith("<Gates of 'l0': lstm, T=4, N=3, mean i 0.")
    table = gates.to_pandas()
    assert len(table) == (4 + 1) * 2 and list(table.columns) == ["layer", "t", "n", "unit", "i", "f", "g", "o"]
    row = table[(table.t == 3) & (table.n == 0) & (table.unit == 1)].iloc[0]
    assert row.o == pytest.approx(float(gates["o"][3, 0, 1]))
    frame = gates.statistics()["f"].to_pandas()
    assert frame.unit.tolist() == [0, 1] and frame.timescale.notna().all()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda r, x: analysis.gates(nn.Linear(3, 3), x),
            TypeError,
            "expects a recurrent layer .* got Linear; pass the",
        ),
        (lambda r, x: analysis.gates(r, x, layer="l1"), ValueError, "layer must be one of 'l0', got 'l1'"),
        (lambda r, x: analysis.gates(r, x[..., :2]), ValueError, "x must have 3 features on its last axis, got 2"),
        (lambda r, x: analysis.gates(r, x[:0]), ValueError, "at least one timestep"),
        (lambda r, x: analysis.gates(r, [1]), TypeError, "x must be a tensor .* got list"),
        (lambda r, x: analysis.gates(r, x, x[:1]), ValueError, r"hx must have shape \[1, 4, 5\], got \[1, 4, 3\]"),
        (lambda r, x: analysis.gates(r, x, (x, x)), ValueError, "hx must be one tensor h0, got 2"),
        (lambda r, x: analysis.gates(r, x, lengths=[9, 1, 1, 1]), ValueError, r"lengths\[0\] = 9 is outside"),
        (lambda r, x: analysis.gates(r, x)["f"], KeyError, "a gru layer has the gates r, z, n, got 'f'"),
        (lambda r, x: analysis.gate_statistics(r, x, limit=1.0), ValueError, "limit must lie between 0.5 and 1"),
    ],
)
def test_mistakes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call(sg.GRU(3, 5), torch.randn(6, 4, 3))
