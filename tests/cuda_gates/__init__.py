"""Static gates on the CUDA kernels: what the compiler says of them, what the machine code holds, what fits a device.

No GPU is needed. ``python -m cuda_gates`` (from ``tests``, or ``make cuda``) compiles every kernel for every listed
architecture and fails on warnings, spills, local memory, registers over budget, instructions where none is meant, and
on plans that could not be resident.

    toolkit.py       the compiler, the disassembler and the flags of the product's own build
    compiling.py     one object per kernel file and architecture, in parallel, cached by content
    resources.py     registers, shared memory, stack and spills, as ptxas reports them; budgets.json
    sass.py          instruction counts of the machine code
    rules.py         which instructions must, may and must not be there, and why
    coresidency.py   coresidency.cpp: NVIDIA's occupancy arithmetic over everything that plan() may choose
"""
