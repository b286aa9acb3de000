"""What the tests of displays draw, and how they look at it."""

from __future__ import annotations

import torch

import seqgrad as sg


def series(values, lengths=None, **changes):
    """A series from ``values [T, N]``."""
    data = torch.tensor(values, dtype=torch.float64).unsqueeze(0)
    options = {"layer": "rnn", "name": "l0", "cell": "rnn_tanh", "reverse": False, "quantities": ("grad_h",)}
    return sg.Series(**{**options, "data": data, "lengths": lengths, **changes})


def recorded(rnn, steps=12, batch=4, **options):
    torch.manual_seed(0)
    with sg.record(rnn) as rec:
        rnn(torch.randn(steps, batch, 3), **options)[0][-1].sum().backward()
    return rec


def labels(legend):
    return [text.get_text() for text in legend.get_texts()]
