/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ltx.c - any bytes as an LTX file.
 *
 * Nothing may crash, leak or read out of bounds, and the ways into a file must agree: what decodes
 * also opens, has every page where the index says, and comes back the same from a merge.
 * With libFuzzer (HF_LIBFUZZER defined) this is a target; without, a program that replays the files
 * and folders it is given.
 */
#include <dirent.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/fs.h"
#include "engine/sqlite/ltx/ltx_merge.h"
#include "engine/sqlite/ltx/ltx_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    struct hf_source source; /* first, so that the pointers convert */
    struct hf_sink sink;
    struct hf_buf bytes;
};

static enum hf_code memory_read(struct hf_source *source, uint64_t offset, size_t len,
                                struct hf_buf *ret, struct hf_err *err)
{
    const struct memory *m = (const struct memory *)source;

    (void)err;
    hf_assert(offset <= m->bytes.len && len <= m->bytes.len - offset); /* readers know the size */
    hf_buf_append(ret, m->bytes.ptr + offset, len);
    return HF_OK;
}

static enum hf_code memory_write(struct hf_sink *sink, struct hf_slice data, struct hf_err *err)
{
    struct memory *m = (struct memory *)((char *)sink - offsetof(struct memory, sink));

    (void)err;
    hf_buf_append(&m->bytes, data.ptr, data.len);
    m->source.size_bytes = m->bytes.len;
    return HF_OK;
}

static void memory_init(struct memory *m)
{
    *m = (struct memory){.source = {.read = memory_read, .name = "fuzz"},
                         .sink = {.write = memory_write}};
}

static void memory_done(struct memory *m)
{
    hf_buf_done(&m->bytes);
}

/* What the decoder visited, folded: pages may come in any order. */
struct seen {
    uint64_t pages_count;
    uint64_t sum;
};

static void see_page(struct seen *s, uint32_t pgno, struct hf_slice page)
{
    s->pages_count++;
    s->sum ^= hf_ltx_page_sum(pgno, page);
}

static enum hf_code see(void *ctx, const struct hf_ltx_run *run, struct hf_err *err)
{
    (void)err;
    for (uint32_t i = 0; i < run->count; i++)
        see_page(ctx, run->first_pgno + i, hf_ltx_run_page(run, i));
    return HF_OK;
}

/* Read all pages one by one, by the index. */
static enum hf_code read_singly(struct hf_source *source, struct seen *seen, struct hf_err *err)
{
    HF_AUTO_LTX_READER *reader = NULL;
    enum hf_code rc;

    rc = hf_ltx_open(source, &reader, err);
    if (rc != HF_OK)
        return rc;
    HF_CLEANUP(hf_ltx_cursor_done) struct hf_ltx_cursor cursor;

    hf_ltx_cursor_init(&cursor, reader);
    for (;;) {
        struct hf_ltx_entry entry;
        struct hf_ltx_entry found;
        HF_AUTO_BUF page = {0};

        rc = hf_ltx_index_next(&cursor, &entry, err);
        hf_assert(rc == HF_OK); /* open has checked it */
        if (entry.pgno == 0)
            return HF_OK;
        hf_assert(hf_ltx_find(reader, entry.pgno, &found, err) == HF_OK);
        hf_assert(found.offset == entry.offset && found.frame_bytes == entry.frame_bytes);
        rc = hf_ltx_read_page(reader, &entry, &page, err);
        if (rc != HF_OK)
            return rc;
        see_page(seen, entry.pgno, hf_buf_slice(&page));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_pool *pool = hf_pool_new(0);
    HF_CLEANUP(memory_done) struct memory in;
    HF_CLEANUP(memory_done) struct memory out;
    struct hf_source *inputs[1] = {&in.source};
    struct seen singly = {0};
    struct seen decoded = {0};
    struct seen merged = {0};
    struct hf_err err;

    memory_init(&in);
    memory_init(&out);
    hf_assert(memory_write(&in.sink, hf_slice(data, size), &err) == HF_OK);
    const enum hf_code rc_singly = read_singly(&in.source, &singly, &err);
    const enum hf_code rc = hf_ltx_decode(&in.source, pool, see, &decoded, NULL, NULL, &err);
    const enum hf_code rc_merge = hf_ltx_merge(inputs, 1, 1, &out.sink, NULL, &err);

    hf_assert(rc == HF_OK || rc == HF_DAMAGE || rc == HF_UNSUPPORTED);
    if (rc == HF_OK) {
        hf_assert(rc_singly == HF_OK && memcmp(&singly, &decoded, sizeof(singly)) == 0);
        if (rc_merge == HF_OK) {
            hf_assert(hf_ltx_decode(&out.source, pool, see, &merged, NULL, NULL, &err) == HF_OK);
            hf_assert(memcmp(&merged, &decoded, sizeof(merged)) == 0);
        }
    } else {
        hf_assert(rc_merge != HF_OK);
    }
    hf_pool_free(pool);
    return 0;
}

#ifndef HF_LIBFUZZER

#define INPUT_BYTES_MAX (16 * 1024 * 1024)

static int replay_file(const char *path)
{
    HF_AUTO_BUF bytes = {0};
    struct hf_err err;

    if (hf_fs_read_all(hf_fs_system(), path, INPUT_BYTES_MAX, &bytes, &err) != HF_OK) {
        (void)fprintf(stderr, "fuzz_ltx: %s\n", err.text);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(bytes.ptr, bytes.len);
    return 1;
}

/* Files replayed, or -1. */
static int replay(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int count = 0;

    if (dir == NULL)
        return replay_file(path);
    while (count >= 0 && (entry = readdir(dir)) != NULL) {
        HF_AUTO_FREE char *name = hf_strfmt("%s/%s", path, entry->d_name);

        if (entry->d_name[0] != '.')
            count = replay_file(name) < 0 ? -1 : count + 1;
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        const int count = replay(argv[i]);

        if (count < 0)
            return 1;
        total += count;
    }
    (void)printf("fuzz_ltx: %d inputs\n", total);
    return total > 0 ? 0 : 1; /* an empty corpus proves nothing */
}

#endif
