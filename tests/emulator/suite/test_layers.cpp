// The CUDA kernels on the emulator against plain loops in double, under several schedules, which must not change a bit.
// Built without sanitizers, with ASan + UBSan and with TSan; teeth.py builds it from mutated kernels and wants it red.
//
//   test_layers [--quick] [--list] [PATTERN]   problems whose description holds PATTERN; --quick: fewer schedules
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "control.h"
#include "layer_list.h"

using namespace seqgrad;
using namespace seqgrad::emulator;

namespace {

std::string describe(const LayerProblem& q) {
  static const char* const kTypes[] = {"fp32", "fp64", "bf16", "fp16"};
  return std::string(cuda::name(q.path)) + " " + kCells[int(q.cell)].name + " " + kTypes[int(q.dtype)] + ": " + q.what;
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::float64: return 1e-12;
    case DType::float32: return 2e-5;
    case DType::float16: return 1e-2;
    case DType::bfloat16: return 6e-2;
  }
  return 0;
}

// Relative to the largest value of the array; NaN is never close. Empty: all is well.
std::string compare(const std::vector<Answer>& got, const std::vector<Answer>& expected, double relative) {
  if (got.size() != expected.size()) return "the answers differ in number";
  for (size_t i = 0; i < got.size(); ++i) {
    const auto &ours = got[i].values, &right = expected[i].values;
    if (ours.size() != right.size() || got[i].name != expected[i].name) return got[i].name + " differs in size";
    if (got[i].name == "clip_hits" && relative > 1e-3) continue;  // a threshold crossed or not is no rounding error
    double most = 1e-3;
    for (double v : right) most = std::max(most, std::fabs(v));
    for (size_t k = 0; k < ours.size(); ++k)
      if (!(std::fabs(ours[k] - right[k]) <= relative * most)) {
        char text[160];
        std::snprintf(text, sizeof text, "%s[%zu]: got %.9g, expected %.9g", got[i].name.c_str(), k, ours[k], right[k]);
        return text;
      }
  }
  return "";
}

bool same_bits(const std::vector<Answer>& a, const std::vector<Answer>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(a[i].values.data(), b[i].values.data(), a[i].values.size() * sizeof(double)) != 0) return false;
  return a.size() == b.size();
}

std::string solve(const LayerProblem& q, int seeds) {
  LayerRun run(q);
  const auto expected = run.expected();
  std::vector<Answer> first;
  for (int policy = 0; policy < kPolicies; ++policy) {
    const bool fixed = Policy(policy) == Policy::in_order || Policy(policy) == Policy::reverse;
    for (int seed = 0; seed < (fixed ? 1 : seeds); ++seed) {
      set_schedule({Policy(policy), uint64_t(seed)});
      const std::string when = std::string(", schedule ") + name(Policy(policy)) + " with seed " + std::to_string(seed);
      try {
        const auto found = run.answers();
        const std::string wrong = compare(found, expected, tolerance(q.dtype));
        if (!wrong.empty()) return wrong + when;
        if (first.empty()) first = found;
        else if (!same_bits(first, found)) return "other bits than in order" + when;
      } catch (const std::exception& error) { return error.what() + when; }
    }
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = false, list = false;
  std::string pattern;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--quick")) quick = true;
    else if (!std::strcmp(argv[i], "--list")) list = true;
    else pattern = argv[i];
  }
  int failed = 0, run = 0;
  for (const LayerProblem& q : kProblems) {
    const std::string name = describe(q);
    if (name.find(pattern) == std::string::npos) continue;
    ++run;
    if (list) {
      std::printf("%s\n", name.c_str());
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    const std::string wrong = solve(q, quick ? 1 : 4);
    failed += !wrong.empty();
    std::printf("%s %5.2f s  %s%s%s\n", wrong.empty() ? "ok  " : "FAIL",
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), name.c_str(), wrong.empty() ? "" : ": ",
                wrong.c_str());
    std::fflush(stdout);
  }
  if (run == 0) std::printf("no problem matches %s\n", pattern.c_str());
  return failed || run == 0;
}
