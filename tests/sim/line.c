/* SPDX-License-Identifier: Apache-2.0 */
/* line.c - one request: does the process live, what becomes of the request, what is answered. */
#include "sim/line.h"

#include <inttypes.h>
#include <string.h>

#include "archive/archive.h"
#include "base/check.h"
#include "base/hash.h"
#include "lib/fixture.h"
#include "store/store_ops.h"

#define STALL_US_MAX  (15 * SECOND_US)
#define ANSWER_US_MAX (15 * SECOND_US) /* how long a store is tried that does not answer */
#define LATE_US_MAX   (120 * SECOND_US)

#define LARGE_PER_MILLE 800 /* of the pieces of a first snapshot take long, where that matters */

struct line {
    struct hf_store base; /* first, so that the pointers convert */
    struct process *p;
    const struct partition *partition;
};

struct line_upload {
    struct hf_upload base; /* first, so that the pointers convert */
    struct hf_put put;
    struct hf_buf body;
};

/* A put that is on its way. */
struct late {
    int64_t at_us;
    char *key;
    struct hf_buf body;
    struct hf_put put;
};

struct lines {
    struct late *late;
    size_t late_count;
    unsigned per_mille;
    int64_t cut_until_us;
};

struct lines *lines_new(void)
{
    return hf_calloc(1, sizeof(struct lines));
}

static void late_done(struct late *l)
{
    hf_free(l->key);
    hf_buf_done(&l->body);
}

void lines_free(struct sim *s)
{
    for (size_t i = 0; i < s->lines->late_count; i++)
        late_done(&s->lines->late[i]);
    hf_free(s->lines->late);
    hf_free(s->lines);
}

void lines_set_weather(struct sim *s, unsigned per_mille)
{
    s->lines->per_mille = per_mille;
}

void lines_cut(struct sim *s, int64_t us)
{
    s->lines->cut_until_us = s->now_us + us;
}

/* ---- late requests -------------------------------------------------------------------------- */

static void send_late(struct sim *s, const char *key, struct hf_slice body,
                      const struct hf_put *put)
{
    struct lines *l = s->lines;

    l->late = hf_realloc(l->late, l->late_count + 1, sizeof(*l->late));
    struct late *late = &l->late[l->late_count++];

    *late = (struct late){
        .at_us = s->now_us + 1 +
                 (int64_t)sim_below(s, sim_chance(s, 500) ? LATE_US_MAX : SECOND_US),
        .key = hf_strdup(key),
        .put = *put,
    };
    hf_buf_append(&late->body, body.ptr, body.len);
}

static size_t first_late(const struct lines *l)
{
    size_t first = 0;

    for (size_t i = 1; i < l->late_count; i++) {
        if (l->late[i].at_us < l->late[first].at_us)
            first = i;
    }
    return first;
}

int64_t lines_due_us(const struct sim *s)
{
    return s->lines->late_count > 0 ? s->lines->late[first_late(s->lines)].at_us : INT64_MAX;
}

void lines_deliver(struct sim *s)
{
    struct lines *l = s->lines;
    const size_t at = first_late(l);
    struct late late = l->late[at];
    struct hf_etag etag;
    struct hf_err err;

    l->late[at] = l->late[--l->late_count];
    const enum hf_code rc =
        hf_store_put(&s->store->base, late.key, hf_buf_slice(&late.body), &late.put, &etag, &err);

    if (rc == HF_OK)
        sim_count(s, SIM_PUT_LATE_EFFECT);
    sim_note(s, "a late put of %s arrives: %s", late.key, hf_code_text(rc));
    late_done(&late);
}

/* ---- what becomes of a request -------------------------------------------------------------- */

static struct line *line_of(struct hf_store *s)
{
    return (struct line *)s;
}

/* The world goes on while the request is under way. */
static void stall(struct process *p)
{
    struct sim *s = p->sim;

    sim_count(s, SIM_STALL);
    sim_pass(s, (int64_t)sim_below(s, STALL_US_MAX), NULL, NULL);
}

/* How long the archive will not be reached; 0: it can be. */
static int64_t cut_for_us(const struct line *l)
{
    const struct sim *s = l->p->sim;
    const int64_t weather_us = s->quiet ? 0 : s->lines->cut_until_us;
    const int64_t own_us = l->partition->cut_off_until_us;
    const int64_t until_us = own_us > weather_us ? own_us : weather_us;

    return until_us > s->now_us ? until_us - s->now_us : 0;
}

/* The process was told that it need not wait, or it is dead, or the archive is back. */
static bool need_not_wait(void *ctx)
{
    const struct line *l = ctx;

    return l->p->cut || l->p->dead || cut_for_us(l) == 0;
}

/* HF_OK: the archive can be reached. */
static enum hf_code reach(struct line *l, struct hf_err *err)
{
    struct process *p = l->p;
    struct sim *s = p->sim;
    const int64_t left_us = cut_for_us(l);

    if (left_us == 0)
        return HF_OK;
    s->hindrances++;
    sim_pass(s, left_us < ANSWER_US_MAX ? left_us : ANSWER_US_MAX, need_not_wait, l);
    if (p->dead)
        return process_is_dead(err);
    if (p->cut)
        return hf_err_set(err, HF_CANCELED, "told to stop");
    return cut_for_us(l) == 0 ? HF_OK : hf_err_set(err, HF_TRANSIENT, "no answer");
}

/* There are many reads to a put, and it is puts that matter. */
static bool has_fault(struct sim *s, unsigned times)
{
    return !s->quiet && sim_chance(s, s->lines->per_mille * times);
}

/* Before a request that only reads. */
static enum hf_code begin_read(struct line *l, struct hf_err *err)
{
    struct process *p = l->p;
    struct sim *s = p->sim;

    if (process_call(p) != LIFE_GOES_ON)
        return process_is_dead(err);
    const enum hf_code rc = reach(l, err);

    if (rc != HF_OK || !has_fault(s, 1))
        return rc;
    if (sim_chance(s, 300)) {
        stall(p);
        return p->dead ? process_is_dead(err) : HF_OK;
    }
    sim_count(s, SIM_READ_FAILED);
    return hf_err_set(err, HF_TRANSIENT, "injected failure");
}

static enum hf_code uncertain(struct hf_err *err)
{
    return hf_err_set(err, HF_UNCERTAIN, "no answer came");
}

/* A put as the store does it. */
static enum hf_code put_now(struct sim *s, const char *key, struct hf_slice body,
                            const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    return hf_store_put(&s->store->base, key, body, put, ret_etag, err);
}

/* It died in the middle of the put, which may be on its way. (Where nothing but a lease holds, no
 * put outlives its call for long: what came later would overwrite.) */
static enum hf_code put_of_dead(struct process *p, enum life life, const char *key,
                                struct hf_slice body, const struct hf_put *put, struct hf_err *err)
{
    struct sim *s = p->sim;
    struct hf_etag etag;
    struct hf_err ignored;

    if (life == LIFE_ENDS_AFTER && (s->leases || sim_chance(s, 500)))
        (void)!put_now(s, key, body, put, &etag, &ignored);
    else if (life == LIFE_ENDS_AFTER) {
        sim_count(s, SIM_PUT_LATE);
        send_late(s, key, body, put);
    }
    return process_is_dead(err);
}

static enum hf_code stalled_put(struct process *p, const char *key, struct hf_slice body,
                                const struct hf_put *put, struct hf_etag *ret_etag,
                                struct hf_err *err)
{
    struct sim *s = p->sim;
    enum hf_code rc = HF_OK;

    if (sim_chance(s, 500)) {
        rc = put_now(s, key, body, put, ret_etag, err);
        stall(p);
        return p->dead ? process_is_dead(err) : rc;
    }
    stall(p);
    if (p->dead)
        return put_of_dead(p, sim_chance(s, 500) ? LIFE_ENDS_AFTER : LIFE_ENDS_BEFORE, key, body,
                           put, err);
    return put_now(s, key, body, put, ret_etag, err);
}

static enum hf_code faulty_put(struct process *p, const char *key, struct hf_slice body,
                               const struct hf_put *put, struct hf_etag *ret_etag,
                               struct hf_err *err)
{
    struct sim *s = p->sim;
    struct hf_err ignored;

    switch (sim_below(s, s->leases ? 4 : 6)) {
    case 0:
        sim_count(s, SIM_PUT_REFUSED);
        return hf_err_set(err, HF_TRANSIENT, "injected failure");
    case 1:
        sim_count(s, SIM_PUT_UNANSWERED);
        (void)!put_now(s, key, body, put, ret_etag, &ignored);
        return uncertain(err);
    case 2:
        sim_count(s, SIM_PUT_LOST);
        return uncertain(err);
    case 3:
        return stalled_put(p, key, body, put, ret_etag, err);
    case 4:
        sim_count(s, SIM_PUT_LATE);
        send_late(s, key, body, put);
        return uncertain(err);
    default:
        sim_count(s, SIM_PUT_TWICE);
        send_late(s, key, body, put);
        return put_now(s, key, body, put, ret_etag, err);
    }
}

static enum hf_code put(struct line *l, const char *key, struct hf_slice body,
                        const struct hf_put *put, struct hf_etag *ret_etag, struct hf_err *err)
{
    struct process *p = l->p;
    struct sim *s = p->sim;
    const enum life life = process_call(p);

    if (life != LIFE_GOES_ON)
        return put_of_dead(p, life, key, body, put, err);
    enum hf_code rc = reach(l, err);

    if (rc == HF_OK)
        rc = has_fault(s, 3) ? faulty_put(p, key, body, put, ret_etag, err)
                             : put_now(s, key, body, put, ret_etag, err);
    sim_note(s, "machine %u: put %s: %s", p->machine->index, key, hf_code_text(rc));
    return rc;
}

/* ---- the store ------------------------------------------------------------------------------ */

static enum hf_code line_put(struct hf_store *store, const char *key, struct hf_slice body,
                             const struct hf_put *how, struct hf_etag *ret_etag, struct hf_err *err)
{
    return put(line_of(store), key, body, how, ret_etag, err);
}

static enum hf_code line_get(struct hf_store *store, const char *key, uint64_t offset, uint64_t len,
                             struct hf_buf *ret, struct hf_object *ret_object, struct hf_err *err)
{
    struct process *p = line_of(store)->p;
    enum hf_code rc = begin_read(line_of(store), err);

    if (rc == HF_OK)
        rc = hf_store_get(&p->sim->store->base, key, offset, len, ret, ret_object, err);
    sim_mix(p->sim, hf_hash64(key, strlen(key)), (uint64_t)rc);
    return rc;
}

static enum hf_code line_head(struct hf_store *store, const char *key, struct hf_object *ret,
                              struct hf_err *err)
{
    struct process *p = line_of(store)->p;
    const enum hf_code rc = begin_read(line_of(store), err);

    return rc != HF_OK ? rc : hf_store_head(&p->sim->store->base, key, ret, err);
}

static enum hf_code line_delete(struct hf_store *store, const char *key, struct hf_err *err)
{
    struct process *p = line_of(store)->p;
    const enum hf_code rc = begin_read(line_of(store), err);

    return rc != HF_OK ? rc : hf_store_delete(&p->sim->store->base, key, err);
}

/* A listing that may break off. */
struct listing {
    hf_list_fn *fn;
    void *ctx;
    uint64_t breaks_in; /* keys; 0: it does not */
};

static enum hf_code pass_key(void *ctx, const char *key, const struct hf_object *object,
                             struct hf_err *err)
{
    struct listing *l = ctx;

    if (l->breaks_in > 0 && --l->breaks_in == 0)
        return hf_err_set(err, HF_TRANSIENT, "injected failure in a listing");
    return l->fn(l->ctx, key, object, err);
}

static enum hf_code line_list(struct hf_store *store, const char *prefix, const char *start_after,
                              hf_list_fn *fn, void *ctx, struct hf_err *err)
{
    struct process *p = line_of(store)->p;
    struct sim *s = p->sim;
    struct listing listing = {.fn = fn, .ctx = ctx};
    enum hf_code rc = begin_read(line_of(store), err);

    if (rc == HF_OK && has_fault(s, 1)) {
        sim_count(s, SIM_READ_FAILED);
        listing.breaks_in = 1 + sim_below(s, 10);
    }
    if (rc == HF_OK)
        rc = hf_store_list(&s->store->base, prefix, start_after, pass_key, &listing, err);
    sim_mix(s, hf_hash64(prefix, strlen(prefix)), (uint64_t)rc);
    return rc;
}

/* A first snapshot is large: where others may have to wait for its slot, it takes its time. */
static enum hf_code upload_write(struct hf_upload *u, struct hf_slice data, struct hf_err *err)
{
    struct process *p = line_of(u->store)->p;
    struct sim *s = p->sim;
    enum hf_code rc = begin_read(line_of(u->store), err);

    if (rc == HF_OK && s->partitions_count > 1 && !s->quiet && sim_chance(s, LARGE_PER_MILLE)) {
        stall(p);
        rc = p->dead ? process_is_dead(err) : HF_OK;
    }
    if (rc == HF_OK)
        hf_buf_append(&((struct line_upload *)u)->body, data.ptr, data.len);
    return rc;
}

static enum hf_code upload_finish(struct hf_upload *u, struct hf_etag *ret_etag, struct hf_err *err)
{
    const struct line_upload *lu = (const struct line_upload *)u;

    return put(line_of(u->store), u->key, hf_buf_slice(&lu->body), &lu->put, ret_etag, err);
}

static void upload_free(struct hf_upload *u)
{
    hf_buf_done(&((struct line_upload *)u)->body);
    hf_free(u);
}

static const struct hf_upload_ops upload_ops = {
    .write = upload_write,
    .finish = upload_finish,
    .free = upload_free,
};

static enum hf_code line_upload_new(struct hf_store *store, const char *key,
                                    const struct hf_put *how, struct hf_upload **ret,
                                    struct hf_err *err)
{
    const enum hf_code rc = begin_read(line_of(store), err);

    (void)key;
    if (rc != HF_OK)
        return rc;
    struct line_upload *u = hf_calloc(1, sizeof(*u));

    u->base.ops = &upload_ops;
    u->put = *how;
    *ret = &u->base;
    return HF_OK;
}

static void line_free(struct hf_store *store)
{
    hf_free(store);
}

static const struct hf_store_ops line_ops = {
    .put = line_put,
    .get = line_get,
    .head = line_head,
    .del = line_delete,
    .list = line_list,
    .upload_new = line_upload_new,
    .free = line_free,
};

struct hf_store *line_new(struct process *p, const struct partition *of)
{
    struct line *l = hf_calloc(1, sizeof(*l));

    l->base.ops = &line_ops;
    l->base.caps = p->sim->leases ? HF_STORE_LARGE : HF_STORE_COND_PUT | HF_STORE_LARGE;
    l->base.url = hf_strdup("mem://test");
    l->p = p;
    l->partition = of;
    return &l->base;
}
