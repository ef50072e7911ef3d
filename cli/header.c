/* SPDX-License-Identifier: Apache-2.0 */
/* header.c - the first bytes of a segment, explained by the engine. */
#include "cli/header.h"

#include "archive/source.h"

enum hf_code hf_header_read(const struct hf_session *s, const struct hf_archive *archive,
                            const struct hf_segment *segment, struct hf_seg_info *ret,
                            struct hf_err *err)
{
    HF_CLEANUP(hf_segment_ref_done) struct hf_segment_ref ref = {0};
    HF_CLEANUP(hf_segment_source_done) struct hf_segment_source source = {0};
    HF_AUTO_BUF header = {0};
    enum hf_code rc = HF_OK;

    hf_segment_ref_init(&ref, archive, segment);
    hf_segment_source_init(&source, archive, &ref);
    rc = source.base.read(&source.base, 0, s->engine->codec->header_bytes, &header, err);
    if (rc == HF_OK)
        rc = s->engine->codec->info(hf_buf_slice(&header), ret, err);
    return rc;
}
