/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - holdfast/format, the object that is written before the first segment and then never
 * changes (FORMAT section 4.1): who may read the archive, and under which seed its roots are.
 */
#ifndef HF_ARCHIVE_FORMAT_H
#define HF_ARCHIVE_FORMAT_H

#include "archive/names.h"
#include "base/err.h"
#include "base/rand.h"

#define HF_FORMAT_NUMBER 1  /* the format this program writes, and the newest it reads */
#define HF_ENGINE_MAX    32 /* bytes with NUL */
#define HF_LINEAGE_MAX   33 /* bytes with NUL: 32 hex digits */

struct hf_archive;

struct hf_archive_format {
    uint32_t number;       /* that of the writer */
    uint32_t least_reader; /* a program whose HF_FORMAT_NUMBER is lower must keep off */
    char engine[HF_ENGINE_MAX];
    uint32_t page_bytes;
    uint64_t seed;                /* of the page hashes; random, fixed for the archive's life */
    char lineage[HF_LINEAGE_MAX]; /* random; names this run of TXIDs */
    enum hf_layout layout;
};

/* What it means that segments carry roots and the object is gone; a line without end. */
extern const char hf_format_lost_text[];

/* A format for a new archive: numbers of this program, seed and lineage from `rand`. */
void hf_format_init(struct hf_archive_format *f, const char *engine, uint32_t page_bytes,
                    enum hf_layout layout, struct hf_rand *rand);

/* Append the object's bytes: the same for the same fields, always. */
void hf_format_print(const struct hf_archive_format *f, struct hf_buf *ret);

/*
 * The fields of the object's bytes. Fields this program does not know are skipped.
 * HF_UNSUPPORTED  a newer program is needed; the message has both numbers.
 * HF_DAMAGE       not a format object.
 */
enum hf_code hf_format_parse(struct hf_slice body, struct hf_archive_format *ret,
                             struct hf_err *err) HF_MUST_CHECK;

/* As hf_format_parse(), of what lies in the archive. HF_NOT_FOUND: there is none. One request. */
enum hf_code hf_format_read(const struct hf_archive *a, struct hf_archive_format *ret,
                            struct hf_err *err) HF_MUST_CHECK;

/*
 * The archive has a format object, and a->format and a->layout are what it says: `want` if there
 * was none, else what was there before or what another process put first. The caller compares what
 * it must (hf_format_check()).
 * HF_UNSUPPORTED, HF_DAMAGE  as hf_format_parse(), of what is there.
 * HF_UNCERTAIN               it may be there; call again.
 * Stores without conditional put: looked at before and after; two that create it in the same moment
 * both end with the later one's, unless the first has looked already (docs: one archiver there).
 */
enum hf_code hf_format_create(struct hf_archive *a, const struct hf_archive_format *want,
                              struct hf_err *err) HF_MUST_CHECK;

/*
 * HF_USAGE  the live database is of another engine or page size than the archive; the message says
 *           which and what to do. Nothing is read or written.
 */
enum hf_code hf_format_check(const struct hf_archive *a, const char *engine, uint32_t page_bytes,
                             struct hf_err *err) HF_MUST_CHECK;

#endif
