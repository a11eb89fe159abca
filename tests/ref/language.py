"""Makes tests/model/vectors/llama*, gpt2*: tiny random language models as transformers saves them, and what they compute.

    python tests/ref/language.py [folder ...]

Versions: torch 2.15.0, transformers 5.23.0, safetensors 0.8.0. Every parameter is random. The models run in f64 on
the weights as stored; rows of masked tokens are stored as zeros. README.md has the layout.
"""
import json
import sys

sys.dont_write_bytecode = True
import torch
import transformers
from safetensors.torch import load_file, save_file

import unet_vae as base

MAKERS = {}
F16 = torch.float16


def folder(f):
    MAKERS[f.__name__] = f
    return f


def run(model, mask, **inputs):
    """logits, hidden and layers as the model gives them, rows of masked tokens zero."""
    with torch.no_grad():
        y = model(**inputs, attention_mask=mask, output_hidden_states=True)
    seen = torch.ones(y.logits.shape[:2]) if mask is None else mask
    out = {"lm.logits": y.logits, "lm.hidden": y.hidden_states[-1]}
    out.update({f"lm.layers.{i}": h for i, h in enumerate(y.hidden_states)})
    return {k: torch.where(seen[..., None] > 0, t, 0.0) for k, t in out.items()}


def continue_greedily(model, ids, n, mask=None):
    """The n likeliest ids after ids, by transformers' own generate with its cache."""
    with torch.no_grad():
        y = model.generate(ids, attention_mask=torch.ones_like(ids) if mask is None else mask, max_new_tokens=n,
                           do_sample=False, pad_token_id=0, eos_token_id=None)
    return y[:, ids.shape[1]:]


def language(name, model, dtype, width, vocabulary):
    base.perturb(model, name, dtype)
    base.save(model, name, dtype)
    (base.OUT / name / "generation_config.json").unlink(missing_ok=True)
    if hasattr(model.model if hasattr(model, "model") else model, "rotary_emb"):
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config)     # frequencies that saving has rounded
    ids = base.store.rng(f"{name}/ids").integers(0, vocabulary, (2, 9))
    ids = torch.from_numpy(ids)
    padded = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1, 1]])
    base.write_io(name, {"lm.ids": ids, **run(model, None, input_ids=ids),
                         "lm.next": continue_greedily(model, ids, 6)})
    # Right aligned, as generation wants it: padded tokens count as positions here, and in generate they do not.
    base.write_io(name, {"lm.ids": ids, "lm.mask": padded, **run(model, padded, input_ids=ids)}, "io_padded.safetensors")
    embeds = base.randn(f"{name}/embeds", 1, 5, width)
    base.write_io(name, {"lm.embeds": embeds, **run(model, None, inputs_embeds=embeds.double())}, "io_embeds.safetensors")
    return model


LLAMA = dict(vocab_size=44, hidden_size=16, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
             rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, attn_implementation="sdpa")


@folder
def gpt2(name):
    """GPT-2: stored as GPT2LMHeadModel."""
    config = transformers.GPT2Config(vocab_size=44, n_embd=16, n_layer=2, n_head=2, n_positions=24, bos_token_id=1, eos_token_id=2,
                                     attn_implementation="eager")
    language(name, transformers.GPT2LMHeadModel(config), F16, 16, 44)


def llama(name, dtype=torch.float32, **config):
    config = transformers.LlamaConfig(**{**LLAMA, **config})
    return language(name, transformers.LlamaForCausalLM(config), dtype, config.hidden_size, config.vocab_size)


@folder
def llama_grouped(name):
    """Two heads of keys for four of queries, an untied head, rope_parameters and dtype in the config."""
    llama(name, num_key_value_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 500.0})


@folder
def llama_tied(name):
    """The embedding is the head; heads wider than hidden_size / heads; biases."""
    llama(name, F16, tie_word_embeddings=True, head_dim=6, attention_bias=True, mlp_bias=True)


@folder
def llama_scaled(name):
    """Llama 3's scaled frequencies: of three in a head one is kept, one scaled, one between."""
    llama(name, F16, head_dim=6, num_key_value_heads=1, tie_word_embeddings=True,
          rope_parameters={"rope_type": "llama3", "rope_theta": 40.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 32})


@folder
def llama_old(name):
    """As older libraries wrote it: rope_theta, torch_dtype, no num_key_value_heads, frequencies in the file; bfloat16."""
    llama(name, torch.bfloat16)
    path = base.OUT / name / "model.safetensors"
    weights = load_file(path)
    for i in range(2):
        weights[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = 1 / 10000 ** (torch.arange(0, 4, 2) / 4)
    save_file(weights, path, {"format": "pt"})
    path = base.OUT / name / "config.json"
    config = json.loads(path.read_text())
    config["torch_dtype"] = config.pop("dtype", "bfloat16")
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = None
    for key in ("num_key_value_heads", "head_dim", "attention_bias", "mlp_bias"):
        config.pop(key)
    config["transformers_version"] = "4.30.0"
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name](name)
        where = base.OUT / name
        print(name, {p.name: p.stat().st_size for p in sorted(where.iterdir())})
