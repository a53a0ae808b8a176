// splat on the GPU: a thread pushes one source of one copy with atomic additions, in whatever order they come; where
// that must not matter, as whole numbers.
#include "device.h"
#include "splat.h"

namespace stylecine {
namespace cuda {
namespace {

using Whole = unsigned long long;  // sums of signed numbers, modulo 2^64: what atomicAdd() has

// At the start of the workspace, zero before anything else. In fixed point the sums follow, [channels + copies, h, w].
struct Extremes {
  unsigned weight;  // the largest finite weight: its bits, made to grow with it; 0: none
  unsigned value;   // the largest finite value of the image, sign aside: its bits
  unsigned unused[2];
};

__device__ unsigned ordered(float x) {
  const unsigned bits = float_to_bits(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ float largest_weight(const Extremes &of) {  // not a number if there is none: then no source counts
  return bits_to_float(of.weight & 0x80000000u ? of.weight & 0x7fffffffu : ~of.weight);
}

// Keeps the largest of what the threads of a block have.
__device__ void keep_largest(unsigned mine, unsigned *into) {
  for (int lane = 16; lane; lane /= 2) mine = max(mine, __shfl_xor_sync(0xffffffffu, mine, lane));
  if (threadIdx.x % 32 == 0 && mine) atomicMax(into, mine);
}

__global__ void find_weight(stylecine_splat_args args, Extremes *extremes) {
  unsigned most = 0;
  STYLECINE_STRIDE(i, args.copies * args.h * args.w)
  if (is_finite(args.weight[i])) most = max(most, ordered(args.weight[i]));
  keep_largest(most, &extremes->weight);
}

template <class T>
__global__ void find_value(stylecine_splat_args args, Extremes *extremes) {
  const T *const image = static_cast<const T *>(args.image);
  unsigned most = 0;
  STYLECINE_STRIDE(i, args.channels * args.h * args.w) {
    const float v = fabsf(value(image[i]));
    if (is_finite(v)) most = max(most, float_to_bits(v));
  }
  keep_largest(most, &extremes->value);
}

// Units per 1 of fixed point: of the weights, and of values times weights. A pixel gets at most one contribution from
// each source of each copy, so below 2^k of them, each below 2^e: in units of 2^(e + k - 62) their sum is below 2^62.
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
__device__ void add(Whole *sum, float amount, double unit) {
  atomicAdd(sum, Whole(__double2ll_rn(double(amount) * unit)));
}
__device__ float read(float sum, double) { return sum; }
__device__ float read(Whole sum, double unit) { return float(double((long long)(sum)) / unit); }

template <class T, class Sum>
__global__ void scatter(stylecine_splat_args args, const Extremes *extremes, Sum *sums, Sum *weights) {
  const int64_t plane = args.h * args.w;
  const T *const image = static_cast<const T *>(args.image);
  const bool softmax = args.softmax, fixed = sizeof(Sum) == sizeof(Whole);
  const float largest = softmax ? largest_weight(*extremes) : 0;
  const Units unit = fixed ? units(args, *extremes) : Units{};
  STYLECINE_STRIDE(i, args.copies * plane) {
    const int64_t copy = i / plane, p = i % plane;
    const float dx = args.displacement[2 * copy * plane + p], dy = args.displacement[(2 * copy + 1) * plane + p];
    const float counted = strength(args.weight[i], dx, dy, softmax, largest);
    if (counted == 0) continue;
    const Landing at = landing(float(p % args.w) + dx, float(p / args.w) + dy, args.h, args.w);
    const float upper = counted * (1 - at.y), lower = counted * at.y, left = 1 - at.x;
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

// Sums may be `out` itself and weights `shares`.
template <class T, class Sum>
__global__ void normalise(stylecine_splat_args args, const Extremes *extremes, const Sum *sums, const Sum *weights) {
  const int64_t plane = args.h * args.w;
  const T *const image = static_cast<const T *>(args.image);
  const Units unit = sizeof(Sum) == sizeof(Whole) ? units(args, *extremes) : Units{};
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

// Each step only if none before it failed.
template <class T, class Sum>
cudaError_t splat(const stylecine_splat_args &args, Extremes *extremes, Sum *sums, Sum *weights, cudaStream_t stream) {
  const int64_t plane = args.h * args.w;
  const bool fixed = sizeof(Sum) == sizeof(Whole);
  cudaError_t status = cudaMemsetAsync(extremes, 0, sizeof(Extremes), stream);
  if (status == cudaSuccess) status = cudaMemsetAsync(sums, 0, size_t(args.channels * plane) * sizeof(Sum), stream);
  if (status == cudaSuccess) status = cudaMemsetAsync(weights, 0, size_t(args.copies * plane) * sizeof(Sum), stream);
  if (status != cudaSuccess) return status;
  if (fixed || args.softmax) find_weight<<<blocks(args.copies * plane), BLOCK, 0, stream>>>(args, extremes);
  if (fixed) find_value<T><<<blocks(args.channels * plane), BLOCK, 0, stream>>>(args, extremes);
  scatter<T><<<blocks(args.copies * plane), BLOCK, 0, stream>>>(args, extremes, sums, weights);
  normalise<T, Sum><<<blocks(plane), BLOCK, 0, stream>>>(args, extremes, sums, weights);
  return cudaGetLastError();
}

template <class T>
cudaError_t splat_as(const stylecine_splat_args &args, void *workspace, cudaStream_t stream) {
  Extremes *const extremes = static_cast<Extremes *>(workspace);
  if (!args.deterministic) return splat<T>(args, extremes, args.out, args.shares, stream);
  Whole *const sums = reinterpret_cast<Whole *>(extremes + 1);
  return splat<T>(args, extremes, sums, sums + args.channels * args.h * args.w, stream);
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

size_t stylecine_splat_workspace_cuda(const stylecine_splat_args *args) {
  using namespace stylecine;
  if (check(args, nullptr)) return 0;
  const size_t sums = size_t(args->channels + args->copies) * size_t(args->h * args->w) * sizeof(cuda::Whole);
  return sizeof(cuda::Extremes) + (args->deterministic ? sums : 0);
}

int stylecine_splat_cuda(const stylecine_splat_args *args, void *workspace, size_t bytes, int device, void *stream,
                         char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  if (!workspace || bytes < stylecine_splat_workspace_cuda(args))
    return fail(message, STYLECINE_MEMORY, "the workspace is too small");
  const OnDevice on(device);
  if (on.status != cudaSuccess) return said(on.status, message);
  const auto splat = args->dtype == STYLECINE_FLOAT32   ? cuda::splat_as<float>
                     : args->dtype == STYLECINE_FLOAT16 ? cuda::splat_as<cuda::half>
                                                        : cuda::splat_as<cuda::bfloat>;
  return said(splat(*args, workspace, static_cast<cudaStream_t>(stream)), message);
}
