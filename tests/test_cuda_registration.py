"""The CUDA side as far as it can be seen without a GPU: registration, shapes on fake tensors, errors that help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from problem import CELLS
from torch._subclasses.fake_tensor import FakeTensorMode

import seqgrad as sg
from seqgrad import _ext, _ops, _rnn_run

T, N, I, H = 3, 2, 4, 5  # noqa: E741
needs_kernels = pytest.mark.skipif(not _ext.has_cuda(), reason="this build holds no CUDA kernels")
needs_cuda_torch = pytest.mark.skipif(torch.version.cuda is None, reason="this torch is not built for CUDA")
LAYERS = [sg.RNN, sg.ResidualRNN, sg.GRU, sg.LSTM]
REBUILD = r"SEQGRAD_CUDA=1 pip install --no-build-isolation"


@pytest.fixture
def fake() -> Iterator[None]:
    """Tensors without data: a CUDA device needs not be there."""
    with FakeTensorMode():
        yield


def arguments(cell: str, device: str = "cpu", *, proj: int = 0) -> list[Any]:
    """The positional arguments of torch.ops.seqgrad.forward."""
    rows, P = _ops.CELLS[cell].gates * H, proj or H
    shapes = [(T, N, I), (rows, I), (rows, P), (rows,), (rows,), (P, H) if proj else None, (N, P)]
    shapes.append((N, H) if _ops.CELLS[cell].states == 2 else None)
    tensors = [None if shape is None else torch.randn(shape, device=device) for shape in shapes]
    lengths = torch.full((N,), T, device=device)
    return [*tensors, lengths, None, cell, False, 1.0, "none", 0.0, 0, True]


def backward_arguments(cell: str, device: str = "cpu") -> list[Any]:
    args = arguments(cell, device)
    out, hn, cn, saved = torch.ops.seqgrad.forward.default(*args)
    grads = [torch.ones_like(out), torch.ones_like(hn), torch.ones_like(cn) if _ops.CELLS[cell].states == 2 else None]
    return [*grads, out, saved, *args[:9], *args[10:16], True, True, True]


def on_cuda(op: Any, args: list[Any]) -> Any:
    """Call the kernel that is registered for CUDA, whatever the tensors are."""
    return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA), *args)


@pytest.mark.parametrize("op", ["forward", "backward"])
def test_cuda_has_its_own_kernels_in_every_build(op: str) -> None:
    """So that a build without CUDA code can say so itself."""
    for key in ("CPU", "CUDA"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"seqgrad::{op}", key)
    assert not torch._C._dispatch_has_kernel_for_dispatch_key(f"seqgrad::{op}", "XPU")


@pytest.mark.parametrize("op", ["forward", "backward"])
def test_the_cuda_kernels_refuse_what_is_not_theirs(op: str) -> None:
    """Without CUDA code: how to rebuild. With it: host memory is never taken for the device's."""
    args = arguments("lstm") if op == "forward" else backward_arguments("lstm")
    if _ext.has_cuda():
        expected = pytest.raises(ValueError, match=r"^seqgrad: the CUDA kernels were given an input on another device$")
    else:
        expected = pytest.raises(RuntimeError, match=f"^seqgrad: this build holds no CUDA kernels.*{REBUILD}")
    with expected:
        on_cuda(getattr(torch.ops.seqgrad, op).default, args)


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.usefixtures("fake")
def test_ops_give_the_shapes_of_the_cpu_on_fake_cuda_tensors(cell: str, save: bool) -> None:
    results = []
    for device in ("cpu", "cuda"):
        outputs = torch.ops.seqgrad.forward.default(*arguments(cell, device)[:-1], save)
        assert all(t.device.type == device for t in outputs)
        results.append([(t.shape, t.dtype, t.stride()) for t in outputs])
    assert results[0] == results[1]
    grads = [torch.ops.seqgrad.backward.default(*backward_arguments(cell, device)) for device in ("cpu", "cuda")]
    assert [(t.shape, t.dtype) for t in grads[0]] == [(t.shape, t.dtype) for t in grads[1]]
    assert all(t.device.type == "cuda" for t in grads[1])


@needs_cuda_torch
@pytest.mark.parametrize("check", ["test_schema", "test_autograd_registration", "test_faketensor"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.usefixtures("fake")
def test_opcheck_passes_on_fake_cuda_tensors(cell: str, check: str) -> None:
    """The autograd engine itself can't run on them: gradients are checked on real tensors elsewhere."""
    both = ((torch.ops.seqgrad.forward.default, arguments), (torch.ops.seqgrad.backward.default, backward_arguments))
    for op, args in both:
        assert torch.library.opcheck(op, args(cell, "cuda"), test_utils=check) == {check: "SUCCESS"}


@needs_kernels
@needs_cuda_torch
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "stacked"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.usefixtures("fake")
def test_layers_let_cuda_through(kind: type, options: dict[str, Any]) -> None:
    rnn, x = kind(I, H, device="cuda", **options), torch.randn(T, N, I, device="cuda")
    assert rnn(x)[0].device.type == "cuda"
    with torch.inference_mode():
        assert rnn(x)[0].shape == (T, N, H * (2 if options else 1))
    with sg.record(rnn):
        assert rnn(x)[0].requires_grad


@needs_cuda_torch
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.usefixtures("fake")
def test_a_build_without_cuda_says_how_to_rebuild(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rnn_run, "_DEVICES", ("cpu", "meta"))
    rnn, x = kind(I, H, device="cuda"), torch.randn(T, N, I, device="cuda")
    with pytest.raises(
        NotImplementedError, match=f"(?s)holds no CUDA kernels, got input on cuda:0.*{REBUILD}.*revert_"
    ):
        rnn(x)


def test_builds_let_through_what_they_hold() -> None:
    assert ("cuda" in _rnn_run._DEVICES) == (_ext.has_cuda() and torch.version.hip is None)
    assert {"cpu", "meta"} <= set(_rnn_run._DEVICES)


@pytest.mark.parametrize("device", ["mps:0", "xpu:1"])
def test_other_devices_are_refused_by_name(device: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"run on the CPU and on NVIDIA GPUs, got input on {device}; move"):
        raise NotImplementedError(_rnn_run._why_not_on(torch.device(device)))


def test_rocm_is_not_taken_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert "got input on cuda:0 (ROCm)" in _rnn_run._why_not_on(torch.device("cuda:0"))


@needs_kernels
@needs_cuda_torch
@pytest.mark.parametrize("place", range(1, 9), ids=["w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0", "lengths"])
@pytest.mark.usefixtures("fake")
def test_ops_refuse_tensors_of_two_devices(place: int) -> None:
    args = arguments("lstm", "cuda", proj=3)
    args[place] = torch.empty(args[place].shape, device="cpu")
    name = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0", "lengths")[place]
    with pytest.raises(ValueError, match=f"{name} must be on the same device as the input, cuda:0, got cpu"):
        torch.ops.seqgrad.forward.default(*args)


@needs_cuda_torch
@pytest.mark.usefixtures("fake")
def test_layers_refuse_an_input_on_another_device() -> None:
    rnn = sg.LSTM(I, H, device="cuda")
    with pytest.raises(RuntimeError, match="not at the same device, found input tensor at cpu"):
        rnn(torch.randn(T, N, I))
    with pytest.raises(RuntimeError, match="found input tensor at cuda:0 and hidden tensor at cpu"):
        rnn(torch.randn(T, N, I, device="cuda"), (torch.zeros(1, N, H), torch.zeros(1, N, H)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_the_error_is_that_of_torch() -> None:
    with pytest.raises((RuntimeError, AssertionError), match=r"NVIDIA driver|not compiled with CUDA|No CUDA GPUs"):
        sg.LSTM(I, H).cuda()


def test_the_extension_sees_as_many_devices_as_torch() -> None:
    assert len(_ext.cuda_devices()) == (torch.cuda.device_count() if _ext.has_cuda() else 0)


def test_memory_that_does_not_exist_is_an_error_with_sizes() -> None:
    args = arguments("lstm")
    args[0] = torch.zeros(1, 1, I).expand(2**50, N, I)
    args[8] = None
    with pytest.raises(RuntimeError, match=r"^seqgrad: no memory for \[1125899906842624, 2, 5\] float32: "):
        torch.ops.seqgrad.forward.default(*args)
