/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - where bytes come from and go to, when a codec should not care.
 */
#ifndef HF_BASE_IO_H
#define HF_BASE_IO_H

#include "base/buf.h"
#include "base/err.h"

/* Takes bytes in order. One thread. Implementers put it first in their own struct. */
struct hf_sink {
    enum hf_code (*write)(struct hf_sink *s, struct hf_slice data, struct hf_err *err);
    /* Told where in its source a writer is: what comes next was made from the bytes at `position`,
     * and from none before. Optional: NULL for who does not care, and a writer need not tell. */
    void (*border)(struct hf_sink *s, uint64_t position);
};

/*
 * Random access to `size_bytes` bytes that do not change. read() appends exactly `len` bytes from
 * `offset` to `ret` (asking for more than there are is HF_DAMAGE: the thing is shorter than it
 * should be) and may be called from several threads at once.
 */
struct hf_source {
    enum hf_code (*read)(struct hf_source *s, uint64_t offset, size_t len, struct hf_buf *ret,
                         struct hf_err *err);
    uint64_t size_bytes;
    const char *name; /* for messages; lives as the source does */
};

#endif
