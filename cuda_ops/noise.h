// dither() as tables for the CPU.
#pragma once

#include "shared.h"

namespace stylecine {
namespace STYLECINE_SET {

// dither() of pixels, and of their bytes: a row of 256, which repeats, and N more, a multiple of 16. Any other row is
// this one from another pixel on.
template <int64_t N>
struct Noise {
  float pixel[256 + N + 16] = {}, byte[3 * (256 + N) + 16] = {};
  constexpr Noise() {
    for (int64_t i = 0; i < 256 + N + 16; ++i) pixel[i] = dither(0, i);
    for (int64_t i = 0; i < 3 * (256 + N) + 16; ++i) byte[i] = dither(0, i / 3);
  }
  static int64_t start(int64_t y, int64_t x) { return (x + 83 * y) & 255; }  // 193 * 83 is 147, modulo 256
};

}  // namespace STYLECINE_SET
}  // namespace stylecine
