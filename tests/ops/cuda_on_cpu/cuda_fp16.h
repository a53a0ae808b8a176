// Conversions of 16-bit floats, from their definition: shared.h, which has tricks of its own for the CPU, calls these
// on the GPU.
#pragma once

#include <cmath>
#include <cstdint>

struct __half {
  uint16_t bits;
};
inline __half __ushort_as_half(uint16_t bits) { return {bits}; }
inline uint16_t __half_as_ushort(__half half) { return half.bits; }

inline float __half2float(__half half) {
  const int exponent = half.bits >> 10 & 31, mantissa = half.bits & 1023;
  const float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                     : exponent     ? ldexpf(float(1024 + mantissa), exponent - 25)
                                    : ldexpf(float(mantissa), -24);
  return half.bits & 0x8000 ? -size : size;
}

inline __half __float2half_rn(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const float size = fabsf(x);
  if (std::isnan(x)) return {0x7fff};
  if (size >= 65520) return {uint16_t(sign | 0x7c00)};  // rounds past the largest
  const int exponent = size < ldexpf(1, -14) ? -14 : ilogbf(size);
  return {uint16_t(sign | (((exponent + 14) << 10) + lrintf(ldexpf(size, 10 - exponent))))};
}
