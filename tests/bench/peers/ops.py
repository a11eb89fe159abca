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


def conv_shaped(s, dtype):
    b, h, w, c = s["x"]
    x = torch.randn(b, c, h, w).to(dtype)
    k = torch.randn(s["O"], c, s["kh"], s["kw"]).to(dtype)
    padding = ((s["kh"] - 1) // 2, s["dilation"] * (s["kw"] - 1) // 2)

    def step(x, k):
        return lambda: F.conv2d(x, k, padding=padding, dilation=(1, s["dilation"]))
    last = {"memory_format": torch.channels_last}
    return faster(step(x, k), step(x.contiguous(**last), k.contiguous(**last)))


def gradients(f, *sizes):
    """The gradients of (f(...) * dy).sum() over tensors of these sizes."""
    def make(s, dtype):
        with torch.enable_grad():
            xs = [torch.randn(size(s)).to(dtype).requires_grad_() for size in sizes]
            dy = torch.randn_like(f(*xs))

        def step():
            with torch.enable_grad():
                return torch.autograd.grad((f(*xs) * dy).sum(), xs)
        return step
    return make


def conv_grad(x, w):
    return F.conv2d(x, w, padding=1)


def attention_one(s, dtype):
    q = torch.randn(1, s["heads"], 1, 128).to(dtype)
    k, v = (torch.randn(1, s["heads"], s["tokens"], 128).to(dtype) for _ in range(2))
    return lambda: F.scaled_dot_product_attention(q, k, v)


def cross_entropy(s, dtype):
    x = torch.randn(s["M"], s["N"]).to(dtype).requires_grad_()
    to = torch.randint(0, s["N"], (s["M"],))

    def step():
        with torch.enable_grad():
            return torch.autograd.grad(F.cross_entropy(x, to), x)
    return step


def adamw(s, dtype):
    w = torch.nn.Parameter(torch.randn(int(s["N"])).to(dtype))
    w.grad = torch.randn_like(w)
    return faster(torch.optim.AdamW([w], lr=1e-4, fused=True).step,
                  torch.optim.AdamW([w], lr=1e-4).step)


def heads(s):
    return 1, s["heads"], s["tokens"], 64


MAKERS = {
    "conv_shaped": conv_shaped, "attention_one": attention_one, "cross_entropy": cross_entropy,
    "adamw": adamw,
    "conv_grad": gradients(conv_grad, lambda s: (1, s["channels"], s["side"], s["side"]),
                           lambda s: (s["channels"], s["channels"], 3, 3)),
    "attention_grad": gradients(F.scaled_dot_product_attention, heads, heads, heads),
    "linear_grad": gradients(F.linear, lambda s: (s["M"], s["N"]), lambda s: (s["N"], s["N"])),
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
