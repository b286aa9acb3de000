// Instantiates the resident kernels of one storage type for every cell, and launches them. One .cu file per type.
#pragma once

#include "resident_backward.cuh"
#include "resident_forward.cuh"

namespace seqgrad::cuda {

template <class S>
cudaError_t launch_forward_as(CellId cell, Path path, const ResidentForward& p, int64_t shared, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(p.tiles.slices * p.tiles.groups));
  switch (cell) {
#define SEQGRAD_CELL(name, type) \
  case CellId::name: return launch(resident_forward_kernel<S, type>, grid, p.tiles.threads, shared, stream, p, path == Path::grid);
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
  return cudaErrorInvalidValue;
}

template <class S>
cudaError_t launch_backward_as(CellId cell, Path path, const ResidentBackward& p, int64_t shared, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(p.tiles.slices * p.tiles.groups));
  switch (cell) {
#define SEQGRAD_CELL(name, type) \
  case CellId::name: return launch(resident_backward_kernel<S, type>, grid, p.tiles.threads, shared, stream, p, path == Path::grid);
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
  return cudaErrorInvalidValue;
}

}  // namespace seqgrad::cuda
