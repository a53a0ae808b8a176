// The arithmetic of cuda_ops/render.h, drape.h, ops/pyramid, ops/spline and ops/integrate as fragment shaders. Textures
// keep row 0 of a picture in their row 0; only the canvas, and a frame under cloth, counts from below.

const PIXEL = `
ivec2 pixel_of() { return ivec2(gl_FragCoord.xy); }
ivec2 along(int axis, ivec2 at, int place) { return axis == 0 ? ivec2(place, at.y) : ivec2(at.x, place); }
int mirrored(int place, int size) {  // c b a | a b c | c b a
  place = (place % (2 * size) + 2 * size) % (2 * size);
  return min(place, 2 * size - 1 - place);
}
`;

// A coarser sum or low-pass at a pixel of the next finer level: [1,3,3,1], zeros past the border.
const ENLARGED = `
vec3 coarse_at(sampler2D coarse, ivec2 at, ivec2 size) {
  bool inside = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, size));
  return inside ? texelFetch(coarse, at, 0).rgb : vec3(0);
}
vec3 enlarged(sampler2D coarse, ivec2 pixel) {
  ivec2 size = textureSize(coarse, 0), here = pixel >> 1, beside = here + (pixel & 1) * 2 - 1;
  vec3 above = 0.75 * coarse_at(coarse, here, size) + 0.25 * coarse_at(coarse, ivec2(beside.x, here.y), size);
  vec3 below =
      0.75 * coarse_at(coarse, ivec2(here.x, beside.y), size) + 0.25 * coarse_at(coarse, beside, size);
  return 0.75 * above + 0.25 * below;
}
`;

// The plate, -1 to 1: the photo mirrored at its borders, or what was made up.
const PLATE = PIXEL + `
uniform sampler2D photo, made_up;
uniform int margin;
out vec4 plate;
void main() {
  ivec2 at = pixel_of(), size = textureSize(photo, 0);
  vec4 other = texelFetch(made_up, at, 0);
  at = ivec2(mirrored(at.x - margin, size.x), mirrored(at.y - margin, size.y));
  plate = vec4((other.a > 0.5 ? other.rgb : texelFetch(photo, at, 0).rgb) * 2.0 - 1.0, 0);
}`;

// Half as many pixels along an axis, the border replicated.
const HALVED = PIXEL + `
uniform sampler2D image;
uniform int axis;
out vec4 made;
void main() {
  const float taps[6] = float[6](1.0 / 32.0, 5.0 / 32.0, 10.0 / 32.0, 10.0 / 32.0, 5.0 / 32.0, 1.0 / 32.0);
  ivec2 at = pixel_of();
  int last = textureSize(image, 0)[axis] - 1;
  made = vec4(0);
  for (int k = 0; k < 6; ++k)
    made += taps[k] * texelFetch(image, along(axis, at, clamp(2 * at[axis] - 2 + k, 0, last)), 0);
}`;

// A Laplacian band: what the next coarser level does not show.
const BAND = PIXEL + ENLARGED + `
uniform sampler2D image, coarse;
out vec4 made;
void main() {
  ivec2 at = pixel_of();
  made = vec4(texelFetch(image, at, 0).rgb - enlarged(coarse, at), 0);
}`;

// A spline is made strip by strip. Of an image, mirrored at its borders, that has `size` pixels along an axis, textures
// hold what begins with pixel `origin`, or, across the axis, with row `row`.
const STRIPS = PIXEL + `
uniform sampler2D image;
uniform int axis, size, origin, row;
out vec4 made;
vec4 pixel(ivec2 at, int place) { return texelFetch(image, along(axis, at, place - origin) + ivec2(0, row), 0); }
`;

// What lies half way between a pixel and the next: sinc under a wider sinc.
const BETWEEN = STRIPS + `
uniform float sinc[24];
void main() {
  ivec2 at = pixel_of();
  int first = at[axis] + origin - 11;
  made = vec4(0);
  if (first >= 0 && first <= size - 24) for (int k = 0; k < 24; ++k) made += sinc[k] * pixel(at, first + k);
  else for (int k = 0; k < 24; ++k) made += sinc[k] * pixel(at, mirrored(first + k, size));
}`;

// The cubic B-spline's coefficients of an image and what lies between its pixels; the filter has a 0 at either end.
const COEFFICIENTS = STRIPS + `
uniform sampler2D between;
uniform float prefilter[19];
vec4 half_way(ivec2 at, int place) { return texelFetch(between, along(axis, at, place - origin), 0); }
void main() {
  ivec2 at = pixel_of();
  int first = at[axis] - 8, odd = at[axis] & 1, here = (at[axis] >> 1) - 4;
  made = vec4(0);
  if (first >= 0 && first <= 2 * size - 18) {
    for (int k = 0; k < 9; ++k)
      made += prefilter[2 * k + 1 - odd] * pixel(at, here + k) + prefilter[2 * k + 2 - odd] * half_way(at, here + k);
  } else {
    for (int k = 0; k < 17; ++k) {
      int place = mirrored(first + k, 2 * size);
      made += prefilter[k + 1] * (place % 2 == 0 ? pixel(at, place / 2) : half_way(at, place / 2));
    }
  }
}`;

// The velocity at a place of its grid, counted from the centre of its first point; replicated past the border.
const VELOCITY = `
uniform sampler2D velocity;
vec2 velocity_at(vec2 place) {
  ivec2 last = textureSize(velocity, 0) - 1;
  place = clamp(place, vec2(0), vec2(last));
  ivec2 first = ivec2(place), second = min(first + 1, last);
  vec2 f = place - vec2(first);
  vec2 above = mix(texelFetch(velocity, first, 0).xy, texelFetch(velocity, ivec2(second.x, first.y), 0).xy, f.x);
  vec2 below = mix(texelFetch(velocity, ivec2(first.x, second.y), 0).xy, texelFetch(velocity, second, 0).xy, f.x);
  return mix(above, below, f.y);
}
`;

// One knot after another: where matter has got to along the flow (xy) and against it (zw), by midpoint steps.
const CARRIED = PIXEL + VELOCITY + `
uniform sampler2D before;
uniform float frames;  // a step
uniform int steps;
out vec4 made;
vec2 step_from(vec2 start, vec2 moved, float step) {
  vec2 half_way = moved + 0.5 * step * velocity_at(start + moved);
  return moved + step * velocity_at(start + half_way);
}
void main() {
  ivec2 at = pixel_of();
  vec2 start = vec2(at);
  made = texelFetch(before, at, 0);
  for (int k = 0; k < steps; ++k)
    made = vec4(step_from(start, made.xy, frames), step_from(start, made.zw, -frames));
}`;

// On the grid: where both copies are read, in canvas pixels, and how much each counts in the five levels.
const FIELDS = PIXEL + VELOCITY + `
uniform sampler2D change, roll, needed;
uniform sampler2DArray knots, statistics;
uniform float passed[8], lengths[8];
uniform float stride, block, scale_angle, scale_lift, scale_change;
uniform int cell;
uniform vec2 swing;
layout(location = 0) out vec4 sources;  // of A and of B, x and y
layout(location = 1) out vec4 finest;   // weights: A and B in level 0, A and B in level 1
layout(location = 2) out vec4 middle;   // in 2 and 3
layout(location = 3) out vec4 coarsest;  // in 4

vec2 displaced(ivec2 at, bool back, float age) {
  int knot = clamp(int(age / stride), 0, textureSize(knots, 0).z - 2);
  vec4 both_first = texelFetch(knots, ivec3(at, knot), 0), both_second = texelFetch(knots, ivec3(at, knot + 1), 0);
  vec2 first = back ? both_first.zw : both_first.xy, second = back ? both_second.zw : both_second.xy;
  float u = age / stride - float(knot), end = u * u * (3.0 - 2.0 * u), way = back ? -stride : stride;
  return (1.0 - end) * first + end * second +
         way * (u * (1.0 - u) * (1.0 - u) * velocity_at(vec2(at) + first) +
                u * u * (u - 1.0) * velocity_at(vec2(at) + second));
}
vec4 statistic(ivec2 at, int which) {
  vec2 size = vec2(textureSize(statistics, 0).xy);
  return textureLod(statistics, vec3((vec2(at) + 0.5) * (float(cell) / block) / size, which), 0.0);
}
float near(float phase, float now) { return max(1.0 - abs(now - phase) * 4.0, 0.0); }
vec4 sine(vec4 x) {  // of [0,pi], to 4e-7
  x = min(x, 3.14159265 - x);
  vec4 y = x * x;
  return x * (1.0 + y * (-1.66666547e-1 + y * (8.33217968e-3 + y * (-1.95125553e-4 + y * 2.60052530e-6))));
}
// What one copy's bands are multiplied by so that they have the photo's contrast; which: its first statistic.
vec4 lifted(ivec2 at, int which, int phase, float now) {
  float known = 0.25 * float(phase + 1);
  return 1.0 + near(known, now) * (statistic(at, which + phase) * scale_lift - 1.0) +
         near(known + 0.25, now) * (statistic(at, which + phase + 1) * scale_lift - 1.0);
}
void main() {
  ivec2 at = pixel_of();
  sources = finest = middle = coarsest = vec4(0);
  if (texelFetch(needed, at * cell / 16, 0).r == 0.0) return;
  vec3 here = texelFetch(change, at, 0).rgb * 255.0;
  int turn = int(here.r + 0.5);
  float now = passed[turn], age = lengths[turn];
  sources = vec4(displaced(at, true, age * now), displaced(at, false, age * (1.0 - now))) * float(cell);
  vec4 sway = texelFetch(roll, at, 0);
  sources += (swing.x * sway.xy + swing.y * sway.zw).xyxy;

  float share = clamp((now - here.g * scale_change) * here.b, 0.0, 1.0);
  int phase = now >= 0.5 ? 1 : 0;
  float known = 0.25 * float(phase + 1), inner = clamp(now, 0.25, 0.75);
  vec4 apart = (near(known, inner) * statistic(at, phase) + near(known + 0.25, inner) * statistic(at, phase + 1)) *
               scale_angle;
  vec4 arc = step(0.015, apart), over = 1.0 / sine(max(apart, 0.015));
  vec4 a = mix(vec4(1.0 - share), sine((1.0 - share) * apart) * over, arc);
  vec4 b = mix(vec4(share), sine(share * apart) * over, arc);
  a *= lifted(at, 3, phase, min(now, 0.75));
  b *= lifted(at, 6, phase, max(now, 0.25));
  finest = vec4(a.x, b.x, a.y, b.y);
  middle = vec4(a.z, b.z, a.w, b.w);
  coarsest = vec4(1.0 - share, share, 0, 0);
}`;

// Two displaced copies of a level at one of its pixels, weighted and added.
const MIXED = `
uniform sampler2D spline, sources, weights;
uniform int cell, scale, odd;  // odd levels have the second two of the weights

// Where both copies are read (pixels of the canvas) and how much they count: between the grid's points, or, for pixels
// larger than a cell, the mean of those in it.
void fields_at(ivec2 pixel, out vec4 from, out vec4 weight) {
  ivec2 last = textureSize(sources, 0) - 1;
  if (scale > cell) {
    int wide = scale / cell;
    ivec2 first = pixel * wide, end = min(first + wide, last + 1);
    from = weight = vec4(0);
    for (int y = first.y; y < end.y; ++y)
      for (int x = first.x; x < end.x; ++x) {
        from += texelFetch(sources, ivec2(x, y), 0);
        weight += texelFetch(weights, ivec2(x, y), 0);
      }
    ivec2 count = end - first;
    from /= float(count.x * count.y);
    weight /= float(count.x * count.y);
    return;
  }
  int ratio = cell / scale;
  ivec2 place = 2 * pixel + 1 - ratio;  // past the first point, in halves of a pixel
  ivec2 whole = ivec2(place.x < 0 ? -1 : place.x / (2 * ratio), place.y < 0 ? -1 : place.y / (2 * ratio));
  vec2 f = vec2(place - whole * 2 * ratio) / float(2 * ratio);
  ivec2 a = clamp(whole, ivec2(0), last), d = clamp(whole + 1, ivec2(0), last);
  ivec2 b = ivec2(d.x, a.y), c = ivec2(a.x, d.y);
  from = mix(mix(texelFetch(sources, a, 0), texelFetch(sources, b, 0), f.x),
             mix(texelFetch(sources, c, 0), texelFetch(sources, d, 0), f.x), f.y);
  weight = mix(mix(texelFetch(weights, a, 0), texelFetch(weights, b, 0), f.x),
               mix(texelFetch(weights, c, 0), texelFetch(weights, d, 0), f.x), f.y);
}
#ifdef FLOATS  // textures of floats need not be filtered: 16 look-ups
vec3 read(vec2 place) {
  ivec2 last = textureSize(spline, 0) - 1;
  place = clamp(place, vec2(-4), vec2(last) + 5.0);
  vec2 whole = floor(place), f = place - whole, g = 1.0 - f;
  vec2 w[4] = vec2[4](g * g * g / 6.0, (4.0 - 6.0 * f * f + 3.0 * f * f * f) / 6.0,
                      (4.0 - 6.0 * g * g + 3.0 * g * g * g) / 6.0, f * f * f / 6.0);
  vec3 sum = vec3(0);
  for (int y = 0; y < 4; ++y) {
    vec3 row = vec3(0);
    for (int x = 0; x < 4; ++x)
      row += w[x].x * texelFetch(spline, clamp(ivec2(whole) + ivec2(x, y) - 1, ivec2(0), last), 0).rgb;
    sum += w[y].y * row;
  }
  return sum;
}
#else  // the 16 weights of a cubic B-spline as those of four bilinear look-ups (Sigg and Hadwiger, GPU Gems 2)
vec3 read(vec2 place) {
  vec2 size = vec2(textureSize(spline, 0));
  place = clamp(place, vec2(-4), size + 4.0);
  vec2 whole = floor(place), f = place - whole;
  vec2 cube = f * f * f, second = 1.0 - (((2.0 * f - 3.0) * f - 3.0) * f + 5.0) / 6.0;
  vec2 left = (whole - 0.5 + (3.0 * cube - 6.0 * f * f + 4.0) / (6.0 - 6.0 * second)) / size;
  vec2 right = (whole + 1.5 + cube / (6.0 * second)) / size;
  vec3 above = mix(textureLod(spline, left, 0.0).rgb, textureLod(spline, vec2(right.x, left.y), 0.0).rgb, second.x);
  vec3 below = mix(textureLod(spline, vec2(left.x, right.y), 0.0).rgb, textureLod(spline, right, 0.0).rgb, second.x);
  return mix(above, below, second.y);
}
#endif
vec3 mixed(ivec2 pixel) {
  vec4 from, weight;
  fields_at(pixel, from, weight);
  from = 2.0 * (vec2(pixel).xyxy + from / float(scale));
  vec2 count = odd == 1 ? weight.zw : weight.xy;
  return count.x * read(from.xy) + count.y * read(from.zw);
}
`;

// The sum of a level and all coarser ones.
const level = (first, read) => read + PIXEL + MIXED + (first ? "" : ENLARGED) + `
uniform sampler2D needed;
${first ? "" : "uniform sampler2D coarse;"}
out vec4 sum;
void main() {
  ivec2 at = pixel_of();
  sum = vec4(0);
  if (texelFetch(needed, at * scale / 16, 0).r == 0.0) return;
  sum.rgb = mixed(at)${first ? "" : " + enlarged(coarse, at)"};
}`;
const LOW_PASS = level(true, "#define FLOATS\n");
const LEVEL = level(false, "");

// The photo: frame 0, of which nothing has moved yet, whatever the graphics' look-ups round.
const PHOTO = PIXEL + `
uniform sampler2D photo;
out vec4 frame;
void main() {
  ivec2 at = pixel_of();
  frame = vec4(texelFetch(photo, ivec2(at.x, textureSize(photo, 0).y - 1 - at.y), 0).rgb, 1);
}`;

// The finest level and all coarser ones, set into the photo; bytes.
const FRAME = PIXEL + MIXED + ENLARGED + `
uniform sampler2D photo, moving, coarse;
uniform int margin;
out vec4 frame;
void main() {
  ivec2 at = pixel_of();
  at.y = textureSize(photo, 0).y - 1 - at.y;
  vec3 still = texelFetch(photo, at, 0).rgb;
  float moves = texelFetch(moving, at, 0).r;
  frame = vec4(still, 1);
  if (moves == 0.0) return;
  vec3 sum = mixed(at + margin) + enlarged(coarse, at + margin);
  vec3 over = clamp(sum, -1.0, 1.0) * 127.5 + 127.5;
  float dither = (float(((193 * at.x + 147 * at.y) & 255) >> 4) + 0.5) / 16.0;  // (Roberts's R2 sequence.)
  frame.rgb = floor(mix(still * 255.0, over, moves) + dither) / 255.0;
}`;

// The cloth's field at some moment: its knots, weighted.
const BLOWN = PIXEL + `
uniform sampler2DArray knots;
uniform float weights[32];
out vec4 field;
void main() {
  field = vec4(0);
  for (int k = 0; k < textureSize(knots, 0).z; ++k) field += weights[k] * texelFetch(knots, ivec3(pixel_of(), k), 0);
}`;

// Cloth over a frame, the arithmetic of cuda_ops/drape.h: moved, shaded anew, and what is behind it.
const DRAPED = PIXEL + `
uniform sampler2D frame, photo, background, matte, field, tiles;
uniform int cell;
out vec4 drawn;
const int TILE = 32;
vec4 b_spline(float f) {
  float g = 1.0 - f;
  return vec4(g * g * g, 4.0 - 6.0 * f * f + 3.0 * f * f * f, 4.0 - 6.0 * g * g + 3.0 * g * g * g, f * f * f) / 6.0;
}
vec4 catmull_rom(float f) {  // exactly 0, 1, 0, 0 for 0
  return 0.5 * vec4(((2.0 - f) * f - 1.0) * f, (3.0 * f - 5.0) * f * f + 2.0, ((4.0 - 3.0 * f) * f + 1.0) * f,
                    (f - 1.0) * f * f);
}
vec3 field_at(ivec2 at) {  // x and y in pixels, and the binary logarithm of the gain
  ivec2 place = 2 * at + 1 - cell, last = textureSize(field, 0) - 1;  // past the first point, in halves of a pixel
  ivec2 whole = ivec2(place.x < 0 ? -1 : place.x / (2 * cell), place.y < 0 ? -1 : place.y / (2 * cell));
  vec2 f = vec2(place - whole * 2 * cell) / float(2 * cell);
  vec4 across = b_spline(f.x), down = b_spline(f.y);
  vec3 sum = vec3(0);
  for (int y = 0; y < 4; ++y) {
    vec3 row = vec3(0);
    for (int x = 0; x < 4; ++x)
      row += across[x] * texelFetch(field, clamp(whole + ivec2(x, y) - 1, ivec2(0), last), 0).rgb;
    sum += down[y] * row;
  }
  return sum;
}
float matte_at(ivec2 at, vec2 f) {
  ivec2 last = textureSize(matte, 0) - 1, a = clamp(at, ivec2(0), last), d = clamp(at + 1, ivec2(0), last);
  return mix(mix(texelFetch(matte, a, 0).r, texelFetch(matte, ivec2(d.x, a.y), 0).r, f.x),
             mix(texelFetch(matte, ivec2(a.x, d.y), 0).r, texelFetch(matte, d, 0).r, f.x), f.y);
}
vec3 photo_at(ivec2 at, vec2 f) {
  ivec2 last = textureSize(photo, 0) - 1;
  vec4 across = catmull_rom(f.x), down = catmull_rom(f.y);
  vec3 sum = vec3(0);
  for (int y = 0; y < 4; ++y) {
    vec3 row = vec3(0);
    for (int x = 0; x < 4; ++x) row += across[x] * texelFetch(photo, clamp(at + ivec2(x, y) - 1, ivec2(0), last), 0).rgb;
    sum += down[y] * row;
  }
  return sum;
}
void main() {
  ivec2 size = textureSize(photo, 0), at = pixel_of();
  drawn = texelFetch(frame, at, 0);
  at.y = size.y - 1 - at.y;
  if (texelFetch(tiles, at / TILE, 0).r == 0.0) return;
  vec3 moved = field_at(at), here = texelFetch(photo, at, 0).rgb;
  vec4 hidden = texelFetch(background, at, 0);
  vec2 from = clamp(vec2(at) + moved.xy, vec2(-4), vec2(size) + 4.0), whole = floor(from);
  float before = texelFetch(matte, at, 0).r, now = matte_at(ivec2(whole), from - whole);
  if (before == 0.0 && now == 0.0 && hidden.a == 0.0) return;  // no cloth, before or now
  vec3 behind = hidden.a > 0.5 ? hidden.rgb : here, shown = vec3(0);
  if (now > 0.0) shown = photo_at(ivec2(whole), from - whole) * exp2(clamp(moved.z, -1.0, 1.0) / 2.2);
  float still = clamp(1.0 - dot(moved.xy, moved.xy), 0.0, 1.0);
  vec3 unmoved = here - mix(behind, here, before);
  vec3 over = mix(drawn.rgb + behind - here, shown, now) + still * still * unmoved;
  drawn.rgb = floor(clamp(over * 255.0 + 0.5, 0.0, 255.0)) / 255.0;
}`;

export const SHADERS = {
  ...{PLATE, HALVED, BAND, BETWEEN, COEFFICIENTS, CARRIED, FIELDS, LOW_PASS, LEVEL, PHOTO, FRAME},
  ...{BLOWN, DRAPED},
};
