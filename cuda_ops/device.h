// What the CUDA kernels stand on: the caller's device, errors as messages, grids.
#pragma once

#include <cuda_runtime.h>

#include "cpu.h"

namespace stylecine {

constexpr int BLOCK = 256;  // threads

// Blocks for a kernel whose threads stride over `count` items.
inline unsigned blocks(int64_t count) {
  const int64_t most = 1 << 20, wanted = (count + BLOCK - 1) / BLOCK;
  return unsigned(wanted < most ? wanted : most);
}

#define STYLECINE_STRIDE(i, count)                                                                            \
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, stride_ = int64_t(gridDim.x) * blockDim.x; \
       i < (count); i += stride_)

// A device made the current one of this thread, until the end of the block.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    int now = device;
    status = cudaGetDevice(&now);
    if (status != cudaSuccess || now == device) return;
    status = cudaSetDevice(device);
    before = now;
  }
  ~OnDevice() {
    if (before >= 0) cudaSetDevice(before);
  }
  OnDevice(const OnDevice &) = delete;
  OnDevice &operator=(const OnDevice &) = delete;
  cudaError_t status;

 private:
  int before = -1;  // the device to go back to
};

inline int said(cudaError_t status, char *message) {
  return status == cudaSuccess ? int(STYLECINE_OK) : fail(message, STYLECINE_CUDA, cudaGetErrorString(status));
}

}  // namespace stylecine
