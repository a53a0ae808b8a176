/* Renders a loop that export.py has saved: every frame as PPM, one after the other, to standard output.
 *
 *     render_loop FOLDER [THREADS] > frames.ppm
 *
 * C99 and libstylecine, nothing else. It shows what a program that embeds the library has to do: make the threads once,
 * describe the arrays once, ask once how much workspace is needed, then per frame set the phases and call.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

#include "stylecine.h"

#define PI 3.14159265358979323846

enum { MAX_LEVELS = 8, MAX_SUB_CYCLES = 8, MAX_CLOCKS = 4, MAX_AXES = 6 };

static void stop(const char *what, const char *why) {
  fprintf(stderr, "render_loop: %s: %s\n", what, why);
  exit(EXIT_FAILURE);
}

static FILE *open_in(const char *folder, const char *name, int may_be_missing) {
  char path[4096];
  FILE *file;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  file = fopen(path, "rb");
  if (!file && !(may_be_missing && errno == ENOENT)) stop(path, strerror(errno));
  return file;
}

/* --- .npy: magic, version, length of a Python dict literal, the literal, the numbers; little endian as this reads them
 */

typedef struct {
  char type[8]; /* "f4": float32, "f2": float16, "u1": uint8 */
  int axes;
  int64_t shape[MAX_AXES];
  void *data;
} array;

static int64_t count(const array *a) {
  int64_t numbers = 1;
  for (int i = 0; i < a->axes; ++i) numbers *= a->shape[i];
  return numbers;
}

static array read_npy(FILE *file, const char *name) {
  unsigned char start[12];
  char header[4096], *at;
  array a = {"", 0, {0}, NULL};
  size_t length, bytes;
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6)) stop(name, "is no .npy file");
  length = start[8] | (size_t)start[9] << 8;
  if (start[6] != 1 || length >= sizeof header || fread(header, 1, length, file) != length)
    stop(name, "has a header that this program does not read");
  header[length] = 0;
  at = strstr(header, "'descr': '");
  if (!at || sscanf(at, "'descr': '%*c%3[a-z0-9]'", a.type) != 1 || !strstr(header, "'fortran_order': False"))
    stop(name, "is not a row-major array of plain numbers");
  at = strstr(header, "'shape': (");
  if (!at) stop(name, "has no shape");
  for (at += 10; a.axes < MAX_AXES && *at >= '0' && *at <= '9'; at += strspn(at, ", "))
    a.shape[a.axes++] = strtoll(at, &at, 10);
  bytes = (size_t)count(&a) * (size_t)(a.type[1] - '0');
  a.data = malloc(bytes ? bytes : 1);
  if (!a.data || fread(a.data, 1, bytes, file) != bytes) stop(name, a.data ? "is cut off" : "no memory");
  fclose(file);
  return a;
}

static array load(const char *folder, const char *name, const char *type, int axes) {
  array a = read_npy(open_in(folder, name, 0), name);
  if (strcmp(a.type, type) || a.axes != axes) stop(name, "has another type or number of axes than a loop's");
  return a;
}

/* --- the loop -------------------------------------------------------------------------------------------------------
 */

/* Factor on the stagger: 0 where the loop begins and ends, 1 from `ramp` frames away from there. */
static double shift(double t, double ramp, double frames) {
  const double in = fmin(t / ramp, 1), out = fmin((frames - t) / ramp, 1);
  return in * in * (3 - 2 * in) * out * out * (3 - 2 * out);
}

int main(int argc, char **argv) {
  char message[STYLECINE_MESSAGE], name[32];
  stylecine_cpu *cpu;
  stylecine_level levels[MAX_LEVELS];
  stylecine_render_args args = {0};
  float phases[MAX_SUB_CYCLES], shifts[MAX_SUB_CYCLES], swell_weights[2 * MAX_CLOCKS];
  array photo, moving, positions, rates, sub_cycle, angle, contrast_gain, crossfade, swell, length, ramp, stagger,
      standing, light;
  array standing_share = {0}, swell_cycles = {0};
  FILE *file;
  void *workspace;
  size_t bytes;
  int64_t frames;
  int32_t staggered, stands, lit;

  if (argc < 2) stop("usage", "render_loop FOLDER [THREADS] > frames.ppm");
  if (stylecine_abi() != STYLECINE_ABI) stop("libstylecine", "is another version than stylecine.h");

  file = open_in(argv[1], "loop.txt", 0);
  if (fscanf(file,
             "frames %" SCNd64 " margin %" SCNd32 " cell %" SCNd32 " stride %f clocks %" SCNd32 " staggered %" SCNd32
             " standing %" SCNd32 " lit %" SCNd32,
             &frames, &args.margin, &args.cell, &args.stride, &args.clocks, &staggered, &stands, &lit) != 8)
    stop("loop.txt", "has not the eight numbers");
  fclose(file);

  photo = load(argv[1], "photo.npy", "u1", 3);
  moving = load(argv[1], "moving.npy", "f4", 2);
  positions = load(argv[1], "positions.npy", "f4", 5);
  rates = load(argv[1], "rates.npy", "f4", 5);
  sub_cycle = load(argv[1], "sub_cycle.npy", "u1", 2);
  angle = load(argv[1], "angle.npy", "f4", 4);
  contrast_gain = load(argv[1], "contrast_gain.npy", "f4", 5);
  crossfade = load(argv[1], "crossfade.npy", "f4", 3);
  if (args.clocks) swell = load(argv[1], "swell.npy", "f4", 4);
  if (args.clocks) swell_cycles = load(argv[1], "swell_cycles.npy", "f4", 1);
  if (staggered) stagger = load(argv[1], "stagger.npy", "f4", 2);
  if (stands) standing = load(argv[1], "standing.npy", "f4", 2);
  if (stands) standing_share = load(argv[1], "standing_share.npy", "f4", 1);
  if (lit) light = load(argv[1], "light.npy", "f4", 3);
  length = load(argv[1], "length.npy", "f4", 1);
  ramp = load(argv[1], "ramp.npy", "f4", 1);
  if (args.clocks > MAX_CLOCKS || (args.clocks && count(&swell_cycles) != args.clocks))
    stop("swell_cycles.npy", "does not fit the number of clocks, at most 4");
  if (count(&length) > MAX_SUB_CYCLES || count(&ramp) != count(&length)) stop("length.npy", "is too long");

  for (; args.levels < MAX_LEVELS; ++args.levels) {
    stylecine_level *level = &levels[args.levels];
    array spline;
    snprintf(name, sizeof name, "level_%d.npy", (int)args.levels);
    if (!(file = open_in(argv[1], name, 1))) break;
    spline = read_npy(file, name);
    if (spline.axes != 3 || spline.shape[2] != 4 || spline.type[0] != 'f') stop(name, "is no level");
    level->spline = spline.data;
    level->h = spline.shape[0] / 2;
    level->w = spline.shape[1] / 2;
    level->dtype = spline.type[1] == '2' ? STYLECINE_FLOAT16 : STYLECINE_FLOAT32;
    level->scale = 1 << args.levels;
    level->standing = stands && args.levels < count(&standing_share) ? ((float *)standing_share.data)[args.levels] : 0;
  }

  args.photo = photo.data;
  args.moving = moving.data;
  args.height = photo.shape[0];
  args.width = photo.shape[1];
  args.gh = sub_cycle.shape[0];
  args.gw = sub_cycle.shape[1];
  args.level = levels;
  args.knots = (int32_t)positions.shape[0];
  args.positions = positions.data;
  args.rates = rates.data;
  args.sub_cycles = (int32_t)length.shape[0];
  args.sub_cycle = sub_cycle.data;
  args.length = length.data;
  args.frames = 1; /* several together take less time than one by one */
  args.phase = phases;
  args.angle = angle.data;
  args.contrast_gain = contrast_gain.data;
  args.crossfade = crossfade.data;
  args.swell = args.clocks ? swell.data : NULL;
  args.swell_weights = swell_weights;
  args.stagger = staggered ? stagger.data : NULL;
  args.shift = shifts;
  args.standing = stands ? standing.data : NULL;
  args.light = lit ? light.data : NULL;
  args.out = malloc((size_t)count(&photo));
  for (int i = 0; i < args.sub_cycles; ++i) phases[i] = shifts[i] = 0;

  if (stylecine_cpu_new(argc > 2 ? atoi(argv[2]) : 1, STYLECINE_BEST, &cpu, message)) stop("threads", message);
  bytes = stylecine_render_workspace_cpu(&args, cpu);
  workspace = malloc(bytes ? bytes : 1);
  if (!workspace || !args.out) stop("workspace", "no memory");

#ifdef _WIN32
  _setmode(_fileno(stdout), _O_BINARY); /* or a byte 10 would become two */
#endif
  for (int64_t t = 0; t < frames; ++t) {
    /* Of sub-cycles of frames/k frames there are k in the loop. */
    for (int i = 0; i < args.sub_cycles; ++i) {
      const double sub_cycles = round((double)frames / ((const float *)length.data)[i]);
      phases[i] = (float)fmod((double)t * sub_cycles / (double)frames, 1);
      shifts[i] = (float)shift((double)t, ((const float *)ramp.data)[i], (double)frames);
    }
    for (int i = 0; i < args.clocks; ++i) {
      const double cycles = ((const float *)swell_cycles.data)[i];
      const double angle = 2 * PI * fmod((double)t * cycles / (double)frames, 1);
      swell_weights[2 * i] = (float)(cos(angle) - 1);
      swell_weights[2 * i + 1] = (float)sin(angle);
    }
    if (stylecine_render_cpu(&args, workspace, bytes, cpu, message)) stop("render", message);
    printf("P6\n%" PRId64 " %" PRId64 "\n255\n", args.width, args.height);
    if (fwrite(args.out, 3, (size_t)(args.width * args.height), stdout) != (size_t)(args.width * args.height))
      stop("standard output", strerror(errno));
  }
  stylecine_cpu_free(cpu);
  return EXIT_SUCCESS; /* what was allocated goes with the process */
}
