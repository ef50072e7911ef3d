/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rawfile.h - the bytes of a database file as the device has them, past the page cache.
 */
#ifndef HF_ENGINE_SQLITE_RAWFILE_H
#define HF_ENGINE_SQLITE_RAWFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define RAWFILE_ALIGN 4096 /* bytes: what O_DIRECT asks for on every common device */

struct rawfile {
    int fd;
    bool direct;
    const char *why_not; /* static text, if !direct */
};

/* O_DIRECT where the file system takes it; else plain reads after the cache was told to drop. */
enum hf_code rawfile_open(const char *path, struct rawfile *ret, struct hf_err *err) HF_MUST_CHECK;
void rawfile_close(struct rawfile *f);

/*
 * Read `len` bytes at `offset`, both multiples of RAWFILE_ALIGN, into `dst`, aligned alike.
 * `*ret_len` is less only at the end of the file. HF_IO: the device gave no bytes.
 */
enum hf_code rawfile_read(struct rawfile *f, uint64_t offset, uint8_t *dst, size_t len,
                          size_t *ret_len, struct hf_err *err) HF_MUST_CHECK;

#endif
