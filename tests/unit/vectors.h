/* vectors.h - reference cases of tests/.../vectors: a list of rows over a file of tensors. */
#ifndef WF_TESTS_VECTORS_H
#define WF_TESTS_VECTORS_H

#include <math.h>

#include "core/file/json.h"
#include "core/file/tensors.h"
#include "tests/unit/files.h"

typedef struct vectors {
    wf_tensors *file;
    wf_json *rows;
} vectors;

static inline vectors open_vectors(wf_ctx *c, const char *path)
{
    vectors v = {.file = wf_tensors_open(c, path)};
    expect_ok(c);
    const char *text = wf_tensors_get_meta(v.file, "cases");
    v.rows = wf_json_parse(c, text, strlen(text), path);
    expect_ok(c);
    return v;
}

static inline void close_vectors(vectors *v)
{
    wf_json_free(v->rows);
    wf_tensors_close(v->file);
}

static inline bool is_op(const wf_json *row, const char *op)
{
    return strcmp(wf_json_text(wf_json_find(row, "op"), ""), op) == 0;
}

static inline const char *case_of(const wf_json *row)
{
    return wf_json_text(wf_json_find(row, "case"), "");
}

/* Tensor i of the row's list ("inputs" or "outputs"). */
static inline wf_tensor *get_vector(wf_ctx *c, const vectors *v, const wf_json *row,
                                    const char *list, int64_t i)
{
    const char *name = wf_json_text(wf_json_at(wf_json_find(row, list), i), "");
    return wf_tensors_get(c, v->file, wf_tensors_find(v->file, name));
}

static inline double attr(const wf_json *row, const char *name)
{
    return wf_json_number(wf_json_find(wf_json_find(row, "attrs"), name), NAN);
}

static inline const char *attr_text(const wf_json *row, const char *name)
{
    return wf_json_text(wf_json_find(wf_json_find(row, "attrs"), name), "");
}

/* Largest difference of two tensors of one shape. */
static inline double difference(wf_ctx *c, wf_tensor *a, wf_tensor *b)
{
    expect_ok(c);
    const int64_t n = wf_numel(a);
    const wf_shape s = wf_get_shape(a), t = wf_get_shape(b);
    assert_true(wf_shape_is_same(&s, &t));
    float *x = malloc((size_t)n * 4 + 1), *y = malloc((size_t)n * 4 + 1);
    assert_int_equal(wf_to_f32(c, a, x, n), WF_OK);
    assert_int_equal(wf_to_f32(c, b, y, n), WF_OK);
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)x[i] - (double)y[i]);
        most = d > most || isnan(d) ? d : most;
    }
    free(x);
    free(y);
    return most;
}

#endif
