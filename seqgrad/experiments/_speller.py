"""A character model of any cell: how it is built, fed, tested, probed and made to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._reach import Reach, reach_of
from seqgrad.experiments.tasks import Text

LENGTH, BATCH, EMBED = 100, 32, 32


class Speller(nn.Module):
    """Embedding, one recurrent layer, one linear head: characters ``[T, N]`` to scores ``[T, N, V]``."""

    def __init__(self, alphabet: int, make_layer: Callable[[int], Any]) -> None:
        super().__init__()
        self.embed = nn.Embedding(alphabet, EMBED)
        self.rnn: Any = make_layer(EMBED)
        self.head = nn.Linear(self.rnn.hidden_size, alphabet)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores ``[T, N, V]`` and the layer's state."""
        out, state = self.rnn(self.embed(x), state)
        return self.head(out), state


def window(text: Text) -> Tensor:
    """``[LENGTH + 1, BATCH]`` characters from random places of the training text."""
    starts = torch.randint(0, len(text.train) - LENGTH - 1, (BATCH,))
    return text.train[starts + torch.arange(LENGTH + 1).unsqueeze(1)]


def held_out(text: Text, readers: int = 64) -> Tensor:
    """The held-out text as ``[T, readers]`` strands, read side by side."""
    size = (len(text.held_out) - 1) // readers
    return text.held_out[: readers * size].view(readers, size).t()


def loss_of(model: Speller, characters: Tensor) -> Tensor:
    """Mean loss in nats of telling each of ``characters [T + 1, N]`` from those before it."""
    scores, _ = model(characters[:-1])
    return nn.functional.cross_entropy(scores.flatten(0, 1), characters[1:].flatten())


@torch.no_grad()
def held_out_bits(model: Speller, text: Text, *, length: int | None = None) -> float:
    """Bits per character on all of the held-out text: 64 readers with a stretch each, or stretches of ``length``."""
    readers = 64 if length is None else (len(text.held_out) - 1) // (length + 1)
    return float(loss_of(model, held_out(text, readers))) / math.log(2)


def last_character(model: Speller, text: Text) -> Any:
    """The recorded series of one backward from the *last* character of 64 held-out windows.

    A loss at every step would feed every timestep directly and hide how far the gradient travels. The loss is a sum
    over windows divided by the batch size of training, whose size of gradient a ``state_clip`` then meets.
    """
    strands = held_out(text)[: LENGTH + 1]
    with sg.record(model) as rec:
        scores, _ = model(strands[:-1])
        (nn.functional.cross_entropy(scores[-1], strands[-1], reduction="sum") / BATCH).backward()
    model.zero_grad()
    return rec["rnn"].l0


def probe(model: Speller, text: Text) -> Reach:
    """How far the gradient of the last character reaches."""
    return reach_of(last_character(model, text))


def write(model: Speller, text: Text, *, start: str = "The ", characters: int = 240, temperature: float = 0.6) -> str:
    """Let the model continue ``start``, one character at a time."""
    code = {character: index for index, character in enumerate(text.alphabet)}
    written = [code[character] for character in start if character in code] or [0]
    state, x = None, torch.tensor(written)[:, None]
    with torch.no_grad():
        for _ in range(characters):
            scores, state = model(x, state)
            written.append(int(torch.multinomial((scores[-1, 0] / temperature).softmax(0), 1)))
            x = torch.tensor([[written[-1]]])
    return "".join(text.alphabet[index] for index in written)
