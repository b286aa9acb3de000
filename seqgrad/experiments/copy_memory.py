"""The copying problem: an orthogonal RNN keeps its gradient and learns nothing; time scales in the gates learn it."""

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

BLANKS, STEPS = 20, 4000


def cross_entropy(said: Tensor, target: Tensor) -> Tensor:
    """Mean over steps and samples, in nats: ``said [T, N, C]``, ``target [T, N]``."""
    return nn.functional.cross_entropy(said.flatten(0, 1), target.flatten())


def floor_of(blanks: int) -> float:
    """``10 ln 8 / (blanks + 20)``: ten symbols guessed, everything else known."""
    return 10 * math.log(8) / (blanks + 20)


def task_of(blanks: int) -> Task:
    """The task counts as learnt at half of the floor: half of what is to be remembered is."""
    half = floor_of(blanks) / 2
    return Task(
        tasks.copy_memory, cross_entropy, cross_entropy, inputs=10, outputs=9, learnt=half, goal=half, every_step=True
    )


ARMS: dict[str, Arm] = {
    "rnn": Arm(Setup("rnn"), 1e-3),
    "rnn_orthogonal": Arm(Setup("rnn", "orthogonal", zero_bias=True), 1e-3),
    "lstm": Arm(Setup("lstm"), 5e-3),
    "lstm_forget_one": Arm(Setup("lstm", keep=1.0), 5e-3),
    "lstm_chrono": Arm(Setup("lstm", keep="chrono"), 5e-3),
    "gru_chrono": Arm(Setup("gru", keep="chrono"), 5e-3),
}


class CopyMemory(Trials):
    """``score`` is the cross-entropy on 1000 fresh samples, nats a step; ``length`` counts the blanks."""

    name: ClassVar[str] = "copy_memory"
    arms = ARMS

    @property
    def task(self) -> Task:  # type: ignore[override]
        """The task of this length."""
        return task_of(self.length)

    @property
    def floor(self) -> float:
        """``10 ln 8 / (blanks + 20)``, the loss of a network without memory."""
        return floor_of(self.length)


def copy_memory(
    networks: Sequence[str] = tuple(ARMS), *, blanks: int = BLANKS, steps: int = STEPS, seeds: int = 5,
    workers: int = 1, progress: bool | Progress = False,
) -> CopyMemory:  # fmt: skip
    """Train each of ``networks`` to repeat ten symbols after ``blanks`` steps of silence.

    They are rnn, rnn_orthogonal, lstm, lstm_forget_one, lstm_chrono and gru_chrono: 64 units, Adam (RNN 1e-3, gated
    5e-3), clipped to norm 1, batches of 32 fresh samples. Chrono biases are drawn for memories up to the whole length,
    ``blanks + 20``. A seed succeeds with a loss of at most half of the floor on 1000 fresh samples. The gradient flow
    is that of the loss on the last symbol alone. Trained claims are judged at 4000 steps and 20 blanks only.

    Sources: Hochreiter and Schmidhuber 1997, "Long short-term memory"; Arjovsky, Shah and Bengio 2016, "Unitary
    evolution recurrent neural networks"; Tallec and Ollivier 2018, "Can recurrent neural networks warp time?" (chrono).

    Raises:
        ValueError: an unknown network, or a length or count below its least.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.copy_memory(("rnn",), blanks=5, steps=50, seeds=1)
        >>> round(run.floor, 3)
        0.832
    """
    positive("blanks", blanks)
    start = time.perf_counter()
    runs = train(
        "copy_memory", task_of(blanks), ARMS, networks, length=blanks, steps=steps, seeds=seeds, workers=workers,
        progress=progress,
    )  # fmt: skip
    result = CopyMemory(blanks, steps, seeds, runs)
    result.claims = _judge(result) if blanks == BLANKS else []
    result.seconds = time.perf_counter() - start
    return result


def _judge(result: CopyMemory) -> list[Claim]:
    untrained = result.judged(
        {
            "copy.orthogonal_keeps": (["rnn_orthogonal"], lambda: result.ratio("rnn_orthogonal", trained=False)),
            "copy.default_vanishes": (["lstm"], lambda: result.ratio("lstm", trained=False)),
            "copy.chrono_keeps": (["lstm_chrono"], lambda: result.ratio("lstm_chrono", trained=False)),
        }
    )
    if result.steps != STEPS:
        return untrained
    return untrained + result.judged(
        {
            "copy.rnn_floor": (["rnn"], lambda: result.score("rnn") / result.floor),
            "copy.orthogonal_floor": (["rnn_orthogonal"], lambda: result.score("rnn_orthogonal") / result.floor),
            "copy.lstm_default": (["lstm"], lambda: result.success("lstm")),
            "copy.forget_one": (["lstm_forget_one"], lambda: result.score("lstm_forget_one")),
            "copy.lstm_chrono": (["lstm_chrono"], lambda: result.score("lstm_chrono")),
            "copy.gru_chrono": (["gru_chrono"], lambda: result.score("gru_chrono")),
        }
    )
