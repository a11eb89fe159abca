/* image.c - pictures between files and tensors. */
#include "core/media/image.h"

#include <math.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/jpeg.h"
#include "core/file/png.h"
#include "core/tensor/ops.h"
#include "core/tensor/watch.h"

/* ---- samples to values ---- */

static void to_values(const wf_pixels *p, float *out)
{
    const int64_t n = p->height * p->width * p->channels;
    const uint8_t *b = (const uint8_t *)p->data;
    const uint16_t *w = (const uint16_t *)p->data;
    for (int64_t i = 0; i < n; i++)
        out[i] = p->bits == 8 ? (float)b[i] / 255.0f : (float)w[i] / 65535.0f;
}

/* n pictures of one size as a tensor of shape s. */
static wf_tensor *from_pixels(wf_ctx *c, const wf_pixels *list, int64_t n, const wf_shape *s)
{
    const int64_t all = wf_shape_numel(s);
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)all * sizeof *v + 1);
    if (!v) return wf_fail(c, WF_ENOMEM, "picture: no memory for %lld values", (long long)all);
    for (int64_t i = 0; i < n; i++) to_values(&list[i], v + i * (all / n));
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, s, v);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return t;
}

wf_tensor *wf_video_from_frames(wf_ctx *c, const wf_frames *f)
{
    if (wf_has_failed(c)) return NULL;
    const wf_pixels *p = f->list;
    return from_pixels(c, p, f->n, &(wf_shape){4, {f->n, p->height, p->width, p->channels}});
}

/* ---- values to samples ---- */

/* A picture of this rank without NaN, which would come out black. */
static wf_status check_image(wf_ctx *c, const char *path, wf_tensor *x, int rank)
{
    char text[160];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (wf_is_dead(x))
        return wf_fail_status(c, WF_EDEAD, "%s: the picture's scope has closed", path);
    const int64_t channels = wf_rank(x) == rank ? wf_dim(x, -1) : 0;
    if (channels != 1 && channels != 3 && channels != 4)
        return wf_fail_status(c, WF_ESHAPE, "%s: %s is not %sH,W,C] with 1, 3 or 4 channels", path,
                              wf_tensor_text(x, text, sizeof text), rank == 4 ? "[L," : "[");
    const int64_t n_nan = wf_count_odd(c, x).n_nan;
    if (n_nan == 0) return wf_get_status(c);
    return wf_fail_status(c, WF_ENAN, "%s: the picture holds %lld values that are not numbers; "
                          "nothing was written", path, (long long)n_nan);
}

static void to_samples(const float *v, int64_t n, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = v[i] > 0.0f ? (uint8_t)lrintf(fminf(v[i], 1.0f) * 255.0f) : 0;
}

/* x [H,W,C], which was checked; the caller frees out, after a failure too. */
static wf_status to_pixels(wf_ctx *c, const wf_tensor *x, wf_pixels *out)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    const int64_t n = wf_numel(x);
    const wf_pixels like = {
        .height = wf_dim(x, 0), .width = wf_dim(x, 1), .channels = wf_dim(x, 2), .bits = 8};
    WF_TRY(wf_pixels_new(c, out, &like, "picture"));
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v + 1);
    if (!v)
        return wf_fail_status(c, WF_ENOMEM, "picture: no memory for %lld values", (long long)n);
    const wf_status st = wf_to_f32(c, x, v, n);
    if (st == WF_OK) to_samples(v, n, (uint8_t *)out->data);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return st;
}

wf_status wf_video_to_frames(wf_ctx *c, const char *path, wf_tensor *x, wf_frames *out)
{
    *out = (wf_frames){.mem = wf_ctx_get_mem(c)};
    WF_TRY(check_image(c, path, x, 4));
    const int64_t n = wf_dim(x, 0);
    out->list = wf_mem_calloc(out->mem, (size_t)n * sizeof *out->list + 1);
    if (!out->list) return wf_fail_status(c, WF_ENOMEM, "%s: no memory for its frames", path);
    wf_scope *s = wf_scope_open(c);
    while (out->n < n && !wf_has_failed(c)) {
        const int64_t i = out->n++;
        (void)!to_pixels(c, wf_select(c, x, 0, i), &out->list[i]);
    }
    wf_scope_close(c, s, NULL);
    return wf_get_status(c);
}

/* ---- pictures ---- */

wf_tensor *wf_image_load(wf_ctx *c, const char *path, wf_meta_found *meta)
{
    wf_pixels p = {0};
    if (meta) *meta = (wf_meta_found){0};
    wf_file_map *m = wf_file_map_open(c, path);
    if (!m) return NULL;
    const uint8_t *data = wf_file_map_get_data(m);
    const size_t n = wf_file_map_get_bytes(m);
    const bool is_jpeg = n >= 2 && data[0] == 0xFF && data[1] == 0xD8;
    const wf_status st = is_jpeg ? wf_jpeg_decode(c, path, data, n, &p, meta)
                                 : wf_png_decode(c, path, data, n, &p, meta);
    wf_file_map_release(m);
    wf_tensor *t = NULL;
    if (st == WF_OK) t = from_pixels(c, &p, 1, &(wf_shape){3, {p.height, p.width, p.channels}});
    wf_pixels_free(&p);
    return t;
}

static bool is_jpeg_name(const char *path)
{
    return wf_has_extension(path, ".jpg") || wf_has_extension(path, ".jpeg");
}

bool wf_image_has_ending(const char *path)
{
    return wf_has_extension(path, ".png") || is_jpeg_name(path);
}

wf_status wf_image_save(wf_ctx *c, const char *path, wf_tensor *x, const wf_image_options *o)
{
    wf_pixels p = {0};
    if (!wf_has_failed(c) && !wf_image_has_ending(path))
        return wf_fail_status(c, WF_EUNSUPPORTED, "%s: pictures are written as .png or .jpg", path);
    WF_TRY(check_image(c, path, x, 3));
    wf_status st = to_pixels(c, x, &p);
    if (st == WF_OK)
        st = is_jpeg_name(path) ? wf_jpeg_save(c, path, &p, o->quality, o->meta, o->overwrite)
                                : wf_png_save(c, path, &p, o->meta, o->overwrite);
    wf_pixels_free(&p);
    return st;
}

/* ---- animations ---- */

wf_tensor *wf_video_load(wf_ctx *c, const char *path, double *seconds, wf_meta_found *meta)
{
    wf_frames f;
    const wf_status st = wf_apng_load(c, path, &f, meta);
    wf_tensor *t = st == WF_OK ? wf_video_from_frames(c, &f) : NULL;
    *seconds = f.seconds;
    wf_frames_free(&f);
    return t;
}

/* fps as a fraction of 16-bit numbers: the nearest, in hundredths where they hold it exactly. */
static void as_fraction(double fps, uint32_t *num, uint32_t *den)
{
    double best = INFINITY;
    *num = *den = 1;
    for (uint32_t i = 0; i <= UINT16_MAX && best > 0; i++) {
        const uint32_t d = i == 0 ? 100 : i;
        const double n = floor(fps * d + 0.5), miss = fabs(n / d - fps);
        if (n < 1 || n > UINT16_MAX || miss >= best * 0.999) continue;
        best = miss < fps * 1e-9 ? 0 : miss;
        *num = (uint32_t)n;
        *den = d;
    }
}

wf_status wf_video_save(wf_ctx *c, const char *path, wf_tensor *x, double fps, const wf_meta *meta,
                        bool overwrite)
{
    uint32_t num, den;
    wf_frames f;
    if (!wf_has_failed(c) && !(fps >= 0.01 && fps <= 1000))
        return wf_fail_status(c, WF_EARG, "%s: %g frames a second, must be 0.01 to 1000", path,
                              fps);
    as_fraction(fps, &num, &den);
    wf_status st = wf_video_to_frames(c, path, x, &f);
    if (st == WF_OK) st = wf_apng_save(c, path, &f, num, den, meta, overwrite);
    wf_frames_free(&f);
    return st;
}
