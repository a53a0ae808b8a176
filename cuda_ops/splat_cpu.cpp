// splat on the CPU: a task sums one band of rows of the output, visiting the sources that land in it in a fixed order,
// so that no two threads write to the same place and the sums do not depend on the number of threads.
#include <atomic>

#include "splat.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t BAND = 64;   // rows
constexpr int64_t SPAN = 256;  // sources in a row, processed together

struct Rows {  // of the upper pixels that a span's sources land in; empty if first > last
  int32_t first, last;
};

// The workspace. Sums are interleaved, `lanes` per pixel: channels, then the weight. They have a border for sources
// that land next to the band or the image: two pixels to the left and right, one above and below.
struct Plan {
  int64_t spans, lanes, pitch, sums, offset_largest, offset_sums;
  size_t bytes;

  Plan(const stylecine_splat_args &args, int64_t threads)
      : spans((args.w + SPAN - 1) / SPAN),
        lanes(args.channels < 4 ? 4 : 16),
        pitch(args.w + 4),
        sums((BAND + 2) * pitch * lanes),
        offset_largest(args.copies * args.h * spans * int64_t(sizeof(Rows))),
        offset_sums(offset_largest + args.copies * args.h * int64_t(sizeof(float))),
        bytes(size_t(offset_sums + threads * sums * int64_t(sizeof(float)))) {}
};

struct Sources {  // one row of one copy
  const float *dx, *dy, *weight;

  Sources(const stylecine_splat_args &args, int64_t copy, int64_t row)
      : dx(args.displacement + (2 * copy * args.h + row) * args.w),
        dy(dx + args.h * args.w),
        weight(args.weight + (copy * args.h + row) * args.w) {}
};

// The rows that the sources of a row land in, and the largest weight among them.
void scan_row(const stylecine_splat_args &args, const Plan &plan, int64_t copy, int64_t row, Rows *rows,
              float *largest) {
  const Sources of(args, copy, row);
  const int32_t height = int32_t(args.h);
  const bool softmax = args.softmax;
  *largest = -FLT_MAX;
  for (int64_t span = 0; span < plan.spans; ++span) {
    const int32_t start = int32_t(span * SPAN), count = int32_t(min_of(SPAN, args.w - start));
    int32_t first = height, last = -2;
    float span_largest = -FLT_MAX;
    for (int32_t i = start; i < start + count; ++i) {
      const float weight = of.weight[i];
      const Landing at = landing(float(i) + of.dx[i], float(row) + of.dy[i], args.h, args.w);
      const bool placed = (of.dx[i] == of.dx[i]) & (of.dy[i] == of.dy[i]);
      const bool valid = placed & is_finite(weight) & (softmax | (weight > 0));
      const bool lands = valid & (at.column >= -1) & (at.column < int32_t(args.w)) & (at.row >= -1) & (at.row < height);
      const int32_t low = lands ? at.row : height, high = lands ? at.row : -2;
      first = low < first ? low : first;
      last = high > last ? high : last;
      span_largest = (is_finite(weight) & (weight > span_largest)) ? weight : span_largest;
    }
    rows[span] = {first, last};
    *largest = span_largest > *largest ? span_largest : *largest;
  }
}

template <int LANES>
STYLECINE_INLINE void add(float *sum, const float *source, float weight) {
  float total[LANES];
  for (int i = 0; i < LANES; ++i) total[i] = sum[i] + weight * source[i];
  memcpy(sum, total, sizeof total);
}

// Adds the sources of a span to the sums of the band of rows top, top + 1, ...
template <class T, int LANES>
void scatter(const stylecine_splat_args &args, int64_t pitch, int64_t copy, int64_t row, int64_t start, float largest,
             int64_t channel, int64_t top, float *sums) {
  const int64_t count = min_of(SPAN, args.w - start), plane = args.h * args.w;
  const int64_t channels = min_of(LANES - 1, args.channels - channel);
  const Sources of(args, copy, row);
  float weight[SPAN], right[SPAN], below[SPAN];
  int64_t place[SPAN];  // in the sums; -1: not in this band
  for (int64_t i = 0; i < count; ++i)
    weight[i] = effective_weight(of.weight[start + i], of.dx[start + i], of.dy[start + i], args.softmax, largest);
  const int32_t above = int32_t(top) - 1, past = int32_t(min_of(top + BAND, args.h)), width = int32_t(pitch);
  for (int32_t i = 0; i < int32_t(count); ++i) {
    const float x = float(int32_t(start) + i) + of.dx[start + i], y = float(int32_t(row)) + of.dy[start + i];
    const Landing at = landing(x, y, args.h, args.w);
    const int64_t here = int64_t(at.row - above) * width + at.column + 2;
    place[i] = ((weight[i] > 0) & (at.row >= above) & (at.row < past)) ? here : -1;
    right[i] = at.x;
    below[i] = at.y;
  }
  const T *const image = static_cast<const T *>(args.image) + channel * plane + row * args.w + start;
  alignas(64) float source[SPAN * LANES] = {};
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < count; ++i) source[i * LANES + c] = value(image[c * plane + i]);
  for (int64_t i = 0; i < count; ++i) source[i * LANES + LANES - 1] = 1;
  for (int64_t i = 0; i < count; ++i) {
    if (place[i] < 0) continue;
    float *const sum = sums + place[i] * LANES;
    const float upper = weight[i] * (1 - below[i]), lower = weight[i] * below[i], left = 1 - right[i];
    add<LANES>(sum, source + i * LANES, upper * left);
    add<LANES>(sum + LANES, source + i * LANES, upper * right[i]);
    add<LANES>(sum + pitch * LANES, source + i * LANES, lower * left);
    add<LANES>(sum + (pitch + 1) * LANES, source + i * LANES, lower * right[i]);
  }
}

template <class T, int LANES>
void sum_up(const stylecine_splat_args &args, const Plan &plan, const Rows *landings, float largest, int64_t top,
            float *sums) {
  const int64_t rows = min_of(BAND, args.h - top), plane = args.h * args.w, pitch = plan.pitch;
  const auto pixel = [&](int64_t row) { return sums + ((row + 1) * pitch + 2) * LANES; };
  for (int64_t channel = 0; channel < args.channels; channel += LANES - 1) {
    memset(sums, 0, size_t((rows + 2) * pitch * LANES) * sizeof(float));
    for (int64_t copy = 0; copy < args.copies; ++copy) {
      for (int64_t row = 0; row < args.h; ++row)
        for (int64_t span = 0; span < plan.spans; ++span) {
          const Rows at = landings[(copy * args.h + row) * plan.spans + span];
          if (at.first < top + rows && at.last >= top - 1)
            scatter<T, LANES>(args, pitch, copy, row, span * SPAN, largest, channel, top, sums);
        }
      if (channel) continue;
      for (int64_t row = 0; row < rows; ++row) {
        float *const weights = pixel(row) + LANES - 1;
        float *const shares = args.shares + copy * plane + (top + row) * args.w;
        for (int64_t x = 0; x < args.w; ++x) {
          shares[x] = weights[x * LANES];
          weights[x * LANES] = 0;
        }
      }
    }
    const int64_t end = min_of(channel + LANES - 1, args.channels);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t start = 0; start < args.w; start += SPAN) {
        const int64_t count = min_of(SPAN, args.w - start), first = (top + row) * args.w + start;
        float total[SPAN];
        for (int64_t i = 0; i < count; ++i) total[i] = args.plate;
        for (int64_t copy = 0; copy < args.copies; ++copy)
          for (int64_t i = 0; i < count; ++i) total[i] += args.shares[copy * plane + first + i];
        for (int64_t c = channel; c < end; ++c) {
          const T *const image = static_cast<const T *>(args.image) + c * plane + first;
          const float *const sum = pixel(row) + start * LANES + c - channel;
          float *const out = args.out + c * plane + first;
          for (int64_t i = 0; i < count; ++i) out[i] = (sum[i * LANES] + args.plate * value(image[i])) / total[i];
        }
        for (int64_t copy = 0; end == args.channels && copy < args.copies; ++copy)
          for (int64_t i = 0; i < count; ++i) args.shares[copy * plane + first + i] /= total[i];
      }
  }
}

template <class T>
void splat_as(const stylecine_splat_args &args, char *workspace, stylecine_cpu *cpu) {
  const int threads = stylecine_cpu_threads(cpu);
  const Plan plan(args, threads);
  Rows *const landings = reinterpret_cast<Rows *>(workspace);
  float *const most = reinterpret_cast<float *>(workspace + plan.offset_largest);
  float *const sums = reinterpret_cast<float *>(workspace + plan.offset_sums);
  parallel(cpu, args.copies * args.h,
           [&](int64_t i) { scan_row(args, plan, i / args.h, i % args.h, landings + i * plan.spans, most + i); });
  float largest = -FLT_MAX;
  for (int64_t i = 0; i < args.copies * args.h; ++i) largest = most[i] > largest ? most[i] : largest;
  std::atomic<int64_t> next{0};
  parallel(cpu, threads, [&](int64_t thread) {
    for (int64_t top; (top = BAND * next.fetch_add(1, std::memory_order_relaxed)) < args.h;)
      (plan.lanes == 4 ? sum_up<T, 4> : sum_up<T, 16>)(args, plan, landings, largest, top, sums + thread * plan.sums);
  });
}

}  // namespace

size_t splat_workspace(const stylecine_splat_args &args, int threads) { return Plan(args, threads).bytes; }

void splat(const stylecine_splat_args &args, void *workspace, stylecine_cpu *cpu) {
  char *const bytes = static_cast<char *>(workspace);
  if (args.dtype == STYLECINE_FLOAT32) return splat_as<float>(args, bytes, cpu);
  if (args.dtype == STYLECINE_FLOAT16) return splat_as<half>(args, bytes, cpu);
  splat_as<bfloat>(args, bytes, cpu);
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
