"""Small models in training under a monitor, for the tests of the monitor."""

from __future__ import annotations

import torch
from torch import nn

import seqgrad as sg
from seqgrad.monitor import Monitor

T, N, I, H = 12, 3, 4, 8  # noqa: E741 - the letters of the formulas


class Reader(nn.Module):
    def __init__(self, rnn=None):
        super().__init__()
        self.rnn = sg.GRU(I, H) if rnn is None else rnn
        self.head = nn.Linear(H, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])


def data():
    return torch.randn(T, N, I)


def watch(model, **options):
    return Monitor(model, **{"every": 1, "on_finding": None, **options})


def train(mon, model, steps=1, batch=data):
    found = []
    for _ in range(steps):
        with mon:
            model(batch()).square().mean().backward()
        found = mon.step()
        model.zero_grad()
    return found


def broken_rnn(gain=1.5):
    """Explodes at x = h = 0: norm gain^lag."""
    rnn = sg.init.identity_(sg.RNN(I, H), gain)
    return Reader(rnn)


def zeros(steps=40):
    return lambda: torch.zeros(steps, N, I)
