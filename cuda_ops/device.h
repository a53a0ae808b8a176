// Shared by the CUDA kernels: the caller's device, errors as messages, grids.
#pragma once

#include <cuda_runtime.h>

#include "cpu.h"

namespace stylecine {

constexpr int BLOCK = 256;  // threads

// Blocks for a kernel whose threads stride over `count` items.
inline unsigned blocks(int64_t count) {
  const int64_t most = 1 << 20, needed = (count + BLOCK - 1) / BLOCK;
  return unsigned(needed < most ? needed : most);
}

#define STYLECINE_STRIDE(i, count)                                                                            \
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, stride_ = int64_t(gridDim.x) * blockDim.x; \
       i < (count); i += stride_)

// The same where every block is for one of several frames, blockIdx.x % frames, whose blocks are neighbours.
#define STYLECINE_STRIDE_OF_FRAMES(i, count, frames)                     \
  for (int64_t i = int64_t(blockIdx.x / (frames)) * BLOCK + threadIdx.x, \
               stride_ = int64_t(gridDim.x / (frames)) * BLOCK;          \
       i < (count); i += stride_)

// i / by and i % by for 0 <= i < 2^32 and 0 < by < 2^32. A GPU takes about a hundred instructions for a division of 64
// bits.
struct Split {
  uint32_t whole, rest;
};
__host__ __device__ inline Split split(int64_t i, int64_t by) {
  const uint32_t whole = uint32_t(i) / uint32_t(by);
  return {whole, uint32_t(i) - whole * uint32_t(by)};
}

// Calls launch(stream) with `device` as this thread's current one, which is restored; the status for the C interface.
// The device is always set: the caller may use another instance of the runtime, whose current device is unknown here.
template <class Launch>
int run_on(int device, void *stream, char *message, Launch &&launch) {
  int before = device;
  cudaError_t status = cudaGetDevice(&before);
  if (status == cudaSuccess) status = cudaSetDevice(device);
  if (status == cudaSuccess) {
    status = launch(static_cast<cudaStream_t>(stream));
    const cudaError_t restored = cudaSetDevice(before);
    if (status == cudaSuccess) status = restored;
  }
  if (status == cudaSuccess) return STYLECINE_OK;
  cudaGetLastError();  // cleared, or the next call would report it again
  return fail(message, STYLECINE_CUDA, cudaGetErrorString(status));
}

}  // namespace stylecine
