/* kernel_samples.h - random calls of every op that has a kernel, each with the tolerance that it is
 * held to. */
#ifndef WF_TESTS_KERNEL_SAMPLES_H
#define WF_TESTS_KERNEL_SAMPLES_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"
#include "core/tensor/backend.h"
#include "core/tensor/grad.h"
#include "core/tensor/ops.h"

static wf_ctx *c;
static uint64_t seed;                   /* of the next draw; set anew for each sample */

/* One call to compare. */
typedef struct sample {
    wf_tensor *in[8];
    int n_in;
    double attr[16];
    int n_attr;
    double rel, abs;                    /* as in near.h */
    bool large, has_nan;
} sample;

typedef void (*maker)(sample *s, wf_op_id id);

/* ---- random parts of a sample ---- */

static uint32_t draw(void)
{
    uint32_t v;
    wf_rng_bits(&v, 1, (wf_rng_key){.seed = 5, .purpose = WF_RNG_USER}, seed++);
    return v;
}

static int64_t draw_to(int64_t n) { return (int64_t)(draw() % (uint32_t)(n + 1)); } /* 0 ... n */
static int64_t draw_from(int64_t lo, int64_t hi) { return lo + draw_to(hi - lo); }

/* A size: seldom 0, sometimes 1, else up to small; up to 8 times that for a large sample. */
static int64_t size(const sample *s, int64_t small)
{
    const uint32_t kind = draw() % 16;
    if (s->large) return draw_from(4 * small, 8 * small);
    return kind == 0 ? 0 : kind < 3 ? 1 : draw_from(1, small);
}

static int64_t size1(const sample *s, int64_t small)
{
    const int64_t n = size(s, small);
    return n ? n : 1;
}

static wf_tensor *normal(int rank, const int64_t *dims)
{
    wf_shape sh = {.rank = rank};
    memcpy(sh.dims, dims, (size_t)rank * sizeof *dims);
    return wf_randn(c, &sh, 11, (uint32_t)seed++, WF_RNG_USER);
}
#define NORMAL(...) \
    normal((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

/* Whole numbers 0 ... below-1. */
static wf_tensor *ids(int rank, const int64_t *dims, int64_t below)
{
    wf_shape sh = {.rank = rank};
    memcpy(sh.dims, dims, (size_t)rank * sizeof *dims);
    const int64_t n = wf_shape_numel(&sh);
    int64_t *v = malloc((size_t)n * sizeof *v + 1);
    for (int64_t i = 0; i < n; i++) v[i] = draw_to(below - 1);
    wf_tensor *t = wf_from_host(c, WF_DTYPE_I64, &sh, v);
    free(v);
    return draw() % 2 ? t : wf_cast(c, t, WF_DTYPE_I32);
}

/* x, or x as f16 or bf16: storage that kernels expand. */
static wf_tensor *any_float(wf_tensor *x)
{
    const uint32_t k = draw() % 4;
    return k == 0 ? wf_cast(c, x, WF_DTYPE_F16) : k == 1 ? wf_cast(c, x, WF_DTYPE_BF16) : x;
}

/* The same values behind strides that are not those of the shape. */
static wf_tensor *scatter(wf_tensor *x)
{
    int64_t pads[2 * WF_MAX_RANK];
    const int rank = wf_rank(x);
    for (int i = 0; i < 2 * rank; i++) pads[i] = draw_to(2);
    wf_tensor *y = wf_pad(c, x, pads, WF_PAD_CONSTANT, 1e30);
    for (int d = 0; d < rank; d++) y = wf_slice(c, y, d, pads[2 * d], wf_dim(x, d), 1);
    return y;
}

static wf_tensor *sometimes(wf_tensor *x) { return draw() % 4 ? x : NULL; }
static wf_tensor *like(wf_tensor *x)
{
    const wf_shape s = wf_get_shape(x);
    return normal(s.rank, s.dims);
}

static void set_in(sample *s, int n, wf_tensor *const *in)
{
    s->n_in = n;
    for (int i = 0; i < n; i++) s->in[i] = in[i];
}
#define SET_IN(s, ...)                                                           \
    set_in(s, (int)(sizeof((wf_tensor *[]){__VA_ARGS__}) / sizeof(wf_tensor *)), \
           (wf_tensor *[]){__VA_ARGS__})

static void set_attr(sample *s, int n, const double *attr)
{
    s->n_attr = n;
    memcpy(s->attr, attr, (size_t)n * sizeof *attr);
}
#define SET_ATTR(s, ...) \
    set_attr(s, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

/* Any shape of rank 1 to 4. */
static wf_tensor *anything(const sample *s)
{
    switch (draw() % 4) {
    case 0: return NORMAL(size(s, 300));
    case 1: return NORMAL(size(s, 20), size(s, 50));
    case 2: return NORMAL(size(s, 3), size(s, 10), size(s, 20));
    default: return NORMAL(size1(s, 2), size(s, 3), size(s, 5), size(s, 20));
    }
}

/* ---- elementwise ---- */

/* Polynomials in f32 are good to a few units in the last place of 6e-8; where a function crosses
 * zero (log at 1, sin at pi, gelu's tail) the error is of the argument's size instead. */
static void unary_tolerance(sample *s)
{
    s->rel = 2e-6;
    s->abs = 1e-6;
}

static wf_tensor *unary_input(const sample *s, wf_op_id id)
{
    wf_tensor *x = wf_scale(c, anything(s), 3.0);
    if (id == WF_OP_ID_log || id == WF_OP_ID_sqrt || id == WF_OP_ID_rsqrt)
        x = wf_affine(c, wf_abs(c, x), 1.0, 1e-3);
    return x;
}

static void set_unary_attr(sample *s, wf_op_id id, int first)
{
    if (id == WF_OP_ID_leaky_relu) s->attr[first] = 0.1, s->n_attr = first + 1;
    if (id == WF_OP_ID_clamp || id == WF_OP_ID_affine)
        s->attr[first] = -0.5, s->attr[first + 1] = 0.75, s->n_attr = first + 2;
}

static void make_unary(sample *s, wf_op_id id)
{
    unary_tolerance(s);
    SET_IN(s, unary_input(s, id));
    set_unary_attr(s, id, 0);
}

static void make_unary_dx(sample *s, wf_op_id id)
{
    static const wf_op_id ops[] = {
        WF_OP_ID_abs,        WF_OP_ID_log,        WF_OP_ID_square,   WF_OP_ID_sin,
        WF_OP_ID_cos,        WF_OP_ID_relu,       WF_OP_ID_silu,     WF_OP_ID_gelu,
        WF_OP_ID_gelu_tanh,  WF_OP_ID_gelu_quick, WF_OP_ID_softplus, WF_OP_ID_erf,
        WF_OP_ID_leaky_relu, WF_OP_ID_clamp,      WF_OP_ID_silu,     WF_OP_ID_gelu};
    (void)id;
    const wf_op_id of = ops[draw() % (sizeof ops / sizeof *ops)];
    unary_tolerance(s);
    wf_tensor *x = unary_input(s, of);
    SET_IN(s, x, like(x));
    SET_ATTR(s, of);
    set_unary_attr(s, of, 1);
}

/* A shape and one that broadcasts against it: some of its dims 1, some missing in front. */
static void draw_pair(const sample *s, wf_tensor **a, wf_tensor **b)
{
    *a = anything(s);
    wf_shape t = wf_get_shape(*a);
    const int drop = draw() % 3 ? 0 : (int)draw_to(t.rank);
    for (int d = drop; d < t.rank; d++) t.dims[d - drop] = draw() % 3 ? t.dims[d] : 1;
    t.rank -= drop;
    *b = normal(t.rank, t.dims);
    if (draw() % 3 == 0 && t.rank > 0) *b = scatter(*b);
    if (draw() % 3 == 0) *a = scatter(*a);
    if (draw() % 2) {
        wf_tensor *swap = *a;
        *a = *b;
        *b = swap;
    }
}

static void make_binary(sample *s, wf_op_id id)
{
    wf_tensor *a, *b;
    draw_pair(s, &a, &b);
    if (id == WF_OP_ID_pow) a = wf_abs(c, a);
    s->rel = 1e-6, s->abs = 1e-7;      /* one rounding, and pow's polynomial */
    SET_IN(s, a, b);
}

static void make_compare(sample *s, wf_op_id id)
{
    make_binary(s, id);
    for (int i = 0; i < 2; i++) s->in[i] = wf_round(c, s->in[i]);     /* so that some are equal */
    s->rel = s->abs = 0.0;
}

static void make_where(sample *s, wf_op_id id)
{
    wf_tensor *a, *b;
    (void)id;
    draw_pair(s, &a, &b);
    SET_IN(s, wf_gt(c, like(a), wf_scalar(c, 0.0)), a, b);
}

static void make_swiglu(sample *s, wf_op_id id)
{
    wf_tensor *g = anything(s);
    unary_tolerance(s);
    if (id == WF_OP_ID_swiglu) SET_IN(s, g, like(g));
    else SET_IN(s, g, like(g), like(g));
}

static void make_geglu(sample *s, wf_op_id id)
{
    const int64_t rows = size(s, 30), F = size(s, 40);
    unary_tolerance(s);
    if (id == WF_OP_ID_geglu) SET_IN(s, NORMAL(rows, 2 * F));
    else SET_IN(s, NORMAL(rows, 2 * F), NORMAL(rows, F));
}

/* ---- copies and reductions: copies are exact ---- */

static void make_copy(sample *s, wf_op_id id)
{
    wf_tensor *x = anything(s);
    const int order[][WF_MAX_RANK] = {{0}, {1, 0}, {1, 2, 0}, {0, 3, 1, 2}};
    (void)id;
    SET_IN(s, draw() % 2 ? wf_permute(c, x, wf_rank(x), order[wf_rank(x) - 1]) : scatter(x));
}

static void make_slice_dx(sample *s, wf_op_id id)
{
    wf_tensor *dy = anything(s);
    const int d = (int)draw_to(wf_rank(dy) - 1);
    const int64_t start = draw_to(5), step = draw_from(1, 3);
    (void)id;
    SET_IN(s, draw() % 2 ? dy : scatter(dy));
    const int64_t covered = wf_dim(dy, d) ? (wf_dim(dy, d) - 1) * step + 1 : 0;
    SET_ATTR(s, d, (double)start, (double)step, (double)(start + covered + draw_to(4)));
}

static void make_cast(sample *s, wf_op_id id)
{
    static const wf_dtype types[] = {WF_DTYPE_F32,  WF_DTYPE_F64, WF_DTYPE_F16,
                                     WF_DTYPE_BF16, WF_DTYPE_I64, WF_DTYPE_I32};
    (void)id;
    SET_IN(s, wf_cast(c, anything(s), types[draw() % 6]));
    SET_ATTR(s, types[draw() % 6]);
}

static void make_concat(sample *s, wf_op_id id)
{
    const int64_t a = size(s, 8), d = size(s, 8);
    const int dim = (int)draw_to(2);
    (void)id;
    s->n_in = (int)draw_from(1, 4);
    for (int i = 0; i < s->n_in; i++) {
        int64_t dims[] = {a, 5, d};
        dims[dim] = size(s, 9);
        s->in[i] = normal(3, dims);
    }
    SET_ATTR(s, dim);
}

static void make_reduce(sample *s, wf_op_id id)
{
    const int64_t dims[] = {size1(s, 3), size1(s, 9), size1(s, 40)};
    s->rel = 2e-6, s->abs = 2e-6;      /* up to some 10^5 terms in vector lanes */
    SET_IN(s, wf_affine(c, normal(3, dims), 1.0,
                        2.0)); /* errors are of the terms' size: no cancelling */
    if (id == WF_OP_ID_logsumexp) {
        SET_ATTR(s, draw() % 2);
        return;
    }
    SET_ATTR(s, draw() % 2, 0, 0, 0);
    s->n_attr = 1;
    for (int d = 0; d < 3; d++)
        if (draw() % 2) s->attr[s->n_attr++] = d;
}

static void make_sum_to(sample *s, wf_op_id id)
{
    wf_tensor *a = anything(s);
    wf_shape t = wf_get_shape(a);
    const int drop = (int)draw_to(t.rank);
    (void)id;
    s->rel = 2e-6, s->abs = 2e-6;
    SET_IN(s, a);
    for (int d = drop; d < t.rank; d++) s->attr[s->n_attr++] = draw() % 2 ? (double)t.dims[d] : 1.0;
}

static void make_rows(sample *s, wf_op_id id)
{
    s->rel = 2e-6, s->abs = 2e-6;
    SET_IN(s, wf_scale(c, NORMAL(size(s, 30), size1(s, 60)), 4.0));
    if (id == WF_OP_ID_softmax_dx) {
        s->abs = 3e-5;                 /* dy less a sum of up to 480 terms y dy */
        SET_IN(s, wf_softmax(c, s->in[0]), like(s->in[0]));
    }
    if (id == WF_OP_ID_topk) SET_ATTR(s, (double)draw_from(1, wf_dim(s->in[0], 1)));
}

/* ---- products ---- */

static void make_matmul(sample *s, wf_op_id id)
{
    const int64_t M = size(s, 30), K = size(s, 40), N = size(s, 30);
    const int64_t B = s->large ? 1 : size(s, 4), D = draw() % 2 ? B : 1;
    const int ta = (int)(draw() % 2), tb = (int)(draw() % 2);
    (void)id;
    s->rel = 1e-6, s->abs = 2e-6;      /* sums of at most 320 products in f32: 6e-8 sqrt(320) */
    wf_tensor *a = ta ? NORMAL(B, K, M) : NORMAL(B, M, K);
    wf_tensor *b = tb ? NORMAL(D, N, K) : NORMAL(D, K, N);
    if (B == 1 && draw() % 2) a = wf_squeeze(c, a, 0);
    if (D == 1 && draw() % 2) b = wf_squeeze(c, b, 0);
    SET_IN(s, a, any_float(b));
    SET_ATTR(s, ta, tb);
}

static void make_linear(sample *s, wf_op_id id)
{
    const wf_dtype quants[] = {WF_DTYPE_Q8_0, WF_DTYPE_Q4_0};
    const bool quantised = draw() % 3 == 0, one_row = draw() % 4 == 0;
    const int64_t K = quantised ? 32 * draw_from(1, 5) : size(s, 70), N = size(s, 60),
                  rows = one_row ? 1 : size(s, 30);
    (void)id;
    s->rel = 2e-6, s->abs = 3e-6;
    wf_tensor *w = NORMAL(N, K);
    w = quantised && N ? wf_cast(c, w, quants[draw() % 2]) : any_float(w);
    if (!wf_dtype_is_float(wf_get_dtype(w)))
        s->abs = 1e-2; /* the activations may be rounded to 8 bits too */
    SET_IN(s, draw() % 2 ? NORMAL(rows, K) : NORMAL(1, rows, K), w, sometimes(NORMAL(N)));
    SET_ATTR(s, draw() % 6);
}

/* ---- convolution ---- */

static void make_conv(sample *s, wf_op_id id)
{
    const int64_t groups = draw() % 5 == 0 ? draw_from(2, 3) : 1;
    const int64_t I = groups * (s->large ? draw_from(20, 40) : draw_from(1, 20)),
                  O = groups * (s->large ? 40 : draw_from(1, 20));
    const bool square = draw() % 2;    /* the 3x3, stride 1, padding 1 that Winograd takes */
    const int64_t kh = square ? 3 : draw_from(1, 4), kw = square ? 3 : draw_from(1, 4);
    const int64_t B = s->large ? 1 : draw_to(2), H = s->large ? 26 : draw_from(kh, 12),
                  W = s->large ? 31 : draw_from(kw, 14);
    const double at[] = {square ? 1 : (double)draw_from(1, 2),
                         square ? 1 : (double)draw_from(1, 2),
                         square ? 1 : (double)draw_to(2),
                         square ? 1 : (double)draw_to(2),
                         square ? 1 : (double)draw_to(2),
                         square ? 1 : (double)draw_to(2),
                         1,
                         1,
                         (double)groups};
    /* Winograd's transforms add and take off neighbours: up to 1e-5 of the rms */
    s->rel = 2e-6, s->abs = 1e-5;
    wf_tensor *x = NORMAL(B, H, W, I), *w = NORMAL(O, kh, kw, I / groups);
    wf_tensor *y = wf_op_call(c, WF_OP_ID_conv2d, (wf_tensor *[]){x, w}, 2, at, 9);
    if (id == WF_OP_ID_conv2d) {
        SET_IN(s, x, any_float(w), sometimes(NORMAL(O)));
        set_attr(s, 9, at);
        return;
    }
    if (id == WF_OP_ID_conv2d_dx) SET_IN(s, like(y), any_float(w));
    else SET_IN(s, x, like(y));
    s->n_attr = 11;
    s->attr[0] = (double)(id == WF_OP_ID_conv2d_dx ? H : kh);
    s->attr[1] = (double)(id == WF_OP_ID_conv2d_dx ? W : kw);
    memcpy(s->attr + 2, at, sizeof at);
}

/* ---- norms: rstd magnifies the rounding of x - mean ---- */

static void make_group_norm(sample *s, wf_op_id id)
{
    const int64_t groups = draw_from(1, 8), C = groups * draw_from(1, s->large ? 12 : 5);
    const int64_t places = s->large ? 900 : 8 + size1(s, 40);
    wf_tensor *x = wf_affine(c, NORMAL(size(s, 2), places, C), 2.0, 3.0);
    /* a group of few values that are nearly equal has an rstd of up to 30 */
    s->rel = 5e-6, s->abs = s->large ? 5e-6 : 5e-5;
    wf_tensor *w = sometimes(NORMAL(C)), *b = sometimes(NORMAL(C));
    if (id == WF_OP_ID_group_norm) SET_IN(s, x, w, b);
    else SET_IN(s, x, w, b, like(x));
    SET_ATTR(s, (double)groups, 1e-3, draw() % 2);
}

static void make_row_norm(sample *s, wf_op_id id)
{
    /* one value alone becomes +-1 whatever it is: its gradient is what rounding leaves */
    const int64_t C = 2 + size(s, 60);
    wf_tensor *x = wf_affine(c, NORMAL(size(s, 30), C), 2.0, 1.0), *w = sometimes(NORMAL(C));
    s->rel = 5e-6, s->abs = 5e-6;
    if (id == WF_OP_ID_layer_norm) SET_IN(s, x, w, sometimes(NORMAL(C)));
    else if (id == WF_OP_ID_rms_norm) SET_IN(s, x, w);
    else SET_IN(s, x, w, like(x));
    SET_ATTR(s, 1e-3);                  /* a row of one value has no variance: keep its rstd sane */
}

/* ---- attention ---- */

/* A mask of the scores, with dims of 1 where it repeats, some of it -inf. */
static wf_tensor *draw_bias(int64_t B, int64_t N, int64_t Tq, int64_t Tk)
{
    wf_tensor *bias = NORMAL(draw() % 2 ? B : 1, draw() % 2 ? N : 1, draw() % 2 ? Tq : 1, Tk);
    wf_tensor *shut = wf_gt(c, bias, wf_scalar(c, 1.0));
    return draw() % 2 ? bias : wf_where(c, shut, wf_scalar(c, -INFINITY), bias);
}

static void make_attention(sample *s, wf_op_id id)
{
    static const int64_t widths[] = {1, 5, 16, 32, 40, 64, 80, 512};
    const int64_t M = draw_from(1, 2), N = M * draw_from(1, 2), D = widths[draw() % 8],
                  B = s->large ? 1 : draw_to(2);
    /* large: more than one block of keys and of queries, with and without a last short one */
    const bool one = draw() % 5 == 0;    /* query, of several runs of keys and of less than one */
    const int64_t Tq = one ? 1 : s->large ? draw_from(60, 150) : size(s, 20),
                  Tk = one      ? draw_from(1, 600)
                     : s->large ? draw_from(300, 600)
                                : size(s, 20);
    s->rel = 4e-6,
    s->abs = 5e-6; /* exp of scores to about 10 turns their rounding into a relative error */
    wf_tensor *q = scatter(NORMAL(B, Tq, N, D)), *k = NORMAL(B, Tk, M, D), *v = NORMAL(B, Tk, M, D);
    wf_tensor *bias = draw() % 2 ? draw_bias(B, N, Tq, Tk) : NULL;
    const double attr[] = {draw() % 2 ? 0.0 : 0.3, draw() % 2};
    if (id == WF_OP_ID_attention) {
        if (draw() % 4 == 0) k = wf_cast(c, k, WF_DTYPE_F16), v = wf_cast(c, v, WF_DTYPE_F16);
        SET_IN(s, q, draw() % 2 ? scatter(k) : k, v, bias);
    } else {
        wf_tensor *y = wf_attention(c, q, k, v, bias, attr[0], attr[1] != 0.0);
        wf_tensor *dy =
            draw() % 4 ? like(y) : wf_expand(c, NORMAL(B, 1, N, 1), &(wf_shape){4, {B, Tq, N, D}});
        SET_IN(s, q, k, v, bias, y, dy);
    }
    set_attr(s, 2, attr);
}

static void make_rope(sample *s, wf_op_id id)
{
    const int64_t T = size(s, 12), D = draw_from(2, 40), R = draw_from(1, D / 2);
    (void)id;
    s->rel = 1e-6, s->abs = 2e-6; /* two products of up to about 16, each rounded to 6e-8 */
    SET_IN(s, NORMAL(size(s, 2), T, draw_from(1, 4), D), NORMAL(T, R, 2));
    SET_ATTR(s, draw() % 2, draw() % 2);
}

/* ---- rows by index ---- */

static void make_embedding(sample *s, wf_op_id id)
{
    const int64_t V = draw_from(1, 50);
    (void)id;
    SET_IN(s, ids(2, (int64_t[]){size(s, 5), size(s, 9)}, V), any_float(NORMAL(V, size(s, 60))));
}

static void make_index(sample *s, wf_op_id id)
{
    const int dim = (int)draw_to(2);
    int64_t dims[] = {draw_from(1, 5), draw_from(1, 6), size1(s, 20)};
    wf_tensor *x = normal(3, dims);
    const int64_t below = dims[dim], n = size(s, 9);
    s->rel = 1e-6, s->abs = 1e-6;
    dims[dim] = n;
    const bool rows = id == WF_OP_ID_index_select || id == WF_OP_ID_index_add;
    wf_tensor *at = rows ? ids(1, &n, below) : ids(3, dims, below);
    if (id == WF_OP_ID_gather || id == WF_OP_ID_index_select) SET_IN(s, x, at);
    else SET_IN(s, x, at, normal(3, dims));
    SET_ATTR(s, dim);
}

/* ---- resampling ---- */

static void make_resize(sample *s, wf_op_id id)
{
    const int64_t h = size1(s, 8), w = size1(s, 8);
    const bool twice = draw() % 2;
    s->rel = 2e-6, s->abs = 1e-6;
    SET_IN(s, NORMAL(size(s, 2), h, w, size(s, 9)));
    SET_ATTR(s, (double)(twice ? 2 * h : size1(s, 8)), (double)(twice ? 2 * w : size1(s, 8)),
             draw() % 2);
    if (id == WF_OP_ID_resize_nearest || id == WF_OP_ID_resize_nearest_dx) s->n_attr = 2;
}

static void make_pool(sample *s, wf_op_id id)
{
    const int64_t k = draw_from(1, 3), pad = draw_to(k / 2), H = draw_from(k, 12),
                  W = draw_from(k, 12);
    const double at[] = {(double)k, (double)draw_from(1, 3), (double)pad, (double)H, (double)W};
    wf_tensor *x = NORMAL(size(s, 2), H, W, size(s, 9)),
              *y = wf_op_call(c, WF_OP_ID_max_pool2d, &x, 1, at, 3);
    s->rel = 2e-6, s->abs = 1e-6;
    set_attr(s, id == WF_OP_ID_avg_pool2d_dx ? 5 : 3, at);
    if (id == WF_OP_ID_avg_pool2d_dx) SET_IN(s, y);
    else if (id == WF_OP_ID_max_pool2d_dx) SET_IN(s, x, like(y));
    else SET_IN(s, x);
}

/* ---- losses and training ---- */

static void make_cross_entropy(sample *s, wf_op_id id)
{
    const int64_t rows = size1(s, 20), V = size1(s, 50);
    s->rel = 3e-6, s->abs = 1e-6;
    wf_tensor *x = wf_scale(c, NORMAL(rows, V), 3.0), *at = ids(1, &rows, V);
    if (id == WF_OP_ID_cross_entropy) SET_IN(s, x, at);
    else SET_IN(s, x, at, wf_scalar(c, 0.7));
    SET_ATTR(s, -100);
}

static void make_mse(sample *s, wf_op_id id)
{
    (void)id;
    s->rel = 2e-6;
    wf_tensor *a = NORMAL(size1(s, 20), size1(s, 50));
    SET_IN(s, a, like(a));
}

static void make_into(sample *s, wf_op_id id)
{
    wf_tensor *p = anything(s);
    s->rel = 2e-6, s->abs = 1e-6;
    if (id == WF_OP_ID_adamw_into) {
        SET_IN(s, p, like(p), wf_square(c, like(p)), like(p));
        SET_ATTR(s, 0.01, 0.9, 0.99, 1e-8, 0.01, 3, 0.5);
        return;
    }
    SET_IN(s, p, like(p));
    if (id == WF_OP_ID_lerp_into) SET_ATTR(s, 0.25);
}

static void make_stft(sample *s, wf_op_id id)
{
    const int64_t n = 2 * draw_from(2, 20), hop = draw_from(1, n),
                  frames = draw_from(1, s->large ? 200 : 9);
    const int64_t S = n + (frames - 1) * hop, B = draw_from(1, 2);
    s->rel = 2e-6, s->abs = 3e-6;
    if (id == WF_OP_ID_stft) SET_IN(s, NORMAL(B, S), NORMAL(n));
    else SET_IN(s, NORMAL(B, frames, n / 2 + 1, 2), NORMAL(n));
    SET_ATTR(s, (double)hop, (double)S);
    if (id == WF_OP_ID_stft) s->n_attr = 1;
}

/* ---- the makers by op ---- */

#define M(op, fn) [WF_OP_ID_##op] = make_##fn
static const maker makers[WF_OP_COUNT] = {
    M(copy, copy),
    M(cast, cast),
    M(concat, concat),
    M(neg, unary),
    M(abs, unary),
    M(exp, unary),
    M(log, unary),
    M(sqrt, unary),
    M(rsqrt, unary),
    M(square, unary),
    M(sin, unary),
    M(cos, unary),
    M(tanh, unary),
    M(sigmoid, unary),
    M(relu, unary),
    M(silu, unary),
    M(gelu, unary),
    M(gelu_tanh, unary),
    M(gelu_quick, unary),
    M(softplus, unary),
    M(erf, unary),
    M(leaky_relu, unary),
    M(clamp, unary),
    M(affine, unary),
    M(sign, unary),
    M(floor, unary),
    M(round, unary),
    M(is_nan, unary),
    M(unary_dx, unary_dx),
    M(add, binary),
    M(sub, binary),
    M(mul, binary),
    M(div, binary),
    M(maximum, binary),
    M(minimum, binary),
    M(pow, binary),
    M(eq, compare),
    M(ne, compare),
    M(lt, compare),
    M(le, compare),
    M(gt, compare),
    M(ge, compare),
    M(where, where),
    M(swiglu, swiglu),
    M(swiglu_dx, swiglu),
    M(geglu, geglu),
    M(geglu_dx, geglu),
    M(sum, reduce),
    M(mean, reduce),
    M(max, reduce),
    M(min, reduce),
    M(logsumexp, reduce),
    M(sum_to, sum_to),
    M(slice_dx, slice_dx),
    M(cumsum, rows),
    M(argmax, rows),
    M(argsort, rows),
    M(topk, rows),
    M(softmax, rows),
    M(log_softmax, rows),
    M(softmax_dx, rows),
    M(matmul, matmul),
    M(linear, linear),
    M(conv2d, conv),
    M(conv2d_dx, conv),
    M(conv2d_dw, conv),
    M(group_norm, group_norm),
    M(group_norm_dx, group_norm),
    M(layer_norm, row_norm),
    M(layer_norm_dx, row_norm),
    M(rms_norm, row_norm),
    M(rms_norm_dx, row_norm),
    M(attention, attention),
    M(attention_dx, attention),
    M(rope, rope),
    M(embedding, embedding),
    M(gather, index),
    M(scatter_add, index),
    M(index_select, index),
    M(index_add, index),
    M(resize_nearest, resize),
    M(resize_nearest_dx, resize),
    M(resize_bilinear, resize),
    M(resize_bilinear_dx, resize),
    M(avg_pool2d, pool),
    M(avg_pool2d_dx, pool),
    M(max_pool2d, pool),
    M(max_pool2d_dx, pool),
    M(cross_entropy, cross_entropy),
    M(cross_entropy_dx, cross_entropy),
    M(mse, mse),
    M(stft, stft),
    M(stft_dx, stft),
    M(copy_into, into),
    M(lerp_into, into),
    M(adamw_into, into),
};
#undef M

/* NULL of an op that has no kernel. */
static inline maker maker_of(wf_op_id id) { return makers[id]; }

#endif
