"""The engine among threads: called from several at once, with their number changing, and in a forked child."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from multiprocessing.connection import Connection

import pytest
import torch
from cases import Shape
from problem import CELLS, Problem, make, solve
from torch import Tensor

from seqgrad import _ops

WEIGHTS = ("dw_ih", "dw_hh", "db_ih", "db_hh", "dw_hr")
CHILD_SECONDS = 60


def problem(cell: str) -> Problem:
    """Work enough for the engine to deal the batch to several threads."""
    return make(cell, Shape(20, 12, 96, 128), ragged=True).to(torch.float32)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("threads", [1, 2])
def test_two_python_threads_at_once_get_the_bits_of_one(threads: int) -> None:
    torch.set_num_threads(threads)
    problems = [problem("lstm"), problem("gru")]
    wrong: list[str] = []

    def work(p: Problem, alone: dict[str, Tensor]) -> None:
        torch.set_num_threads(threads)  # a setting of the calling thread in some builds of torch
        for _ in range(5):
            if not equal(solve(p), alone):
                wrong.append(p.cell)

    workers = [threading.Thread(target=work, args=(p, solve(p))) for p in problems]
    for w in workers:
        w.start()
    for w in workers:
        w.join(timeout=CHILD_SECONDS)
    assert not any(w.is_alive() for w in workers), "a call hangs"
    assert wrong == []


@pytest.mark.parametrize("cell", CELLS)
def test_the_number_of_threads_may_change_between_forward_and_backward(cell: str) -> None:
    p = problem(cell)
    alone = solve(p)
    leaves = {k: None if t is None else t.requires_grad_() for k, t in p.tensors.items()}
    for forward, backward in ((1, 3), (3, 1), (2, 4)):
        torch.set_num_threads(forward)
        out, hn, cn = _ops.layer(**leaves, **p.options())
        torch.set_num_threads(backward)
        pairs = [(o, g) for o, g in zip((out, hn, cn), p.grads, strict=True) if o is not None]
        live = {k: t for k, t in leaves.items() if t is not None}
        found = torch.autograd.grad([o for o, _ in pairs], list(live.values()), [g for _, g in pairs])
        assert torch.equal(out, alone["out"])
        for name, grad in zip(live, found, strict=True):
            if f"d{name}" in WEIGHTS:
                scale = float(grad.abs().max())
                torch.testing.assert_close(grad, alone[f"d{name}"], rtol=0, atol=2e-6 * scale)
            else:
                assert torch.equal(grad, alone[f"d{name}"]), name


def _child(pipe: Connection, cell: str, expected: dict[str, Tensor]) -> None:
    torch.set_num_threads(1)  # the pool of the parent's threads did not survive the fork
    pipe.send(equal(solve(problem(cell)), expected))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm"])
def test_a_forked_child_with_one_thread_works(cell: str) -> None:
    """As in a DataLoader worker: the parent has used its pool, the child computes with a single thread."""
    torch.set_num_threads(1)
    expected = solve(problem(cell))
    torch.set_num_threads(2)
    solve(problem(cell))
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, cell, expected))
    with warnings.catch_warnings():
        if sys.version_info >= (3, 12):
            warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is the point here
        child.start()
    try:
        assert ours.poll(CHILD_SECONDS), "the child hangs or died"
        assert ours.recv() is True
    finally:
        child.join(timeout=5)
        if child.is_alive():
            child.kill()


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_team_of_threads_on_few_samples_gives_the_numbers_of_one(cell: str, reverse: bool, ragged: bool) -> None:
    """A batch smaller than the number of threads splits the hidden units: 2 samples and 5 threads make teams of 2."""
    p = make(cell, Shape(300, 2, 40, 277), ragged=ragged, reverse=reverse, truncate=64).to(torch.float32)
    torch.set_num_threads(1)
    alone = solve(p)
    torch.set_num_threads(5)
    for _ in range(3):
        together = solve(p)
        for name, value in alone.items():
            if name in WEIGHTS or name in ("grad_h", "grad_carry", "grad_c", "norms"):
                scale = float(value.abs().max())
                torch.testing.assert_close(together[name], value, rtol=2e-6, atol=2e-6 * scale, msg=name)
            else:
                assert torch.equal(together[name], value), name
