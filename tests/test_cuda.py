"""The CUDA engine on a GPU, every path: right against the reference, and at home in torch.

The same bodies run on the CPU engine, so none of them waits for a GPU to be tried. ``pytest -m cuda`` takes those that
need one; ``make gpu`` is the front door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import Shape
from oracle import assert_within_ratio
from pairs import build
from place import EMULATED, PLACES, Place
from problem import CELLS, DTYPES, Problem, expect, make, solve
from test_ops import CASES, check, problems, same_bits, spread
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import seqgrad as sg
from seqgrad import _ext, _ops
from seqgrad.clip import Norm, Value


@pytest.fixture(params=PLACES, ids=str)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("SEQGRAD_CUDA_PATH", request.param.path)
    return request.param


def solve_at(place: Place, problem: Problem, **options: Any) -> dict[str, Tensor]:
    return {name: t.cpu() for name, t in solve(problem.on(place.device), **options).items()}


def compare(place: Place, problem: Problem, dtype: torch.dtype, what: str) -> None:
    """Outputs, gradients and norms against the reference in float64, by the rule of test_ops."""
    rounded = problem.to(dtype)
    exact = expect(rounded.to(torch.float64))
    ours, peer = solve_at(place, rounded), exact if dtype == torch.float64 else expect(rounded)
    assert ours.keys() == exact.keys()
    for name in exact:
        if name == "clip_hits" and dtype.itemsize == 2:
            continue  # a threshold crossed or not is no rounding error
        label = f"{place} {what} {name}"
        check(ours[name], peer[name].to(ours[name].dtype), exact[name], dtype, label, spread(name, exact))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("cell", "option"), CASES)
def test_results_gradients_and_norms_match_the_reference(
    place: Place, cell: str, option: str, dtype: torch.dtype
) -> None:
    found = problems(cell, option)
    for what, problem in found if place.device == "cuda" else found[:1]:  # test_ops has the rest of them for the CPU
        compare(place, problem, dtype, what)


# Beyond the small grid: several slices, groups and tiles, on both sides of what one block can hold. (T, N, I, H)
LARGE = (Shape(9, 70, 20, 64), Shape(5, 17, 40, 200), Shape(4, 33, 64, 512), Shape(3, 5, 8, 1000), Shape(65, 2, 3, 48))


@pytest.mark.skipif(EMULATED, reason="too large for the emulator")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_larger_problems_match_the_reference(place: Place, cell: str, dtype: torch.dtype) -> None:
    for shape in LARGE if place.device == "cuda" else (LARGE[0],):
        for options in ({}, {"ragged": True, "reverse": True, "truncate": 2, "state_clip": Norm(1.0)}):
            compare(place, make(cell, shape, gain=0.7, **options), dtype, f"{cell} {tuple(shape)} {options}")


@pytest.mark.parametrize("size", [1e-25, 1e18])
@pytest.mark.parametrize("cell", CELLS)
def test_norms_hold_far_from_one(place: Place, cell: str, size: float) -> None:
    """Squares of these leave the range of float32."""
    problem = make(cell, Shape(6, 3, 4, 33), ragged=True)
    grads = tuple(None if g is None else g * size for g in problem.grads)
    single = problem._replace(grads=grads).to(torch.float32)
    exact, ours = expect(single.to(torch.float64)), solve_at(place, single)
    for name in ("grad_h", "grad_carry", *(["grad_c"] if cell == "lstm" else [])):
        torch.testing.assert_close(ours[name].double(), exact[name], rtol=1e-4, atol=1e-6 * float(exact[name].max()))


@pytest.mark.parametrize("clip", [None, Norm(1.0), Value(0.3)], ids=["unclipped", "norm", "value"])
@pytest.mark.parametrize("cell", CELLS)
def test_recording_changes_no_gradient(place: Place, cell: str, clip: Norm | Value | None) -> None:
    problem = make(cell, Shape(7, 8, 5, 33), ragged=True, state_clip=clip).to(torch.float32)
    same_bits(solve_at(place, problem, record=False), solve_at(place, problem))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_run_to_run_the_same_bits(place: Place, cell: str, dtype: torch.dtype) -> None:
    problem = make(cell, Shape(9, 20, 6, 40), ragged=True).to(dtype)
    first = solve_at(place, problem)
    for _ in range(3):
        again = solve_at(place, problem)
        assert first.keys() == again.keys()
        same_bits(first, again)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_and_neighbours_are_invisible(place: Place, cell: str) -> None:
    clean = make(cell, Shape(7, 5, 4, 9), ragged=True).to(torch.float32)
    beyond = torch.arange(7).unsqueeze(1) >= clean.lengths
    base = solve_at(place, clean)
    for garbage in (float("nan"), float("inf")):
        x, grad = clean.tensors["x"].clone(), clean.grads[0].clone()
        x[beyond], grad[beyond] = garbage, garbage
        dirty = clean._replace(tensors={**clean.tensors, "x": x}, grads=(grad, *clean.grads[1:]))
        same_bits(base, solve_at(place, dirty))
    whole = make(cell, Shape(6, 5, 4, 9)).to(torch.float32)
    before, others = solve_at(place, whole), torch.tensor([0, 1, 2, 4])
    x = whole.tensors["x"].clone()
    x[2, 3, 1] = float("nan")
    poisoned = solve_at(place, whole._replace(tensors={**whole.tensors, "x": x}))
    for name in ("out", "dx", "grad_h", "grad_carry"):
        assert torch.equal(poisoned[name][:, others], before[name][:, others]), name
    assert poisoned["out"][2:, 3].isnan().any()


@pytest.mark.parametrize("cell", CELLS)
def test_backward_twice_gives_the_same_bits_and_leaves_everything_alone(place: Place, cell: str) -> None:
    problem = make(cell, Shape(5, 3, 4, 9), ragged=True).to(torch.float32).on(place.device)
    leaves = {name: None if t is None else t.clone().requires_grad_() for name, t in problem.tensors.items()}
    tap = torch.zeros(len(_ops.quantities(cell, None)), 5, 3, device=place.device, requires_grad=True)
    outputs = [o for o in _ops.layer(**leaves, tap=tap, cell=cell, lengths=problem.lengths) if o is not None]
    kept = [o.detach().clone() for o in outputs]
    asked, given = [*[t for t in leaves.values() if t is not None], tap], [g for g in problem.grads if g is not None]
    first = torch.autograd.grad(outputs, asked, given, retain_graph=True)
    second = torch.autograd.grad(outputs, asked, given)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, outputs, strict=True))
    assert all(t is None or torch.equal(t, leaves[name]) for name, t in problem.tensors.items())


@pytest.mark.parametrize("cell", CELLS)
def test_empty_batches_inputs_and_sequences(place: Place, cell: str) -> None:
    nobody = solve_at(place, make(cell, Shape(3, 0, 4, 5)).to(torch.float32))
    assert nobody["out"].shape == (3, 0, 5)
    assert not any(nobody[name].any() for name in ("dw_ih", "dw_hh", "db_ih", "db_hh"))
    compare(place, make(cell, Shape(3, 2, 0, 5)), torch.float32, f"{cell} without inputs")
    idle = make(cell, Shape(4, 3, 5, 7)).to(torch.float32)._replace(lengths=torch.zeros(3, dtype=torch.int64))
    r = solve_at(place, idle)
    assert torch.equal(r["hn"], idle.tensors["h0"])
    assert torch.equal(r["dh0"], idle.grads[1])


@pytest.mark.parametrize("kind", [sg.RNN, sg.GRU, sg.LSTM])
def test_the_wished_path_is_taken(place: Place, kind: type) -> None:
    rnn, x = make_layer(place, kind), torch.randn(9, 4, 6, device=place.device)
    if place.engine == "cpu":
        assert all(row.engine == "cpu" for row in sg.explain(rnn, x))
        return
    planned = [row.path for row in sg.explain(rnn, x, device=_ext.cuda_devices()[0])]
    assert planned == [place.path] * 2 or place.path == "auto"


# Layers, as users call them.


def trained(rnn: torch.nn.Module, x: Tensor, **call: Any) -> tuple[Tensor, ...]:
    """Output and all gradients of one step, the norms recorded."""
    leaf = x.detach().requires_grad_()
    with sg.record(rnn) as record:
        out = rnn(leaf, **call)[0]
        grads = torch.autograd.grad(out.square().sum(), [leaf, *rnn.parameters()])
    return out.detach(), *grads, *(series.grad_h for series in record.values())


def make_layer(place: Place, kind: type = sg.LSTM, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return kind(6, 20, **options).to(place.device)


def close(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b.cpu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["rnn_tanh", "gru", "lstm"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "stacked"])
def test_layers_agree_with_torch_nn(place: Place, name: str, options: dict[str, Any]) -> None:
    mine, theirs = build(name, 6, 20, **options)
    x = torch.randn(7, 5, 6)
    peer, exact = theirs(x)[0], theirs.double()(x.double())[0]
    assert_within_ratio(mine.to(place.device)(x.to(place.device))[0].cpu(), peer, exact, what=f"{place} {name}")


def test_work_goes_to_the_current_stream(place: Place) -> None:
    rnn, x = make_layer(place), torch.randn(12, 4, 6)
    expected = trained(rnn, x.to(place.device))
    place.wait()
    with place.side_stream():
        place.busy()
        found = trained(rnn, x.to(place.device, non_blocking=True))
    close(found, expected)


def test_a_captured_step_can_be_replayed_on_new_data(place: Place) -> None:
    for kind in (sg.RNN, sg.GRU, sg.LSTM):
        rnn = make_layer(place, kind)
        x, lengths = torch.randn(9, 4, 6, device=place.device), torch.tensor([9, 3, 0, 5], device=place.device)
        replay = place.captured(lambda rnn=rnn, x=x, lengths=lengths: trained(rnn, x, lengths=lengths))
        for _ in range(3):
            x.copy_(torch.randn(9, 4, 6))
            lengths.copy_(torch.randint(0, 10, (4,)))
            found = tuple(t.clone() for t in replay())
            close(found, trained(rnn, x, lengths=lengths))


def test_nothing_waits_for_the_device(place: Place) -> None:
    rnn = make_layer(place, num_layers=2, bidirectional=True, state_clip=Norm(1.0), truncate=3)
    x, lengths = torch.randn(9, 4, 6, device=place.device), [9, 3, 1, 5]
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    trained(rnn, x)
    place.wait()
    with place.never_waiting():
        trained(rnn, x)
        trained(rnn, x, lengths=lengths)
        rnn(packed)
        with torch.inference_mode():
            rnn(x)


def test_lengths_may_live_anywhere_and_packed_sequences_agree(place: Place) -> None:
    rnn, x = make_layer(place, sg.GRU), torch.randn(9, 4, 6, device=place.device)
    lengths = torch.tensor([9, 3, 1, 5])
    expected = trained(rnn, x, lengths=lengths)
    close(trained(rnn, x, lengths=lengths.to(place.device)), expected)
    close(trained(rnn, x, lengths=lengths.tolist()), expected)
    packed, _ = rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
    close((torch.nn.utils.rnn.pad_packed_sequence(packed)[0].detach(),), expected[:1])
    with pytest.raises(ValueError, match=r"lengths\[0\] = 10 is outside 0\.\.9"):
        rnn(x, lengths=torch.tensor([10, 3, 1, 5], device=place.device))


def test_every_device_gives_the_same_and_the_current_one_stays(place: Place) -> None:
    if len(place.devices) < 2:
        pytest.skip("only one device")
    x, results = torch.randn(7, 5, 6), []
    for device in place.devices:
        rnn = make_layer(place).to(device)
        with place.current(place.devices[0]):
            results.append(trained(rnn, x.to(device)))
            assert torch.zeros(1, device=place.device).device == torch.zeros(1, device=place.devices[0]).device
    for result in results[1:]:
        close(result, results[0])


def test_autocast_runs_the_layer_in_its_dtype(place: Place) -> None:
    rnn, x = make_layer(place), torch.randn(7, 5, 6, device=place.device)
    with torch.autocast(place.device, torch.bfloat16):
        found = trained(rnn, x)
    assert found[0].dtype == torch.bfloat16
    assert found[1].dtype == torch.float32  # dx
    exact = trained(rnn, x)
    scale = float(exact[0].abs().max())
    torch.testing.assert_close(found[0].float(), exact[0], rtol=0, atol=0.05 * scale)


def test_compiled_code_gives_the_same(place: Place) -> None:
    rnn, x = make_layer(place), torch.randn(7, 5, 6, device=place.device)
    compiled = torch.compile(rnn, backend="aot_eager", fullgraph=True)
    leaf = x.requires_grad_()
    found = torch.autograd.grad(compiled(leaf)[0].square().sum(), [leaf, *rnn.parameters()])
    close(found, torch.autograd.grad(rnn(leaf)[0].square().sum(), [leaf, *rnn.parameters()]))


def composite(rnn: torch.nn.Module, x: Tensor) -> Tensor:
    return torch.func.grad(lambda value: rnn(value)[0].square().sum())(x)


def test_function_transforms_take_the_composite(place: Place) -> None:
    rnn, x = make_layer(place, sg.GRU), torch.randn(4, 3, 6, device=place.device)
    close((composite(rnn, x),), trained(rnn, x)[1:2])
    with torch.no_grad():
        batch = torch.func.vmap(lambda value: rnn(value)[0], in_dims=1)(x.unsqueeze(2))
        close((batch.squeeze(2).transpose(0, 1),), (rnn(x)[0],))


def test_double_backward(place: Place) -> None:
    rnn, x = make_layer(place, sg.RNN).double(), torch.randn(4, 2, 6, device=place.device, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda v: rnn(v)[0], (x.requires_grad_(),))


@pytest.mark.parametrize("kind", [sg.RNNCell, sg.GRUCell, sg.LSTMCell])
def test_cells_of_one_step(place: Place, kind: Callable[..., torch.nn.Module]) -> None:
    torch.manual_seed(0)
    cell, x = kind(6, 20), torch.randn(5, 6)
    here = cell(x)
    there = cell.to(place.device)(x.to(place.device))
    pairs = zip(here, there, strict=True) if isinstance(here, tuple) else [(here, there)]
    for a, b in pairs:
        torch.testing.assert_close(a, b.cpu(), rtol=1e-5, atol=1e-6)


def test_an_unknown_path_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQGRAD_CUDA_PATH", "fast")
    rnn, x = make_layer(place), torch.randn(2, 3, 6, device=place.device)
    if place.engine == "cpu":
        assert rnn(x)[0].shape == (2, 3, 20)  # the CPU has no paths
        return
    with pytest.raises(ValueError, match="SEQGRAD_CUDA_PATH must be auto, block, grid or step, got 'fast'"):
        rnn(x)
