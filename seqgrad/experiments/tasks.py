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
