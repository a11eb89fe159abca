/*
 * bind_media.c - what is heard: resampling, spectra, mel bands, and sounds from them.
 */
#include "lua/bind.h"

#include <string.h>

#include "core/media/mel.h"
#include "core/media/resample.h"
#include "core/media/spectrum.h"

/* core.resample_audio(tensor [S,C], from, to) -> tensor [N,C] */
static int l_resample_audio(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "resample: the sound");
    const int64_t from = lwf_check_int(L, 2, "resample: from", 1, INT32_MAX);
    const int64_t to = lwf_check_int(L, 3, "resample: to", 1, INT32_MAX);
    return lwf_push_tensor(L, s, wf_resample(s->ctx, x, from, to));
}

/* core.fit_audio(tensor [B,S], samples, "pad" | "repeat" | "repeatpad") -> tensor [B,samples] */
static int l_fit_audio(lua_State *L)
{
    static const char *const ways[] = {"pad", "repeat", "repeatpad", NULL};
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "fit: the sound");
    const int64_t samples = lwf_check_int(L, 2, "fit: samples", 1, INT64_C(1) << 40);
    const wf_fit how = (wf_fit)luaL_checkoption(L, 3, "pad", ways);
    return lwf_push_tensor(L, s, wf_sound_fit(s->ctx, x, samples, how));
}

/* ---- options ---- */

static double opt_number(lua_State *L, int arg, const char *name, double otherwise)
{
    const double v = lwf_field(L, arg, name) ? luaL_checknumber(L, -1) : otherwise;
    lua_settop(L, arg);
    return v;
}

static int64_t opt_int(lua_State *L, int arg, const char *name, int64_t otherwise, int64_t hi)
{
    const int64_t v = lwf_field(L, arg, name) ? lwf_check_int(L, -1, name, 0, hi) : otherwise;
    lua_settop(L, arg);
    return v;
}

static int opt_choice(lua_State *L, int arg, const char *name, int otherwise,
                      const char *const *list)
{
    int found = otherwise;
    if (lwf_field(L, arg, name)) {
        const char *text = luaL_checkstring(L, -1);
        for (found = 0; list[found] && strcmp(list[found], text) != 0;) found++;
        if (!list[found]) lwf_error(L, "usage", NULL, "mel: there is no %s '%s'", name, text);
    }
    lua_settop(L, arg);
    return found;
}

/* A front end: a name, or a table { front = name, rate, n_fft, ... } whose fields change it. */
static wf_mel check_front(lua_State *L, int arg)
{
    static const char *const scales[] = {"htk", "slaney", NULL},
                             *const norms[] = {"none", "slaney", "unit", NULL},
                             *const logs[] = {"ln", "log10", "db", NULL};
    wf_mel m;
    lua_settop(L, arg);
    const bool is_name = lua_type(L, arg) == LUA_TSTRING;
    if (!is_name) luaL_checktype(L, arg, LUA_TTABLE);
    const char *name = is_name                      ? lua_tostring(L, arg)
                       : lwf_field(L, arg, "front") ? luaL_checkstring(L, -1)
                                                    : "audioldm";
    if (!wf_mel_find(name, &m))
        lwf_error(L, "usage", NULL, "mel: there is no front end '%s'", name);
    lua_settop(L, arg);
    if (is_name) return m;
    wf_mel_bank *b = &m.bank;
    b->rate_hz = opt_number(L, arg, "rate", b->rate_hz);
    b->low_hz = opt_number(L, arg, "low", b->low_hz);
    b->high_hz = opt_number(L, arg, "high", b->high_hz);
    b->n_fft = opt_int(L, arg, "n_fft", b->n_fft, WF_MAX_FFT);
    b->n_mels = opt_int(L, arg, "bins", b->n_mels, 4096);
    b->scale = (wf_mel_scale)opt_choice(L, arg, "scale", (int)b->scale, scales);
    b->norm = (wf_mel_norm)opt_choice(L, arg, "norm", (int)b->norm, norms);
    m.hop = opt_int(L, arg, "hop", m.hop, WF_MAX_FFT);
    m.pad = opt_int(L, arg, "pad", b->n_fft / 2, WF_MAX_FFT);
    m.power = opt_number(L, arg, "power", m.power ? 2 : 1) == 2;
    m.eps = opt_number(L, arg, "eps", m.eps);
    m.floor = opt_number(L, arg, "floor", m.floor);
    m.log = (wf_mel_log)opt_choice(L, arg, "log", (int)m.log, logs);
    return m;
}

/* core.log_mel(tensor [B,S], front) -> tensor [B,T,M] */
static int l_log_mel(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "mel: the sound");
    const wf_mel m = check_front(L, 2);
    return lwf_push_tensor(L, s, wf_log_mel(s->ctx, x, &m));
}

/* core.mel_filters(front) -> tensor [M,F] */
static int l_mel_filters(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const wf_mel m = check_front(L, 1);
    return lwf_push_tensor(L, s, wf_mel_filters(s->ctx, &m.bank));
}

/* core.kaldi_fbank(tensor [B,S], rate, bins) -> tensor [B,T,bins] */
static int l_kaldi_fbank(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "fbank: the sound");
    const int64_t rate = lwf_check_int(L, 2, "fbank: rate", 1000, 768000);
    return lwf_push_tensor(
        L, s, wf_kaldi_fbank(s->ctx, x, rate, lwf_check_int(L, 3, "fbank: bins", 1, 4096)));
}

/* core.hann(n, periodic) -> tensor [n] */
static int l_hann(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    return lwf_push_tensor(
        L, s, wf_hann(s->ctx, lwf_check_int(L, 1, "hann: n", 2, WF_MAX_FFT), lua_toboolean(L, 2)));
}

/* core.istft(tensor [B,T,F,2], window, hop) -> tensor [B,hop (T - 1)] */
static int l_istft(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "istft: the spectrum"),
              *w = lwf_check_tensor(L, 2, "istft: the window");
    return lwf_push_tensor(
        L, s, wf_istft(s->ctx, x, w, lwf_check_int(L, 3, "istft: hop", 1, WF_MAX_FFT)));
}

/* { hop, iters, momentum, seed }: phases are 0 at first when there is no seed. */
static wf_griffin_lim check_griffin_lim(lua_State *L, int arg, int64_t hop)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    wf_griffin_lim o = {.hop = opt_int(L, arg, "hop", hop, WF_MAX_FFT),
                        .n_iters = opt_int(L, arg, "iters", 32, 100000),
                        .momentum = opt_number(L, arg, "momentum", 0.99)};
    o.random = lwf_field(L, arg, "seed");
    if (o.random) o.seed = lwf_check_seed(L, arg + 1, "griffin_lim: seed");
    lua_settop(L, arg);
    return o;
}

/* core.griffin_lim(magnitude [B,T,F], window, options) -> tensor [B,S] */
static int l_griffin_lim(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "griffin_lim: the magnitude");
    wf_tensor *w = lwf_check_tensor(L, 2, "griffin_lim: the window");
    lua_settop(L, 3);
    const wf_griffin_lim o = check_griffin_lim(L, 3, wf_dim(w, 0) / 4);
    return lwf_push_tensor(L, s, wf_griffin_lim_run(s->ctx, x, w, &o));
}

/* core.mel_sound(mel [B,T,M], options, front) -> tensor [B,S]; options: griffin_lim's and steps of
 * the inversion of the bank */
static int l_mel_sound(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "mel.sound: the mel");
    const wf_mel m = check_front(L, 3);
    lua_settop(L, 2);
    const int64_t steps = opt_int(L, 2, "steps", 30, 100000);
    const wf_griffin_lim o = check_griffin_lim(L, 2, m.hop);
    return lwf_push_tensor(L, s, wf_mel_sound(s->ctx, x, &m, steps, &o));
}

void lwf_open_media(lua_State *L)
{
    const luaL_Reg list[] = {
        {"resample_audio", l_resample_audio}, {"fit_audio", l_fit_audio},
        {"log_mel", l_log_mel},               {"mel_filters", l_mel_filters},
        {"kaldi_fbank", l_kaldi_fbank},       {"hann", l_hann},
        {"istft", l_istft},                   {"griffin_lim", l_griffin_lim},
        {"mel_sound", l_mel_sound},           {NULL, NULL},
    };
    lwf_register(L, list);
}
