// The L2 norm of a vector whose sum of squares, taken in double, may have left double's range.
#pragma once

#include <cmath>
#include <cstdint>

namespace seqgrad {

// `sum` is the plain sum of squares. Within range its root is the answer; else the values are visited once more, scaled
// by their maximum (Blue, 1978, in its simplest form).
template <class Visit>
double norm_from(double sum, Visit&& for_each_value) {
  constexpr double kTiny = 1e-280, kHuge = 1e290;
  if ((sum > kTiny && sum < kHuge) || std::isnan(sum)) return std::sqrt(sum);
  double most = 0;
  for_each_value([&](double v) {
    if (std::fabs(v) > most) most = std::fabs(v);
  });
  if (most == 0 || std::isinf(most)) return most;
  double scaled = 0;
  for_each_value([&](double v) { scaled += (v / most) * (v / most); });
  return most * std::sqrt(scaled);
}

}  // namespace seqgrad
