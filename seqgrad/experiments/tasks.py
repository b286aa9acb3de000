"""The data of the experiments: made from a generator's seed, or shipped with Python itself."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass

import torch
from torch import Tensor

from seqgrad.experiments._tasks_agreement import Agreement as Agreement
from seqgrad.experiments._tasks_agreement import agreement as agreement

SENTENCE = "The cat, which sat on the mat, was happy."


def first_element(steps: int, batch: int, *, inputs: int = 10, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """The lesson's task: a signal at t=1, silence after it, and the sign of its first number to be told at the end.

    Returns ``x [T, N, inputs]`` and ``y [N]`` (int64, 0 or 1), from torch's current seed.
    """
    x = torch.zeros(steps, batch, inputs)
    x[0] = scale * torch.randn(batch, inputs)
    return x, (x[0, :, 0] > 0).long()


def adding(steps: int, batch: int) -> tuple[Tensor, Tensor]:
    """The adding problem: numbers from U(0, 1), two of them marked, one in each half; their sum is asked at the end.

    Returns ``x [T, N, 2]`` (number and mark) and ``y [N, 1]``. Who always answers 1 errs by 1/6 on average, squared.
    Source: Hochreiter and Schmidhuber 1997, "Long short-term memory", 5.4, with a mark in each half as Arjovsky, Shah
    and Bengio 2016 place them.
    """
    x = torch.zeros(steps, batch, 2)
    x[..., 0] = torch.rand(steps, batch)
    half, rows = steps // 2, torch.arange(batch)
    x[torch.randint(half, (batch,)), rows, 1] = 1
    x[torch.randint(half, steps, (batch,)), rows, 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(0).unsqueeze(1)


def copy_memory(blanks: int, batch: int) -> tuple[Tensor, Tensor]:
    """The copying problem: ten symbols, silence, a signal, and the same ten symbols are asked in their order.

    Returns ``x [T, N, 10]`` (one-hot: eight symbols, blank, signal) and ``y [T, N]`` (int64, 0 to 8), T = blanks + 20:
    ten symbols, ``blanks - 1`` blanks, the signal, ten blanks. Every symbol is asked ``blanks + 10`` steps after it
    was shown. A network without memory does best with ``10 ln 8 / T`` nats a step. Source: Hochreiter and Schmidhuber
    1997; in this form Arjovsky, Shah and Bengio 2016, "Unitary evolution recurrent neural networks".
    """
    blank, signal = 8, 9
    symbols = torch.randint(8, (10, batch))
    y = torch.full((blanks + 20, batch), blank)
    y[-10:] = symbols
    shown = torch.full((blanks + 20, batch), blank)
    shown[:10] = symbols
    shown[blanks + 9] = signal
    return torch.nn.functional.one_hot(shown, 10).float(), y


def temporal_order(steps: int, batch: int) -> tuple[Tensor, Tensor]:
    """The temporal order problem: two of the symbols A and B among four kinds of noise; in which order did they come?

    Returns ``x [T, N, 6]`` (one-hot A, B, four distractors) and ``y [N]`` (int64: AA, AB, BA, BB). The first lies
    between T/10 and 2T/10, the second between 4T/10 and 5T/10. Source: Hochreiter and Schmidhuber 1997, 5.6, in the
    form of Pascanu, Mikolov and Bengio 2013.
    """
    shown = torch.randint(2, 6, (steps, batch))
    first, second = torch.randint(2, (2, batch))
    rows, tenth = torch.arange(batch), steps // 10
    shown[torch.randint(tenth, 2 * tenth + 1, (batch,)), rows] = first
    shown[torch.randint(4 * tenth, 5 * tenth + 1, (batch,)), rows] = second
    return torch.nn.functional.one_hot(shown, 6).float(), 2 * first + second


def word_distance(sentence: str, subject: str, verb: str) -> int:
    """How many steps a network that reads word by word makes from ``subject`` to ``verb``."""
    words = [word.strip(".,").lower() for word in sentence.split()]
    return words.index(verb) - words.index(subject)


@dataclass(frozen=True)
class Text:
    """A text as numbers: ``train`` and ``held_out`` are 1-d int64 tensors, ``alphabet[i]`` the character of i."""

    train: Tensor
    held_out: Tensor
    alphabet: str
    origin: str


def documentation(held_out: float = 0.1, *, limit: int | None = None) -> Text:
    """CPython's own language reference, as shipped in ``pydoc_data.topics`` (about 465 000 characters, English).

    The last ``held_out`` share is kept apart. The text differs a little from one Python version to the next, which is
    why ``origin`` names the version and a checksum.

    Raises:
        RuntimeError: this Python was installed without its documentation text.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must lie between 0 and 1, got {held_out}")
    try:
        from pydoc_data import topics
    except ImportError as missing:
        raise RuntimeError(
            "this Python has no pydoc_data.topics, the text of the character model; install the full standard library"
        ) from missing
    text = "\n\n".join(topics.topics[name] for name in sorted(topics.topics))[:limit]
    alphabet = "".join(sorted(set(text)))
    code = {character: index for index, character in enumerate(alphabet)}
    numbers = torch.tensor([code[character] for character in text])
    cut = int(len(numbers) * (1 - held_out))
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Text(numbers[:cut], numbers[cut:], alphabet, f"Python {platform.python_version()} pydoc_data.topics, {mark}")


def bigram_bits(text: Text, *, smoothing: float = 0.1) -> float:
    """Bits per character on the held-out part of the best simple table: which character follows which, counted."""
    size = len(text.alphabet)
    table = torch.full((size, size), smoothing, dtype=torch.float64)
    ones = torch.ones(len(text.train) - 1, dtype=torch.float64)
    table.index_put_((text.train[:-1], text.train[1:]), ones, accumulate=True)
    share = table / table.sum(1, keepdim=True)
    return float(-share[text.held_out[:-1], text.held_out[1:]].log2().mean())
