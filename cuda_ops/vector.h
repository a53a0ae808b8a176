// Sixteen floats at a time, in the registers of the instruction set: four neighbouring pixels of four channels; or,
// with AVX2 and more, one channel of sixteen pixels.
#pragma once

#include "shared.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false positives of GCC 12, some in its own header
#endif
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// Before a loop whose iterations write to places that no other reads.
#if defined(__clang__)
#define STYLECINE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define STYLECINE_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace stylecine {
namespace STYLECINE_SET {

// As many floats as a register holds, with the operators of C++; and as many whole numbers, and bytes.
#if defined(__AVX2__)
constexpr int kWide = 8;
typedef uint64_t Bytes;
#else
constexpr int kWide = 4;
typedef uint32_t Bytes;
#endif
typedef float Wide __attribute__((vector_size(4 * kWide)));
typedef int32_t Whole __attribute__((vector_size(4 * kWide)));
STYLECINE_INLINE Wide load_wide(const float *p) {
  Wide x;
  memcpy(&x, p, sizeof x);
  return x;
}
STYLECINE_INLINE void save_wide(float *p, Wide x) { memcpy(p, &x, sizeof x); }
STYLECINE_INLINE Bytes load_raw(const uint8_t *p) {
  Bytes x;
  memcpy(&x, p, sizeof x);
  return x;
}

#if defined(__AVX2__)
// The numbers of four points, `step` floats apart, as four rows of four points, `pitch` floats apart.
STYLECINE_INLINE void transpose(const float *points, int64_t step, float *rows, int64_t pitch) {
  __m128 a = _mm_loadu_ps(points), b = _mm_loadu_ps(points + step);
  __m128 c = _mm_loadu_ps(points + 2 * step), d = _mm_loadu_ps(points + 3 * step);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(rows, a), _mm_storeu_ps(rows + pitch, b);
  _mm_storeu_ps(rows + 2 * pitch, c), _mm_storeu_ps(rows + 3 * pitch, d);
}
// Twelve bytes and four zeros; nothing is read past the twelve.
STYLECINE_INLINE __m128i twelve(const uint8_t *p) {
  int32_t last;
  memcpy(&last, p + 8, 4);
  return _mm_insert_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p)), last, 2);
}
STYLECINE_INLINE Wide load_wide(const uint8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}
// The least float of each of four.
STYLECINE_INLINE void save_least(float *p, const Wide *x) {
  const __m256 first = _mm256_min_ps(_mm256_unpacklo_ps(x[0], x[1]), _mm256_unpackhi_ps(x[0], x[1]));
  const __m256 second = _mm256_min_ps(_mm256_unpacklo_ps(x[2], x[3]), _mm256_unpackhi_ps(x[2], x[3]));
  const __m256 all = _mm256_min_ps(_mm256_shuffle_ps(first, second, 0x44), _mm256_shuffle_ps(first, second, 0xee));
  _mm_storeu_ps(p, _mm_min_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
// One channel of kWide pixels from bytes red, green, blue.
STYLECINE_INLINE Wide wide_channel(const uint8_t *p, int channel) {
  const __m128i *const left = reinterpret_cast<const __m128i *>(p), *const right =
                                                                        reinterpret_cast<const __m128i *>(p + 8);
  const __m256i first = _mm256_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1,  //
                                         4, -1, -1, -1, 7, -1, -1, -1, 10, -1, -1, -1, 13, -1, -1, -1);
  const __m256i order = _mm256_add_epi32(first, _mm256_set1_epi32(channel));
  return _mm256_cvtepi32_ps(
      _mm256_shuffle_epi8(_mm256_set_m128i(_mm_loadu_si128(right), _mm_loadu_si128(left)), order));
}
// All three, truncated to bytes. Values in [0,256).
STYLECINE_INLINE void save_channels(uint8_t *p, const Wide *x) {
  const __m256i red = _mm256_cvttps_epi32(x[0]), green = _mm256_cvttps_epi32(x[1]), blue = _mm256_cvttps_epi32(x[2]);
  const __m256i all = _mm256_or_si256(red, _mm256_or_si256(_mm256_slli_epi32(green, 8), _mm256_slli_epi32(blue, 16)));
  const __m256i order =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(all, order), lanes);
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm256_castsi256_si128(bytes));
  _mm_storel_epi64(reinterpret_cast<__m128i *>(p + 16), _mm256_extracti128_si256(bytes, 1));
}
#endif

#if defined(__AVX512F__)

struct Vector {
  __m512 a;
};
STYLECINE_INLINE Vector load(const float *p) { return {_mm512_loadu_ps(p)}; }
STYLECINE_INLINE Vector load(const half *p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
}
STYLECINE_INLINE Vector load(const bfloat *p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
STYLECINE_INLINE void save(float *p, Vector x) { _mm512_storeu_ps(p, x.a); }
STYLECINE_INLINE Vector all(float x) { return {_mm512_set1_ps(x)}; }
STYLECINE_INLINE Vector operator+(Vector x, Vector y) { return {_mm512_add_ps(x.a, y.a)}; }
STYLECINE_INLINE Vector operator-(Vector x, Vector y) { return {_mm512_sub_ps(x.a, y.a)}; }
STYLECINE_INLINE Vector operator*(Vector x, Vector y) { return {_mm512_mul_ps(x.a, y.a)}; }
STYLECINE_INLINE Vector fma(Vector x, Vector y, Vector z) { return {_mm512_fmadd_ps(x.a, y.a, z.a)}; }
// `low` where x is NaN, as in clamp() of a float.
STYLECINE_INLINE Vector clamp(Vector x, float low, float high) {
  return {_mm512_min_ps(_mm512_max_ps(x.a, _mm512_set1_ps(low)), _mm512_set1_ps(high))};
}
// Each of four floats, four times.
STYLECINE_INLINE Vector spread(const float *p) {
  const __m512i lanes = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return {_mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(_mm_loadu_ps(p)))};
}
// Each of sixteen floats, three times, as three vectors.
STYLECINE_INLINE void thrice(Vector x, Vector *three) {
  const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5);
  const __m512i more = _mm512_setr_epi32(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
  const __m512i most = _mm512_setr_epi32(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
  three[0].a = _mm512_permutexvar_ps(lanes, x.a);
  three[1].a = _mm512_permutexvar_ps(more, x.a);
  three[2].a = _mm512_permutexvar_ps(most, x.a);
}
// Four numbers from each of four points to the next: f of the way. Reads eight points.
STYLECINE_INLINE Vector quarters(const float *above, const float *below, float down, Vector f) {
  const __m256 first = _mm256_loadu_ps(above);
  const __m256 points = _mm256_fmadd_ps(_mm256_sub_ps(_mm256_loadu_ps(below), first), _mm256_set1_ps(down), first);
  const __m512i lanes = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  const __m512 wide = _mm512_castps256_ps512(points);
  const __m512 left = _mm512_permutexvar_ps(lanes, wide);
  const __m512 right = _mm512_permutexvar_ps(_mm512_add_epi32(lanes, _mm512_set1_epi32(1)), wide);
  return {_mm512_fmadd_ps(_mm512_sub_ps(right, left), f.a, left)};
}
// Sum of the four pixels.
STYLECINE_INLINE __m128 fold(Vector x) {
  const __m256 two = _mm256_add_ps(_mm512_castps512_ps256(x.a), _mm512_extractf32x8_ps(x.a, 1));
  return _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
}
STYLECINE_INLINE void add_fold(float *p, Vector x) { _mm_storeu_ps(p, _mm_add_ps(_mm_loadu_ps(p), fold(x))); }
// Adds the fold of x[i] to the i-th of four pixels.
STYLECINE_INLINE void add_folds(float *p, const Vector *x) {
  const auto pair = [](Vector x, Vector y) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x.a, y.a, 0x44), _mm512_shuffle_f32x4(x.a, y.a, 0xee));
  };
  const __m512 first = pair(x[0], x[1]), second = pair(x[2], x[3]);
  const __m512 sum =
      _mm512_add_ps(_mm512_shuffle_f32x4(first, second, 0x88), _mm512_shuffle_f32x4(first, second, 0xdd));
  _mm512_storeu_ps(p, _mm512_add_ps(_mm512_loadu_ps(p), sum));
}
// Whether any of sixteen floats is not 0.
STYLECINE_INLINE bool any(const float *p) {
  return _mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_setzero_ps(), _CMP_NEQ_UQ) != 0;
}
// Four pixels from bytes red, green, blue.
STYLECINE_INLINE Vector load_rgb(const uint8_t *p) {
  const __m128i order = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
  const __m128i bytes = _mm_shuffle_epi8(twelve(p), order);
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
}
// Truncated to bytes and stored without the fourth channel: 12 bytes. Values in [0,256).
STYLECINE_INLINE void save_rgb(uint8_t *p, Vector x) {
  const __m128i order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m128i bytes = _mm_shuffle_epi8(_mm512_cvtepi32_epi8(_mm512_cvttps_epi32(x.a)), order);
  const uint32_t last = uint32_t(_mm_extract_epi32(bytes, 2));
  _mm_storel_epi64(reinterpret_cast<__m128i *>(p), bytes);
  memcpy(p + 8, &last, 4);
}
// Sixteen bytes; when they are stored, values are in [0,256) and truncated.
STYLECINE_INLINE Vector load_bytes(const uint8_t *p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))))};
}
STYLECINE_INLINE void save_bytes(uint8_t *p, Vector x) {
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(x.a)));
}
// One channel, 0 to 2, of sixteen pixels from bytes red, green, blue: 48 bytes.
STYLECINE_INLINE Vector load_channel(const uint8_t *p, int channel) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
  const __m256i most = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
  const __m128i rest = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p + 32));
  const __m512i bytes = _mm512_permutexvar_epi32(lanes, _mm512_inserti32x4(_mm512_castsi256_si512(most), rest, 2));
  const __m512i first =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1));
  const __m512i order = _mm512_add_epi32(first, _mm512_set1_epi32(channel));
  return {_mm512_cvtepi32_ps(_mm512_shuffle_epi8(bytes, order))};
}
// All three, truncated to bytes. Values in [0,256).
STYLECINE_INLINE void save_channels(uint8_t *p, const Vector *x) {
  const __m512i red = _mm512_cvttps_epi32(x[0].a), green = _mm512_cvttps_epi32(x[1].a);
  const __m512i blue = _mm512_cvttps_epi32(x[2].a);
  const __m512i all = _mm512_or_si512(red, _mm512_or_si512(_mm512_slli_epi32(green, 8), _mm512_slli_epi32(blue, 16)));
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3);
  const __m512i bytes = _mm512_permutexvar_epi32(lanes, _mm512_shuffle_epi8(all, order));
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), _mm512_castsi512_si256(bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p + 32), _mm512_extracti32x4_epi32(bytes, 2));
}
// x where a byte is not 0, else y.
STYLECINE_INLINE Vector choose(const uint8_t *bytes, Vector x, Vector y) {
  const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes));
  return {_mm512_mask_blend_ps(_mm_test_epi8_mask(sixteen, sixteen), y.a, x.a)};
}
// Places in a table: whole numbers, from 0 to 7.
struct Index {
  __m512i a;
};
STYLECINE_INLINE Index truncated(Vector x) { return {_mm512_cvttps_epi32(x.a)}; }
STYLECINE_INLINE Vector value(Index i) { return {_mm512_cvtepi32_ps(i.a)}; }
// What two tables of eight floats, one behind the other, have there.
STYLECINE_INLINE void look_up(const float *tables, Index i, Vector &first, Vector &second) {
  const __m512 both = _mm512_loadu_ps(tables);
  first.a = _mm512_permutexvar_ps(i.a, both);
  second.a = _mm512_permutexvar_ps(_mm512_add_epi32(i.a, _mm512_set1_epi32(8)), both);
}
// Some of sixteen.
struct Lanes {
  __mmask16 a;
};
STYLECINE_INLINE Lanes differing(const int32_t *p, int32_t x) {
  return {_mm512_cmpneq_epi32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32(x))};
}
// The same, with other tables for some lanes.
STYLECINE_INLINE void look_up(const float *tables, const float *others, Lanes other, Index i, Vector &first,
                              Vector &second) {
  const __m512 here = _mm512_loadu_ps(tables), there = _mm512_loadu_ps(others);
  const __m512i at = _mm512_mask_add_epi32(i.a, other.a, i.a, _mm512_set1_epi32(16));
  first.a = _mm512_permutex2var_ps(here, at, there);
  second.a = _mm512_permutex2var_ps(here, _mm512_add_epi32(at, _mm512_set1_epi32(8)), there);
}

#elif defined(__AVX2__)

struct Vector {
  __m256 a, b;
};
STYLECINE_INLINE Vector load(const float *p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
STYLECINE_INLINE Vector load(const half *p) {
  const __m128i *bits = reinterpret_cast<const __m128i *>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(bits)), _mm256_cvtph_ps(_mm_loadu_si128(bits + 1))};
}
STYLECINE_INLINE __m256 widen(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
STYLECINE_INLINE Vector load(const bfloat *p) {
  const __m128i *bits = reinterpret_cast<const __m128i *>(p);
  return {widen(_mm_loadu_si128(bits)), widen(_mm_loadu_si128(bits + 1))};
}
STYLECINE_INLINE void save(float *p, Vector x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
STYLECINE_INLINE Vector all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
STYLECINE_INLINE Vector operator+(Vector x, Vector y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
STYLECINE_INLINE Vector operator-(Vector x, Vector y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
STYLECINE_INLINE Vector operator*(Vector x, Vector y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
STYLECINE_INLINE Vector fma(Vector x, Vector y, Vector z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
STYLECINE_INLINE Vector clamp(Vector x, float low, float high) {
  const __m256 least = _mm256_set1_ps(low), most = _mm256_set1_ps(high);
  return {_mm256_min_ps(_mm256_max_ps(x.a, least), most), _mm256_min_ps(_mm256_max_ps(x.b, least), most)};
}
STYLECINE_INLINE Vector spread(const float *p) {
  const __m256 four = _mm256_castps128_ps256(_mm_loadu_ps(p));
  return {_mm256_permutevar8x32_ps(four, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
          _mm256_permutevar8x32_ps(four, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3))};
}
STYLECINE_INLINE void thrice(Vector x, Vector *three) {
  const __m256i lanes = _mm256_setr_epi32(0, 0, 0, 1, 1, 1, 2, 2), more = _mm256_setr_epi32(2, 3, 3, 3, 4, 4, 4, 5);
  const __m256i most = _mm256_setr_epi32(5, 5, 6, 6, 6, 7, 7, 7);
  three[0] = {_mm256_permutevar8x32_ps(x.a, lanes), _mm256_permutevar8x32_ps(x.a, more)};
  three[1] = {_mm256_permutevar8x32_ps(x.a, most), _mm256_permutevar8x32_ps(x.b, lanes)};
  three[2] = {_mm256_permutevar8x32_ps(x.b, more), _mm256_permutevar8x32_ps(x.b, most)};
}
STYLECINE_INLINE Vector quarters(const float *above, const float *below, float down, Vector f) {
  const __m256 first = _mm256_loadu_ps(above);
  const __m256 points = _mm256_fmadd_ps(_mm256_sub_ps(_mm256_loadu_ps(below), first), _mm256_set1_ps(down), first);
  const auto part = [points](int point, __m256 f) {
    const __m256i lanes = _mm256_add_epi32(_mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1), _mm256_set1_epi32(point));
    const __m256 left = _mm256_permutevar8x32_ps(points, lanes);
    const __m256 right = _mm256_permutevar8x32_ps(points, _mm256_add_epi32(lanes, _mm256_set1_epi32(1)));
    return _mm256_fmadd_ps(_mm256_sub_ps(right, left), f, left);
  };
  return {part(0, f.a), part(2, f.b)};
}
STYLECINE_INLINE void add_fold(float *p, Vector x) {
  const __m256 two = _mm256_add_ps(x.a, x.b);
  const __m128 one = _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
  _mm_storeu_ps(p, _mm_add_ps(_mm_loadu_ps(p), one));
}
STYLECINE_INLINE void add_folds(float *p, const Vector *x) {
  for (int i = 0; i < 4; i += 2) {
    const __m256 first = _mm256_add_ps(x[i].a, x[i].b), second = _mm256_add_ps(x[i + 1].a, x[i + 1].b);
    const __m256 sum =
        _mm256_add_ps(_mm256_permute2f128_ps(first, second, 0x20), _mm256_permute2f128_ps(first, second, 0x31));
    _mm256_storeu_ps(p + 4 * i, _mm256_add_ps(_mm256_loadu_ps(p + 4 * i), sum));
  }
}
STYLECINE_INLINE bool any(const float *p) {
  const __m256 zero = _mm256_setzero_ps();
  const __m256 first = _mm256_cmp_ps(_mm256_loadu_ps(p), zero, _CMP_NEQ_UQ);
  const __m256 second = _mm256_cmp_ps(_mm256_loadu_ps(p + 8), zero, _CMP_NEQ_UQ);
  return _mm256_movemask_ps(_mm256_or_ps(first, second)) != 0;
}
STYLECINE_INLINE Vector from_bytes(__m128i bytes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
}
STYLECINE_INLINE __m128i to_bytes(Vector x) {
  const __m256i a = _mm256_cvttps_epi32(x.a), b = _mm256_cvttps_epi32(x.b);
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
  return _mm_packus_epi16(low, high);
}
STYLECINE_INLINE Vector load_rgb(const uint8_t *p) {
  const __m128i order = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
  return from_bytes(_mm_shuffle_epi8(twelve(p), order));
}
STYLECINE_INLINE void save_rgb(uint8_t *p, Vector x) {
  const __m128i order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m128i bytes = _mm_shuffle_epi8(to_bytes(x), order);
  const uint32_t last = uint32_t(_mm_extract_epi32(bytes, 2));
  _mm_storel_epi64(reinterpret_cast<__m128i *>(p), bytes);
  memcpy(p + 8, &last, 4);
}
STYLECINE_INLINE Vector load_bytes(const uint8_t *p) {
  return from_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
STYLECINE_INLINE void save_bytes(uint8_t *p, Vector x) {
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), to_bytes(x));
}
STYLECINE_INLINE Vector load_channel(const uint8_t *p, int channel) {
  return {wide_channel(p, channel), wide_channel(p + 24, channel)};
}
STYLECINE_INLINE void save_channels(uint8_t *p, const Vector *x) {
  const Wide first[3] = {x[0].a, x[1].a, x[2].a}, second[3] = {x[0].b, x[1].b, x[2].b};
  save_channels(p, first), save_channels(p + 24, second);
}
STYLECINE_INLINE Vector choose(const uint8_t *bytes, Vector x, Vector y) {
  const auto eight = [](const uint8_t *bytes, __m256 x, __m256 y) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(bytes)));
    return _mm256_blendv_ps(x, y, _mm256_castsi256_ps(_mm256_cmpeq_epi32(wide, _mm256_setzero_si256())));
  };
  return {eight(bytes, x.a, y.a), eight(bytes + 8, x.b, y.b)};
}
struct Index {
  __m256i a, b;
};
STYLECINE_INLINE Index truncated(Vector x) { return {_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)}; }
STYLECINE_INLINE Vector value(Index i) { return {_mm256_cvtepi32_ps(i.a), _mm256_cvtepi32_ps(i.b)}; }
STYLECINE_INLINE void look_up(const float *tables, Index i, Vector &first, Vector &second) {
  const __m256 one = _mm256_loadu_ps(tables), other = _mm256_loadu_ps(tables + 8);
  first = {_mm256_permutevar8x32_ps(one, i.a), _mm256_permutevar8x32_ps(one, i.b)};
  second = {_mm256_permutevar8x32_ps(other, i.a), _mm256_permutevar8x32_ps(other, i.b)};
}
struct Lanes {
  __m256 not_a, not_b;
};
STYLECINE_INLINE Lanes differing(const int32_t *p, int32_t x) {
  const auto equal = [x](const int32_t *p) {
    const __m256i eight = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(eight, _mm256_set1_epi32(x)));
  };
  return {equal(p), equal(p + 8)};
}
STYLECINE_INLINE void look_up(const float *tables, const float *others, Lanes other, Index i, Vector &first,
                              Vector &second) {
  Vector here[2], there[2];
  look_up(tables, i, here[0], here[1]);
  look_up(others, i, there[0], there[1]);
  first = {_mm256_blendv_ps(there[0].a, here[0].a, other.not_a), _mm256_blendv_ps(there[0].b, here[0].b, other.not_b)};
  second = {_mm256_blendv_ps(there[1].a, here[1].a, other.not_a), _mm256_blendv_ps(there[1].b, here[1].b, other.not_b)};
}

#else  // four at a time, which every supported processor can do

typedef float Four __attribute__((vector_size(16)));
struct Vector {
  Four a[4];
};
#define STYLECINE_EACH(expression)                      \
  Vector result;                                        \
  for (int i = 0; i < 4; ++i) result.a[i] = expression; \
  return result
template <class T>
STYLECINE_INLINE Vector load(const T *p) {
  float values[16];
  for (int i = 0; i < 16; ++i) values[i] = value(p[i]);
  Vector result;
  memcpy(&result, values, sizeof result);
  return result;
}
STYLECINE_INLINE void save(float *p, Vector x) { memcpy(p, &x, sizeof x); }
STYLECINE_INLINE Four four(float x) { return Four{x, x, x, x}; }
STYLECINE_INLINE Vector all(float x) { STYLECINE_EACH(four(x)); }
STYLECINE_INLINE Vector operator+(Vector x, Vector y) { STYLECINE_EACH(x.a[i] + y.a[i]); }
STYLECINE_INLINE Vector operator-(Vector x, Vector y) { STYLECINE_EACH(x.a[i] - y.a[i]); }
STYLECINE_INLINE Vector operator*(Vector x, Vector y) { STYLECINE_EACH(x.a[i] * y.a[i]); }
STYLECINE_INLINE Vector fma(Vector x, Vector y, Vector z) { STYLECINE_EACH(x.a[i] * y.a[i] + z.a[i]); }
STYLECINE_INLINE Vector clamp(Vector x, float low, float high) {
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 4; ++k) x.a[i][k] = clamp(x.a[i][k], low, high);
  return x;
}
STYLECINE_INLINE Vector spread(const float *p) { STYLECINE_EACH(four(p[i])); }
STYLECINE_INLINE void thrice(Vector x, Vector *three) {
  for (int i = 0; i < 48; ++i) three[i / 16].a[i / 4 % 4][i % 4] = x.a[i / 12][i / 3 % 4];
}
STYLECINE_INLINE Vector quarters(const float *above, const float *below, float down, Vector f) {
  float points[5];
  for (int i = 0; i < 5; ++i) points[i] = above[i] + (below[i] - above[i]) * down;
  STYLECINE_EACH(four(points[i]) + four(points[i + 1] - points[i]) * f.a[i]);
}
STYLECINE_INLINE Vector load_rgb(const uint8_t *p) {
  STYLECINE_EACH((Four{float(p[3 * i]), float(p[3 * i + 1]), float(p[3 * i + 2]), 0}));
}
#undef STYLECINE_EACH
STYLECINE_INLINE void add_fold(float *p, Vector x) {
  const Four sum = (x.a[0] + x.a[2]) + (x.a[1] + x.a[3]);
  for (int i = 0; i < 4; ++i) p[i] += sum[i];
}
STYLECINE_INLINE void add_folds(float *p, const Vector *x) {
  for (int i = 0; i < 4; ++i) add_fold(p + 4 * i, x[i]);
}
STYLECINE_INLINE bool any(const float *p) {
  int found = 0;
  for (int i = 0; i < 16; ++i) found |= p[i] != 0;
  return found;
}
STYLECINE_INLINE void save_rgb(uint8_t *p, Vector x) {
  for (int i = 0; i < 4; ++i)
    for (int c = 0; c < 3; ++c) p[3 * i + c] = uint8_t(x.a[i][c]);
}
STYLECINE_INLINE Vector load_bytes(const uint8_t *p) {
  float values[16];
  for (int i = 0; i < 16; ++i) values[i] = float(p[i]);
  return load(values);
}
STYLECINE_INLINE void save_bytes(uint8_t *p, Vector x) {
  for (int i = 0; i < 16; ++i) p[i] = uint8_t(x.a[i / 4][i % 4]);
}
STYLECINE_INLINE Vector load_channel(const uint8_t *p, int channel) {
  float values[16];
  for (int i = 0; i < 16; ++i) values[i] = float(p[3 * i + channel]);
  return load(values);
}
STYLECINE_INLINE Wide load_wide(const uint8_t *p) { return Wide{float(p[0]), float(p[1]), float(p[2]), float(p[3])}; }
STYLECINE_INLINE void save_least(float *p, const Wide *x) {
  for (int k = 0; k < 4; ++k) {
    p[k] = x[k][0];
    for (int i = 1; i < 4; ++i) p[k] = x[k][i] < p[k] ? x[k][i] : p[k];
  }
}
STYLECINE_INLINE Wide wide_channel(const uint8_t *p, int channel) {
  return Wide{float(p[channel]), float(p[3 + channel]), float(p[6 + channel]), float(p[9 + channel])};
}
STYLECINE_INLINE void save_channels(uint8_t *p, const Wide *x) {
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 4; ++i) p[3 * i + c] = uint8_t(x[c][i]);
}

#endif

STYLECINE_INLINE Vector operator*(Vector x, float y) { return x * all(y); }
STYLECINE_INLINE Vector operator+(Vector x, float y) { return x + all(y); }

}  // namespace STYLECINE_SET
}  // namespace stylecine
