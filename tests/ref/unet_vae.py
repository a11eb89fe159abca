"""Makes tests/model/vectors/FOLDER: tiny random models as diffusers and transformers save them, and what they compute.

    python tests/ref/unet_vae.py [folder ...]

Versions: torch 2.15.0, diffusers 0.42.1, transformers 5.23.0, safetensors 0.8.0. Every parameter is random, norms
and those that start at zero too. The models run in f64 on the weights as stored. README.md has the layout.
"""
import json
import logging
import os
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"
import diffusers
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

import store

OUT = pathlib.Path(__file__).resolve().parent.parent / "model" / "vectors"
MAKERS = {}
logging.disable(logging.WARNING)


def folder(f):
    MAKERS[f.__name__] = f
    return f


def randn(key, *shape, scale=1.0, shift=0.0):
    a = store.rng(key).standard_normal(shape) * scale + shift
    return torch.from_numpy(np.asarray(a, np.float32))


def perturb(model, name, dtype):
    """Random values everywhere, as large as keeps activations near one; rounded to dtype, then f64."""
    for key, p in model.named_parameters():
        if key.endswith("bias"):
            value = randn(f"{name}/{key}", *p.shape, scale=0.2)
        elif p.dim() < 2:
            value = randn(f"{name}/{key}", *p.shape, scale=0.25, shift=1)
        elif "embedding" in key and ("token" in key or "position" in key):
            value = randn(f"{name}/{key}", *p.shape, scale=0.5)
        else:
            value = randn(f"{name}/{key}", *p.shape, scale=p[0].numel() ** -0.5)
        p.data = value.to(dtype).double()
    return model.eval()


def write_io(name, tensors, file="io.safetensors"):
    for key, t in tensors.items():
        assert torch.isfinite(t.double()).all(), key
    store.save(OUT / name / file, {k: (t.float() if t.is_floating_point() else t).detach().contiguous().numpy() for k, t in tensors.items()})


def save(model, name, dtype=torch.float32, **how):
    """The folder as the library writes it, less what it says of itself."""
    where = OUT / name
    shutil.rmtree(where, ignore_errors=True)
    model.to(dtype).save_pretrained(where, **how)
    model.double()
    path = where / "config.json"
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def trace(model, modules):
    """Outputs of the named modules, filled in as the model runs."""
    out, hooks = {}, []
    for name in modules:
        def keep(_, __, y, name=name):
            y = y[0] if isinstance(y, tuple) else y
            out[f"trace.{name}"] = getattr(y, "sample", y).detach().clone()
        hooks.append(model.get_submodule(name).register_forward_hook(keep))
    return out, hooks


UNET = dict(sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32), norm_num_groups=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=12, attention_head_dim=2)
SMALL = dict(block_out_channels=(8, 16), norm_num_groups=4)
THREE = dict(block_out_channels=(8, 12, 16), norm_num_groups=4,
             down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
             up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))


def unet_io(model, name, file, size, tokens, times, width=12, labels=0, mask=None, modules=()):
    key, B = f"{name}/{file}", len(times)
    io = {"unet.sample": randn(f"{key}/sample", B, model.config.in_channels, *size),
          "unet.timestep": torch.tensor(times, dtype=torch.float32)}
    call = {}
    if width:
        io["unet.context"] = randn(f"{key}/context", B, tokens, width)
        call["encoder_hidden_states"] = io["unet.context"].double()
    else:
        call["encoder_hidden_states"] = None
    if labels == "timestep":
        io["unet.class_labels"] = torch.tensor([500.0, 3.0][:B])
    elif labels == "ids":
        io["unet.class_labels"] = torch.tensor([2, 5][:B])
    elif labels:
        io["unet.class_labels"] = randn(f"{key}/labels", B, labels)
    if labels:
        t = io["unet.class_labels"]
        call["class_labels"] = t.double() if t.is_floating_point() else t
    if mask is not None:
        io["unet.mask"] = torch.tensor(mask)
        call["encoder_attention_mask"] = io["unet.mask"].bool()
    kept, hooks = trace(model, modules)
    with torch.no_grad():
        io["unet.out"] = model(io["unet.sample"].double(), io["unet.timestep"].double(), **call).sample
    for h in hooks:
        h.remove()
    write_io(name, io, file)
    if modules:
        write_io(name, kept, "trace.safetensors")


def unet(name, dtype=torch.float32, runs=None, how=None, modules=(), cls=diffusers.UNet2DConditionModel, base=UNET, **config):
    model = perturb(cls(**{**base, **config}), name, dtype)
    save(model, name, dtype, **(how or {}))
    for i, (file, run) in enumerate((runs or {"io.safetensors": {}}).items()):
        unet_io(model, name, file, **{**dict(size=(8, 8), tokens=7, times=[801.0, 1.0]), **run}, modules=() if i else modules)


F16, PARTS = torch.float16, ("time_proj", "time_embedding", "conv_in", "down_blocks.0.resnets.0", "down_blocks.0.attentions.0", "down_blocks.0",
                             "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1", "conv_norm_out", "conv_out")


@folder
def unet_sd1(name):
    """Convolutional projections, one number of heads; a fractional time, a long context."""
    unet(name, **SMALL, modules=PARTS, runs={"io.safetensors": {}, "io_fraction.safetensors": dict(times=[749.25, 0.0], tokens=77)})


@folder
def unet_sd2(name):
    """Linear projections, heads by block, two layers, upcast attention, three levels; with a mask and without."""
    unet(name, F16, base={**UNET, **THREE}, layers_per_block=2, use_linear_projection=True, attention_head_dim=[1, 2, 4], upcast_attention=True,
         runs={"io.safetensors": {}, "io_mask.safetensors": dict(mask=[[1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0]])})


@folder
def unet_unclip(name):
    """Class labels projected and added to the time; sharded files."""
    unet(name, **SMALL, use_linear_projection=True, attention_head_dim=[1, 2], class_embed_type="projection",
         projection_class_embeddings_input_dim=20, how=dict(max_shard_size="50KB"), runs={"io.safetensors": dict(labels=20)})


@folder
def unet_ip2p(name):
    """Eight channels in."""
    unet(name, F16, **SMALL, in_channels=8, how=dict(variant="fp16"))


@folder
def unet_odd(name):
    """Sizes that three levels do not divide."""
    unet(name, F16, base={**UNET, **THREE}, runs={"io_10x12.safetensors": dict(size=(10, 12)), "io_9x7.safetensors": dict(size=(9, 7)),
                                                  "io_5x16.safetensors": dict(size=(5, 16), times=[33.0])})


@folder
def unet_mixed(name):
    """Layers, transformer depth, heads and context widths by block; attention only in the middle level."""
    unet(name, F16, base={**UNET, **THREE}, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
         up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), layers_per_block=[1, 2, 1], transformer_layers_per_block=[1, 2, 1],
         attention_head_dim=[2, 4, 8])


@folder
def unet_time(name):
    """Sines first, frequency shift, scale and shift by time, other epsilon and activation; class labels as rows of a table."""
    unet(name, F16, **SMALL, flip_sin_to_cos=False, freq_shift=1, resnet_time_scale_shift="scale_shift", norm_eps=1e-3, act_fn="gelu",
         num_class_embeds=6, runs={"io.safetensors": dict(labels="ids")})


@folder
def unet_class_timestep(name):
    """Class labels embedded as a time is."""
    unet(name, F16, **SMALL, class_embed_type="timestep", runs={"io.safetensors": dict(labels="timestep")})


@folder
def unet_class_concat(name):
    """Class labels concatenated after the time, no context: the second attention is self-attention (AudioLDM)."""
    unet(name, F16, **SMALL, class_embed_type="simple_projection", projection_class_embeddings_input_dim=10, class_embeddings_concat=True,
         cross_attention_dim=SMALL["block_out_channels"], runs={"io.safetensors": dict(labels=10, width=0)})


@folder
def unet_only_cross(name):
    """Nine channels in, only cross attention in blocks, none in the middle; one oblong sample."""
    unet(name, F16, **SMALL, in_channels=9, only_cross_attention=[True, False], mid_block_type="UNetMidBlock2D", center_input_sample=True,
         runs={"io.safetensors": dict(size=(6, 10), times=[500.0])})


@folder
def unet_only_cross_mid(name):
    """Only cross attention, the middle too; middle divided by a factor, kernels of one."""
    unet(name, F16, **SMALL, only_cross_attention=True, mid_block_scale_factor=2.0, conv_in_kernel=1, conv_out_kernel=5)


@folder
def unet_audioldm2(name):
    """Two contexts a block: one without a mask, one with."""
    model = perturb(diffusers.AudioLDM2UNet2DConditionModel(**{**UNET, **SMALL, "cross_attention_dim": ((None, 12, 10), (None, 12, 10))}), name, F16)
    save(model, name, F16)
    io = {"unet.sample": randn(f"{name}/sample", 2, 4, 10, 4), "unet.timestep": torch.tensor([801.0, 1.0]),
          "unet.context": randn(f"{name}/context", 2, 8, 12), "unet.context2": randn(f"{name}/context2", 2, 5, 10),
          "unet.mask2": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])}
    with torch.no_grad():
        io["unet.out"] = model(io["unet.sample"].double(), io["unet.timestep"].double(), encoder_hidden_states=io["unet.context"].double(),
                               encoder_hidden_states_1=io["unet.context2"].double(), encoder_attention_mask_1=io["unet.mask2"].double()).sample
    write_io(name, io)


@folder
def unet3d(name):
    """Text to video: frames [B,C,L,H,W]."""
    model = perturb(diffusers.UNet3DConditionModel(sample_size=8, block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1, cross_attention_dim=12,
                                                   attention_head_dim=4, down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
                                                   up_block_types=("UpBlock3D", "CrossAttnUpBlock3D")), name, F16)
    save(model, name, F16)
    for file, frames, size in (("io.safetensors", 3, (8, 6)), ("io_one.safetensors", 1, (4, 4))):
        io = {"unet.sample": randn(f"{name}/{file}/sample", 2, 4, frames, *size), "unet.timestep": torch.tensor([801.0, 1.0]),
              "unet.context": randn(f"{name}/{file}/context", 2, 7, 12)}
        with torch.no_grad():
            io["unet.out"] = model(io["unet.sample"].double(), io["unet.timestep"].double(), io["unet.context"].double()).sample
        write_io(name, io, file)


def vae(name, size, dtype=torch.float32, batch=2, **config):
    levels = len(config["block_out_channels"])
    base = dict(in_channels=3, out_channels=3, latent_channels=4, layers_per_block=1, norm_num_groups=4, sample_size=32,
                down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels)
    model = perturb(diffusers.AutoencoderKL(**{**base, **config}), name, dtype)
    save(model, name, dtype)
    x = randn(f"{name}/x", batch, model.config.in_channels, *size, scale=0.5)
    io = {"vae.x": x}
    with torch.no_grad():
        latent = model.encode(x.double()).latent_dist
        io["vae.mean"], io["vae.logvar"] = latent.mean, latent.logvar
        io["vae.z"] = randn(f"{name}/z", *latent.mean.shape)
        io["vae.dec"] = model.decode(io["vae.z"].double()).sample
    write_io(name, io)


def tiled(name):
    """The same weights over tiles of 16 px, which overlap by a quarter."""
    model = diffusers.AutoencoderKL.from_pretrained(OUT / name).double()
    model.enable_tiling()
    model.tile_sample_min_size, model.tile_latent_min_size = 16, 8
    io = {"vae.x": randn(f"{name}/tiled/x", 1, 3, 42, 36, scale=0.5)}
    with torch.no_grad():
        latent = model.encode(io["vae.x"].double()).latent_dist
        io["vae.mean"], io["vae.logvar"] = latent.mean, latent.logvar
        io["vae.z"] = randn(f"{name}/tiled/z", *latent.mean.shape)
        io["vae.dec"] = model.decode(io["vae.z"].double()).sample
    write_io(name, io, "io_tiled.safetensors")


@folder
def vae_sd(name):
    """Latent 4, quantiser convolutions, attention in the middle."""
    vae(name, (16, 12), block_out_channels=(8, 16))
    tiled(name)


@folder
def vae_odd(name):
    """Three levels, two layers, odd sizes."""
    vae(name, (21, 27), F16, batch=1, block_out_channels=(8, 16, 16), layers_per_block=2)


@folder
def vae_plain(name):
    """Latent 8, no quantiser convolutions, no attention."""
    vae(name, (12, 16), F16, block_out_channels=(8, 16), latent_channels=8, use_quant_conv=False, use_post_quant_conv=False,
        mid_block_add_attention=False)


@folder
def vae_one_level(name):
    """No downsampling, quantiser convolution on one side."""
    vae(name, (7, 5), F16, block_out_channels=(16,), use_post_quant_conv=False, scaling_factor=0.5)


@folder
def vae_audio(name):
    """One channel, latent 8."""
    vae(name, (20, 8), F16, block_out_channels=(8, 8, 16), in_channels=1, out_channels=1, latent_channels=8)


@folder
def vae_old_names(name):
    """Attention named query, key, value, proj_attn; a config without scaling_factor."""
    vae(name, (8, 8), F16, batch=1, block_out_channels=(8, 16))
    path = OUT / name / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = {}
    for key, t in load_file(path).items():
        for new_name, old_name in old.items():
            key = key.replace(f".{new_name}.", f".{old_name}.")
        weights[key] = t
    save_file(weights, path, {"format": "pt"})
    path = OUT / name / "config.json"
    config = json.loads(path.read_text())
    for key in ("scaling_factor", "force_upcast", "latents_mean", "latents_std", "shift_factor", "mid_block_add_attention", "use_quant_conv",
                "use_post_quant_conv", "_diffusers_version"):
        config.pop(key, None)
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def text_io(model, name, file, ids, mask=None):
    io = {"clip.ids": torch.tensor(ids)}
    if mask:
        io["clip.mask"] = torch.tensor(mask)
    with torch.no_grad():
        y = model(input_ids=io["clip.ids"], attention_mask=io.get("clip.mask"), output_hidden_states=True)
        inner = getattr(model, "text_model", model)
        io["clip.pooled"] = inner(input_ids=io["clip.ids"], attention_mask=io.get("clip.mask")).pooler_output
    io["clip.hidden"] = y.last_hidden_state
    if hasattr(y, "text_embeds"):
        io["clip.embeds"] = y.text_embeds
    for i, h in enumerate(y.hidden_states):
        io[f"clip.layers.{i}"] = h
    write_io(name, io, file)


TEXT = dict(vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, max_position_embeddings=20,
            bos_token_id=58, eos_token_id=2, pad_token_id=59, projection_dim=10, hidden_act="quick_gelu")
# Start 58, end 59: padded with the end as SD 1 does, and with 0 as SD 2 does.
PADDED_END = [[58, 7, 21, 3, 59, 59, 59, 59, 59, 59], [58, 40, 41, 42, 43, 44, 45, 46, 47, 59]]
PADDED_ZERO = [[58, 7, 21, 3, 59, 0, 0, 0, 0, 0], [58, 59, 0, 0, 0, 0, 0, 0, 0, 0]]


def text(name, cls, dtype, **config):
    model = perturb(cls(transformers.CLIPTextConfig(**{**TEXT, **config}, attn_implementation="eager")), name, dtype)
    save(model, name, dtype)
    return model


@folder
def clip_text(name):
    """eos_token_id 2: pooled at the largest id; quick GELU."""
    model = text(name, transformers.CLIPTextModel, torch.float32)
    text_io(model, name, "io.safetensors", PADDED_END)
    text_io(model, name, "io_zero.safetensors", PADDED_ZERO)
    text_io(model, name, "io_mask.safetensors", PADDED_ZERO, [[1] * 5 + [0] * 5, [1] * 2 + [0] * 8])


@folder
def clip_text_projection(name):
    """With a projection, erf GELU, pooled at the first end token, which is not the largest id."""
    model = text(name, transformers.CLIPTextModelWithProjection, F16, hidden_act="gelu", eos_token_id=49, pad_token_id=1, layer_norm_eps=1e-4)
    ids = [[58, 7, 59, 3, 49, 1, 1, 1], [58, 49, 59, 22, 49, 3, 3, 1]]
    text_io(model, name, "io.safetensors", ids)


@folder
def clip_text_old(name):
    """As older libraries wrote it: the text_model prefix, position ids, torch_dtype."""
    model = text(name, transformers.CLIPTextModel, F16, num_hidden_layers=2)
    text_io(model, name, "io.safetensors", PADDED_END)
    path = OUT / name / "model.safetensors"
    weights = {(k if k.startswith("text_model.") else f"text_model.{k}"): t for k, t in load_file(path).items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(20)[None]
    save_file(weights, path, {"format": "pt"})
    path = OUT / name / "config.json"
    config = json.loads(path.read_text())
    config["torch_dtype"] = config.pop("dtype", "float16")
    config["transformers_version"] = "4.25.0.dev0"
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def vision(name, dtype, size, **config):
    base = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=size, patch_size=4, projection_dim=10)
    model = perturb(transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**base, **config, attn_implementation="eager")), name, dtype)
    save(model, name, dtype)
    io = {"clip.pixels": randn(f"{name}/pixels", 2, 3, size, size)}
    with torch.no_grad():
        y = model(pixel_values=io["clip.pixels"].double(), output_hidden_states=True)
        io["clip.embeds"], io["clip.hidden"] = y.image_embeds, y.last_hidden_state
        io["clip.pooled"] = model.vision_model(pixel_values=io["clip.pixels"].double()).pooler_output
        for i, h in enumerate(y.hidden_states):
            io[f"clip.layers.{i}"] = h
    write_io(name, io)


@folder
def clip_vision(name):
    """Quick GELU."""
    vision(name, torch.float32, 12)


@folder
def clip_vision_gelu(name):
    """erf GELU, an image the patches do not divide."""
    vision(name, F16, 14, hidden_act="gelu")


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name](name)
        where = OUT / name
        sizes = {p.name: p.stat().st_size for p in sorted(where.iterdir())}
        print(name, sum(sizes.values()), sizes)
