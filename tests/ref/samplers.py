"""Makes tests/sample/vectors: what diffusers' schedulers do, step by step, with a model in closed form.

    python tests/ref/samplers.py

Versions: torch 2.15.0, diffusers 0.42.1, scipy 1.17.1. The model is

    model(z, t) = 0.3 sin(1.7 z + 0.001 t) + 0.1 z

computed in f64 and rounded to f32; latents are 16 values of f32, as the reference computes. The k-th noise a
scheduler draws is row k of `noise`. README.md has the file format.
"""
import inspect
import json
import logging
import pathlib
import sys
import warnings

sys.dont_write_bytecode = True
import diffusers
import numpy as np
import torch

import store

OUT = pathlib.Path(__file__).resolve().parent.parent / "sample" / "vectors"
SD = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
COSINE = dict(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
LINEAR = dict(num_train_timesteps=1000, beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
AUDIO = dict(num_train_timesteps=1000, beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear")

CLASSES = {"ddim": "DDIM", "ddpm": "DDPM", "pndm": "PNDM", "lms": "LMSDiscrete", "euler": "EulerDiscrete", "euler_a": "EulerAncestralDiscrete",
           "heun": "HeunDiscrete", "dpm2": "KDPM2Discrete", "dpm2_a": "KDPM2AncestralDiscrete", "dpm_multi": "DPMSolverMultistep",
           "dpm_single": "DPMSolverSinglestep", "unipc": "UniPCMultistep", "deis": "DEISMultistep", "lcm": "LCM", "tcd": "TCD",
           "ipndm": "IPNDM", "flow_euler": "FlowMatchEulerDiscrete", "flow_heun": "FlowMatchHeunDiscrete", "unclip": "UnCLIP"}
# What a Stable Diffusion folder says beside the betas.
USUAL = {"ddim": dict(clip_sample=False, set_alpha_to_one=False), "ddpm": dict(clip_sample=False),
         "pndm": dict(skip_prk_steps=True, set_alpha_to_one=False)}
FULL = [name for name in CLASSES if name not in ("ipndm", "flow_euler", "flow_heun", "unclip")]


def model(z, t):
    z = z.astype(np.float64)
    return (0.3 * np.sin(1.7 * z + 0.001 * float(t)) + 0.1 * z).astype(np.float32)


class Noise:
    """Hands out the rows of the list in place of the library's generator."""

    def __init__(self, rows):
        self.rows, self.used = rows, 0

    def __call__(self, shape, **_):
        self.used += 1
        return torch.from_numpy(self.rows[self.used - 1]).reshape(tuple(shape)).clone()


def listed(t):
    return None if t is None else np.asarray(t, np.float32)


class Maker:
    def __init__(self):
        draw = store.rng("samplers")
        self.latent = draw.standard_normal(16).astype(np.float32)
        self.image = (0.8 * draw.standard_normal(16)).astype(np.float32)
        self.noise = draw.standard_normal((48, 16)).astype(np.float32)
        self.tensors = {"latent": self.latent, "image": self.image, "noise": self.noise}
        self.cases, self.rejected, self.names = [], [], set()

    def run(self, scheduler, steps, call, begin):
        """All states of one run; begin is None or the index of the time at which noised `image` comes in."""
        noise = Noise(self.noise)
        sys.modules[type(scheduler).__module__].randn_tensor = noise
        scheduler.set_timesteps(steps)
        times, shape = scheduler.timesteps, (1, 4, 2, 2)
        sigmas = listed(getattr(scheduler, "sigmas", None))
        latent = torch.from_numpy(self.latent).reshape(shape)
        if begin is None:
            x = latent * scheduler.init_noise_sigma if hasattr(scheduler, "init_noise_sigma") else latent
        else:
            times = times[begin:]
            if hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(begin)
            image = torch.from_numpy(self.image).reshape(shape)
            x = scheduler.scale_noise(image, times[:1], latent) if hasattr(scheduler, "scale_noise") else scheduler.add_noise(image, latent, times[:1])
        takes = inspect.signature(scheduler.step).parameters
        states, draws = [x.numpy().reshape(16)], []
        for t in times:
            before = noise.used
            z = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            out = torch.from_numpy(model(z.numpy(), t))
            x = scheduler.step(out, t, x, **{k: v for k, v in call.items() if k in takes}).prev_sample
            states.append(x.numpy().reshape(16))
            draws.append(noise.used - before)
        assert x.dtype == torch.float32
        return dict(states=np.stack(states), draws=draws, times=listed(times), sigmas=sigmas,
                    init=float(getattr(scheduler, "init_noise_sigma", 1.0)))

    def case(self, kind, label, config=None, steps=5, call=None, begin=None, whole=True, betas=SD):
        """whole: the config file has every key, else only those given here."""
        name = f"{kind}/{label}"
        assert name not in self.names, name
        self.names.add(name)
        cls = getattr(diffusers, CLASSES[kind] + "Scheduler")
        known = inspect.signature(cls.__init__).parameters
        given = {**betas, **(USUAL.get(kind, {}) if whole else {}), **(config or {})}
        given = {k: v for k, v in given.items() if k in known}
        row = {"name": name, "config": {"_class_name": cls.__name__, "_diffusers_version": diffusers.__version__, **given},
               "steps": steps, "call": call or {}, "begin": begin}
        try:
            scheduler = cls.from_config(given)
            if whole:
                row["config"] = json.loads(scheduler.to_json_string())
                if row["config"].get("lambda_min_clipped") == float("-inf"):
                    del row["config"]["lambda_min_clipped"]
            got = self.run(scheduler, steps, call or {}, begin)
        except Exception as e:
            self.rejected.append({**row, "reason": f"{type(e).__name__}: {e}".split("\n")[0][:200]})
            return
        if not np.isfinite(got["states"]).all():
            self.rejected.append({**row, "reason": "not finite from step %d on" % np.nonzero(~np.isfinite(got["states"]).all(1))[0][0]})
            return
        row.update(init_noise_sigma=got["init"], draws=got["draws"])
        self.tensors[f"{name}.states"] = got["states"]
        self.tensors[f"{name}.timesteps"] = got["times"]
        if got["sigmas"] is not None:
            self.tensors[f"{name}.sigmas"] = got["sigmas"]
        self.cases.append(row)

    def save(self):
        store.save(OUT / "samplers.safetensors", self.tensors)
        rows = lambda name, list_: json.dumps(name) + ": [\n" + ",\n".join(json.dumps(r, separators=(",", ":"), allow_nan=False) for r in list_) + "]"
        (OUT / "samplers.json").write_text("{" + rows("cases", self.cases) + ",\n" + rows("rejected", self.rejected) + "}\n")


def accepts(kind, key):
    return key in inspect.signature(getattr(diffusers, CLASSES[kind] + "Scheduler").__init__).parameters


def grid(m):
    """Every scheduler by prediction and spacing; then the sigmas, the betas and the lengths."""
    for kind in CLASSES:
        m.case(kind, "nothing", whole=False, betas={})
    for kind in FULL:
        m.case(kind, "betas_only", whole=False)
        for prediction in ("epsilon", "v_prediction", "sample"):
            for spacing in ("leading", "trailing", "linspace") if accepts(kind, "timestep_spacing") else ("fixed",):
                offset = 1 if spacing == "leading" else 0
                m.case(kind, f"{prediction}_{spacing}", dict(prediction_type=prediction, timestep_spacing=spacing, steps_offset=offset))
        for sigmas in ("karras", "exponential", "beta"):
            if accepts(kind, f"use_{sigmas}_sigmas"):
                m.case(kind, sigmas, {f"use_{sigmas}_sigmas": True})
                m.case(kind, f"{sigmas}_leading_10", {f"use_{sigmas}_sigmas": True, "timestep_spacing": "leading", "steps_offset": 1}, steps=10)
        if accepts(kind, "timestep_spacing"):
            m.case(kind, "leading_0", dict(timestep_spacing="leading", steps_offset=0))
            m.case(kind, "leading_10", dict(timestep_spacing="leading", steps_offset=1), steps=10)
            m.case(kind, "trailing_7", dict(timestep_spacing="trailing"), steps=7)
        m.case(kind, "cosine_v", dict(prediction_type="v_prediction", timestep_spacing="leading", steps_offset=1), betas=COSINE)
        m.case(kind, "linear", betas=LINEAR)
        m.case(kind, "one_step", dict(timestep_spacing="trailing"), steps=1)
        if accepts(kind, "rescale_betas_zero_snr"):
            for spacing in ("trailing", "linspace"):
                m.case(kind, f"zero_snr_{spacing}", dict(rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing=spacing))
        m.case(kind, "image_from_2", dict(timestep_spacing="leading", steps_offset=1), begin=2 * getattr(getattr(diffusers, CLASSES[kind] + "Scheduler"), "order", 1))
    for kind in ("ddim", "pndm", "euler", "euler_a", "dpm_multi"):
        m.case(kind, "leading_20", dict(timestep_spacing="leading", steps_offset=1), steps=20)


def single(m):
    """What only one or two of them have."""
    for eta in (0.5, 1.0):
        m.case("ddim", f"eta_{eta}", dict(timestep_spacing="leading", steps_offset=1), call=dict(eta=eta))
    m.case("ddim", "eta_1.0_v", dict(prediction_type="v_prediction", timestep_spacing="trailing"), call=dict(eta=1.0))
    m.case("ddim", "alpha_to_one", dict(set_alpha_to_one=True, steps_offset=1))
    m.case("ddim", "clip", dict(clip_sample=True, clip_sample_range=0.7))
    m.case("ddim", "clip_reuse", dict(clip_sample=True), call=dict(use_clipped_model_output=True, eta=0.3))
    m.case("ddim", "audio", dict(set_alpha_to_one=False, steps_offset=1), betas=AUDIO)
    m.case("ddim", "threshold", dict(thresholding=True, sample_max_value=1.5, dynamic_thresholding_ratio=0.8))
    for variance in ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"):
        m.case("ddpm", f"variance_{variance}", dict(variance_type=variance))
    m.case("ddpm", "clip", dict(clip_sample=True))
    m.case("ddpm", "threshold", dict(thresholding=True, sample_max_value=2.0, dynamic_thresholding_ratio=0.7))
    m.case("pndm", "runge_kutta", dict(skip_prk_steps=False))
    m.case("pndm", "runge_kutta_10", dict(skip_prk_steps=False, steps_offset=1), steps=10)
    m.case("pndm", "alpha_to_one", dict(set_alpha_to_one=True))
    for order in (1, 2, 3):
        m.case("lms", f"order_{order}", steps=8, call=dict(order=order))
    m.case("euler", "from_pndm", dict(steps_offset=1, skip_prk_steps=True, set_alpha_to_one=False, prediction_type="epsilon"), whole=False)
    m.case("euler", "log_linear", dict(interpolation_type="log_linear"))
    m.case("euler", "sigma_min_last", dict(final_sigmas_type="sigma_min"))
    m.case("euler", "sigma_range_karras", dict(use_karras_sigmas=True, sigma_min=0.1, sigma_max=10.0))
    m.case("euler", "continuous", dict(timestep_type="continuous", prediction_type="v_prediction"))
    for prediction in ("epsilon", "v_prediction", "sample"):
        m.case("euler", "churn" if prediction == "epsilon" else f"churn_{prediction}", dict(prediction_type=prediction), steps=6,
               call=dict(s_churn=2.0, s_tmin=0.05, s_tmax=12.0, s_noise=1.003))
    m.case("dpm2_a", "cosine_linspace", betas=COSINE)
    m.case("heun", "clip", dict(clip_sample=True))
    for algorithm in ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"):
        plain = {"final_sigmas_type": "sigma_min"} if algorithm in ("dpmsolver", "sde-dpmsolver") else {}
        for order in (1, 2, 3):
            for solver in ("midpoint", "heun") if order == 2 else ("midpoint",):
                m.case("dpm_multi", f"{algorithm}_{order}_{solver}", dict(algorithm_type=algorithm, solver_order=order, solver_type=solver, **plain), steps=6)
        m.case("dpm_multi", f"{algorithm}_v", dict(algorithm_type=algorithm, prediction_type="v_prediction", **plain))
        m.case("dpm_multi", f"{algorithm}_sample", dict(algorithm_type=algorithm, prediction_type="sample", **plain))
        m.case("dpm_multi", f"{algorithm}_karras_20", dict(algorithm_type=algorithm, use_karras_sigmas=True, **plain), steps=20)
    for algorithm in ("dpmsolver", "sde-dpmsolver"):
        m.case("dpm_multi", f"{algorithm}_zero_last", dict(algorithm_type=algorithm))
    m.case("dpm_multi", "euler_last", dict(euler_at_final=True, solver_order=3), steps=6)
    m.case("dpm_multi", "no_lower", dict(lower_order_final=False, solver_order=3, final_sigmas_type="sigma_min"), steps=6)
    m.case("dpm_multi", "lower_16", dict(solver_order=3), steps=16)
    m.case("dpm_multi", "lu", dict(use_lu_lambdas=True, solver_order=3), steps=8)
    m.case("dpm_multi", "lambda_clip", dict(lambda_min_clipped=-5.1), betas=COSINE)
    m.case("dpm_multi", "threshold", dict(thresholding=True, sample_max_value=1.5, dynamic_thresholding_ratio=0.8))
    for algorithm in ("dpmsolver", "sde-dpmsolver"):
        m.case("dpm_multi", f"{algorithm}_threshold", dict(algorithm_type=algorithm, thresholding=True, sample_max_value=1.5,
                                                           dynamic_thresholding_ratio=0.8, final_sigmas_type="sigma_min"))
    m.case("dpm_multi", "flow", dict(use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction"))
    for algorithm in ("dpmsolver", "dpmsolver++", "sde-dpmsolver++"):
        plain = {"final_sigmas_type": "sigma_min"} if algorithm == "dpmsolver" else {}
        for order in (1, 2, 3):
            for solver in ("midpoint", "heun") if order == 2 else ("midpoint",):
                for steps in (6, 7) if order > 1 and solver == "midpoint" else (6,):
                    for lower in (False, True) if steps == 7 else (True,):
                        m.case("dpm_single", f"{algorithm}_{order}_{solver}_{steps}_{'lower' if lower else 'full'}",
                               dict(algorithm_type=algorithm, solver_order=order, solver_type=solver, lower_order_final=lower, **plain), steps=steps)
    m.case("dpm_single", "sigma_min_last", dict(final_sigmas_type="sigma_min"))
    for solver in ("bh1", "bh2"):
        for order in (1, 2, 3):
            m.case("unipc", f"{solver}_{order}", dict(solver_type=solver, solver_order=order), steps=6)
            m.case("unipc", f"{solver}_{order}_sigma_min", dict(solver_type=solver, solver_order=order, final_sigmas_type="sigma_min"), steps=6)
        m.case("unipc", f"{solver}_epsilon_form", dict(solver_type=solver, predict_x0=False, final_sigmas_type="sigma_min"), steps=6)
    m.case("unipc", "no_corrector", dict(disable_corrector=[0, 2]), steps=6)
    m.case("unipc", "no_lower", dict(lower_order_final=False, solver_order=3, final_sigmas_type="sigma_min"), steps=6)
    m.case("unipc", "flow", dict(use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction"))
    for order in (1, 2, 3):
        m.case("deis", f"order_{order}", dict(solver_order=order), steps=6)
    m.case("deis", "no_lower", dict(solver_order=3, lower_order_final=False), steps=6)
    m.case("lcm", "four", steps=4)
    m.case("lcm", "scaling", dict(timestep_scaling=3.0, original_inference_steps=40), steps=4)
    for eta in (0.0, 0.7, 1.0):
        m.case("tcd", f"eta_{eta}", steps=4, call=dict(eta=eta))
    m.case("ipndm", "plain", steps=8, betas={"num_train_timesteps": 1000})
    for kind in ("flow_euler", "flow_heun"):
        for shift in (1.0, 3.0):
            m.case(kind, f"shift_{shift}", dict(shift=shift), betas={"num_train_timesteps": 1000})
        m.case(kind, "image_from_2", dict(shift=3.0), begin=2 if kind == "flow_euler" else 4, betas={"num_train_timesteps": 1000})
    m.case("flow_euler", "karras", dict(use_karras_sigmas=True), betas={"num_train_timesteps": 1000})
    m.case("flow_euler", "terminal", dict(shift=3.0, shift_terminal=0.02), betas={"num_train_timesteps": 1000})
    for prediction in ("epsilon", "sample"):
        m.case("unclip", prediction, dict(prediction_type=prediction), betas={"num_train_timesteps": 1000})


def tables(m):
    """Cumulative products of 1 - beta, f32, as the schedulers hold them; and times at which an image noiser is asked."""
    for name, betas in (("sd", SD), ("cosine", COSINE), ("linear", LINEAR), ("audio", AUDIO)):
        m.tensors[f"alphas_cumprod.{name}"] = diffusers.DDPMScheduler(**betas).alphas_cumprod.numpy()
    m.tensors["alphas_cumprod.sd_zero_snr"] = diffusers.DDPMScheduler(**SD, rescale_betas_zero_snr=True).alphas_cumprod.numpy()


def folders():
    """Folders as the library writes them."""
    for name, s in (("dpm_infinity", diffusers.DPMSolverMultistepScheduler(**SD)), ("pndm_sd1", diffusers.PNDMScheduler(**SD, **USUAL["pndm"], steps_offset=1))):
        (OUT / name).mkdir(exist_ok=True)
        (OUT / name / "scheduler_config.json").write_text(s.to_json_string())


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    maker = Maker()
    tables(maker)
    grid(maker)
    single(maker)
    maker.save()
    folders()
    print(len(maker.cases), "cases,", len(maker.rejected), "rejected")
    for r in maker.rejected:
        print(r["name"], "-", r["reason"])
