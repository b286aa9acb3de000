// What a time step costs on each path, estimated from public figures: the one home of the numbers by which plan() chooses
// and that benchmarks/roofline.py prints. Nothing in it was measured by this project. No torch, no CUDA.
//
// Sources, by letter at each figure: (n) NVIDIA's data sheets and architecture white papers; (p) published
// microbenchmarks (Jia et al. 2019 for Turing; Luo et al. 2024, arXiv 2402.13499, for Ampere to Hopper);
// (e) an estimate of this project's authors.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plan.h"

namespace seqgrad::cuda {

// Per multiprocessor, so that a slice of a device has its share.
struct Rates {
  int capability;  // 10 * major + minor
  double ghz;      // boost clock (n)
  double fma;      // float32 multiply-adds per clock (n)
  double fma64;    // float64 ones (n)
  double tensor;   // 16-bit ones with float32 sums, dense (n)
  double mma;      // those that wmma reaches: all of them before Hopper, 62 % there (p), a third on Blackwell (e)
  double memory;   // GB/s from device memory (n)
  double l2;       // GB/s from the L2 cache: T4 1270 GB/s, H100 5.5 TB/s in all (p); others (e)
};

// clang-format off
constexpr Rates kRates[] = {
    // cc   GHz    fma  fma64 tensor   mma  memory    l2    after
    {75,   1.590,   64,    2,   512,   512,    8.0,  32.0},  // T4: 40 multiprocessors, 320 GB/s
    {80,   1.410,   64,   32,  1024,  1024,   18.9,  41.0},  // A100 80 GB: 108, 2039 GB/s
    {86,   1.695,  128,    2,   256,   256,   11.4,  28.0},  // RTX 3090: 82, 936 GB/s
    {89,   2.520,  128,    2,   256,   256,    7.9,  39.0},  // RTX 4090: 128, 1008 GB/s
    {90,   1.755,  128,   64,  2048,  1270,   25.4,  41.7},  // H100 SXM: 132, 3350 GB/s
    {100,  1.850,  128,   64,  4096,  1365,   54.0,  42.0},  // B200: 148, 8 TB/s
    {120,  2.407,  128,    2,   256,   256,   10.5,  40.0},  // RTX 5090: 170, 1792 GB/s
};
// clang-format on

constexpr double kSharedPerClock = 128;              // bytes that the lanes of a multiprocessor receive (n)
constexpr double kL2PerClock = 64;                   // bytes into one multiprocessor (n)
constexpr double kSyncClocks = 40;                   // __syncthreads of a busy block (e)
constexpr double kBarrierUs = 0.8;                   // blocks meet through a counter in L2: release, poll, acquire (e)
constexpr double kArrivalUs = 0.001;                 // ... and each arrival at that counter (e)
constexpr double kL2LatencyUs = 0.3;                 // one round of loads that pass the L1 cache, and the write before it (e)
constexpr double kFloatChainClocks = 24;             // a lone warp, one k of a 16 x 32 tile in float32 (e)
constexpr double kTensorChainClocks = 36;            // a lone warp, 16 k of a 16 x 16 tile (e)
constexpr double kPointwiseClocks[2] = {400, 700};   // forward, backward with norms: latency of one cell (e)
constexpr double kPairInstructions = 30;             // of a cell, per (sample, unit) pair and gate (e)
constexpr double kMemoryLatencyUs = 0.6;             // one round of loads of weights, cold (e)
constexpr double kLoadsInFlight = 4;                 // of a thread that copies W_hh into shared memory: what compilers unroll (e)
constexpr double kLaunchUs = 4, kCooperativeUs = 8;  // from one kernel to the first step of the next (e)
constexpr double kStepUs = 7;                        // a product through torch's dispatcher and a pointwise kernel: two launches (e)
constexpr double kGridDoubt = 1.15;                  // the grid path must promise this much to be preferred: it depends on the most (e)
constexpr double kLibraryShare = 0.6;                // of the peak that a library's product reaches at these sizes (e)

// Microseconds and bytes of one time step, all samples; `total` adds what is paid once.
struct Estimate {
  double flops = 0;         // of the recurrent product, padding not counted
  double shared_bytes = 0;  // that the busiest multiprocessor moves through shared memory
  double l2_bytes = 0;      // exchanged state and, on the step path, the weights: all multiprocessors
  double memory_bytes = 0;  // wx, out and saved, or their counterparts of the backward: from and to device memory
  double product_us = 0, pointwise_us = 0, exchange_us = 0, barrier_us = 0, memory_us = 0;
  double floor_us = 0;  // the slowest level alone, all latencies and padding left out: the roofline proper
  double step_us = 0;   // device memory runs beside the rest
  double fixed_us = 0;  // launch, and W_hh into shared memory

  double total(int64_t T) const { return fixed_us + step_us * static_cast<double>(T); }
};

inline const Rates& rates_of(const DeviceLimits& device) {
  const int capability = 10 * device.major + device.minor;
  const Rates* found = &kRates[0];
  for (const Rates& row : kRates)
    if (row.capability <= capability) found = &row;
  return *found;
}

// wx in, out and saved out; or grad_out, saved and h in, dz out.
inline double memory_bytes(const Question& q) {
  const CellTraits& cell = kCells[static_cast<int>(q.cell)].traits;
  const double size = static_cast<double>(element_size(q.dtype)), saved = (q.dtype == DType::float64 ? 8.0 : 4.0) * cell.saved;
  const double per_unit = q.pass == Pass::forward ? size * (cell.gates + 1) + saved : size * (2 + cell.planes()) + saved;
  return per_unit * static_cast<double>(q.N) * static_cast<double>(q.H);
}

inline double product_flops(const Question& q) {
  return 2.0 * kCells[static_cast<int>(q.cell)].traits.gates * static_cast<double>(q.N) * static_cast<double>(q.H) *
         static_cast<double>(q.P);
}

// Clocks of one block's product: what the multiprocessor can do at most, and the longest chain of one warp.
struct ProductClocks { double throughput, chain, bytes; };
inline ProductClocks product_clocks(const Question& q, const Tiles& t, const Layout& l, const Rates& rates) {
  const bool half = q.dtype != DType::float32;
  const int64_t width = column_tile(q.dtype, t.row_tile), warps = t.threads / 32;
  const int64_t items = l.r_padded / t.row_tile * ((l.c_padded + width - 1) / width) * t.k_parts;
  const int share = lanes_sharing_k(q.dtype, t.row_tile, l.c_padded);
  const int64_t part = (l.k_padded / (half ? 16 : share) + t.k_parts - 1) / t.k_parts;
  // A unit of work is one k of a 512-element tile in float32, 16 k of a 16 x 16 tile else: 1 KiB of operands either way,
  // less where a tile has fewer columns than lanes.
  const double units = static_cast<double>(items) * static_cast<double>(part);
  const double lanes =
      half || share > 1 ? 1 : static_cast<double>(l.c_padded) / static_cast<double>((l.c_padded + width - 1) / width * width);
  const double compute = half ? 4096 / rates.mma : 512 / rates.fma, issue = half ? 12 / 4.0 : 19 / 4.0;
  const double sums = 4.0 * t.k_parts * static_cast<double>(l.r_padded * l.c_padded + t.rows * l.C);
  return {units * std::max({1024 * lanes / kSharedPerClock, compute, issue}) + sums / kSharedPerClock,
          static_cast<double>((items + warps - 1) / warps) * static_cast<double>(part) * (half ? kTensorChainClocks : kFloatChainClocks),
          units * 1024 * lanes + sums};
}

// Blocks that a multiprocessor works on at once on the block path, when there are more blocks than multiprocessors.
inline double blocks_at_once(const Tiles& t, const Layout& l, const DeviceLimits& device) {
  const int64_t shared = std::max<int64_t>(1, device.shared_per_multiprocessor / (l.bytes + 1024));
  const int64_t registers = std::max<int64_t>(1, device.registers_per_multiprocessor / (int64_t{kRegisters} * t.threads));
  const int64_t waiting = (t.groups + device.multiprocessors - 1) / device.multiprocessors;
  return static_cast<double>(std::min({shared, registers, waiting}));
}

inline double peak_fma(const Question& q, const Rates& rates) {
  return q.dtype == DType::float64 ? rates.fma64 : (q.dtype == DType::float32 ? rates.fma : rates.tensor);
}

// The bytes and FLOPs of `e` at full speed, on the multiprocessors that the plan uses.
inline double floor_us(const Estimate& e, const Question& q, const DeviceLimits& device, double used) {
  const Rates& rates = rates_of(device);
  const double clocks_per_us = rates.ghz * 1e3, processors = std::max(1, device.multiprocessors);
  return std::max({e.flops / (2 * peak_fma(q, rates) * clocks_per_us * used), e.shared_bytes / (kSharedPerClock * clocks_per_us),
                   e.l2_bytes / (rates.l2 * processors * 1e3), e.memory_bytes / (rates.memory * processors * 1e3)});
}

inline Estimate estimate_resident(const Question& q, const DeviceLimits& device, const Tiles& t, const Layout& l) {
  const Rates& rates = rates_of(device);
  const CellTraits& cell = kCells[static_cast<int>(q.cell)].traits;
  const double processors = std::max(1, device.multiprocessors), size = static_cast<double>(element_size(q.dtype)),
               clocks_per_us = rates.ghz * 1e3;
  const double together = t.slices > 1 ? 1 : blocks_at_once(t, l, device);
  const double waves = t.slices > 1 ? 1 : static_cast<double>((t.groups + device.multiprocessors - 1) / device.multiprocessors) / together;
  const ProductClocks product = product_clocks(q, t, l, rates);
  const double warps = static_cast<double>((t.rows * l.lanes + 31) / 32);
  const double pointwise = warps * cell.gates * (kPairInstructions + 2 * t.k_parts) / 4;

  Estimate e;
  e.flops = product_flops(q), e.memory_bytes = memory_bytes(q);
  e.shared_bytes = product.bytes * together;
  e.product_us = (std::max(product.throughput * together, product.chain) + kSyncClocks) / clocks_per_us;
  e.pointwise_us = (kPointwiseClocks[static_cast<int>(q.pass)] + pointwise * together + 2 * kSyncClocks) / clocks_per_us;
  if (t.slices > 1) {
    const double bytes = static_cast<double>(t.rows * l.K) * size, blocks = static_cast<double>(t.slices * t.groups);
    // A chunk is asked for at once; before compute capability 8.0 each thread waits for every 16 bytes it asks for.
    const double chunks = static_cast<double>((l.k_padded + t.k_chunk - 1) / t.k_chunk);
    const double rounds = device.major >= 8 ? chunks : std::max(chunks, bytes / (16.0 * t.threads));
    const int meetings = q.pass == Pass::backward && q.clip_norm ? 2 : 1;
    e.l2_bytes = bytes * blocks;
    e.exchange_us = std::max(bytes / kL2PerClock / clocks_per_us, e.l2_bytes / (rates.l2 * processors * 1e3)) + kL2LatencyUs * rounds;
    e.barrier_us = meetings * (kBarrierUs + kArrivalUs * static_cast<double>(t.slices));
  }
  e.memory_us = e.memory_bytes / (rates.memory * processors * 1e3);
  e.step_us = std::max(e.memory_us, waves * (e.product_us + e.pointwise_us + e.exchange_us + e.barrier_us));
  e.floor_us = floor_us(e, q, device, static_cast<double>(std::min<int64_t>(t.slices * t.groups, device.multiprocessors)));
  const double weights = static_cast<double>(l.k_padded * l.c_padded);
  const double loading = std::max(weights * size / (rates.l2 * 1e3), kMemoryLatencyUs * weights / (kLoadsInFlight * t.threads));
  e.fixed_us = (t.slices > 1 ? kCooperativeUs : kLaunchUs) + waves * loading;
  return e;
}

inline Estimate estimate_step(const Question& q, const DeviceLimits& device) {
  const Rates& rates = rates_of(device);
  const double gates = kCells[static_cast<int>(q.cell)].traits.gates, size = static_cast<double>(element_size(q.dtype));
  const double N = static_cast<double>(q.N), H = static_cast<double>(q.H), P = static_cast<double>(q.P);
  const double processors = std::max(1, device.multiprocessors);
  const double weights = gates * H * P * size;
  Estimate e;
  e.flops = product_flops(q);
  e.l2_bytes = weights + N * (P + gates * H) * size;
  e.memory_bytes = memory_bytes(q) + (2 * weights > static_cast<double>(device.l2_bytes) ? weights : 0);
  const double compute = e.flops / (2 * peak_fma(q, rates) * rates.ghz * 1e3 * processors * kLibraryShare);
  e.product_us = std::max(compute, e.l2_bytes / (rates.l2 * processors * 1e3));
  e.memory_us = e.memory_bytes / (rates.memory * processors * 1e3);
  e.pointwise_us = kStepUs;
  e.floor_us = floor_us(e, q, device, processors);
  e.step_us = kStepUs + std::max(e.product_us, e.memory_us);
  return e;
}

}  // namespace seqgrad::cuda
