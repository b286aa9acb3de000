"""torch's own module database with our classes in place of torch.nn's: its sample, gradient and error inputs.

The database ships with torch (torch.testing._internal.common_modules), the tests over it do not: these are ours, and
each also lets torch.nn's class answer. The residual classes take the inputs of torch.nn.RNN and RNNCell.
"""

from __future__ import annotations

import copy
import importlib
import io
import os
import pickle
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import seqgrad as sg

LAYERS = ("RNN", "GRU", "LSTM")
PAIRS = [(name, name) for name in (*LAYERS, *(f"{layer}Cell" for layer in LAYERS))]
PAIRS += [("RNN", "ResidualRNN"), ("RNNCell", "ResidualRNNCell")]
VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])

over_classes = pytest.mark.parametrize(("entry", "name"), PAIRS, ids=[name for _, name in PAIRS])
in_both_modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch.nn's


@pytest.fixture(scope="module")
def torchs() -> ModuleType:
    """The database. Its import freezes flags, sets a variable and wraps calls: all of that is undone at once."""
    flag, variable = "__allow_nonbracketed_mutation_flag", "TORCHINDUCTOR_CACHE_DIR"
    calls = [(kind, kind.__call__) for kind in (torch._C.ScriptFunction, torch._C.ScriptMethod)]
    frozen, folder = torch.backends.flags_frozen(), os.environ.get(variable)
    module = importlib.import_module("torch.testing._internal.common_modules")
    torch.backends.flags_frozen.__globals__[flag] = not frozen
    for kind, call in calls:
        kind.__call__ = call
    if folder is None:
        os.environ.pop(variable, None)
    assert torch.backends.flags_frozen() is frozen
    return module


class Sample(NamedTuple):
    """A module of ours, its counterpart (None for a residual one), both with the same weights, and their inputs."""

    ours: nn.Module
    theirs: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    reference: Any
    dtype: torch.dtype


def info_of(torchs: ModuleType, entry: str) -> Any:
    return next(info for info in torchs.module_db if info.module_cls is getattr(nn, entry))


def samples(
    torchs: ModuleType,
    entry: str,
    name: str,
    training: bool = True,
    *,
    grad: bool = False,
    only_double: bool = False,
    every: int = 1,
) -> Iterator[Sample]:
    """The database's samples, packed sequences included, in every dtype it names; or every so manieth of them.

    Their options come in powers of two: 5 or 3 apart, each value of each option is still among them.
    """
    info = info_of(torchs, entry)
    dtypes = [torch.float64] if only_double else info.supported_dtypes("cpu")
    more = {"with_packed_sequence": True} if entry in ("RNN", "GRU") else {}
    count = 0
    for dtype in dtypes:
        torch.manual_seed(0)
        made = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=grad, training=training, **more)
        for sample in made[::every]:
            build, call = sample.constructor_input, sample.forward_input
            ours = getattr(sg, name)(*build.args, **build.kwargs, device="cpu", dtype=dtype).train(training)
            theirs = None
            if entry == name:
                theirs = info.module_cls(*build.args, **build.kwargs, device="cpu", dtype=dtype).train(training)
                theirs.load_state_dict(ours.state_dict())
            count += 1
            yield Sample(ours, theirs, call.args, call.kwargs, sample.reference_fn, dtype)
    assert count, "the database has no samples"


def tensors(value: Any) -> list[Tensor]:
    """The tensors of nested tuples and packed sequences."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [tensor for part in value for tensor in tensors(part)] if isinstance(value, (tuple, list)) else []


def same(got: Any, expected: Any, *, exactly: bool = False) -> None:
    """Close as torch.testing thinks right for the dtype, or equal."""
    assert type(got) is type(expected)
    exact = {"rtol": 0.0, "atol": 0.0} if exactly else {}
    for a, b in zip(tensors(got), tensors(expected), strict=True):
        torch.testing.assert_close(a, b, **exact)


@in_both_modes
@over_classes
def test_forward_equals_torch_nn_and_the_references(torchs: ModuleType, entry: str, name: str, training: bool):
    compared = 0
    for sample in samples(torchs, entry, name, training):
        out = sample.ours(*sample.args, **sample.kwargs)
        if sample.theirs is not None:
            same(out, sample.theirs(*sample.args, **sample.kwargs))
        if not isinstance(sample.args[0], PackedSequence):  # their reference adds a batch dimension: none to add there
            same(out, sample.reference(sample.ours, *sample.args, **sample.kwargs))
            compared += 1
    assert compared >= 4


@in_both_modes
@over_classes
def test_gradients(torchs: ModuleType, entry: str, name: str, training: bool):
    """torch's gradcheck, of all inputs, states and parameters at once."""
    from torch.testing._internal.common_utils import gradcheck

    for sample in samples(torchs, entry, name, training, grad=True, only_double=True, every=1 if training else 5):
        assert gradcheck(*as_function(sample))


@over_classes
def test_second_gradients(torchs: ModuleType, entry: str, name: str):
    from torch.testing._internal.common_utils import gradgradcheck

    for sample in samples(torchs, entry, name, grad=True, only_double=True, every=5):
        function, leaves = as_function(sample)
        weights = tuple(torch.randn_like(out) for out in function(*leaves))
        assert gradgradcheck(function, leaves, weights, check_batched_grad=False, check_undefined_grad=False)


def as_function(sample: Sample) -> tuple[Any, tuple[Tensor, ...]]:
    """The sample's call as a function of all its leaves: inputs and states, then parameters."""
    names = [key for key, _ in sample.ours.named_parameters()]
    given = tensors(sample.args)
    assert not sample.kwargs

    def function(*leaves: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, leaves[len(given) :], strict=True))
        args = refilled(sample.args, iter(leaves))
        return tuple(tensors(torch.func.functional_call(sample.ours, parameters, args)))

    leaves = [leaf.detach().requires_grad_() for leaf in (*given, *sample.ours.parameters())]
    return function, tuple(leaves)


def refilled(value: Any, leaves: Iterator[Tensor]) -> Any:
    """``value`` with its tensors replaced in order."""
    if isinstance(value, Tensor):
        return next(leaves)
    if isinstance(value, PackedSequence):
        return value._replace(data=next(leaves))
    return tuple(refilled(part, leaves) for part in value)


@in_both_modes
@over_classes
def test_non_contiguous_inputs_give_the_same(torchs: ModuleType, entry: str, name: str, training: bool):
    from torch.testing import make_tensor

    for sample in samples(torchs, entry, name, training, grad=True):
        found = []
        for strided in (False, True):
            given = [t.detach() for t in tensors(sample.args)]
            if strided:
                wide = [make_tensor((*t.shape, 2), dtype=t.dtype, device="cpu") for t in given]
                for room, t in zip(wide, given, strict=True):
                    room[..., 0] = t
                given = [room[..., 0] for room in wide]
                assert not any(t.is_contiguous() for t in given if t.numel() > 1)
            leaves = [t.requires_grad_() for t in given]
            out = sample.ours(*refilled(sample.args, iter(leaves)))
            loss = sum(o.sum() for o in tensors(out))
            found.append([*tensors(out), *torch.autograd.grad(loss, [*leaves, *sample.ours.parameters()])])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)


@over_classes
def test_factory_arguments_reach_every_parameter(torchs: ModuleType, entry: str, name: str):
    info = info_of(torchs, entry)
    for dtype in (torch.float64, torch.bfloat16):
        for sample in info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=True):
            build = sample.constructor_input
            for device in ("cpu", "meta"):
                made = getattr(sg, name)(*build.args, **build.kwargs, device=device, dtype=dtype)
                with torch.device(device):
                    inside = getattr(sg, name)(*build.args, **build.kwargs, dtype=dtype)
                for module in (made, inside):
                    assert {(p.device.type, p.dtype) for p in module.parameters()} == {(device, dtype)}
            moved = inside.to_empty(device="cpu")
            moved.reset_parameters()
            assert all(bool(p.isfinite().all()) for p in moved.parameters())


@over_classes
def test_copies_and_files_give_the_same_module(torchs: ModuleType, entry: str, name: str):
    for sample in samples(torchs, entry, name, every=3):
        buffer = io.BytesIO()
        torch.save(sample.ours, buffer)
        buffer.seek(0)
        with torch.serialization.safe_globals([type(sample.ours)]):  # torch.nn's layers have to be named there, too
            loaded = torch.load(buffer, weights_only=True)
        expected = sample.ours(*sample.args)
        for twin in (loaded, copy.deepcopy(sample.ours), pickle.loads(pickle.dumps(sample.ours))):
            assert (type(twin), repr(twin), str(twin)) == (type(sample.ours), repr(sample.ours), str(sample.ours))
            same(twin(*sample.args), expected, exactly=True)
        if sample.theirs is not None:
            assert repr(sample.ours) == repr(sample.theirs)


@over_classes
@pytest.mark.parametrize("swap", [False, True], ids=["set_data", "swap_tensors"])
def test_moves_between_dtypes_devices_and_memory_formats(torchs: ModuleType, entry: str, name: str, swap: bool):
    before = torch.__future__.get_swap_module_params_on_conversion()
    for sample in list(samples(torchs, entry, name, only_double=True, every=3)):
        torch.__future__.set_swap_module_params_on_conversion(swap)  # torch.nn's layers cannot even load a state then
        try:
            module, call = sample.ours.float().double(), torch.no_grad()(sample.ours)  # a graph would hold parameters
            expected = call(*sample.args)
            parameters = list(module.parameters())
            for move in (torch.float32, torch.float64, "cpu", torch.empty(0, dtype=torch.float64)):
                module = module.to(move)
                assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))
            module = module.to(memory_format=torch.channels_last).to(memory_format=torch.preserve_format)
            same(call(*sample.args), expected, exactly=True)
            args = refilled(sample.args, iter([t.half() for t in tensors(sample.args)]))
            assert {out.dtype for out in tensors(torch.no_grad()(module.half())(*args))} == {torch.float16}
            empty = module.to_empty(device="meta")
            assert all(p.is_meta for p in empty.parameters())
        finally:
            torch.__future__.set_swap_module_params_on_conversion(before)


@in_both_modes
@over_classes
def test_error_inputs_raise_what_the_database_says(torchs: ModuleType, entry: str, name: str, training: bool):
    info, count = info_of(torchs, entry), 0
    for dtype in info.supported_dtypes("cpu"):
        errors = info.module_error_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=training)
        for error in errors:
            build, call = error.module_error_input.constructor_input, error.module_error_input.forward_input
            at_forward = error.error_on is torchs.ModuleErrorEnum.FORWARD_ERROR
            kinds = [getattr(sg, name), info.module_cls] if entry == name else [getattr(sg, name)]
            for kind in kinds:
                if at_forward:
                    module = kind(*build.args, **build.kwargs).train(training)
                    with pytest.raises(error.error_type, match=error.error_regex):
                        module(*call.args, **call.kwargs)
                else:
                    with pytest.raises(error.error_type, match=error.error_regex):
                        kind(*build.args, **build.kwargs)
            count += 1
    assert count >= (8 if entry.endswith("Cell") else 4)


def test_no_other_database_of_torch_has_recurrent_layers(torchs: ModuleType):
    """Should one come, these tests have to take it in: operators (OpInfo), and modules of other names."""
    methods = importlib.import_module("torch.testing._internal.common_methods_invocations")
    recurrent = re.compile(r"(rnn|gru|lstm)", re.IGNORECASE)
    assert [op.name for op in methods.op_db if recurrent.search(op.name)] == []
    found = {info.name for info in torchs.module_db if recurrent.search(info.name)}
    assert found == {f"nn.{entry}" for entry, _ in PAIRS}
