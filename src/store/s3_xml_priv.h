/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml_priv.h - the reader under s3_xml.h. For s3_xml.c and s3_xml_uploads.c.
 */
#ifndef HF_STORE_S3_XML_PRIV_H
#define HF_STORE_S3_XML_PRIV_H

#include "store/s3_xml.h"

/* Called at the end of each element. Anything but HF_OK ends the reading with that code. */
typedef enum hf_code hf_s3_xml_fn(void *ctx, const char *path, const char *text,
                                  struct hf_err *err);

/* Read the whole document; `fn` has seen its elements up to the first failure. */
enum hf_code hf_s3_xml_read(struct hf_slice xml, hf_s3_xml_fn *fn, void *ctx,
                            struct hf_err *err) HF_MUST_CHECK;

/* A number in an element's text. */
enum hf_code hf_s3_xml_number(const char *text, uint64_t *ret, struct hf_err *err) HF_MUST_CHECK;

#endif
