"""A network that reads a sentence word by word and answers at its end; how the agreement experiments train it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._tasks_agreement import Agreement

CELLS = ("rnn", "gru", "lstm")
EMBED, HIDDEN, BATCH, RATE, CLIP = 16, 32, 64, 3e-3, 1.0


class Reader(nn.Module):
    """Embedding, one recurrent layer as torch initialises it, a linear head on the state after the last word."""

    def __init__(self, cell: str, vocabulary: int, answers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, EMBED)
        self.rnn: Any = {"rnn": sg.RNN, "gru": sg.GRU, "lstm": sg.LSTM}[cell](EMBED, HIDDEN)
        self.head = nn.Linear(HIDDEN, answers)

    def forward(self, text: Agreement) -> Tensor:
        """Scores ``[N, answers]``."""
        _, state = self.rnn(self.embed(text.words), lengths=text.lengths)
        return self.head((state[0] if isinstance(state, tuple) else state)[-1])

    @torch.no_grad()
    def answer(self, text: Agreement) -> Tensor:
        """The best answer to each sentence, ``[N]``."""
        return self(text).argmax(1)

    def right(self, text: Agreement) -> Tensor:
        """Which answers are right, bool ``[N]``."""
        return self.answer(text) == text.labels


class Teacher:
    """Trains a reader on ``data``, a batch of 64 sentences at a time, none seen twice."""

    def __init__(self, reader: Reader, data: Agreement) -> None:
        self.reader, self.data, self.seen = reader, data, 0
        self.optimizer = torch.optim.Adam(reader.parameters(), RATE, fused=True)

    def step(self) -> None:
        """One training step."""
        batch = self.data.part(slice(self.seen, self.seen + BATCH))
        self.seen += BATCH
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.reader(batch), batch.labels).backward()
        sg.clip.grad_norm_(self.reader, CLIP)
        self.optimizer.step()
