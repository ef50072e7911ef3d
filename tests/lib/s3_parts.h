/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_parts.h - the other side of multipart uploads, in memory: a transport that keeps unfinished
 * uploads and completed objects as S3 does, and counts what travels.
 */
#ifndef HF_TESTS_LIB_S3_PARTS_H
#define HF_TESTS_LIB_S3_PARTS_H

#include "lib/fixture.h"
#include "store/http.h"

/* How this store differs from a good one. */
struct s3_parts_odd {
    bool etags_are_no_md5;
    bool listing_denied;
    bool parts_of_one_size; /* demanded at Complete, as by R2 */
};

/* A store of one completed object. Transports are used from any thread, and the functions below
 * while no upload is under way (but for s3_parts_end_all()). */
struct s3_parts;

/* The caller frees, after the stores that use it. */
struct s3_parts *s3_parts_new(const struct s3_parts_odd *odd);
/* A new transport to it; freed by whoever takes it over. */
struct hf_http *s3_parts_transport(struct s3_parts *s);
void s3_parts_free(struct s3_parts *s);

/* After so many more parts every request is refused, until this is called again; SIZE_MAX: never.
 */
void s3_parts_fail_after(struct s3_parts *s, size_t parts);
/* Somebody else begins, or ends, uploads of `key`. */
void s3_parts_begin(struct s3_parts *s, const char *key);
void s3_parts_end_all(struct s3_parts *s);
/* Right before the next Complete, somebody else puts other bytes in the place of a part. */
void s3_parts_replace_one(struct s3_parts *s);

uint64_t s3_parts_sent_bytes(struct s3_parts *s); /* in parts, since the last call */
size_t s3_parts_unfinished(struct s3_parts *s);
/* The completed object, or NULL. */
const struct hf_buf *s3_parts_object(const struct s3_parts *s);

#endif
