/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header.h - what one segment of an archive says of itself.
 */
#ifndef HF_CLI_HEADER_H
#define HF_CLI_HEADER_H

#include "archive/archive.h"
#include "cli/session.h"

/* What the segment's header says. Codes as the source's read and the codec's info. One request. */
enum hf_code hf_header_read(const struct hf_session *s, const struct hf_archive *archive,
                            const struct hf_segment *segment, struct hf_seg_info *ret,
                            struct hf_err *err) HF_MUST_CHECK;

#endif
