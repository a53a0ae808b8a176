// Arithmetic shared by CPU and CUDA.
//
// Included by X.h, in the namespace of the target being compiled: an instruction set of the CPU, or cuda.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define STYLECINE_INLINE __host__ __device__ __forceinline__
#define STYLECINE_SET cuda
#else
#define STYLECINE_INLINE inline __attribute__((always_inline))
#endif

namespace stylecine {
namespace STYLECINE_SET {

// 16-bit storage types. value() is exact; store() rounds to nearest even.
STYLECINE_INLINE float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
STYLECINE_INLINE uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

struct half {
  uint16_t bits;
};
struct bfloat {
  uint16_t bits;
};

STYLECINE_INLINE float value(float stored) { return stored; }
STYLECINE_INLINE float value(bfloat stored) { return bits_to_float(uint32_t(stored.bits) << 16); }
STYLECINE_INLINE float value(half stored) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(stored.bits));
#elif defined(__aarch64__)
  __fp16 half;
  memcpy(&half, &stored.bits, 2);
  return half;
#else
  // Exponent and mantissa are shifted into place, then a multiplication corrects the bias, but for infinities and NaN.
  const uint32_t sign = uint32_t(stored.bits & 0x8000) << 16, rest = uint32_t(stored.bits & 0x7fff) << 13;
  const uint32_t finite = float_to_bits(bits_to_float(rest) * bits_to_float(239u << 23));
  return bits_to_float(sign | ((stored.bits & 0x7c00) == 0x7c00 ? rest | 0x7f800000u : finite));
#endif
}

STYLECINE_INLINE float store(float result, float) { return result; }
STYLECINE_INLINE bfloat store(float result, bfloat) {
  const uint32_t bits = float_to_bits(result);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {uint16_t((bits >> 16) | 0x40)};
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
STYLECINE_INLINE half store(float result, half) {
#if defined(__CUDA_ARCH__)
  return {__half_as_ushort(__float2half_rn(result))};
#else
  const uint32_t bits = float_to_bits(result), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
  if (magnitude > 0x7f800000u) return {uint16_t(sign | 0x7e00)};
  if (magnitude >= 0x477ff000u) return {uint16_t(sign | 0x7c00)};  // rounds beyond the largest half
  if (magnitude < 0x38800000u) {  // subnormal: units of 2^-24, rounded by an addition where they are the last bit
    return {uint16_t(sign | (float_to_bits(bits_to_float(magnitude) + 0.5f) - float_to_bits(0.5f)))};
  }
  return {uint16_t(sign | ((magnitude - 0x38000000u + 0xfff + ((magnitude >> 13) & 1)) >> 13))};
#endif
}

// NaN becomes `low`.
STYLECINE_INLINE float clamp(float x, float low, float high) {
  x = x > low ? x : low;
  return x < high ? x : high;
}

// floor(x) for |x| < 2^31.
STYLECINE_INLINE int32_t floor_of(float x) {
  const int32_t whole = int32_t(x);
  return whole - int32_t(x < float(whole));
}

STYLECINE_INLINE bool is_finite(float x) { return x - x == 0; }

// The logarithm of a power of two.
STYLECINE_INLINE int log2_of(int power) {
#if defined(__CUDA_ARCH__)
  return __ffs(power) - 1;
#else
  return __builtin_ctz(unsigned(power));
#endif
}

// 1 / 2^log2, exactly; a division would take a GPU ten instructions.
STYLECINE_INLINE float inverse_power(int log2) { return bits_to_float(uint32_t(127 - log2) << 23); }

// The nearest index of `size`.
STYLECINE_INLINE int inside(int i, int size) { return i < 0 ? 0 : i < size ? i : size - 1; }

STYLECINE_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
STYLECINE_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

// Weights of the four taps of the uniform cubic B-spline at f in [0,1) past the second.
STYLECINE_INLINE void cubic(float f, float &w0, float &w1, float &w2, float &w3) {
  const float g = 1 - f, sixth = 1.0f / 6;
  w0 = g * g * g * sixth;
  w1 = (4 + f * f * (3 * f - 6)) * sixth;
  w2 = (4 + g * g * (3 * g - 6)) * sixth;
  w3 = f * f * f * sixth;
}

// Between two points of a line, by a fraction of the way from the first.
struct Between {
  int32_t first, second;
  float f;
};

// `at` in points of the line, held to its ends.
STYLECINE_INLINE Between between(float at, int64_t points) {
  at = clamp(at, 0, float(points - 1));
  const int32_t first = int32_t(at), last = int32_t(points) - 1;
  return {first, first < last ? first + 1 : last, at - float(first)};
}

// Pixel i of `pixels` among points in the middles of equal cells that together cover these.
STYLECINE_INLINE Between across(int64_t i, int64_t pixels, int64_t points) {
  return between((float(i) + 0.5f) * (float(points) / float(pixels)) - 0.5f, points);
}

// Added before truncation to bytes; whole numbers are kept. (Roberts's R2 sequence.)
STYLECINE_INLINE constexpr float dither(int64_t y, int64_t x) {
  return float((uint32_t(193 * x + 147 * y) & 255) >> 4) * 0.0625f + 0.03125f;
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
