"""The gates on CUDA kernels: their parsers on real output, and planted failures, each of which must be found."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from cuda_gates import compiling, report, resources, rules, sass
from cuda_gates.findings import Finding, Kernel, lines
from cuda_gates.names import readable, short, without_parameters
from cuda_gates.resources import Budget, Resources
from cuda_gates.sass import Rule
from cuda_gates.toolkit import ROOT, ToolkitError, literal, product_build

PTXAS = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z12clean_kernelIdEv1P' for 'sm_90'
ptxas info    : Function properties for _Z12clean_kernelIdEv1P
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 14 registers, used 1 barriers, 256 bytes smem, 400 bytes cmem[0]
ptxas info    : Compile time = 2.108 ms
ptxas info    : Compiling entry function '_Z12spill_kernel1P' for 'sm_90'
ptxas info    : Function properties for _Z12spill_kernel1P
    256 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 30 registers, used 0 barriers, 256 bytes cumulative stack size
"""

NVDISASM = """
\t.section\t.text._Z8a_kernel1P,"ax",@progbits
\t.sectioninfo\t@"SHI_REGISTERS=26"
_Z8a_kernel1P:
.text._Z8a_kernel1P:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDG.E.CONSTANT R4, desc[UR6][R2.64] ;
        /*0020*/              @UP0 UMOV UR4, 0x400 ;
        /*0030*/                   HMMA.16816.F32 R4, R8, R2, R4 ;
        /*0040*/                   HMMA.16816.F32 R4, R8, R2, R4 ;
.L_x_0:
        /*10050*/                  BRA `(.L_x_0);
        /*10060*/                  CALL.REL.NOINC `($_Z8a_kernel1P$__internal_0_$__cuda_sm20_rem_s64) ;
\t.section\t.nv.constant0._Z8a_kernel1P,"a",@progbits
        /*0000*/ \t.byte\t0x00
\t.section\t.text._Z8b_kernel1P,"ax",@progbits
        /*0000*/                   EXIT ;
"""

A, B = Kernel("a.cu", "a_kernel<float>"), Kernel("b.cu", "b_kernel")


REMAINDER = "CALL.REL.NOINC __cuda_sm20_rem_s64"


def resident(kind: str = "__half") -> Kernel:
    return Kernel("a.cu", f"resident_forward_kernel<{kind}, Gru>")


def names_of(found: list[Finding]) -> set[str]:
    return {finding.gate for finding in found}


def test_resources_are_read_as_ptxas_writes_them() -> None:
    assert resources.parse(PTXAS) == {
        "_Z12clean_kernelIdEv1P": Resources(registers=14, shared=256, barriers=1, stack=0, spills=0),
        "_Z12spill_kernel1P": Resources(registers=30, shared=0, barriers=0, stack=256, spills=20),
    }


def test_spills_and_stack_are_findings() -> None:
    used = {(A, 90): Resources(30, 0, 0, 256, 20), (B, 90): Resources(30, 0, 0, 0, 0)}
    assert {(f.gate, f.subject) for f in resources.check_memory(used)} == {("spill", str(A)), ("local memory", str(A))}


@pytest.mark.parametrize("field", Budget._fields)
def test_a_kernel_over_its_budget_is_a_finding(field: str) -> None:
    used = {(A, 80): Resources(30, 128, 1, 0, 0), (A, 90): Resources(31, 128, 1, 0, 0)}
    exact = Budget(31, 128, 1)
    assert resources.check_budgets(used, {A: exact}, ["a.cu"]) == []
    (found,) = resources.check_budgets(used, {A: exact._replace(**{field: 0})}, ["a.cu"])[:1]
    assert found.gate == "budget"
    assert found.message.startswith(f"{field} ")


def test_a_budget_names_the_architecture_that_breaks_it() -> None:
    used = {(A, 80): Resources(30, 0, 1, 0, 0), (A, 90): Resources(40, 0, 1, 0, 0)}
    (found,) = resources.check_budgets(used, {A: Budget(30, 0, 1)}, ["a.cu"])
    assert (found.architecture, "registers 40, budget 30" in found.message) == (90, True)


def test_new_and_vanished_kernels_are_findings_until_the_budgets_know() -> None:
    used = {(A, 90): Resources(30, 0, 1, 0, 0)}
    messages = lines(resources.check_budgets(used, {B: Budget(1, 0, 0)}, ["a.cu", "b.cu"]))
    assert any("a new kernel" in m and "a_kernel" in m for m in messages)
    assert any("not there any more" in m and "b_kernel" in m for m in messages)
    assert resources.check_budgets(used, resources.most(used), ["a.cu"]) == []


def test_budgets_of_files_that_were_left_out_are_not_missed() -> None:
    used = {(A, 90): Resources(30, 0, 1, 0, 0)}
    assert resources.check_budgets(used, {A: Budget(30, 0, 1), B: Budget(1, 0, 0)}, ["a.cu"]) == []


def test_a_budget_far_above_its_kernel_is_mentioned() -> None:
    used = {(A, 80): Resources(30, 0, 1, 0, 0), (A, 90): Resources(34, 0, 1, 0, 0)}
    assert resources.slack(used, {A: Budget(38, 0, 1)}) == []
    assert resources.slack(used, {A: Budget(60, 0, 1)}) == [f"lower the budget of {A}: registers 34, budget 60"]


def test_budgets_come_back_as_written(tmp_path: Path) -> None:
    budgets = {B: Budget(31, 0, 0), A: Budget(255, 1024, 2)}
    resources.write_budgets("13.0.88", budgets, tmp_path / "b.json")
    assert resources.read_budgets(tmp_path / "b.json") == ("13.0.88", budgets)
    assert list(json.loads((tmp_path / "b.json").read_text())["kernels"]) == ["a.cu", "b.cu"]
    assert resources.read_budgets(tmp_path / "none.json") == ("", {})


def test_instructions_are_counted_per_kernel_with_their_modifiers() -> None:
    assert sass.parse(NVDISASM) == {
        "_Z8a_kernel1P": {"LDC": 1, "LDG.E.CONSTANT": 1, "UMOV": 1, "HMMA.16816.F32": 2, "BRA": 1, REMAINDER: 1},
        "_Z8b_kernel1P": {"EXIT": 1},
    }


def test_ptx_instructions_are_counted_per_kernel() -> None:
    text = ".visible .entry k(\n.param .u64 p\n)\n{\n\tld.global.nc.f32 \t%f1, [%rd1];\n\t@%p1 bra $L;\n\tret;\n}\n"
    assert sass.parse_ptx(text) == {"k": {"ld.global.nc.f32": 1, "bra": 1, "ret": 1}}


def test_a_rule_knows_too_few_and_too_many() -> None:
    counts = {(A, 90): Counter({"HMMA.16816.F32": 3})}
    rule = Rule("r", r"HMMA.*", reason="why")
    for least, most, fine in ((1, None, True), (4, None, False), (0, 3, True), (0, 2, False)):
        found = sass.check([Rule("r", rule.opcodes, "why", least=least, most=most)], counts)
        assert (found == []) == fine


def test_a_rule_holds_for_its_kernels_and_architectures_alone() -> None:
    counts = {(kernel, a): Counter({"LDL": 1}) for kernel in (A, B) for a in (75, 90)}
    found = sass.check([Rule("r", "LDL", "why", kernels="a_kernel", most=0, since=80)], counts)
    assert [(f.subject, f.architecture) for f in found] == [(str(A), 90)]


def test_rules_without_a_kernel_and_exceptions_without_need_are_findings() -> None:
    counts = {(A, 90): Counter({"LDL": 1})}
    blind = Rule("r", "LDL", "why", kernels="no_such_kernel", most=0)
    idle = Rule("r", "STL", "why", most=0, exceptions={"a_kernel": "because"})
    needed = Rule("r", "LDL", "why", most=0, exceptions={"a_kernel": "because"})
    assert [len(sass.check_rules([rule], counts)) for rule in (blind, idle, needed)] == [1, 1, 0]
    assert sass.check([needed], counts) == []


def test_code_without_report_and_report_without_code_are_findings() -> None:
    counts = {(A, 90): Counter({"EXIT": 1})}
    assert sass.check_same([(A, 90)], counts) == []
    assert [f.subject for f in sass.check_same([], counts)] == [str(A)]
    assert [f.subject for f in sass.check_same([(A, 90), (A._replace(name="x"), 90)], counts)] == ["a.cu x"]
    assert [f.subject for f in sass.check_same([(A, 90)], {(A, 90): Counter()})] == [str(A)]


# One planted opcode per rule on machine code: (rule, kernel, opcodes that break it).
GOOD = Counter(
    {
        "HMMA.16816.F32": 8,
        "HMMA.16816.F32.BF16": 8,
        "BAR.SYNC.DEFER_BLOCKING": 8,
        "LDG.E.128.STRONG.GPU": 4,
        "LD.E.STRONG.GPU": 1,
        "ATOM.E.ADD.STRONG.GPU": 1,
        "MEMBAR.ALL.GPU": 1,
        "CCTL.IVALL": 1,
    }
)
PLANTED = [
    ("local memory", resident(), {"LDL.64": 1}),
    ("local memory", B, {"STL": 1}),
    ("float atomics", B, {"RED.E.ADD.F32.FTZ.RN.STRONG.GPU": 1}),
    ("float atomics", B, {"REDG.E.ADD.F64.RN.STRONG.GPU": 1}),
    ("float atomics", B, {"ATOMG.E.ADD.F32.FTZ.RN.STRONG.GPU": 1}),
    ("float atomics", B, {"ATOMS.CAST.SPIN.64": 1, "ATOMG.E.CAS.STRONG.GPU": 1}),
    ("double", resident(), {"DFMA": 1}),
    ("double", B, {"DSETP.GEU.AND": 1}),
    ("tensor cores", resident(), {"HMMA.16816.F32": -8}),
    ("tensor cores", resident("__nv_bfloat16"), {"HMMA.16816.F32.BF16": -8}),
    ("tensor cores", resident("float"), {"HMMA.1688.F32.TF32": 1}),
    ("tensor cores", B, {"HMMA.16816.F32": 1}),
    ("product in registers", resident("float"), {"FFMA": 100}),
    ("vector loads", resident("float"), {"LDS": 100}),
    ("block barrier", resident(), {"BAR.SYNC.DEFER_BLOCKING": -5}),
    ("non-coherent load", resident(), {"LDG.E.128.CONSTANT": 1}),
    ("non-coherent load", resident(), {"LDG.E.CONSTANT.SYS": 1}),
    ("exchanged state", resident(), {"LDG.E.128.STRONG.GPU": -4}),
    ("arrival", resident(), {"ATOM.E.ADD.STRONG.GPU": -1}),
    ("release", resident(), {"MEMBAR.ALL.GPU": -1}),
    ("acquire", resident(), {"CCTL.IVALL": -1}),
    ("scope", B, {"MEMBAR.SC.SYS": 1}),
]


@pytest.mark.parametrize(("gate", "kernel", "planted"), PLANTED)
def test_every_rule_turns_red_on_what_it_forbids(gate: str, kernel: Kernel, planted: dict[str, int]) -> None:
    base = Counter() if kernel == B else Counter(GOOD)
    for opcode, n in planted.items():
        base[opcode] += n
    assert gate in names_of(sass.check(rules.SASS, {(kernel, 80): +base}))


def test_code_that_keeps_all_rules_is_not_reported() -> None:
    assert sass.check(rules.SASS, {(resident(), 80): GOOD, (B, 80): Counter({"EXIT": 1})}) == []


def test_every_rule_on_machine_code_has_a_planted_failure() -> None:
    tested = {gate for gate, _, _ in PLANTED} | {"empty body"}
    assert {rule.name for rule in rules.SASS} == tested


def test_bfloat16_kernels_are_empty_before_they_can_run() -> None:
    kernel = resident("__nv_bfloat16")
    assert sass.check(rules.SASS, {(kernel, 75): Counter({"EXIT": 1, "LDG.E": 1})})
    assert "empty body" in names_of(sass.check(rules.SASS, {(kernel, 75): Counter({"BAR.SYNC": 1})}))


def test_names_lose_namespaces_and_parameters() -> None:
    assert short("void seqgrad::cuda::k<__half, seqgrad::R<seqgrad::T> >(seqgrad::cuda::P)") == "k<__half, R<T>>"
    assert short("seqgrad::cuda::(anonymous namespace)::k(void (*)(int))") == "k"
    assert without_parameters("k") == "k"
    assert readable(["_Z8a_kernel1P"]) == {"_Z8a_kernel1P": "a_kernel"}
    assert readable([]) == {}


def test_findings_of_several_architectures_share_a_line() -> None:
    found = [Finding("g", "k", "m", 90), Finding("g", "k", "m", 75), Finding("f", "k", "m")]
    assert lines(found) == ["f: k: m", "g: k: m (sm_75 sm_90)"]


def test_the_report_has_a_line_per_kernel_and_architecture() -> None:
    text = report.markdown({(A, 90): Resources(30, 0, 1, 0, 0)}, {(A, 90): Counter({"FFMA": 2, "FFMA.FTZ": 1})})
    head, _, row = text.splitlines()
    columns = dict(zip(head.split("|"), row.split("|"), strict=True))
    assert (columns[" FFMA "], columns[" registers "], columns[" HMMA "]) == (" 3 ", " 30 ", " 0 ")


def test_an_object_is_made_again_when_anything_it_includes_changes(tmp_path: Path) -> None:
    source = tmp_path / "k.cu"
    source.write_text('#include "a.h"\n#include <cstdint>\n')
    (tmp_path / "a.h").write_text('#include "sub/b.h"')
    (tmp_path / "sub").mkdir()
    deep = tmp_path / "sub" / "b.h"
    deep.write_text("1")
    assert [p.name for p in compiling.closure(source, tmp_path)] == ["a.h", "k.cu", "b.h"]
    keys = {compiling.fingerprint(source, tmp_path, ["-O3"], "13.0")}
    keys.add(compiling.fingerprint(source, tmp_path, ["-O2"], "13.0"))
    keys.add(compiling.fingerprint(source, tmp_path, ["-O3"], "13.1"))
    deep.write_text("2")
    keys.add(compiling.fingerprint(source, tmp_path, ["-O3"], "13.0"))
    assert len(keys) == 4


def test_flags_of_the_build_are_read_and_missed_aloud() -> None:
    assert literal('import x\nFLAGS = ("-a", "-b")\n', "FLAGS") == ("-a", "-b")
    for text in ("", "FLAGS = ()", "FLAGS = (1, 2)", 'FLAGS = ["-a"]'):
        with pytest.raises(ToolkitError, match="assigns no tuple of strings to FLAGS"):
            literal(text, "FLAGS")


@pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="setup.py is not beside these tests")
def test_gates_compile_for_all_that_the_product_is_built_for() -> None:
    build = product_build()
    assert build.architectures == (75, 80, 86, 89, 90, 100, 120)
    assert "-O3" in build.flags
    assert not any("__CUDA_NO" in flag for flag in build.flags)
