/*
 * clip_read.c - reading clips through FFmpeg: demuxing from a mapping, decoding, frames by time.
 *
 * Formats that open other files (playlists) are not in the list, and opening anything is refused.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <string.h>

#include "core/file/clip_impl.h"
#include "core/file/file_map.h"

static const char FORMATS[] =
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,gif,ogg,mpegts,mpeg,flv,asf,apng,nut,y4m";

enum { LATE_S = 3600 };                 /* a sound that begins later than this is damage */
static const double SHORT_S = 0.25;     /* how much of the length that a file says may be missing */

typedef struct reader {
    wf_ctx *c;
    const char *name;
    const uint8_t *data;
    size_t n, at;
    AVIOContext *io;
    AVFormatContext *f;
    AVCodecContext *video, *audio;      /* audio NULL: none */
    int video_at, audio_at;
    int turn;                           /* of the frames, as an EXIF orientation */
    AVPacket *packet;
    AVFrame *frame, *rgb;
    struct SwsContext *sws;
    SwrContext *swr;

    wf_clip *out;
    wf_pixels pending;                  /* the last frame decoded, not yet in the list */
    int64_t frames_cap, samples_cap;
    int sample_format;                  /* of the first sound decoded */
    bool is_whole;                      /* every video and sound is read */
    double video_start, audio_start, end;  /* seconds; NAN before the first */
} reader;

wf_status wfi_clip_fail(wf_ctx *c, const char *name, const char *what, int r, wf_status st)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = {0};
    if (wf_has_failed(c)) return wf_get_status(c);
    if (r == AVERROR(ENOMEM)) st = WF_ENOMEM;
    av_strerror(r, text, sizeof text);
    return wf_fail_status(c, st, "%s: %s: %s", name, what, text);
}

bool wf_clip_is_built(void) { return true; }

/* ---- FFmpeg's file is the mapping ---- */

static int on_read(void *arg, uint8_t *out, int n)
{
    reader *r = arg;
    const size_t left = r->n - r->at, bytes = (size_t)n < left ? (size_t)n : left;
    if (bytes == 0) return AVERROR_EOF;
    memcpy(out, r->data + r->at, bytes);
    r->at += bytes;
    return (int)bytes;
}

static int64_t on_seek(void *arg, int64_t offset, int whence)
{
    reader *r = arg;
    const int64_t n = (int64_t)r->n;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return n;
    const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)r->at : n;
    if (offset < -base || offset > n - base) return AVERROR(EINVAL);
    r->at = (size_t)(base + offset);
    return base + offset;
}

static int refuse_open(AVFormatContext *f, AVIOContext **pb, const char *url, int flags,
                       AVDictionary **options)
{
    (void)f, (void)pb, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

static wf_status open_format(reader *r)
{
    AVDictionary *options = NULL;
    uint8_t *buffer = av_malloc(WFI_CLIP_IO_BYTES);
    r->f = avformat_alloc_context();
    r->io = buffer ? avio_alloc_context(buffer, WFI_CLIP_IO_BYTES, 0, r, on_read, NULL, on_seek)
                   : NULL;
    if (!r->io) av_free(buffer);
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    r->rgb = av_frame_alloc();
    if (!r->f || !r->io || !r->packet || !r->frame || !r->rgb)
        return wf_fail_status(r->c, WF_ENOMEM, "%s: no memory", r->name);
    r->f->pb = r->io;
    r->f->io_open = refuse_open;
    r->f->flags |= AVFMT_FLAG_CUSTOM_IO;
    av_dict_set(&options, "format_whitelist", FORMATS, 0);
    int e = avformat_open_input(&r->f, NULL, NULL, &options);   /* frees f when it fails */
    av_dict_free(&options);
    if (e >= 0) e = avformat_find_stream_info(r->f, NULL);
    return e < 0 ? wfi_clip_fail(r->c, r->name, "not a video that is read", e, WF_EFORMAT) : WF_OK;
}

/* The decoder of stream i. */
static AVCodecContext *open_decoder(reader *r, int i)
{
    const AVCodecParameters *p = r->f->streams[i]->codecpar;
    const AVCodec *codec = avcodec_find_decoder(p->codec_id);
    if (!codec)
        return wf_fail(r->c, WF_EUNSUPPORTED, "%s: %s is not read", r->name,
                       avcodec_get_name(p->codec_id));
    AVCodecContext *d = avcodec_alloc_context3(codec);
    int e = d ? avcodec_parameters_to_context(d, p) : AVERROR(ENOMEM);
    if (e >= 0) {
        d->thread_count = 1;
        d->max_pixels = WF_MAX_PIXELS;
        d->pkt_timebase = r->f->streams[i]->time_base;
        e = avcodec_open2(d, codec, NULL);
    }
    if (e < 0) {
        wfi_clip_fail(r->c, r->name, codec->name, e, WF_EFORMAT);
        avcodec_free_context(&d);
    }
    return d;
}

/* How a stream's frames are to be shown, to the nearest quarter turn, as an EXIF orientation. */
static int find_turn(const AVStream *s)
{
    static const int turns[2][2][2] = {{{1, 2}, {4, 3}}, {{5, 8}, {6, 7}}};
    const void *data = av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, NULL);
    int32_t m[9];                       /* column u, row v are at (m0 u + m3 v, m1 u + m4 v) */
    if (!data) return 1;
    memcpy(m, data, sizeof m);
    const bool swap = fabs((double)m[0]) + fabs((double)m[4]) <
                      fabs((double)m[1]) + fabs((double)m[3]);
    return turns[swap][m[swap ? 3 : 4] < 0][m[swap ? 1 : 0] < 0];
}

static wf_status open_streams(reader *r, const wf_clip_load_options *o)
{
    r->video_at = av_find_best_stream(r->f, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    r->audio_at = -1;
    r->is_whole = !o->no_sound;
    if (r->video_at < 0)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: holds no video", r->name);
    if (!o->no_sound)
        r->audio_at = av_find_best_stream(r->f, AVMEDIA_TYPE_AUDIO, -1, r->video_at, NULL, 0);
    AVStream *s = r->f->streams[r->video_at];
    r->turn = find_turn(s);
    r->out->fps = o->fps > 0 ? o->fps : av_q2d(av_guess_frame_rate(r->f, s, NULL));
    if (!(r->out->fps >= 0.01 && r->out->fps <= 1000))
        return wf_fail_status(r->c, WF_EFORMAT, "%s: %g frames a second", r->name, r->out->fps);
    r->video = open_decoder(r, r->video_at);
    if (r->audio_at >= 0) r->audio = open_decoder(r, r->audio_at);
    return wf_get_status(r->c);
}

/* ---- frames ---- */

/* Put p, whose data moves there, at the end of the list. */
static wf_status push(reader *r, wf_pixels *p)
{
    wf_frames *l = &r->out->frames;
    const int64_t bytes = (int64_t)wf_pixels_row_bytes(p) * p->height;
    if ((l->n + 1) * bytes > WF_CLIP_MAX_BYTES)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: more than %d MiB of frames", r->name,
                              WF_CLIP_MAX_BYTES >> 20);
    if (l->n == r->frames_cap) {
        const int64_t cap = r->frames_cap ? 2 * r->frames_cap : 64;
        wf_pixels *list = wf_mem_alloc(l->mem, (size_t)cap * sizeof *list);
        if (!list) return wf_fail_status(r->c, WF_ENOMEM, "%s: no memory", r->name);
        if (l->n) memcpy(list, l->list, (size_t)l->n * sizeof *list);
        wf_mem_free(l->mem, l->list);
        l->list = list;
        r->frames_cap = cap;
    }
    l->list[l->n++] = *p;
    *p = (wf_pixels){0};
    return WF_OK;
}

/* The pending frame until slot `to`, at least once: copies, and last itself. */
static wf_status flush(reader *r, double to)
{
    if (!r->pending.data) return WF_OK;
    const double bytes = (double)wf_pixels_row_bytes(&r->pending) * (double)r->pending.height;
    if (!(to * bytes <= WF_CLIP_MAX_BYTES))
        return wf_fail_status(r->c, WF_EFORMAT, "%s: more than %d MiB of frames", r->name,
                              WF_CLIP_MAX_BYTES >> 20);
    while ((double)r->out->frames.n + 1.0 < to) {
        wf_pixels copy = {0};
        WF_TRY(wf_pixels_new(r->c, &copy, &r->pending, r->name));
        memcpy(copy.data, r->pending.data, (size_t)bytes);
        const wf_status st = push(r, &copy);
        wf_pixels_free(&copy);
        if (st != WF_OK) return st;
    }
    return push(r, &r->pending);
}

static wf_status turn_pending(reader *r)
{
    wf_pixels as_coded = r->pending;
    const wf_status st = wf_pixels_turn(r->c, &r->pending, &as_coded, r->turn, r->name);
    wf_pixels_free(&as_coded);
    return st;
}

/* Rows of r->frame as RGB of the size of the first frame, the right way up, into r->pending. */
static wf_status convert(reader *r)
{
    const AVFrame *f = r->frame;
    wf_pixels like = {.height = f->height, .width = f->width, .channels = 3, .bits = 8};
    if (r->rgb->data[0]) like.height = r->rgb->height, like.width = r->rgb->width;
    wf_pixels_free(&r->pending);
    WF_TRY(wf_pixels_new(r->c, &r->pending, &like, r->name));
    if (!r->rgb->data[0]) {
        r->rgb->format = AV_PIX_FMT_RGB24;
        r->rgb->height = (int)like.height;
        r->rgb->width = (int)like.width;
        const int e = av_frame_get_buffer(r->rgb, 0);
        if (e < 0) return wfi_clip_fail(r->c, r->name, "frame", e, WF_ENOMEM);
    }
    r->sws = sws_getCachedContext(r->sws, f->width, f->height, f->format, r->rgb->width,
                                  r->rgb->height, AV_PIX_FMT_RGB24,
                                  SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT |
                                      SWS_FULL_CHR_H_INP | SWS_BITEXACT,
                                  NULL, NULL, NULL);
    if (!r->sws)
        return wf_fail_status(r->c, WF_EUNSUPPORTED, "%s: frames cannot be converted", r->name);
    const int is_hd = f->colorspace == AVCOL_SPC_BT709;
    const int is_full = f->color_range == AVCOL_RANGE_JPEG;
    const int *from = sws_getCoefficients(is_hd ? SWS_CS_ITU709 : SWS_CS_DEFAULT);
    (void)sws_setColorspaceDetails(r->sws, from, is_full, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0,
                                   1 << 16, 1 << 16);
    sws_scale(r->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, r->rgb->data,
              r->rgb->linesize);
    const size_t bytes = wf_pixels_row_bytes(&r->pending);
    for (int64_t y = 0; y < like.height; y++)
        memcpy((uint8_t *)r->pending.data + (size_t)y * bytes,
               r->rgb->data[0] + y * r->rgb->linesize[0], bytes);
    return r->turn == 1 ? WF_OK : turn_pending(r);
}

/* Seconds of r->frame, of stream i; fallback where it has no time. */
static double time_of(const reader *r, int i, double fallback)
{
    const int64_t pts = r->frame->best_effort_timestamp;
    return pts == AV_NOPTS_VALUE ? fallback : (double)pts * av_q2d(r->f->streams[i]->time_base);
}

static wf_status take_picture(reader *r)
{
    const double fps = r->out->fps, next = isnan(r->video_start) ? 0.0 : r->end;
    const double t = time_of(r, r->video_at, next);
    if (isnan(r->video_start)) r->video_start = t;
    const double slot = round((t - r->video_start) * fps);
    if (slot > (double)r->out->frames.n) WF_TRY(flush(r, slot));    /* else it takes its place */
    const int64_t d = r->frame->pkt_duration;
    const double shown = (double)d * av_q2d(r->f->streams[r->video_at]->time_base);
    r->end = t + (shown > 0 && shown < LATE_S ? shown : 1.0 / fps);
    return convert(r);
}

/* ---- sound ---- */

static wf_status open_resampler(reader *r)
{
    const AVFrame *f = r->frame;
    wf_sound *s = &r->out->sound;
    s->channels = f->ch_layout.nb_channels;
    s->rate_hz = f->sample_rate;
    r->sample_format = f->format;
    if (s->channels < 1 || s->channels > WF_SOUND_MAX_CHANNELS ||
        s->rate_hz < WF_SOUND_MIN_RATE_HZ || s->rate_hz > WF_SOUND_MAX_RATE_HZ)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: sound of %d channels at %d Hz", r->name,
                              (int)s->channels, s->rate_hz);
    AVChannelLayout layout;
    av_channel_layout_default(&layout, (int)s->channels);
    int e = swr_alloc_set_opts2(&r->swr, &layout, AV_SAMPLE_FMT_FLT, s->rate_hz, &layout, f->format,
                                s->rate_hz, 0, NULL);
    if (e >= 0) e = swr_init(r->swr);
    return e < 0 ? wfi_clip_fail(r->c, r->name, "sound", e, WF_EFORMAT) : WF_OK;
}

/* Room for n more samples. */
static wf_status grow(reader *r, int64_t n)
{
    wf_sound *s = &r->out->sound;
    const int64_t need = s->samples + n;
    if (need > WF_SOUND_MAX_VALUES / s->channels)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: more than %d values of sound", r->name,
                              WF_SOUND_MAX_VALUES);
    if (need <= r->samples_cap) return WF_OK;
    const int64_t cap = need > 2 * r->samples_cap ? need : 2 * r->samples_cap;
    float *data = wf_mem_alloc(s->mem, (size_t)(cap * s->channels) * sizeof *data);
    if (!data) return wf_fail_status(r->c, WF_ENOMEM, "%s: no memory", r->name);
    if (s->samples) memcpy(data, s->data, (size_t)(s->samples * s->channels) * sizeof *data);
    wf_mem_free(s->mem, s->data);
    s->data = data;
    r->samples_cap = cap;
    return WF_OK;
}

static wf_status take_sound(reader *r)
{
    const AVFrame *f = r->frame;
    wf_sound *s = &r->out->sound;
    if (!r->swr) WF_TRY(open_resampler(r));
    if (f->ch_layout.nb_channels != s->channels || f->sample_rate != s->rate_hz ||
        f->format != r->sample_format)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: its sound changes in kind", r->name);
    const double t = time_of(r, r->audio_at, 0.0);
    if (isnan(r->audio_start)) r->audio_start = t;
    WF_TRY(grow(r, f->nb_samples));
    uint8_t *to = (uint8_t *)(s->data + s->samples * s->channels);
    const int n = swr_convert(r->swr, &to, f->nb_samples, (const uint8_t **)f->extended_data,
                              f->nb_samples);
    if (n < 0) return wfi_clip_fail(r->c, r->name, "sound", n, WF_EFORMAT);
    s->samples += n;
    return WF_OK;
}

/* The sound begins with the first frame: cut before, silence where it is late. What the file's
 * clock cannot tell apart begins together. */
static wf_status align_sound(reader *r)
{
    wf_sound *s = &r->out->sound;
    const double late = (r->audio_start - r->video_start) * s->rate_hz;
    const double tick = s->samples ? av_q2d(r->f->streams[r->audio_at]->time_base) : 0.0;
    if (s->samples == 0 || !(fabs(late) > 1.0 + 1.5 * tick * s->rate_hz)) return WF_OK;
    if (fabs(late) > (double)LATE_S * s->rate_hz)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: sound and video are %g s apart", r->name,
                              late / s->rate_hz);
    const int64_t shift = llround(late), C = s->channels;
    if (shift > 0) {
        WF_TRY(grow(r, shift));
        memmove(s->data + shift * C, s->data, (size_t)(s->samples * C) * sizeof *s->data);
        memset(s->data, 0, (size_t)(shift * C) * sizeof *s->data);
        s->samples += shift;
    } else {
        const int64_t cut = -shift < s->samples ? -shift : s->samples;
        s->samples -= cut;
        memmove(s->data, s->data + cut * C, (size_t)(s->samples * C) * sizeof *s->data);
    }
    return WF_OK;
}

static wf_status check_sound(reader *r)
{
    const wf_sound *s = &r->out->sound;
    for (int64_t i = 0; i < s->samples * s->channels; i++)
        if (!(fabsf(s->data[i]) <= WF_SOUND_MAX_LEVEL))
            return wf_fail_status(r->c, WF_ENAN, "%s: its sound is not numbers", r->name);
    return WF_OK;
}

/* ---- the whole ---- */

/* Give packet p (NULL: the end) to decoder d and take what comes out. */
static wf_status decode(reader *r, AVCodecContext *d, const AVPacket *p)
{
    int e = avcodec_send_packet(d, p);
    while (e >= 0 && !wf_has_failed(r->c)) {
        e = avcodec_receive_frame(d, r->frame);
        if (e == AVERROR(EAGAIN) || e == AVERROR_EOF) return WF_OK;
        if (e < 0) break;
        const wf_status st = d == r->video ? take_picture(r) : take_sound(r);
        av_frame_unref(r->frame);
        WF_TRY(st);
    }
    return e < 0 ? wfi_clip_fail(r->c, r->name, "damaged", e, WF_EFORMAT) : wf_get_status(r->c);
}

static wf_status read_packets(reader *r)
{
    int e = 0;
    while ((e = av_read_frame(r->f, r->packet)) >= 0) {
        const int i = r->packet->stream_index;
        AVCodecContext *d = i == r->video_at ? r->video : i == r->audio_at ? r->audio : NULL;
        wf_status st = wf_ctx_check_cancel(r->c, r->name);
        if (st == WF_OK && d) st = decode(r, d, r->packet);
        av_packet_unref(r->packet);
        WF_TRY(st);
    }
    if (e != AVERROR_EOF) return wfi_clip_fail(r->c, r->name, "damaged", e, WF_EFORMAT);
    WF_TRY(decode(r, r->video, NULL));
    if (r->audio) WF_TRY(decode(r, r->audio, NULL));
    if (!r->pending.data)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: holds no frame", r->name);
    const double slots = round((r->end - r->video_start) * r->out->fps);
    const bool is_late = r->out->frames.n > 0 && (double)r->out->frames.n >= slots;
    return is_late ? WF_OK : flush(r, slots);   /* late: shown for less than half a slot */
}

/* Fails when much less was there than the file says. */
static wf_status check_length(reader *r)
{
    const double says = (double)r->f->duration / AV_TIME_BASE;
    const wf_sound *s = &r->out->sound;
    double has = r->end - r->video_start;
    const double heard = s->samples ? (double)s->samples / s->rate_hz : 0.0;
    if (heard > has) has = heard;
    if (!r->is_whole || r->f->duration == AV_NOPTS_VALUE || has + SHORT_S >= says) return WF_OK;
    return wf_fail_status(r->c, WF_EFORMAT, "%s: says it lasts %.2f s, %.2f s are there", r->name,
                          says, has);
}

static void keep_texts(reader *r, wf_meta_found *meta)
{
    const AVDictionaryEntry *title = av_dict_get(r->f->metadata, "title", NULL, 0),
                            *weft = av_dict_get(r->f->metadata, "weft", NULL, 0);
    if (title) wf_meta_keep_parameters(r->c, meta, title->value, strlen(title->value));
    if (weft) wf_meta_keep_weft(r->c, meta, weft->value, strlen(weft->value));
}

static void close_reader(reader *r)
{
    wf_pixels_free(&r->pending);
    swr_free(&r->swr);
    sws_freeContext(r->sws);
    av_frame_free(&r->rgb);
    av_frame_free(&r->frame);
    av_packet_free(&r->packet);
    avcodec_free_context(&r->audio);
    avcodec_free_context(&r->video);
    avformat_close_input(&r->f);
    if (r->io) av_freep(&r->io->buffer);
    avio_context_free(&r->io);
}

wf_status wf_clip_load(wf_ctx *c, const char *path, const wf_clip_load_options *o, wf_clip *out,
                       wf_meta_found *meta)
{
    wf_file_map *map = wf_file_map_open(c, path);
    if (map) {
        (void)wf_clip_decode(c, path, wf_file_map_get_data(map), wf_file_map_get_bytes(map), o, out,
                             meta);
        wf_file_map_release(map);
        return wf_get_status(c);
    }
    *out = (wf_clip){0};
    if (meta) *meta = (wf_meta_found){0};
    return wf_get_status(c);
}

wf_status wf_clip_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         const wf_clip_load_options *o, wf_clip *out, wf_meta_found *meta)
{
    wf_mem *mem = wf_ctx_get_mem(c);
    *out = (wf_clip){.frames = {.mem = mem}, .sound = {.mem = mem}};
    if (meta) *meta = (wf_meta_found){0};
    reader r = {.c = c, .name = name, .data = data, .n = n, .out = out, .video_start = NAN,
                .audio_start = NAN};
    av_log_set_level(AV_LOG_QUIET);
    wf_status st = open_format(&r);
    if (st == WF_OK) st = open_streams(&r, o);
    if (st == WF_OK) st = read_packets(&r);
    if (st == WF_OK) st = check_length(&r);
    if (st == WF_OK) st = align_sound(&r);
    if (st == WF_OK) st = check_sound(&r);
    if (st == WF_OK) keep_texts(&r, meta);
    out->frames.seconds = (double)out->frames.n / (out->fps > 0 ? out->fps : 1.0);
    close_reader(&r);
    return wf_get_status(c);
}
