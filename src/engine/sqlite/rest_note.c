/* SPDX-License-Identifier: Apache-2.0 */
/* rest_note.c - one line of text; what is not, byte by byte, the line of now does not count. */
#include "engine/sqlite/rest_note.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"

#define SETTLED_US     2000000
#define NOTE_BYTES_MAX 256

static char *line_of(const struct hf_stat *st, uint64_t txid)
{
    return hf_strfmt("txid %020" PRIu64 " device %020" PRIu64 " inode %020" PRIu64
                     " bytes %020" PRIu64 " mtime %020" PRId64 " ctime %020" PRId64 "\n",
                     txid, st->device, st->inode, st->size_bytes, st->mtime_us, st->ctime_us);
}

bool rest_note_write(struct hf_fs *fs, const char *path, const char *db_path, uint64_t txid,
                     int64_t now_us)
{
    HF_AUTO_FREE char *line = NULL;
    HF_AUTO_FILE *f = NULL;
    struct hf_stat st;
    struct hf_err ignored;

    if (hf_fs_stat(fs, db_path, &st, &ignored) != HF_OK || now_us - st.ctime_us < SETTLED_US)
        return false;
    line = line_of(&st, txid);
    return hf_fs_open(fs, path, HF_OPEN_CREATE, 0600, &f, &ignored) == HF_OK &&
           hf_file_write(f, 0, hf_slice_str(line), &ignored) == HF_OK;
}

bool rest_note_holds(struct hf_fs *fs, const char *path, const char *db_path, uint64_t txid)
{
    HF_AUTO_FREE char *line = NULL;
    HF_AUTO_BUF note = {0};
    struct hf_stat st;
    struct hf_err ignored;

    if (hf_fs_stat(fs, db_path, &st, &ignored) != HF_OK ||
        hf_fs_read_all(fs, path, NOTE_BYTES_MAX, &note, &ignored) != HF_OK)
        return false;
    line = line_of(&st, txid);
    return strcmp(hf_buf_str(&note), line) == 0;
}
