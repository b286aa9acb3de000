"""What torch.nn.Module and torch.nn.utils offer works on our layers and cells as it does on torch.nn's."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from oracle import assert_close
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import seqgrad as sg

PEERS = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
ALL = (*PEERS, "ResidualRNN", "ResidualRNNCell")


def build(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return getattr(sg, name)(4, 6, **options)


def peer(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return getattr(nn, name)(4, 6, **options)


def x_for(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(*(() if name.endswith("Cell") else (5,)), 3, 4, generator=generator)


def key(module: nn.Module, kind: str = "weight_hh") -> str:
    return kind if isinstance(module, nn.RNNCellBase) else f"{kind}_l0"


def flat(value: Any) -> list[Tensor]:
    return [t for part in value for t in flat(part)] if isinstance(value, (tuple, list)) else [value]


def outputs(module: Any, x: Tensor, call: Any = None) -> list[Tensor]:
    """All outputs; a cell takes two steps, so that its recurrent weight has something to act on."""
    call = call or (lambda *inputs: module(*inputs))
    first = call(x)
    return flat((first, call(x, first))) if x.dim() == 2 else flat(first)


def run(module: nn.Module, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Outputs and the gradient of every parameter, for a loss that reads all outputs."""
    module.zero_grad()
    outs = outputs(module, x)
    sum(out.square().sum() for out in outs).backward()
    return [out.detach() for out in outs], {name: p.grad.clone() for name, p in module.named_parameters()}


def assert_same(got: Any, expected: Any, *, exactly: bool = True) -> None:
    for a, b in zip(flat(got[0]), flat(expected[0]), strict=True):
        assert_close(a, b, ulps=0 if exactly else 256)
    assert got[1].keys() == expected[1].keys()
    for name, a in got[1].items():
        assert_close(a, expected[1][name], ulps=0 if exactly else 256, what=name)


# -- weights that are computed -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["weight_norm", "orthogonal", "spectral_norm"])
@pytest.mark.parametrize("name", ALL)
def test_parametrized_recurrent_weights(name: str, kind: str):
    module, x = build(name), x_for(name)
    torch.manual_seed(3)
    getattr(parametrizations, kind)(module, key(module))
    module.eval()  # spectral_norm goes on iterating in training
    with sg.record(module) as record:
        got = run(module, x)
    assert len(record) == 1
    assert all(bool(grad.abs().sum() > 0) for grad in got[1].values())
    assert isinstance(module, getattr(sg, name))
    plain = build(name)
    plain.load_state_dict({n: getattr(module, n).detach() for n, _ in plain.named_parameters()})
    assert_same((got[0], {}), (run(plain, x)[0], {}))
    if name in PEERS:
        theirs = peer(name)
        torch.manual_seed(3)
        getattr(parametrizations, kind)(theirs, key(theirs))
        theirs.load_state_dict(module.state_dict())
        assert_same(got, run(theirs.eval(), x), exactly=False)  # float32: the sums of two implementations
    assert_same(run(copy.deepcopy(module), x), got)
    with parametrize.cached():
        assert_same(run(module, x), got)
    parametrize.remove_parametrizations(module, key(module))
    assert_same((run(module, x)[0], {}), (got[0], {}))


def test_an_orthogonal_recurrent_weight_stays_orthogonal_in_training_and_keeps_the_gradient():
    """The reason to do it: with W_hh orthogonal and states near 0, where tanh' is 1, the norm travels unchanged."""
    module = build("RNN", dtype=torch.float64)
    parametrizations.orthogonal(module, "weight_hh_l0")
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(20, 3, 4, dtype=torch.float64))[0][-1].square().sum().backward()
        optimizer.step()
    weight = module.weight_hh_l0
    assert_close(weight @ weight.T, torch.eye(6, dtype=torch.float64))
    with torch.no_grad():
        module.bias_ih_l0.zero_(), module.bias_hh_l0.zero_()
    with sg.record(module) as record:
        module(torch.zeros(20, 3, 4, dtype=torch.float64))[0][-1].sum().backward()
    assert_close(record["l0"].grad_h, torch.full((20, 3), 6**0.5, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("name", ALL)
def test_weights_that_a_pre_hook_computes(name: str):
    """The older utilities replace the attribute before each forward: weight_norm, spectral_norm, pruning."""
    x = x_for(name)
    expected = run(build(name), x)
    module = build(name)
    nn.utils.weight_norm(module, key(module))
    assert_close(run(module, x)[0][0], expected[0][0])
    assert_same(run(module, x), run(module, x))  # a second graph, a second backward
    nn.utils.remove_weight_norm(module, key(module))
    assert_close(run(module, x)[0][0], expected[0][0])

    module = build(name)
    nn.utils.spectral_norm(module, key(module), n_power_iterations=50)
    module(x)
    assert_close(torch.linalg.matrix_norm(getattr(module, key(module)), 2), torch.tensor(1.0), ulps=1e5)

    module = build(name)
    prune.l1_unstructured(module, key(module), amount=0.5)
    kept = getattr(module, key(module)).detach() != 0
    got = run(module, x)
    pruned = build(name)
    with torch.no_grad():
        getattr(pruned, key(pruned)).mul_(kept)
    exact = run(pruned, x)
    assert kept.float().mean() == 0.5
    assert_same((got[0], {}), (exact[0], {}))
    assert torch.equal(got[1][key(module) + "_orig"], exact[1][key(module)] * kept)
    prune.remove(module, key(module))
    assert_same((run(module, x)[0], {}), (exact[0], {}))


@pytest.mark.parametrize("name", ["LSTM", "GRUCell"])
def test_dropped_recurrent_weights(name: str):
    """The idiom of AWD-LSTM: the raw weight under another name, a dropped one set as a plain tensor at every call."""
    module, x = build(name), x_for(name)
    raw = nn.Parameter(module._parameters.pop(key(module)).detach())
    module.register_parameter("raw", raw)
    torch.manual_seed(5)
    setattr(module, key(module), nn.functional.dropout(raw, 0.5))
    dropped = getattr(module, key(module)).detach()
    got = run(module, x)
    plain = build(name)
    with torch.no_grad():
        getattr(plain, key(plain)).copy_(dropped)
    expected = run(plain, x)
    assert_same((got[0], {}), (expected[0], {}))
    assert torch.equal(got[1]["raw"], expected[1][key(plain)] * (dropped != 0) * 2)
    torch.manual_seed(6)
    setattr(module, key(module), nn.functional.dropout(raw, 0.5))
    assert not torch.equal(outputs(module, x)[-1], got[0][-1])


@pytest.mark.filterwarnings("ignore:.*torch.nn.utils.stateless.functional_call.* is deprecated")
@pytest.mark.parametrize("name", ALL)
def test_stateless_calls_take_the_weights_they_are_given(name: str):
    module, other, x = build(name), build(name), x_for(name)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(0.5)
    weights = dict(other.named_parameters())
    expected = outputs(other, x)
    for call in (torch.func.functional_call, nn.utils.stateless.functional_call):
        got = outputs(module, x, lambda *inputs, call=call: call(module, weights, inputs))
        assert all(map(torch.equal, got, expected))
    assert not torch.equal(outputs(module, x)[0], expected[0])


# -- parameters that are moved, shared, replaced -----------------------------------------------------------------------
@pytest.mark.parametrize("name", ALL)
def test_parameters_in_shared_memory_on_meta_and_from_elsewhere(name: str):
    x, module = x_for(name), build(name).share_memory()
    assert all(p.is_shared() for p in module.parameters())
    expected = run(build(name), x)
    assert_same(run(module, x), expected)
    with torch.device("meta"):
        late = build(name)
    assert all(p.is_meta for p in late.parameters())
    torch.manual_seed(0)
    late = late.to_empty(device="cpu")
    late.reset_parameters()
    assert_same(run(late, x), expected)
    with torch.device("meta"):
        assigned = build(name)
    assert not assigned.load_state_dict(build(name).state_dict(), assign=True).missing_keys
    assert all(type(p) is nn.Parameter and p.requires_grad for p in assigned.parameters())
    assert_same(run(assigned, x), expected)
    if name.endswith("Cell"):  # torch.nn's layers have no `device` in their signature either
        assert next(nn.utils.skip_init(getattr(sg, name), 4, 6).parameters()).device.type == "cpu"


@pytest.mark.parametrize("name", ALL)
def test_swapping_tensors_keeps_parameters_and_gradients(name: str):
    """torch.nn's RNN, GRU and LSTM refuse: they hold weak references to their weights."""
    x = x_for(name)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        module = build(name)
        first = getattr(module, key(module))
        setattr(module, key(module), nn.Parameter(first.detach().clone()))
        parameters = list(module.parameters())
        run(module, x)
        module.double()
        assert all(p.grad.dtype == torch.float64 for p in module.parameters())
        run(module, x.double())
        module.float().load_state_dict(build(name).state_dict())
        assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))
        assert_same(run(module, x), run(build(name), x))
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


class Tagged(Tensor):
    """A subclass that only exists."""


@pytest.mark.parametrize("name", ALL)
def test_parameters_of_a_tensor_subclass(name: str):
    from torch.testing._internal.two_tensor import TwoTensor  # a wrapper: two tensors that look like one

    module, x = build(name), x_for(name)
    expected = run(module, x)
    for wrap in (lambda t: t.as_subclass(Tagged), lambda t: TwoTensor(t, t.clone())):
        for n, p in list(module.named_parameters()):
            setattr(module, n, nn.Parameter(wrap(p.detach())))
        got = run(module, x)
        inner = lambda t: t.a if isinstance(t, TwoTensor) else t.as_subclass(Tensor)  # noqa: E731
        assert_same(([inner(t) for t in got[0]], {n: inner(g) for n, g in got[1].items()}), expected)
        assert type(getattr(module, key(module)).detach()) is not Tensor
        module = build(name)


@pytest.mark.parametrize("name", ALL)
def test_parameters_as_one_vector_and_initialised_by_name(name: str):
    module, x = build(name), x_for(name)
    vector = nn.utils.parameters_to_vector(module.parameters())
    nn.utils.vector_to_parameters(torch.zeros_like(vector), module.parameters())
    assert not flat(module(x))[0].any()
    nn.utils.vector_to_parameters(vector, module.parameters())
    assert_same(run(module, x), run(build(name), x))
    for n, p in module.named_parameters():
        getattr(nn.init, "orthogonal_" if "weight_hh" in n else "xavier_uniform_" if p.dim() == 2 else "zeros_")(p)
    weight = getattr(module, key(module)).detach()
    assert_close(weight.T @ weight, torch.eye(6))
    assert not getattr(module, key(module, "bias_ih")).any()


# -- hooks -------------------------------------------------------------------------------------------------------------
def with_hooks(module: nn.Module, x: Tensor) -> tuple[list[Any], Tensor]:
    """What every kind of hook is shown, as shapes, and the gradient of the input."""
    seen: list[Any] = []

    def shapes(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [shapes(part) for part in value]
        return tuple(value.shape) if isinstance(value, Tensor) else value

    module.register_forward_pre_hook(lambda m, a: seen.append(("before", shapes(a))))
    module.register_forward_hook(lambda m, a, out: seen.append(("after", shapes(a), shapes(out))))
    module.register_full_backward_pre_hook(lambda m, g: seen.append(("before backward", shapes(g))))
    module.register_full_backward_hook(lambda m, i, o: seen.append(("backward", shapes(i), shapes(o))))
    for n, p in module.named_parameters():
        p.register_hook(lambda g, n=n: seen.append(("grad", n, shapes(g))))
        p.register_post_accumulate_grad_hook(lambda p, n=n: seen.append(("accumulated", n, shapes(p.grad))))
    leaf = x.clone().requires_grad_()
    flat(module(leaf))[0].square().sum().backward()
    assert leaf.grad is not None
    return seen, leaf.grad


@pytest.mark.parametrize("name", PEERS)
def test_hooks_are_shown_what_those_of_torch_nn_are(name: str):
    (ours, grad), (theirs, exact) = with_hooks(build(name), x_for(name)), with_hooks(peer(name), x_for(name))
    modules = [event for event in ours if event[0] not in ("grad", "accumulated")]
    assert modules == [event for event in theirs if event[0] not in ("grad", "accumulated")]
    assert sorted(map(str, ours)) == sorted(map(str, theirs))  # of parameters: in the order of each graph
    assert_close(grad, exact, ulps=256)


@pytest.mark.parametrize("name", ALL)
def test_hooks_and_records_do_not_disturb_each_other(name: str):
    """A backward hook that doubles what leaves the module, a forward hook that replaces what it returns."""

    def once(module: nn.Module) -> tuple[Tensor, Tensor]:
        leaf = x_for(name).requires_grad_()
        with sg.record(module) as record:
            flat(module(leaf))[0].square().sum().backward()
        (series,) = record.values()
        return series.data, leaf.grad

    module = build(name)
    norms, grad = once(module)
    module.register_full_backward_hook(lambda m, i, o: tuple(None if g is None else 2 * g for g in i))
    doubled = once(module)
    assert torch.equal(doubled[0], norms)
    assert torch.equal(doubled[1], 2 * grad)
    module.register_forward_hook(lambda m, a, out: 3 * out if isinstance(out, Tensor) else (3 * out[0], *out[1:]))
    assert_close(once(module)[0], 9 * norms)  # of the square of three times the output


@pytest.mark.parametrize("name", ALL)
def test_state_dict_hooks(name: str):
    seen: list[str] = []
    module, other = build(name), build(name)
    module.register_state_dict_pre_hook(lambda *a: seen.append("before"))
    module.register_state_dict_post_hook(lambda m, state, *a: state.update({n: 2 * v for n, v in state.items()}))
    other.register_load_state_dict_pre_hook(lambda *a: seen.append("before load"))
    other.register_load_state_dict_post_hook(lambda *a: seen.append("after load"))
    other.load_state_dict(module.state_dict(prefix=""))
    assert seen == ["before", "before load", "after load"]
    assert all(torch.equal(b, 2 * a) for a, b in zip(module.parameters(), other.parameters(), strict=True))
    assert list(module.state_dict(prefix="enc.")) == [f"enc.{n}" for n, _ in module.named_parameters()]


# -- copies, old files -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ALL)
def test_a_file_from_before_an_option_was_there_loads(name: str):
    module = build(name)
    state = module.__getstate__() if hasattr(module, "__getstate__") else module.__dict__
    state = copy.deepcopy(dict(state))
    for option in ("state_clip", "truncate", "residual_scale", "proj_size"):
        state.pop(option, None)
    old = getattr(sg, name).__new__(getattr(sg, name))
    old.__setstate__(state)
    assert repr(old) == repr(module)
    assert_same(run(old, x_for(name)), run(module, x_for(name)))
    assert_same(run(copy.deepcopy(old), x_for(name)), run(module, x_for(name)))
    assert_same(run(pickle.loads(pickle.dumps(old)), x_for(name)), run(module, x_for(name)))


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "ResidualRNN"])
def test_a_file_with_parameters_in_place_of_their_names_loads(name: str):
    """As torch wrote its layers before 0.4: ``all_weights`` held the tensors themselves."""
    module = build(name, num_layers=2, bidirectional=True)
    state = copy.deepcopy(dict(module.__getstate__()))
    state["_all_weights"] = [[state["_parameters"][n] for n in names] for names in module._all_weights]
    for attribute in ("_flat_weights", "_flat_weights_names", "proj_size"):
        state.pop(attribute, None)
    old = getattr(sg, name).__new__(getattr(sg, name))
    old.__setstate__(state)
    assert_same(run(old, x_for(name)), run(module, x_for(name)))
    assert_same(run(copy.deepcopy(old).double().float(), x_for(name)), run(module, x_for(name)))


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_neighbour_is_sized_by_our_output():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = sg.GRU(4, 6, bidirectional=True), nn.LazyLinear(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0])

    model = Model()
    with sg.record(model) as record:  # before the head has a shape
        model(x_for("GRU")).sum().backward()
    assert model.head.in_features == 12
    assert list(record) == ["rnn.l0", "rnn.l0_reverse"]


@pytest.mark.parametrize("name", ALL)
def test_replicas_compute_and_send_gradients_home(name: str):
    """What DataParallel makes on each GPU: shallow copies whose parameters are plain tensors of a graph."""
    module, x = build(name), x_for(name)
    expected = run(module, x)
    module.zero_grad()
    replica = module._replicate_for_data_parallel()
    for n, p in module.named_parameters():
        setattr(replica, n, p * 1.0)
    outs = outputs(replica, x)
    sum(out.square().sum() for out in outs).backward()
    assert_same((outs, {n: p.grad for n, p in module.named_parameters()}), expected)
    assert getattr(module, key(module)).is_leaf
    assert_same(run(nn.DataParallel(module).module, x), expected)


# -- quantization ------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(torch.backends.quantized.engine == "none", reason="this torch has no engine for quantized layers")
@pytest.mark.parametrize("name", ALL)
def test_dynamic_quantization_leaves_our_layers_as_they_are_and_takes_reverted_ones(name: str):
    """It swaps torch.nn's exact types. So ours stay in float, without a word from torch; revert_ first."""
    from torch.ao.quantization import quantize_dynamic

    kinds = {getattr(nn, peer_name) for peer_name in PEERS} | {nn.Linear}
    model, x = nn.Sequential(build(name)), x_for(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says of all its quantization, also from inside, that it is deprecated
        left = quantize_dynamic(model, kinds, dtype=torch.qint8)
        assert type(left[0]) is getattr(sg, name)
        assert_same((flat(left[0](x)), {}), (flat(model[0](x)), {}))
        if name not in PEERS or name == "RNN":  # torch has no quantized RNN
            return
        reverted = sg.revert_(copy.deepcopy(model))
        quantized = quantize_dynamic(reverted, kinds, dtype=torch.qint8)
    assert ".quantized." in type(quantized[0]).__module__
    # 8 bits of a weight below 1 / sqrt(6): 4 products of inputs of a few units and 6 of states below 1.
    for got, exact in zip(flat(quantized[0](x)), flat(model[0](x)), strict=True):
        torch.testing.assert_close(got, exact, rtol=0, atol=0.05)


def test_every_class_is_tested():
    assert {n for n in sg.nn.__all__ if isinstance(getattr(sg.nn, n), type)} == set(ALL)
