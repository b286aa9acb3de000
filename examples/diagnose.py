"""A network that does not learn, what a monitor says about it, and the cure applied.

    python examples/diagnose.py

The task: remember which of eight symbols came first, after so many steps of noise. A plain RNN with torch's initial
weights stays at chance, and nothing in its loss says why. The monitor's first finding does, and names one call; the
same network, after that call and with nothing else changed, learns.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import seqgrad as sg

SYMBOLS, NOISE = 8, 0.1


class Memory(nn.Module):
    """Sequences ``[T, N, 8]`` to scores ``[N, 8]`` of their first symbol."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rnn = sg.RNN(SYMBOLS, hidden)
        self.score = nn.Linear(hidden, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        """Reads the last hidden state alone."""
        return self.score(self.rnn(x)[0][-1])


def batch(length: int, size: int) -> tuple[Tensor, Tensor]:
    """Noise ``[T, N, 8]`` with a symbol in the first step, and the symbols ``[N]``."""
    symbols = torch.randint(SYMBOLS, (size,))
    x = NOISE * torch.randn(length, size, SYMBOLS)
    x[0] += nn.functional.one_hot(symbols, SYMBOLS)
    return x, symbols


def train(model: Memory, options: argparse.Namespace) -> tuple[list[float], sg.Monitor]:
    """The losses, and the monitor that watched."""
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    monitor = sg.Monitor(model, every=50, on_finding=None)
    losses = []
    for _ in range(options.steps):
        x, symbols = batch(options.length, options.batch)
        with monitor:
            loss = nn.functional.cross_entropy(model(x), symbols)
            loss.backward()
        monitor.step(loss)
        sg.clip.grad_norm_(model, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, monitor


def report(name: str, losses: list[float], monitor: sg.Monitor) -> None:
    last = sum(losses[-20:]) / len(losses[-20:])
    series = monitor.history.figures("rnn.l0")
    reach, share = series["horizon"][-1], series["ratio"][-1]
    print(f"{name}: loss {losses[0]:.3f} at first, {last:.3f} at last; guessing gives {math.log(SYMBOLS):.3f}")
    print(f"  at last the gradient reaches back {reach:.0f} steps; {share:.1e} of it is left at the first one\n")


def run(options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Losses before and after the cure."""
    torch.manual_seed(options.seed)
    model = Memory(options.hidden)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    before, monitor = train(model, options)
    report("as it was", before, monitor)
    finding = next((f for f in monitor.history.findings if f.rule == "Vanishing"), None)
    if finding is None:
        print("the monitor found nothing that vanishes: try a longer sequence, --length 200")
        return before, []
    print(f"the monitor, at step {finding.since}:\n  {finding}\n")
    model.load_state_dict(start)
    print(f">>> {finding.action}\n")
    eval(finding.action, {"seqgrad": sg, "model": model})  # an action is Python, in these names and a few more
    after, monitor = train(model, options)
    report("cured", after, monitor)
    return before, after


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Watch a network fail to learn, be told why, and see it learn.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--length", type=positive, default=100, help="steps between the symbol and the question")
    add("--hidden", type=positive, default=64, help="size of the hidden state")
    add("--steps", type=positive, default=400, help="training steps, before and after")
    add("--batch", type=positive, default=32, help="sequences in a batch")
    add("--lr", type=above_zero, default=1e-3, help="learning rate")
    add("--seed", type=int, default=0, help="of weights and data")
    add("--threads", type=positive, default=torch.get_num_threads(), help="threads of torch")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def above_zero(text: str) -> float:
    """A finite number above 0."""
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


if __name__ == "__main__":
    chosen = parse()
    torch.set_num_threads(chosen.threads)
    run(chosen)
