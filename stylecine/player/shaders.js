// The arithmetic of cuda_ops/render.h, drape.h, recolour.h, weather.h, ops/pyramid, ops/spline and ops/integrate as fragment
// shaders. Row 0 of a texture is row 0 of the image; only the canvas, and frames drawn over or recoloured, count rows
// from the bottom. mip: 0, or 1 for a frame of half the size.

const PIXEL = `
ivec2 pixel_of() { return ivec2(gl_FragCoord.xy); }
ivec2 along(int axis, ivec2 at, int i) { return axis == 0 ? ivec2(i, at.y) : ivec2(at.x, i); }
int mirrored(int i, int size) {  // c b a | a b c | c b a
  i = (i % (2 * size) + 2 * size) % (2 * size);
  return min(i, 2 * size - 1 - i);
}
`;

// A coarser sum or low-pass at a pixel of the next finer level: [1,3,3,1], zeros beyond the border.
const UPSAMPLED = `
vec3 coarse_at(sampler2D coarse, ivec2 at, ivec2 size) {
  bool inside = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, size));
  return inside ? texelFetch(coarse, at, 0).rgb : vec3(0);
}
vec3 upsampled(sampler2D coarse, ivec2 pixel) {
  ivec2 size = textureSize(coarse, 0), here = pixel >> 1, beside = here + (pixel & 1) * 2 - 1;
  vec3 above = 0.75 * coarse_at(coarse, here, size) + 0.25 * coarse_at(coarse, ivec2(beside.x, here.y), size);
  vec3 below =
      0.75 * coarse_at(coarse, ivec2(here.x, beside.y), size) + 0.25 * coarse_at(coarse, beside, size);
  return 0.75 * above + 0.25 * below;
}
`;

// The plate, -1 to 1: the photo mirrored at its borders, or what was inpainted.
const PLATE = PIXEL + `
uniform sampler2D photo, inpainted;
uniform int margin;
out vec4 plate;
void main() {
  ivec2 at = pixel_of(), size = textureSize(photo, 0);
  vec4 other = texelFetch(inpainted, at, 0);
  at = ivec2(mirrored(at.x - margin, size.x), mirrored(at.y - margin, size.y));
  plate = vec4((other.a > 0.5 ? other.rgb : texelFetch(photo, at, 0).rgb) * 2.0 - 1.0, 0);
}`;

// Half as many pixels along an axis, the border replicated.
const DOWNSAMPLE = PIXEL + `
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

// A Laplacian band: the image less the upsampled next coarser level.
const BAND = PIXEL + UPSAMPLED + `
uniform sampler2D image, coarse;
out vec4 made;
void main() {
  ivec2 at = pixel_of();
  made = vec4(texelFetch(image, at, 0).rgb - upsampled(coarse, at), 0);
}`;

// The low-pass less the light, which stands.
const UNLIT = PIXEL + `
uniform sampler2D image, light;
out vec4 made;
void main() { made = texelFetch(image, pixel_of(), 0) - texelFetch(light, pixel_of(), 0); }`;

// Splines are computed in strips. A texture holds a part of an image that has `size` pixels along an axis and is
// mirrored at its borders: the pixels from `origin` on along the axis, or from `row` on across it.
const STRIPS = PIXEL + `
uniform sampler2D image;
uniform int axis, size, origin, row;
out vec4 made;
vec4 pixel(ivec2 at, int i) { return texelFetch(image, along(axis, at, i - origin) + ivec2(0, row), 0); }
`;

// The value half way between a pixel and the next: sinc windowed by a wider sinc.
const MIDPOINTS = STRIPS + `
uniform float sinc[24];
void main() {
  ivec2 at = pixel_of();
  int first = at[axis] + origin - 11;
  made = vec4(0);
  if (first >= 0 && first <= size - 24) for (int k = 0; k < 24; ++k) made += sinc[k] * pixel(at, first + k);
  else for (int k = 0; k < 24; ++k) made += sinc[k] * pixel(at, mirrored(first + k, size));
}`;

// The cubic B-spline coefficients of an image and its midpoints; the filter has a 0 at either end.
const COEFFICIENTS = STRIPS + `
uniform sampler2D midpoints;
uniform float prefilter[19];
vec4 midpoint(ivec2 at, int i) { return texelFetch(midpoints, along(axis, at, i - origin), 0); }
void main() {
  ivec2 at = pixel_of();
  int first = at[axis] - 8, odd = at[axis] & 1, here = (at[axis] >> 1) - 4;
  made = vec4(0);
  if (first >= 0 && first <= 2 * size - 18) {
    for (int k = 0; k < 9; ++k)
      made += prefilter[2 * k + 1 - odd] * pixel(at, here + k) + prefilter[2 * k + 2 - odd] * midpoint(at, here + k);
  } else {
    for (int k = 0; k < 17; ++k) {
      int i = mirrored(first + k, 2 * size);
      made += prefilter[k + 1] * (i % 2 == 0 ? pixel(at, i / 2) : midpoint(at, i / 2));
    }
  }
}`;

// The velocity at a position on its grid, from the centre of its first point; replicated beyond the border.
const VELOCITY = `
uniform sampler2D velocity;
vec2 velocity_at(vec2 position) {
  ivec2 last = textureSize(velocity, 0) - 1;
  position = clamp(position, vec2(0), vec2(last));
  ivec2 first = ivec2(position), second = min(first + 1, last);
  vec2 f = position - vec2(first);
  vec2 above = mix(texelFetch(velocity, first, 0).xy, texelFetch(velocity, ivec2(second.x, first.y), 0).xy, f.x);
  vec2 below = mix(texelFetch(velocity, ivec2(first.x, second.y), 0).xy, texelFetch(velocity, second, 0).xy, f.x);
  return mix(above, below, f.y);
}
`;

// One knot from the last: the displacement along the flow (xy) and against it (zw), by midpoint steps.
const INTEGRATE = PIXEL + VELOCITY + `
uniform sampler2D before, needed;
uniform float frames;  // a step
uniform int steps, cell;
out vec4 made;
vec2 step_from(vec2 start, vec2 moved, float step) {
  vec2 middle = moved + 0.5 * step * velocity_at(start + moved);
  return moved + step * velocity_at(start + middle);
}
void main() {
  ivec2 at = pixel_of();
  vec2 start = vec2(at);
  made = texelFetch(before, at, 0);
  if (texelFetch(velocity, at, 0).xy == vec2(0) || texelFetch(needed, at * cell / 16, 0).r == 0.0) return;
  for (int k = 0; k < steps; ++k)
    made = vec4(step_from(start, made.xy, frames), step_from(start, made.zw, -frames));
}`;

// On the grid: where both copies are read, in canvas pixels, and their weights in the five levels.
const FIELDS = PIXEL + VELOCITY + `
uniform sampler2D crossfade, swell, stagger, needed;
uniform sampler2DArray knots, statistics;
uniform float phases[8], lengths[8], shifts[8];
uniform float stride, block, scale_angle, scale_gain, scale_crossfade;
uniform int cell, clocks;
uniform vec2 swell_weights[4];  // of each clock's two parts
layout(location = 0) out vec4 sources;  // x and y of A, of B
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
// The gain of one copy's bands that restores the photo's contrast; which: its first statistic.
vec4 contrast_gain(ivec2 at, int which, int phase, float now) {
  float known = 0.25 * float(phase + 1);
  return 1.0 + near(known, now) * (statistic(at, which + phase) * scale_gain - 1.0) +
         near(known + 0.25, now) * (statistic(at, which + phase + 1) * scale_gain - 1.0);
}
void main() {
  ivec2 at = pixel_of();
  sources = finest = middle = coarsest = vec4(0);
  if (texelFetch(needed, at * cell / 16, 0).r == 0.0) return;
  vec3 here = texelFetch(crossfade, at, 0).rgb * 255.0;
  int sub_cycle = int(here.r + 0.5);
  float now = phases[sub_cycle], age = lengths[sub_cycle];
  if (shifts[sub_cycle] > 0.0) now += shifts[sub_cycle] * texelFetch(stagger, at, 0).r;
  bool swapped = now > 1.0 || now < 0.0;  // into another sub-cycle, where copy A and copy B swap names
  now += now > 1.0 ? -1.0 : now < 0.0 ? 1.0 : 0.0;
  sources = vec4(displaced(at, true, age * now), displaced(at, false, age * (1.0 - now))) * float(cell);
  if (swapped) sources = sources.zwxy;
  for (int k = 0; k < clocks; ++k) {
    vec4 waves = texelFetch(swell, ivec2(at.x * clocks + k, at.y), 0);
    sources += (swell_weights[k].x * waves.xy + swell_weights[k].y * waves.zw).xyxy;
  }

  float share = clamp((now - here.g * scale_crossfade) * here.b, 0.0, 1.0);
  int phase = now >= 0.5 ? 1 : 0;
  float known = 0.25 * float(phase + 1), inner = clamp(now, 0.25, 0.75);
  vec4 angle = (near(known, inner) * statistic(at, phase) + near(known + 0.25, inner) * statistic(at, phase + 1)) *
               scale_angle;
  vec4 arc = step(0.015, angle), over = 1.0 / sine(max(angle, 0.015));
  vec4 a = mix(vec4(1.0 - share), sine((1.0 - share) * angle) * over, arc);
  vec4 b = mix(vec4(share), sine(share * angle) * over, arc);
  a *= contrast_gain(at, 3, phase, min(now, 0.75));
  b *= contrast_gain(at, 6, phase, max(now, 0.25));
  finest = vec4(a.x, b.x, a.y, b.y);
  middle = vec4(a.z, b.z, a.w, b.w);
  coarsest = vec4(1.0 - share, share, 0, 0);
  if (swapped) {
    finest = finest.yxwz;
    middle = middle.yxwz;
    coarsest = coarsest.yxzw;
  }
}`;

// The sum of 4 by 4 pixels, weighted by row and column; and the weights of a cubic B-spline. Written out, because loops
// take twice as long where WebGL runs on the CPU.
const WEIGHTED = `
vec4 b_spline(float f) {
  float g = 1.0 - f;
  return vec4(g * g * g, 4.0 - 6.0 * f * f + 3.0 * f * f * f, 4.0 - 6.0 * g * g + 3.0 * g * g * g, f * f * f) / 6.0;
}
vec4 weighted_along(sampler2D image, int axis, ivec2 at, vec4 weights) {  // of four pixels in a row or a column
  ivec2 last = textureSize(image, 0) - 1, way = axis == 0 ? ivec2(1, 0) : ivec2(0, 1);
  return weights.x * texelFetch(image, clamp(at - way, ivec2(0), last), 0) +
         weights.y * texelFetch(image, clamp(at, ivec2(0), last), 0) +
         weights.z * texelFetch(image, clamp(at + way, ivec2(0), last), 0) +
         weights.w * texelFetch(image, clamp(at + 2 * way, ivec2(0), last), 0);
}
vec3 weighted_row(sampler2D image, int mip, ivec4 columns, int row, vec4 weights) {
  return weights.x * texelFetch(image, ivec2(columns.x, row), mip).rgb +
         weights.y * texelFetch(image, ivec2(columns.y, row), mip).rgb +
         weights.z * texelFetch(image, ivec2(columns.z, row), mip).rgb +
         weights.w * texelFetch(image, ivec2(columns.w, row), mip).rgb;
}
vec3 weighted(sampler2D image, int mip, ivec2 at, vec4 across, vec4 down) {
  const ivec4 around = ivec4(-1, 0, 1, 2);
  ivec2 last = textureSize(image, mip) - 1;
  ivec4 columns = clamp(at.x + around, 0, last.x), rows = clamp(at.y + around, 0, last.y);
  return down.x * weighted_row(image, mip, columns, rows.x, across) +
         down.y * weighted_row(image, mip, columns, rows.y, across) +
         down.z * weighted_row(image, mip, columns, rows.z, across) +
         down.w * weighted_row(image, mip, columns, rows.w, across);
}
`;

// Two displaced copies of a level at one of its pixels, weighted and added.
const MIXED = WEIGHTED + `
uniform sampler2D spline, sources, weights;
uniform int cell, scale, odd;  // odd levels use the second two weights
#ifdef STANDING
uniform sampler2D standing;
uniform float share;  // of the level, in what stands
vec4 source_at(ivec2 at) {
  vec4 source = texelFetch(sources, at, 0);
  return share > 0.0 ? source * (1.0 - share * texelFetch(standing, at, 0).r) : source;
}
#else
vec4 source_at(ivec2 at) { return texelFetch(sources, at, 0); }
#endif

// Where both copies are read (canvas pixels) and their weights: interpolated from the grid; for pixels larger than a
// cell, the mean over the pixel.
void fields_at(ivec2 pixel, out vec4 from, out vec4 weight) {
  ivec2 last = textureSize(sources, 0) - 1;
  if (scale > cell) {
    int wide = scale / cell;
    ivec2 first = pixel * wide, end = min(first + wide, last + 1);
    from = weight = vec4(0);
    for (int y = first.y; y < end.y; ++y)
      for (int x = first.x; x < end.x; ++x) {
        from += source_at(ivec2(x, y));
        weight += texelFetch(weights, ivec2(x, y), 0);
      }
    ivec2 count = end - first;
    from /= float(count.x * count.y);
    weight /= float(count.x * count.y);
    return;
  }
  int ratio = cell / scale;
  ivec2 offset = 2 * pixel + 1 - ratio;  // from the first point, in half pixels
  ivec2 cell_at = ivec2(offset.x < 0 ? -1 : offset.x / (2 * ratio), offset.y < 0 ? -1 : offset.y / (2 * ratio));
  vec2 f = vec2(offset - cell_at * 2 * ratio) / float(2 * ratio);
  ivec2 a = clamp(cell_at, ivec2(0), last), d = clamp(cell_at + 1, ivec2(0), last);
  ivec2 b = ivec2(d.x, a.y), c = ivec2(a.x, d.y);
  from = mix(mix(source_at(a), source_at(b), f.x), mix(source_at(c), source_at(d), f.x), f.y);
  weight = mix(mix(texelFetch(weights, a, 0), texelFetch(weights, b, 0), f.x),
               mix(texelFetch(weights, c, 0), texelFetch(weights, d, 0), f.x), f.y);
}
#ifdef FLOATS  // float textures may not be filterable: 16 look-ups
vec3 read(vec2 place) {
  place = clamp(place, vec2(-4), vec2(textureSize(spline, 0)) + 4.0);
  vec2 whole = floor(place), f = place - whole;
  return weighted(spline, 0, ivec2(whole), b_spline(f.x), b_spline(f.y));
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

// The sum of a level and all coarser ones, and of the light.
const level = (first, read) => "#define STANDING\n" + read + PIXEL + MIXED + (first ? "" : UPSAMPLED) + `
uniform sampler2D needed, ${first ? "light" : "coarse"};
out vec4 sum;
void main() {
  ivec2 at = pixel_of();
  sum = vec4(0);
  if (texelFetch(needed, at * scale / 16, 0).r == 0.0) return;
  sum.rgb = mixed(at) + ${first ? "texelFetch(light, at, 0).rgb" : "upsampled(coarse, at)"};
}`;
const LOW_PASS = level(true, "#define FLOATS\n");
const LEVEL = level(false, "");

// The photo: frame 0, exactly, without the rounding of texture look-ups.
const PHOTO = PIXEL + `
uniform sampler2D photo;
uniform int mip;
out vec4 frame;
void main() {
  ivec2 at = pixel_of();
  frame = vec4(texelFetch(photo, ivec2(at.x, textureSize(photo, mip).y - 1 - at.y), mip).rgb, 1);
}`;

// What is added to a value of 0 to 255 before it is rounded down (Roberts's R2 sequence).
const DITHER = `
float dither(ivec2 at) { return (float(((193 * at.x + 147 * at.y) & 255) >> 4) + 0.5) / 16.0; }
`;

// The sum of all levels, blended into the photo; 8 bits. At half the size, of all levels but the finest.
const FRAME = PIXEL + MIXED + UPSAMPLED + DITHER + `
uniform sampler2D photo, moving, coarse;
uniform int margin, mip;
out vec4 frame;
void main() {
  ivec2 at = pixel_of();
  at.y = textureSize(photo, mip).y - 1 - at.y;
  vec3 still = texelFetch(photo, at, mip).rgb;
  float moves = texelFetch(moving, at, mip).r;
  frame = vec4(still, 1);
  if (moves == 0.0) return;
  vec3 sum;
  if (mip == 1) sum = texelFetch(coarse, at + margin / 2, 0).rgb;  // margins are even
  else sum = mixed(at + margin) + upsampled(coarse, at + margin);
  vec3 over = clamp(sum, -1.0, 1.0) * 127.5 + 127.5;
  frame.rgb = floor(mix(still * 255.0, over, moves) + dither(at)) / 255.0;
}`;

// An overlay's field at a moment: the weighted sum of its keyframes.
const OVERLAY_FIELD = PIXEL + `
uniform sampler2DArray keyframes;
uniform float weights[32];
out vec4 field;
void main() {
  field = vec4(0);
  for (int k = 0; k < textureSize(keyframes, 0).z; ++k)
    field += weights[k] * texelFetch(keyframes, ivec3(pixel_of(), k), 0);
}`;

// Along one axis, the last point of an overlay's field before a pixel, and how far the pixel is from it to the next.
// Cells have `cell` pixels of the whole size, of which a pixel has 1 << mip.
const BETWEEN = `
uniform int cell, mip;
int point_before(int pixel, out float f) {
  int offset = ((2 * pixel + 1) << mip) - cell;  // from the first point, in half pixels
  int first = offset < 0 ? -1 : offset / (2 * cell);
  f = float(offset - first * 2 * cell) / float(2 * cell);
  return first;
}
`;

// An overlay's field at every column of pixels, but only at the rows of its grid: so that a pixel needs four look-ups
// instead of sixteen.
const OVERLAY_COLUMNS = PIXEL + WEIGHTED + BETWEEN + `
uniform sampler2D field;
out vec4 wide;
void main() {
  float f;
  int first = point_before(pixel_of().x, f);
  wide = weighted_along(field, 0, ivec2(first, pixel_of().y), b_spline(f));
}`;

// Cloth or plants over a frame, as in cuda_ops/drape.h: displaced, relit, and the background that it uncovers.
const OVERLAY = PIXEL + WEIGHTED + BETWEEN + DITHER + `
uniform sampler2D frame, photo, background, matte, columns, tiles;
uniform int fine;
out vec4 drawn;
const int TILE = 32;
vec4 catmull_rom(float f) {  // exactly 0, 1, 0, 0 for 0
  return 0.5 * vec4(((2.0 - f) * f - 1.0) * f, (3.0 * f - 5.0) * f * f + 2.0, ((4.0 - 3.0 * f) * f + 1.0) * f,
                    (f - 1.0) * f * f);
}
vec4 sharper(float f) {
  return vec4(((2.0 - f) * f - 1.0) * f * 0.75, (1.25 * f - 2.25) * f * f + 1.0, ((1.5 - 1.25 * f) * f + 0.75) * f,
              (f - 1.0) * f * f * 0.75);
}
vec4 taps(float f) { return fine == 1 ? sharper(f) : catmull_rom(f); }
vec3 field_at(ivec2 at) {  // x and y in pixels, and the binary logarithm of the gain
  float f;
  int first = point_before(at.y, f);
  return weighted_along(columns, 1, ivec2(at.x, first), b_spline(f)).xyz;
}
float matte_at(ivec2 at, vec2 f) {
  ivec2 last = textureSize(matte, mip) - 1, a = clamp(at, ivec2(0), last), d = clamp(at + 1, ivec2(0), last);
  return mix(mix(texelFetch(matte, a, mip).r, texelFetch(matte, ivec2(d.x, a.y), mip).r, f.x),
             mix(texelFetch(matte, ivec2(a.x, d.y), mip).r, texelFetch(matte, d, mip).r, f.x), f.y);
}
vec3 photo_at(ivec2 at, vec2 f) { return weighted(photo, mip, at, taps(f.x), taps(f.y)); }
void main() {
  ivec2 size = textureSize(photo, mip), at = pixel_of();
  drawn = texelFetch(frame, at, 0);
  at.y = size.y - 1 - at.y;
  if (texelFetch(tiles, (at << mip) / TILE, 0).r == 0.0) return;
  vec3 moved = field_at(at), here = texelFetch(photo, at, mip).rgb;
  vec4 hidden = texelFetch(background, at, mip);
  vec2 from = clamp(vec2(at) + moved.xy / float(1 << mip), vec2(-4), vec2(size) + 4.0), whole = floor(from);
  float before = texelFetch(matte, at, mip).r, now = matte_at(ivec2(whole), from - whole);
  if (before == 0.0 && now == 0.0 && hidden.a == 0.0) return;  // neither the overlay nor uncovered background
  vec3 behind = hidden.a > 0.5 ? hidden.rgb / hidden.a : here, shown = vec3(0);
  if (now > 0.0) shown = photo_at(ivec2(whole), from - whole) * exp2(clamp(moved.z, -1.0, 1.0) / 2.2);
  float still = clamp(1.0 - dot(moved.xy, moved.xy), 0.0, 1.0);
  vec3 unmoved = here - mix(behind, here, before);
  vec3 over = mix(drawn.rgb + behind - here, shown, now) + still * still * unmoved;
  drawn.rgb = floor(clamp(over * 255.0 + (fine == 1 ? dither(at) : 0.5), 0.0, 255.0)) / 255.0;
}`;

// A frame in another appearance, as in cuda_ops/recolour.h: each pixel's colour is changed by the affine transform at
// its place, between those for the two nearest lumas. An amount of 0 keeps the bytes.
const RECOLOUR = PIXEL + DITHER + `
uniform sampler2D frame;
uniform sampler2DArray transforms;
uniform int depth;
uniform float amount;
uniform ivec2 size;
out vec4 changed;
vec3 transformed(vec3 colour, vec2 place, int level) {
  vec3 added;
  for (int c = 0; c < 3; ++c) added[c] = dot(textureLod(transforms, vec3(place, 3 * level + c), 0.0), vec4(colour, 1));
  return added;
}
void main() {
  ivec2 at = pixel_of();
  vec3 colour = texelFetch(frame, at, 0).rgb;
  at.y = size.y - 1 - at.y;
  vec2 place = (vec2(at) + 0.5) / vec2(size);
  float luma = clamp(dot(colour, vec3(0.299, 0.587, 0.114)), 0.0, 1.0) * float(depth - 1);
  int darker = int(luma), brighter = min(darker + 1, depth - 1);
  vec3 added = mix(transformed(colour, place, darker), transformed(colour, place, brighter), luma - float(darker));
  vec3 mixed = mix(colour, clamp(colour + added, 0.0, 1.0), amount);
  changed = vec4(floor(mixed * 255.0 + dither(at)) / 255.0, 1);
}`;

// Weather over a frame, as in cuda_ops/weather.h: fog by the distance, then what falls, in front of it.
const WEATHER = PIXEL + DITHER + `
uniform sampler2D frame, through, veil, distance;
uniform vec3 veil_colour, streak_colour;
uniform ivec2 size;
uniform int mip;
out vec4 shown;
float veil_at(vec2 place) {
  ivec2 points = textureSize(veil, 0), last = points - 1;
  vec2 at = clamp(place * vec2(points) - 0.5, vec2(0), vec2(last));
  ivec2 a = ivec2(at), d = min(a + 1, last);
  vec2 f = at - vec2(a);
  return mix(mix(texelFetch(veil, a, 0).r, texelFetch(veil, ivec2(d.x, a.y), 0).r, f.x),
             mix(texelFetch(veil, ivec2(a.x, d.y), 0).r, texelFetch(veil, d, 0).r, f.x), f.y);
}
void main() {
  ivec2 at = pixel_of();
  vec3 colour = texelFetch(frame, at, 0).rgb;
  float seen = texelFetch(through, at, 0).r;
  at.y = size.y - 1 - at.y;
  float opacity = clamp(veil_at((vec2(at) + 0.5) / vec2(size)), 0.0, 1.0);
  float fog = opacity * texelFetch(distance, at, mip).r;
  vec3 mixed = mix(streak_colour, mix(colour, veil_colour, fog), seen);
  shown = vec4(floor(clamp(mixed, 0.0, 1.0) * 255.0 + dither(at)) / 255.0, 1);
}`;

// One colour over a finished frame, where the photo is transparent.
const COVER = PIXEL + `
uniform sampler2D cover;
uniform vec3 colour;
uniform int mip;
out vec4 shown;
void main() {
  ivec2 at = pixel_of();
  shown = vec4(colour, texelFetch(cover, ivec2(at.x, textureSize(cover, mip).y - 1 - at.y), mip).r);
}`;

export const SHADERS = {
  ...{PLATE, DOWNSAMPLE, BAND, UNLIT, MIDPOINTS, COEFFICIENTS, INTEGRATE, FIELDS, LOW_PASS, LEVEL, PHOTO, FRAME},
  ...{OVERLAY_FIELD, OVERLAY_COLUMNS, OVERLAY, RECOLOUR, WEATHER, COVER},
};
