// core/norm.h: the L2 norm stays right where squares leave the range of double.
#include <initializer_list>
#include <limits>
#include <vector>

#include "check.h"
#include "core/norm.h"

namespace {

double norm_of(const std::vector<double>& values) {
  double sum = 0;
  for (double v : values) sum += v * v;
  return seqgrad::norm_from(sum, [&](auto&& visit) {
    for (double v : values) visit(v);
  });
}

}  // namespace

TEST(three_four_five_at_every_scale) {
  for (double scale : {1.0, 1e-30, 1e30, 1e-37, 1e37, 1e-150, 1e150, 1e-200, 1e200, 1e-300, 1e300}) {
    check::context = std::to_string(std::log10(scale));
    CHECK_CLOSE(norm_of({3 * scale, -4 * scale}), 5 * scale, 1e-14, 0.0);
  }
}

TEST(a_large_value_beside_small_ones) {
  CHECK_CLOSE(norm_of({1e200, 1e-200, 0.0}), 1e200, 1e-14, 0.0);
  CHECK_CLOSE(norm_of({1e-170, 1e-170, 1e-170, 1e-170}), 2e-170, 1e-14, 0.0);
}

TEST(zero_nan_and_infinity_come_through) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  CHECK(norm_of({0.0, -0.0}) == 0.0);
  CHECK(norm_of({}) == 0.0);
  CHECK(norm_of({1.0, -inf}) == inf);
  CHECK(std::isnan(norm_of({1.0, nan})));
  CHECK(std::isnan(norm_of({inf, nan})));
  CHECK(std::isnan(norm_of({1e-300, nan})));
}
