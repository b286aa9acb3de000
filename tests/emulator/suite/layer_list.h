// The layers that every build of the emulated kernels runs: each edge once. One unit and one sample; a ragged last slice,
// group, tile and chunk; several segments; shares of K; rows on and off 16 bytes. GRU and LSTM reach every barrier in
// float32, and GRU the tensor cores: teeth.py compiles no more than those.
#pragma once

#include "layer_problem.h"

namespace seqgrad::emulator {

constexpr auto kF32 = DType::float32, kF64 = DType::float64, kBf16 = DType::bfloat16, kF16 = DType::float16;
constexpr auto kNorm = ClipKind::norm, kValue = ClipKind::value;
constexpr auto kBlock = cuda::Path::block, kGrid = cuda::Path::grid, kStep = cuda::Path::step;

// clang-format off
inline const LayerProblem kProblems[] = {
    // what                               cell                     dtype  path     T  N  I  H  (then what differs from one block of 64 threads)
    {"one of all",                        CellId::gru,             kF32,  kBlock,  2, 1, 1, 1,  {.threads = 32}},
    {"several groups, ragged rows",       CellId::lstm,            kF32,  kBlock,  4, 5, 3, 9,  {.rows = 3, .ragged = true}},
    {"two segments, shares of K",         CellId::gru,             kF32,  kBlock,  3, 3, 2, 37, {.rows = 2, .threads = 128, .row_tile = 4, .k_parts = 2, .clip = kNorm}},
    {"clip by norm",                      CellId::gru,             kF32,  kBlock,  4, 3, 2, 6,  {.rows = 3, .reverse = true, .ragged = true, .clip = kNorm}},
    {"clip by value",                     CellId::lstm,            kF32,  kBlock,  4, 3, 2, 33, {.rows = 3, .threads = 96, .truncate = 2, .clip = kValue}},
    {"plain",                             CellId::residual_relu,   kF32,  kBlock,  4, 3, 2, 33, {.rows = 2, .threads = 64, .row_tile = 4, .ragged = true}},
    {"odd addresses",                     CellId::gru,             kBf16, kBlock,  3, 3, 2, 17, {.rows = 3, .ragged = true, .skewed = true}},
    {"shares of K",                       CellId::gru,             kF16,  kBlock,  3, 2, 3, 36, {.rows = 2, .threads = 128, .k_parts = 2, .clip = kNorm}},
    {"shares of K",                       CellId::lstm,            kF16,  kBlock,  3, 2, 3, 20, {.rows = 2, .k_parts = 2, .clip = kNorm}},
    {"two slices",                        CellId::rnn_tanh,        kF32,  kGrid,   4, 2, 2, 8,  {.rows = 2, .units = 4, .threads = 32}},
    {"three slices, the last ragged",     CellId::gru,             kF32,  kGrid,   4, 5, 3, 11, {.rows = 3, .units = 4, .row_tile = 4, .reverse = true, .ragged = true}},
    {"aligned rows, chunks of K",         CellId::gru,             kF32,  kGrid,   3, 5, 2, 20, {.rows = 3, .units = 8, .k_chunk = 8, .ragged = true, .clip = kNorm}},
    {"chunks of K",                       CellId::lstm,            kF32,  kGrid,   3, 3, 2, 13, {.rows = 2, .units = 7, .k_chunk = 8, .clip = kNorm}},
    {"two segments, chunks, shares",      CellId::gru,             kF32,  kGrid,   4, 4, 2, 70, {.rows = 2, .units = 35, .k_chunk = 32, .threads = 128, .row_tile = 4, .k_parts = 2, .ragged = true, .truncate = 2, .clip = kNorm}},
    {"clip by value",                     CellId::lstm,            kF32,  kGrid,   5, 3, 2, 12, {.rows = 2, .units = 4, .clip = kValue}},
    {"clip by value, no norms",           CellId::rnn_relu,        kF32,  kGrid,   3, 3, 2, 9,  {.rows = 3, .units = 3, .norms = false, .clip = kValue}},
    {"clip by norm, no norms",            CellId::gru,             kF32,  kGrid,   3, 2, 2, 8,  {.rows = 1, .units = 4, .norms = false, .skewed = true, .clip = kNorm}},
    {"aligned rows, chunks of K",         CellId::gru,             kF16,  kGrid,   3, 3, 2, 40, {.rows = 2, .units = 16, .k_chunk = 16, .ragged = true, .clip = kNorm}},
    {"chunks of K",                       CellId::lstm,            kBf16, kGrid,   3, 2, 2, 34, {.rows = 2, .units = 17, .k_chunk = 16}},
    {"clip by norm",                      CellId::gru,             kF32,  kStep,   3, 3, 2, 9,  {.ragged = true, .clip = kNorm}},
    {"several warps",                     CellId::lstm,            kF64,  kStep,   3, 2, 2, 70, {.reverse = true, .ragged = true, .clip = kValue}},
    {"truncated",                         CellId::residual_tanh,   kBf16, kStep,   3, 2, 2, 33, {.truncate = 2}},
    {"many rows of dz",                   CellId::rnn_tanh,        kF32,  kStep,   50, 3, 1, 3},
};
// clang-format on

}  // namespace seqgrad::emulator
