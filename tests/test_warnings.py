"""Warnings of native code reach Python once, in eager calls, and cost nothing while there are none."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch

import seqgrad as sg
from seqgrad import _ext, _ops

LINE = "seqgrad: path grid disagrees with path step on this device"


def forward_alone() -> None:
    with torch.no_grad():
        sg.GRU(3, 4)(torch.zeros(2, 1, 3))


def forward_for_training() -> None:
    sg.GRU(3, 4)(torch.zeros(2, 1, 3))


@pytest.mark.parametrize("call", [forward_alone, forward_for_training])
def test_what_a_kernel_warns_of_is_a_python_warning_once(call: Callable[[], None]) -> None:
    source = _ext.Warnings()
    for line in (LINE, LINE + " either"):
        source.keep(line)
    assert source.waiting.value == 2
    with pytest.warns(UserWarning, match="path grid") as caught:
        call()
    assert [str(w.message) for w in caught] == [LINE, LINE + " either"]
    assert source.waiting.value == 0
    call()  # a second warning would be an error here


def test_a_backward_passes_them_on_as_well() -> None:
    out, _ = sg.LSTM(3, 4)(torch.zeros(2, 1, 3))
    _ext.Warnings().keep(LINE)
    with pytest.warns(UserWarning, match="path grid"):
        out.sum().backward()


def test_a_filter_may_make_it_an_error() -> None:
    _ext.Warnings().keep(LINE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="path grid"):
            forward_alone()
    forward_alone()


def test_they_wait_for_the_next_eager_call_while_compiled_code_runs() -> None:
    rnn, x = sg.GRU(3, 4), torch.zeros(2, 1, 3)
    compiled = torch.compile(rnn, backend="eager", fullgraph=True)
    compiled(x)
    _ext.Warnings().keep(LINE)
    compiled(x)
    assert _ops._waiting.value == 1
    with pytest.warns(UserWarning, match="path grid"):
        rnn(x)
