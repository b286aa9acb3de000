"""Which instructions must, may and must not be in which kernel, each with its reason."""

from __future__ import annotations

from typing import Any

from .sass import Rule

RESIDENT = r"\bresident_(forward|backward)_kernel<"
FLOAT = RESIDENT + "float,"
FLOAT16 = RESIDENT + "__half,"
BFLOAT16 = RESIDENT + "__nv_bfloat16,"


def resident(name: str, opcodes: str, **law: Any) -> tuple[Rule, Rule]:
    """One rule for all resident kernels; those of bfloat16 are empty before 8.0, where plan() never chooses them."""
    return (
        Rule(name, opcodes, kernels=RESIDENT + "(float|__half),", **law),
        Rule(name, opcodes, kernels=BFLOAT16, since=80, **law),
    )


# What is in the machine code of every architecture.
SASS = (
    Rule(
        "local memory",
        r"(LDL|STL)\b.*",
        most=0,
        reason="a step's values are in registers or planned shared memory; local memory costs its latency every step",
    ),
    Rule(
        "float atomics",
        r"(RED|REDG|ATOM|ATOMG|ATOMS)\..*\b(F16|BF16|F32|F64)\b.*|ATOM\w*\..*CAS.*",
        most=0,
        reason="the order of their sums, and so the result, would change from run to run",
    ),
    Rule(
        "double",
        r"D(ADD|MUL|FMA|SETP|MNMX)\b.*",
        most=0,
        kernels=r"^(?!.*<double)",
        reason="small devices do a 32nd or 64th as many of them; only kernels of float64 are meant to",
        exceptions={
            r"\bresident_backward_kernel<": "one lane per segment combines scaled sums of squares (norms, clipping)",
            r"\bstep_(backward|state)_kernel<": "the factor of clipping by norm, once per sample: root times scale may "
            "leave float's range",
        },
    ),
    Rule(
        "tensor cores",
        r"HMMA\.\d+\.F32",
        least=1,
        kernels=FLOAT16,
        reason="the product of a step runs on tensor cores, summed in float",
    ),
    Rule(
        "tensor cores",
        r"HMMA\.\d+\.F32\.BF16",
        least=1,
        kernels=BFLOAT16,
        since=80,
        reason="the product of a step runs on tensor cores, summed in float",
    ),
    Rule(
        "tensor cores",
        r"([HIDBQ]|[HIQ]G|UT\w+)MMA\b.*",
        most=0,
        kernels=r"^(?!.*\bresident_(forward|backward)_kernel<__)",
        reason="float32 is multiplied as float32, not rounded to TF32, and the other kernels multiply nothing",
    ),
    Rule(
        "empty body",
        r"(LDG|STG|BAR)\b.*",
        most=0,
        kernels=BFLOAT16,
        until=75,
        reason="no tensor cores for bfloat16 before 8.0: plan() never chooses it, code would only take room",
    ),
    Rule(
        "product in registers",
        r"FFMA\b.*",
        least=128,
        kernels=FLOAT,
        reason="two tiles of 4 x 4 sums, four columns of K at a time, unrolled",
    ),
    Rule(
        "vector loads",
        r"LDS\..*128.*",
        least=8,
        kernels=FLOAT,
        reason="shared memory is the float product's bound: four floats per load",
    ),
    Rule(
        "scope",
        r"(MEMBAR|FENCE)\..*SYS.*|.*STRONG\.SYS.*",
        most=0,
        reason="nobody beyond the device takes part; waiting for the host's memory would cost microseconds",
    ),
    *resident(
        "block barrier",
        r"BAR\.(SYNC|RED).*",
        least=4,
        reason="after loading the weights, before and after each product, and in the barrier between blocks",
    ),
    *resident(
        "non-coherent load",
        r"LDG\..*CONSTANT.*|TLD.*|TEX.*",
        most=0,
        reason="other blocks write what is read while the kernel runs; this cache would not see it",
    ),
    *resident(
        "exchanged state",
        r"LDG?\.E\b.*STRONG\.GPU.*",
        least=2,
        reason="the state of other blocks and the counter of their arrival are read past the first cache",
    ),
    *resident(
        "arrival",
        r"(RED|REDG|ATOM|ATOMG)\.E\.ADD\.STRONG\.GPU.*",
        least=1,
        reason="a block announces its part of the state on the counter of its group",
    ),
    *resident(
        "release",
        r"MEMBAR\..*GPU.*",
        least=1,
        reason="what a block wrote must be visible on the device before its arrival is",
    ),
    *resident(
        "acquire",
        r"CCTL\.IVALL.*",
        least=1,
        reason="after the wait, nothing may be served from what the first cache held before it",
    ),
)

# What is in the PTX that devices newer than all of ours compile for themselves.
PTX = (
    Rule(
        "float atomics",
        r"(red|atom)\..*\.b?f(16|32|64)\S*|atom\..*cas.*",
        most=0,
        reason="the order of their sums, and so the result, would change from run to run",
    ),
    *resident(
        "non-coherent load",
        r"ld\.global\.(\w+\.)*nc\b.*|tex\..*|tld.*",
        most=0,
        reason="other blocks write what is read while the kernel runs; this cache would not see it",
    ),
    *resident(
        "exchanged state",
        r"ld\.global\.cg\b.*|ld\.acquire\.gpu\b.*",
        least=2,
        reason="the state of other blocks and the counter of their arrival are read past the first cache",
    ),
)
