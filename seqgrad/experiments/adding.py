"""The adding problem: RNN, IRNN, GRU, and the LSTM with and without a forget bias, beside their gradient flow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from seqgrad.experiments import tasks
from seqgrad.experiments._measure import Setup
from seqgrad.experiments._result import Progress, positive
from seqgrad.experiments._training import Arm, Task
from seqgrad.experiments._trials import Trials, train
from seqgrad.experiments.claims import Claim

FLOOR = 1 / 6  # variance of the sum of two numbers from U(0, 1)
LENGTH, STEPS = 50, 4000
TASK = Task(tasks.adding, nn.functional.mse_loss, nn.functional.mse_loss, inputs=2, outputs=1, learnt=0.02, goal=0.02)
ARMS: dict[str, Arm] = {
    "rnn": Arm(Setup("rnn"), 2e-3),
    "irnn": Arm(Setup("rnn", "identity", nonlinearity="relu"), 1e-3, input_std=1e-3),
    "gru": Arm(Setup("gru"), 5e-3),
    "lstm": Arm(Setup("lstm"), 5e-3),
    "lstm_forget_one": Arm(Setup("lstm", keep=1.0), 5e-3),
}


class Adding(Trials):
    """``score`` is the mean squared error on 1000 fresh samples; 1/6 is what always answering 1 costs."""

    name: ClassVar[str] = "adding"
    task = TASK
    arms = ARMS

    @property
    def floor(self) -> float:
        """1/6, the error of always answering 1."""
        return FLOOR


def adding(
    networks: Sequence[str] = tuple(ARMS), *, length: int = LENGTH, steps: int = STEPS, seeds: int = 5,
    workers: int = 1, progress: bool | Progress = False,
) -> Adding:  # fmt: skip
    """Train each of ``networks`` (rnn, irnn, gru, lstm, lstm_forget_one) to add two marked numbers out of ``length``.

    64 units, Adam (RNN 2e-3, IRNN 1e-3, GRU and LSTM 5e-3), clipped to norm 1, batches of 32 fresh samples. The IRNN
    is a relu RNN with W_hh = identity, zero biases and W_ih from N(0, 0.001^2). A seed succeeds with an error of at
    most 0.02 on 1000 fresh samples. Trained claims are judged at the full 4000 steps and length 50 only.

    Sources: Hochreiter and Schmidhuber 1997, "Long short-term memory"; Le, Jaitly and Hinton 2015, "A simple way to
    initialize recurrent networks of rectified linear units"; Jozefowicz, Zaremba and Sutskever 2015, "An empirical
    exploration of recurrent network architectures" (forget bias).

    Raises:
        ValueError: an unknown network, or a length or count below its least.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.adding(("gru",), length=10, steps=50, seeds=1)
        >>> len(run.runs["gru"][0].before)  # the gradient at every timestep of the untrained network
        10
    """
    positive("length", length, at_least=2)
    start = time.perf_counter()
    runs = train(
        "adding", TASK, ARMS, networks, length=length, steps=steps, seeds=seeds, workers=workers, progress=progress
    )
    result = Adding(length, steps, seeds, runs)
    result.claims = _judge(result) if length == LENGTH else []
    result.seconds = time.perf_counter() - start
    return result


def _judge(result: Adding) -> list[Claim]:
    untrained = result.judged(
        {
            "adding.rnn_vanishes": (["rnn"], lambda: result.ratio("rnn", trained=False)),
            "adding.irnn_keeps": (["irnn"], lambda: result.ratio("irnn", trained=False)),
            "adding.forget_horizon": (
                ["lstm", "lstm_forget_one"],
                lambda: result.horizon("lstm_forget_one", trained=False) / result.horizon("lstm", trained=False),
            ),
        }
    )
    if result.steps != STEPS:
        return untrained
    return untrained + result.judged(
        {
            "adding.rnn_fails": (["rnn"], lambda: result.score("rnn")),
            "adding.irnn_learns": (["irnn"], lambda: result.score("irnn")),
            "adding.gru_learns": (["gru"], lambda: result.score("gru")),
            "adding.lstm_learns": (["lstm"], lambda: result.score("lstm")),
            "adding.gru_opens": (["gru"], lambda: result.ratio("gru", trained=True)),
            "adding.forget_sooner": (
                ["lstm", "lstm_forget_one"],
                lambda: result.learnt_at("lstm_forget_one") / result.learnt_at("lstm"),
            ),
        }
    )
