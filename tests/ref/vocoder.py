"""Makes tests/model/vectors/hifigan*: tiny random vocoders as transformers saves them, and what they compute.

    python tests/ref/vocoder.py [folder ...]

Versions: torch 2.15.0, transformers 5.23.0, safetensors 0.8.0. Every parameter is random, mean and scale too. The models
run in f64 on the weights as stored. README.md has the layout.
"""
import sys

import torch
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

import unet_vae
from unet_vae import folder, perturb, randn, save, write_io

CONFIG = dict(model_in_dim=6, upsample_initial_channel=16, upsample_rates=[4, 3], upsample_kernel_sizes=[8, 3], resblock_kernel_sizes=[3, 5],
              resblock_dilation_sizes=[[1, 3, 5], [1, 2]], normalize_before=False)


def vocoder(name, normed=None, **config):
    model = SpeechT5HifiGan(SpeechT5HifiGanConfig(**{**CONFIG, **config}))
    perturb(model, name, torch.float32)
    model.mean.copy_(randn(f"{name}/mean", *model.mean.shape).double())
    model.scale.copy_(randn(f"{name}/scale", *model.scale.shape, scale=0.2, shift=1).double())
    mel = randn(f"{name}/mel", 2, 9, model.config.model_in_dim)
    if normed:
        model.float()
        normed(model)
        for key, p in model.named_parameters():
            if key.endswith(("_g", "original0")):
                p.data *= randn(f"{name}/{key}", *p.shape, scale=0.1, shift=1)
    save(model, name)
    with torch.no_grad():
        write_io(name, {"vocoder.mel": mel, "vocoder.audio": model.double()(mel.double())})


def old_norm(model):
    """Weight norm under the names of the first releases: weight_g and weight_v."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv1d, torch.nn.ConvTranspose1d)):
            torch.nn.utils.weight_norm(module)


@folder
def hifigan(name):
    """As in AudioLDM2's folder: weight norm removed, mean and scale there and unused."""
    vocoder(name)


@folder
def hifigan_normalized(name):
    """The input normalised, weight norm under the names of today, another slope, one more sample a stage."""
    vocoder(name, SpeechT5HifiGan.apply_weight_norm, normalize_before=True, leaky_relu_slope=0.2, upsample_kernel_sizes=[7, 4])


@folder
def hifigan_old_norm(name):
    vocoder(name, old_norm)


if __name__ == "__main__":
    for name in sys.argv[1:] or [n for n in unet_vae.MAKERS if n.startswith("hifigan")]:
        unet_vae.MAKERS[name](name)
