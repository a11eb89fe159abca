/* near.h - comparing rows of values with a tolerance that has two parts. */
#ifndef WF_TESTS_NEAR_H
#define WF_TESTS_NEAR_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Root mean square of the finite values. */
static inline double near_rms(const float *v, int64_t n)
{
    double square = 0.0;
    int64_t n_finite = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) continue;
        square += (double)v[i] * (double)v[i];
        n_finite++;
    }
    return n_finite ? sqrt(square / (double)n_finite) : 0.0;
}

/* Whether got is want but for rel of it and abs of rms; NaN and infinities must be the same. */
static inline bool near_value(float got, float want, double rel, double abs, double rms)
{
    if (isnan(want)) return isnan(got);
    if (isinf(want)) return got == want;
    return fabs((double)got - (double)want) <= rel * fabs((double)want) + abs * rms;
}

/* The first value of got[n] that is not near want[n], -1 of none. */
static inline int64_t near_find_wrong(const float *got, const float *want, int64_t n, double rel,
                                      double abs)
{
    const double rms = near_rms(want, n);
    for (int64_t i = 0; i < n; i++)
        if (!near_value(got[i], want[i], rel, abs, rms)) return i;
    return -1;
}

#endif
