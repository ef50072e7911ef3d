/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.c - a ring of segments, each with a task group of its own, so that waiting for one does
 * not wait for those behind it, and a failure is met when its segment's turn comes.
 *
 * A slot belongs to its task from hf_group_run() to hf_group_wait(), else to the caller's thread.
 */
#include "rebuilder/fetch.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/check.h"

struct slot {
    struct hf_source memory;  /* first, so that the pointers convert: reads `bytes` */
    struct hf_source counted; /* reads `remote`, and tells the meter */
    struct hf_segment_source remote;
    struct hf_fetch *fetch;
    struct hf_group *group;
    struct hf_buf bytes;
    bool whole; /* `bytes` is the segment */
};

struct hf_fetch {
    const struct hf_archive *archive;
    const struct hf_segment_ref *refs;
    size_t refs_count;
    struct hf_meter *meter;
    hf_stop_flag *stop;
    size_t started; /* segments that have got a slot */
    size_t next;    /* the one whose turn it is */
    struct slot slots[HF_FETCH_AHEAD];
};

void hf_meter_init(struct hf_meter *m, struct hf_progress *progress, uint64_t total_bytes)
{
    *m = (struct hf_meter){.progress = progress, .total_bytes = total_bytes};
    (void)pthread_mutex_init(&m->mutex, NULL);
}

void hf_meter_done(struct hf_meter *m)
{
    (void)pthread_mutex_destroy(&m->mutex);
}

uint64_t hf_meter_bytes(struct hf_meter *m)
{
    (void)pthread_mutex_lock(&m->mutex);
    const uint64_t bytes = m->guarded.bytes;

    (void)pthread_mutex_unlock(&m->mutex);
    return bytes;
}

/* A few bytes are read twice (a header, the end of a large file), hence the limit. */
static void add_bytes(struct hf_meter *m, uint64_t bytes)
{
    (void)pthread_mutex_lock(&m->mutex);
    m->guarded.bytes += bytes;
    if (m->progress != NULL)
        m->progress->tell(m->progress,
                          m->guarded.bytes < m->total_bytes ? m->guarded.bytes : m->total_bytes,
                          m->total_bytes);
    (void)pthread_mutex_unlock(&m->mutex);
}

static enum hf_code read_counted(struct hf_source *base, uint64_t offset, size_t len,
                                 struct hf_buf *ret, struct hf_err *err)
{
    struct slot *s = (struct slot *)(void *)((char *)base - offsetof(struct slot, counted));
    const enum hf_code rc = s->remote.base.read(&s->remote.base, offset, len, ret, err);

    if (rc == HF_OK)
        add_bytes(s->fetch->meter, len);
    return rc;
}

static enum hf_code read_memory(struct hf_source *base, uint64_t offset, size_t len,
                                struct hf_buf *ret, struct hf_err *err)
{
    const struct slot *s = (const struct slot *)base;

    if (offset > s->bytes.len || len > s->bytes.len - offset)
        return hf_err_set(err, HF_DAMAGE,
                          "%s: bytes %" PRIu64 " to %" PRIu64 " are wanted of a segment of %zu",
                          base->name, offset, offset + len, s->bytes.len);
    hf_buf_append(ret, s->bytes.ptr + offset, len);
    return HF_OK;
}

static enum hf_code fetch_whole(void *ctx, struct hf_err *err)
{
    struct slot *s = ctx;

    if (s->fetch->stop != NULL && *s->fetch->stop)
        return hf_err_set(err, HF_CANCELED, "stopped before %s was read", s->remote.key);
    return read_counted(&s->counted, 0, (size_t)s->counted.size_bytes, &s->bytes, err);
}

static void start(struct hf_fetch *f, struct slot *s, const struct hf_segment_ref *ref)
{
    hf_segment_source_done(&s->remote);
    hf_segment_source_init(&s->remote, f->archive, ref);
    s->counted = (struct hf_source){
        .read = read_counted,
        .size_bytes = ref->length_bytes,
        .name = s->remote.key,
    };
    s->memory = s->counted;
    s->memory.read = read_memory;
    s->whole = ref->length_bytes <= HF_FETCH_BYTES_MAX;
    hf_buf_reset(&s->bytes);
    if (s->whole)
        hf_group_run(s->group, fetch_whole, s);
}

struct hf_fetch *hf_fetch_new(const struct hf_archive *a, struct hf_pool *pool,
                              const struct hf_segment_ref *refs, size_t refs_count,
                              struct hf_meter *meter, hf_stop_flag *stop)
{
    struct hf_fetch *f = hf_calloc(1, sizeof(*f));

    f->archive = a;
    f->refs = refs;
    f->refs_count = refs_count;
    f->meter = meter;
    f->stop = stop;
    for (size_t i = 0; i < HF_FETCH_AHEAD; i++) {
        f->slots[i].fetch = f;
        f->slots[i].group = hf_group_new(pool);
    }
    return f;
}

void hf_fetch_free(struct hf_fetch *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < HF_FETCH_AHEAD; i++) {
        hf_group_free(f->slots[i].group);
        hf_segment_source_done(&f->slots[i].remote);
        hf_buf_done(&f->slots[i].bytes);
    }
    hf_free(f);
}

void hf_fetch_free_ptr(struct hf_fetch **f)
{
    hf_fetch_free(*f);
    *f = NULL;
}

enum hf_code hf_fetch_next(struct hf_fetch *f, struct hf_source **ret, struct hf_err *err)
{
    hf_assert(f->next < f->refs_count);
    while (f->started < f->refs_count && f->started < f->next + HF_FETCH_AHEAD) {
        start(f, &f->slots[f->started % HF_FETCH_AHEAD], &f->refs[f->started]);
        f->started++;
    }
    struct slot *s = &f->slots[f->next++ % HF_FETCH_AHEAD];
    const enum hf_code rc = hf_group_wait(s->group, err);

    if (rc != HF_OK)
        return rc;
    *ret = s->whole ? &s->memory : &s->counted;
    return HF_OK;
}
