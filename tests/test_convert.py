"""convert_ and revert_: in place, sharing everything, and exactly undone."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn.utils import parametrizations, parametrize

import seqgrad.nn as ours
from seqgrad.clip import Norm
from seqgrad.nn import convert_, revert_

NAMES = ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"]


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(4, 6, 2, bidirectional=True)})
        self.decoder = torch.nn.GRU(12, 5, batch_first=True)
        self.again = self.decoder
        self.step = torch.nn.RNNCell(5, 5, nonlinearity="relu")
        self.head = torch.nn.Linear(5, 2)

    def forward(self, x):
        out, _ = self.encoder["rnn"](x)
        out, _ = self.decoder(out.transpose(0, 1))
        return self.head(self.step(out[:, -1]))


def snapshot(model):
    return {
        name: (type(m), {k: v for k, v in m.__dict__.items() if k not in ("_flat_weights", "_flat_weight_refs")})
        for name, m in model.named_modules()
    }


def test_every_layer_of_a_model_is_swapped_and_nothing_else():
    model = Model()
    modules, parameters = list(model.modules()), [id(p) for p in model.parameters()]
    assert convert_(model) is model
    assert type(model.encoder["rnn"]) is ours.LSTM
    assert type(model.decoder) is ours.GRU
    assert type(model.step) is ours.RNNCell
    assert model.again is model.decoder
    assert type(model.head) is torch.nn.Linear
    assert list(model.modules()) == modules
    assert [id(p) for p in model.parameters()] == parameters


def test_outputs_and_gradients_are_those_of_before():
    torch.manual_seed(0)
    model, x = Model().double(), torch.randn(7, 3, 4, dtype=torch.float64)
    expected = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    got = torch.autograd.grad(convert_(model)(x).square().sum(), list(model.parameters()))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_round_trip_is_exact():
    model, x = Model(), torch.randn(7, 3, 4)
    before, out, shown, names = snapshot(model), model(x), repr(model), list(model.state_dict())
    assert repr(convert_(model)) == shown
    assert list(model.state_dict()) == names
    model(x)
    assert revert_(model) is model
    assert snapshot(model) == before
    assert torch.equal(model(x), out)
    assert pickle.dumps(model).find(b"seqgrad") == -1


@pytest.mark.parametrize("name", NAMES)
def test_the_model_may_be_the_layer_itself(name: str):
    layer = getattr(torch.nn, name)(4, 6)
    assert convert_(layer) is layer
    assert type(layer) is getattr(ours, name)
    assert convert_(layer) is layer
    assert type(layer) is getattr(ours, name)
    assert revert_(layer) is layer
    assert type(layer) is getattr(torch.nn, name)
    assert revert_(layer) is layer
    assert type(layer) is getattr(torch.nn, name)


def test_hooks_buffers_flags_and_the_optimizer_go_on_working():
    model, calls = Model(), []
    layer = model.encoder["rnn"]
    layer.register_forward_hook(lambda m, i, o: calls.append("forward"))
    layer.register_full_backward_hook(lambda m, i, o: calls.append("backward"))
    layer.register_buffer("scale", torch.ones(1))
    layer.eval()
    layer.note = "mine"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    convert_(model)
    assert not layer.training
    assert layer.note == "mine"
    assert "scale" in dict(layer.named_buffers())
    before = layer.weight_hh_l1_reverse.clone()
    model(torch.randn(7, 3, 4, requires_grad=True)).sum().backward()
    optimizer.step()
    assert calls == ["forward", "backward"]
    assert not torch.equal(before, layer.weight_hh_l1_reverse)


def test_subclasses_and_residual_layers_are_left_alone():
    class Theirs(torch.nn.LSTM):
        pass

    class Mine(ours.LSTM):
        pass

    model = torch.nn.ModuleList([Theirs(4, 6), Mine(4, 6), ours.ResidualRNN(4, 6), ours.ResidualRNNCell(4, 6)])
    kinds = [type(m) for m in model]
    assert [type(m) for m in convert_(model)] == kinds
    assert [type(m) for m in revert_(model)] == kinds


def test_a_layer_built_as_ours_reverts_and_drops_what_torch_nn_does_not_know():
    layer = ours.GRU(4, 6, state_clip=Norm(1.0), truncate=3)
    x = torch.randn(5, 2, 4)
    out = layer(x)[0]
    revert_(layer)
    torch.testing.assert_close(layer(x)[0], out)
    assert type(layer) is torch.nn.GRU
    assert not {"state_clip", "truncate"} & vars(layer).keys()
    assert convert_(layer).state_clip is None
    assert layer.truncate is None
    layer.state_clip = Norm(2.0)
    assert "state_clip=Norm(max_norm=2.0)" in repr(layer)
    assert torch.equal(layer(x)[0], out)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "GRUCell"])
def test_parametrizations_survive(name: str):
    torch.manual_seed(0)
    weight = "weight_hh" if name.endswith("Cell") else "weight_hh_l0"
    layer = parametrizations.orthogonal(getattr(torch.nn, name)(4, 6), weight)
    kind, x = type(layer), torch.randn((3, 4) if name.endswith("Cell") else (5, 3, 4))

    def run(module):
        return module(x, module(x)) if name.endswith("Cell") else module(x)[0]

    expected = run(layer)
    convert_(layer)
    assert isinstance(layer, getattr(ours, name))
    assert parametrize.is_parametrized(layer, weight)
    torch.testing.assert_close(run(layer), expected)
    torch.testing.assert_close(run(copy.deepcopy(layer)), expected)
    run(layer).sum().backward()
    assert layer.parametrizations[weight].original.grad.abs().sum() > 0
    revert_(layer)
    assert isinstance(layer, getattr(torch.nn, name))
    assert type(layer).__name__ == kind.__name__
    torch.testing.assert_close(run(layer), expected)
    parametrize.remove_parametrizations(convert_(layer), weight)
    assert type(layer) is getattr(ours, name)
    torch.testing.assert_close(run(layer), expected)


@pytest.mark.parametrize("function", [convert_, revert_])
def test_something_else_than_a_module_is_refused(function):
    with pytest.raises(TypeError, match=f"{function.__name__} expects a torch.nn.Module, got list"):
        function([torch.nn.LSTM(4, 6)])
