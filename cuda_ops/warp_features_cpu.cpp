// warp_features on the CPU: tile by tile, so that neighbouring rows share cached coefficients; all channels of a
// coefficient, which are adjacent, at once.
#include "vector.h"
#include "warp_features.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t HEIGHT = 32, WIDTH = 32;  // of a tile
constexpr int64_t VECTOR = 16;              // floats

struct Reads {  // of one pixel: the coefficients of both copies and their weights
  int64_t at[32];
  float weight[32];
};

Reads reads(const stylecine_warp_features_args &args, int64_t y, int64_t x) {
  const int64_t plane = args.a * args.b, pixel = y * args.b + x;
  Reads result;
  for (int copy = 0; copy < 2; ++copy) {
    const Taps across = taps(float(x) + args.sources[2 * copy * plane + pixel], int32_t(2 * args.w));
    const Taps down = taps(float(y) + args.sources[(2 * copy + 1) * plane + pixel], int32_t(2 * args.h));
    const float share = args.weights[copy * plane + pixel];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        result.at[16 * copy + 4 * i + j] = (down.at[i] * 2 * args.w + across.at[j]) * args.channels;
        result.weight[16 * copy + 4 * i + j] = share * down.weight[i] * across.weight[j];
      }
  }
  return result;
}

void write(float *out, const float *result, int64_t count) { memcpy(out, result, size_t(count) * sizeof(float)); }
template <class T>
void write(T *out, const float *result, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = store(result[i], T{});
}

// VECTORS * 16 channels, starting with `channel`.
template <int VECTORS, class T>
void mix(const T *spline, const Reads &from, int64_t channel, T *out) {
  Vector sum[VECTORS];
  for (Vector &s : sum) s = all(0);
  for (int i = 0; i < 32; ++i) {
    const T *const coefficients = spline + from.at[i] + channel;
    const Vector weight = all(from.weight[i]);
    for (int v = 0; v < VECTORS; ++v) sum[v] = fma(weight, load(coefficients + v * VECTOR), sum[v]);
  }
  alignas(64) float result[VECTORS * VECTOR];
  for (int v = 0; v < VECTORS; ++v) save(result + v * VECTOR, sum[v]);
  write(out + channel, result, VECTORS * VECTOR);
}

template <class T>
void mix_one(const T *spline, const Reads &from, int64_t channel, T *out) {
  float sum = 0;
  for (int i = 0; i < 32; ++i) sum += from.weight[i] * value(spline[from.at[i] + channel]);
  write(out + channel, &sum, 1);
}

template <class T>
void warp_as(const stylecine_warp_features_args &args, stylecine_cpu *cpu) {
  const T *const spline = static_cast<const T *>(args.spline);
  const int64_t channels = args.channels, wide = (args.b + WIDTH - 1) / WIDTH, high = (args.a + HEIGHT - 1) / HEIGHT;
  parallel(cpu, wide * high, [&](int64_t tile) {
    const int64_t top = tile / wide * HEIGHT, left = tile % wide * WIDTH;
    for (int64_t y = top; y < min_of(top + HEIGHT, args.a); ++y)
      for (int64_t x = left; x < min_of(left + WIDTH, args.b); ++x) {
        const Reads from = reads(args, y, x);
        T *const out = static_cast<T *>(args.out) + (y * args.b + x) * channels;
        int64_t channel = 0;
        for (; channel + 4 * VECTOR <= channels; channel += 4 * VECTOR) mix<4>(spline, from, channel, out);
        for (; channel + VECTOR <= channels; channel += VECTOR) mix<1>(spline, from, channel, out);
        for (; channel < channels; ++channel) mix_one(spline, from, channel, out);
      }
  });
}

}  // namespace

void warp_features(const stylecine_warp_features_args &args, stylecine_cpu *cpu) {
  if (args.dtype == STYLECINE_FLOAT32) return warp_as<float>(args, cpu);
  if (args.dtype == STYLECINE_FLOAT16) return warp_as<half>(args, cpu);
  warp_as<bfloat>(args, cpu);
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
