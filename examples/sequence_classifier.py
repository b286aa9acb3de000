"""Code, comment or documentation? A classifier of single lines of Python, in packed batches of ragged length.

    python examples/sequence_classifier.py                  # a minute on a laptop
    python examples/sequence_classifier.py --layers torch   # the same numbers, slower

The lines come from Python's own standard library: what the parser calls a docstring, what the tokenizer calls a comment
(without its #), and the code that is left. A bidirectional layer reads each line character by character, from both ends
to the other, and its two final states decide. Lines differ in length, so batches are packed: no padding is computed.
"""

from __future__ import annotations

import argparse
import ast
import math
import random
import sysconfig
import time
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import seqgrad as sg

LAYERS = {"torch": torch.nn, "seqgrad": sg}
CELLS = ("GRU", "LSTM", "RNN")
KINDS = ("code", "comment", "documentation")
SHORTEST, LONGEST = 8, 100  # characters of a line
ALPHABET = 128  # ASCII; anything else counts as character 0


# -- lines -------------------------------------------------------------------------------------------------------------
def lines_of(source: str) -> Iterator[tuple[str, int]]:
    """Each line of a Python source without its indentation and marks, and the number of its kind."""
    lines = source.splitlines()
    kinds = [0] * (len(lines) + 1)  # from line 1 on
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            text = node.body[0]
            for number in range(text.lineno, (text.end_lineno or text.lineno) + 1):
                kinds[number] = 2
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            kinds[token.start[0]] = 1
    for line, kind in zip(lines, kinds[1:], strict=True):
        yield line.strip().strip("#\"'").strip(), kind


def standard_library(per_kind: int) -> list[tuple[str, int]]:
    """``per_kind`` different lines of each kind, from as many modules of the standard library as that takes."""
    found: list[dict[str, int]] = [{} for _ in KINDS]
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        if all(len(lines) >= per_kind for lines in found):
            break
        for text, kind in lines_of(path.read_text(encoding="utf-8")):
            if SHORTEST <= len(text) <= LONGEST:
                found[kind][text] = kind
    return [line for lines in found for line in list(lines.items())[:per_kind]]


def encode(text: str) -> Tensor:
    """``[T]`` character codes."""
    return torch.tensor([code if code < ALPHABET else 0 for code in map(ord, text)])


# -- model -------------------------------------------------------------------------------------------------------------
class Classifier(nn.Module):
    """Packed characters to scores ``[N, 3]``."""

    def __init__(self, layers: str, cell: str, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(ALPHABET, embedding)
        recurrent = getattr(LAYERS[layers], cell)  # the one line in which the two differ
        self.rnn = recurrent(embedding, hidden, bidirectional=True)
        self.score = nn.Linear(2 * hidden, len(KINDS))

    def forward(self, lines: PackedSequence) -> Tensor:
        """Scores in the order in which the lines were packed."""
        characters, sizes, order, back = lines
        _, state = self.rnn(PackedSequence(self.embed(characters), sizes, order, back))
        final = state[0] if isinstance(state, tuple) else state  # [2, N, H]: each direction at its own end
        return self.score(torch.cat([final[0], final[1]], dim=1))


# -- training ----------------------------------------------------------------------------------------------------------
class Training:
    """The model, its lines and its optimizer, from the options of the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        lines = standard_library(options.lines)
        self.order = random.Random(options.seed)
        self.order.shuffle(lines)
        data = [(encode(text), kind) for text, kind in lines]
        cut = len(data) * 9 // 10
        self.train, self.valid, self.texts = data[:cut], data[cut:], [text for text, _ in lines[cut:]]
        torch.manual_seed(options.seed)
        self.model = Classifier(options.layers, options.cell, options.embedding, options.hidden)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=options.lr)
        self.monitor = None
        if options.monitor:
            self.monitor = sg.Monitor(self.model, sinks=[sg.sinks.JSONL(options.monitor)])

    def batches(self, data: list[tuple[Tensor, int]]) -> Iterator[tuple[PackedSequence, Tensor]]:
        """Packed lines and their kinds ``[N]``."""
        for start in range(0, len(data), self.options.batch):
            lines, kinds = zip(*data[start : start + self.options.batch], strict=True)
            yield pack_sequence(list(lines), enforce_sorted=False), torch.tensor(kinds)

    def epoch(self) -> Iterator[float]:
        """Once through the lines in a new order; gives the loss of each batch after its optimizer step."""
        self.model.train()
        self.order.shuffle(self.train)
        for lines, kinds in self.batches(self.train):
            self.optimizer.zero_grad()
            with self.monitor or nullcontext():
                loss = nn.functional.cross_entropy(self.model(lines), kinds)
                loss.backward()
            if self.monitor:
                self.monitor.step(loss)
            self.optimizer.step()
            yield loss.item()

    @torch.no_grad()
    def validate(self) -> Tensor:
        """``[held-out lines]`` kinds that the model gives them."""
        self.model.eval()
        return torch.cat([self.model(lines).argmax(dim=1) for lines, _ in self.batches(self.valid)])


def run(options: argparse.Namespace) -> Training:
    """Train, report, and show what was mistaken for what."""
    training = Training(options)
    truth = torch.tensor([kind for _, kind in training.valid])
    count = sum(p.numel() for p in training.model.parameters())
    print(f"{len(training.train)} lines to learn, {len(truth)} held out; {count} parameters; "
          f"{options.layers}.{options.cell}")  # fmt: skip
    given = truth
    for epoch in range(1, options.epochs + 1):
        began = time.perf_counter()
        losses = list(training.epoch())
        per_batch = 1000 * (time.perf_counter() - began) / len(losses)
        given = training.validate()
        print(f"epoch {epoch}  {per_batch:5.1f} ms a batch  loss {math.fsum(losses) / len(losses):.4f}  "
              f"held out: {(given == truth).float().mean():.1%} right")  # fmt: skip
    for k, kind in enumerate(KINDS):
        shares = [float((given[truth == k] == other).float().mean()) for other in range(len(KINDS))]
        print(f"{kind:>13}: " + ", ".join(f"{s:5.1%} {name}" for s, name in zip(shares, KINDS, strict=True)))
    for k in (given != truth).nonzero().flatten()[: options.show].tolist():
        print(f"  {KINDS[int(truth[k])]}, taken for {KINDS[int(given[k])]}: {training.texts[k]}")
    if training.monitor is not None:
        training.monitor.close()
    return training


# -- command line ------------------------------------------------------------------------------------------------------
def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Tell lines of code, comments and documentation apart, character by character.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--layers", choices=sorted(LAYERS), default="seqgrad", help="whose recurrent layers")
    add("--cell", choices=CELLS, default="GRU", help="kind of recurrent layer")
    add("--lines", type=positive, default=4000, help="lines of each kind, a tenth of them held out")
    add("--embedding", type=positive, default=32, help="numbers per character")
    add("--hidden", type=positive, default=64, help="size of the hidden state, per direction")
    add("--batch", type=positive, default=64, help="lines in a batch")
    add("--lr", type=above_zero, default=3e-3, help="learning rate")
    add("--epochs", type=positive, default=5, help="times through the lines")
    add("--show", type=natural, default=5, help="mistakes to show at the end")
    add("--monitor", type=Path, default=None, metavar="FILE", help="watch the gradients; write a run file")
    add("--seed", type=int, default=0, help="of weights and order")
    add("--threads", type=positive, default=torch.get_num_threads(), help="threads of torch")
    options = parser.parse_args(arguments)
    if options.monitor and options.layers == "torch":
        parser.error("--monitor sees into seqgrad's layers alone: leave out --layers torch")
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


if __name__ == "__main__":
    chosen = parse()
    torch.set_num_threads(chosen.threads)
    run(chosen)
