/* status.c - words of the status list. */
#include "core/base/status.h"

const char *wf_status_text(wf_status st)
{
    static const char *const text[] = {
#define WF_X(name, words, kind) words,
        WF_STATUS_MAP(WF_X)
#undef WF_X
    };
    return (unsigned)st < WF_STATUS_COUNT ? text[st] : "unknown status";
}

const char *wf_status_kind(wf_status st)
{
    static const char *const kinds[] = {
#define WF_X(name, words, kind) kind,
        WF_STATUS_MAP(WF_X)
#undef WF_X
    };
    return (unsigned)st < WF_STATUS_COUNT ? kinds[st] : "internal";
}
