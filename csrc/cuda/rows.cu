// Launchers of the kernels in rows.cuh.
#include "rows.cuh"

#include <algorithm>

#include "matrix.h"
#include "types.h"

namespace seqgrad::cuda {
namespace {

constexpr int64_t kMostBlocks = 1 << 16;
constexpr int kThreads = 256;

// launch_as(W{}) with an unsigned integer as wide as the storage type.
template <class Launch>
void over_rows(const Rows& p, DType dtype, const char* name, Launch&& launch_as) {
  if (p.T * p.N * p.width == 0) return;
  const dim3 grid(static_cast<unsigned>(std::min(p.T * p.N, kMostBlocks)));
  const int threads = static_cast<int>(std::min<int64_t>(round_up(p.width, 32), kThreads));
  switch (element_size(dtype)) {
    case 2: return check(launch_as(static_cast<unsigned short>(0), grid, threads), name);
    case 4: return check(launch_as(static_cast<unsigned>(0), grid, threads), name);
    default: return check(launch_as(static_cast<unsigned long long>(0), grid, threads), name);
  }
}

template <class S, class From>
cudaError_t launch_sum(const ColumnSum& p, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((p.rows + kSumRows - 1) / kSumRows),
                  static_cast<unsigned>((p.columns + kSumColumns - 1) / kSumColumns));
  const int64_t shared = kSumColumns * kSumLanes * static_cast<int64_t>(sizeof(ArithmeticOf<S>));
  return launch(sum_columns_kernel<S, From>, grid, kSumColumns * kSumLanes, shared, stream, p, false);
}

}  // namespace

void launch_gather(const Rows& rows, DType dtype, cudaStream_t stream) {
  over_rows(rows, dtype, "gather_rows_kernel",
            [&](auto w, dim3 grid, int threads) { return launch(gather_rows_kernel<decltype(w)>, grid, threads, 0, stream, rows, false); });
}

void launch_clear_padding(void* rows, const int64_t* lengths, int64_t T, int64_t N, int64_t width, DType dtype, cudaStream_t stream) {
  Rows p{};
  p.T = T, p.N = N, p.width = width, p.lengths = lengths, p.to = rows;
  over_rows(p, dtype, "clear_padding_kernel",
            [&](auto w, dim3 grid, int threads) { return launch(clear_padding_kernel<decltype(w)>, grid, threads, 0, stream, p, false); });
}

void launch_convert(void* to, const void* from, int64_t count, DType dtype, bool up, cudaStream_t stream) {
  if (count == 0) return;
  const dim3 grid(static_cast<unsigned>(std::min((count + kThreads - 1) / kThreads, kMostBlocks)));
  const Conversion p{to, from, count};
  with_storage(dtype, [&](auto storage) {
    using S = typename decltype(storage)::type;
    check(up ? launch(convert_kernel<S, true>, grid, kThreads, 0, stream, p, false)
             : launch(convert_kernel<S, false>, grid, kThreads, 0, stream, p, false),
          "convert_kernel");
  });
}

void sum_bias_gradients(void* db_ih, void* db_hh, const void* dz, int64_t rows, int64_t H, const CellTraits& traits, DType dtype,
                        const Context& context) {
  if (rows == 0) {
    for (void* sum : {db_ih, db_hh})
      if (sum) check(cudaMemsetAsync(sum, 0, traits.gates * H * element_size(dtype), stream_of(context)), "cudaMemsetAsync");
    return;
  }
  ColumnSum p{rows, traits.planes() * H, dz, nullptr, db_ih, db_hh, H, traits.gates, traits.recurrent_plane()};
  for (bool first = true;; first = false) {
    const int64_t left = (p.rows + kSumRows - 1) / kSumRows;
    p.partial = left > 1 ? allocate(context, left * p.columns, arithmetic(dtype)) : nullptr;
    with_storage(dtype, [&](auto storage) {
      using S = typename decltype(storage)::type;
      const auto run = first ? launch_sum<S, S> : launch_sum<S, ArithmeticOf<S>>;
      check(run(p, stream_of(context)), "sum_columns_kernel");
    });
    if (left == 1) return;
    p.rows = left, p.from = p.partial;
  }
}

}  // namespace seqgrad::cuda
