/* image_resize.h - resampling of pictures as Pillow and PyTorch do it. */
#ifndef WF_CORE_IMAGE_RESIZE_H
#define WF_CORE_IMAGE_RESIZE_H

#include "core/tensor/tensor.h"

enum { WF_MAX_RESIZE_PX = 65535 };      /* a side; more than files hold */

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
 * and weighed by alpha. u8 goes through Pillow's fixed-point arithmetic and equals it. Floats give
 * f32 and are not clamped, for bicubic and lanczos overshoot; but RGBA is, to 0..1, since a colour
 * under next to no alpha can be anything.
 * Errors  WF_ESHAPE  WF_EDTYPE  WF_ENOMEM  WF_EARG (a size out of 1..WF_MAX_RESIZE_PX) */
wf_tensor *wf_image_resize(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width,
                           wf_filter filter);

#endif
