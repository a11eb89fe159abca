/* op_cases.h - the cases of tests/op/vectors as calls: an op of ops.def, or one of some
 * compositions. */
#ifndef WF_TESTS_OP_CASES_H
#define WF_TESTS_OP_CASES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/file/json.h"
#include "core/tensor/op.h"
#include "core/tensor/ops.h"

/* Families of ops: files of tests/op/vectors. */
static const char *const op_case_files[] = {"view",   "unary", "binary", "reduce",    "sort",
                                            "matmul", "conv",  "norm",   "attention", "index",
                                            "resize", "loss",  "stft",   "train"};

static inline int64_t op_case_whole(wf_ctx *c, const wf_json *attrs, const char *key)
{
    return wf_json_get_int(c, attrs, key, 0);
}

/* Attributes by name into the op's order, its tail behind them. */
static inline int op_case_attrs(wf_ctx *c, const wf_op *op, const wf_json *attrs, double *attr)
{
    char name[64];
    double value = 0.0;
    int n = 0;
    for (; n < op->n_attr; n++) {
        (void)wf_op_get_attr(op, n, name, sizeof name, &value);
        attr[n] = wf_json_get_number(c, attrs, name, value);
    }
    if (!op->has_tail) return n;
    (void)wf_op_get_attr(op, n, name, sizeof name, &value);
    name[strcspn(name, ".")] = '\0';
    const wf_json *tail = wf_json_find(attrs, name);
    for (int64_t i = 0; i < wf_json_count(tail) && n < WF_OP_MAX_ATTR; i++)
        attr[n++] = wf_json_number(wf_json_at(tail, i), NAN);
    return n;
}

/* The cases that are a composition: not an op, or one that copies when it must. */
static inline bool op_case_composite(wf_ctx *c, const char *name, wf_tensor **in, const wf_json *a,
                                     wf_tensor **out)
{
    if (strcmp(name, "conv1d") == 0) {
        out[0] = wf_conv1d(c, in[0], in[1], in[2], op_case_whole(c, a, "stride"),
                           op_case_whole(c, a, "pad"), op_case_whole(c, a, "dilation"),
                           op_case_whole(c, a, "groups"));
    } else if (strcmp(name, "conv_transpose1d") == 0) {
        out[0] = wf_conv_transpose1d(c, in[0], in[1], in[2], op_case_whole(c, a, "stride"),
                                     op_case_whole(c, a, "pad"), op_case_whole(c, a, "out_pad"));
    } else if (strcmp(name, "conv_frames") == 0) {
        out[0] = wf_conv_frames(c, in[0], in[1], in[2]);
    } else if (strcmp(name, "stft_centered") == 0) {
        const int64_t half = wf_dim(in[1], 0) / 2, pads[] = {0, 0, half, half};
        out[0] = wf_stft(c, wf_pad(c, in[0], pads, WF_PAD_REFLECT, 0.0), in[1],
                         op_case_whole(c, a, "hop"));
    } else if (strcmp(name, "reshape") == 0) {
        int64_t dims[WF_MAX_RANK];
        const wf_json *list = wf_json_find(a, "dims");
        for (int64_t i = 0; i < wf_json_count(list); i++)
            dims[i] = wf_json_int(wf_json_at(list, i), 0);
        out[0] = wf_reshape(c, in[0], (int)wf_json_count(list), dims);
    } else {
        return false;
    }
    return true;
}

/* The op of that name; NULL when there is none. */
static inline const wf_op *op_find(const char *name)
{
    for (int i = 0; i < WF_OP_COUNT; i++)
        if (strcmp(wf_op_get((wf_op_id)i)->name, name) == 0) return wf_op_get((wf_op_id)i);
    return NULL;
}

/* Run a case. An op that writes in place gets copies, and its results are its first inputs. */
static inline void op_case_call(wf_ctx *c, const wf_json *row, wf_tensor **in, int n_in,
                                wf_tensor **out)
{
    const char *name = wf_json_get_text(c, row, "op", "");
    const wf_json *attrs = wf_json_find(row, "attrs");
    const wf_op *op = op_find(name);
    double attr[WF_OP_MAX_ATTR] = {0};
    if (op_case_composite(c, name, in, attrs, out)) return;
    if (!op) fail_msg("%s is neither an op nor a composite", name);
    const int n_attr = op_case_attrs(c, op, attrs, attr);
    const wf_op_id id = (wf_op_id)(op - wf_op_get((wf_op_id)0));
    if (op->flag != WF_INTO) {
        (void)wf_op_call_multi(c, id, in, n_in, attr, n_attr, out);
        return;
    }
    for (int i = 0; i < n_in; i++) in[i] = wf_copy(c, in[i]);
    (void)wf_op_call(c, id, in, n_in, attr, n_attr);
    for (int i = 0; i < n_in && i < WF_OP_MAX_OUT; i++) out[i] = in[i];
}

#endif
