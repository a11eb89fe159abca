"""Single ops in PyTorch, at the sizes that weft's rows name."""
import time

import torch
import torch.nn.functional as F


def faster(a, b):
    """The one of two ways that takes less time, after a warm-up."""
    best = []
    for f in (a, b):
        f()
        start = time.perf_counter()
        f()
        best.append(time.perf_counter() - start)
    return a if best[0] <= best[1] else b


def conv(s, dtype):
    x = torch.randn(1, s["I"], s["side"], s["side"]).to(dtype)
    w = torch.randn(s["O"], s["I"], s["k"], s["k"]).to(dtype)
    padding = (s["k"] - 1) // 2

    def step(x, w):
        return lambda: F.conv2d(x, w, stride=s["stride"], padding=padding)
    last = {"memory_format": torch.channels_last}
    return faster(step(x, w), step(x.contiguous(**last), w.contiguous(**last)))


def attention(s, dtype):
    q, k, v = (torch.randn(1, s["heads"], s["tokens"], s["width"]).to(dtype) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v)


def linear(s, dtype):
    x, w = torch.randn(s["M"], s["K"]).to(dtype), torch.randn(s["N"], s["K"]).to(dtype)
    return lambda: F.linear(x, w)


def gemv(s, dtype):
    x = torch.randn(1, s["N"]).to(dtype)
    ws = [torch.randn(s["N"], s["N"]).to(dtype) for _ in range(s["matrices"])]
    at = [0]

    def step():
        at[0] = (at[0] + 1) % len(ws)
        return F.linear(x, ws[at[0]])
    return step


def on_rows(f):
    """An op on x of the spec's sizes, weights of ones and zeros over the last."""
    def make(s, dtype):
        x = torch.randn(s["sizes"]).to(dtype)
        w, b = torch.ones(s["sizes"][-1], dtype=dtype), torch.zeros(s["sizes"][-1], dtype=dtype)
        return lambda: f(x, w, b)
    return make


def group_norm_silu(s, dtype):
    x = torch.randn(s["sizes"]).to(dtype).permute(0, 3, 1, 2)
    w, b = torch.ones(x.shape[1], dtype=dtype), torch.zeros(x.shape[1], dtype=dtype)
    y = x.contiguous()
    return faster(lambda: F.silu(F.group_norm(x, 32, w, b)), lambda: F.silu(F.group_norm(y, 32, w, b)))


def geglu(x, w, b):
    a, gate = x.chunk(2, -1)
    return a * F.gelu(gate)


MAKERS = {
    "conv": conv, "attention": attention, "linear": linear, "gemv": gemv,
    "group_norm_silu": group_norm_silu,
    "layer_norm": on_rows(lambda x, w, b: F.layer_norm(x, w.shape, w, b)),
    "rms_norm": on_rows(lambda x, w, b: F.rms_norm(x, w.shape, w)),
    "softmax": on_rows(lambda x, w, b: F.softmax(x, -1)),
    "silu": on_rows(lambda x, w, b: F.silu(x)),
    "gelu": on_rows(lambda x, w, b: F.gelu(x)),
    "geglu": on_rows(geglu),
    "add": on_rows(lambda x, w, b: x + x),
}
