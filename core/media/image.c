/* image.c - pictures between files and tensors. */
#include "core/media/image.h"

#include <math.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/jpeg.h"
#include "core/file/png.h"
#include "core/tensor/ops.h"

/* ---- samples and values ---- */

static wf_status check_image(wf_ctx *c, const wf_tensor *x, const char *what, int rank)
{
    char text[160];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (wf_is_dead(x))
        return wf_fail_status(c, WF_EDEAD, "%s: the picture's scope has closed", what);
    const int64_t channels = wf_rank(x) == rank ? wf_dim(x, -1) : 0;
    if (channels == 1 || channels == 3 || channels == 4) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: %s is not %s[H,W,C] with 1, 3 or 4 channels", what,
                          wf_tensor_text(x, text, sizeof text), rank == 4 ? "[L," : "");
}

wf_tensor *wf_image_from_pixels(wf_ctx *c, const wf_pixels *p)
{
    if (wf_has_failed(c)) return NULL;
    const wf_shape s = {.rank = 3, .dims = {p->height, p->width, p->channels}};
    const int64_t n = wf_shape_numel(&s);
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v);
    if (!v) return wf_fail(c, WF_ENOMEM, "no memory for a picture of %lld values", (long long)n);
    for (int64_t i = 0; i < n; i++)
        v[i] = p->bits == 8 ? (float)((const uint8_t *)p->data)[i] / 255.0f
                            : (float)((const uint16_t *)p->data)[i] / 65535.0f;
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, &s, v);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return t;
}

/* Values 0..1 to samples 0..max; false when one is not a number. */
static bool quantise(const float *v, int64_t n, int bits, void *out)
{
    const float max = bits == 8 ? 255.0f : 65535.0f;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(v[i])) return false;
        const float x = v[i] <= 0 ? 0 : v[i] >= 1 ? max : v[i] * max + 0.5f;
        if (bits == 8) ((uint8_t *)out)[i] = (uint8_t)x;
        else ((uint16_t *)out)[i] = (uint16_t)x;
    }
    return true;
}

wf_status wf_image_to_pixels(wf_ctx *c, wf_tensor *x, int bits, wf_pixels *out)
{
    *out = (wf_pixels){0};
    WF_TRY(check_image(c, x, "image", 3));
    const wf_pixels like = {.height = wf_dim(x, 0), .width = wf_dim(x, 1), .channels = wf_dim(x, 2),
                            .bits = bits};
    if (bits != 8 && bits != 16)
        return wf_fail_status(c, WF_EARG, "image: %d bits a sample, must be 8 or 16", bits);
    WF_TRY(wf_pixels_new(c, out, &like, "image"));
    const int64_t n = wf_numel(x);
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v);
    if (!v) (void)wf_fail(c, WF_ENOMEM, "no memory for a picture of %lld values", (long long)n);
    if (v && wf_to_f32(c, x, v, n) == WF_OK && !quantise(v, n, bits, out->data))
        wf_fail(c, WF_ENAN, "image: holds values that are not numbers");
    wf_mem_free(wf_ctx_get_mem(c), v);
    if (wf_has_failed(c)) wf_pixels_free(out);
    return wf_get_status(c);
}

wf_tensor *wf_image_to_u8(wf_ctx *c, wf_tensor *x)
{
    wf_pixels p;
    if (wf_image_to_pixels(c, x, 8, &p) != WF_OK) return NULL;
    const wf_shape s = wf_get_shape(x);
    wf_tensor *y = wf_from_host(c, WF_DTYPE_U8, &s, p.data);
    wf_pixels_free(&p);
    return wf_to_device(c, y, wf_get_device(x));
}

wf_tensor *wf_image_from_u8(wf_ctx *c, wf_tensor *x)
{
    if (!wf_has_failed(c) && wf_get_dtype(x) != WF_DTYPE_U8)
        return wf_fail(c, WF_EDTYPE, "image: is %s, wants u8", wf_dtype_text(wf_get_dtype(x)));
    return wf_scale(c, wf_cast(c, x, WF_DTYPE_F32), 1.0 / 255.0);
}

/* ---- files ---- */

wf_tensor *wf_image_load(wf_ctx *c, const char *path, wf_meta_found *meta)
{
    wf_pixels p = {0};
    if (meta) *meta = (wf_meta_found){0};
    wf_file_map *m = wf_file_map_open(c, path);
    if (!m) return NULL;
    const uint8_t *data = wf_file_map_get_data(m);
    const size_t n = wf_file_map_get_bytes(m);
    const char *guess = wf_file_guess(data, n);
    if (n >= 4 && memcmp(data, "\x89PNG", 4) == 0) (void)wf_png_decode(c, path, data, n, &p, meta);
    else if (n >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        (void)wf_jpeg_decode(c, path, data, n, &p, meta);
    else
        wf_fail(c, WF_EFORMAT, "%s: is %s, not a PNG or JPEG picture", path,
                guess ? guess : "something else");
    wf_file_map_release(m);
    wf_tensor *t = wf_image_from_pixels(c, &p);
    wf_pixels_free(&p);
    return t;
}

wf_status wf_image_save(wf_ctx *c, const char *path, wf_tensor *x, const wf_image_options *o)
{
    wf_pixels p;
    const bool jpeg = wf_has_extension(path, ".jpg") || wf_has_extension(path, ".jpeg");
    WF_TRY(check_image(c, x, path, 3));
    if (!jpeg && !wf_has_extension(path, ".png"))
        return wf_fail_status(c, WF_EUNSUPPORTED, "%s: pictures are written as .png or .jpg", path);
    wf_scope *s = wf_scope_open(c);
    if (jpeg && wf_dim(x, 2) == 4) x = wf_image_to_channels(c, x, 3);
    if (wf_image_to_pixels(c, x, jpeg || !o->bits ? 8 : o->bits, &p) == WF_OK) {
        wf_status st =
            jpeg ? wf_jpeg_save(c, path, &p, o->quality ? o->quality : 90, o->meta, o->overwrite)
                 : wf_png_save(c, path, &p, o->meta, o->overwrite);
        (void)st;
        wf_pixels_free(&p);
    }
    wf_scope_close(c, s, NULL);
    return wf_get_status(c);
}

/* ---- channels and rectangles ---- */

static wf_tensor *channels_of(wf_ctx *c, wf_tensor *x, int64_t first, int64_t n)
{
    return wf_slice(c, x, 2, first, n, 1);
}

static wf_tensor *to_grey(wf_ctx *c, wf_tensor *rgb)
{
    static const double weights[] = {0.299, 0.587, 0.114};
    wf_tensor *y = wf_scale(c, channels_of(c, rgb, 0, 1), weights[0]);
    for (int i = 1; i < 3; i++)
        y = wf_add(c, y, wf_scale(c, channels_of(c, rgb, i, 1), weights[i]));
    return y;
}

static wf_tensor *to_rgb(wf_ctx *c, wf_tensor *grey)
{
    const wf_shape s = {.rank = 3, .dims = {wf_dim(grey, 0), wf_dim(grey, 1), 3}};
    return wf_copy(c, wf_expand(c, grey, &s));
}

wf_tensor *wf_image_to_channels(wf_ctx *c, wf_tensor *x, int64_t channels)
{
    if (check_image(c, x, "image", 3) != WF_OK) return NULL;
    if (wf_dim(x, 2) == channels) return x;
    if (channels != 1 && channels != 3 && channels != 4)
        return wf_fail(c, WF_EARG, "image: %lld channels, must be 1, 3 or 4", (long long)channels);
    wf_scope *s = wf_scope_open_on(c, x);
    wf_tensor *y = x;
    if (wf_dim(x, 2) == 4) y = wf_mul(c, channels_of(c, x, 0, 3), channels_of(c, x, 3, 1));
    if (y && channels == 1) y = to_grey(c, y);
    if (y && channels > 1 && wf_dim(y, 2) == 1) y = to_rgb(c, y);
    if (y && channels == 4) {
        const wf_shape alpha = {.rank = 3, .dims = {wf_dim(y, 0), wf_dim(y, 1), 1}};
        wf_tensor *both[] = {y, wf_full(c, wf_get_dtype(y), &alpha, 1)};
        y = wf_concat(c, both, 2, 2);
    }
    return wf_scope_close(c, s, y);
}

wf_tensor *wf_image_crop(wf_ctx *c, wf_tensor *image, int64_t y, int64_t x, int64_t height,
                         int64_t width)
{
    if (check_image(c, image, "crop", 3) != WF_OK) return NULL;
    const int64_t H = wf_dim(image, 0), W = wf_dim(image, 1), far = (int64_t)1 << 31;
    if (height < 1 || width < 1 || height > WF_MAX_SIDE_PX || width > WF_MAX_SIDE_PX || y < -far ||
        y > far || x < -far || x > far)
        return wf_fail(c, WF_EARG,
                       "crop: %lldx%lld pixels at (%lld,%lld) is not a rectangle of at most %d "
                       "a side",
                       (long long)width, (long long)height, (long long)x, (long long)y,
                       WF_MAX_SIDE_PX);
    /* The part inside, then the rest in zeros. */
    const int64_t y0 = y < 0   ? 0
                       : y > H ? H
                               : y,
                  y1 = y + height < 0   ? 0
                       : y + height > H ? H
                                        : y + height;
    const int64_t x0 = x < 0   ? 0
                       : x > W ? W
                               : x,
                  x1 = x + width < 0   ? 0
                       : x + width > W ? W
                                       : x + width;
    if (y1 <= y0 || x1 <= x0) {
        const wf_shape s = {.rank = 3, .dims = {height, width, wf_dim(image, 2)}};
        return wf_to_device(c, wf_zeros(c, wf_get_dtype(image), &s), wf_get_device(image));
    }
    wf_scope *s = wf_scope_open(c);
    wf_tensor *t = wf_slice(c, wf_slice(c, image, 0, y0, y1 - y0, 1), 1, x0, x1 - x0, 1);
    const int64_t pads[] = {y0 - y, y + height - y1, x0 - x, x + width - x1, 0, 0};
    if (pads[0] || pads[1] || pads[2] || pads[3]) t = wf_pad(c, t, pads, WF_PAD_CONSTANT, 0);
    return wf_scope_close(c, s, t);
}

/* ---- moving pictures ---- */

wf_tensor *wf_video_load(wf_ctx *c, const char *path, double *seconds, wf_meta_found *meta)
{
    wf_frames f;
    wf_tensor *y = NULL;
    if (meta) *meta = (wf_meta_found){0};
    wf_scope *s = wf_scope_open(c);
    if (wf_apng_load(c, path, &f, meta) == WF_OK) {
        const wf_pixels *p = &f.list[0];
        const wf_shape shape = {.rank = 4, .dims = {f.n, p->height, p->width, p->channels}};
        y = wf_empty(c, WF_DTYPE_F32, &shape);
        for (int64_t i = 0; y && i < f.n; i++)
            wf_copy_into(c, wf_select(c, y, 0, i), wf_image_from_pixels(c, &f.list[i]));
        *seconds = f.seconds;
    }
    wf_frames_free(&f);
    return wf_scope_close(c, s, y);
}

/* fps as a fraction of numbers up to 65535: whole over whole where it is one (30, 23.976 ...). */
static void as_fraction(double fps, uint32_t *num, uint32_t *den)
{
    *num = *den = 1;
    double best = INFINITY;
    for (uint32_t d = 1; d <= 1001 && best > 0; d++) {
        const double n = floor(fps * d + 0.5), miss = fabs(n / d - fps);
        if (n < 1 || n > 65535 || miss >= best * 0.999) continue;
        best = miss < fps * 1e-9 ? 0 : miss;
        *num = (uint32_t)n;
        *den = d;
    }
}

wf_status wf_video_save(wf_ctx *c, const char *path, wf_tensor *x, double fps, const wf_meta *meta,
                        bool overwrite)
{
    uint32_t num, den;
    WF_TRY(check_image(c, x, path, 4));
    if (!(fps >= 0.001 && fps <= 65535))
        return wf_fail_status(c, WF_EARG, "%s: %g frames a second, must be 0.001 to 65535", path,
                              fps);
    as_fraction(fps, &num, &den);
    wf_frames f = {.mem = wf_ctx_get_mem(c), .n = wf_dim(x, 0)};
    f.list = wf_mem_calloc(f.mem, (size_t)f.n * sizeof *f.list + 1);
    if (!f.list) return wf_fail_status(c, WF_ENOMEM, "%s: no memory for its frames", path);
    wf_scope *s = wf_scope_open(c);
    for (int64_t i = 0; i < f.n && !wf_has_failed(c); i++)
        (void)!wf_image_to_pixels(c, wf_select(c, x, 0, i), 8, &f.list[i]);
    wf_scope_close(c, s, NULL);
    const wf_status st = wf_apng_save(c, path, &f, num, den, meta, overwrite);
    wf_frames_free(&f);
    return st;
}
