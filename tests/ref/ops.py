"""Makes tests/op/vectors/*.safetensors: what PyTorch says each op and its gradient are.

    python tests/ref/ops.py [family ...]

Versions: torch 2.15.0, numpy as README.md lists. Inputs are f32 values; everything is computed from
them in f64 and stored as f32. Layouts are weft's, channels last. README.md has the file format.
"""
import json
import math
import pathlib
import sys

sys.dont_write_bytecode = True
import torch
import torch.nn.functional as F

import store

OUT = pathlib.Path(__file__).resolve().parent.parent / "op" / "vectors"
FAMILIES = {}


def family(f):
    FAMILIES[f.__name__] = f
    return f


class Maker:
    """The cases of one file."""

    def __init__(self, name):
        self.name, self.tensors, self.cases = name, {}, []

    def randn(self, key, *shape, scale=1.0, shift=0.0):
        a = store.rng(f"{self.name}/{key}").standard_normal(shape) * scale + shift
        return torch.as_tensor(a).float()

    def uniform(self, key, lo, hi, *shape):
        return torch.from_numpy(store.rng(f"{self.name}/{key}").uniform(lo, hi, shape)).float()

    def ids(self, key, below, *shape):
        return torch.from_numpy(store.rng(f"{self.name}/{key}").integers(0, below, shape))

    def put(self, name, t):
        assert name not in self.tensors, name
        self.tensors[name] = t.detach().numpy()
        return name

    def case(self, op, case, fn, inputs, attrs=None, no_grad=()):
        """fn(*inputs) -> y or (y, ...), from f64 inputs. Inputs named in no_grad get no gradient."""
        key = f"{op}.{case}"
        live, wanted = [], []
        for n, x in inputs.items():
            x = x.double() if x.is_floating_point() else x.clone()
            if x.is_floating_point() and no_grad != "all" and n not in no_grad:
                x.requires_grad_()
                wanted.append(n)
            live.append(x)
        ys = fn(*live)
        ys = ys if isinstance(ys, tuple) else (ys,)
        row = {"op": op, "case": case, "inputs": [self.put(f"{key}.{n}", x.detach().float() if x.is_floating_point() else x)
                                                  for n, x in zip(inputs, live)],
               "attrs": attrs or {},
               "outputs": [self.put(f"{key}.{'out' if len(ys) == 1 else f'out{i}'}", y.detach()) for i, y in enumerate(ys)],
               "dy": None, "grads": [None] * len(live)}
        if wanted and ys[0].requires_grad:
            dy = self.randn(f"{key}.dy", *ys[0].shape)
            row["dy"] = self.put(f"{key}.dy", dy)
            tops = [x for x in live if x.requires_grad]
            for n, g in zip(wanted, torch.autograd.grad(ys[0], tops, dy.double())):
                row["grads"][list(inputs).index(n)] = self.put(f"{key}.d{n}", g)
        for name, a in self.tensors.items():
            if name.startswith(key + ".d") or name.startswith(key + ".out"):
                assert math.isfinite(abs(a.astype("float64")).sum()) or op == "log", name
        self.cases.append(row)

    def save(self):
        path = OUT / f"{self.name}.safetensors"
        store.save(path, self.tensors, {"cases": json.dumps(self.cases)})
        print(f"{path.name}: {len(self.cases)} cases, {path.stat().st_size} bytes")


def first(x):
    """[B,...,C] -> [B,C,...]"""
    return x.movedim(-1, 1)


def last(x):
    """[B,C,...] -> [B,...,C]"""
    return x.movedim(1, -1)


@family
def view(m):
    x = m.randn("x", 3, 5, 4)
    m.case("reshape", "2d", lambda x: x.reshape(5, 12), {"x": x}, {"dims": [5, 12]})
    m.case("permute", "201", lambda x: x.permute(2, 0, 1), {"x": x}, {"dims": [2, 0, 1]})
    m.case("expand", "rows", lambda x: x.expand(2, 3, 5, 4), {"x": m.randn("e", 3, 1, 4)}, {"dims": [2, 3, 5, 4]})
    m.case("slice", "step", lambda x: x[:, 1:5:2], {"x": x}, {"dim": 1, "start": 1, "count": 2, "step": 2})
    m.case("slice", "back", lambda x: x.flip(1)[:, 1:4], {"x": x}, {"dim": 1, "start": 3, "count": 3, "step": -1})
    m.case("concat", "middle", lambda a, b, c: torch.cat([a, b, c], 1),
           {"x0": x, "x1": m.randn("c1", 3, 1, 4), "x2": m.randn("c2", 3, 2, 4)}, {"dim": 1})
    m.case("concat", "last", lambda a, b: torch.cat([a, b], -1), {"x0": x, "x1": m.randn("c3", 3, 5, 7)}, {"dim": -1})
    image = m.randn("image", 2, 5, 6, 3)
    for mode, name, pads in ((0, "constant", [0, 0, 1, 2, 3, 0, 0, 0]), (0, "constant_all", [1, 0, 0, 1, 2, 2, 1, 3]),
                             (1, "reflect", [0, 0, 4, 2, 1, 5, 0, 0]), (2, "replicate", [0, 0, 6, 1, 0, 7, 0, 0])):
        value = 0.5 if name == "constant_all" else 0

        def pad(x, mode=mode, pads=pads, value=value):
            if mode == 0:
                return F.pad(x, sum(([pads[i], pads[i + 1]] for i in (6, 4, 2, 0)), []), value=value)
            return last(F.pad(first(x), pads[4:6] + pads[2:4], mode=("", "reflect", "replicate")[mode]))

        m.case("pad", name, pad, {"x": image}, {"mode": mode, "value": value, "pads": pads})
    m.case("pad", "reflect_1d", lambda x: F.pad(x, (7, 7), mode="reflect"), {"x": m.randn("wave", 2, 11)},
           {"mode": 1, "value": 0, "pads": [0, 0, 7, 7]})


@family
def unary(m):
    ops = {"neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "square": torch.square, "sin": torch.sin, "cos": torch.cos,
           "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "silu": F.silu, "gelu": F.gelu,
           "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "gelu_quick": lambda x: x * torch.sigmoid(1.702 * x),
           "softplus": lambda x: torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0), "erf": torch.erf}
    x, wide = m.randn("x", 3, 37), torch.linspace(-12, 12, 145)
    for op, fn in ops.items():
        m.case(op, "normal", fn, {"x": x})
        m.case(op, "wide", fn, {"x": wide + 1e-3})
    positive = torch.cat([m.uniform("p", 0.05, 4, 64), torch.tensor([1e-6, 1e-3, 1.0, 1e3, 1e6])])
    for op, fn in (("log", torch.log), ("sqrt", torch.sqrt), ("rsqrt", torch.rsqrt)):
        m.case(op, "positive", fn, {"x": positive})
    for slope in (0.01, 0.1):
        m.case("leaky_relu", f"slope_{slope}", lambda x: F.leaky_relu(x, slope), {"x": x}, {"slope": slope})
    m.case("clamp", "both", lambda x: x.clamp(-0.5, 0.75), {"x": x}, {"lo": -0.5, "hi": 0.75})
    m.case("affine", "both", lambda x: x * -1.5 + 0.25, {"x": x}, {"mul": -1.5, "add": 0.25})
    steps = torch.tensor([-2.5, -1.5, -0.5, -0.25, 0.0, 0.5, 1.5, 2.5, 3.49, -7.75])
    for op, fn in (("sign", torch.sign), ("floor", torch.floor), ("round", torch.round)):
        m.case(op, "steps", fn, {"x": steps}, no_grad="all")
    odd = torch.tensor([0.0, float("nan"), 1.0, float("inf"), -float("inf"), -3.0])
    m.case("is_nan", "odd", lambda x: ~torch.isfinite(x), {"x": odd}, no_grad="all")


@family
def binary(m):
    shapes = {"same": ((3, 7, 5), (3, 7, 5)), "row": ((3, 7, 5), (5,)), "column": ((3, 7, 5), (7, 1)),
              "outer": ((6, 1, 4), (1, 3, 4)), "left": ((5,), (2, 3, 5)), "one": ((4, 9), (1,))}
    ops = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "maximum": torch.maximum, "minimum": torch.minimum}
    for case, (sa, sb) in shapes.items():
        a, b = m.randn(f"{case}.a", *sa), m.randn(f"{case}.b", *sb)
        for op, fn in ops.items():
            m.case(op, case, fn, {"a": a, "b": b})
        m.case("div", case, torch.div, {"a": a, "b": b.sign() * (b.abs() + 0.5)})
        m.case("pow", case, torch.pow, {"a": a.abs() + 0.2, "b": b})
    m.case("pow", "whole", torch.pow, {"a": m.randn("whole.a", 4, 6), "b": torch.tensor([2.0, 3, 2, 1, 4, 3])}, no_grad=("b",))
    tie = torch.tensor([1.0, 2.0, 3.0, -1.0])
    for op in ("maximum", "minimum"):
        m.case(op, "tie", ops[op], {"a": tie, "b": torch.tensor([1.0, 0.0, 3.0, 4.0])})
    a, b = torch.round(m.randn("cmp.a", 5, 8)), torch.round(m.randn("cmp.b", 8))
    for op in ("eq", "ne", "lt", "le", "gt", "ge"):
        m.case(op, "row", getattr(torch, op), {"a": a, "b": b}, no_grad="all")
    mask = m.randn("mask", 3, 1, 5) > 0
    m.case("where", "broadcast", torch.where, {"mask": mask, "a": m.randn("w.a", 3, 4, 5), "b": m.randn("w.b", 4, 1)})
    m.case("where", "same", torch.where, {"mask": m.randn("m2", 6, 7) > 0, "a": m.randn("w2.a", 6, 7), "b": m.randn("w2.b", 6, 7)})
    m.case("swiglu", "rows", lambda g, x: F.silu(g) * x, {"gate": m.randn("s.g", 3, 5, 18, scale=2), "x": m.randn("s.x", 3, 5, 18)})

    def geglu(x):
        value, gate = x.chunk(2, -1)
        return value * F.gelu(gate)

    m.case("geglu", "rows", geglu, {"x": m.randn("g.x", 3, 5, 34, scale=2)})


@family
def reduce(m):
    x = m.randn("x", 3, 4, 5, 6)
    fns = {"sum": lambda x, d, k: x.sum(d, keepdim=k), "mean": lambda x, d, k: x.mean(d, keepdim=k),
           "max": lambda x, d, k: x.amax(d, keepdim=k), "min": lambda x, d, k: x.amin(d, keepdim=k)}
    for op, fn in fns.items():
        for case, keep, dims in (("all", 0, [0, 1, 2, 3]), ("last", 0, [-1]), ("first_keep", 1, [0]), ("middle", 0, [1, 2]),
                                 ("ends_keep", 1, [0, -1]), ("space", 0, [-3, -2])):
            m.case(op, case, lambda x: fn(x, dims, bool(keep)), {"x": x}, {"keep": keep, "dims": dims})
    tie = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    m.case("max", "tie", lambda x: x.amax(-1), {"x": tie}, {"keep": 0, "dims": [-1]})
    m.case("min", "tie", lambda x: x.amin(-1), {"x": -tie}, {"keep": 0, "dims": [-1]})
    long = m.randn("long", 2, 3001, shift=0.25)
    m.case("sum", "long", lambda x: x.sum(-1), {"x": long}, {"keep": 0, "dims": [-1]}, no_grad="all")
    m.case("mean", "long", lambda x: x.mean(-1), {"x": long}, {"keep": 0, "dims": [-1]}, no_grad="all")
    m.case("sum_to", "rows", lambda x: x.sum((0, 2), keepdim=True)[0], {"x": x}, {"dims": [4, 1, 6]})
    m.case("cumsum", "last", lambda x: x.cumsum(-1), {"x": x}, {"dim": -1, "reverse": 0})
    m.case("cumsum", "dim1", lambda x: x.cumsum(1), {"x": x}, {"dim": 1, "reverse": 0})
    m.case("cumsum", "reverse", lambda x: x.flip(1).cumsum(1).flip(1), {"x": x}, {"dim": 1, "reverse": 1})
    m.case("logsumexp", "last", lambda x: x.logsumexp(-1), {"x": x}, {"keep": 0})
    m.case("logsumexp", "large_keep", lambda x: x.logsumexp(-1, keepdim=True), {"x": m.randn("big", 4, 9, scale=60)}, {"keep": 1})


@family
def sort(m):
    x = m.randn("x", 4, 3, 11)
    for dim in (-1, 0, 1):
        m.case("argmax", f"dim{dim}", lambda x: x.argmax(dim), {"x": x}, {"dim": dim}, no_grad="all")
    tie = torch.tensor([[1.0, 5, 5, 2], [7, 7, 7, 7], [-3, -4, -3, -9]])
    m.case("argmax", "tie", lambda x: x.argmax(-1), {"x": tie}, {"dim": -1}, no_grad="all")
    for down in (0, 1):
        m.case("argsort", f"descending{down}", lambda x: x.argsort(dim=-1, descending=bool(down), stable=True), {"x": x},
               {"descending": down}, no_grad="all")
        m.case("argsort", f"tie{down}", lambda x: x.argsort(dim=-1, descending=bool(down), stable=True), {"x": tie},
               {"descending": down}, no_grad="all")
    m.case("topk", "3", lambda x: tuple(x.topk(3)), {"x": x}, {"k": 3}, no_grad="all")
    m.case("topk", "all", lambda x: tuple(x.topk(11)), {"x": x}, {"k": 11}, no_grad="all")


@family
def matmul(m):
    def product(ta, tb):
        return lambda a, b: torch.matmul(a.mT if ta else a, b.mT if tb else b)

    M, K, N = 5, 33, 17
    for ta in (0, 1):
        for tb in (0, 1):
            a = m.randn(f"a{ta}", *((K, M) if ta else (M, K)))
            b = m.randn(f"b{tb}", *((N, K) if tb else (K, N)))
            m.case("matmul", f"plain_{ta}{tb}", product(ta, tb), {"a": a, "b": b}, {"trans_a": ta, "trans_b": tb})
    for case, sa, sb, ta, tb in (("batch", (3, 4, 7), (3, 7, 5), 0, 0), ("batch_right", (3, 4, 7), (7, 5), 0, 0),
                                 ("batch_left", (4, 7), (3, 7, 5), 0, 0), ("outer", (2, 1, 4, 6), (3, 6, 5), 0, 0),
                                 ("heads", (2, 3, 4, 8), (2, 3, 9, 8), 0, 1), ("heads_ta", (2, 3, 8, 4), (2, 1, 8, 9), 1, 0),
                                 ("one", (1, 19), (19, 1), 0, 0), ("blocks", (66, 70), (70, 50), 0, 0)):
        m.case("matmul", case, product(ta, tb), {"a": m.randn(f"{case}.a", *sa), "b": m.randn(f"{case}.b", *sb)},
               {"trans_a": ta, "trans_b": tb})
    acts = (lambda x: x, F.silu, F.gelu, lambda x: F.gelu(x, approximate="tanh"), lambda x: x * torch.sigmoid(1.702 * x), F.relu)
    for act, fn in enumerate(acts):
        m.case("linear", f"act{act}", lambda x, w, b: fn(F.linear(x, w, b)),
               {"x": m.randn("l.x", 2, 5, 19), "w": m.randn("l.w", 13, 19, scale=0.3), "b": m.randn("l.b", 13)}, {"act": act})
    m.case("linear", "no_bias", F.linear, {"x": m.randn("n.x", 6, 67), "w": m.randn("n.w", 34, 67, scale=0.1)}, {"act": 0})
    m.case("linear", "one_row", F.linear, {"x": m.randn("o.x", 1, 130), "w": m.randn("o.w", 41, 130, scale=0.1), "b": m.randn("o.b", 41)}, {"act": 0})
    m.case("linear", "vector", F.linear, {"x": m.randn("v.x", 16), "w": m.randn("v.w", 9, 16), "b": m.randn("v.b", 9)}, {"act": 0})


def conv2d(x, w, b=None, *, a):
    x = F.pad(first(x), (a["pad_left"], a["pad_right"], a["pad_top"], a["pad_bottom"]))
    return last(F.conv2d(x, w.permute(0, 3, 1, 2), b, (a["stride_h"], a["stride_w"]), 0,
                         (a["dilation_h"], a["dilation_w"]), a["groups"]))


@family
def conv(m):
    def case2d(case, x, w, bias=True, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1):
        a = dict(stride_h=stride[0], stride_w=stride[1], pad_top=pads[0], pad_bottom=pads[1], pad_left=pads[2], pad_right=pads[3],
                 dilation_h=dilation[0], dilation_w=dilation[1], groups=groups)
        inputs = {"x": m.randn(f"{case}.x", *x), "w": m.randn(f"{case}.w", *w, scale=0.3)}
        if bias:
            inputs["b"] = m.randn(f"{case}.b", w[0])
        m.case("conv2d", case, lambda *t: conv2d(*t, a=a), inputs, a)

    same = (1, 1, 1, 1)
    case2d("3x3", (2, 7, 6, 4), (5, 3, 3, 4), pads=same)
    case2d("3x3_valid", (1, 6, 8, 3), (4, 3, 3, 3))
    case2d("3x3_wide", (1, 9, 11, 16), (24, 3, 3, 16), pads=same)
    case2d("1x1", (2, 5, 3, 9), (7, 1, 1, 9))
    case2d("1x1_no_bias", (1, 4, 4, 8), (16, 1, 1, 8), bias=False)
    case2d("stride2", (2, 8, 8, 4), (6, 3, 3, 4), stride=(2, 2), pads=same)
    case2d("stride2_odd", (1, 9, 7, 4), (6, 3, 3, 4), stride=(2, 2), pads=same)
    case2d("down_right", (1, 8, 6, 4), (4, 3, 3, 4), stride=(2, 2), pads=(0, 1, 0, 1))
    case2d("down_right_odd", (1, 7, 9, 4), (4, 3, 3, 4), stride=(2, 2), pads=(0, 1, 0, 1))
    case2d("patches", (1, 8, 12, 3), (10, 4, 4, 3), bias=False, stride=(4, 4))
    case2d("dilation", (1, 9, 10, 3), (4, 3, 3, 3), pads=(2, 2, 2, 2), dilation=(2, 2))
    case2d("dilation_mixed", (1, 9, 10, 3), (4, 3, 2, 3), stride=(1, 2), pads=(3, 0, 1, 2), dilation=(3, 2))
    case2d("groups", (2, 6, 5, 6), (4, 3, 3, 3), pads=same, groups=2)
    case2d("depthwise", (1, 6, 7, 5), (5, 3, 3, 1), pads=same, groups=5)
    case2d("depthwise_x2", (1, 5, 5, 4), (8, 3, 3, 1), pads=same, stride=(2, 1), groups=4)
    case2d("3x1", (2, 6, 4, 5), (5, 3, 1, 5), pads=(1, 1, 0, 0))
    case2d("1x5", (1, 3, 9, 4), (3, 1, 5, 4), pads=(0, 0, 2, 2))
    case2d("4x4_rgb", (1, 10, 10, 3), (8, 4, 4, 3), stride=(2, 2), pads=same)
    case2d("whole", (2, 3, 3, 6), (4, 3, 3, 6))

    for case, T, I, O, k, stride, pad, dilation, groups in (("k3", 13, 4, 6, 3, 1, 1, 1, 1), ("k7", 20, 5, 3, 7, 1, 3, 1, 1),
                                                            ("dilated", 25, 4, 4, 3, 1, 5, 5, 1), ("stride", 17, 3, 5, 4, 2, 1, 1, 1),
                                                            ("groups", 12, 6, 6, 3, 1, 1, 1, 3)):
        a = dict(stride=stride, pad=pad, dilation=dilation, groups=groups)
        m.case("conv1d", case, lambda x, w, b: last(F.conv1d(first(x), w.permute(0, 2, 1), b, stride, pad, dilation, groups)),
               {"x": m.randn(f"1d.{case}.x", 2, T, I), "w": m.randn(f"1d.{case}.w", O, k, I // groups, scale=0.3),
                "b": m.randn(f"1d.{case}.b", O)}, a)
    for case, T, I, O, k, stride, pad, out in (("hifigan_16_8", 9, 6, 3, 16, 8, 4, 0), ("hifigan_4_2", 11, 4, 2, 4, 2, 1, 0),
                                               ("out_pad", 7, 3, 5, 5, 3, 2, 1), ("plain", 8, 3, 4, 3, 1, 0, 0),
                                               ("gap", 5, 2, 3, 2, 4, 0, 2)):
        m.case("conv_transpose1d", case,
               lambda x, w, b: last(F.conv_transpose1d(first(x), w.permute(0, 2, 1), b, stride, pad, out)),
               {"x": m.randn(f"t.{case}.x", 2, T, I), "w": m.randn(f"t.{case}.w", I, k, O, scale=0.3), "b": m.randn(f"t.{case}.b", O)},
               dict(stride=stride, pad=pad, out_pad=out))

    def frames(x, w, b):
        y = F.conv3d(first(x), w.permute(0, 2, 1)[:, :, :, None, None], b, padding=(1, 0, 0))
        return last(y)

    m.case("conv_frames", "5", frames, {"x": m.randn("f.x", 2, 5, 3, 2, 6), "w": m.randn("f.w", 4, 3, 6, scale=0.3), "b": m.randn("f.b", 4)})
    m.case("conv_frames", "1", frames, {"x": m.randn("g.x", 1, 1, 2, 2, 3), "w": m.randn("g.w", 3, 3, 3, scale=0.3), "b": m.randn("g.b", 3)})


@family
def norm(m):
    def group(groups, eps, silu=False):
        def fn(x, w=None, b=None):
            y = last(F.group_norm(first(x), groups, w, b, eps))
            return F.silu(y) if silu else y
        return fn

    for case, shape, groups, eps, silu in (("image", (2, 5, 4, 12), 4, 1e-5, 0), ("tokens", (3, 7, 16), 8, 1e-6, 0),
                                           ("frames", (2, 3, 4, 2, 8), 2, 1e-5, 0), ("one_group", (2, 6, 10), 1, 1e-5, 0),
                                           ("instance", (2, 5, 6, 7), 7, 1e-5, 0), ("silu", (2, 3, 5, 64), 32, 1e-5, 1),
                                           ("offset", (1, 6, 6, 8), 4, 1e-6, 1)):
        C, far = shape[-1], case == "offset"
        m.case("group_norm", case, group(groups, eps, silu),
               {"x": m.randn(f"{case}.x", *shape, scale=2, shift=30 if far else 0.5), "w": m.randn(f"{case}.w", C, shift=1, scale=0.5),
                "b": m.randn(f"{case}.b", C)}, {"groups": groups, "eps": eps, "silu": silu})
    m.case("group_norm", "bare", group(3, 1e-5), {"x": m.randn("bare.x", 2, 4, 4, 9)}, {"groups": 3, "eps": 1e-5, "silu": 0})
    for case, shape, eps in (("rows", (2, 5, 24), 1e-5), ("odd", (7, 37), 1e-6), ("large_eps", (3, 8), 1e-2)):
        C = shape[-1]
        x, w, b = m.randn(f"l.{case}.x", *shape, scale=2, shift=1), m.randn(f"l.{case}.w", C, shift=1, scale=0.5), m.randn(f"l.{case}.b", C)
        m.case("layer_norm", case, lambda x, w, b: F.layer_norm(x, (C,), w, b, eps), {"x": x, "w": w, "b": b}, {"eps": eps})
        m.case("rms_norm", case, lambda x, w: x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w, {"x": x, "w": w}, {"eps": eps})
    bare = m.randn("lb.x", 3, 4, 10)
    m.case("layer_norm", "bare", lambda x: F.layer_norm(x, (10,), eps=1e-5), {"x": bare}, {"eps": 1e-5})
    m.case("rms_norm", "bare", lambda x: x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt(), {"x": bare}, {"eps": 1e-6})
    for case, x in (("rows", m.randn("s.x", 3, 5, 19, scale=3)), ("large", m.randn("s.big", 4, 40, scale=80)), ("one", m.randn("s.1", 6, 1))):
        m.case("softmax", case, lambda x: x.softmax(-1), {"x": x})
        m.case("log_softmax", case, lambda x: x.log_softmax(-1), {"x": x})
    masked = m.randn("s.m", 4, 9)
    masked[0, 3:] = masked[2, :5] = -math.inf
    m.case("softmax", "masked", lambda x: x.softmax(-1), {"x": masked})


def attend(q, k, v, bias=None, *, scale, causal):
    """q [B,Tq,N,D], k v [B,Tk,M,D]; a query that sees nothing gives zeros."""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    s = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    if bias is not None:
        s = s + bias
    if causal:
        Tq, Tk = s.shape[-2:]
        s = s.masked_fill(~torch.ones(Tq, Tk, dtype=torch.bool).tril(Tk - Tq), -math.inf)
    dead = (s == -math.inf).all(-1, keepdim=True)
    p = s.masked_fill(dead, 0).softmax(-1).masked_fill(dead, 0)
    return (p @ v).transpose(1, 2)


@family
def attention(m):
    def case(name, B, Tq, Tk, N, D, M=None, bias=None, scale=0, causal=0):
        M = M or N
        inputs = {"q": m.randn(f"{name}.q", B, Tq, N, D), "k": m.randn(f"{name}.k", B, Tk, M, D), "v": m.randn(f"{name}.v", B, Tk, M, D)}
        if bias is not None:
            inputs["bias"] = bias
        m.case("attention", name, lambda *t: attend(*t, scale=scale, causal=causal), inputs, {"scale": scale, "causal": causal}, no_grad=("bias",))

    case("self_40", 2, 9, 9, 2, 40)
    case("cross_64", 1, 6, 11, 2, 64)
    case("cross_80", 1, 4, 7, 2, 80)
    case("head_160", 1, 5, 5, 1, 160)
    case("small_5", 2, 3, 4, 3, 5)
    case("one_query", 2, 1, 13, 2, 16)
    case("one_key", 1, 4, 1, 2, 8)
    case("scale", 1, 5, 6, 2, 8, scale=0.5)
    case("long", 1, 70, 67, 1, 8)
    case("causal", 2, 7, 7, 2, 16, causal=1)
    case("causal_long", 1, 66, 66, 1, 8, causal=1)
    case("causal_cached", 1, 3, 8, 2, 16, causal=1)
    case("causal_first", 1, 5, 3, 1, 8, causal=1)
    case("grouped", 1, 6, 6, 4, 16, M=2)
    case("grouped_one_causal", 2, 4, 9, 6, 8, M=1, causal=1)
    case("bias", 2, 5, 7, 3, 8, bias=m.randn("bias.full", 2, 3, 5, 7))
    case("bias_heads", 2, 5, 7, 3, 8, bias=m.randn("bias.heads", 1, 3, 5, 7))
    padding = torch.zeros(2, 1, 1, 7)
    padding[0, ..., 5:] = padding[1, ..., 2:] = -math.inf
    case("padding", 2, 5, 7, 3, 8, bias=padding)
    soft = torch.zeros(2, 1, 1, 7)
    soft[0, ..., 5:] = soft[1, ..., 2:] = -10000.0
    case("padding_soft", 2, 5, 7, 3, 8, bias=soft)
    case("padding_causal", 2, 7, 7, 2, 8, bias=padding, causal=1)
    blind = torch.zeros(1, 1, 4, 6)
    blind[0, 0, 1] = -math.inf
    blind[0, 0, 3, 2:] = -math.inf
    case("blind_query", 1, 4, 6, 2, 8, bias=blind)
    case("grouped_bias", 1, 5, 5, 4, 8, M=2, bias=m.randn("bias.g", 1, 4, 5, 5))

    def rope(half, inverse):
        def fn(x, cs):
            R = cs.shape[1]
            c, s = cs[None, :, None, :, 0], cs[None, :, None, :, 1] * (-1 if inverse else 1)
            head, tail = x[..., :2 * R], x[..., 2 * R:]
            a, b = (head[..., :R], head[..., R:]) if half else (head[..., 0::2], head[..., 1::2])
            a, b = a * c - b * s, b * c + a * s
            y = torch.cat([a, b], -1) if half else torch.stack([a, b], -1).flatten(-2)
            return torch.cat([y, tail], -1)
        return fn

    for name, T, N, D, R, half, inverse in (("pairs", 6, 2, 8, 4, 0, 0), ("half", 6, 2, 8, 4, 1, 0), ("pairs_part", 5, 1, 10, 3, 0, 0),
                                            ("half_part", 5, 1, 10, 3, 1, 0), ("half_64", 9, 1, 64, 32, 1, 0), ("inverse", 6, 2, 8, 4, 0, 1)):
        angle = torch.arange(T)[:, None] * 10000.0 ** (-torch.arange(R) / R)
        m.case("rope", name, rope(half, inverse), {"x": m.randn(f"rope.{name}", 2, T, N, D), "cos_sin": torch.stack([angle.cos(), angle.sin()], -1)},
               {"half": half, "inverse": inverse}, no_grad=("cos_sin",))


@family
def index(m):
    m.case("embedding", "rows", F.embedding, {"ids": m.ids("e.i", 11, 2, 7), "w": m.randn("e.w", 11, 6)})
    m.case("embedding", "repeat", F.embedding, {"ids": torch.tensor([3, 3, 0, 3]), "w": m.randn("e2.w", 5, 4)})
    x = m.randn("x", 4, 5, 6)
    for dim, shape in ((0, (3, 5, 6)), (1, (4, 8, 6)), (-1, (4, 5, 2))):
        ids = m.ids(f"g{dim}", x.shape[dim], *shape)
        m.case("gather", f"dim{dim}", lambda x, i: x.gather(dim, i), {"x": x, "ids": ids}, {"dim": dim})
        m.case("scatter_add", f"dim{dim}", lambda x, i, s: x.scatter_add(dim, i, s), {"x": x, "ids": ids, "src": m.randn(f"s{dim}", *shape)}, {"dim": dim})
        rows = m.ids(f"r{dim}", x.shape[dim], 7)
        m.case("index_select", f"dim{dim}", lambda x, i: x.index_select(dim, i), {"x": x, "ids": rows}, {"dim": dim})
        more = list(x.shape)
        more[dim] = 7
        m.case("index_add", f"dim{dim}", lambda x, i, s: x.index_add(dim, i, s), {"x": x, "ids": rows, "src": m.randn(f"a{dim}", *more)}, {"dim": dim})


@family
def resize(m):
    x = m.randn("x", 2, 5, 7, 3)
    for case, h, w in (("x2", 10, 14), ("odd", 11, 9), ("down", 2, 3), ("x3_x1", 15, 7), ("plus_one", 9, 13)):
        def nearest(x):
            y = F.interpolate(first(x), (h, w), mode="nearest")
            rows, cols = torch.arange(h) * 5 // h, torch.arange(w) * 7 // w
            assert torch.equal(last(y), x[:, rows][:, :, cols])
            return last(y)
        m.case("resize_nearest", case, nearest, {"x": x}, {"height": h, "width": w})
        for corners in (0, 1):
            m.case("resize_bilinear", f"{case}_{corners}", lambda x: last(F.interpolate(first(x), (h, w), mode="bilinear", align_corners=bool(corners))),
                   {"x": x}, {"height": h, "width": w, "align_corners": corners})
    m.case("resize_bilinear", "to_one_1", lambda x: last(F.interpolate(first(x), (1, 1), mode="bilinear", align_corners=True)), {"x": x},
           {"height": 1, "width": 1, "align_corners": 1})
    image = m.randn("image", 2, 8, 7, 3)
    for kernel, stride, pad in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)):
        a = dict(kernel=kernel, stride=stride, pad=pad)
        m.case("avg_pool2d", f"{kernel}_{stride}_{pad}", lambda x: last(F.avg_pool2d(first(x), kernel, stride, pad)), {"x": image}, a)
        m.case("max_pool2d", f"{kernel}_{stride}_{pad}", lambda x: last(F.max_pool2d(first(x), kernel, stride, pad)), {"x": image}, a)


@family
def loss(m):
    logits = m.randn("x", 3, 5, 13, scale=3)
    ids = m.ids("i", 13, 3, 5)
    some = ids.clone()
    some[0, 1] = some[2, 4] = some[2, 3] = -100

    def entropy(ignore):
        return lambda x, i: F.cross_entropy(x.flatten(0, -2), i.flatten(), ignore_index=ignore)

    m.case("cross_entropy", "plain", entropy(-100), {"logits": logits, "ids": ids}, {"ignore": -100})
    m.case("cross_entropy", "ignore", entropy(-100), {"logits": logits, "ids": some}, {"ignore": -100})
    m.case("cross_entropy", "pad_zero", entropy(0), {"logits": logits, "ids": ids % 4}, {"ignore": 0})
    m.case("cross_entropy", "large", entropy(-100), {"logits": m.randn("big", 4, 6, scale=90), "ids": m.ids("bi", 6, 4)}, {"ignore": -100})
    m.case("mse", "plain", F.mse_loss, {"a": m.randn("a", 3, 4, 5), "b": m.randn("b", 3, 4, 5)})


@family
def stft(m):
    def spectrum(hop, center):
        def fn(x, window):
            y = torch.stft(x, len(window), hop, window=window, center=center, pad_mode="reflect", return_complex=True)
            return torch.view_as_real(y).transpose(1, 2)
        return fn

    for case, S, n, hop in (("16_4", 50, 16, 4), ("20_7", 61, 20, 7), ("64_16", 200, 64, 16), ("15_5", 40, 15, 5)):
        window = torch.hann_window(n, dtype=torch.float64).float()
        x = m.randn(f"{case}.x", 2, S)
        m.case("stft", case, spectrum(hop, False), {"x": x, "window": window}, {"hop": hop}, no_grad=("window",))
        m.case("stft_centered", case, spectrum(hop, True), {"x": x, "window": window}, {"hop": hop}, no_grad=("window",))
    m.case("stft", "flat", spectrum(8, False), {"x": m.randn("flat.x", 1, 32), "window": torch.ones(32)}, {"hop": 8}, no_grad=("window",))


@family
def train(m):
    """adamw_into: inputs p m v g before a step, outputs p m v after it; the next step's inputs are the last one's outputs."""
    for case, o in (("plain", dict(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01)),
                    ("strong", dict(lr=0.1, beta1=0.8, beta2=0.95, eps=1e-6, decay=0.1)),
                    ("no_decay", dict(lr=0.003, beta1=0.9, beta2=0.98, eps=1e-5, decay=0.0))):
        p = m.randn(f"{case}.p", 4, 5).double().requires_grad_()
        opt = torch.optim.AdamW([p], lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"], weight_decay=o["decay"])
        grad_scale = 0.25 if case == "strong" else 1.0
        before = [p.detach().clone(), torch.zeros_like(p), torch.zeros_like(p)]
        for step in (1, 2, 3):
            g = m.randn(f"{case}.g{step}", 4, 5)
            p.grad = g.double() * grad_scale
            opt.step()
            after = [p.detach().clone(), opt.state[p]["exp_avg"].clone(), opt.state[p]["exp_avg_sq"].clone()]
            m.case("adamw_into", f"{case}_{step}", lambda *t: tuple(after), dict(zip("pmvg", [*before, g])),
                   {**o, "step": step, "grad_scale": grad_scale}, no_grad="all")
            before = after
    y, x = m.randn("y", 3, 4), m.randn("x", 3, 4)
    m.case("lerp_into", "quarter", lambda y, x: y + 0.25 * (x - y), {"y": y, "x": x}, {"t": 0.25}, no_grad="all")
    m.case("copy_into", "row", lambda y, x: x.expand(3, 4).clone(), {"y": y, "x": m.randn("x2", 4)}, no_grad="all")


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or FAMILIES:
        maker = Maker(name)
        FAMILIES[name](maker)
        maker.save()
