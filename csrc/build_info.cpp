// What this binary holds (its cells) and was built from, as JSON, for seqgrad._ext. setup.py writes build_facts.h.
//
// There is no Python module in here: the extension is loaded with torch.ops.load_library, so it neither needs Python.h
// to build nor depends on a Python version to run.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <string>

#include "build_facts.h"
#include "cells/cells.h"

#if defined(__clang__)
#define SEQGRAD_COMPILER __VERSION__  // names itself
#else
#define SEQGRAD_COMPILER "gcc " __VERSION__
#endif

namespace {

#if defined(SEQGRAD_EMULATOR)
constexpr bool kCpuEngine = false;  // the CUDA engine stands behind tensors of the CPU
#else
constexpr bool kCpuEngine = true;
#endif

// [["rnn_tanh", gates, states, saved], ...] in the order of CellId.
std::string cells() {
  std::string rows;
  for (const seqgrad::CellInfo& cell : seqgrad::kCells)
    rows += std::string(rows.empty() ? "" : ", ") + "[\"" + cell.name + "\", " + std::to_string(cell.traits.gates) + ", " +
            std::to_string(cell.traits.states) + ", " + std::to_string(cell.traits.saved) + "]";
  return "[" + rows + "]";
}

std::string build_info() {
  const std::string cuda = SEQGRAD_WITH_CUDA ? "true" : "false";
  return R"({"version": ")" SEQGRAD_VERSION R"(", "torch": ")" SEQGRAD_TORCH R"(", "compiler": ")" SEQGRAD_COMPILER
         R"(", "cuda_archs": ")" SEQGRAD_CUDA_ARCHS R"(", "sources": ")" SEQGRAD_SOURCES R"(", "cuda": )" +
         cuda + R"(, "cpu_engine": )" + (kCpuEngine ? "true" : "false") + R"(, "cells": )" + cells() + "}";
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(seqgrad, m) { m.def("build_info() -> str"); }

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CompositeExplicitAutograd, m) { m.impl("build_info", TORCH_BOX(&build_info)); }
