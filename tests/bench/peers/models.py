"""The public models by diffusers and transformers, with random weights."""
import diffusers
import torch
import transformers


def last(model, dtype):
    return model.eval().to(dtype).to(memory_format=torch.channels_last)


def unet(s, dtype):
    m, S = last(diffusers.UNet2DConditionModel.from_config(s["config"]), dtype), s["side"]
    x, c = torch.randn(2, 4, S, S).to(dtype), torch.randn(2, 77, 1024).to(dtype)
    y = torch.randn(2, 2048).to(dtype)
    return lambda: m(x, 500, c, class_labels=y)


def vae(s, dtype):
    m = last(diffusers.AutoencoderKL.from_config(s["config"]), dtype)
    z = torch.randn(1, 4, s["side"], s["side"]).to(dtype)
    return lambda: m.decode(z)


def llama(s, dtype):
    m = transformers.LlamaForCausalLM(transformers.LlamaConfig(**s["config"])).eval().to(dtype)
    ids = torch.randint(0, s["config"]["vocab_size"], (1, s["tokens"]))
    if not s["decode"]:
        return lambda: m(ids, use_cache=True, logits_to_keep=1)
    cache = m(ids, use_cache=True, logits_to_keep=1).past_key_values

    def step():
        m(ids[:, :1], past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.crop(-1)
    return step


MAKERS = {"sd_unet": unet, "sd_vae": vae, "llama": llama}
