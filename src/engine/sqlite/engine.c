/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - the table by which the services know SQLite. */
#include "engine/engine.h"

#include "engine/sqlite/capture.h"
#include "engine/sqlite/describe.h"
#include "engine/sqlite/ltx/ltx.h"
#include "engine/sqlite/replica.h"
#include "engine/sqlite/scan.h"
#include "engine/sqlite/segment.h"

static const struct hf_segment_codec codec = {
    .header_bytes = HF_LTX_HEADER_BYTES,
    .info = hf_ltx_seg_info,
};

static const struct hf_engine engine = {
    .name = "sqlite",
    .codec = &codec,
    .replica_open = sqlite_replica_open,
    .replica_import = sqlite_replica_import,
    .live_probe = sqlite_live_probe,
    .live_prepare = sqlite_live_prepare,
    .live_open = sqlite_live_open,
    .scan_open = sqlite_scan_open,
    .segment_check = sqlite_segment_check,
    .segment_page = sqlite_segment_page,
    .segment_end = sqlite_segment_end,
    .describe = sqlite_describe,
};

const struct hf_engine *hf_engine_sqlite(void)
{
    return &engine;
}
