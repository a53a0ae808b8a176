// splat on the GPU: a thread scatters one source of one copy with atomic additions, in no defined order; in fixed
// point if the result must not depend on it.
#include "device.h"
#include "splat.h"

namespace stylecine {
namespace cuda {
namespace {

using Fixed = unsigned long long;  // signed sums modulo 2^64, as atomicAdd() takes them

// At the start of the workspace, set to 0 first. In fixed point the sums follow, [channels + copies, h, w].
struct Extremes {
  unsigned weight;  // the largest finite weight as an ordered integer; 0 if there is none
  unsigned value;   // the largest finite value of the image, sign aside: its bits
  unsigned unused[2];
};

__device__ unsigned ordered(float x) {
  const unsigned bits = float_to_bits(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ float largest_weight(const Extremes &of) {  // NaN if there is none: no source counts then
  return bits_to_float(of.weight & 0x80000000u ? of.weight & 0x7fffffffu : ~of.weight);
}

constexpr int WARP = 32;

// Threads that look for an extreme, which all blocks write to one address: no more than a GPU runs at once.
inline unsigned few_blocks(int64_t count) {
  const unsigned needed = blocks(count);
  return needed < 1024 ? needed : 1024;
}

// The maximum over the threads of a block, all of which have to call this once.
__device__ void reduce_max(unsigned value, unsigned *into) {
  __shared__ unsigned of_warp[BLOCK / WARP];
  for (int lane = WARP / 2; lane; lane /= 2) value = max(value, __shfl_xor_sync(0xffffffffu, value, lane));
  if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = value;
  __syncthreads();
  if (threadIdx.x) return;
  for (int i = 1; i < BLOCK / WARP; ++i) value = max(value, of_warp[i]);
  if (value) atomicMax(into, value);
}

// 32 registers; 4 bytes for each source of each copy.
__global__ void find_weight(stylecine_splat_args args, Extremes *extremes) {
  unsigned most = 0;
  STYLECINE_STRIDE(i, args.copies * args.h * args.w)
  if (is_finite(args.weight[i])) most = max(most, ordered(args.weight[i]));
  reduce_max(most, &extremes->weight);
}

// 32 registers; a number for each pixel and channel.
template <class T>
__global__ void find_value(stylecine_splat_args args, Extremes *extremes) {
  const T *const __restrict__ image = static_cast<const T *>(args.image);
  unsigned most = 0;
  STYLECINE_STRIDE(i, args.channels * args.h * args.w) {
    const float v = fabsf(value(image[i]));
    if (is_finite(v)) most = max(most, float_to_bits(v));
  }
  reduce_max(most, &extremes->value);
}

// Fixed-point units per 1, of weights and of values times weights. A pixel gets at most one contribution from each
// source of each copy, fewer than 2^k, each below 2^e: in units of 2^(e + k - 62) their sum is below 2^62.
struct Units {
  double weight, value;
};
__device__ Units units(const stylecine_splat_args &args, const Extremes &of) {
  const int k = 64 - __clzll(args.copies * args.h * args.w);
  int weight, value;
  frexpf(args.softmax ? 1.0f : fmaxf(largest_weight(of), 0), &weight);
  frexpf(bits_to_float(of.value), &value);
  return {ldexp(1.0, 62 - k - weight), ldexp(1.0, 62 - k - weight - value)};
}

__device__ void add(float *sum, float amount, double) { atomicAdd(sum, amount); }
__device__ void add(Fixed *sum, float amount, double unit) {
  atomicAdd(sum, Fixed(__double2ll_rn(double(amount) * unit)));
}
__device__ float read(float sum, double) { return sum; }
__device__ float read(Fixed sum, double unit) { return float(double((long long)(sum)) / unit); }

// 48 registers. A source of a copy takes 12 bytes and a number for each channel; it is added at 4 pixels to the sums of
// each channel and of the weights, 4 bytes each (8 in fixed point), in the second-level cache.
template <class T, class Sum>
__global__ void scatter(stylecine_splat_args args, const Extremes *extremes, Sum *sums, Sum *weights) {
  const int64_t plane = args.h * args.w;
  const T *const __restrict__ image = static_cast<const T *>(args.image);
  const float *const __restrict__ displacement = args.displacement, *const __restrict__ weight = args.weight;
  const bool softmax = args.softmax, fixed = sizeof(Sum) == sizeof(Fixed);
  const float largest = softmax ? largest_weight(*extremes) : 0;
  const Units unit = fixed ? units(args, *extremes) : Units{};
  STYLECINE_STRIDE(i, args.copies * plane) {
    const Split item = split(i, plane), place = split(item.rest, args.w);
    const int64_t copy = item.whole, p = item.rest;
    const float dx = displacement[2 * copy * plane + p], dy = displacement[(2 * copy + 1) * plane + p];
    const float source_weight = effective_weight(weight[i], dx, dy, softmax, largest);
    if (source_weight == 0) continue;
    const Landing at = landing(float(place.rest) + dx, float(place.whole) + dy, args.h, args.w);
    const float upper = source_weight * (1 - at.y), lower = source_weight * at.y, left = 1 - at.x;
    const float tap[4] = {upper * left, upper * at.x, lower * left, lower * at.x};
    for (int t = 0; t < 4; ++t) {
      const int64_t row = at.row + t / 2, column = at.column + t % 2;
      if (row < 0 || row >= args.h || column < 0 || column >= args.w || tap[t] == 0) continue;
      const int64_t target = row * args.w + column;
      add(weights + copy * plane + target, tap[t], unit.weight);
      for (int64_t c = 0; c < args.channels; ++c)
        add(sums + c * plane + target, tap[t] * value(image[c * plane + p]), unit.value);
    }
  }
}

// `sums` may be `out`, and `weights` may be `shares`. 60 registers, 40 without fixed point. A pixel takes, for each
// channel, its sum, its number in the image and 4 bytes of the result, and for each copy its weight and 4 bytes.
template <class T, class Sum>
__global__ void normalise(stylecine_splat_args args, const Extremes *extremes, const Sum *sums, const Sum *weights) {
  const int64_t plane = args.h * args.w;
  const T *const __restrict__ image = static_cast<const T *>(args.image);
  const Units unit = sizeof(Sum) == sizeof(Fixed) ? units(args, *extremes) : Units{};
  STYLECINE_STRIDE(i, plane) {
    float total = args.plate;
    for (int64_t copy = 0; copy < args.copies; ++copy) total += read(weights[copy * plane + i], unit.weight);
    for (int64_t c = 0; c < args.channels; ++c)
      args.out[c * plane + i] =
          (read(sums[c * plane + i], unit.value) + args.plate * value(image[c * plane + i])) / total;
    for (int64_t copy = 0; copy < args.copies; ++copy)
      args.shares[copy * plane + i] = read(weights[copy * plane + i], unit.weight) / total;
  }
}

template <class T, class Sum>
cudaError_t splat(const stylecine_splat_args &args, Extremes *extremes, Sum *sums, Sum *weights, cudaStream_t stream) {
  const int64_t plane = args.h * args.w;
  const bool fixed = sizeof(Sum) == sizeof(Fixed);
  cudaError_t status = cudaMemsetAsync(extremes, 0, sizeof(Extremes), stream);
  if (status == cudaSuccess) status = cudaMemsetAsync(sums, 0, size_t(args.channels * plane) * sizeof(Sum), stream);
  if (status == cudaSuccess) status = cudaMemsetAsync(weights, 0, size_t(args.copies * plane) * sizeof(Sum), stream);
  if (status != cudaSuccess) return status;
  if (fixed || args.softmax) find_weight<<<few_blocks(args.copies * plane), BLOCK, 0, stream>>>(args, extremes);
  if (fixed) find_value<T><<<few_blocks(args.channels * plane), BLOCK, 0, stream>>>(args, extremes);
  scatter<T><<<blocks(args.copies * plane), BLOCK, 0, stream>>>(args, extremes, sums, weights);
  normalise<T, Sum><<<blocks(plane), BLOCK, 0, stream>>>(args, extremes, sums, weights);
  return cudaGetLastError();
}

template <class T>
cudaError_t splat_as(const stylecine_splat_args &args, void *workspace, cudaStream_t stream) {
  Extremes *const extremes = static_cast<Extremes *>(workspace);
  if (!args.deterministic) return splat<T>(args, extremes, args.out, args.shares, stream);
  Fixed *const sums = reinterpret_cast<Fixed *>(extremes + 1);
  return splat<T>(args, extremes, sums, sums + args.channels * args.h * args.w, stream);
}

size_t workspace_of(const stylecine_splat_args &args) {
  const size_t sums = size_t(args.channels + args.copies) * size_t(args.h * args.w) * sizeof(Fixed);
  return sizeof(Extremes) + (args.deterministic ? sums : 0);
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

size_t stylecine_splat_workspace_cuda(const stylecine_splat_args *args) {
  using namespace stylecine;
  return check(args, nullptr) == STYLECINE_OK ? cuda::workspace_of(*args) : 0;
}

int stylecine_splat_cuda(const stylecine_splat_args *args, void *workspace, size_t bytes, int device, void *stream,
                         char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  if (!workspace || bytes < cuda::workspace_of(*args))
    return fail(message, STYLECINE_MEMORY, "the workspace is too small");
  const auto splat = args->dtype == STYLECINE_FLOAT32   ? cuda::splat_as<float>
                     : args->dtype == STYLECINE_FLOAT16 ? cuda::splat_as<cuda::half>
                                                        : cuda::splat_as<cuda::bfloat>;
  return run_on(device, stream, message, [&](cudaStream_t queue) { return splat(*args, workspace, queue); });
}
