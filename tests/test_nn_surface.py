"""What surrounds the numbers: construction, state_dict, repr, copies, dtypes, devices, autocast, replaced weights."""

from __future__ import annotations

import copy
import inspect
import io
import pickle

import pytest
import torch
from pairs import CELLS, LAYERS, build, states
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.rnn import pack_padded_sequence

import seqgrad.nn as ours
from seqgrad.clip import Norm, Value

ALL = {**{f"{k}_cell": v for k, v in CELLS.items()}, **LAYERS}
RICH = {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True, "dropout": 0.25}


def pair(name: str, **options):
    return build(name, 4, 6, table=ALL, **options)


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_parameters_in_the_same_order(name: str):
    mine, theirs = pair(name)
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert all(torch.equal(p, q) for p, q in zip(mine.parameters(), theirs.parameters(), strict=True))
    torch.manual_seed(9)
    mine.reset_parameters()
    torch.manual_seed(9)
    theirs.reset_parameters()
    assert all(torch.equal(p, q) for p, q in zip(mine.parameters(), theirs.parameters(), strict=True))


def test_residual_rnn_has_the_parameters_of_rnn():
    for mine, theirs in ((ours.ResidualRNN, torch.nn.RNN), (ours.ResidualRNNCell, torch.nn.RNNCell)):
        torch.manual_seed(0)
        a = mine(4, 6).state_dict()
        torch.manual_seed(0)
        b = theirs(4, 6).state_dict()
        assert list(a) == list(b)
        assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", ALL)
def test_state_dict_goes_both_ways(name: str):
    options = {} if name.endswith("cell") else {"num_layers": 2, "bidirectional": True}
    mine, theirs = pair(name, **options)
    for target, source in ((mine, theirs), (theirs, mine)):
        with torch.no_grad():
            for p in source.parameters():
                p.add_(torch.rand_like(p))
        assert not target.load_state_dict(source.state_dict()).missing_keys
        assert all(torch.equal(v, source.state_dict()[k]) for k, v in target.state_dict().items())


@pytest.mark.parametrize("name", LAYERS)
def test_repr_is_torch_nns_plus_what_is_set(name: str):
    for options in ({}, RICH):
        mine, theirs = pair(name, **options)
        assert repr(mine) == repr(theirs)
    mine.state_clip, mine.truncate = Norm(2.0), 5
    assert mine.extra_repr() == theirs.extra_repr() + ", state_clip=Norm(max_norm=2.0), truncate=5"


def test_repr_of_the_rest():
    assert (
        repr(ours.LSTM(4, 6, proj_size=2, state_clip=Value(1)))
        == "LSTM(4, 6, proj_size=2, state_clip=Value(clip_value=1))"
    )
    assert repr(ours.ResidualRNN(4, 6)) == "ResidualRNN(4, 6)"
    assert repr(ours.ResidualRNN(4, 6, residual_scale=0.5)) == "ResidualRNN(4, 6, residual_scale=0.5)"
    assert repr(ours.RNNCell(4, 6, False, "relu")) == repr(torch.nn.RNNCell(4, 6, False, "relu"))
    assert repr(ours.GRUCell(4, 6, state_clip=Norm(1.0))) == "GRUCell(4, 6, state_clip=Norm(max_norm=1.0))"
    assert repr(ours.ResidualRNNCell(4, 6, residual_scale=2)) == "ResidualRNNCell(4, 6, residual_scale=2.0)"


POSITIONAL = [
    ("RNN", (4, 6, 2, "relu", False, True, 0.5, True)),
    ("RNN", (4, 6, 1, "tanh", True, False, 0.0, False, 0, "cpu", torch.float64)),
    ("GRU", (4, 6, 2, False, True, 0.5, True)),
    ("GRU", (4, 6, 1, True, False, 0.0, False, 0, "cpu", torch.float64)),
    ("LSTM", (4, 6, 2, False, True, 0.5, True, 3, "cpu", torch.float64)),
    ("RNNCell", (4, 6, False, "relu", "cpu", torch.float64)),
    ("GRUCell", (4, 6, False, "cpu", torch.float64)),
    ("LSTMCell", (4, 6, False, "cpu", torch.float64)),
]


@pytest.mark.parametrize(("name", "arguments"), POSITIONAL)
def test_positional_arguments_mean_what_they_mean_in_torch_nn(name: str, arguments: tuple):
    mine, theirs = getattr(ours, name)(*arguments), getattr(torch.nn, name)(*arguments)
    settings = [k for k in vars(theirs) if not k.startswith("_")]
    assert {k: getattr(mine, k) for k in settings} == {k: getattr(theirs, k) for k in settings}
    for (n, p), (m, q) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
        assert (n, p.shape, p.dtype) == (m, q.shape, q.dtype)


def test_options_of_ours_are_keyword_only():
    for name in ours.__all__:
        if inspect.isclass(getattr(ours, name)):
            parameters = inspect.signature(getattr(ours, name)).parameters
            for option in {"state_clip", "truncate", "residual_scale"} & parameters.keys():
                assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
            assert "state_clip" in parameters


@pytest.mark.parametrize("copier", ["deepcopy", "pickle", "torch.save"])
@pytest.mark.parametrize(
    "name", ["RNN", "GRU", "LSTM", "ResidualRNN", "RNNCell", "GRUCell", "LSTMCell", "ResidualRNNCell"]
)
def test_copies_keep_weights_and_options(name: str, copier: str):
    options = {"state_clip": Norm(1.0)}
    options |= {"residual_scale": 0.5} if name.startswith("Residual") else {}
    options |= {} if name.endswith("Cell") else {"truncate": 3, "num_layers": 2}
    module = getattr(ours, name)(4, 6, **options)
    if copier == "deepcopy":
        twin = copy.deepcopy(module)
    elif copier == "pickle":
        data = pickle.dumps(module)
        assert b"seqgrad.nn" in data
        assert b"_cells" not in data
        twin = pickle.loads(data)
    else:
        buffer = io.BytesIO()
        torch.save(module, buffer)
        buffer.seek(0)
        twin = torch.load(buffer, weights_only=False)
    assert repr(twin) == repr(module)
    assert type(twin) is type(module)
    x = torch.randn(3, 4) if name.endswith("Cell") else torch.randn(5, 3, 4)
    got, expected = twin(x), module(x)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert not torch.equal(next(twin.parameters()), next(module.parameters()))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtype_of_outputs_is_the_dtype_of_the_layer(name: str, dtype: torch.dtype):
    mine, theirs = pair(name, dtype=dtype)
    x = torch.randn((3, 4) if name.endswith("cell") else (5, 3, 4), dtype=dtype)
    for got, expected in zip(flat(mine(x)), flat(theirs(x)), strict=True):
        assert got.dtype == expected.dtype == dtype
        torch.testing.assert_close(got, expected, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn_tanh", "gru_cell", "lstm_cell", "rnn_tanh_cell"])
def test_complex_tensors_work_as_in_torch_nn(name: str):
    mine, theirs = pair(name, dtype=torch.complex64)
    x = torch.randn((3, 4) if name.endswith("cell") else (5, 3, 4), dtype=torch.complex64)
    for got, expected in zip(flat(mine(x)), flat(theirs(x)), strict=True):
        torch.testing.assert_close(got, expected)
    mine.state_clip = Norm(1.0)
    with pytest.raises(TypeError, match="state_clip clips real gradients"):
        mine(x)


@pytest.mark.parametrize("name", ALL)
def test_meta_modules_build_and_run(name: str):
    mine, theirs = pair(name, device="meta")
    x = torch.zeros((3, 4) if name.endswith("cell") else (5, 3, 4), device="meta")
    for got, expected in zip(flat(mine(x)), flat(theirs(x)), strict=True):
        assert got.is_meta
        assert got.shape == expected.shape
    assert next(mine.to_empty(device="cpu").parameters()).device.type == "cpu"


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("sizes", [(0, 5), (4, 0)])
def test_cells_without_inputs_or_units_work_as_in_torch_nn(name: str, sizes: tuple[int, int]):
    mine, theirs = build(name, *sizes, table=CELLS)
    x = torch.zeros(2, sizes[0])
    for got, expected in zip(flat(mine(x)), flat(theirs(x)), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", ALL)
def test_autocast_computes_in_its_dtype_and_gradients_keep_theirs(name: str):
    mine, theirs = pair(name)
    x = torch.randn((3, 4) if name.endswith("cell") else (5, 3, 4), requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, expected = flat(mine(x)), flat(theirs(x))
    for value, peer in zip(got, expected, strict=True):
        assert value.dtype == torch.bfloat16
        torch.testing.assert_close(value, peer, rtol=3e-2, atol=3e-2, check_dtype=False)
    got[0].float().sum().backward()
    assert x.grad.dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 for p in mine.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_autocast_takes_states_and_inputs_of_other_float_dtypes_and_leaves_float64(name: str):
    mine, _ = pair(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert mine(torch.randn(5, 3, 4), states(mine, 3, dtype=torch.bfloat16))[0].dtype == torch.bfloat16
        assert mine(torch.randn(5, 3, 4, dtype=torch.bfloat16), states(mine, 3))[0].dtype == torch.bfloat16
        packed = mine(pack_padded_sequence(torch.randn(5, 3, 4), [5, 3, 2]))[0]
        assert packed.data.dtype == torch.bfloat16
        assert mine.double()(torch.randn(5, 3, 4, dtype=torch.float64))[0].dtype == torch.float64


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn_tanh"])
def test_parametrized_and_functional_weights_are_used(name: str):
    mine, theirs = pair(name, num_layers=2)
    x = torch.randn(5, 3, 4)
    for module in (mine, theirs):
        torch.manual_seed(1)
        parametrizations.weight_norm(module, "weight_hh_l0")
        parametrizations.orthogonal(module, "weight_hh_l1")
    torch.testing.assert_close(mine(x)[0], theirs(x)[0])
    mine(x)[0].sum().backward()
    assert mine.parametrizations.weight_hh_l1.original.grad.abs().sum() > 0
    assert copy.deepcopy(mine)(x)[0].equal(mine(x)[0])
    parametrize.remove_parametrizations(mine, "weight_hh_l0")
    torch.testing.assert_close(mine(x)[0], theirs(x)[0])

    fresh, _ = pair(name)
    weights = {k: torch.randn_like(v) for k, v in fresh.state_dict().items()}
    got = torch.func.functional_call(fresh, weights, (x,))[0]
    fresh.load_state_dict(weights)
    assert torch.equal(got, fresh(x)[0])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch warns about itself in make_dual
def test_torch_func_and_forward_mode_equal_torch_nn(name: str):
    mine, theirs = pair(name, dtype=torch.float64)
    x = torch.randn((3, 4) if name.endswith("cell") else (5, 3, 4), dtype=torch.float64)
    weights, tangent = dict(mine.named_parameters()), torch.randn_like(x)
    found = []
    for module in (mine, theirs):

        def run(x, weights=weights, module=module):
            return flat(torch.func.functional_call(module, weights, (x,)))[0]

        grads = torch.func.grad(lambda w, run=run: run(x, w).square().sum())(weights)
        with forward_ad.dual_level():
            dual = forward_ad.unpack_dual(run(forward_ad.make_dual(x, tangent))).tangent
        found.append([*grads.values(), torch.func.jvp(run, (x,), (tangent,))[1], dual, run(x)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    assert found[0][-2].abs().sum() > 0
    many = torch.stack([x, 2 * x, -x])
    torch.testing.assert_close(
        torch.vmap(lambda v: flat(mine(v))[0])(many), torch.stack([flat(mine(v))[0] for v in many])
    )
    mine.state_clip = Norm(1.0)
    with pytest.raises(RuntimeError, match="state_clip acts in"):
        torch.func.jvp(lambda v: flat(mine(v))[0], (x,), (tangent,))


@pytest.mark.parametrize("name", LAYERS)
def test_moving_and_replacing_parameters_is_seen(name: str):
    mine, _ = pair(name)
    x = torch.randn(5, 3, 4)
    before = mine(x)[0]
    mine.weight_hh_l0 = torch.nn.Parameter(torch.zeros_like(mine.weight_hh_l0))
    assert not torch.equal(mine(x)[0], before)
    assert mine.double()(x.double())[0].dtype == torch.float64
    assert mine.flatten_parameters() is None
    assert [list(map(id, w)) for w in mine.all_weights] == [[id(p) for p in mine.parameters()]]


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_have_the_strides_of_torch_nn(name: str):
    for options, shape in (({}, (5, 3, 4)), ({"batch_first": True}, (3, 5, 4)), ({"batch_first": True}, (5, 4))):
        mine, theirs = pair(name, **options)
        assert mine(torch.randn(shape))[0].stride() == theirs(torch.randn(shape))[0].stride()


def test_no_graph_without_grad_and_backward_in_eval_mode():
    mine = ours.LSTM(4, 6).eval()
    x = torch.randn(5, 3, 4)
    with torch.no_grad():
        assert not mine(x)[0].requires_grad
    mine.requires_grad_(False)
    assert not mine(x)[0].requires_grad
    x.requires_grad_(True)
    mine(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "ResidualRNN"])
def test_state_clip_changes_the_gradient_and_nothing_else(name: str):
    torch.manual_seed(0)
    plain = getattr(ours, name)(4, 6)
    clipped = copy.deepcopy(plain)
    clipped.state_clip = Norm(1e-3)
    x = torch.randn(5, 3, 4)
    assert torch.equal(plain(x)[0], clipped(x)[0])
    for rnn in (plain, clipped):
        rnn(x)[0].sum().backward()
    assert clipped.weight_ih_l0.grad.norm() < 0.1 * plain.weight_ih_l0.grad.norm()
    clipped.zero_grad()
    clipped.state_clip = Norm(1e6)
    clipped(x)[0].sum().backward()
    torch.testing.assert_close(clipped.weight_ih_l0.grad, plain.weight_ih_l0.grad)


def test_subclass_and_state_of_a_module_hold_their_options_after_hooks_and_modes():
    class Mine(ours.GRU):
        def forward(self, input, hx=None, *, lengths=None):
            out, hn = super().forward(input, hx, lengths=lengths)
            return 2 * out, hn

    seen = []
    module = Mine(4, 6, truncate=2)
    module.register_forward_hook(lambda m, i, o: seen.append(o[0].shape))
    module.eval().train()
    module(torch.randn(5, 3, 4), lengths=[5, 1, 2])
    assert seen == [torch.Size([5, 3, 6])]
    assert module.truncate == 2


def flat(value):
    return [t for v in value for t in flat(v)] if isinstance(value, tuple) else [value]
