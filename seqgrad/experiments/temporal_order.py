"""The temporal order problem: what clipping, Pascanu's Omega, orthogonal weights and gates do for it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from seqgrad.experiments import tasks
from seqgrad.experiments._measure import Setup
from seqgrad.experiments._result import Progress, positive
from seqgrad.experiments._training import Arm, Task
from seqgrad.experiments._trials import Trials, train
from seqgrad.experiments.claims import Claim

LENGTH, STEPS, HIDDEN, OMEGA = 50, 2000, 50, 20.0
_ORTHOGONAL = Setup("rnn", "orthogonal", zero_bias=True)


def accuracy(said: Tensor, target: Tensor) -> Tensor:
    """Share of right answers: ``said [N, C]``, ``target [N]``."""
    return (said.argmax(1) == target).float().mean()


TASK = Task(
    tasks.temporal_order, nn.functional.cross_entropy, accuracy, inputs=6, outputs=4, learnt=0.2, goal=0.9, higher=True
)
ARMS: dict[str, Arm] = {
    "rnn": Arm(Setup("rnn"), 1e-3, HIDDEN),
    "rnn_omega": Arm(Setup("rnn"), 1e-3, HIDDEN, omega=OMEGA),
    "rnn_orthogonal": Arm(_ORTHOGONAL, 1e-3, HIDDEN),
    "rnn_sgd_unclipped": Arm(_ORTHOGONAL, 0.1, HIDDEN, clip=None, optimizer="sgd"),
    "rnn_sgd_clipped": Arm(_ORTHOGONAL, 0.1, HIDDEN, optimizer="sgd"),
    "gru": Arm(Setup("gru"), 5e-3, HIDDEN),
    "lstm": Arm(Setup("lstm"), 5e-3, HIDDEN),
    "lstm_chrono": Arm(Setup("lstm", keep="chrono"), 5e-3, HIDDEN),
}


class TemporalOrder(Trials):
    """``score`` is the accuracy on 1000 fresh samples; chance is 1/4."""

    name: ClassVar[str] = "temporal_order"
    task = TASK
    arms = ARMS

    @property
    def floor(self) -> float:
        """1/4: four answers, equally often."""
        return 0.25

    def per_step(self, network: str, *, trained: bool) -> float:
        """What one step back multiplies the gradient by: geometric mean over the sequence, median of seeds."""
        return self.ratio(network, trained=trained) ** (1 / (self.length - 1))


def temporal_order(
    networks: Sequence[str] = tuple(ARMS), *, length: int = LENGTH, steps: int = STEPS, seeds: int = 5,
    workers: int = 1, progress: bool | Progress = False,
) -> TemporalOrder:  # fmt: skip
    """Train each of ``networks`` to tell in which order two symbols came, from the last of ``length`` states.

    rnn, rnn_omega (Pascanu's regulariser, weight 20), rnn_orthogonal: Adam 1e-3. rnn_sgd_unclipped and rnn_sgd_clipped:
    the orthogonal RNN under plain SGD at 0.1. gru, lstm, lstm_chrono: Adam 5e-3. All have 50 units, batches of 32
    fresh samples and, but for one, clipping to norm 1. A seed succeeds with 90 % of 1000 fresh samples. Trained claims
    are judged at the full 2000 steps and length 50 only.

    Sources: Hochreiter and Schmidhuber 1997, "Long short-term memory"; Pascanu, Mikolov and Bengio 2013, "On the
    difficulty of training recurrent neural networks" (clipping, Omega).

    Raises:
        ValueError: an unknown network, a length below 10, or a count below its least.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.temporal_order(("rnn",), length=10, steps=50, seeds=1)
        >>> run.floor
        0.25
    """
    positive("length", length, at_least=10)
    start = time.perf_counter()
    runs = train(
        "temporal_order", TASK, ARMS, networks, length=length, steps=steps, seeds=seeds, workers=workers,
        progress=progress,
    )  # fmt: skip
    result = TemporalOrder(length, steps, seeds, runs)
    result.claims = _judge(result) if length == LENGTH else []
    result.seconds = time.perf_counter() - start
    return result


def _judge(result: TemporalOrder) -> list[Claim]:
    untrained = result.judged(
        {
            "order.default_vanishes": (["gru"], lambda: result.ratio("gru", trained=False)),
            "order.orthogonal_keeps": (["rnn_orthogonal"], lambda: result.ratio("rnn_orthogonal", trained=False)),
        }
    )
    if result.steps != STEPS:
        return untrained
    return untrained + result.judged(
        {
            "order.rnn_chance": (["rnn"], lambda: result.score("rnn")),
            "order.clipping_cures_nothing": (["rnn"], lambda: result.ratio("rnn", trained=True)),
            "order.omega_learns": (["rnn_omega"], lambda: result.score("rnn_omega")),
            "order.omega_rises": (["rnn_omega"], lambda: _decades(result, "rnn_omega")),
            "order.omega_step": (["rnn_omega"], lambda: result.per_step("rnn_omega", trained=True)),
            "order.orthogonal_learns": (["rnn_orthogonal"], lambda: result.success("rnn_orthogonal")),
            "order.sgd_unclipped": (["rnn_sgd_unclipped"], lambda: result.got_there("rnn_sgd_unclipped")),
            "order.sgd_clipped": (["rnn_sgd_clipped"], lambda: result.got_there("rnn_sgd_clipped")),
            "order.gru_learns": (["gru"], lambda: result.success("gru")),
            "order.lstm_default": (["lstm"], lambda: result.success("lstm")),
            "order.lstm_chrono": (["lstm_chrono"], lambda: result.success("lstm_chrono")),
        }
    )


def _decades(result: TemporalOrder, network: str) -> float:
    """By how many powers of ten training moved the first timestep's gradient, relative to the last's."""
    return math.log10(result.ratio(network, trained=True) / result.ratio(network, trained=False))
