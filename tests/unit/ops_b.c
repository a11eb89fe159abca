/* ops_b.c - products, convolution, norms, attention, resizing: gradients, shapes, strides, empties.
 */
#include "tests/unit/gradcheck.h"

#include "core/tensor/op.h"

static wf_ctx *c;                       /* of the running test */

static wf_tensor *input(uint64_t seed, int rank, const int64_t *dims)
{
    wf_shape s = {.rank = rank};
    memcpy(s.dims, dims, (size_t)rank * sizeof *dims);
    return gradcheck_randn(c, WF_DTYPE_F64, &s, seed);
}

#define RANK(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define IN(seed, ...) input(seed, RANK(__VA_ARGS__), (int64_t[]){__VA_ARGS__})

/* ---- gradients ---- */

/* An op by number with its attributes, as a function of its inputs. */
typedef struct call {
    wf_op_id id;
    double attr[12];
    int n_attr, n_in;
} call;

static wf_tensor *run_call(wf_ctx *ctx, wf_tensor *const *in, void *arg)
{
    const call *k = arg;
    return wf_op_call(ctx, k->id, in, k->n_in, k->attr, k->n_attr);
}

/* Check op id at in[n_in] with respect to the inputs whose bits are set in wrt. */
static void check(call k, wf_tensor *const *in, int n_in, unsigned wrt)
{
    k.n_in = n_in;
    gradcheck(c, wf_op_get(k.id)->name, run_call, &k, in, n_in, wrt);
}

#define CHECK(wrt, id_, attrs, ...)                                                            \
    do {                                                                                       \
        wf_tensor *in_[] = {__VA_ARGS__};                                                      \
        const double attr_[] = attrs;                                                          \
        call k_ = {.id = WF_OP_ID_##id_, .n_attr = (int)(sizeof attr_ / sizeof *attr_)};       \
        memcpy(k_.attr, attr_, sizeof attr_);                                                  \
        check(k_, in_, (int)(sizeof in_ / sizeof *in_), wrt);                               \
    } while (0)
#define A(...) {__VA_ARGS__}

static int open_ctx(void **state)
{
    (void)state;
    c = wf_ctx_new(1);
    return c ? 0 : -1;
}

/* Every test leaves as much memory live as it found. */
static int close_ctx(void **state)
{
    (void)state;
    const size_t live = wf_mem_get_stats(wf_ctx_get_mem(c)).live_bytes;
    wf_ctx *fresh = wf_ctx_new(1);
    const size_t bare = wf_mem_get_stats(wf_ctx_get_mem(fresh)).live_bytes;
    wf_ctx_free(fresh);
    wf_ctx_free(c);
    return live == bare ? 0 : -1;
}

static void grad_products(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            wf_tensor *a = ta ? IN(1, 2, 1, 5, 3) : IN(1, 2, 1, 3, 5);
            wf_tensor *b = tb ? IN(2, 4, 2, 5) : IN(2, 4, 5, 2);
            CHECK(3, matmul, A(ta, tb), a, b);
        }
    for (int act = WF_ACT_NONE; act <= WF_ACT_RELU; act++)
        CHECK(7, linear, A(act), IN(3, 2, 3, 5), IN(4, 4, 5), IN(5, 4));
    CHECK(3, linear, A(0), IN(3, 5), IN(4, 4, 5));
    wf_scope_close(c, s, NULL);
}

static void grad_convolution(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    CHECK(7, conv2d, A(1, 1, 1, 1, 1, 1, 1, 1, 1), IN(1, 2, 5, 4, 3), IN(2, 4, 3, 3, 3), IN(3, 4));
    CHECK(7, conv2d, A(2, 3, 0, 1, 2, 0, 2, 1, 2), IN(1, 1, 7, 6, 4), IN(2, 6, 3, 2, 2), IN(3, 6));
    CHECK(3, conv2d, A(1, 1, 1, 1, 0, 0, 1, 1, 3), IN(1, 1, 4, 3, 3), IN(2, 3, 3, 1, 1));
    CHECK(3, conv2d_dx, A(7, 6, 2, 3, 0, 1, 2, 0, 2, 1, 2), IN(1, 1, 2, 3, 6), IN(2, 6, 3, 2, 2));
    wf_scope_close(c, s, NULL);
}

static wf_tensor *conv1d_3(wf_ctx *x, wf_tensor *const *in, void *arg)
{
    (void)arg;
    return wf_conv1d(x, in[0], in[1], in[2], 2, 3, 2, 2);
}

static wf_tensor *transpose1d_3(wf_ctx *x, wf_tensor *const *in, void *arg)
{
    (void)arg;
    return wf_conv_transpose1d(x, in[0], in[1], in[2], 3, 1, 2);
}

static wf_tensor *frames_3(wf_ctx *x, wf_tensor *const *in, void *arg)
{
    (void)arg;
    return wf_conv_frames(x, in[0], in[1], in[2]);
}

static void grad_compositions(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *a[] = {IN(1, 2, 9, 4), IN(2, 6, 3, 2), IN(3, 6)};
    gradcheck(c, "conv1d", conv1d_3, NULL, a, 3, 7);
    wf_tensor *b[] = {IN(1, 2, 4, 3), IN(2, 3, 5, 2), IN(3, 2)};
    gradcheck(c, "conv_transpose1d", transpose1d_3, NULL, b, 3, 7);
    wf_tensor *d[] = {IN(1, 1, 3, 2, 2, 3), IN(2, 2, 3, 3), IN(3, 2)};
    gradcheck(c, "conv_frames", frames_3, NULL, d, 3, 7);
    wf_scope_close(c, s, NULL);
}

static void grad_norms(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    for (int silu = 0; silu < 2; silu++) {
        CHECK(7, group_norm, A(2, 1e-5, silu), IN(1, 2, 3, 2, 6), IN(2, 6), IN(3, 6));
        CHECK(5, group_norm, A(3, 1e-5, silu), IN(1, 2, 4, 6), NULL, IN(3, 6));
    }
    CHECK(1, group_norm, A(1, 1e-3, 0), IN(1, 3, 4));
    CHECK(7, layer_norm, A(1e-5), IN(1, 2, 3, 7), IN(2, 7), IN(3, 7));
    CHECK(1, layer_norm, A(1e-5), IN(1, 4, 5));
    CHECK(3, rms_norm, A(1e-6), IN(1, 2, 3, 7), IN(2, 7));
    CHECK(1, rms_norm, A(1e-6), IN(1, 5));
    wf_tensor *rows = IN(1, 3, 2, 5);
    check((call){.id = WF_OP_ID_softmax}, &rows, 1, 1);
    check((call){.id = WF_OP_ID_log_softmax}, &rows, 1, 1);
    wf_scope_close(c, s, NULL);
}

static void grad_attention(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    CHECK(7, attention, A(0, 0), IN(1, 2, 3, 2, 4), IN(2, 2, 5, 2, 4), IN(3, 2, 5, 2, 4));
    CHECK(7, attention, A(0.7, 1), IN(1, 1, 4, 4, 3), IN(2, 1, 6, 2, 3), IN(3, 1, 6, 2, 3));
    CHECK(7, attention, A(0, 1), IN(1, 1, 5, 1, 3), IN(2, 1, 3, 1, 3), IN(3, 1, 3, 1, 3));
    CHECK(7, attention, A(0, 0), IN(1, 2, 3, 2, 4), IN(2, 2, 5, 1, 4), IN(3, 2, 5, 1, 4),
          IN(4, 1, 2, 1, 5));
    for (int half = 0; half < 2; half++) {
        CHECK(1, rope, A(half, 0), IN(1, 2, 3, 2, 7), IN(2, 3, 3, 2));
        CHECK(1, rope, A(half, 1), IN(1, 1, 3, 1, 4), IN(2, 3, 2, 2));
    }
    wf_scope_close(c, s, NULL);
}

static void grad_resampling(void **state)
{
    (void)state;
    const int64_t sizes[][2] = {{6, 8}, {5, 3}, {2, 2}, {1, 9}, {4, 5}};
    wf_scope *s = wf_scope_open(c);
    for (int i = 0; i < 5; i++) {
        const double h = (double)sizes[i][0], w = (double)sizes[i][1];
        CHECK(1, resize_nearest, A(h, w), IN(1, 2, 3, 4, 2));
        CHECK(1, resize_nearest_dx, A(3, 4), IN(1, 2, sizes[i][0], sizes[i][1], 2));
        for (int corners = 0; corners < 2; corners++) {
            CHECK(1, resize_bilinear, A(h, w, corners), IN(1, 2, 3, 4, 2));
            CHECK(1, resize_bilinear_dx, A(3, 4, corners), IN(1, 2, sizes[i][0], sizes[i][1], 2));
        }
    }
    const int64_t pools[][3] = {{2, 2, 0}, {3, 2, 1}, {3, 1, 1}, {4, 3, 2}};
    for (int i = 0; i < 4; i++) {
        const double k = (double)pools[i][0], st = (double)pools[i][1], pad = (double)pools[i][2];
        wf_tensor *x = IN(1, 2, 6, 5, 2);
        wf_tensor *y = wf_avg_pool2d(c, x, pools[i][0], pools[i][1], pools[i][2]);
        CHECK(1, avg_pool2d, A(k, st, pad), x);
        CHECK(1, max_pool2d, A(k, st, pad), x);
        CHECK(1, avg_pool2d_dx, A(k, st, pad, 6, 5), y);
    }
    wf_scope_close(c, s, NULL);
}

/* ---- refusals ---- */

/* The op must fail with this status and sentence, and leave the context usable. */
static void expect(wf_tensor *y, wf_status st, const char *wanted)
{
    char msg[WF_ERR_MAX];
    assert_null(y);
    const wf_status got = wf_take_error(c, msg, sizeof msg);
    if (got != st)
        fail_msg("status '%s' (%s), wants '%s'", wf_status_text(got), msg, wf_status_text(st));
    if (!strstr(msg, wanted)) fail_msg("said \"%s\", wants \"%s\"", msg, wanted);
    assert_non_null(wf_scalar(c, 1.0));
}

static void wrong_shapes(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    const wf_conv same = wf_conv_same(1, 1);
    wf_conv two = same;
    two.groups = 2;
    expect(wf_matmul(c, IN(1, 2, 3), IN(2, 4, 5), false, false), WF_ESHAPE,
           "matmul: f64 [2,3] by f64 [4,5]: the inner dims differ");
    expect(wf_matmul(c, IN(1, 2, 3, 4), IN(2, 3, 4, 5), false, false), WF_ESHAPE,
           "the batch dims do not fit");
    expect(wf_matmul(c, IN(1, 4), IN(2, 4, 5), false, false), WF_ESHAPE,
           "both want two dims or more");
    expect(wf_linear(c, IN(1, 2, 4), IN(2, 3, 5), NULL), WF_ESHAPE,
           "linear: x has 4 features, w wants 5");
    expect(wf_linear(c, IN(1, 2, 5), IN(2, 3, 5), IN(3, 4)), WF_ESHAPE,
           "linear: b has 4 values, w makes 3 features");
    expect(wf_conv2d(c, IN(1, 1, 4, 4, 3), IN(2, 2, 3, 3, 4), NULL, same), WF_ESHAPE,
           "conv2d: x has 3 channels, w wants 4 in each of 1 groups");
    expect(wf_conv2d(c, IN(1, 1, 4, 4, 4), IN(2, 3, 3, 3, 2), NULL, two), WF_ESHAPE,
           "conv2d: 4 channels in and 3 out do not divide into 2 groups");
    expect(wf_conv2d(c, IN(1, 1, 1, 1, 4), IN(2, 3, 5, 5, 4), NULL, same), WF_ESHAPE,
           "conv2d: a kernel of 5 x 5 does not fit into 1 x 1 and its padding");
    expect(wf_conv2d(c, IN(1, 4, 4, 4), IN(2, 3, 5, 5, 4), NULL, same), WF_ESHAPE,
           "conv2d: x is f64 [4,4,4], wants 4 dims");
    expect(wf_conv2d(c, IN(1, 1, 4, 4, 4), IN(2, 3, 3, 3, 4), IN(3, 4), same), WF_ESHAPE,
           "conv2d: b has 4 values, w makes 3 channels");
    two.stride_w = 0;
    expect(wf_conv2d(c, IN(1, 1, 4, 4, 4), IN(2, 2, 3, 3, 2), NULL, two), WF_EARG, "stride_w");
    expect(wf_group_norm(c, IN(1, 2, 3, 6), NULL, NULL, 4, 1e-5), WF_ESHAPE,
           "group_norm: 6 channels do not divide into 4 groups");
    expect(wf_layer_norm(c, IN(1, 2, 6), IN(2, 5), NULL, 1e-5), WF_ESHAPE,
           "layer_norm: w has 5 values, x has 6 channels");
    expect(wf_rms_norm(c, IN(1, 2, 6), NULL, -1.0), WF_EARG,
           "rms_norm: eps is -1, wants 0 or more");
    expect(wf_attention(c, IN(1, 1, 2, 3, 4), IN(2, 1, 5, 2, 4), IN(3, 1, 5, 2, 4), NULL, 0, false),
           WF_ESHAPE, "heads that divide");
    expect(wf_attention(c, IN(1, 1, 2, 2, 4), IN(2, 1, 5, 2, 4), IN(3, 1, 5, 2, 4),
                        IN(4, 1, 1, 2, 4), 0, false),
           WF_ESHAPE, "attention: bias is f64 [1,1,2,4], wants [1,2,2,5] or 1 in the first three");
    expect(wf_rope(c, IN(1, 1, 3, 2, 4), IN(2, 3, 3, 2), false), WF_ESHAPE,
           "with 2R at most a head's width");
    expect(wf_resize_nearest(c, IN(1, 1, 3, 2, 4), 0, 4), WF_EARG, "resize_nearest: height is 0");
    expect(wf_max_pool2d(c, IN(1, 1, 3, 2, 4), 4, 1, 0), WF_ESHAPE,
           "a window of 4 does not fit into 3 x 2");
    expect(wf_avg_pool2d(c, IN(1, 1, 8, 8, 4), 2, 1, 2), WF_EARG,
           "pad 2 is more than half of a window of 2");
    expect(wf_softmax(c, wf_scalar(c, 1.0)), WF_ESHAPE, "softmax: x is one value, wants rows");
    expect(wf_softmax(c, wf_zeros(c, WF_DTYPE_I64, &(wf_shape){1, {4}})), WF_EDTYPE,
           "softmax: x is i64, wants a float dtype");
    expect(wf_conv1d(c, IN(1, 4, 4), IN(2, 3, 3, 4), NULL, 1, 1, 1, 1), WF_ESHAPE,
           "conv1d: x is f64 [4,4]");
    wf_scope_close(c, s, NULL);
}

/* ---- empty and strided inputs ---- */

static void expect_shape(wf_tensor *y, const char *wanted)
{
    char text[180];
    gradcheck_ok(c, wanted);
    assert_string_equal(wf_tensor_text(y, text, sizeof text), wanted);
}

static void expect_all(wf_tensor *y, double wanted)
{
    double v[64];
    const int64_t n = wf_numel(y);
    assert_true(n <= 64);
    assert_int_equal(wf_to_host(c, y, v, (size_t)n * sizeof *v), WF_OK);
    for (int64_t i = 0; i < n; i++) assert_true(v[i] == wanted);
}

static void empty_inputs(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    const wf_conv same = wf_conv_same(1, 1);
    wf_tensor *none = IN(1, 1, 0, 2, 4), *q = IN(2, 1, 3, 2, 4), *y;
    expect_shape(wf_matmul(c, IN(1, 0, 3), IN(2, 3, 5), false, false), "f64 [0,5]");
    expect_shape(wf_matmul(c, IN(1, 0, 2, 3), IN(2, 3, 5), false, false), "f64 [0,2,5]");
    expect_shape(y = wf_matmul(c, IN(1, 2, 0), IN(2, 0, 5), false, false), "f64 [2,5]");
    expect_all(y, 0.0);
    expect_shape(wf_linear(c, IN(1, 0, 3), IN(2, 5, 3), IN(3, 5)), "f64 [0,5]");
    expect_shape(wf_conv2d(c, IN(1, 0, 4, 4, 3), IN(2, 5, 3, 3, 3), NULL, same), "f64 [0,4,4,5]");
    expect_shape(wf_group_norm(c, IN(1, 2, 0, 6), IN(2, 6), NULL, 2, 1e-5), "f64 [2,0,6]");
    expect_shape(wf_layer_norm(c, IN(1, 0, 6), IN(2, 6), NULL, 1e-5), "f64 [0,6]");
    expect_shape(wf_rms_norm(c, IN(1, 0, 6), NULL, 1e-5), "f64 [0,6]");
    expect_shape(wf_softmax(c, IN(1, 3, 0)), "f64 [3,0]");
    expect_shape(wf_log_softmax(c, IN(1, 0, 3)), "f64 [0,3]");
    expect_shape(wf_attention(c, none, q, q, NULL, 0, false), "f64 [1,0,2,4]");
    expect_shape(y = wf_attention(c, q, none, none, NULL, 0, false), "f64 [1,3,2,4]");
    expect_all(y, 0.0);
    expect_shape(wf_rope(c, IN(1, 0, 3, 2, 4), IN(2, 3, 2, 2), false), "f64 [0,3,2,4]");
    expect_shape(wf_resize_bilinear(c, IN(1, 0, 3, 2, 4), 6, 4, false), "f64 [0,6,4,4]");
    expect_shape(wf_max_pool2d(c, IN(1, 0, 4, 4, 2), 2, 2, 0), "f64 [0,2,2,2]");
    expect_shape(wf_avg_pool2d(c, IN(1, 1, 4, 4, 0), 2, 2, 0), "f64 [1,2,2,0]");
    wf_scope_close(c, s, NULL);
}

/* The backward of an empty batch gives zeros of the weights' shapes. */
static void empty_gradients(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *w = IN(2, 5, 3), *g = IN(3, 5), *grads[2];
    wf_tape *t = wf_tape_open(c, (wf_tensor *[]){w, g}, 2);
    wf_tensor *y = wf_rms_norm(c, wf_linear(c, IN(1, 0, 3), w, NULL), g, 1e-6);
    assert_int_equal(wf_tape_backward_from(t, y, IN(4, 0, 5), grads), WF_OK);
    wf_tape_close(t);
    expect_shape(grads[0], "f64 [5,3]");
    expect_all(grads[0], 0.0);
    expect_all(grads[1], 0.0);
    wf_scope_close(c, s, NULL);
}

/* The same values behind strides that are not those of their shape: a slice of something wider. */
static wf_tensor *scattered(wf_tensor *x)
{
    int64_t pads[2 * WF_MAX_RANK];
    for (int i = 0; i < 2 * wf_rank(x); i++) pads[i] = 1 + i % 2;
    wf_tensor *y = wf_pad(c, x, pads, WF_PAD_CONSTANT, 1e30);
    for (int d = 0; d < wf_rank(x); d++) y = wf_slice(c, y, d, 1, wf_dim(x, d), 1);
    return y;
}

static void expect_same(wf_tensor *a, wf_tensor *b, const char *name)
{
    double u[256], v[256];
    gradcheck_ok(c, name);
    const int64_t n = wf_numel(a);
    assert_true(n <= 256 && n == wf_numel(b));
    assert_int_equal(wf_to_host(c, a, u, (size_t)n * sizeof *u), WF_OK);
    assert_int_equal(wf_to_host(c, b, v, (size_t)n * sizeof *v), WF_OK);
    for (int64_t i = 0; i < n; i++)
        if (u[i] != v[i])
            fail_msg("%s: value %lld is %.17g dense and %.17g strided", name, (long long)i, u[i],
                     v[i]);
}

static void strided_inputs(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    const struct { call k; wf_tensor *in[4];
    } rows[] = {
        {{WF_OP_ID_matmul, {0, 1}, 2, 2}, {IN(1, 2, 3, 5), IN(2, 4, 5)}},
        {{WF_OP_ID_linear, {WF_ACT_SILU}, 1, 3}, {IN(1, 2, 3, 5), IN(2, 4, 5), IN(3, 4)}},
        {{WF_OP_ID_conv2d, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 9, 3},
         {IN(1, 1, 4, 3, 3), IN(2, 2, 3, 3, 3), IN(3, 2)}},
        {{WF_OP_ID_group_norm, {2, 1e-5, 1}, 3, 3}, {IN(1, 2, 3, 4), IN(2, 4), IN(3, 4)}},
        {{WF_OP_ID_layer_norm, {1e-5}, 1, 3}, {IN(1, 2, 3, 4), IN(2, 4), IN(3, 4)}},
        {{WF_OP_ID_rms_norm, {1e-5}, 1, 2}, {IN(1, 2, 3, 4), IN(2, 4)}},
        {{WF_OP_ID_softmax, {0}, 0, 1}, {IN(1, 2, 3, 4)}},
        {{WF_OP_ID_log_softmax, {0}, 0, 1}, {IN(1, 2, 3, 4)}},
        {{WF_OP_ID_attention, {0, 1}, 2, 4},
         {IN(1, 2, 3, 4, 5), IN(2, 2, 6, 2, 5), IN(3, 2, 6, 2, 5), IN(4, 1, 4, 1, 6)}},
        {{WF_OP_ID_rope, {1}, 1, 2}, {IN(1, 2, 3, 2, 5), IN(2, 3, 2, 2)}},
        {{WF_OP_ID_resize_nearest, {5, 2}, 2, 1}, {IN(1, 2, 3, 4, 2)}},
        {{WF_OP_ID_resize_bilinear, {5, 2}, 2, 1}, {IN(1, 2, 3, 4, 2)}},
        {{WF_OP_ID_avg_pool2d, {2, 1}, 2, 1}, {IN(1, 2, 3, 4, 2)}},
        {{WF_OP_ID_max_pool2d, {2, 1}, 2, 1}, {IN(1, 2, 3, 4, 2)}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wf_tensor *far[4] = {NULL};
        call k = rows[i].k;
        for (int j = 0; j < k.n_in; j++) far[j] = scattered(rows[i].in[j]);
        assert_false(wf_is_contiguous(far[0]));
        expect_same(wf_op_call(c, k.id, rows[i].in, k.n_in, k.attr, k.n_attr),
                    wf_op_call(c, k.id, far, k.n_in, k.attr, k.n_attr), wf_op_get(k.id)->name);
        gradcheck(c, wf_op_get(k.id)->name, run_call, &k, far, k.n_in, 1);
    }
    wf_scope_close(c, s, NULL);
}

/* ---- what the contracts say beside the mathematics ---- */

static wf_tensor *from(int rank, const int64_t *dims, const float *v)
{
    wf_shape s = {.rank = rank};
    memcpy(s.dims, dims, (size_t)rank * sizeof *dims);
    return wf_from_host(c, WF_DTYPE_F32, &s, v);
}

static void blind_rows(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    const float v[] = {-INFINITY, -INFINITY, 0.0f, NAN};
    float y[4];
    assert_int_equal(wf_to_f32(c, wf_softmax(c, from(2, (int64_t[]){2, 2}, v)), y, 4), WF_OK);
    assert_true(y[0] == 0.0f && y[1] == 0.0f && isnan(y[2]) && isnan(y[3]));
    assert_int_equal(wf_to_f32(c, wf_log_softmax(c, from(2, (int64_t[]){2, 2}, v)), y, 4), WF_OK);
    assert_true(y[0] == -INFINITY && y[1] == -INFINITY && isnan(y[2]));
    wf_scope_close(c, s, NULL);
}

/* A NaN in the picture reaches no pixel that gives it no weight. */
static void nan_stays_local(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    const float v[] = {1.0f, NAN};
    float y[4];
    wf_tensor *x = from(4, (int64_t[]){1, 1, 2, 1}, v);
    assert_int_equal(wf_to_f32(c, wf_resize_bilinear(c, x, 1, 2, false), y, 2), WF_OK);
    assert_true(y[0] == 1.0f && isnan(y[1]));
    wf_scope_close(c, s, NULL);
}

/* Weights of 16 bits and quantised ones do not lower the result. */
static void weight_dtypes(void **state)
{
    (void)state;
    wf_scope *s = wf_scope_open(c);
    const wf_dtype types[] = {WF_DTYPE_F16, WF_DTYPE_BF16, WF_DTYPE_Q8_0, WF_DTYPE_Q4_0};
    wf_tensor *x = wf_cast(c, IN(1, 3, 64), WF_DTYPE_F32),
              *w = wf_cast(c, IN(2, 4, 64), WF_DTYPE_F32);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        wf_tensor *small = wf_cast(c, w, types[i]), *grads[1];
        float got[12], want[12];
        assert_int_equal(
            wf_to_f32(c, wf_linear(c, x, wf_cast(c, small, WF_DTYPE_F32), NULL), want, 12), WF_OK);
        wf_tape *t = wf_tape_open(c, &x, 1);
        wf_tensor *y = wf_linear(c, x, small, NULL);
        expect_shape(y, "f32 [3,4]");
        assert_int_equal(wf_tape_backward_from(t, y, y, grads), WF_OK);
        wf_tape_close(t);
        expect_shape(grads[0], "f32 [3,64]");
        assert_int_equal(wf_to_f32(c, y, got, 12), WF_OK);
        /* 2e-5: sums of 64 products in f32; the weights are the same numbers */
        for (int k = 0; k < 12; k++)
            assert_true(fabsf(got[k] - want[k]) <= 2e-5f * (1.0f + fabsf(want[k])));
    }
    wf_scope_close(c, s, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_ctx, close_ctx)
    const struct CMUnitTest tests[] = {
        T(grad_products),   T(grad_convolution), T(grad_compositions), T(grad_norms),
        T(grad_attention),  T(grad_resampling),  T(wrong_shapes),      T(empty_inputs),
        T(empty_gradients), T(strided_inputs),   T(blind_rows),        T(nan_stays_local),
        T(weight_dtypes),
    };
    return cmocka_run_group_tests_name("ops_b", tests, NULL, NULL);
}
