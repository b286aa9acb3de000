"""A word-level language model of Python's own documentation, on torch.nn's LSTM or on seqgrad's.

    python examples/language_model.py                      # minutes on a laptop
    python examples/language_model.py --layers torch       # the same numbers, slower
    python examples/language_model.py --monitor run.jsonl  # and: seqgrad show run.jsonl --follow

One weight matrix embeds words and scores them (tied weights: Press & Wolf 2017, Inan et al. 2017). The text is read in
parallel columns from beginning to end; the state goes on from chunk to chunk, the gradient does not (truncated
backpropagation through time). The gradient is clipped, and the rate quartered when the held-out text stops improving.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg

LAYERS = {"torch": torch.nn, "seqgrad": sg}
CELLS = ("LSTM", "GRU", "RNN")
UNKNOWN = "<rare>"


# -- text --------------------------------------------------------------------------------------------------------------
@dataclass
class Corpus:
    """A text as numbers: ``words[train[0]]`` is the first word of the part to learn from."""

    words: list[str]
    train: Tensor
    valid: Tensor


def read(path: Path | None, unit: str, at_least: int = 3) -> Corpus:
    """Words, or characters, that occur ``at_least`` times; the last tenth is held out."""
    try:
        text = "\n".join(topics.values()) if path is None else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SystemExit(f"{path} is no text in UTF-8: {error}") from error
    pieces = re.finditer(r"\w+|([^\w ])\1*", text)  # words, runs of one sign such as ==, ends of lines
    tokens = [piece[0] for piece in pieces] if unit == "word" else list(text)
    counts = Counter(tokens)
    words = [UNKNOWN, *sorted(token for token, count in counts.items() if count >= at_least)]
    number = {word: k for k, word in enumerate(words)}
    ids = torch.tensor([number.get(token, 0) for token in tokens])
    cut = len(ids) * 9 // 10
    return Corpus(words, ids[:cut], ids[cut:])


def columns(ids: Tensor, batch: int) -> Tensor:
    """``[T, N]``: the text cut into N equal parts, side by side."""
    steps = len(ids) // batch
    return ids[: steps * batch].view(batch, steps).t().contiguous()


# -- model -------------------------------------------------------------------------------------------------------------
class LanguageModel(nn.Module):
    """Words ``[T, N]`` to scores ``[T, N, V]`` of the word that follows each."""

    def __init__(self, layers: str, cell: str, vocabulary: int, hidden: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.embed = nn.Embedding(vocabulary, hidden)
        recurrent = getattr(LAYERS[layers], cell)  # the one line in which the two differ
        self.rnn = recurrent(hidden, hidden, num_layers=depth, dropout=dropout if depth > 1 else 0.0)
        self.score = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.zeros_(self.score.bias)
        self.score.weight = self.embed.weight

    def forward(self, words: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores, and the state to go on from."""
        out, state = self.rnn(self.drop(self.embed(words)), state)
        return self.score(self.drop(out)), state


def cross_entropy(scores: Tensor, words: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores.flatten(0, 1), words.flatten())


# -- training ----------------------------------------------------------------------------------------------------------
class Training:
    """The model, its text and its optimizer, from the options of the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.corpus = read(options.text, options.unit)
        self.train, self.valid = columns(self.corpus.train, options.batch), columns(self.corpus.valid, 10)
        if min(len(self.train), len(self.valid)) < 2:
            raise SystemExit(
                f"the text has {len(self.corpus.train)} tokens to learn: too few for {options.batch} columns"
            )
        torch.manual_seed(options.seed)
        self.model = LanguageModel(
            options.layers, options.cell, len(self.corpus.words), options.hidden, options.depth, options.dropout
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=options.lr)
        self.monitor = None
        if options.monitor:
            self.monitor = sg.Monitor(self.model, sinks=[sg.sinks.JSONL(options.monitor)])

    def chunks(self, words: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """``[size, N]`` words and the words that follow them."""
        for x, _, t, _ in sg.tbptt(words[:-1], size=size):
            yield x, words[t + 1 : t + 1 + len(x)]

    def epoch(self) -> Iterator[float]:
        """Once through the text; gives the loss of each chunk after its optimizer step."""
        self.model.train()
        state = None
        for x, y in self.chunks(self.train, self.options.bptt):
            self.optimizer.zero_grad()
            with self.monitor or nullcontext():
                scores, state = self.model(x, sg.detach(state))  # the numbers go on, the graph ends here
                loss = cross_entropy(scores, y)
                loss.backward()
            if self.monitor:
                self.monitor.step(loss)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
            self.optimizer.step()
            yield loss.item()

    @torch.no_grad()
    def validate(self) -> float:
        """Mean loss per token of the held-out text."""
        self.model.eval()
        state, total = None, 0.0
        for x, y in self.chunks(self.valid, 200):
            scores, state = self.model(x, state)
            total += cross_entropy(scores, y).item() * len(x)
        return total / (len(self.valid) - 1)

    @torch.no_grad()
    def write(self, count: int, temperature: float = 0.8) -> str:
        """Let the model go on by itself, token after token."""
        self.model.eval()
        word, state, text = self.corpus.train[:1].view(1, 1), None, []
        for _ in range(count):
            scores, state = self.model(word, state)
            chances = (scores[-1] / temperature).softmax(dim=-1)
            chances[:, 0] = 0  # no <rare>
            word = torch.multinomial(chances, 1)
            text.append(self.corpus.words[int(word)])
        return "".join(text) if self.options.unit == "char" else " ".join(text).replace(" \n ", "\n")


def perplexity(loss: float) -> float:
    return math.exp(min(loss, 700.0))


def run(options: argparse.Namespace) -> Training:
    """Train, report, and write a text."""
    training = Training(options)
    corpus, best = training.corpus, math.inf
    count = sum(p.numel() for p in training.model.parameters())
    print(
        f"{len(corpus.train)} tokens of {len(corpus.words)} kinds; {count} parameters; {options.layers}.{options.cell}"
    )
    for epoch in range(1, options.epochs + 1):
        losses: list[float] = []
        began = time.perf_counter()
        for loss in training.epoch():
            losses.append(loss)
            if len(losses) % options.report == 0:
                lately = sum(losses[-options.report :]) / options.report
                per_chunk = 1000 * (time.perf_counter() - began) / len(losses)
                print(f"epoch {epoch}  chunk {len(losses):5d}  {per_chunk:6.1f} ms each  "
                      f"loss {lately:.3f}  perplexity {perplexity(lately):8.2f}")  # fmt: skip
        valid = training.validate()
        rate = training.optimizer.param_groups[0]["lr"]
        print(f"epoch {epoch}  held out: loss {valid:.3f}  perplexity {perplexity(valid):.2f}  (rate {rate:g})")
        if valid < best:
            best = valid
        else:
            training.optimizer.param_groups[0]["lr"] = rate / 4
    if options.write:
        print(f"\n{training.write(options.write)}")
    if training.monitor is not None:
        training.monitor.close()
    return training


# -- command line ------------------------------------------------------------------------------------------------------
def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a language model on Python's documentation, or on a text of yours.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--layers", choices=sorted(LAYERS), default="seqgrad", help="whose recurrent layers")
    add("--cell", choices=CELLS, default="GRU", help="kind of recurrent layer")
    add("--unit", choices=("word", "char"), default="word", help="what the text is cut into")
    add("--text", type=Path, default=None, help="a text file in UTF-8; none: Python's documentation topics")
    add("--hidden", type=positive, default=200, help="size of embedding and hidden state, the same for tied weights")
    add("--depth", type=positive, default=2, help="recurrent layers on top of each other")
    add("--dropout", type=fraction, default=0.2, help="share of units that are left out")
    add("--batch", type=positive, default=20, help="columns that are read side by side")
    add("--bptt", type=positive, default=35, help="timesteps that the gradient goes back")
    add("--lr", type=above_zero, default=3e-3, help="learning rate to begin with")
    add("--clip", type=above_zero, default=1.0, help="largest norm of the gradient")
    add("--epochs", type=positive, default=6, help="times through the text")
    add("--report", type=positive, default=50, help="print a line every so many chunks")
    add("--write", type=natural, default=120, help="tokens of text to write at the end, 0 for none")
    add(
        "--monitor",
        type=Path,
        default=None,
        metavar="FILE",
        help="watch the gradients; write a run file for `seqgrad show`",
    )
    add("--seed", type=int, default=0)
    add("--threads", type=positive, default=torch.get_num_threads(), help="threads of torch")
    options = parser.parse_args(arguments)
    if options.monitor and options.layers == "torch":
        parser.error("--monitor sees into seqgrad's layers alone: leave out --layers torch")
    if options.text is not None and not options.text.is_file():
        parser.error(f"--text: there is no file {options.text}")
    return options


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def natural(text: str) -> int:
    """A whole number from 0 on."""
    return positive(text) if int(text) else 0


def above_zero(text: str) -> float:
    """A finite number above 0."""
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def fraction(text: str) -> float:
    """From 0 to below 1."""
    if not 0 <= (value := float(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, got {text}")
    return value


if __name__ == "__main__":
    chosen = parse()
    torch.set_num_threads(chosen.threads)
    run(chosen)
