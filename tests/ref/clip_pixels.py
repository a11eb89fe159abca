"""Pictures as CLIP's image processor makes them: tests/model/vectors/clip_pixels.

    python tests/ref/clip_pixels.py

io.safetensors holds pictures of bytes, and what transformers makes of each by the
preprocessor_config.json beside it.
"""
import json
import os

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import CLIPImageProcessor

OUT = "tests/model/vectors/clip_pixels"
CONFIG = dict(size={"shortest_edge": 12}, crop_size={"height": 12, "width": 12}, resample=3,
              do_resize=True, do_center_crop=True, do_normalize=True, do_rescale=True,
              image_mean=[0.48145466, 0.4578275, 0.40821073],
              image_std=[0.26862954, 0.26130258, 0.27577711])
SIZES = {"wide": (20, 31), "tall": (33, 17), "small": (8, 10)}          # height, width


def main():
    os.makedirs(OUT, exist_ok=True)
    with open(f"{OUT}/preprocessor_config.json", "w") as f:
        json.dump(CONFIG, f, indent=1)
        f.write("\n")
    rng, io = np.random.default_rng(3), {}
    processor = CLIPImageProcessor(**CONFIG)
    for name, (h, w) in SIZES.items():
        picture = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        made = processor(images=picture, return_tensors="pt").pixel_values[0]
        io[f"{name}.picture"] = torch.from_numpy(picture)
        io[f"{name}.pixels"] = made.permute(1, 2, 0).contiguous()
    save_file(io, f"{OUT}/io.safetensors")


main()
