/* sampler.h - samplers of diffusion models: a schedule of times and the steps between them.
 *
 * A sampler is what a scheduler_config.json describes; a run is one trajectory of it. A run never
 * calls back: wf_run_next says what the model is to be given, wf_run_give takes what it answered.
 * Source: diffusers 0.42.1 schedulers; Karras et al., arXiv:2206.00364; the papers named per file.
 */
#ifndef WF_CORE_SAMPLER_H
#define WF_CORE_SAMPLER_H

#include "core/file/json.h"
#include "core/tensor/tensor.h"

typedef struct wf_sampler wf_sampler;
typedef struct wf_run wf_run;

/* A sampler from a config in diffusers' keys; _class_name says which. Beyond them, for samplers
 * that walk over sigmas: "sigma_schedule" of "simple", "sgm_uniform", "ddim_uniform", "kl_optimal",
 * "ays", or "sigmas", a list of them from the highest down, one a step. Owned; NULL once c has
 * failed: WF_EARG names the key and what it may be. */
wf_sampler *wf_sampler_new(wf_ctx *c, const wf_json *config);
void wf_sampler_free(wf_sampler *s);                          /* NULL is fine; runs keep it alive */
const char *wf_sampler_get_config(const wf_sampler *s);       /* as JSON text */
/* alpha_bar of training time t, 0 ... train_steps - 1. */
double wf_sampler_get_alpha_bar(const wf_sampler *s, int64_t t);
int64_t wf_sampler_get_train_steps(const wf_sampler *s);

typedef struct wf_run_opts {
    int steps;                   /* as asked of the sampler; a run may make more model calls */
    double strength; /* 1: all steps; less: start from image, noised, for the last of them */
    int begin;       /* -1: by strength; else the model call to start from, with image */
    wf_tensor *latents;          /* unit noise [B,...] f32 */
    wf_tensor *image;            /* clean latents [B,...]; NULL: none */
    uint64_t seed;               /* of noise drawn on the way: sample b uses seed + b */
    wf_tensor *const *noise;     /* or the noises themselves, in order; kept */
    int n_noise;
    double eta;                  /* ddim, tcd; NAN: the method's default */
    double s_churn, s_tmin, s_tmax, s_noise;      /* euler; 0 0 INFINITY 1 */
    int order;                   /* lms; 0: 4 */
    bool use_clipped;            /* ddim: the noise follows a clipped x0 */
} wf_run_opts;

#define WF_RUN_DEFAULTS                                                               \
    {                                                                                 \
        .strength = 1.0, .begin = -1, .eta = (double)NAN, .s_tmax = (double)INFINITY, \
        .s_noise = 1.0                                                                \
    }

/* One call that the model is to answer. */
typedef struct wf_run_call {
    wf_tensor *input;            /* scaled as the model was trained, scoped; the caller's */
    double t, sigma;             /* its time and noise level */
    int step, steps;             /* from 1; of the model calls of this run */
} wf_run_call;

/* Start a run. Owned; NULL once c has failed (WF_EARG: more steps than times, a noise of another
 * shape ...). */
wf_run *wf_run_new(wf_ctx *c, wf_sampler *s, const wf_run_opts *o);
void wf_run_free(wf_run *r);

/* Whether a model call is left, and which. False at the end, and once c has failed. */
bool wf_run_next(wf_ctx *c, wf_run *r, wf_run_call *call);
/* The model's answer to that call: the run moves on. */
wf_status wf_run_give(wf_ctx *c, wf_run *r, wf_tensor *out) WF_MUST_USE;

wf_tensor *wf_run_get_latent(const wf_run *r);                /* current; borrowed */
wf_tensor *
wf_run_get_x0(const wf_run *r); /* what the last step took the picture to be; NULL before */
wf_status wf_run_set_latent(wf_ctx *c, wf_run *r, wf_tensor *x) WF_MUST_USE;
/* image with noise added as at the coming call (as it is, after the last), scoped. */
wf_tensor *wf_run_add_noise(wf_ctx *c, wf_run *r, wf_tensor *image, wf_tensor *noise);
double wf_run_get_init_sigma(const wf_run *r); /* what unit noise was multiplied by */
/* The times and sigmas of the whole schedule; sigmas 0 values where the method has none. Borrowed.
 */
const double *wf_run_get_times(const wf_run *r, int *n);
const double *wf_run_get_sigmas(const wf_run *r, int *n);

wf_run *wf_run_fork(wf_ctx *c, wf_run *r);                    /* owned; goes on by itself */
wf_status wf_run_save(wf_ctx *c, wf_run *r, const char *path) WF_MUST_USE;
wf_run *wf_run_load(wf_ctx *c, const char *path);             /* owned */

#endif
