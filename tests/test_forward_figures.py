"""Figures of a forward: the native call against torch in float64, and both roads of a monitor against each other."""

from __future__ import annotations

import pytest
import torch

from seqgrad import _forward_figures, _ops

FIGURES = torch.ops.seqgrad.forward_figures.default
LEVEL = 0.8


def arithmetic(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def ends(saved, gates, candidate, lengths, offset, stride, every):
    """Shares below 1 - LEVEL and above LEVEL, [2, G, S], sample by sample."""
    steps = range(offset, saved.shape[0], stride)
    found = torch.zeros(2, gates, len(steps), dtype=torch.float64)
    for s, t in enumerate(steps):
        alive = [n for n in range(0, saved.shape[1], every) if lengths is None or t < int(lengths[n])]
        for k in range(gates):
            values = [saved[t, n, k] for n in alive]
            if values:
                v = torch.cat(values)
                v = v.abs() if k == candidate else v
                found[1, k, s] = (v > LEVEL).double().mean()
                found[0, k, s] = 0.0 if k == candidate else (v < 1 - LEVEL).double().mean()
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [1, 3, 16, 17, 64, 100])
@pytest.mark.parametrize("lengths", [None, [9, 3, 0, 1, 8]])
def test_native_figures_match_torch(dtype, width, lengths):
    torch.manual_seed(width)
    out, h0 = torch.randn(9, 5, width).to(dtype), torch.randn(5, width).to(dtype)
    x = torch.randn(5, 9, 7).to(dtype).transpose(0, 1)
    saved = torch.rand(9, 5, 4, width, dtype=arithmetic(dtype))
    saved[:, :, 2] = saved[:, :, 2] * 2 - 1
    lengths = None if lengths is None else torch.tensor(lengths)

    norm, start, peak, beyond, x_peak, shares = FIGURES(out, h0, x, saved, lengths, True, True, LEVEL, 3, 2, 1, 2, 2)

    torch.testing.assert_close(norm, torch.linalg.vector_norm(out.double(), dim=2).to(arithmetic(dtype)))
    torch.testing.assert_close(start, torch.linalg.vector_norm(h0.double(), dim=1).to(arithmetic(dtype)))
    assert torch.equal(peak, out.abs().amax(dim=2).to(arithmetic(dtype)))
    assert torch.equal(x_peak, x.abs().amax(dim=2).to(arithmetic(dtype)))
    level = torch.tensor(LEVEL, dtype=arithmetic(dtype))
    torch.testing.assert_close(beyond, (out.to(arithmetic(dtype)).abs() > level).float().mean(dim=2))
    torch.testing.assert_close(shares.double(), ends(saved, 3, 2, lengths, 1, 2, 2))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("at", [0, 15, 18])
def test_a_value_that_is_not_finite_shows_in_its_row_alone(bad, at):
    out = torch.randn(4, 3, 19)
    out[2, 1, at] = bad
    norm, _, peak, _, x_peak, _ = FIGURES(out, out[0], out, None, None, True, True, LEVEL, 0, -1, 0, 1, 1)
    for figure in (norm, peak, x_peak):
        assert torch.isfinite(figure).sum() == 4 * 3 - 1
        assert torch.equal(figure[2, 1].isnan(), torch.tensor(bad).isnan())


def test_squares_beyond_the_range_of_the_type():
    for dtype, large, small in ((torch.float32, 1e30, 1e-30), (torch.float64, 1e200, 1e-200)):
        out = torch.tensor([[[3.0, 4.0]]], dtype=dtype) * torch.tensor([[[large]], [[small]]], dtype=dtype)
        norm = FIGURES(out, out[0], None, None, None, False, False, LEVEL, 0, -1, 0, 1, 1)[0]
        torch.testing.assert_close(norm[:, 0] / torch.tensor([5 * large, 5 * small], dtype=dtype), norm.new_ones(2))


def test_threads_share_many_rows():
    out = torch.randn(40, 80, 300)  # more than a thread's part
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(FIGURES(out, out[0], None, None, None, True, True, LEVEL, 0, -1, 0, 1, 1))
    finally:
        torch.set_num_threads(threads)
    for one, three in zip(*found, strict=True):
        assert (one is None and three is None) or torch.equal(one, three)


def test_empty_shapes():
    for shape in ((0, 2, 3), (2, 0, 3), (2, 3, 0)):
        out = torch.zeros(shape)
        norm, start, peak, beyond, x_peak, shares = FIGURES(
            out, torch.zeros(shape[1:]), out, None, None, True, True, LEVEL, 0, -1, 0, 1, 1
        )
        assert norm.shape == peak.shape == beyond.shape == x_peak.shape == shape[:2]
        assert start.shape == shape[1:2]
        assert not norm.any()
        assert not peak.any()
        assert not beyond.any()
        assert shares.numel() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"out": torch.zeros(3, 4)}, "out must have shape"),
        ({"h0": torch.zeros(3)}, "h0 must have shape"),
        ({"x": torch.zeros(3)}, "x must have shape"),
        ({"x": torch.zeros(2, 3, 4, dtype=torch.int64)}, "x must be float32"),
        ({"saved": torch.zeros(2, 3, 4)}, "saved must have shape"),
        ({"saved": torch.zeros(2, 9, 3, 4)}, "saved must have shape"),
        ({"gates": 4}, "its gates and time steps"),
        ({"offset": 2}, "its gates and time steps"),
        ({"stride": 0}, "its gates and time steps"),
        ({"lengths": torch.tensor([1])}, "lengths must have shape"),
    ],
)
def test_bad_arguments_are_named(change, told):
    given = {
        "out": torch.zeros(2, 3, 4), "h0": torch.zeros(3, 4), "x": torch.zeros(2, 3, 5),
        "saved": torch.zeros(2, 3, 3, 4), "lengths": None, "peak": True, "beyond": True, "level": LEVEL, "gates": 3,
        "candidate": 2, "offset": 0, "stride": 1, "every": 1,
    }  # fmt: skip
    with pytest.raises((ValueError, RuntimeError), match=told):
        FIGURES(*{**given, **change}.values())


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "gru", "lstm", "residual_tanh"])
def test_both_roads_give_the_same_figures(cell, reverse, lengths, monkeypatch):
    """A GPU takes the road of torch operations: here it is held to the native one."""
    from seqgrad._facts import Facts
    from seqgrad._recorder import Forward

    torch.manual_seed(0)
    T, N, I, H, G = 70, 6, 5, 20, _ops.CELLS[cell].gates  # noqa: E741
    x, h0, c0 = torch.randn(T, N, I), torch.randn(N, H), torch.randn(N, H) if cell == "lstm" else None
    weights = [(0.2 * torch.randn(shape)).requires_grad_() for shape in ((G * H, I), (G * H, H), (G * H,), (G * H,))]
    each = torch.tensor([70, 3, 41, 69, 1, 70]) if lengths else None
    out, hn, _ = _ops.layer(x, *weights, h0, c0, cell=cell, reverse=reverse, lengths=each)
    forward = Forward(torch.nn.Identity(), "l0", cell, x, out, (hn,), h0, (*weights, None), each, reverse)

    def figures(native):
        facts = Facts("", "l0", cell, reverse, 0, T, N, H, out.dtype, "cpu", truncated=False)
        with monkeypatch.context() as patch, torch.no_grad():
            patch.setattr(_forward_figures, "_is_plain", lambda _: native)
            _forward_figures.measure(facts, forward, LEVEL, False)
        return facts

    native, torchs = figures(True), figures(False)
    assert native.times == torchs.times
    assert native.tensors.keys() == torchs.tensors.keys()
    for name, figure in native.tensors.items():
        torch.testing.assert_close(figure, torchs.tensors[name], msg=lambda text, name=name: f"{name}: {text}")


def test_a_monitor_takes_the_native_road_for_plain_tensors_alone():
    import seqgrad as sg

    layer = sg.GRU(3, 4)
    seen = []
    native = _forward_figures._native

    def spy(*arguments, **options):
        seen.append(arguments[0].series)
        native(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_forward_figures, "_native", spy)
        for x in (torch.randn(5, 2, 3), torch.randn(5, 2, 3, dtype=torch.complex64)):
            model = layer if not x.is_complex() else sg.RNN(3, 4, dtype=torch.complex64)
            mon = sg.Monitor(model, every=1, on_finding=None)
            with mon:
                model(x)[0].abs().sum().backward()
            mon.step()
    assert seen == ["l0"]
