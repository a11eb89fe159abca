"""Training steps in PyTorch: the small model's parts by diffusers and transformers, the language
model by hand. A maker returns the loss as a function, and the parameters."""
import contextlib
import math

import diffusers
import torch
import torch.nn as nn
import torch.nn.functional as F
import transformers


def mlp(n_in, hidden, n_out):
    return nn.Sequential(nn.Linear(n_in, hidden), nn.SiLU(), nn.Linear(hidden, n_out))


def unet(s):
    c, B, S, T = s["conditioner"], s["batch"], s["side"], s["tokens"]
    net = diffusers.UNet2DConditionModel.from_config(s["unet"])
    words_of = mlp(c["feature_dim"], c["context_hidden_dim"], c["context_tokens"] * c["context_dim"])
    map_of = mlp(c["feature_dim"], c["map_hidden_dim"], c["map_size"] ** 2 * c["map_channels"])
    layout_of = nn.Linear(c["feature_dim"], c["map_size"] ** 2 * c["layout_channels"])
    x, v = torch.randn(B, 2 * s["channels"], S, S), torch.randn(B, s["channels"], S, S)
    # Places, and how far off things stand.
    n_place = s["unet"]["in_channels"] - 2 * s["channels"] - c["map_channels"] - c["layout_channels"]
    place, feature = torch.randn(1, n_place, S, S), F.normalize(torch.randn(B, s["width"]))
    words, mask = torch.randn(B, T, c["context_dim"]), torch.ones(B, T + c["context_tokens"])
    t = torch.randint(0, 1000, (B,))

    def loss():
        f = feature * math.sqrt(s["width"])
        context = torch.cat([words_of(f).view(B, c["context_tokens"], -1), words], 1)
        grid = map_of(f).view(B, c["map_channels"], c["map_size"], c["map_size"])
        layout = layout_of(f).view(B, c["layout_channels"], c["map_size"], c["map_size"])
        grid = torch.cat([grid, layout.sigmoid()], 1)
        h = torch.cat([x, place.expand(B, n_place, S, S), F.interpolate(grid, size=(S, S))], 1)
        y = net(h, t, context, class_labels=f, encoder_attention_mask=mask).sample
        return F.mse_loss(y, v)
    made = (net, words_of, map_of, layout_of)
    return loss, [p for m in made for p in m.parameters()]


class Stem(nn.Module):
    """The image tower's way from pixels to tokens: unshuffled, then convolutions of stride 2."""

    def __init__(self, config, width):
        super().__init__()
        stem = config["stem"]
        channels = [*stem["channels"], width]
        self.patch = stem["patch"]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2 if i else 1, 1)
            for i, (a, b) in enumerate(zip(channels, channels[1:])))
        tokens = (config["image_size"] // config["patch_size"]) ** 2 + 1
        self.token = nn.Parameter(torch.randn(width) * width ** -0.5)
        self.positions = nn.Parameter(torch.randn(tokens, width) * 0.02)

    def forward(self, pixels, **_):
        x = F.pixel_unshuffle(pixels, self.patch)
        for i, conv in enumerate(self.convs):
            x = conv(F.silu(x) if i else x)
        token = self.token.expand(len(x), 1, -1)
        return torch.cat([token, x.flatten(2).transpose(1, 2)], 1) + self.positions


def towers(s):
    clip = transformers
    text = clip.CLIPTextModelWithProjection(clip.CLIPTextConfig(**s["text"]))
    config = clip.CLIPVisionConfig(**{k: v for k, v in s["image"].items() if k != "stem"})
    image = clip.CLIPVisionModelWithProjection(config)
    image.vision_model.embeddings = Stem(s["image"], config.hidden_size)
    B, log_scale = s["batch"], nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    pixels, rows = torch.randn(B, 3, 64, 64), torch.arange(B)
    ids = torch.randint(0, 760, (B, s["text"]["max_position_embeddings"]))

    def loss():
        a = F.normalize(image(pixels).image_embeds)
        b = F.normalize(text(ids).text_embeds)
        logits = a @ b.t() * log_scale.exp()
        return (F.cross_entropy(logits, rows) + F.cross_entropy(logits.t(), rows)) * 0.5
    return loss, [*image.parameters(), *text.parameters(), log_scale]


def vae(s):
    config = dict(s["vae"])
    p = config.pop("patch_size")
    config["in_channels"] = config["out_channels"] = 3 * p * p
    net = diffusers.AutoencoderKL.from_config(config)
    x = torch.randn(s["batch"], 3, 64, 64)
    noise = torch.randn(s["batch"], config["latent_channels"], 64 // p, 64 // p)

    def loss():
        z = net.encode(F.pixel_unshuffle(x, p)).latent_dist
        y = net.decode(z.mean + noise * (z.logvar * 0.5).exp()).sample
        d = F.pixel_shuffle(y, p) - x
        kl = (z.mean.square() + z.logvar.exp() - z.logvar - 1).mean() * 0.5
        return d.abs().mean() + d.square().mean() * 2 + kl * 3e-4
    return loss, list(net.parameters())


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return F.rms_norm(x, self.w.shape, self.w, 1e-6)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Block(nn.Module):
    def __init__(self, d, heads, mlp_width):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, RMSNorm(d), RMSNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gate, self.up = (nn.Linear(d, mlp_width, bias=False) for _ in range(2))
        self.down = nn.Linear(mlp_width, d, bias=False)

    def forward(self, x, cos, sin):
        B, T, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v,
                                           is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, d))
        z = self.norm2(x)
        return x + self.down(F.silu(self.gate(z)) * self.up(z))


def lm(s):
    d, T, V = s["d"], s["tokens"], s["vocabulary"]
    embed, head, norm = nn.Embedding(V, d), nn.Linear(d, V, bias=False), RMSNorm(d)
    blocks = nn.ModuleList(Block(d, s["heads"], s["mlp"]) for _ in range(s["layers"]))
    width = d // s["heads"]
    angle = torch.arange(T)[:, None] * 1e4 ** (-torch.arange(0, width, 2) / width)
    angle = torch.cat((angle, angle), -1)
    cos, sin = angle.cos(), angle.sin()
    ids = torch.randint(0, V, (s["batch"], T + 1))

    def loss():
        x = embed(ids[:, :-1])
        for b in blocks:
            x = b(x, cos, sin)
        return F.cross_entropy(head(norm(x)).flatten(0, 1), ids[:, 1:].flatten())
    return loss, [p for m in (embed, head, norm, blocks) for p in m.parameters()]


LOSSES = {"unet": unet, "towers": towers, "vae": vae, "lm": lm}


def trainer(s, dtype, compiled):
    """A step: forward, backward, clipping, AdamW. bf16 is autocast's."""
    loss, params = LOSSES[s["op"]](s)
    if compiled:
        loss = torch.compile(loss)
    optimizer = torch.optim.AdamW(params, 1e-4, fused=True)
    is_bf16 = dtype == torch.bfloat16
    half = (lambda: torch.autocast("cpu", dtype)) if is_bf16 else contextlib.nullcontext

    def step():
        with torch.enable_grad():
            with half():
                value = loss()
            value.backward()
            if s["op"] != "lm":
                nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    step.parameters = sum(p.numel() for p in params)
    return step
