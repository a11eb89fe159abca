/* image_resize.h - resampling of pictures as Pillow and PyTorch do it. */
#ifndef WF_CORE_IMAGE_RESIZE_H
#define WF_CORE_IMAGE_RESIZE_H

#include "core/tensor/tensor.h"

/* name and reach of the filter in source pixels */
#define WF_FILTER_MAP(X)      \
    X(NEAREST, "nearest", 0)  \
    X(BOX, "box", 0.5)        \
    X(BILINEAR, "bilinear", 1) \
    X(HAMMING, "hamming", 1)  \
    X(BICUBIC, "bicubic", 2)  \
    X(LANCZOS, "lanczos", 3)

typedef enum wf_filter {
#define WF_X(name, text, reach) WF_FILTER_##name,
    WF_FILTER_MAP(WF_X)
#undef WF_X
    WF_FILTER_COUNT
} wf_filter;

bool wf_filter_find(const char *text, wf_filter *out); /* false when there is none of that name */

/* x [H,W,C] to [height,width,C], filters widened when shrinking (antialias); four channels are RGBA
 * and weighed by alpha. u8 goes through Pillow's fixed-point arithmetic and equals it; floats
 * give f32 and are not clamped: bicubic and lanczos overshoot.
 * Errors  WF_ESHAPE  WF_EDTYPE  WF_EARG (a size out of 1..16384) */
wf_tensor *wf_image_resize(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width,
                           wf_filter filter);

/* The size whose shorter side is side_px, the longer one rounded down, as image processors want. */
wf_tensor *wf_image_resize_short(wf_ctx *c, wf_tensor *x, int64_t side_px, wf_filter filter);

/* torch.nn.functional.interpolate(mode="bicubic"): x [B,H,W,C] f32, a = -0.75, no antialias. */
wf_tensor *wf_resize_bicubic(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width,
                             bool align_corners);

#endif
