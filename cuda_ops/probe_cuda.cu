// Whether a GPU can run this library's kernels: not if the driver is too old or they were not compiled for it.
#include "device.h"

namespace stylecine {
namespace cuda {
namespace {

__global__ void nothing() {}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_probe_cuda(int device, char *message) {
  return stylecine::run_on(device, nullptr, message, [](cudaStream_t) {
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, stylecine::cuda::nothing);
  });
}
