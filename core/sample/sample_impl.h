/* sample_impl.h - the inside of samplers, for core/sample alone. */
#ifndef WF_CORE_SAMPLE_IMPL_H
#define WF_CORE_SAMPLE_IMPL_H

#include <math.h>

#include "core/sample/sampler.h"
#include "core/tensor/ops.h"

typedef enum wfs_prediction { WFS_EPSILON, WFS_V, WFS_SAMPLE, WFS_FLOW } wfs_prediction;
typedef enum wfs_spacing { WFS_LINSPACE, WFS_LEADING, WFS_TRAILING } wfs_spacing;
typedef enum wfs_sigmas { /* how sigmas are laid out when not by the spacing of times */
                          WFS_BY_TIMES,
                          WFS_KARRAS,
                          WFS_EXPONENTIAL,
                          WFS_BETA,
                          WFS_LU,
                          WFS_FLOW_SIGMAS,
                          WFS_LOG_LINEAR,
                          WFS_SIMPLE,
                          WFS_SGM_UNIFORM,
                          WFS_DDIM_UNIFORM,
                          WFS_KL_OPTIMAL,
                          WFS_AYS,
                          WFS_LISTED
} wfs_sigmas;
typedef enum wfs_algorithm { WFS_DPM, WFS_DPMPP, WFS_SDE_DPM, WFS_SDE_DPMPP } wfs_algorithm;
typedef enum wfs_variance { WFS_SMALL, WFS_SMALL_LOG, WFS_LARGE } wfs_variance;

/* What scheduler_config.json says, of all classes. */
typedef struct wfs_config {
    int64_t train_steps, steps_offset, original_steps;
    wfs_prediction prediction;
    wfs_spacing spacing;
    wfs_sigmas sigmas;
    wfs_algorithm algorithm;
    wfs_variance variance;
    bool is_heun;                         /* solver_type: heun, else midpoint */
    bool is_bh1;                          /* solver_type of unipc: bh1, else bh2 */
    bool is_flow;                         /* alpha = 1 - sigma */
    bool is_continuous;                   /* timestep_type */
    bool lower_order_final, euler_at_final, predict_x0, ends_at_sigma_min, stochastic;
    bool clip, threshold, alpha_to_one, skip_prk, zero_snr, is_cosine, invert;
    double clip_range, threshold_ratio, threshold_max, lambda_min, shift, shift_terminal,
        timestep_scaling;
    double sigma_min, sigma_max;          /* NAN: the table's */
    int order;                            /* solver_order */
    uint64_t no_corrector;                /* bit i: unipc does not correct after step i */
} wfs_config;

typedef struct wfs_method wfs_method;

struct wf_sampler {
    int refs;
    wf_mem *mem;
    const wfs_method *method;
    wfs_config config;
    char *text;                           /* the config as JSON */
    float *alpha_bar, *beta;              /* [train_steps] each, f32 as the reference holds them */
    double *listed;                       /* of WFS_LISTED, from the highest down */
    int n_listed;
};

/* Times and sigmas of a run, each of which has room for some more than 2 steps + 16 values. */
typedef struct wfs_plan {
    int n, n_sigmas;                      /* model calls; sigmas, 0 for methods without */
    int order;                            /* model calls per step, for starting in the middle */
    double *t, *sigma, *extra;            /* extra: the method's own, as many as sigmas, thrice */
    double init_sigma;
} wfs_plan;

enum { WFS_HISTORY = 5, WFS_UNIPC_MOST = 3 };      /* past answers held; UniPC's orders */
enum { WFS_SLOTS = 4 + WFS_HISTORY };              /* tensors of a run, beside the noises */

struct wf_run {
    wf_sampler *s;
    wf_run_opts o;                        /* its tensors are held below */
    wfs_plan plan;
    int i, begin; /* model calls answered, counted from the plan's first; where it began */
    int n_done;                           /* lower_order_nums, the counter of PNDM ... */
    int draws;                            /* noises used, one a call at most */
    int last_order;                       /* of unipc's last predictor; 0: none */
    wf_tensor *x, *x0;                    /* owned */
    wf_tensor *saved,
        *sum; /* owned: of a step of several calls, where it began and its mean so far */
    wf_tensor *history[WFS_HISTORY];      /* owned; [0] the newest */
    int n_history;
    wf_tensor **noise;                    /* owned list of o.n_noise */
};

/* One class of samplers. */
struct wfs_method {
    const char *name;                     /* _class_name */
    const char *keys; /* the config keys that it takes, beside those of all: space separated */
    unsigned predictions;                 /* bit wfs_prediction */
    bool scales_input; /* latents are x0 + sigma noise; the model sees them over sqrt(sigma^2+1) */
    bool walks_sigmas; /* its steps go from sigma to sigma, not from time to time */
    const char *(*refuse)(const wfs_config *k); /* why a config cannot run; NULL: it can */
    wf_status (*plan)(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p);
    /* The next latent, scoped; sets *x0, scoped or NULL. */
    wf_tensor *(*step)(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0);
};

extern const wfs_method wfs_ddim, wfs_ddpm, wfs_tcd, wfs_lcm, wfs_unclip; /* step_ddim.c */
extern const wfs_method wfs_pndm, wfs_ipndm;                              /* step_pndm.c */
extern const wfs_method wfs_euler, wfs_euler_a, wfs_heun, wfs_dpm2, wfs_dpm2_a,
    wfs_lms;                                                     /* step_euler.c */
extern const wfs_method wfs_flow_euler, wfs_flow_heun;           /* step_flow.c */
extern const wfs_method wfs_dpm_multi, wfs_dpm_single, wfs_deis; /* step_dpm.c */
extern const wfs_method wfs_unipc;                               /* step_unipc.c */

/* ---- schedule.c ---- */

/* What a config, or its class where the config is silent, says of the betas. Borrowed. */
typedef struct wfs_betas {
    const char *schedule;
    double start, end;
    const wf_json *trained;               /* the betas themselves, or no list */
} wfs_betas;

/* alpha_bar[n] and beta[n]. */
wf_status wfs_fill_tables(wf_ctx *c, const wfs_betas *b, bool zero_snr, float *alpha_bar,
                          float *beta, int64_t n);
double wfs_table_sigma(const wf_sampler *s, int64_t t);              /* sqrt((1 - ab) / ab) */
double wfs_time_sigma(const wf_sampler *s, double t); /* between table entries, linear */
double wfs_sigma_time(const wf_sampler *s, double sigma);            /* back, linear in log sigma */
/* n + extra times from the last down, then cut to n: extra is 1 for the solvers whose spacing
 * leaves room for the final 0. Rounded to whole numbers when rounds. Returns how many there are. */
int wfs_space_times(const wf_sampler *s, int n, int extra, bool rounds, int64_t train_steps,
                    double *t);
double wfs_shifted(double shift, double t);                          /* a time of flow, shifted */
/* n sigmas of a layout from max down to min; not for WFS_BY_TIMES. */
void wfs_lay_sigmas(const wf_sampler *s, wfs_sigmas how, int n, double max, double min,
                    double *sigma);
/* The whole of it for samplers over sigmas: times by spacing, sigmas by layout, times of those, a
 * final sigma. whole_table: layouts run over the whole table, else from the first to the last
 * spaced time. */
wf_status wfs_plan_sigmas(wf_ctx *c, const wf_sampler *s, int steps, int extra, bool whole_table,
                          wfs_plan *p);

/* ---- run.c: what steps are made of; tensors scoped ---- */

/* sum of k[i] t[i]; NULL tensors and zero factors are left out */
wf_tensor *wfs_mix(wf_ctx *c, int n, const double *k, wf_tensor *const *t);
#define WFS_MIX2(c, a, x, b, y) wfs_mix(c, 2, (double[]){a, b}, (wf_tensor *[]){x, y})
#define WFS_MIX3(c, a, x, b, y, d, z) wfs_mix(c, 3, (double[]){a, b, d}, (wf_tensor *[]){x, y, z})
wf_tensor *wfs_draw(wf_ctx *c, wf_run *r);                           /* the next noise, scoped */
wf_tensor *wfs_clip_x0(wf_ctx *c, const wfs_config *k,
                       wf_tensor *x0); /* clip_sample or thresholding */
void wfs_push(wf_ctx *c, wf_run *r, wf_tensor *t, int most);         /* onto the history */
int wfs_most_steps(const wf_sampler *s);                             /* that a run may have */
void wfs_set_tensor(wf_ctx *c, wf_tensor **slot,
                    wf_tensor *t); /* an owned slot of the run; NULL clears */
/* Where a run holds its tensors: x, x0, saved, sum, history. */
void wfs_list_slots(wf_run *r, wf_tensor **slots[WFS_SLOTS]);
/* x0 and eps of out at x = a x0 + s eps. */
wf_tensor *wfs_to_x0(wf_ctx *c, wfs_prediction p, wf_tensor *x, wf_tensor *out, double a, double s);
wf_tensor *wfs_to_eps(wf_ctx *c, wfs_prediction p, wf_tensor *x, wf_tensor *out, double a,
                      double s);
/* Heun's step, of two calls, and a plan of single calls spread over them (step_euler.c). */
wf_tensor *wfs_step_heun(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0);
wf_status wfs_double_calls(wf_ctx *c, wfs_plan *p);
/* x = a x0 + s eps at sigma i of the plan; lambda = log(a / s). */
typedef struct wfs_level {
    double a, s, lambda;
} wfs_level;
wfs_level wfs_level_at(const wf_run *r, int i);
double wfs_alpha_bar(const wf_run *r, double t, double at_negative);

#endif
