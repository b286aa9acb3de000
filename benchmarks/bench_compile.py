"""What torch.compile does to training and inference: models around a recurrent layer, and layers by themselves.

    python benchmarks/bench_compile.py
    python benchmarks/bench_compile.py --threads 1 --seconds 20 --json compile.json

Each row is one module, called in eager mode and compiled (inductor, fullgraph) in turns; ratios are eager / compiled,
so above 1 the compiled one is faster. ``Linear`` and the model of ``no layer`` have nothing of ours in them: they show
what entering compiled code costs by itself. The second table takes that away: the time of a model less that of the
model without a layer. ``--dropout`` puts dropout between the layers of the models, where inductor's own random numbers
on the CPU cost more than torch's; ``--fallback-random`` makes it take torch's
(``torch._inductor.config.fallback_random``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _timing import interleave, machine
from torch import Tensor, nn
from torch._inductor import config as inductor

import seqgrad as sg

LAYERS = {"RNN": sg.RNN, "GRU": sg.GRU, "LSTM": sg.LSTM}
SIZES = ((1, 1, 16), (32, 50, 64), (32, 100, 128), (32, 100, 256))  # N, T, H
WORDS = 64


class LanguageModel(nn.Module):
    """Embedding, two recurrent layers, tied head, cross entropy: what a compiler finds around a layer."""

    def __init__(self, layer: Callable[..., nn.Module], hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, hidden)
        self.rnn = layer(hidden, hidden, num_layers=2, dropout=dropout)
        self.head = nn.Linear(hidden, WORDS)
        self.head.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        """The loss on predicting ``words [T, N]`` from themselves."""
        out, _ = self.rnn(self.embedding(words))
        return nn.functional.cross_entropy(self.head(out).flatten(0, 1), words.flatten())


class NoLayer(nn.Module):
    """Stands where a recurrent layer would, and does nothing."""

    def __init__(self, *sizes: int, **options: object) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """``x``, and no state."""
        return x, None


class Lone(nn.Module):
    """A layer by itself; its output is all there is."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        out = self.layer(x)
        return out[0] if isinstance(out, tuple) else out


def training(module: nn.Module, call: Callable[..., Tensor], x: Tensor) -> Callable[[], object]:
    """Forward and backward with the gradients of all parameters; the incoming gradient is dense."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    ones = torch.ones_like(call(x))
    return lambda: torch.autograd.grad(call(x), parameters, ones)


def inference(call: Callable[..., Tensor], x: Tensor) -> Callable[[], object]:
    """A call without a graph."""

    def run() -> None:
        with torch.no_grad():
            call(x)

    return run


def measure(name: str, module: nn.Module, x: Tensor, size: str, seconds: float) -> dict[str, Any]:
    """One row: both modes, eager and compiled in turns."""
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True)
    row: dict[str, Any] = {"module": name, "size": size}
    for mode in ("training", "inference"):
        if mode == "training":
            rivals = {"eager": training(module, module, x), "compiled": training(module, compiled, x)}
        else:
            rivals = {"eager": inference(module, x), "compiled": inference(compiled, x)}
        times = interleave(rivals, seconds=seconds / 2)
        row[mode] = {key: t._asdict() for key, t in times.items()}
        row[f"{mode}_ratio"] = times["eager"].median / times["compiled"].median
    return row


def report(row: dict[str, Any]) -> None:
    """The row as a line of the table, times in microseconds."""
    cells = []
    for mode in ("training", "inference"):
        eager, compiled = (row[mode][key]["median"] * 1e6 for key in ("eager", "compiled"))
        cells.append(f"{eager:9.0f} {compiled:9.0f} {row[f'{mode}_ratio']:6.2f}")
    print(f"{row['module']:16} {row['size']:12} {cells[0]}   {cells[1]}", flush=True)


def shares(rows: list[dict[str, Any]]) -> None:
    """The second table: what two recurrent layers add to a model, in eager and in compiled code."""
    print("\nAdded by the layers, µs")
    without = {row["size"]: row for row in rows if row["module"] == "model, no layer"}
    for row in rows:
        if row["module"].startswith("model, ") and row is not (rest := without[row["size"]]):
            cells = []
            for mode in ("training", "inference"):
                added = [(row[mode][key]["median"] - rest[mode][key]["median"]) * 1e6 for key in ("eager", "compiled")]
                cells.append(f"{added[0]:9.0f} {added[1]:9.0f} {added[0] / added[1]:6.2f}")
            print(f"{row['module'][7:]:16} {row['size']:12} {cells[0]}   {cells[1]}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="per row (4)")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--dropout", type=float, default=0.0, help="in the models, between their layers (0)")
    parser.add_argument("--fallback-random", action="store_true", help="compiled code draws torch's random numbers")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    inductor.fallback_random = options.fallback_random
    facts = machine()
    print("  ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"\n{'':16} {'N, T, H':12} {'training, µs: eager, compiled, ratio':27}   inference")
    rows = []
    for N, T, H in SIZES:
        torch.manual_seed(0)
        size, x, words = f"{N}, {T}, {H}", torch.randn(T, N, H), torch.randint(WORDS, (T, N))
        cases: dict[str, tuple[nn.Module, Tensor]] = {"Linear": (Lone(nn.Linear(H, H)), x)}
        cases |= {name: (Lone(LAYERS[name](H, H)), x) for name in options.layers}
        within = {"no layer": NoLayer} | {name: LAYERS[name] for name in options.layers}
        cases |= {f"model, {name}": (LanguageModel(kind, H, options.dropout), words) for name, kind in within.items()}
        for name, (module, data) in cases.items():
            rows.append(measure(name, module, data, size, options.seconds))
            report(rows[-1])
    shares(rows)
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
