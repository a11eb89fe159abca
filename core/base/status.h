/* status.h - the one list of ways a call can fail. */
#ifndef WF_CORE_STATUS_H
#define WF_CORE_STATUS_H

/* name, the words a user reads, and the error kind of the Lua API (its exit code follows). */
#define WF_STATUS_MAP(X)                                        \
    X(OK,           "no error",            "none")              \
    X(ENOMEM,       "out of memory",       "oom")               \
    X(ESHAPE,       "shape mismatch",      "usage")             \
    X(EDTYPE,       "wrong dtype",         "usage")             \
    X(EARG,         "bad argument",        "usage")             \
    X(EDEAD,        "tensor already freed", "usage")            \
    X(EGRAD,        "no gradient",         "usage")             \
    X(EDEVICE,      "device",              "device")            \
    X(EIO,          "input or output",     "io")                \
    X(EFORMAT,      "bad file",            "format")            \
    X(EMODEL,       "bad model",           "model")             \
    X(ENAN,         "not a number",        "model")             \
    X(ECANCEL,      "cancelled",           "cancelled")         \
    X(EUNSUPPORTED, "not supported",       "unsupported")       \
    X(EINTERNAL,    "fault in weft",       "internal")          \
    X(ESKIP,        "kernel declined",     "internal")

typedef enum wf_status {
#define WF_X(name, text, kind) WF_##name,
    WF_STATUS_MAP(WF_X)
#undef WF_X
    WF_STATUS_COUNT
} wf_status;

/* Words for a person, e.g. "shape mismatch"; never NULL. */
const char *wf_status_text(wf_status st);

/* Error kind of the Lua API, e.g. "usage"; never NULL. */
const char *wf_status_kind(wf_status st);

#endif
