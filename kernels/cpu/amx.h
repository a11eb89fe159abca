/* amx.h - products of bf16 by tiles: 16 rows of 64 bytes a register, 16x16 sums in f32.
 *
 * Level amx alone. A tile of A is 16 rows of 32 bf16; a tile of B is 16 rows of k pairs by 16
 * columns, which is how panels of PAIRS lie. Registers 0 to 3 hold the sums of 32 rows by 32
 * columns, 4 and 5 A, 6 and 7 B.
 */
#ifndef WF_KERNELS_CPU_AMX_H
#define WF_KERNELS_CPU_AMX_H

#include "kernels/cpu/gemm.h"

enum { TILE = 16, TILE_BYTES = 1024, TILE_K = 2 * TILE };

/* Shape all registers; each part that uses them does it first, and gives them back. */
void WF_K(amx_open)(void);
void WF_K(amx_close)(void);

/* c[32,32] = or += a b over so many tiles of k; tall, wide: else 16 rows, 16 columns.
 * The tiles of 16 rows of a follow each other in k, and the lower 16 rows' stand a_step bytes
 * behind; rows of b are b_row bytes apart. */
void WF_K(amx_tiles)(int64_t n_k, const uint16_t *a, int64_t a_step, const void *b, int64_t b_row,
                     float *c, int64_t c_row, bool add, bool tall, bool wide);
/* n values of one row of A, zeros behind up to whole tiles; dst is that row of the first tile. */
void WF_K(amx_row)(const float *src, int64_t n, uint16_t *dst);

/* g's product, where its A can be taken row by row or column by column; else WF_ESKIP. */
wf_status WF_K(amx_gemm)(wf_ctx *c, const gemm *g);

#endif
