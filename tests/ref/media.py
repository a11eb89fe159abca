"""Makes tests/media/vectors/{image,audio}.safetensors: resizing, filter banks, spectrograms, resampling.

    python tests/ref/media.py

Versions: pillow 13.0.0, transformers 5.23.0, torch 2.15.0, torchaudio 2.11.0, numpy 2.4.6. Audio is computed in f64
from f32 samples and stored as f32, but for kaldi_fbank and clap_mel, which the references compute in f32 and f64
themselves. Files and rows are as tests/op/vectors; README.md lists the ops.
"""
import json
import pathlib
import sys
import warnings

sys.dont_write_bytecode = True
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from transformers.audio_utils import mel_filter_bank

sys.path.append(str(pathlib.Path(sys.prefix) / "audio"))   # where venv.sh puts torchaudio
torch.version.cuda = None   # torchaudio asks for the same CUDA as torch; neither is used
import torchaudio
import torchaudio.compliance.kaldi

import store

OUT = pathlib.Path(__file__).resolve().parent.parent / "media" / "vectors"
FILTERS = {"nearest": Image.NEAREST, "box": Image.BOX, "bilinear": Image.BILINEAR, "hamming": Image.HAMMING, "bicubic": Image.BICUBIC,
           "lanczos": Image.LANCZOS}


class Maker:
    def __init__(self, name):
        self.name, self.tensors, self.cases = name, {}, []

    def case(self, op, case, inputs, attrs, output):
        row = {"op": op, "case": case, "inputs": [], "attrs": attrs, "outputs": [f"{op}.{case}.out"], "dy": None, "grads": [None] * len(inputs)}
        for name, value in inputs.items():
            shared = next((k for k, v in self.tensors.items() if v is value), f"{op}.{case}.{name}")
            self.tensors[shared] = value
            row["inputs"].append(shared)
        output = np.asarray(output)
        assert np.isfinite(output).all()
        self.tensors[row["outputs"][0]] = output
        self.cases.append(row)

    def save(self):
        path = OUT / f"{self.name}.safetensors"
        store.save(path, self.tensors, {"cases": json.dumps(self.cases)})
        print(f"{path.name}: {len(self.cases)} cases, {path.stat().st_size} bytes")


def picture(height, width, channels):
    """Waves, an edge and noise, u8 [H,W,C]; the last of four channels covers 0 to 255."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = [127 + 70 * np.sin(x * (0.5 + c) / 2 + y * 0.3) + 50 * np.sign(x - y * 1.3 - c) for c in range(channels)]
    a = np.stack(planes, -1) + store.rng(f"picture/{height}/{width}/{channels}").normal(0, 12, (height, width, channels))
    if channels == 4:
        a[..., 3] = 255 * (x + y) / (height + width - 2)
    return np.clip(np.round(a), 0, 255).astype(np.uint8)


def pillow(a, height, width, method):
    image = Image.fromarray(a[..., 0] if a.shape[-1] == 1 else a)
    return np.asarray(image.resize((width, height), FILTERS[method])).reshape(height, width, a.shape[-1])


def images(m):
    rgb, big = picture(17, 23, 3), picture(48, 37, 3)
    for method in FILTERS:
        for case, a, h, w in (("down", rgb, 8, 11), ("up", rgb, 31, 40), ("mixed", rgb, 34, 7), ("same_height", rgb, 17, 9), ("far_down", big, 5, 4)):
            m.case("image_resize", f"{case}_{method}", {"image": a}, {"height": h, "width": w, "filter": method}, pillow(a, h, w, method))
    grey, rgba = picture(13, 11, 1), picture(9, 12, 4)
    for method in ("bilinear", "bicubic", "lanczos"):
        m.case("image_resize", f"grey_{method}", {"image": grey}, {"height": 7, "width": 19, "filter": method}, pillow(grey, 7, 19, method))
        m.case("image_resize", f"rgba_{method}", {"image": rgba}, {"height": 5, "width": 15, "filter": method}, pillow(rgba, 5, 15, method))
    plain = store.rng("plain").standard_normal((19, 14, 1)).astype(np.float32)
    for method in ("box", "bilinear", "bicubic", "lanczos"):
        for h, w in ((8, 9), (30, 21)):
            m.case("image_resize", f"f32_{h}x{w}_{method}", {"image": plain}, {"height": h, "width": w, "filter": method}, pillow(plain, h, w, method))


def hz_to_mel(f, scale):
    f = np.asarray(f, float)
    if scale == "htk":
        return 2595 * np.log10(1 + f / 700)
    return np.where(f < 1000, 3 * f / 200, 15 + np.log(np.maximum(f, 1e-9) / 1000) * 27 / np.log(6.4))


def mel_to_hz(m, scale):
    if scale == "htk":
        return 700 * (10 ** (m / 2595) - 1)
    return np.where(m < 15, 200 * m / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))


def mel_filters(rate, n_fft, mels, low, high, scale, norm):
    """[mels, n_fft/2+1] triangles between equal steps in mel; norm "slaney" divides by half the width in Hz."""
    freq = np.linspace(0, rate / 2, n_fft // 2 + 1)
    edge = mel_to_hz(np.linspace(hz_to_mel(low, scale), hz_to_mel(high, scale), mels + 2), scale)
    up = (freq - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
    down = (edge[2:, None] - freq) / (edge[2:] - edge[1:-1])[:, None]
    w = np.maximum(0, np.minimum(up, down))
    if norm == "slaney":
        w *= (2 / (edge[2:] - edge[:-2]))[:, None]
    kind = None if norm == "none" else norm
    others = (torchaudio.functional.melscale_fbanks(n_fft // 2 + 1, low, high, mels, rate, kind, scale).numpy().T,
              mel_filter_bank(n_fft // 2 + 1, mels, low, high, rate, kind, scale).T)
    for other in others:
        assert np.abs(w - other).max() < 1e-4 * w.max(), (rate, n_fft, mels, scale, np.abs(w - other).max() / w.max())
    return w


def log_mel(x, rate, n_fft, hop, mels, low, high, pad, eps):
    """[B,S] -> [B,T,mels]: reflect padding, periodic Hann, magnitude, Slaney filters, log of at least 1e-5."""
    x = F.pad(torch.from_numpy(x).double(), (pad, pad), mode="reflect")
    s = torch.stft(x, n_fft, hop, window=torch.hann_window(n_fft, dtype=torch.float64), center=False, return_complex=True)
    magnitude = (s.real ** 2 + s.imag ** 2 + eps).sqrt()
    w = torch.from_numpy(mel_filters(rate, n_fft, mels, low, high, "slaney", "slaney"))
    return (w @ magnitude).clamp(min=1e-5).log().mT.numpy()


def sound(name, rate, samples):
    """A rising tone, a second one, noise and an offset."""
    t = np.arange(samples) / rate
    tone = 0.4 * np.sin(2 * np.pi * (200 + 0.25 * rate * t) * t) + 0.2 * np.sin(2 * np.pi * 0.13 * rate * t + 1)
    return (tone + store.rng(f"sound/{name}").normal(0, 0.05, samples) + 0.02).astype(np.float32)


def audio(m):
    for rate, n_fft, mels, low, high in ((16000, 128, 16, 0, 8000), (48000, 256, 20, 50, 14000), (22050, 200, 12, 20, 7600)):
        for scale in ("htk", "slaney"):
            for norm in ("none", "slaney"):
                a = dict(rate=rate, n_fft=n_fft, mels=mels, low=low, high=high, scale=scale, norm=norm)
                m.case("mel_filters", f"{rate}_{scale}_{norm}", {}, a, mel_filters(**a))

    x = sound("mel", 16000, 4800)[None]
    for case, pad, eps in (("audioldm_432", 432, 1e-9), ("audioldm_512", 512, 0.0)):
        a = dict(rate=16000, n_fft=1024, hop=160, mels=64, low=0, high=8000, pad=pad, eps=eps)
        m.case("log_mel", case, {"x": x}, a, log_mel(x, **a))
    quiet = np.stack([np.zeros(2000, np.float32), np.eye(1, 2000, 700, dtype=np.float32)[0]])
    a = dict(rate=16000, n_fft=1024, hop=160, mels=64, low=0, high=8000, pad=432, eps=1e-9)
    m.case("log_mel", "silence_impulse", {"x": quiet}, a, log_mel(quiet, **a))

    constant = np.full((1, 2000), 0.25, np.float32)
    for case, wave in (("sound", x), ("constant", constant), ("impulse", quiet[1:])):
        wave = np.ascontiguousarray(wave)
        y = torchaudio.compliance.kaldi.fbank(torch.from_numpy(wave), htk_compat=True, sample_frequency=16000, use_energy=False, window_type="hanning",
                                              num_mel_bins=128, dither=0.0, frame_length=25, frame_shift=10)
        m.case("kaldi_fbank", case, {"x": wave}, {"rate": 16000, "mels": 128}, y[None].numpy())

    wave = sound("resample", 44100, 700)[None]
    for before, after in ((44100, 16000), (48000, 16000), (16000, 48000), (16000, 44100), (22050, 16000), (16000, 16000), (8000, 11025)):
        y = torchaudio.functional.resample(torch.from_numpy(wave).double(), before, after)
        m.case("resample", f"{before}_{after}", {"x": wave}, {"from": before, "to": after}, y.numpy())

    wave = sound("clap", 8000, 3000)[None]
    for truncation in ("fusion", "rand_trunc"):
        for padding in ("repeatpad", "repeat", "pad"):
            e = transformers.ClapFeatureExtractor(feature_size=32, sampling_rate=8000, hop_length=80, max_length_s=1, fft_window_size=256, frequency_min=50,
                                                  frequency_max=4000, truncation=truncation, padding=padding)
            y = e(wave[0], sampling_rate=8000, return_tensors="np")["input_features"][0, :1]
            m.case("clap_mel", f"{truncation}_{padding}", {"x": wave},
                   dict(rate=8000, n_fft=256, hop=80, mels=32, low=50, high=4000, seconds=1, truncation=truncation, padding=padding), y)

    x = sound("griffin", 8000, 2048)[None]
    window = torch.hann_window(256)
    power = torch.stft(torch.from_numpy(x), 256, 64, window=window, return_complex=True)
    m.case("istft", "centred", {"x": np.stack([power.real, power.imag], -1).transpose(0, 2, 1, 3)}, {"n_fft": 256, "hop": 64},
           torch.istft(power.to(torch.complex128), 256, 64, window=window.double()).numpy())
    magnitude = power.abs()
    for iters, momentum in ((1, 0.0), (4, 0.0), (4, 0.99)):
        y = torchaudio.functional.griffinlim(magnitude.double(), window.double(), 256, 64, 256, 1.0, iters, momentum, None, False)
        m.case("griffin_lim", f"{iters}_{momentum}", {"magnitude": np.ascontiguousarray(magnitude.numpy().transpose(0, 2, 1))},
               {"n_fft": 256, "hop": 64, "iters": iters, "momentum": momentum}, y.numpy())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, make in (("image", images), ("audio", audio)):
        maker = Maker(name)
        make(maker)
        maker.save()
