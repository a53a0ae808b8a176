// integrate on the CPU: a row of starting points at a time, from the first knot to the last.
#include "integrate.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int32_t POINTS = 256;  // of a row that are advected together; they fit into the L1 cache

// The flow at the points column, column + 1, ... of a row, each displaced. (Compilers vectorise this loop with gathers,
// but not one with two consecutive look-ups.)
void look_up_all(Flow flow, float column, float row, int32_t count, const float *__restrict dx,
                 const float *__restrict dy, float *__restrict x, float *__restrict y) {
  for (int32_t i = 0; i < count; ++i) {
    const Velocity there = look_up(flow, column + float(i) + dx[i], row + dy[i]);
    x[i] = there.x;
    y[i] = there.y;
  }
}

void advect(const stylecine_integrate_args &args, int64_t field, int64_t row, int64_t column, int32_t count) {
  const int64_t plane = args.h * args.w, start = row * args.w + column;
  const size_t bytes = size_t(count) * sizeof(float);
  const float step = float(args.stride / double(args.substeps));
  const float *const first = args.flow + field * 2 * plane;
  const Flow flow = {first, first + plane, int32_t(args.h), int32_t(args.w)};
  float dx[POINTS] = {}, dy[POINTS] = {}, rx[POINTS], ry[POINTS], middle_x[POINTS], middle_y[POINTS];
  look_up_all(flow, float(column), float(row), count, dx, dy, rx, ry);
  for (int64_t knot = 0; knot < args.knots; ++knot) {
    for (int64_t substep = 0; knot && substep < args.substeps; ++substep) {
      for (int32_t i = 0; i < count; ++i) {
        middle_x[i] = dx[i] + 0.5f * step * rx[i];
        middle_y[i] = dy[i] + 0.5f * step * ry[i];
      }
      look_up_all(flow, float(column), float(row), count, middle_x, middle_y, rx, ry);
      for (int32_t i = 0; i < count; ++i) {
        dx[i] += step * rx[i];
        dy[i] += step * ry[i];
      }
      look_up_all(flow, float(column), float(row), count, dx, dy, rx, ry);
    }
    const int64_t at = (knot * args.fields + field) * 2 * plane + start;
    memcpy(args.positions + at, dx, bytes);
    memcpy(args.positions + at + plane, dy, bytes);
    memcpy(args.rates + at, rx, bytes);
    memcpy(args.rates + at + plane, ry, bytes);
  }
}

}  // namespace

void integrate(const stylecine_integrate_args &args, stylecine_cpu *cpu) {
  parallel(cpu, args.fields * args.h, [&](int64_t i) {
    for (int64_t column = 0; column < args.w; column += POINTS)
      advect(args, i / args.h, i % args.h, column, int32_t(min_of(POINTS, args.w - column)));
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
