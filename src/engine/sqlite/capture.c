/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c - the live side as engine.h wants it: what is known before, between and after rounds.
 * How a database is followed is in the files live_*.c; live.h has the invariants.
 */
#include "engine/sqlite/capture.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "engine/sqlite/apply.h"
#include "engine/sqlite/live.h"

static const struct hf_state *live_state(const struct hf_live *l)
{
    return &((const struct live *)l)->state;
}

static enum hf_code live_reset(struct hf_live *base, struct hf_err *err)
{
    struct live *l = live_of(base);
    const enum hf_code rc = digest_reset(l->digest, err);

    live_forget_untold(l);
    live_publish_state(l);
    return rc;
}

static enum hf_code live_find(struct hf_live *base, const struct hf_position *p, uint64_t *ret_txid,
                              struct hf_err *err)
{
    struct live *l = live_of(base);
    struct wal_position pos;
    const enum hf_code rc = wal_position_import(p, &pos, err);

    if (rc != HF_OK)
        return rc;
    const uint64_t txid = digest_find(l->digest, &pos);

    if (txid == 0)
        return hf_err_set(err, HF_NOT_FOUND, "no segment ended at frame %u of WAL %08x-%08x",
                          pos.frame, pos.salt[0], pos.salt[1]);
    *ret_txid = txid;
    return HF_OK;
}

static bool live_recall(const struct hf_live *l, uint64_t txid, struct hf_state *ret)
{
    const struct digest_mark *m = digest_recall(((const struct live *)l)->digest, txid);

    if (m != NULL)
        *ret = live_state_at(m);
    return m != NULL;
}

static enum hf_code live_adopt(struct hf_live *base, struct hf_source *segment, struct hf_err *err)
{
    struct live *l = live_of(base);
    const struct digest_mark before = *digest_mark(l->digest);
    struct apply a = {
        .digest = l->digest,
        .mark = before,
        .seed = l->o.seed,
        .pool = l->o.pool,
        .stop = l->o.stop,
    };

    hf_assert(!l->attached && !l->untold.is);
    enum hf_code rc = digest_bulk_begin(l->digest, err);

    if (rc == HF_OK)
        rc = apply_segment(&a, segment, err);
    if (rc == HF_OK) {
        a.mark.db_inode = before.db_inode; /* unknown (0) if the whole state came from there */
        a.mark.wal_inode = before.wal_inode;
        rc = digest_bulk_end(l->digest, &a.mark, err);
    }
    live_publish_state(l);
    return rc;
}

/*
 * The WAL-reset bug (SQLite 3.7.0 to 3.51.2; mended in 3.51.3 and in 3.50.7 and 3.44.6): which
 * version wrote the file last stands at offset 96 of its header.
 */
static bool has_wal_reset_bug(uint32_t version)
{
    return version >= 3007000 && version < 3051003 && !(version >= 3050007 && version < 3051000) &&
           !(version >= 3044006 && version < 3045000);
}

static enum hf_code probe_version(struct conn *c, struct hf_live_probe *probe, struct hf_err *err)
{
    HF_AUTO_FREE uint8_t *page = hf_malloc(probe->page_bytes);
    const enum hf_code rc = conn_read_pages(c, probe->page_bytes, 1, 1, page, err);

    if (rc == HF_OK && has_wal_reset_bug(hf_get_be32(page + 96)))
        probe->warning =
            "it was last written by a SQLite version with the WAL-reset bug (before 3.51.3; mended "
            "in 3.50.7 and 3.44.6), which can lose commits when two connections checkpoint at "
            "once. "
            "While holdfast is attached this cannot happen; update the application's SQLite";
    return rc;
}

enum hf_code sqlite_live_probe(const char *db_path, struct hf_live_probe *ret, struct hf_err *err)
{
    HF_CLEANUP(conn_close) struct conn c = {0};
    struct hf_live_probe probe = {0};
    enum hf_code rc = companions_check_place(db_path, err);

    if (rc == HF_OK)
        rc = conn_open(db_path, &c, err);
    if (rc == HF_OK)
        rc = companions_keep_owner(db_path, err);
    if (rc == HF_OK)
        rc = conn_pragma(&c, "PRAGMA page_size", &probe.page_bytes, err);
    if (rc == HF_OK)
        rc = probe_version(&c, &probe, err);
    if (rc == HF_OK)
        *ret = probe;
    return rc;
}

enum hf_code sqlite_live_prepare(const char *db_path, struct hf_err *err)
{
    return conn_set_wal_mode(db_path, err);
}

static void live_free(struct hf_live *base)
{
    struct live *l = live_of(base);

    live_detach(base);
    digest_free(l->digest);
    live_forget_untold(l);
    hf_free(l->db_path);
    hf_free(l->wal_path);
    hf_free(l->rest_path);
    hf_free(l);
}

static const struct hf_live_ops ops = {
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

enum hf_code sqlite_live_open(const struct hf_live_options *o, struct hf_live **ret,
                              struct hf_err *err)
{
    struct live *l = hf_calloc(1, sizeof(*l));
    HF_AUTO_FREE char *digest_path = hf_strfmt("%s/digest", o->state_dir);
    const char *why = NULL;

    l->base.ops = &ops;
    l->o = *o;
    l->db_path = hf_strdup(o->db_path);
    l->wal_path = hf_strfmt("%s-wal", o->db_path);
    l->rest_path = hf_strfmt("%s/rest", o->state_dir);
    const enum hf_code rc = digest_open(o->fs, digest_path, &l->digest, &why, err);

    if (rc != HF_OK) {
        live_free(&l->base);
        return rc;
    }
    live_publish_state(l);
    *ret = &l->base;
    return HF_OK;
}
