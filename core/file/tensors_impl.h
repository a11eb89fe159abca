/* tensors_impl.h - what reading and writing of safetensors share. */
#ifndef WF_CORE_TENSORS_IMPL_H
#define WF_CORE_TENSORS_IMPL_H

#include "core/file/tensors.h"

/* The format's word for a dtype, e.g. "BF16"; NULL when it has none. */
const char *wfi_tensors_format(wf_dtype t);

#endif
