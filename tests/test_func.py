"""torch.func's transforms see a seqgrad layer as they see torch ops, and are served by the fused kernels.

The oracle is the same module without a transform: eager calls one by one, differentiated by autograd, which other
tests hold against the reference. A few tests ask torch.nn directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import functional
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, stack_module_state, vjp, vmap
from torch.utils import _pytree

import seqgrad as sg
from seqgrad import _reference
from seqgrad.clip import Norm, Value

D = torch.float64
T, N, I, H = 4, 2, 3, 4  # noqa: E741

# name: module, keyword arguments of the call
CASES: dict[str, tuple[Callable[[], torch.nn.Module], dict[str, Any]]] = {
    "rnn": (lambda: sg.RNN(I, H, dtype=D), {}),
    "rnn deep both ways": (lambda: sg.RNN(I, H, 2, bidirectional=True, dtype=D), {}),
    "gru no bias": (lambda: sg.GRU(I, H, bias=False, dtype=D), {}),
    "gru ragged both ways": (lambda: sg.GRU(I, H, bidirectional=True, dtype=D), {"lengths": [4, 2]}),
    "lstm": (lambda: sg.LSTM(I, H, dtype=D), {}),
    "lstm projected, ragged": (lambda: sg.LSTM(I, H, proj_size=2, bidirectional=True, dtype=D), {"lengths": [0, 3]}),
    "residual truncated": (lambda: sg.ResidualRNN(I, H, residual_scale=0.3, truncate=2, dtype=D), {}),
    "rnn truncated, ragged": (lambda: sg.RNN(I, H, truncate=2, bidirectional=True, dtype=D), {"lengths": [4, 3]}),
    "lstm clipped by norm": (lambda: sg.LSTM(I, H, state_clip=Norm(0.02), dtype=D), {}),
    "gru clipped by value": (lambda: sg.GRU(I, H, state_clip=Value(0.05), dtype=D), {}),
    "rnn cell": (lambda: sg.RNNCell(I, H, dtype=D), {}),
    "gru cell": (lambda: sg.GRUCell(I, H, bias=False, dtype=D), {}),
    "lstm cell": (lambda: sg.LSTMCell(I, H, dtype=D), {}),
    "residual cell": (lambda: sg.ResidualRNNCell(I, H, dtype=D, state_clip=Norm(0.02)), {}),
}
NO_FORWARD_MODE = [name for name in CASES if "clipped" in name or name == "residual cell"]
every = pytest.mark.parametrize("name", CASES)


@pytest.fixture
def fused_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a call falls back to torch ops, one time step after the other."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the composite was used")

    monkeypatch.setattr(_reference, "layer", refuse)


def build(name: str) -> tuple[torch.nn.Module, dict[str, Tensor], Callable[..., Tensor], Tensor]:
    """A module, its parameters, a loss ``f(parameters, x)`` that asks for outputs and last states, and an input."""
    torch.manual_seed(0)
    make, options = CASES[name]
    module = make()
    if getattr(module, "nonlinearity", "") == "relu":
        raise AssertionError("no derivatives at the corner")
    parameters = {key: value.detach() for key, value in module.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        leaves = _pytree.tree_leaves(functional_call(module, weights, (x,), options))
        return sum((leaf.sin() * (k + 1)).sum() for k, leaf in enumerate(leaves))

    shape = (N, I) if name.endswith("cell") else (T, N, I)
    return module, parameters, loss, torch.randn(shape, dtype=D)


def eager_gradients(loss: Callable[..., Tensor], parameters: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    found = torch.autograd.grad(loss(leaves, x), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def assert_same(found: Any, expected: Any) -> None:
    """Equal to rounding: both sides are float64 and differ in the order of sums alone."""
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


@every
@pytest.mark.usefixtures("fused_only")
def test_grad_and_vjp_are_those_of_autograd(name: str) -> None:
    _, parameters, loss, x = build(name)
    expected = eager_gradients(loss, parameters, x)
    assert_same(grad(loss)(parameters, x), expected)
    assert_same(vjp(loss, parameters, x)[1](torch.ones((), dtype=D))[0], expected)


@every
@pytest.mark.usefixtures("fused_only")
def test_a_batch_of_inputs_folds_into_one_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, parameters, loss, x = build(name)
    many = torch.stack([x, -x, 2 * x], 1)
    assert_same(
        vmap(loss, in_dims=(None, 1))(parameters, many), torch.stack([loss(parameters, v) for v in many.unbind(1)])
    )
    directions = 4 if "deep" in name else 2 if CASES[name][1] or "both" in name else 1
    assert count_ops(lambda: vmap(loss, in_dims=(None, 1))(parameters, many)) == {"forward": directions}


def count_ops(call: Callable[[], Any]) -> dict[str, int]:
    """How often each op of ours runs in ``call``."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
        call()
    return {row.key.removeprefix("seqgrad::"): row.count for row in profile.key_averages() if "seqgrad::" in row.key}


@every
@pytest.mark.usefixtures("fused_only")
def test_per_sample_gradients_are_those_of_a_loop(name: str) -> None:
    _, parameters, loss, x = build(name)
    many = torch.stack([x, -x, 2 * x])
    expected = stacked([eager_gradients(loss, parameters, v) for v in many])
    assert_same(vmap(grad(loss), in_dims=(None, 0))(parameters, many), expected)
    by_input = vmap(grad(loss, argnums=1), in_dims=(None, 0))(parameters, many)
    assert_same(by_input, torch.stack([functional.jacobian(lambda v: loss(parameters, v), v) for v in many]))


def test_per_sample_gradients_of_a_wide_layer_take_a_call_per_sample() -> None:
    torch.manual_seed(0)
    model, x = sg.LSTM(3, 65, dtype=D), torch.randn(3, 4, 1, 3, dtype=D)
    parameters = {key: value.detach() for key, value in model.named_parameters()}

    def loss(weights: dict[str, Tensor], data: Tensor) -> Tensor:
        return functional_call(model, weights, (data,))[0].square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    assert_same(found, stacked([eager_gradients(loss, parameters, v) for v in x]))
    assert count_ops(lambda: vmap(grad(loss), in_dims=(None, 0))(parameters, x)) == {"forward": 1, "backward": 3}


@every
@pytest.mark.usefixtures("fused_only")
def test_ensembles_of_stacked_weights_are_a_loop_over_the_members(name: str) -> None:
    _, parameters, loss, x = build(name)
    members = [{key: factor * value for key, value in parameters.items()} for factor in (1.0, 0.5, -1.5)]
    whole = stacked(members)
    assert_same(vmap(loss, in_dims=(0, None))(whole, x), torch.stack([loss(m, x) for m in members]))
    many = torch.stack([x, -x, 2 * x])
    found = vmap(grad(loss))(whole, many)
    assert_same(found, stacked([eager_gradients(loss, m, v) for m, v in zip(members, many, strict=True)]))


def test_an_ensemble_trains_by_loss_backward() -> None:
    """stack_module_state, vmap, and plain autograd outside of it: the recipe of torch's own tutorial."""
    torch.manual_seed(0)
    models = [sg.GRU(I, H, dtype=D) for _ in range(3)]
    weights, buffers = stack_module_state(models)  # type: ignore[arg-type]
    x = torch.randn(T, N, I, dtype=D, requires_grad=True)
    out, _ = vmap(lambda w, b: functional_call(models[0], (w, b), (x,)))(weights, buffers)
    out.square().sum().backward()
    through_x, x.grad = x.grad, None
    sum(m(x)[0].square().sum() for m in models).backward()
    assert_same(through_x, x.grad)
    for key, value in weights.items():
        assert_same(value.grad, torch.stack([m.get_parameter(key).grad for m in models]))


@every
@pytest.mark.usefixtures("fused_only")
def test_jacrev_is_the_jacobian_row_by_row(name: str) -> None:
    module, parameters, _, x = build(name)

    def output(v: Tensor) -> Tensor:
        return _pytree.tree_leaves(functional_call(module, parameters, (v,), CASES[name][1]))[0]

    expected = functional.jacobian(output, x)
    assert_same(jacrev(output)(x), expected)
    assert_same(jacrev(output, chunk_size=3)(x), expected)
    assert_same(functional.jacobian(output, x, vectorize=True), expected)


@pytest.mark.parametrize("name", ["gru ragged both ways", "lstm projected, ragged", "rnn cell", "lstm clipped by norm"])
@pytest.mark.usefixtures("fused_only")
def test_jacobian_by_the_weights(name: str) -> None:
    module, parameters, _, x = build(name)
    keys = list(parameters)

    def output(*weights: Tensor) -> Tensor:
        named = dict(zip(keys, weights, strict=True))
        return _pytree.tree_leaves(functional_call(module, named, (x,), CASES[name][1]))[0]

    found = jacrev(output, argnums=tuple(range(len(keys))))(*parameters.values())
    assert_same(found, functional.jacobian(output, tuple(parameters.values())))


@every
@pytest.mark.usefixtures("fused_only")
def test_vmap_of_vmap(name: str) -> None:
    _, parameters, loss, x = build(name)
    many = torch.randn(2, 3, *x.shape, dtype=D)
    found = vmap(vmap(grad(loss), in_dims=(None, 0)), in_dims=(None, 0))(parameters, many)
    flat = vmap(grad(loss), in_dims=(None, 0))(parameters, many.flatten(0, 1))
    assert_same(found, {key: value.unflatten(0, (2, 3)) for key, value in flat.items()})


@every
def test_second_order_is_that_of_double_backward(name: str) -> None:
    """grad of grad, and the gradient of per-sample gradients, against two eager backwards."""
    _, parameters, loss, x = build(name)
    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}

    def penalty(weights: dict[str, Tensor], v: Tensor) -> Tensor:
        return sum(g.square().sum() for g in grad(loss)(weights, v).values())

    def eager_penalty(v: Tensor) -> Tensor:
        first = torch.autograd.grad(loss(leaves, v), list(leaves.values()), create_graph=True)
        return sum(g.square().sum() for g in first)

    expected = torch.autograd.grad(eager_penalty(x), list(leaves.values()))
    assert_same(list(grad(penalty)(parameters, x).values()), list(expected))
    many = torch.stack([x, -x])
    expected = torch.autograd.grad(sum(eager_penalty(v) for v in many), list(leaves.values()))
    found = grad(lambda w: vmap(penalty, in_dims=(None, 0))(w, many).sum())(parameters)
    assert_same(list(found.values()), list(expected))


@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_FORWARD_MODE])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch warns about itself in forward mode
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # and in linearize
def test_forward_mode_and_hessians(name: str) -> None:
    _, parameters, loss, x = build(name)
    x = x[:, :1] if CASES[name][1] == {} and not name.endswith("cell") else x

    def of_x(v: Tensor) -> Tensor:
        return loss(parameters, v)

    first = functional.jacobian(of_x, x)
    assert_same(jacfwd(of_x)(x), first)
    assert_same(jvp(of_x, (x,), (x,))[1], (first * x).sum())
    if not CASES[name][1]:  # a length is looked at, which the tracer of linearize forbids
        assert_same(linearize(of_x, x)[1](x), (first * x).sum())
    if "truncated" in name:
        return  # no derivative of any function: forward mode cuts the state, double backward the gradient
    second = functional.hessian(of_x, x)
    assert_same(hessian(of_x)(x), second)
    assert_same(jacrev(jacrev(of_x))(x), second)


@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_FORWARD_MODE])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_forward_mode_through_a_backward(name: str) -> None:
    """The forward ran fused, before any tangent: its backward must not lose one."""
    _, parameters, loss, x = build(name)
    leaf = x.clone().requires_grad_()

    def pulled(v: Tensor) -> Tensor:
        return torch.autograd.grad(loss(parameters, leaf), leaf, v)[0]

    one, two = torch.ones((), dtype=D), torch.full((), 2.0, dtype=D)
    value = loss(parameters, leaf)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(one, two)
        found = torch.autograd.forward_ad.unpack_dual(torch.autograd.grad(value, leaf, dual)[0])
        assert_same(found.tangent, 2 * found.primal)
    assert_same(found.primal, pulled(one))


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_func_grad_gives_the_gradients_of_torch_nn(name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(3, 5, 2, bidirectional=True, dtype=D)
    ours = getattr(sg, name)(3, 5, 2, bidirectional=True, dtype=D)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 2, 3, dtype=D)
    expected = torch.autograd.grad(theirs(x)[0].square().mean(), list(theirs.parameters()))
    found = grad(lambda w: functional_call(ours, w, (x,))[0].square().mean())(dict(ours.named_parameters()))
    assert_same(list(found.values()), list(expected))
    hess = hessian(lambda v: ours(v)[0].square().sum())(x[:, :1])
    assert_same(hess, functional.hessian(lambda v: theirs(v)[0].square().sum(), x[:, :1]))


@pytest.mark.usefixtures("fused_only")
def test_lengths_and_initial_states_may_be_batched_too() -> None:
    torch.manual_seed(0)
    model = sg.LSTM(I, H, bidirectional=True, dtype=D)
    x = torch.randn(T, N, I, dtype=D)
    lengths = torch.tensor([[4, 1], [0, 2], [3, 3]])
    h, c = torch.randn(2, 3, 2, N, H, dtype=D)

    def run(h0: Tensor, c0: Tensor, ends: Tensor) -> Any:
        return model(x, (h0, c0), lengths=ends)

    found = vmap(run)(h, c, lengths)
    rows = [run(h[k], c[k], lengths[k]) for k in range(3)]
    assert_same(found[0], torch.stack([row[0] for row in rows]))
    assert_same(found[1][1], torch.stack([row[1][1] for row in rows]))
    with pytest.raises(ValueError, match=r"^lengths\[0, 0\] = 5 is outside 0\.\.4"):
        vmap(run)(h, c, lengths + 1)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_dropout_under_vmap_is_random_as_torch_says(kind: str) -> None:
    model = getattr(sg, kind)(I, 64, 2, dropout=0.5, dtype=D)
    same = torch.randn(T, N, I, dtype=D).expand(2, T, N, I)

    def run(v: Tensor) -> Tensor:
        return model(v)[0]

    with pytest.raises(RuntimeError, match="randomness"):
        vmap(run)(same)
    one, two = vmap(run, randomness="same")(same)
    assert torch.equal(one, two)
    one, two = vmap(run, randomness="different")(same)
    assert not torch.equal(one, two)
    model.eval()
    one, two = vmap(run)(same)
    assert torch.equal(one, two)


def test_no_samples_no_batch() -> None:
    model = sg.GRU(I, H, dtype=D)
    assert vmap(lambda v: model(v)[0])(torch.empty(2, T, 0, I, dtype=D)).shape == (2, T, 0, H)


def test_transforms_inside_a_record_leave_it_empty_and_the_backward_outside_does_not() -> None:
    model, x = sg.GRU(I, H), torch.randn(T, N, I)
    with sg.record(model) as rec:
        grad(lambda v: model(v)[0].sum())(x)
        vmap(lambda v: model(v)[0])(x.expand(2, T, N, I)).sum().backward()
        assert not rec
        model(x)[0].sum().backward()
    assert rec.keys() == ["l0"]


def test_a_tensor_that_outlives_its_transform_is_an_ordinary_one() -> None:
    model, kept = sg.RNN(I, H), []
    x = torch.randn(T, N, I)

    def leak(v: Tensor) -> Tensor:
        kept.append(2 * v)
        return model(v)[0].sum()

    grad(leak)(x)
    assert_same(model(kept[0])[0], model(2 * x)[0])
    cell = sg.RNNCell(I, H)
    assert_same(cell(kept[0][0]), cell(2 * x[0]))


def test_functionalize_takes_a_layer() -> None:
    model, x = sg.GRU(I, H), torch.randn(T, N, I)
    torch.testing.assert_close(torch.func.functionalize(lambda v: model(v)[0])(x), model(x)[0])


@pytest.mark.parametrize("name", NO_FORWARD_MODE)
def test_state_clip_in_forward_mode_says_what_to_do(name: str) -> None:
    _, parameters, loss, x = build(name)
    with pytest.raises(RuntimeError, match=r"not in forward-mode AD .* pass state_clip=None there"):
        jvp(lambda v: loss(parameters, v), (x,), (x,))
