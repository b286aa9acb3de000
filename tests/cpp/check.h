// The whole test framework: TEST registers itself, CHECK reports and counts, one main per executable.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int failures = 0;
inline std::string context;  // what the running test is at, e.g. "gru, N=3"

inline bool add(const char* name, void (*run)()) {
  tests().push_back({name, run});
  return true;
}

inline void fail(const char* file, int line, const std::string& what) {
  ++failures;
  std::fprintf(stderr, "%s:%d: %s%s%s\n", file, line, what.c_str(), context.empty() ? "" : " at ", context.c_str());
}

// |got - expected| <= tolerance * max(|expected|, floor). NaN is never close.
inline void close(const char* file, int line, double got, double expected, double tolerance, double floor) {
  const double scale = std::fabs(expected) > floor ? std::fabs(expected) : floor;
  if (std::fabs(got - expected) <= tolerance * scale) return;
  char text[160];
  std::snprintf(text, sizeof(text), "got %.17g, expected %.17g, relative tolerance %.1e", got, expected, tolerance);
  fail(file, line, text);
}

}  // namespace check

#define TEST(name)                                          \
  static void name();                                       \
  static const bool name##_added = check::add(#name, name); \
  static void name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) check::fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (0)

#define CHECK_CLOSE(got, expected, tolerance, floor) check::close(__FILE__, __LINE__, got, expected, tolerance, floor)

int main() {
  for (const check::Test& test : check::tests()) {
    const int before = check::failures;
    check::context.clear();
    test.run();
    std::printf("%s %s\n", check::failures == before ? "ok  " : "FAIL", test.name);
  }
  if (check::tests().empty()) std::fprintf(stderr, "no test in this executable\n");
  return check::failures > 0 || check::tests().empty();
}
