// compare on the CPU: one row of blocks at a time, in runs of columns that fit into the cache.
#include "compare.h"
#include "sampling_cpu.h"

namespace stylecine {
namespace STYLECINE_SET {

namespace {

constexpr float kOnes[kLanes] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};  // weights of the copies

// Temporaries of a run of blocks.
struct Scratch {
  float field[4][kLine], line[kLine];
  float weight[kLine];                            // of one row
  float copy[2][kLanes * 4];                      // both copies at 16 pixels
  float sum[kProducts][(kColumns + kLanes) * 4];  // over the rows, of every column and channel
};

bool any(const float *weight, int64_t n) {
  int any = 0;
  for (int64_t i = 0; i < n; ++i) any |= weight[i] != 0;
  return any;
}

template <class T>
void sample(const T *spline, int width, int height, const Places &at, const float *weight, int count, float *out) {
  memset(out, 0, kLanes * 4 * sizeof(float));
  for (int i = 0; i < count; ++i) {
    if (weight[i] == 0) continue;
    const Vector taps =
        at.inside ? columns(spline, width * int64_t(4), at, i) : columns_at_border(spline, width, height, at, i);
    add_fold(out + i * 4, taps * across(at, i));
  }
}

// Adds the products of n pixels of row y from column x on, whose sources are in `field`.
template <class T>
void add_products(const stylecine_compare_args &args, const float *const *field, int64_t y, int64_t x, int64_t n,
                  Scratch &scratch) {
  const T *spline = static_cast<const T *>(args.spline);
  const int width = int(2 * args.w), height = int(2 * args.h);
  const float scale = 2 * args.per_pixel;
  for (int64_t j = 0; j < n; j += kLanes) {
    const int count = int(min_of(kLanes, n - j));
    if (!any(scratch.weight + j, count)) continue;
    for (int k = 0; k < 2; ++k) {
      const Places at =
          places(field[2 * k] + j, field[2 * k + 1] + j, kOnes, float(x + j), float(y), scale, width, height);
      sample(spline, width, height, at, scratch.weight + j, count, scratch.copy[k]);
    }
    for (int i = 0; i < kLanes; i += 4) {
      const Vector a = load(scratch.copy[0] + i * 4), b = load(scratch.copy[1] + i * 4),
                   w = spread(scratch.weight + j + i);
      const Vector left[kProducts] = {a, b, a}, right[kProducts] = {a, b, b};
      for (int k = 0; k < kProducts; ++k) {
        float *sum = scratch.sum[k] + (j + i) * 4;
        save(sum, fma(w * left[k], right[k], load(sum)));
      }
    }
  }
}

// The blocks of n columns from x on, in the row of blocks from y on.
template <class T>
void compare_run(const stylecine_compare_args &args, int64_t y, int64_t x, int64_t n) {
  const Grid grid = {args.rows, args.columns, args.ratio};
  const int64_t rows = min_of(args.side, args.h - y), points = args.rows * args.columns;
  Scratch scratch = {};  // zeros, as whole vectors are read, and a fourth channel
  for (int64_t row = y; row < y + rows; ++row) {
    const float *weight = args.weight + row * args.w + x;
    if (!any(weight, n)) continue;
    memcpy(scratch.weight, weight, n * sizeof(float));
    const float *field[4], *const planes[4] = {args.sources, args.sources + points, args.sources + 2 * points,
                                               args.sources + 3 * points};
    read_fields(grid, planes, row, x, n, scratch.field, scratch.line, field);
    add_products<T>(args, field, row, x, n, scratch);
  }
  const int64_t across = blocks_along(args.w, args.side), down = blocks_along(args.h, args.side);
  for (int k = 0; k < kProducts; ++k)
    for (int64_t left = 0; left < n; left += args.side) {
      const int64_t right = min_of(left + args.side, n);
      float sum = 0;
      for (int64_t i = left; i < right; ++i)
        for (int c = 0; c < 3; ++c) sum += scratch.sum[k][i * 4 + c];
      args.out[(k * down + y / args.side) * across + (x + left) / args.side] = sum / float(rows * (right - left));
    }
}

template <class T>
void compare_as(const stylecine_compare_args &args, stylecine_cpu *cpu) {
  const int64_t step = kColumns / args.side * args.side;  // whole blocks
  parallel(cpu, blocks_along(args.h, args.side), [&](int64_t i) {
    for (int64_t x = 0; x < args.w; x += step) compare_run<T>(args, i * args.side, x, min_of(step, args.w - x));
  });
}

}  // namespace

void compare(const stylecine_compare_args &args, stylecine_cpu *cpu) {
  if (args.dtype == STYLECINE_FLOAT32) return compare_as<float>(args, cpu);
  if (args.dtype == STYLECINE_FLOAT16) return compare_as<half>(args, cpu);
  compare_as<bfloat>(args, cpu);
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
