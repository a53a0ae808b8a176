/* stylecine's kernels behind a plain C interface: they render the frames of a prepared loop.
 *
 * The caller owns every buffer. Arrays are dense and row-major, in the order given in brackets; pixel centres lie at
 * half-integers, x points right, y points down. No array overlaps one that is written, unless it says so; images and
 * grids have fewer than 2^31 points. Functions return STYLECINE_OK or another status and then, if `message`
 * is not NULL, write one sentence to it. No state is kept between calls: a stylecine_cpu belongs to its creator, may be
 * used by one call at a time, and its results depend neither on the number of threads nor on the run.
 *
 * libstylecine has the _cpu functions; libstylecine_cuda has the _cuda ones, whose arrays are all on `device` (scalars
 * and the arguments struct itself, with the arrays marked "host", are not) and which return before the stream is done.
 */
#ifndef STYLECINE_H
#define STYLECINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STYLECINE_ABI 16      /* changes whenever anything in this file changes for callers */
#define STYLECINE_MESSAGE 256 /* bytes that `message` must have room for */

#if defined(_WIN32)
#define STYLECINE_API __declspec(dllexport)
#else
#define STYLECINE_API __attribute__((visibility("default")))
#endif

enum { /* status */
       STYLECINE_OK = 0,
       STYLECINE_INVALID = 1, /* an argument is invalid; nothing was written */
       STYLECINE_MEMORY = 2,  /* no memory, no thread, or a workspace too small; nothing was written */
       STYLECINE_CUDA = 3     /* the CUDA runtime's error is in the message */
};

enum { STYLECINE_FLOAT32 = 0, STYLECINE_FLOAT16 = 1, STYLECINE_BFLOAT16 = 2 }; /* dtype */

enum {                      /* instruction set of a stylecine_cpu */
       STYLECINE_BEST = -1, /* that the library was built with and the processor has */
       STYLECINE_PORTABLE = 0,
       STYLECINE_AVX2 = 1, /* with FMA and F16C */
       STYLECINE_AVX512 = 2
};

STYLECINE_API int stylecine_abi(void);
STYLECINE_API int stylecine_probe_cuda(int device, char *message); /* STYLECINE_OK if kernels can be launched there */

/* A pool of threads, which includes the calling one, and the instructions that they may use. */
typedef struct stylecine_cpu stylecine_cpu;
STYLECINE_API int stylecine_cpu_new(int threads, int instructions, stylecine_cpu **made, char *message);
STYLECINE_API void stylecine_cpu_free(stylecine_cpu *cpu);              /* NULL is allowed */
STYLECINE_API int stylecine_cpu_threads(const stylecine_cpu *cpu);      /* 0 for NULL */
STYLECINE_API int stylecine_cpu_instructions(const stylecine_cpu *cpu); /* STYLECINE_BEST only for NULL */

/* integrate: displacements of every grid point along a steady flow after 0, stride, 2 stride ... time units, by
 * midpoint steps (RK2) with bilinear look-ups, the flow replicated past its border; values that are not finite count
 * as 0. */
typedef struct {
  const float *flow; /* [fields,2,h,w], pixels of its grid per time unit */
  int64_t fields, h, w;
  int64_t knots;    /* at least 1 */
  int64_t substeps; /* midpoint steps between two knots, 1 to 65536 */
  double stride;    /* time units between two knots */
  float *positions; /* out [knots,fields,2,h,w]: how far the point that started at x has moved, in pixels */
  float *rates;     /* out [knots,fields,2,h,w]: its velocity there */
} stylecine_integrate_args;
STYLECINE_API int stylecine_integrate_cpu(const stylecine_integrate_args *args, stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_integrate_cuda(const stylecine_integrate_args *args, int device, void *stream,
                                           char *message);

/* splat: forward warping. Every source of every copy is added, times its weight, to the four pixels around
 * p + displacement(p); what lands outside is lost. The sum is divided by the sum of the weights; `plate` is the weight
 * of the image itself, unmoved, which shows through holes of the copies. Under softmax a source has the weight
 * exp(weight - the largest finite weight of all copies), to which `plate` is relative. A source whose weight is
 * negative (without softmax) or not finite, or whose displacement is NaN, adds nothing. */
typedef struct {
  const void *image; /* [channels,h,w] of `dtype` */
  int32_t dtype;
  int32_t softmax; /* 0: weights are used as they are (>= 0); 1: their exponentials are (softmax splatting) */
  int64_t channels, h, w, copies;
  const float *displacement; /* [copies,2,h,w], pixels */
  const float *weight;       /* [copies,h,w] */
  float plate;               /* > 0 */
  int32_t deterministic;     /* CUDA: 1 sums in fixed point, the same in every run (image values finite; contributions
                                below about 2^-40 of the largest possible are lost); the CPU always is */
  float *out;                /* out [channels,h,w] */
  float *shares;             /* out [copies,h,w]: each copy's share of the pixel; the rest is the plate's */
} stylecine_splat_args;
STYLECINE_API size_t stylecine_splat_workspace_cpu(const stylecine_splat_args *args, const stylecine_cpu *cpu);
STYLECINE_API size_t stylecine_splat_workspace_cuda(const stylecine_splat_args *args);
STYLECINE_API int stylecine_splat_cpu(const stylecine_splat_args *args, void *workspace, size_t bytes,
                                      stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_splat_cuda(const stylecine_splat_args *args, void *workspace, size_t bytes, int device,
                                       void *stream, char *message);

/* warp_features: two displaced copies of a feature map, weighted and added:
 * out(x) = a(x) f(x + source_a(x)) + b(x) f(x + source_b(x)), f the cubic spline through the map, border replicated. A
 * NaN source reads the first column or row. */
typedef struct {
  const void *spline; /* [2h,2w,channels] of `dtype`: B-spline coefficients of the map doubled */
  int32_t dtype;
  int64_t channels, h, w;
  int64_t a, b;         /* size of the result: the first a*b pixels of the map, or beyond it */
  const float *sources; /* [4,a,b]: x and y of copy A, then of copy B, in pixels of the map */
  const float *weights; /* [2,a,b] */
  void *out;            /* out [a,b,channels] of `dtype` */
} stylecine_warp_features_args;
STYLECINE_API int stylecine_warp_features_cpu(const stylecine_warp_features_args *args, stylecine_cpu *cpu,
                                              char *message);
STYLECINE_API int stylecine_warp_features_cuda(const stylecine_warp_features_args *args, int device, void *stream,
                                               char *message);

/* recolour: changes the colours of frames by a bilateral grid of affine transforms: each pixel reads the grid at its
 * place and luma, trilinearly, the border held. whole = frame + transform of red, green, blue and 255, clamped; out =
 * frame + amount * (whole - frame), clamped and dithered; an amount of 0 keeps the bytes. */
typedef struct {
  const uint8_t *frame; /* [frames,height,width,3] */
  int64_t frames;       /* 1 or more */
  int64_t height, width;
  const float *grid; /* [depth,gh,gw,4,4]: at each point four columns, for red, green, blue and 255: what each adds
                        to red, green and blue, and an unused number; gh*gw equal cells cover the frame, lumas go from 0
                        to depth-1; on a GPU aligned to four floats */
  int64_t depth, gh, gw;
  const float *amount;   /* host [frames], each from -16 to 16 */
  const uint8_t *moving; /* [height,width], or NULL: where it is 0 frames stay, or are mixed with still by amount */
  const uint8_t *still;  /* [height,width,3], or NULL: there, frames at an amount of 1 */
  uint8_t *out;          /* [frames,height,width,3]; may be frame */
} stylecine_recolour_args;
STYLECINE_API int stylecine_recolour_cpu(const stylecine_recolour_args *args, stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_recolour_cuda(const stylecine_recolour_args *args, int device, void *stream, char *message);

/* weather: rain, snow and fog over frames. A streak lets 1 - opacity * (1 - (distance to its segment / radius)^2)^2 of
 * a pixel through, where it is nearer than its radius; through is the product for all streaks. fog = veil, bilinear,
 * the border held, * distance / 255. out = streak_colour + through * (frame + fog * (veil_colour - frame) -
 * streak_colour), dithered; where fog is 0 and through is 1 bytes are kept. */
typedef struct {
  float x, y;    /* start, in pixels; the middle of the first is 0 */
  float dx, dy;  /* way to the end */
  float inverse; /* 1 / its squared length; 0 for a point */
  float radius;  /* pixels, above 0 */
  float shrink;  /* 1 / its square */
  float opacity; /* in the middle, 0 to 1 */
} stylecine_streak;

typedef struct {
  const uint8_t *frame; /* [frames,height,width,3] */
  int64_t frames;       /* 1 or more */
  int64_t height, width;
  const stylecine_streak *streaks; /* of all frames; may be NULL if there are none */
  const int64_t *first;            /* host [frames+1]: the first streak of each frame, and the end; 0 comes first */
  const float *veil;               /* [frames,gh,gw] in [0,1]; gh*gw equal cells cover the frame */
  int64_t gh, gw;
  const uint8_t *distance;     /* [height,width] */
  const float *streak_colours; /* host [frames,3]: red, green, blue, 0 to 255 */
  const float *veil_colours;   /* the same */
  uint8_t *out;                /* [frames,height,width,3]; may be frame */
} stylecine_weather_args;
STYLECINE_API int stylecine_weather_cpu(const stylecine_weather_args *args, stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_weather_cuda(const stylecine_weather_args *args, int device, void *stream, char *message);

/* render: frames of a loop. Displacement, mixing weights, both copies of every level, their sum, the blend with the
 * photo and bytes in one pass; where nothing moves the photo is copied. The canvas is the photo with `margin` pixels
 * around it; a field's grid has one point in the middle of every cell*cell canvas pixels. A NaN coordinate reads the
 * first column or row (and a coordinate within a cell of it may do so, too), a NaN colour is black, unless it belongs
 * to a copy whose weight is 0, which may not be read. */
typedef struct {
  const void *spline; /* [2h,2w,4] of `dtype`: B-spline coefficients of the level doubled; red, green, blue, unused;
                         on a GPU aligned to four coefficients */
  int64_t h, w;       /* the level's size: the canvas's over `scale`, rounded up */
  int32_t dtype;
  int32_t scale;  /* width of the level's pixels in canvas pixels: level i has 2^i */
  float standing; /* in [0,1]: its share in what stands; 0 if it moves with the rest everywhere */
} stylecine_level;

typedef struct {
  const uint8_t *photo; /* [height,width,3] */
  const float *moving;  /* [height,width] in [0,1]; clamped to that, NaN is 0 */
  int64_t height, width;
  int32_t margin;
  int32_t cell;                   /* a power of two */
  int64_t gh, gw;                 /* gh*cell and gw*cell cover the canvas */
  const stylecine_level *level;   /* host [levels] */
  int32_t levels;                 /* 1 to 8 */
  int32_t knots;                  /* at least 2 */
  const float *positions, *rates; /* [knots,2,2,gh,gw]: along the flow and against it, x and y, pixels of the grid;
                                     rates per frame: the results of integrate for (flow, -flow) */
  float stride;                   /* frames between two knots */
  int32_t sub_cycles;             /* number of different lengths of a sub-cycle, 1 to 8 */
  const uint8_t *sub_cycle;       /* [gh,gw] < sub_cycles: the index of each place into length and phase */
  const float *length;            /* host [sub_cycles]: frames in a sub-cycle, at most (knots-1)*stride */
  int64_t frames;                 /* 1 or more */
  const float *phase;             /* host [frames,sub_cycles]: phase of the sub-cycle, in [0,1] */
  const float *angle; /* [levels,3,gh,gw] in [0,pi): arc cosine of the two copies' correlation at the phases 1/4, 1/2
                         and 3/4; 0: linear mix */
  const float *contrast_gain; /* [levels,2,3,gh,gw]: of copy A and copy B at these phases; 1 for A at the sub-cycle's
                                 beginning, and for B at its end */
  const float *crossfade;     /* [2,gh,gw]: the phase at which copy A begins to give way to B, and the pace per
                                 sub-cycle, 1 or more */
  int32_t clocks;             /* number of different paces of the swell, 0 to 4 */
  const float *swell; /* [clocks,2,2,gh,gw]: a displacement of both copies for each clock, in two parts, x and y,
                         canvas pixels; not read without clocks */
  const float *swell_weights; /* host [frames,clocks,2]: weights of the parts; not read without clocks */
  const float *generated; /* [frames, 3, height + 2 margin, width + 2 margin] in [-1,1]: the generator's image of warped
                             features, added to the levels; or NULL */
  const float *stagger;   /* [gh,gw] in [-1,1]: how many sub-cycles each place is ahead of `phase`; or NULL */
  const float *shift;     /* host [frames,sub_cycles]: factor on it, in [0,1]; not read without stagger */
  const float *standing;  /* [gh,gw] in [0,1]: how much of the displacement, times a level's share, the level lacks;
                             or NULL */
  const float *light; /* [h,w,4] of the coarsest level, red, green, blue, unused: a part of it that stands everywhere
                         and is added to what moves; or NULL */
  const stylecine_recolour_args *recolouring; /* of the frames, done while they are in the cache: its frame and out are
                                                 `out`, its sizes those of the frames; or NULL */
  uint8_t *out;                               /* out [frames,height,width,3] */
} stylecine_render_args;
STYLECINE_API size_t stylecine_render_workspace_cpu(const stylecine_render_args *args, const stylecine_cpu *cpu);
STYLECINE_API size_t stylecine_render_workspace_cuda(const stylecine_render_args *args);
STYLECINE_API int stylecine_render_cpu(const stylecine_render_args *args, void *workspace, size_t bytes,
                                       stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_render_cuda(const stylecine_render_args *args, void *workspace, size_t bytes, int device,
                                        void *stream, char *message);

/* compare: energy and correlation of two displaced copies of a level, from which angle and contrast_gain are computed.
 * In every block of side*side pixels (those at the right and at the bottom have fewer) the mean of weight(x) times the
 * sum over red, green and blue of a(x)^2, b(x)^2 and a(x) b(x), where a and b are the copies: the level's spline at x +
 * source(x) * per_pixel, border replicated. A NaN source reads the first column or row. Where the weight is 0 nothing
 * is read. */
typedef struct {
  const void *spline; /* [2h,2w,4] of `dtype`, as in stylecine_level */
  int64_t h, w;       /* at most 65536, 4hw below 2^31 */
  int32_t dtype;
  int32_t ratio; /* pixels of the level from one point of the sources' grid to the next, a power of two; the first
                    point lies in the middle of the first ratio*ratio; sources are interpolated in between */
  const float *sources;  /* [4,rows,columns]: x and y of copy A, then of copy B */
  int64_t rows, columns; /* rows*ratio and columns*ratio cover the level */
  float per_pixel;       /* pixels of the level per unit of the sources */
  int32_t side;          /* 1 to 64 */
  const float *weight;   /* [h,w] */
  float *out;            /* out [3, h over side, w over side], rounded up */
} stylecine_compare_args;
STYLECINE_API int stylecine_compare_cpu(const stylecine_compare_args *args, stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_compare_cuda(const stylecine_compare_args *args, int device, void *stream, char *message);

/* drape: cloth or plants over frames, each at its own moment. The photo (Catmull-Rom) and the matte (bilinear) are read
 * at x + displacement(x), border replicated; the colour is multiplied by gain^(1/2.2), the equivalent of a gain of
 * linear light; behind it is the frame with background - photo added. Where the cloth has moved by less than a pixel,
 * the difference between the photo and the cloth over that background is added, so that a field of zeros keeps the
 * photo's own bytes. Where there is no cloth, at rest or now, and the background is the photo, the frame's bytes are
 * kept. A NaN displacement reads the first column or row, a NaN gain is the smallest. */
#define STYLECINE_DRAPE_TILE 32 /* pixels */
typedef struct {
  const uint8_t *photo;      /* [height,width,3] */
  const uint8_t *background; /* [height,width,3]: the photo, inpainted behind the cloth */
  const uint8_t *matte;      /* [height,width]: 255 is cloth, 0 is none */
  int64_t frames, height, width;
  int64_t keys;           /* 1 to 64 */
  const float *keyframes; /* [keys,3,gh,gw]: x and y in pixels, and the binary logarithm of the gain, from -1 to 1;
                             coefficients of a cubic B-spline, one in the middle of every cell*cell pixels, the
                             border's replicated */
  const float *weights;   /* [frames,keys]: of the keyframes, whose weighted sum is a frame's field */
  int32_t cell;           /* a power of two, at most 4096 */
  int64_t gh, gw;         /* gh*cell and gw*cell cover the frame */
  const uint8_t *active;  /* [height over tile, width over tile], rounded up: tiles that are 0 are not changed */
  uint8_t *frame;         /* in and out [frames,height,width,3]: the photo, or a frame of its moving landscape */
  int32_t fine; /* 1, for fine texture that moves slowly, as leaves: cubic convolution with a slope of -0.75 instead of
                   Catmull-Rom's -0.5, which keeps more of its contrast, and dithered instead of rounded; or 0 */
} stylecine_drape_args;
STYLECINE_API int stylecine_drape_cpu(const stylecine_drape_args *args, stylecine_cpu *cpu, char *message);
STYLECINE_API int stylecine_drape_cuda(const stylecine_drape_args *args, int device, void *stream, char *message);

#ifdef __cplusplus
}
#endif
#endif
