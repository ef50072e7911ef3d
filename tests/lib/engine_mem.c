/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_mem.c - see engine_mem.h.
 *
 * A segment: header, pages (number and bytes, ascending), XXH3-64 of all before it. A position:
 * generation of the log, number of commits, and the last commit's own number, which no other
 * commit ever has.
 */
#include "lib/engine_mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "lib/fixture.h"

#define DBS_MAX        64
#define MARKS_MAX      256
#define HEADER_BYTES   120
#define TRAILER_BYTES  8
#define POSITION_BYTES 24
#define MAGIC          "HFMEMSEG"
#define FLAG_CATCHUP   1
#define FLAG_POSITION  2
#define FLAG_CLAMPED   4
#define RECENT_MAX     16 /* TXIDs whose state local state knows */
#define RECENT_OFFSET  80
#define KNOWN_BYTES    (28 + HF_ROOT_BYTES)
#define STATE_BYTES    (RECENT_OFFSET + RECENT_MAX * KNOWN_BYTES)
#define REST_MS        1000
#define PACE_MS        50

struct place {
    uint64_t generation;
    uint64_t index; /* commits of this generation before it */
    uint64_t id;    /* of the last of them; 0: none */
};

struct commit {
    uint64_t id;
    uint64_t page; /* the one it wrote; 0: it only changed the size */
    uint64_t pages_before;
    uint64_t pages_count;
    uint8_t *bytes;
    uint8_t *undo; /* what was there; NULL if nothing was */
};

struct mem_db {
    char *path;
    uint32_t page_bytes;
    pthread_mutex_t mutex;
    struct {
        uint64_t generation;
        uint64_t next_id;
        struct commit *log;
        size_t log_count;
        struct hf_buf image;
        struct hf_buf decay; /* what of it the device has flipped since it was written, as long */
    } guarded;               /* by mutex */
};

/* All databases, by path. */
static struct {
    pthread_mutex_t mutex;
    struct mem_db *dbs[DBS_MAX];
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- databases ------------------------------------------------------------------------------ */

static struct mem_db *find_db(const char *path)
{
    struct mem_db *found = NULL;

    (void)pthread_mutex_lock(&all.mutex);
    for (size_t i = 0; i < DBS_MAX; i++) {
        if (all.dbs[i] != NULL && strcmp(all.dbs[i]->path, path) == 0)
            found = all.dbs[i];
    }
    (void)pthread_mutex_unlock(&all.mutex);
    return found;
}

static enum hf_code need_db(const char *path, struct mem_db **ret, struct hf_err *err)
{
    *ret = find_db(path);
    return *ret != NULL ? HF_OK : hf_err_set(err, HF_USAGE, "%s is no database in memory", path);
}

struct mem_db *mem_db_new(const char *path, uint32_t page_bytes)
{
    struct mem_db *db = hf_calloc(1, sizeof(*db));
    size_t i = 0;

    hf_assert(find_db(path) == NULL);
    db->path = hf_strdup(path);
    db->page_bytes = page_bytes;
    db->guarded.generation = hf_hash64(path, strlen(path)) | 1; /* none that another one has */
    db->guarded.next_id = 1;
    (void)pthread_mutex_init(&db->mutex, NULL);
    (void)pthread_mutex_lock(&all.mutex);
    while (i < DBS_MAX && all.dbs[i] != NULL)
        i++;
    hf_assert(i < DBS_MAX);
    all.dbs[i] = db;
    (void)pthread_mutex_unlock(&all.mutex);
    return db;
}

static void free_log_locked(struct mem_db *db)
{
    for (size_t i = 0; i < db->guarded.log_count; i++) {
        hf_free(db->guarded.log[i].bytes);
        hf_free(db->guarded.log[i].undo);
    }
    hf_free(db->guarded.log);
    db->guarded.log = NULL;
    db->guarded.log_count = 0;
}

void mem_db_free(struct mem_db *db)
{
    (void)pthread_mutex_lock(&all.mutex);
    for (size_t i = 0; i < DBS_MAX; i++) {
        if (all.dbs[i] == db)
            all.dbs[i] = NULL;
    }
    (void)pthread_mutex_unlock(&all.mutex);
    free_log_locked(db);
    hf_buf_done(&db->guarded.image);
    hf_buf_done(&db->guarded.decay);
    (void)pthread_mutex_destroy(&db->mutex);
    hf_free(db->path);
    hf_free(db);
}

static uint64_t pages_locked(const struct mem_db *db)
{
    return db->guarded.image.len / db->page_bytes;
}

static uint8_t *page_locked(struct mem_db *db, uint64_t page)
{
    hf_assert(page >= 1 && page <= pages_locked(db));
    return db->guarded.image.ptr + (page - 1) * db->page_bytes;
}

static void resize(struct hf_buf *b, size_t want)
{
    if (want > b->len) {
        const size_t more = want - b->len;

        (void)memset(hf_buf_extend(b, more), 0, more);
    }
    b->len = want;
}

static void resize_image_locked(struct mem_db *db, uint64_t pages_count)
{
    resize(&db->guarded.image, pages_count * db->page_bytes);
    resize(&db->guarded.decay, pages_count * db->page_bytes);
}

/* What the device gives: the image as it has become. */
static void decay_locked(const struct mem_db *db, struct hf_buf *image)
{
    for (size_t i = 0; i < image->len && i < db->guarded.decay.len; i++)
        image->ptr[i] ^= db->guarded.decay.ptr[i];
}

static struct commit *begin_commit_locked(struct mem_db *db)
{
    db->guarded.log = hf_realloc(db->guarded.log, db->guarded.log_count + 1, sizeof(struct commit));
    struct commit *c = &db->guarded.log[db->guarded.log_count++];

    *c = (struct commit){.id = db->guarded.next_id++, .pages_before = pages_locked(db)};
    return c;
}

static uint8_t *copy_bytes(const void *ptr, size_t len)
{
    uint8_t *copy = hf_malloc(len + 1);

    if (len > 0)
        (void)memcpy(copy, ptr, len);
    return copy;
}

void mem_db_write(struct mem_db *db, uint64_t page, struct hf_slice bytes)
{
    hf_assert(bytes.len == db->page_bytes && page >= 1);
    (void)pthread_mutex_lock(&db->mutex);
    struct commit *c = begin_commit_locked(db);

    if (page > pages_locked(db))
        resize_image_locked(db, page);
    c->page = page;
    c->undo = copy_bytes(page_locked(db, page), db->page_bytes);
    c->bytes = copy_bytes(bytes.ptr, bytes.len);
    (void)memcpy(page_locked(db, page), bytes.ptr, bytes.len);
    (void)memset(db->guarded.decay.ptr + (page - 1) * db->page_bytes, 0, db->page_bytes);
    c->pages_count = pages_locked(db);
    (void)pthread_mutex_unlock(&db->mutex);
}

void mem_db_resize(struct mem_db *db, uint64_t pages_count)
{
    (void)pthread_mutex_lock(&db->mutex);
    struct commit *c = begin_commit_locked(db);

    if (pages_count < c->pages_before)
        c->undo = copy_bytes(db->guarded.image.ptr + pages_count * db->page_bytes,
                             (c->pages_before - pages_count) * db->page_bytes);
    resize_image_locked(db, pages_count);
    c->pages_count = pages_count;
    (void)pthread_mutex_unlock(&db->mutex);
}

static void undo_locked(struct mem_db *db, const struct commit *c)
{
    if (c->page != 0)
        (void)memcpy(page_locked(db, c->page), c->undo, db->page_bytes);
    resize_image_locked(db, c->pages_before);
    if (c->page == 0 && c->undo != NULL)
        (void)memcpy(db->guarded.image.ptr + c->pages_count * db->page_bytes, c->undo,
                     (c->pages_before - c->pages_count) * db->page_bytes);
}

void mem_db_lose(struct mem_db *db, size_t commits)
{
    (void)pthread_mutex_lock(&db->mutex);
    hf_assert(commits <= db->guarded.log_count);
    for (; commits > 0; commits--) {
        struct commit *c = &db->guarded.log[--db->guarded.log_count];

        undo_locked(db, c);
        hf_free(c->bytes);
        hf_free(c->undo);
    }
    (void)pthread_mutex_unlock(&db->mutex);
}

void mem_db_restart_log(struct mem_db *db)
{
    (void)pthread_mutex_lock(&db->mutex);
    free_log_locked(db);
    db->guarded.generation++;
    (void)pthread_mutex_unlock(&db->mutex);
}

void mem_db_rot(struct mem_db *db, uint64_t page, size_t offset, uint8_t mask)
{
    (void)pthread_mutex_lock(&db->mutex);
    hf_assert(offset < db->page_bytes && page >= 1 && page <= pages_locked(db));
    db->guarded.decay.ptr[(page - 1) * db->page_bytes + offset] ^= mask;
    (void)pthread_mutex_unlock(&db->mutex);
}

size_t mem_db_log_count(struct mem_db *db)
{
    (void)pthread_mutex_lock(&db->mutex);
    const size_t count = db->guarded.log_count;

    (void)pthread_mutex_unlock(&db->mutex);
    return count;
}

uint64_t mem_db_pages(struct mem_db *db)
{
    (void)pthread_mutex_lock(&db->mutex);
    const uint64_t pages = pages_locked(db);

    (void)pthread_mutex_unlock(&db->mutex);
    return pages;
}

void mem_db_read(struct mem_db *db, uint64_t page, struct hf_buf *ret)
{
    (void)pthread_mutex_lock(&db->mutex);
    hf_buf_append(ret, page_locked(db, page), db->page_bytes);
    for (size_t i = 0; i < db->page_bytes; i++)
        ret->ptr[ret->len - db->page_bytes + i] ^=
            db->guarded.decay.ptr[(page - 1) * db->page_bytes + i];
    (void)pthread_mutex_unlock(&db->mutex);
}

static struct place end_locked(const struct mem_db *db)
{
    const size_t n = db->guarded.log_count;

    return (struct place){
        .generation = db->guarded.generation,
        .index = n,
        .id = n > 0 ? db->guarded.log[n - 1].id : 0,
    };
}

/* The place is one of the log's as it is now. */
static bool is_in_log_locked(const struct mem_db *db, const struct place *p)
{
    return p->generation == db->guarded.generation && p->index <= db->guarded.log_count &&
           p->id == (p->index > 0 ? db->guarded.log[p->index - 1].id : 0);
}

/* ---- positions and segments ------------------------------------------------------------------ */

/* Append the hash of all that is there. */
static void seal(struct hf_buf *b)
{
    const uint64_t hash = hf_hash64(b->ptr, b->len);

    hf_put_be64(hf_buf_extend(b, 8), hash);
}

static void place_encode(const struct place *p, uint8_t dst[POSITION_BYTES])
{
    hf_put_be64(dst, p->generation);
    hf_put_be64(dst + 8, p->index);
    hf_put_be64(dst + 16, p->id);
}

static struct place place_decode(const uint8_t *src)
{
    return (struct place){hf_get_be64(src), hf_get_be64(src + 8), hf_get_be64(src + 16)};
}

static void place_export(const struct place *p, struct hf_position *ret)
{
    *ret = (struct hf_position){.len = POSITION_BYTES};
    place_encode(p, ret->bytes);
}

static enum hf_code place_import(const struct hf_position *p, struct place *ret, struct hf_err *err)
{
    if (p->len != POSITION_BYTES)
        return hf_err_set(err, HF_USAGE, "not a position of this engine");
    *ret = place_decode(p->bytes);
    return HF_OK;
}

struct header {
    struct hf_seg_info info;
    bool has_place;
    struct place place;
};

static void header_encode(const struct header *h, uint8_t dst[HEADER_BYTES])
{
    (void)memset(dst, 0, HEADER_BYTES);
    (void)memcpy(dst, MAGIC, 8);
    hf_put_be64(dst + 8, h->info.min_txid);
    hf_put_be64(dst + 16, h->info.max_txid);
    hf_put_be64(dst + 24, (uint64_t)h->info.time_ms);
    hf_put_be64(dst + 32, h->info.epoch);
    hf_put_be32(dst + 40, h->info.page_bytes);
    hf_put_be32(dst + 44, (h->info.catchup ? FLAG_CATCHUP : 0) |
                              (h->has_place ? FLAG_POSITION : 0) |
                              (h->info.clamped ? FLAG_CLAMPED : 0));
    hf_put_be64(dst + 48, h->info.pages_count);
    hf_root_put(dst + 56, h->info.root);
    place_encode(&h->place, dst + 72);
}

static enum hf_code header_decode(struct hf_slice src, struct header *ret, struct hf_err *err)
{
    if (src.len < HEADER_BYTES || memcmp(src.ptr, MAGIC, 8) != 0)
        return hf_err_set(err, HF_DAMAGE, "not a segment of the engine in memory");
    *ret = (struct header){
        .info =
            {
                .min_txid = hf_get_be64(src.ptr + 8),
                .max_txid = hf_get_be64(src.ptr + 16),
                .time_ms = (int64_t)hf_get_be64(src.ptr + 24),
                .epoch = hf_get_be64(src.ptr + 32),
                .page_bytes = hf_get_be32(src.ptr + 40),
                .catchup = (hf_get_be32(src.ptr + 44) & FLAG_CATCHUP) != 0,
                .clamped = (hf_get_be32(src.ptr + 44) & FLAG_CLAMPED) != 0,
                .pages_count = hf_get_be64(src.ptr + 48),
                .has_root = true,
                .root = hf_root_get(src.ptr + 56),
            },
        .has_place = (hf_get_be32(src.ptr + 44) & FLAG_POSITION) != 0,
        .place = place_decode(src.ptr + 72),
    };
    if (ret->info.page_bytes == 0)
        return hf_err_set(err, HF_DAMAGE, "a segment with pages of no bytes");
    return HF_OK;
}

static enum hf_code segment_info(struct hf_slice header, struct hf_seg_info *ret,
                                 struct hf_err *err)
{
    struct header h;
    const enum hf_code rc = header_decode(header, &h, err);

    if (rc == HF_OK)
        *ret = h.info;
    return rc;
}

/* As many bytes as there should be behind this header, and the hash is theirs. */
static bool is_whole(struct hf_slice segment, const struct header *h)
{
    const size_t entry = 8 + (size_t)h->info.page_bytes;

    return segment.len >= HEADER_BYTES + TRAILER_BYTES &&
           (segment.len - HEADER_BYTES - TRAILER_BYTES) % entry == 0 &&
           hf_get_be64(segment.ptr + segment.len - 8) == hf_hash64(segment.ptr, segment.len - 8);
}

bool mem_segment_is_whole(struct hf_slice segment)
{
    struct header h;
    struct hf_err ignored;

    return header_decode(segment, &h, &ignored) == HF_OK && is_whole(segment, &h);
}

/* The whole segment, with its hash proved, and its header. */
static enum hf_code read_segment(struct hf_source *source, struct hf_buf *ret, struct header *h,
                                 struct hf_err *err)
{
    enum hf_code rc;

    rc = source->read(source, 0, (size_t)source->size_bytes, ret, err);
    if (rc != HF_OK)
        return rc;
    rc = header_decode(hf_buf_slice(ret), h, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, "%s", source->name);
    if (!is_whole(hf_buf_slice(ret), h))
        return hf_err_set(err, HF_DAMAGE, "%s: its hash is wrong", source->name);
    return HF_OK;
}

void mem_segment_apply(struct hf_slice segment, struct hf_buf *image)
{
    struct header h = {0};
    struct hf_err err;

    hf_must(header_decode(segment, &h, &err), &err);
    const uint32_t page_bytes = h.info.page_bytes;
    const size_t size_bytes = h.info.pages_count * page_bytes;

    resize(image, size_bytes);
    for (size_t at = HEADER_BYTES; at + TRAILER_BYTES < segment.len; at += 8 + page_bytes)
        (void)memcpy(image->ptr + (hf_get_be64(segment.ptr + at) - 1) * page_bytes,
                     segment.ptr + at + 8, page_bytes);
}

/* ---- what a replica and a live side both keep ------------------------------------------------ */

struct ledger {
    struct hf_state state;
    struct hf_state recent[RECENT_MAX]; /* each at its TXID modulo this; 0: none */
    uint64_t seed;
    bool no_seed;           /* it is lost: roots prove nothing */
    struct hf_root *hashes; /* state.pages_count of them */
    struct place place;
    bool has_place;
};

static struct hf_root hash_page(uint64_t seed, uint64_t page, struct hf_slice bytes)
{
    struct hf_page_hasher *hasher = hf_page_hasher_new(seed);
    uint8_t name[8];

    hf_put_be64(name, page);
    const struct hf_root hash = hf_page_hash(hasher, hf_slice(name, sizeof(name)), bytes);

    hf_page_hasher_free(hasher);
    return hash;
}

static void ledger_resize(struct ledger *l, uint64_t pages_count)
{
    const uint64_t was = l->state.pages_count;

    for (uint64_t p = pages_count; p < was; p++)
        hf_root_sub(&l->state.root, l->hashes[p]);
    l->hashes = hf_realloc(l->hashes, pages_count + 1, sizeof(*l->hashes));
    for (uint64_t p = was; p < pages_count; p++)
        l->hashes[p] = (struct hf_root){0};
    l->state.pages_count = pages_count;
}

static void ledger_put(struct ledger *l, uint64_t page, struct hf_root hash)
{
    hf_root_sub(&l->state.root, l->hashes[page - 1]);
    hf_root_add(&l->state.root, hash);
    l->hashes[page - 1] = hash;
}

static enum hf_code ledger_judge(const struct ledger *l, const struct header *h, const char *name,
                                 struct hf_err *err)
{
    const uint64_t txid = l->state.txid;

    if (h->info.min_txid > txid + 1)
        return hf_err_set(err, HF_HOLE, "TXID %" PRIu64 " to %" PRIu64 " are missing before %s",
                          txid + 1, h->info.min_txid - 1, name);
    if (h->info.max_txid <= txid)
        return hf_err_set(err, HF_USAGE, "%s is wholly in the past", name);
    if (txid > 0 && h->info.page_bytes != l->state.page_bytes)
        return hf_err_set(err, HF_DAMAGE, "%s has another page size", name);
    return HF_OK;
}

static void ledger_note_recent(struct ledger *l)
{
    l->recent[l->state.txid % RECENT_MAX] = l->state;
}

/* Move over a segment; pages go to `pages` too, if it is not NULL. */
static enum hf_code ledger_apply(struct ledger *l, struct hf_source *source, struct hf_file *pages,
                                 struct hf_err *err)
{
    HF_AUTO_BUF bytes = {0};
    struct header h;
    enum hf_code rc;

    rc = read_segment(source, &bytes, &h, err);
    if (rc != HF_OK)
        return rc;
    rc = ledger_judge(l, &h, source->name, err);
    if (rc != HF_OK)
        return rc;
    const uint64_t page_bytes = h.info.page_bytes;

    ledger_resize(l, h.info.pages_count);
    for (size_t at = HEADER_BYTES; at + TRAILER_BYTES < bytes.len; at += 8 + page_bytes) {
        const uint64_t page = hf_get_be64(bytes.ptr + at);
        const struct hf_slice data = hf_slice(bytes.ptr + at + 8, page_bytes);

        if (page < 1 || page > h.info.pages_count)
            return hf_err_set(err, HF_DAMAGE, "%s: page %" PRIu64 " is behind the end",
                              source->name, page);
        ledger_put(l, page, hash_page(l->seed, page, data));
        rc = pages == NULL ? HF_OK : hf_file_write(pages, (page - 1) * page_bytes, data, err);
        if (rc != HF_OK)
            return rc;
    }
    if (!l->no_seed && !hf_root_equal(l->state.root, h.info.root))
        return hf_err_set(err, HF_DAMAGE, "%s does not lead to its root", source->name);
    l->state.txid = h.info.max_txid;
    l->state.time_ms = h.info.time_ms;
    l->state.page_bytes = h.info.page_bytes;
    l->state.has_root = !l->no_seed;
    ledger_note_recent(l);
    l->has_place = h.has_place;
    l->place = h.place;
    if (pages == NULL)
        return HF_OK;
    return hf_file_truncate(pages, h.info.pages_count * page_bytes, err);
}

static void state_encode(const struct hf_state *s, uint8_t *ret)
{
    hf_put_be64(ret, s->txid);
    hf_put_be64(ret + 8, (uint64_t)s->time_ms);
    hf_put_be32(ret + 16, s->page_bytes);
    hf_put_be64(ret + 20, s->pages_count);
    hf_root_put(ret + 28, s->root);
}

static struct hf_state state_decode(const uint8_t *at)
{
    return (struct hf_state){
        .txid = hf_get_be64(at),
        .time_ms = (int64_t)hf_get_be64(at + 8),
        .page_bytes = hf_get_be32(at + 16),
        .pages_count = hf_get_be64(at + 20),
        .has_root = true,
        .root = hf_root_get(at + 28),
    };
}

static enum hf_code ledger_save(const struct ledger *l, struct hf_fs *fs, const char *path,
                                struct hf_err *err)
{
    HF_AUTO_BUF out = {0};
    uint8_t *head = hf_buf_extend(&out, STATE_BYTES);

    (void)memset(head, 0, STATE_BYTES);
    state_encode(&l->state, head);
    hf_put_be32(head + KNOWN_BYTES, l->has_place);
    place_encode(&l->place, head + 48);
    hf_put_be64(head + 72, l->seed);
    for (size_t i = 0; i < RECENT_MAX; i++)
        state_encode(&l->recent[i], head + RECENT_OFFSET + i * KNOWN_BYTES);
    for (uint64_t p = 0; p < l->state.pages_count; p++)
        hf_root_put(hf_buf_extend(&out, HF_ROOT_BYTES), l->hashes[p]);
    seal(&out);
    const enum hf_code rc = hf_fs_replace(fs, path, hf_buf_slice(&out), 0600, err);

    return rc == HF_UNCERTAIN ? HF_OK : rc; /* lost without loss */
}

/* What is not whole, or of another seed, counts as nothing. */
static enum hf_code ledger_load(struct ledger *l, struct hf_fs *fs, const char *path,
                                struct hf_err *err)
{
    HF_AUTO_BUF in = {0};
    const enum hf_code rc = hf_fs_read_all(fs, path, SIZE_MAX, &in, err);

    if (rc == HF_NOT_FOUND)
        return HF_OK;
    if (rc != HF_OK)
        return rc;
    if (in.len < STATE_BYTES + 8 ||
        hf_get_be64(in.ptr + in.len - 8) != hf_hash64(in.ptr, in.len - 8) ||
        hf_get_be64(in.ptr + 72) != l->seed)
        return HF_OK;
    const struct hf_state state = state_decode(in.ptr);

    hf_assert(in.len == STATE_BYTES + 8 + state.pages_count * HF_ROOT_BYTES);
    l->has_place = hf_get_be32(in.ptr + KNOWN_BYTES) != 0;
    l->place = place_decode(in.ptr + 48);
    for (size_t i = 0; i < RECENT_MAX; i++)
        l->recent[i] = state_decode(in.ptr + RECENT_OFFSET + i * KNOWN_BYTES);
    ledger_resize(l, state.pages_count);
    for (uint64_t p = 0; p < state.pages_count; p++)
        l->hashes[p] = hf_root_get(in.ptr + STATE_BYTES + p * HF_ROOT_BYTES);
    l->state = state;
    return HF_OK;
}

static void ledger_reset(struct ledger *l)
{
    hf_free(l->hashes);
    *l = (struct ledger){.seed = l->seed, .no_seed = l->no_seed};
}

/* ---- the replica ----------------------------------------------------------------------------- */

struct mem_replica {
    struct hf_replica base; /* first, so that the pointers convert */
    struct hf_fs *fs;
    hf_stop_flag *stop;
    char *digest_path;
    struct hf_file *pages;
    struct ledger ledger;
    bool begun;
};

static enum hf_code replica_apply(struct hf_replica *base, struct hf_source *segment,
                                  struct hf_err *err)
{
    struct mem_replica *r = (struct mem_replica *)base;

    if (r->stop != NULL && *r->stop)
        return hf_err_set(err, HF_CANCELED, "stopped");
    if (!r->begun) {
        const enum hf_code rc = hf_fs_unlink(r->fs, r->digest_path, err);

        if (rc != HF_OK)
            return rc;
        r->begun = true;
    }
    return ledger_apply(&r->ledger, segment, r->pages, err);
}

static const struct hf_state *replica_state(const struct hf_replica *base)
{
    return &((const struct mem_replica *)base)->ledger.state;
}

static enum hf_code replica_finish(struct hf_replica *base, struct hf_err *err)
{
    struct mem_replica *r = (struct mem_replica *)base;
    enum hf_code rc;

    if (!r->begun)
        return HF_OK;
    if (r->pages != NULL) {
        rc = hf_file_sync(r->pages, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = ledger_save(&r->ledger, r->fs, r->digest_path, err);
    r->begun = rc != HF_OK;
    return rc;
}

static void replica_free(struct hf_replica *base)
{
    struct mem_replica *r = (struct mem_replica *)base;

    hf_file_close(r->pages);
    ledger_reset(&r->ledger);
    hf_free(r->digest_path);
    hf_free(r);
}

static const struct hf_replica_ops replica_ops = {
    .apply = replica_apply,
    .state = replica_state,
    .finish = replica_finish,
    .free = replica_free,
};

static enum hf_code mem_replica_open(const struct hf_replica_options *o, struct hf_replica **ret,
                                     struct hf_err *err)
{
    struct mem_replica *r = hf_calloc(1, sizeof(*r));
    enum hf_code rc = HF_OK;

    r->base.ops = &replica_ops;
    r->fs = o->fs;
    r->stop = o->stop;
    r->digest_path = hf_strdup(o->digest_path);
    r->ledger.seed = o->seed;
    r->ledger.no_seed = o->no_seed;
    if (o->pages_path != NULL)
        rc = hf_fs_open(o->fs, o->pages_path, HF_OPEN_NEW, o->mode, &r->pages, err);
    else if (!o->anew)
        rc = ledger_load(&r->ledger, o->fs, o->digest_path, err);
    if (rc != HF_OK) {
        replica_free(&r->base);
        return rc;
    }
    *ret = &r->base;
    return HF_OK;
}

/* ---- the live side --------------------------------------------------------------------------- */

struct mark {
    struct place place;
    uint64_t txid;
};

struct mem_live {
    struct hf_live base; /* first, so that the pointers convert */
    struct hf_live_options o;
    struct mem_db *db;
    char *state_path;
    struct ledger ledger;
    struct ledger untold; /* behind a segment that was taken, while local state lacks it ... */
    struct place untold_end;
    bool has_untold;
    struct mark marks[MARKS_MAX]; /* ring */
    uint64_t marks_count;
    bool attached;
    struct hf_seg_info snapshot_info; /* of TXID 1, not given yet ... */
    struct hf_buf snapshot;           /* ... and its bytes; else empty */
};

static struct mem_live *live_of(struct hf_live *l)
{
    return (struct mem_live *)l;
}

static const struct hf_state *live_state(const struct hf_live *base)
{
    return &((const struct mem_live *)base)->ledger.state;
}

static void forget_untold(struct mem_live *l)
{
    ledger_reset(&l->untold);
    l->has_untold = false;
}

/* What was taken is taken, and is not made again: local state follows, now or at the next call. */
static enum hf_code tell(struct mem_live *l, struct hf_err *err)
{
    const enum hf_code rc = l->has_untold ? ledger_save(&l->untold, l->o.fs, l->state_path, err)
                                          : HF_OK;

    if (rc != HF_OK || !l->has_untold)
        return rc;
    ledger_reset(&l->ledger);
    l->ledger = l->untold;
    l->untold = (struct ledger){0};
    l->has_untold = false;
    l->marks[l->marks_count++ % MARKS_MAX] = (struct mark){l->untold_end, l->ledger.state.txid};
    return HF_OK;
}

static enum hf_code live_reset(struct hf_live *base, struct hf_err *err)
{
    struct mem_live *l = live_of(base);

    forget_untold(l);
    ledger_reset(&l->ledger);
    l->marks_count = 0;
    return hf_fs_unlink(l->o.fs, l->state_path, err);
}

static enum hf_code live_adopt(struct hf_live *base, struct hf_source *segment, struct hf_err *err)
{
    struct mem_live *l = live_of(base);
    struct hf_err ignored;
    enum hf_code rc;

    hf_assert(!l->attached && !l->has_untold);
    rc = ledger_apply(&l->ledger, segment, NULL, err);
    if (rc == HF_OK)
        rc = ledger_save(&l->ledger, l->o.fs, l->state_path, err);
    if (rc != HF_OK) /* the worst that the contract allows */
        (void)!live_reset(base, &ignored);
    return rc;
}

static enum hf_code live_attach(struct hf_live *base, enum hf_live_need *ret_need, bool *ret_lost,
                                struct hf_err *err)
{
    struct mem_live *l = live_of(base);

    const enum hf_code rc = tell(l, err);

    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&l->db->mutex);
    const struct place *p = &l->ledger.place;
    const bool follows = l->ledger.has_place && is_in_log_locked(l->db, p);

    *ret_lost = !follows && l->ledger.has_place && p->generation == l->db->guarded.generation;
    (void)pthread_mutex_unlock(&l->db->mutex);
    *ret_need = l->ledger.state.txid == 0 ? HF_LIVE_SNAPSHOT
                : follows                 ? HF_LIVE_FOLLOW
                                          : HF_LIVE_CATCH_UP;
    l->attached = true;
    return HF_OK;
}

/* The image at `end`, which may lie before the log's end: later commits are undone in a copy. */
static void image_at_locked(struct mem_db *db, uint64_t end, struct hf_buf *ret)
{
    struct mem_db past = {.page_bytes = db->page_bytes};

    hf_buf_append(&past.guarded.image, db->guarded.image.ptr, db->guarded.image.len);
    for (size_t i = db->guarded.log_count; i > end; i--)
        undo_locked(&past, &db->guarded.log[i - 1]);
    hf_buf_done(&past.guarded.decay);
    *ret = past.guarded.image;
}

static void append_page(struct hf_buf *out, uint64_t page, struct hf_slice bytes)
{
    hf_put_be64(hf_buf_extend(out, 8), page);
    hf_buf_append(out, bytes.ptr, bytes.len);
}

static enum hf_code give(const struct header *h, struct hf_buf *segment, struct hf_taker *t,
                         struct hf_err *err)
{
    struct hf_sink *sink;
    enum hf_code rc;

    header_encode(h, segment->ptr);
    seal(segment);
    rc = t->begin(t, &h->info, &sink, err);
    if (rc != HF_OK)
        return rc;
    rc = sink->write(sink, hf_buf_slice(segment), err);
    if (rc != HF_OK) {
        t->abort(t);
        return rc;
    }
    return t->commit(t, err);
}

/* The pages that commits first .. last - 1 of the log wrote or brought into being, as one byte
 * each, page 1 first. */
static void mark_written_locked(const struct mem_db *db, uint64_t first, uint64_t last,
                                uint64_t pages_count, struct hf_buf *ret)
{
    (void)memset(hf_buf_extend(ret, pages_count), 0, pages_count);
    for (uint64_t i = first; i < last; i++) {
        const struct commit *c = &db->guarded.log[i];

        if (c->page >= 1 && c->page <= pages_count)
            ret->ptr[c->page - 1] = 1;
        for (uint64_t p = c->pages_before; p < c->pages_count && p < pages_count; p++)
            ret->ptr[p] = 1;
    }
}

/* Everything that differs between the ledger and `image`, as one segment; of pages that are not
 * marked in `written` (NULL: all are) nothing is looked at. */
static enum hf_code give_difference(struct mem_live *l, const struct hf_buf *image,
                                    const struct hf_buf *written, const struct place *end,
                                    bool catchup, struct hf_taker *t, bool *ret_made,
                                    struct hf_err *err)
{
    const uint32_t page_bytes = l->db->page_bytes;
    const int64_t now_ms = hf_now_ms(l->o.clock);
    struct ledger next = l->ledger;
    HF_AUTO_BUF segment = {0};
    bool differs = image->len / page_bytes != l->ledger.state.pages_count;
    enum hf_code rc;

    (void)hf_buf_extend(&segment, HEADER_BYTES);
    next.hashes = hf_calloc(next.state.pages_count + 1, sizeof(*next.hashes));
    if (l->ledger.hashes != NULL)
        (void)memcpy(next.hashes, l->ledger.hashes, next.state.pages_count * sizeof(*next.hashes));
    ledger_resize(&next, image->len / page_bytes);
    for (uint64_t p = 1; p <= next.state.pages_count; p++) {
        if (written != NULL && written->ptr[p - 1] == 0)
            continue;
        const struct hf_slice bytes = hf_slice(image->ptr + (p - 1) * page_bytes, page_bytes);
        const struct hf_root hash = hash_page(l->o.seed, p, bytes);

        if (hf_root_equal(next.hashes[p - 1], hash))
            continue;
        differs = true;
        ledger_put(&next, p, hash);
        append_page(&segment, p, bytes);
    }
    next.state.txid++;
    next.state.time_ms = now_ms > next.state.time_ms ? now_ms : next.state.time_ms;
    next.state.page_bytes = page_bytes;
    next.state.has_root = true;
    next.place = *end;
    next.has_place = true;
    *ret_made = differs || next.state.txid == 1;
    rc = HF_OK;
    if (*ret_made) {
        const struct header h = {
            .info = {.min_txid = next.state.txid,
                     .max_txid = next.state.txid,
                     .time_ms = next.state.time_ms,
                     .epoch = l->o.epoch,
                     .page_bytes = page_bytes,
                     .pages_count = next.state.pages_count,
                     .has_root = true,
                     .root = next.state.root,
                     .catchup = catchup,
                     .clamped = now_ms < l->ledger.state.time_ms},
            .has_place = !catchup && next.state.txid > 1,
            .place = *end,
        };

        ledger_note_recent(&next);
        rc = give(&h, &segment, t, err);
    } else {
        next.state = l->ledger.state;
    }
    if (rc != HF_OK) {
        ledger_reset(&next);
        return rc;
    }
    l->untold = next;
    l->untold_end = *end;
    l->has_untold = true;
    return tell(l, err);
}

static void now_at(struct mem_live *l, struct hf_buf *image, struct place *end)
{
    (void)pthread_mutex_lock(&l->db->mutex);
    *end = end_locked(l->db);
    image_at_locked(l->db, end->index, image);
    decay_locked(l->db, image);
    (void)pthread_mutex_unlock(&l->db->mutex);
}

/* Keeps TXID 1 until it is given. */
struct keeper {
    struct hf_taker taker; /* first, so that the pointers convert */
    struct hf_sink sink;
    struct mem_live *live;
};

static enum hf_code keep_write(struct hf_sink *sink, struct hf_slice data, struct hf_err *err)
{
    struct keeper *k = (struct keeper *)(void *)((char *)sink - offsetof(struct keeper, sink));

    (void)err;
    hf_buf_append(&k->live->snapshot, data.ptr, data.len);
    return HF_OK;
}

static enum hf_code keep_begin(struct hf_taker *t, const struct hf_seg_info *info,
                               struct hf_sink **ret, struct hf_err *err)
{
    struct keeper *k = (struct keeper *)t;

    (void)err;
    k->live->snapshot_info = *info;
    *ret = &k->sink;
    return HF_OK;
}

static enum hf_code keep_commit(struct hf_taker *t, struct hf_err *err)
{
    (void)t;
    (void)err;
    return HF_OK;
}

static enum hf_code live_snapshot(struct hf_live *base, struct hf_err *err)
{
    struct mem_live *l = live_of(base);
    struct keeper keeper = {
        .taker = {.begin = keep_begin, .commit = keep_commit},
        .sink.write = keep_write,
        .live = l,
    };
    HF_AUTO_BUF image = {0};
    struct place end;
    bool made;

    hf_assert(l->attached && l->ledger.state.txid == 0);
    hf_buf_done(&l->snapshot);
    now_at(l, &image, &end);
    const enum hf_code rc =
        give_difference(l, &image, NULL, &end, false, &keeper.taker, &made, err);

    if (rc != HF_OK) {
        forget_untold(l);
        hf_buf_done(&l->snapshot);
    }
    return rc;
}

static enum hf_code live_give_snapshot(struct hf_live *base, struct hf_taker *t, hf_stop_flag *stop,
                                       struct hf_err *err)
{
    struct mem_live *l = live_of(base);
    struct hf_sink *sink;
    enum hf_code rc;

    hf_assert(l->snapshot.len > 0);
    rc = t->begin(t, &l->snapshot_info, &sink, err);
    if (rc != HF_OK)
        return rc;
    rc = stop != NULL && *stop ? hf_err_set(err, HF_CANCELED, "stopped")
                               : sink->write(sink, hf_buf_slice(&l->snapshot), err);
    if (rc == HF_OK)
        rc = t->commit(t, err);
    if (rc == HF_OK)
        hf_buf_done(&l->snapshot);
    else
        t->abort(t);
    return rc;
}

static enum hf_code live_catch_up(struct hf_live *base, struct hf_taker *t, bool *ret_made,
                                  struct hf_err *err)
{
    struct mem_live *l = live_of(base);
    HF_AUTO_BUF image = {0};
    struct place end;

    hf_assert(l->attached && l->ledger.state.txid > 0);
    const enum hf_code rc = tell(l, err);

    if (rc != HF_OK)
        return rc;
    now_at(l, &image, &end);
    return give_difference(l, &image, NULL, &end, true, t, ret_made, err);
}

static enum hf_code live_round(struct hf_live *base, struct hf_round *round, struct hf_taker *t,
                               struct hf_err *err)
{
    struct mem_live *l = live_of(base);
    HF_AUTO_BUF image = {0};
    HF_AUTO_BUF written = {0};
    struct place until = {0};
    struct place end;
    bool made = false;
    enum hf_code rc = HF_OK;

    hf_assert(l->attached);
    round->segments_count = 0;
    rc = tell(l, err);
    if (rc == HF_OK && round->until != NULL)
        rc = place_import(round->until, &until, err);
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&l->db->mutex);
    const bool follows = is_in_log_locked(l->db, &l->ledger.place);
    const uint64_t log_count = l->db->guarded.log_count;

    end = end_locked(l->db);
    if (round->until != NULL && is_in_log_locked(l->db, &until) &&
        until.index > l->ledger.place.index)
        end = until;
    if (follows) {
        image_at_locked(l->db, end.index, &image);
        mark_written_locked(l->db, l->ledger.place.index, end.index, image.len / l->db->page_bytes,
                            &written);
    }
    (void)pthread_mutex_unlock(&l->db->mutex);
    if (!follows)
        return hf_err_set(err, HF_CONFLICT, "%s: its log does not continue", l->db->path);
    if (round->cut && end.index > l->ledger.place.index)
        rc = give_difference(l, &image, &written, &end, false, t, &made, err);
    if (rc != HF_OK)
        return rc;
    round->segments_count = made;
    round->resting = l->ledger.place.index == log_count;
    round->current = round->resting;
    round->looked = true;
    round->log_bytes = log_count * l->db->page_bytes;
    round->wait_ms = round->resting ? REST_MS : PACE_MS;
    return HF_OK;
}

static enum hf_code live_find(struct hf_live *base, const struct hf_position *p, uint64_t *ret_txid,
                              struct hf_err *err)
{
    struct mem_live *l = live_of(base);
    struct place place;
    enum hf_code rc;

    rc = place_import(p, &place, err);
    if (rc != HF_OK)
        return rc;
    for (uint64_t i = 0; i < l->marks_count && i < MARKS_MAX; i++) {
        const struct mark *m = &l->marks[(l->marks_count - 1 - i) % MARKS_MAX];

        if (memcmp(&m->place, &place, sizeof(place)) == 0) {
            *ret_txid = m->txid;
            return HF_OK;
        }
    }
    return hf_err_set(err, HF_NOT_FOUND, "no segment ended there");
}

static bool live_recall(const struct hf_live *l, uint64_t txid, struct hf_state *ret)
{
    const struct hf_state *known = &((const struct mem_live *)l)->ledger.recent[txid % RECENT_MAX];

    if (txid == 0 || known->txid != txid)
        return false;
    *ret = *known;
    return true;
}

static void live_detach(struct hf_live *base)
{
    hf_buf_done(&live_of(base)->snapshot);
    live_of(base)->attached = false;
}

static void live_free(struct hf_live *base)
{
    struct mem_live *l = live_of(base);

    live_detach(base);
    forget_untold(l);
    ledger_reset(&l->ledger);
    hf_free(l->state_path);
    hf_free(l);
}

static const struct hf_live_ops live_ops = {
    .state = live_state,
    .reset = live_reset,
    .adopt = live_adopt,
    .attach = live_attach,
    .snapshot = live_snapshot,
    .give_snapshot = live_give_snapshot,
    .catch_up = live_catch_up,
    .round = live_round,
    .find = live_find,
    .recall = live_recall,
    .detach = live_detach,
    .free = live_free,
};

static enum hf_code mem_live_open(const struct hf_live_options *o, struct hf_live **ret,
                                  struct hf_err *err)
{
    struct mem_live *l;
    struct mem_db *db;
    enum hf_code rc;

    rc = need_db(o->db_path, &db, err);
    if (rc != HF_OK)
        return rc;
    l = hf_calloc(1, sizeof(*l));
    l->base.ops = &live_ops;
    l->o = *o;
    l->db = db;
    l->state_path = hf_strfmt("%s/mem-state", o->state_dir);
    l->ledger.seed = o->seed;
    rc = ledger_load(&l->ledger, o->fs, l->state_path, err);
    if (rc != HF_OK) {
        live_free(&l->base);
        return rc;
    }
    if (l->ledger.has_place)
        l->marks[l->marks_count++] = (struct mark){l->ledger.place, l->ledger.state.txid};
    *ret = &l->base;
    return HF_OK;
}

static enum hf_code mem_live_probe(const char *db_path, struct hf_live_probe *ret,
                                   struct hf_err *err)
{
    struct mem_db *db;
    const enum hf_code rc = need_db(db_path, &db, err);

    if (rc == HF_OK)
        *ret = (struct hf_live_probe){.page_bytes = db->page_bytes};
    return rc;
}

static enum hf_code mem_live_prepare(const char *db_path, struct hf_err *err)
{
    struct mem_db *db;

    return need_db(db_path, &db, err);
}

/* ---- the scan -------------------------------------------------------------------------------- */

struct mem_scan {
    struct hf_scan base; /* first, so that the pointers convert */
    struct mem_db *db;
    uint64_t seed;
    hf_stop_flag *stop;
    bool pinned;
    struct place pin;
    struct hf_buf image; /* at the pin */
};

static enum hf_code scan_pin(struct hf_scan *base, struct hf_position *ret, struct hf_err *err)
{
    struct mem_scan *s = (struct mem_scan *)base;

    (void)err;
    hf_assert(!s->pinned);
    (void)pthread_mutex_lock(&s->db->mutex);
    s->pin = end_locked(s->db);
    image_at_locked(s->db, s->pin.index, &s->image);
    decay_locked(s->db, &s->image);
    (void)pthread_mutex_unlock(&s->db->mutex);
    s->pinned = true;
    place_export(&s->pin, ret);
    return HF_OK;
}

static void scan_unpin(struct hf_scan *base)
{
    struct mem_scan *s = (struct mem_scan *)base;

    s->pinned = false;
    hf_buf_done(&s->image);
}

/* Did a commit after `from`, up to the pin, touch the page or bring it into being or drop it? */
static bool is_newer(struct mem_scan *s, const struct place *from, uint64_t page)
{
    bool newer = false;

    (void)pthread_mutex_lock(&s->db->mutex);
    for (uint64_t i = from->index; !newer && i < s->pin.index; i++) {
        const struct commit *c = &s->db->guarded.log[i];

        newer = c->page == page || (c->pages_before < page) != (c->pages_count < page);
    }
    (void)pthread_mutex_unlock(&s->db->mutex);
    return newer;
}

static bool is_zero(struct hf_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != 0)
            return false;
    }
    return true;
}

static enum hf_code compare_page(struct mem_scan *s, const struct ledger *reference, uint64_t page,
                                 const struct place *replica_end, hf_page_diff_fn *fn, void *ctx,
                                 struct hf_scan_counts *counts, struct hf_err *err)
{
    const uint32_t page_bytes = s->db->page_bytes;
    const bool is_live = page * page_bytes <= s->image.len;
    const bool is_archived = page <= reference->state.pages_count;
    struct hf_page_diff diff = {.page = page, .state = HF_PAGE_DIFFERS};

    if (is_live) {
        const struct hf_slice bytes = hf_slice(s->image.ptr + (page - 1) * page_bytes, page_bytes);

        counts->bytes_read += page_bytes;
        diff.live_hash = hash_page(s->seed, page, bytes);
        if (is_archived && hf_root_equal(diff.live_hash, reference->hashes[page - 1])) {
            counts->equal++;
            return HF_OK;
        }
        if (is_zero(bytes))
            diff.state = HF_PAGE_ZEROED;
    } else {
        diff.state = HF_PAGE_MISSING;
    }
    if (replica_end != NULL && is_newer(s, replica_end, page)) {
        counts->parked++;
        return HF_OK;
    }
    counts->differ++;
    return fn(ctx, &diff, err);
}

static enum hf_code scan_slice(struct hf_scan *base, struct hf_replica *r,
                               const struct hf_position *replica_end, uint64_t from_page,
                               int64_t ms_max, hf_page_diff_fn *fn, void *ctx,
                               struct hf_scan_counts *counts, uint64_t *ret_next,
                               struct hf_err *err)
{
    struct mem_scan *s = (struct mem_scan *)base;
    const struct ledger *reference = &((const struct mem_replica *)r)->ledger;
    const uint64_t live_pages = s->image.len / s->db->page_bytes;
    const uint64_t last = live_pages > reference->state.pages_count ? live_pages
                                                                    : reference->state.pages_count;
    struct place end = {0};
    enum hf_code rc = HF_OK;

    (void)ms_max;
    hf_assert(s->pinned && r->ops == &replica_ops && from_page >= 1);
    if (replica_end != NULL) {
        rc = place_import(replica_end, &end, err);
        (void)pthread_mutex_lock(&s->db->mutex);
        if (rc == HF_OK && !is_in_log_locked(s->db, &end))
            rc = hf_err_set(err, HF_UNSUPPORTED, "the log does not hold the reference's end");
        (void)pthread_mutex_unlock(&s->db->mutex);
    }
    for (uint64_t p = from_page; rc == HF_OK && p <= last && p < from_page + MEM_SLICE_PAGES; p++) {
        if (s->stop != NULL && *s->stop)
            return hf_err_set(err, HF_CANCELED, "stopped");
        rc = compare_page(s, reference, p, replica_end != NULL ? &end : NULL, fn, ctx, counts, err);
    }
    if (rc == HF_OK)
        *ret_next = from_page + MEM_SLICE_PAGES <= last ? from_page + MEM_SLICE_PAGES : 0;
    return rc;
}

static bool scan_reads_device(const struct hf_scan *s, const char **ret_why)
{
    (void)s;
    *ret_why = "there is no device under memory";
    return false;
}

static void scan_free(struct hf_scan *base)
{
    struct mem_scan *s = (struct mem_scan *)base;

    hf_buf_done(&s->image);
    hf_free(s);
}

static const struct hf_scan_ops scan_ops = {
    .pin = scan_pin,
    .unpin = scan_unpin,
    .slice = scan_slice,
    .reads_device = scan_reads_device,
    .free = scan_free,
};

static enum hf_code mem_scan_open(const struct hf_scan_options *o, struct hf_scan **ret,
                                  struct hf_err *err)
{
    struct mem_scan *s;
    struct mem_db *db;
    const enum hf_code rc = need_db(o->db_path, &db, err);

    if (rc != HF_OK)
        return rc;
    s = hf_calloc(1, sizeof(*s));
    s->base.ops = &scan_ops;
    s->db = db;
    s->seed = o->seed;
    s->stop = o->stop;
    *ret = &s->base;
    return HF_OK;
}

/* ---- single facts ---------------------------------------------------------------------------- */

static enum hf_code mem_segment_check(struct hf_source *segment, struct hf_pool *pool,
                                      struct hf_err *err)
{
    HF_AUTO_BUF bytes = {0};
    struct header h;

    (void)pool;
    return read_segment(segment, &bytes, &h, err);
}

static enum hf_code mem_segment_page(struct hf_source *segment, uint64_t seed, uint64_t page,
                                     struct hf_root *ret_hash, struct hf_err *err)
{
    HF_AUTO_BUF bytes = {0};
    struct header h;
    const enum hf_code rc = read_segment(segment, &bytes, &h, err);

    if (rc != HF_OK)
        return rc;
    for (size_t at = HEADER_BYTES; at + TRAILER_BYTES < bytes.len;
         at += 8 + (size_t)h.info.page_bytes) {
        if (hf_get_be64(bytes.ptr + at) == page) {
            *ret_hash = hash_page(seed, page, hf_slice(bytes.ptr + at + 8, h.info.page_bytes));
            return HF_OK;
        }
    }
    return hf_err_set(err, HF_NOT_FOUND, "%s does not hold page %" PRIu64, segment->name, page);
}

static enum hf_code mem_segment_end(struct hf_slice header, struct hf_position *ret,
                                    struct hf_err *err)
{
    struct header h;
    const enum hf_code rc = header_decode(header, &h, err);

    if (rc != HF_OK)
        return rc;
    if (!h.has_place)
        return hf_err_set(err, HF_NOT_FOUND, "it was not captured from the log");
    place_export(&h.place, ret);
    return HF_OK;
}

static enum hf_code mem_describe(const char *db_path, uint64_t page, char ret[HF_PAGE_TEXT_MAX],
                                 struct hf_err *err)
{
    struct mem_db *db;
    const enum hf_code rc = need_db(db_path, &db, err);

    if (rc == HF_OK)
        (void)snprintf(ret, HF_PAGE_TEXT_MAX, "page %" PRIu64, page);
    return rc;
}

const struct hf_engine *engine_mem(void)
{
    static const struct hf_segment_codec codec = {HEADER_BYTES, segment_info};
    static const struct hf_engine engine = {
        .name = MEM_ENGINE_NAME,
        .codec = &codec,
        .replica_open = mem_replica_open,
        .live_probe = mem_live_probe,
        .live_prepare = mem_live_prepare,
        .live_open = mem_live_open,
        .scan_open = mem_scan_open,
        .segment_check = mem_segment_check,
        .segment_page = mem_segment_page,
        .segment_end = mem_segment_end,
        .describe = mem_describe,
    };

    return &engine;
}
