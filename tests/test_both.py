"""Both directions in one native call: what two calls give, at any number of threads, and where it steps aside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import seqgrad as sg
from seqgrad import _both, _stack

T, N, INPUTS, H = 7, 5, 4, 6
CLASSES = (sg.RNN, sg.GRU, sg.LSTM, sg.ResidualRNN)
LENGTHS = torch.tensor([3, 7, 0, 5, 5])
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"num_layers": 2, "dropout": 0.5},
    {"bias": False, "truncate": 2},
    {"state_clip": sg.clip.Norm(0.05)},
    {"state_clip": sg.clip.Value(0.02), "batch_first": True},
)


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """How often the native call was made."""
    made: list[Tensor] = []
    original = _both.layer
    monkeypatch.setattr(_both, "layer", lambda x, *args, **kwargs: (made.append(x), original(x, *args, **kwargs))[1])
    return made


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def trained(layer: Any, x: Tensor, states: tuple[Tensor, ...], lengths: Tensor | None, packed: bool) -> dict[str, Any]:
    """Everything that a recorded training step leaves."""
    torch.manual_seed(7)  # for dropout, and the weights of the loss
    layer.zero_grad()
    x, states = x.clone().requires_grad_(), tuple(s.clone().requires_grad_() for s in states)
    hx = None if not states else states if isinstance(layer, sg.LSTM) else states[0]
    with sg.record(layer) as rec:
        if packed:
            rows, end = layer(pack_padded_sequence(x, lengths.clamp(min=1), layer.batch_first, False), hx)
            out = pad_packed_sequence(rows, layer.batch_first)[0]
        else:
            out, end = layer(x, hx, lengths=lengths)
        ends = end if isinstance(end, tuple) else (end,)
        loss = sum((part * torch.randn_like(part)).sum() for part in (out, *ends))
        loss.backward()
    series = {f"{key} {q}": getattr(s, q) for key, s in rec.items() for q in s.quantities}
    order = [p.key for p in rec._log.passes]
    grads = {name: p.grad.clone() for name, p in layer.named_parameters()}
    given = {f"d{k}": t.grad for k, t in enumerate((x, *states))}
    return {"out": out, "ends": ends, "order": order} | grads | given | series


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("kind", ["padded", "lengths", "packed"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("cls", CLASSES)
def test_two_directions_at_once_are_what_one_after_the_other_is(cls, options, kind, with_state, calls, monkeypatch):
    torch.manual_seed(0)
    layer = cls(INPUTS, H, bidirectional=True, **options).double()
    x = torch.randn(*((N, T) if layer.batch_first else (T, N)), INPUTS, dtype=torch.float64)
    size = (2 * layer.num_layers, N, H)
    count = (2 if cls is sg.LSTM else 1) if with_state else 0
    states = tuple(torch.randn(size, dtype=torch.float64) for _ in range(count))
    case = (layer, x, states, None if kind == "padded" else LENGTHS, kind == "packed")
    together = trained(*case)
    assert len(calls) == layer.num_layers
    monkeypatch.setattr(_stack, "_goes_together", lambda *_: False)
    apart = trained(*case)
    assert len(calls) == layer.num_layers and together.pop("order") == apart.pop("order")
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_projection_in_every_precision(dtype, monkeypatch):
    torch.manual_seed(1)
    lstm = sg.LSTM(INPUTS, H, bidirectional=True, proj_size=3).to(dtype)
    x = torch.randn(T, N, INPUTS).to(dtype)
    together = lstm(x)
    monkeypatch.setattr(_stack, "_goes_together", lambda *_: False)
    torch.testing.assert_close(together, lstm(x), rtol=0, atol=0)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("samples", "hidden"), [(1, 64), (3, 40), (1, 320)])
def test_outputs_are_the_same_bits_for_any_number_of_threads(cls, samples, hidden, threads):
    """So many units and steps that the directions run at the same time, the samples are shared, or a team is formed."""
    torch.manual_seed(2)
    layer, x = cls(24, hidden, bidirectional=True), torch.randn(150, samples, 24)
    found = []
    for count in (1, 2, 3):
        threads(count)
        leaf = x.clone().requires_grad_()
        out, end = layer(leaf)
        out.square().sum().backward()
        found.append([out, end, leaf.grad])
    for more in found[1:]:
        torch.testing.assert_close(more, found[0], rtol=0, atol=0)


@pytest.mark.parametrize("cls", CLASSES)
def test_second_order(cls):
    torch.manual_seed(3)
    layer = cls(2, 3, bidirectional=True).double()
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)

    def outputs(x, *_):
        out, end = layer(x)
        return out, *(end if isinstance(end, tuple) else (end,))

    leaves = (x, *layer.parameters())
    assert torch.autograd.gradcheck(outputs, leaves)
    assert torch.autograd.gradgradcheck(outputs, leaves)


def test_a_batch_of_gradients_is_each_of_them():
    layer, x = sg.GRU(2, 3, bidirectional=True), torch.randn(4, 2, 2, requires_grad=True)
    out = layer(x)[0]
    rows = torch.randn(3, *out.shape)
    (batch,) = torch.autograd.grad(out, x, rows, is_grads_batched=True, retain_graph=True)
    one_by_one = torch.stack([torch.autograd.grad(out, x, row, retain_graph=True)[0] for row in rows])
    torch.testing.assert_close(batch, one_by_one)


def test_a_gradient_that_is_one_number_everywhere():
    layer, x = sg.LSTM(2, 3, bidirectional=True), torch.randn(4, 2, 2)
    grads = []
    for loss in (lambda out: out.sum(), lambda out: (out * torch.ones_like(out)).sum()):
        layer.zero_grad()
        loss(layer(x)[0]).backward()
        grads.append([p.grad.clone() for p in layer.parameters()])
    torch.testing.assert_close(*grads)


def test_only_some_gradients_wanted(monkeypatch):
    layer, x = sg.GRU(2, 3, bidirectional=True), torch.randn(4, 2, 2, requires_grad=True)
    layer.weight_hh_l0_reverse.requires_grad_(False)
    found = []
    for together in (True, False):
        monkeypatch.setattr(_stack, "_goes_together", lambda *_, t=together: t)
        layer.zero_grad()
        layer(x)[0][0].sum().backward()
        found.append([p.grad for p in layer.parameters()])
        assert layer.weight_hh_l0_reverse.grad is None
    torch.testing.assert_close(*[[g for g in grads if g is not None] for grads in found])


@pytest.mark.parametrize("step", [1, 2])
def test_an_input_of_any_strides(step, calls):
    layer, wide = sg.RNN(3, 4, bidirectional=True), torch.randn(2, 5, 3 * step)
    x = wide[..., ::step].transpose(0, 1)
    torch.testing.assert_close(layer(x), layer(x.contiguous()), rtol=0, atol=0)
    assert len(calls) == 2


def test_no_sample_and_no_unit(calls):
    layer = sg.GRU(3, 4, bidirectional=True)
    out, end = layer(torch.zeros(5, 0, 3))
    out.sum().backward()
    assert out.shape == (5, 0, 8) and end.shape == (2, 0, 4) and len(calls) == 1
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


def test_only_eager_code_on_the_cpu_comes_here(calls):
    layer, x = sg.GRU(3, 4, bidirectional=True), torch.randn(5, 2, 3)
    right = layer(x)[0]
    assert len(calls) == 1
    torch.testing.assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(x)[0], right)
    torch.testing.assert_close(torch.func.vmap(lambda one: layer(one)[0], in_dims=1, out_dims=1)(x), right)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x)[0].dtype == torch.bfloat16
    assert layer.to("meta")(x.to("meta"))[0].shape == right.shape
    assert len(calls) == 1


def test_weights_of_another_kind_go_one_direction_at_a_time(calls):
    class Marked(Tensor):
        pass

    layer, x = sg.GRU(3, 4, bidirectional=True), torch.randn(5, 2, 3)
    right = layer(x)[0].detach()
    layer.weight_hh_l0 = torch.nn.Parameter(layer.weight_hh_l0.detach().as_subclass(Marked))
    torch.testing.assert_close(layer(x)[0].detach().as_subclass(Tensor), right)
    assert len(calls) == 1


@pytest.mark.parametrize("count", [2, 9])
def test_too_few_or_too_many_tensors_are_refused(count):
    own = [torch.zeros(5, 5)] * count
    with pytest.raises(ValueError, match=f"a direction must have 2 to 5 weights and its states, got {count} tensors"):
        torch.ops.seqgrad.forward_both(torch.zeros(3, 2, 5), own, own, None, "gru", 1.0, "none", 0.0, 0, False)


def test_directions_of_different_size_are_refused():
    small, large = (torch.zeros(h, 3) for h in (4, 5))
    own = [[w, torch.zeros(len(w), len(w)), torch.zeros(2, len(w))] for w in (small, large)]
    with pytest.raises(ValueError, match="both directions must have the same hidden size"):
        torch.ops.seqgrad.forward_both(torch.zeros(3, 2, 3), *own, None, "rnn_tanh", 1.0, "none", 0.0, 0, False)
