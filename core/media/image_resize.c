/*
 * image_resize.c - separable resampling: rows first, then columns, each output a weighted sum.
 *
 * Bytes follow Pillow's src/libImaging/Resample.c to the bit: weights in 22-bit fixed point, the
 * result of the first pass rounded to bytes; RGBA is multiplied by alpha before and divided after.
 * Pillow 13 does columns first for some sizes, which changes single values by one.
 */
#include "core/media/image_resize.h"

#include <math.h>
#include <string.h>

#include "core/tensor/ops.h"

enum { FIXED_BITS = 32 - 8 - 2 }; /* a weight's fraction: room for the sum's sign and overshoot */

static const double PI = 3.14159265358979323846;

bool wf_filter_find(const char *text, wf_filter *out)
{
    static const char *const names[] = {
#define WF_X(name, word, reach) word,
        WF_FILTER_MAP(WF_X)
#undef WF_X
    };
    for (int i = 0; i < WF_FILTER_COUNT; i++) {
        *out = (wf_filter)i;
        if (strcmp(names[i], text) == 0) return true;
    }
    return false;
}

/* ---- weights ---- */

static double sinc(double x) { return x == 0 ? 1 : sin(PI * x) / (PI * x); }

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double weight_at(wf_filter f, double x)
{
    switch (f) {
    case WF_FILTER_BOX: return x > -0.5 && x <= 0.5 ? 1 : 0;
    case WF_FILTER_BILINEAR: return fabs(x) < 1 ? 1 - fabs(x) : 0;
    case WF_FILTER_HAMMING: return fabs(x) < 1 ? sinc(x) * (0.54 + 0.46 * cos(PI * x)) : 0;
    case WF_FILTER_BICUBIC: return cubic(x);
    case WF_FILTER_LANCZOS: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    default: return 0;
    }
}

/* For each output place: the first source place, how many, and their weights. */
typedef struct taps {
    wf_mem *mem;
    int64_t n_out, room;
    int64_t *first, *count;
    double *weight;                     /* [n_out, room] */
} taps;

static bool make_taps(wf_ctx *c, taps *t, int64_t n_out, int64_t room)
{
    *t = (taps){.mem = wf_ctx_get_mem(c), .n_out = n_out, .room = room};
    const size_t n = (size_t)n_out;
    t->first = wf_mem_alloc(t->mem, n * (2 * sizeof *t->first + (size_t)room * sizeof *t->weight));
    if (!t->first) {
        wf_fail(c, WF_ENOMEM, "resize: no memory for %lld weights", (long long)(n_out * room));
        return false;
    }
    t->count = t->first + n;
    t->weight = (double *)(void *)(t->count + n);
    return true;
}

static void free_taps(taps *t)
{
    if (t->first) wf_mem_free(t->mem, t->first);
}

/* Pillow's: the filter is as wide as its reach in the larger of the two grids. */
static bool pillow_taps(wf_ctx *c, taps *t, int64_t n_in, int64_t n_out, wf_filter f)
{
    static const double reaches[] = {
#define WF_X(name, word, reach) reach,
        WF_FILTER_MAP(WF_X)
#undef WF_X
    };
    const double scale = (double)n_in / (double)n_out, wide = scale < 1 ? 1 : scale;
    const double narrow = 1 / wide;
    const double reach = f == WF_FILTER_NEAREST ? 0 : reaches[f] * wide;
    if (!make_taps(c, t, n_out, (int64_t)ceil(reach) * 2 + 1)) return false;
    for (int64_t i = 0; i < n_out; i++) {
        const double centre = ((double)i + 0.5) * scale;
        double *w = t->weight + i * t->room, sum = 0;
        int64_t from = (int64_t)(centre - reach + 0.5), to = (int64_t)(centre + reach + 0.5);
        if (f == WF_FILTER_NEAREST) {
            from = (2 * i + 1) * n_in / (2 * n_out);
            to = from + 1;
        }
        if (from < 0) from = 0;
        if (to > n_in) to = n_in;
        t->first[i] = from;
        t->count[i] = to - from;
        for (int64_t k = 0; k < to - from; k++) {
            w[k] = f == WF_FILTER_NEAREST
                       ? 1
                       : weight_at(f, ((double)(k + from) - centre + 0.5) * narrow);
            sum += w[k];
        }
        for (int64_t k = 0; k < to - from && sum != 0; k++) w[k] /= sum;
    }
    return true;
}

/* ---- sums ---- */

/* Planes of rows: outer x n_in x inner values; the middle dim is resampled. */
static void sum_floats(float *out, const float *in, int64_t outer, int64_t n_in, int64_t inner,
                       const taps *t)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < t->n_out; i++) {
            const float *from = in + (o * n_in + t->first[i]) * inner;
            float *to = out + (o * t->n_out + i) * inner;
            for (int64_t x = 0; x < inner; x++) {
                double sum = 0;
                for (int64_t k = 0; k < t->count[i]; k++)
                    sum += (double)from[k * inner + x] * t->weight[i * t->room + k];
                to[x] = (float)sum;
            }
        }
}

/* Weights as whole numbers of 2^-FIXED_BITS. Sums of them with bytes stay exact in a double. */
static void fix_taps(taps *t)
{
    for (int64_t i = 0; i < t->n_out; i++)
        for (int64_t k = 0; k < t->count[i]; k++) {
            double *w = &t->weight[i * t->room + k];
            *w = trunc((*w < 0 ? -0.5 : 0.5) + *w * (double)(1 << FIXED_BITS));
        }
}

static void sum_bytes(uint8_t *out, const uint8_t *in, int64_t outer, int64_t n_in, int64_t inner,
                      const taps *t)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < t->n_out; i++) {
            const uint8_t *from = in + (o * n_in + t->first[i]) * inner;
            uint8_t *to = out + (o * t->n_out + i) * inner;
            for (int64_t x = 0; x < inner; x++) {
                double sum = 1 << (FIXED_BITS - 1);
                for (int64_t k = 0; k < t->count[i]; k++)
                    sum += (double)from[k * inner + x] * t->weight[i * t->room + k];
                sum = floor(sum / (double)(1 << FIXED_BITS));
                to[x] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
            }
        }
}

/* ---- alpha ---- */

static void multiply_bytes(uint8_t *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++, p += 4)
        for (int ch = 0; ch < 3; ch++) {
            const unsigned v = (unsigned)p[ch] * p[3] + 128;
            p[ch] = (uint8_t)(((v >> 8) + v) >> 8);
        }
}

static void divide_bytes(uint8_t *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++, p += 4)
        for (int ch = 0; ch < 3 && p[3] != 0 && p[3] != 255; ch++) {
            const unsigned v = 255u * p[ch] / p[3];
            p[ch] = (uint8_t)(v > 255 ? 255 : v);
        }
}

static void multiply_floats(float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++, p += 4)
        for (int ch = 0; ch < 3; ch++) p[ch] *= p[3];
}

/* To 0..1; NaN stays NaN. */
static float clamp(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

/* Where nothing is seen the colour stays multiplied, next to 0, as in Pillow. */
static void divide_floats(float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++, p += 4) {
        const float alpha = p[3] > 0 ? p[3] : 1;
        for (int ch = 0; ch < 3; ch++) p[ch] = clamp(p[ch] / alpha);
        p[3] = clamp(p[3]);
    }
}

/* ---- pictures ---- */

/* One resize: source, result of the first pass, result; f32 or u8. */
typedef struct job {
    wf_ctx *c;
    int64_t H, W, C, height, width;
    bool bytes, alpha;
    void *in, *mid, *out;
    taps across, down;
} job;

static void run(job *j)
{
    const int64_t n = j->H * j->W, m = j->height * j->width;
    if (j->bytes) {
        fix_taps(&j->across);
        fix_taps(&j->down);
        if (j->alpha) multiply_bytes(j->in, n);
        sum_bytes(j->mid, j->in, j->H, j->W, j->C, &j->across);
        sum_bytes(j->out, j->mid, 1, j->H, j->width * j->C, &j->down);
        if (j->alpha) divide_bytes(j->out, m);
    } else {
        if (j->alpha) multiply_floats(j->in, n);
        sum_floats(j->mid, j->in, j->H, j->W, j->C, &j->across);
        sum_floats(j->out, j->mid, 1, j->H, j->width * j->C, &j->down);
        if (j->alpha) divide_floats(j->out, m);
    }
}

static bool make_buffers(job *j)
{
    wf_mem *mem = wf_ctx_get_mem(j->c);
    const size_t unit = j->bytes ? 1 : sizeof(float);
    j->in = wf_mem_alloc(mem, (size_t)(j->H * j->W * j->C) * unit);
    j->mid = wf_mem_alloc(mem, (size_t)(j->H * j->width * j->C) * unit);
    j->out = wf_mem_alloc(mem, (size_t)(j->height * j->width * j->C) * unit);
    if (j->in && j->mid && j->out) return true;
    wf_fail(j->c, WF_ENOMEM, "resize: no memory for %lldx%lld pixels", (long long)j->width,
            (long long)j->height);
    return false;
}

static wf_status load_source(job *j, wf_tensor *x)
{
    const int64_t n = wf_numel(x);
    return j->bytes ? wf_to_host(j->c, x, j->in, (size_t)n) : wf_to_f32(j->c, x, j->in, n);
}

static wf_status check_sizes(wf_ctx *c, const wf_tensor *x, int64_t height, int64_t width)
{
    char text[160];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (wf_rank(x) != 3 || wf_numel(x) == 0)
        return wf_fail_status(c, WF_ESHAPE, "resize: %s is not a picture [H,W,C]",
                              wf_tensor_text(x, text, sizeof text));
    if (height >= 1 && width >= 1 && height <= WF_MAX_RESIZE_PX && width <= WF_MAX_RESIZE_PX)
        return WF_OK;
    return wf_fail_status(c, WF_EARG, "resize: to %lldx%lld pixels, must be 1 to %d a side",
                          (long long)width, (long long)height, WF_MAX_RESIZE_PX);
}

wf_tensor *wf_image_resize(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width, wf_filter filter)
{
    if (check_sizes(c, x, height, width) != WF_OK) return NULL;
    const wf_dtype t = wf_get_dtype(x);
    if (t != WF_DTYPE_U8 && !wf_dtype_is_float(t))
        return wf_fail(c, WF_EDTYPE, "resize: is %s, wants u8 or a float", wf_dtype_text(t));
    job j = {.c = c, .H = wf_dim(x, 0), .W = wf_dim(x, 1), .C = wf_dim(x, 2), .height = height,
             .width = width, .bytes = t == WF_DTYPE_U8};
    j.alpha = j.C == 4 && filter != WF_FILTER_NEAREST && (height != j.H || width != j.W);
    wf_tensor *y = NULL;
    if (make_buffers(&j) && load_source(&j, x) == WF_OK &&
        pillow_taps(c, &j.across, j.W, width, width == j.W ? WF_FILTER_NEAREST : filter) &&
        pillow_taps(c, &j.down, j.H, height, height == j.H ? WF_FILTER_NEAREST : filter)) {
        const wf_shape s = {.rank = 3, .dims = {height, width, j.C}};
        run(&j);
        y = wf_from_host(c, j.bytes ? WF_DTYPE_U8 : WF_DTYPE_F32, &s, j.out);
    }
    free_taps(&j.across);
    free_taps(&j.down);
    wf_mem_free(wf_ctx_get_mem(c), j.in);
    wf_mem_free(wf_ctx_get_mem(c), j.mid);
    wf_mem_free(wf_ctx_get_mem(c), j.out);
    return wf_to_device(c, y, wf_get_device(x));
}
