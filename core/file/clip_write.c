/*
 * clip_write.c - writing clips through FFmpeg: encoding, muxing into the atomic writer.
 *
 * One thread and no time stamps: equal clips give equal bytes.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <string.h>

#include "core/file/clip_impl.h"
#include "core/file/file_write.h"

enum { SOUND_BITS = 96000, BLOCK = 4096, OPUS_HZ = 48000 };
static const double QUALITY = 0.7;

/* What an ending means: the muxer, and encoders in the order of preference. */
typedef struct container {
    const char *ending, *muxer, *video[4], *audio[3];
    bool even_sides;
} container;

static const container containers[] = {
    {".webm", "webm", {"libvpx-vp9", "libvpx"}, {"libopus"}, false},
    {".mp4", "mp4", {"libx264", "libopenh264", "mpeg4"}, {"aac"}, true},
};

typedef struct writer {
    wf_ctx *c;
    const char *name;
    const container *kind;
    const wf_clip *clip;
    wf_file_write *file;
    AVIOContext *io;
    AVFormatContext *f;
    AVCodecContext *video, *audio;      /* audio NULL: no sound */
    AVPacket *packet;
    AVFrame *picture, *sound;
    struct SwsContext *sws;
    SwrContext *swr;
    int64_t samples_given;              /* to the resampler */
    int64_t samples_sent;               /* to the encoder, at its rate */
} writer;

/* ---- FFmpeg's file is the atomic writer ---- */

static int on_write(void *arg, uint8_t *data, int n)
{
    writer *w = arg;
    return wf_file_write_put(w->c, w->file, data, (size_t)n) == WF_OK ? n : AVERROR(EIO);
}

static int64_t on_seek(void *arg, int64_t offset, int whence)
{
    writer *w = arg;
    const int64_t n = (int64_t)wf_file_write_get_bytes(w->file);
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return n;
    const int64_t base = whence == SEEK_SET ? 0
                         : whence == SEEK_CUR ? (int64_t)wf_file_write_tell(w->file) : n;
    if (offset < -base || offset > n - base) return AVERROR(EINVAL);
    wf_file_write_seek(w->file, (uint64_t)(base + offset));
    return base + offset;
}

static wf_status open_file(writer *w, bool overwrite)
{
    uint8_t *buffer = av_malloc(WFI_CLIP_IO_BYTES);
    const int e = avformat_alloc_output_context2(&w->f, NULL, w->kind->muxer, NULL);
    w->io = buffer ? avio_alloc_context(buffer, WFI_CLIP_IO_BYTES, 1, w, NULL, on_write, on_seek)
                   : NULL;
    if (!w->io) av_free(buffer);
    w->packet = av_packet_alloc();
    w->picture = av_frame_alloc();
    w->sound = av_frame_alloc();
    if (e < 0) return wfi_clip_fail(w->c, w->name, w->kind->muxer, e, WF_EUNSUPPORTED);
    if (!w->io || !w->packet || !w->picture || !w->sound)
        return wf_fail_status(w->c, WF_ENOMEM, "%s: no memory", w->name);
    w->f->pb = w->io;
    w->f->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    w->file = wf_file_write_open(w->c, w->name, overwrite);
    return wf_get_status(w->c);
}

/* ---- encoders ---- */

/* The first encoder of the list that this FFmpeg has, and a stream for it. */
static AVCodecContext *new_encoder(writer *w, const char *const *names)
{
    const AVCodec *codec = NULL;
    for (int i = 0; names[i] && !codec; i++) codec = avcodec_find_encoder_by_name(names[i]);
    if (!codec)
        return wf_fail(w->c, WF_EUNSUPPORTED, "%s: this FFmpeg has no encoder %s", w->name,
                       names[0]);
    AVCodecContext *e = avcodec_alloc_context3(codec);
    if (!e) return wf_fail(w->c, WF_ENOMEM, "%s: no memory", w->name);
    e->thread_count = 1;
    e->flags |= AV_CODEC_FLAG_BITEXACT;
    if (w->f->oformat->flags & AVFMT_GLOBALHEADER) e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return e;
}

static wf_status start_encoder(writer *w, AVCodecContext *e, AVDictionary *options)
{
    AVStream *s = avformat_new_stream(w->f, NULL);
    int r = s ? avcodec_open2(e, e->codec, &options) : AVERROR(ENOMEM);
    av_dict_free(&options);
    if (r >= 0) r = avcodec_parameters_from_context(s->codecpar, e);
    if (r >= 0) s->time_base = e->time_base;
    if (r >= 0 && e->codec_type == AVMEDIA_TYPE_VIDEO) s->avg_frame_rate = e->framerate;
    return r < 0 ? wfi_clip_fail(w->c, w->name, e->codec->name, r, WF_EUNSUPPORTED) : WF_OK;
}

/* Quality 0..1 in the encoder's own words. */
static AVDictionary *quality_of(AVCodecContext *e, double quality)
{
    AVDictionary *d = NULL;
    const bool is_vpx = strncmp(e->codec->name, "libvpx", 6) == 0;
    const double worst = is_vpx ? 63.0 : 51.0;
    if (strcmp(e->codec->name, "mpeg4") == 0) {
        e->flags |= AV_CODEC_FLAG_QSCALE;
        e->global_quality = (int)lrint((1.0 + 30.0 * (1.0 - quality)) * FF_QP2LAMBDA);
        return NULL;
    }
    av_dict_set_int(&d, "crf", lrint(worst * (1.0 - quality)), 0);
    if (is_vpx) av_dict_set(&d, "deadline", "good", 0);
    if (is_vpx) av_dict_set(&d, "cpu-used", "2", 0);
    if (strcmp(e->codec->name, "libvpx") == 0)  /* VP8 knows crf only below a rate */
        e->bit_rate = (int64_t)(e->width * (double)e->height * av_q2d(e->framerate));
    return d;
}

static wf_status open_video(writer *w, double quality)
{
    const wf_pixels *p = &w->clip->frames.list[0];
    AVCodecContext *e = w->video = new_encoder(w, w->kind->video);
    if (!e) return wf_get_status(w->c);
    e->width = (int)p->width;
    e->height = (int)p->height;
    e->pix_fmt = AV_PIX_FMT_YUV420P;
    e->framerate = av_d2q(w->clip->fps, 65535);
    e->time_base = av_inv_q(e->framerate);
    e->colorspace = AVCOL_SPC_SMPTE170M;        /* what swscale makes of RGB */
    e->color_range = AVCOL_RANGE_MPEG;
    WF_TRY(start_encoder(w, e, quality_of(e, quality)));
    w->picture->format = e->pix_fmt;
    w->picture->width = e->width;
    w->picture->height = e->height;
    const int r = av_frame_get_buffer(w->picture, 0);
    if (r < 0) return wfi_clip_fail(w->c, w->name, "frame", r, WF_ENOMEM);
    w->sws = sws_getContext(e->width, e->height,
                            p->channels == 1 ? AV_PIX_FMT_GRAY8
                            : p->channels == 3 ? AV_PIX_FMT_RGB24 : AV_PIX_FMT_RGBA,
                            e->width, e->height, e->pix_fmt,
                            SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
    return w->sws ? WF_OK : wf_fail_status(w->c, WF_ENOMEM, "%s: no memory", w->name);
}

/* The rate itself where the encoder has it, else 48 kHz. */
static int encoder_rate(const AVCodec *codec, int rate_hz)
{
    for (const int *r = codec->supported_samplerates; r && *r; r++)
        if (*r == rate_hz) return rate_hz;
    return codec->supported_samplerates ? OPUS_HZ : rate_hz;
}

static wf_status open_audio(writer *w)
{
    const wf_sound *s = &w->clip->sound;
    if (s->samples == 0) return WF_OK;
    AVCodecContext *e = w->audio = new_encoder(w, w->kind->audio);
    if (!e) return wf_get_status(w->c);
    e->sample_fmt = e->codec->sample_fmts[0];
    for (const enum AVSampleFormat *f = e->codec->sample_fmts; *f >= 0; f++)
        if (*f == AV_SAMPLE_FMT_FLT || *f == AV_SAMPLE_FMT_FLTP) e->sample_fmt = *f;
    e->sample_rate = encoder_rate(e->codec, s->rate_hz);
    e->time_base = (AVRational){1, e->sample_rate};
    e->bit_rate = SOUND_BITS;
    av_channel_layout_default(&e->ch_layout, (int)s->channels);
    WF_TRY(start_encoder(w, e, NULL));
    int r = swr_alloc_set_opts2(&w->swr, &e->ch_layout, e->sample_fmt, e->sample_rate,
                                &e->ch_layout, AV_SAMPLE_FMT_FLT, s->rate_hz, 0, NULL);
    if (r >= 0) r = swr_init(w->swr);
    w->sound->format = e->sample_fmt;
    w->sound->sample_rate = e->sample_rate;
    w->sound->nb_samples = e->frame_size > 0 ? e->frame_size : BLOCK;
    if (r >= 0) r = av_channel_layout_copy(&w->sound->ch_layout, &e->ch_layout);
    if (r >= 0) r = av_frame_get_buffer(w->sound, 0);
    return r < 0 ? wfi_clip_fail(w->c, w->name, "sound", r, WF_EUNSUPPORTED) : WF_OK;
}

/* ---- frames and samples ---- */

/* Give frame (NULL: the end) to encoder e of stream i and write what comes out. */
static wf_status encode(writer *w, AVCodecContext *e, const AVFrame *frame)
{
    const int i = e == w->video ? 0 : 1;
    WF_TRY(wf_ctx_check_cancel(w->c, w->name));
    int r = avcodec_send_frame(e, frame);
    while (r >= 0) {
        r = avcodec_receive_packet(e, w->packet);
        if (r == AVERROR(EAGAIN) || r == AVERROR_EOF) return WF_OK;
        if (r < 0) break;
        w->packet->stream_index = i;
        if (i == 0 && w->packet->duration == 0) w->packet->duration = 1;
        av_packet_rescale_ts(w->packet, e->time_base, w->f->streams[i]->time_base);
        r = av_interleaved_write_frame(w->f, w->packet);
    }
    return wfi_clip_fail(w->c, w->name, "cannot be written", r, WF_EIO);
}

static wf_status write_picture(writer *w, int64_t i)
{
    const wf_pixels *p = &w->clip->frames.list[i];
    const uint8_t *from[4] = {p->data};
    const int stride[4] = {(int)wf_pixels_row_bytes(p)};
    const int r = av_frame_make_writable(w->picture);
    if (r < 0) return wfi_clip_fail(w->c, w->name, "frame", r, WF_ENOMEM);
    sws_scale(w->sws, from, stride, 0, (int)p->height, w->picture->data, w->picture->linesize);
    w->picture->pts = i;
    return encode(w, w->video, w->picture);
}

/* What the resampler holds, in whole blocks of the encoder; at the end the rest too. */
static wf_status drain_sound(writer *w, bool at_end)
{
    const int block = w->audio->frame_size > 0 ? w->audio->frame_size : BLOCK;
    while (at_end || swr_get_out_samples(w->swr, 0) >= block) {
        w->sound->nb_samples = block;
        int r = av_frame_make_writable(w->sound);
        if (r >= 0)
            r = swr_convert(w->swr, w->sound->extended_data, block, NULL, 0);
        if (r < 0) return wfi_clip_fail(w->c, w->name, "sound", r, WF_ENOMEM);
        if (r == 0) return WF_OK;
        w->sound->nb_samples = r;
        w->sound->pts = w->samples_sent;
        w->samples_sent += r;
        WF_TRY(encode(w, w->audio, w->sound));
    }
    return WF_OK;
}

/* Samples until t seconds. */
static wf_status write_sound(writer *w, double t)
{
    const wf_sound *s = &w->clip->sound;
    while (w->audio && w->samples_given < s->samples &&
           (double)w->samples_given < t * s->rate_hz) {
        const int64_t left = s->samples - w->samples_given;
        const int n = (int)(left < BLOCK ? left : BLOCK);
        const uint8_t *from = (const uint8_t *)(s->data + w->samples_given * s->channels);
        const int r = swr_convert(w->swr, NULL, 0, &from, n);
        if (r < 0) return wfi_clip_fail(w->c, w->name, "sound", r, WF_ENOMEM);
        w->samples_given += n;
        WF_TRY(drain_sound(w, false));
    }
    return WF_OK;
}

static wf_status write_all(writer *w)
{
    const wf_clip *k = w->clip;
    AVDictionary *options = NULL;
    av_dict_set(&options, "movflags", "use_metadata_tags", 0);  /* for names of our own in .mp4 */
    int r = avformat_write_header(w->f, &options);
    av_dict_free(&options);
    if (r < 0) return wfi_clip_fail(w->c, w->name, "cannot be written", r, WF_EIO);
    for (int64_t i = 0; i < k->frames.n; i++) {
        WF_TRY(write_picture(w, i));
        WF_TRY(write_sound(w, (double)(i + 1) / k->fps));
    }
    WF_TRY(write_sound(w, INFINITY));
    if (w->audio) WF_TRY(drain_sound(w, true));
    WF_TRY(encode(w, w->video, NULL));
    if (w->audio) WF_TRY(encode(w, w->audio, NULL));
    r = av_write_trailer(w->f);
    avio_flush(w->io);
    if (r < 0 || w->io->error < 0)
        return wfi_clip_fail(w->c, w->name, "cannot be written", r < 0 ? r : w->io->error, WF_EIO);
    return wf_get_status(w->c);
}

/* ---- the whole ---- */

static const container *find_container(const char *path)
{
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
        const size_t k = strlen(containers[i].ending);
        if (n > k && strcasecmp(path + n - k, containers[i].ending) == 0) return &containers[i];
    }
    return NULL;
}

static wf_status check_clip(writer *w, const wf_clip_options *o)
{
    const wf_clip *k = w->clip;
    if (!w->kind)
        return wf_fail_status(w->c, WF_EUNSUPPORTED,
                              "%s: videos are written as .webm, .mp4 or .apng", w->name);
    if (k->frames.n < 1) return wf_fail_status(w->c, WF_EARG, "%s: there are no frames", w->name);
    if (!(k->fps >= 0.01 && k->fps <= 1000))
        return wf_fail_status(w->c, WF_EARG, "%s: %g frames a second", w->name, k->fps);
    const wf_pixels *p = k->frames.list;
    for (int64_t i = 0; i < k->frames.n; i++)
        if (p[i].width != p->width || p[i].height != p->height || p[i].channels != p->channels ||
            p[i].bits != 8)
            return wf_fail_status(w->c, WF_EARG, "%s: frame %lld differs in kind from the first",
                                  w->name, (long long)i + 1);
    if (w->kind->even_sides && (p->width % 2 || p->height % 2))
        return wf_fail_status(w->c, WF_EUNSUPPORTED, "%s: %s wants even sides, not %lldx%lld",
                              w->name, w->kind->ending, (long long)p->width, (long long)p->height);
    const wf_sound *s = &k->sound;
    for (int64_t i = 0; i < s->samples * s->channels; i++)
        if (!isfinite(s->data[i]))
            return wf_fail_status(w->c, WF_ENAN, "%s: sample %lld is not a number", w->name,
                                  (long long)(i / s->channels));
    return wf_meta_check(w->c, o->meta);
}

static void close_writer(writer *w)
{
    swr_free(&w->swr);
    sws_freeContext(w->sws);
    av_frame_free(&w->sound);
    av_frame_free(&w->picture);
    av_packet_free(&w->packet);
    avcodec_free_context(&w->audio);
    avcodec_free_context(&w->video);
    avformat_free_context(w->f);
    if (w->io) av_freep(&w->io->buffer);
    avio_context_free(&w->io);
    wf_file_write_close(w->file);
}

wf_status wf_clip_save(wf_ctx *c, const char *path, const wf_clip *k, const wf_clip_options *o)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    writer w = {.c = c, .name = path, .kind = find_container(path), .clip = k};
    const double quality = o->quality < 0 ? QUALITY : o->quality > 1 ? 1.0 : o->quality;
    av_log_set_level(AV_LOG_QUIET);
    wf_status st = check_clip(&w, o);
    if (st == WF_OK) st = open_file(&w, o->overwrite);
    if (st == WF_OK) st = open_video(&w, quality);
    if (st == WF_OK) st = open_audio(&w);
    if (st == WF_OK && o->meta && o->meta->parameters)
        av_dict_set(&w.f->metadata, "title", o->meta->parameters, 0);
    if (st == WF_OK && o->meta && o->meta->weft)
        av_dict_set(&w.f->metadata, "weft", o->meta->weft, 0);
    if (st == WF_OK) st = write_all(&w);
    wf_file_write *file = w.file;
    w.file = st == WF_OK ? NULL : file;
    close_writer(&w);
    return st == WF_OK ? wf_file_write_commit(c, file) : wf_get_status(c);
}
