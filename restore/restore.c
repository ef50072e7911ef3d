/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.c - rebuild under a temporary name beside the output, then publish. Invariants:
 * DESIGN.md.
 *
 * All that a restore makes has a name that begins with its own random one, so that one listing of
 * the folder finds whatever there is to remove, however it ended.
 */
#include "restore/restore.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#define DIGEST_PAGE_BYTES_MAX 32   /* beside the pages, while it is made */
#define OUT_NAME_SHOWN_MAX    128  /* bytes of it in temporary names, so that these fit NAME_MAX */
#define OUT_MODE              0600 /* no less private than any database it can come from */

struct place {
    const struct hf_restore_options *o;
    char *dir;
    char *prefix; /* of all temporary names; without the folder */
    char *pages;  /* paths */
    char *digest;
    bool fits;           /* the plan was judged, and there was room for it: */
    uint64_t need_bytes; /* of pages and digest */
    uint64_t free_bytes; /* in the folder, then */
};

static void place_init(struct place *p, const struct hf_restore_options *o)
{
    p->o = o;
    p->dir = hf_path_dir(o->out_path);
    p->prefix = hf_strfmt(".%.*s.holdfast-%016" PRIx64, OUT_NAME_SHOWN_MAX,
                          hf_path_base(o->out_path), hf_rand_u64(o->rand));
    p->pages = hf_strfmt("%s/%s", p->dir, p->prefix);
    p->digest = hf_strfmt("%s-digest", p->pages);
}

/* The name comes from a listing, so it is gone when the listing goes on. */
static enum hf_code remove_ours(void *ctx, const char *name, struct hf_err *err)
{
    const struct place *p = ctx;

    if (strncmp(name, p->prefix, strlen(p->prefix)) != 0)
        return HF_OK;
    HF_AUTO_FREE char *path = hf_strfmt("%s/%s", p->dir, name);

    return hf_fs_unlink(p->o->fs, path, err);
}

/* Nothing can be done about a failure here; what stays has a name that tells what it is. The
 * largest file is removed by name, in case the folder cannot be listed. */
static void place_done(struct place *p)
{
    struct hf_err ignored;

    (void)!hf_fs_unlink(p->o->fs, p->pages, &ignored);
    (void)!hf_fs_list(p->o->fs, p->dir, remove_ours, p, &ignored);
    hf_free(p->dir);
    hf_free(p->prefix);
    hf_free(p->pages);
    hf_free(p->digest);
}

/* HF_USAGE if `path` with `suffix` is there; `advice` says what to do then. */
static enum hf_code check_absent(const struct hf_restore_options *o, const char *suffix,
                                 const char *advice, struct hf_err *err)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s%s", o->out_path, suffix);
    struct hf_stat st;
    const enum hf_code rc = hf_fs_stat(o->fs, path, &st, err);

    if (rc == HF_NOT_FOUND)
        return HF_OK;
    if (rc != HF_OK)
        return rc;
    return hf_err_set(err, HF_USAGE, "%s exists; %s", path, advice);
}

static enum hf_code check_out(const struct place *p, struct hf_err *err)
{
    static const char companion[] =
        "SQLite would take it for part of the restored database: move it away first";
    const struct hf_restore_options *o = p->o;
    struct hf_stat st;
    enum hf_code rc;

    if (*hf_path_base(o->out_path) == '\0')
        return hf_err_set(err, HF_USAGE, "%s is a folder; name the file to restore to",
                          o->out_path);
    rc = hf_fs_stat(o->fs, p->dir, &st, err);
    if (rc == HF_NOT_FOUND || (rc == HF_OK && !st.is_dir))
        return hf_err_set(err, HF_USAGE, "%s is not a folder; make it first", p->dir);
    if (rc != HF_OK)
        return rc;
    rc = hf_fs_stat(o->fs, o->out_path, &st, err);
    if (rc == HF_OK && st.is_dir)
        return hf_err_set(err, HF_USAGE, "%s is a folder; name the file to restore to",
                          o->out_path);
    if (rc != HF_OK && rc != HF_NOT_FOUND)
        return rc;
    if (!o->force) {
        rc = check_absent(o, "", "choose another name, or replace it with --force", err);
        if (rc != HF_OK)
            return rc;
    }
    rc = check_absent(o, "-wal", companion, err);
    if (rc != HF_OK)
        return rc;
    return check_absent(o, "-journal", companion, err);
}

/* The plan's outcome will fit (hf_plan_fn); asked before anything is made. */
static enum hf_code check_space(void *ctx, const struct hf_plan *plan, struct hf_err *err)
{
    struct place *p = ctx;
    const uint64_t pages = plan->info.pages_count;
    uint64_t total_bytes;
    enum hf_code rc;

    p->need_bytes = pages * ((uint64_t)plan->info.page_bytes + DIGEST_PAGE_BYTES_MAX);
    rc = hf_fs_space(p->o->fs, p->dir, &p->free_bytes, &total_bytes, err);
    p->fits = rc == HF_OK && p->free_bytes >= p->need_bytes;
    if (rc != HF_OK || p->fits)
        return rc;
    return hf_err_set(err, HF_FULL,
                      "there is no room for %s: it takes %" PRIu64 " bytes (%" PRIu64
                      " pages of %" PRIu32 " and their hashes), and %s has %" PRIu64
                      " bytes free; nothing was made. Make room, or restore to another disk",
                      p->o->out_path, p->need_bytes, pages, plan->info.page_bytes, p->dir,
                      p->free_bytes);
}

/* The disk was filled by others, or by a larger database on the way to the wanted one. */
static enum hf_code filled_up(const struct place *p, struct hf_err *err)
{
    const struct hf_err why = *err;

    return hf_err_set(err, HF_FULL,
                      "the disk filled up before %s was whole: it takes %" PRIu64
                      " bytes, and more on the way if the database was larger before; %s had "
                      "%" PRIu64
                      " bytes free at the beginning. Nothing is left behind. Make room, or restore "
                      "to another disk (%s)",
                      p->o->out_path, p->need_bytes, p->dir, p->free_bytes, why.text);
}

static enum hf_code rebuild(struct place *p, struct hf_rebuild_report *report, struct hf_err *err)
{
    const struct hf_restore_options *o = p->o;
    const struct hf_rebuild_options options = {
        .engine = o->engine,
        .archive = o->archive,
        .fs = o->fs,
        .pool = o->pool,
        .target = o->target,
        .digest_path = p->digest,
        .pages_path = p->pages,
        .mode = OUT_MODE,
        .judge = check_space,
        .judge_ctx = p,
        .progress = o->progress,
        .stop = o->stop,
    };
    struct hf_replica *r = NULL;
    const enum hf_code rc = hf_rebuild(&options, &r, report, err);

    if (r != NULL)
        r->ops->free(r);
    return rc;
}

/* What is about to be replaced lends its mode, owner and group; nothing is there: nothing to do. */
static enum hf_code keep_access(const struct place *p, struct hf_err *err)
{
    const struct hf_restore_options *o = p->o;
    HF_AUTO_FILE *f = NULL;
    struct hf_stat old;
    enum hf_code rc = hf_fs_stat(o->fs, o->out_path, &old, err);

    if (rc == HF_NOT_FOUND)
        return HF_OK;
    if (rc == HF_OK)
        rc = hf_fs_open(o->fs, p->pages, HF_OPEN_WRITE, 0, &f, err);
    if (rc == HF_OK)
        rc = hf_file_set_access(f, &old, err);
    return rc != HF_OK ? rc : hf_file_sync(f, err);
}

/* The whole and durable file gets its name: the only step that anybody sees. */
static enum hf_code publish(const struct place *p, struct hf_err *err)
{
    const struct hf_restore_options *o = p->o;
    enum hf_code rc;

    rc = check_out(p, err);
    if (rc != HF_OK)
        return rc;
    if (o->force)
        rc = keep_access(p, err);
    if (rc != HF_OK)
        return rc;
    if (o->force)
        rc = hf_fs_rename(o->fs, p->pages, o->out_path, err);
    else
        rc = hf_fs_link(o->fs, p->pages, o->out_path, err);
    if (rc == HF_CONFLICT)
        return hf_err_recode(err, HF_USAGE,
                             "something else made %s meanwhile; it was left as it is", o->out_path);
    return rc;
}

static enum hf_code restore_to(struct place *p, struct hf_rebuild_report *report,
                               struct hf_err *err)
{
    enum hf_code rc;

    rc = check_out(p, err);
    if (rc != HF_OK)
        return rc;
    rc = rebuild(p, report, err);
    if (rc == HF_FULL && p->fits)
        return filled_up(p, err);
    if (rc != HF_OK)
        return rc;
    if (p->o->stop != NULL && *p->o->stop)
        return hf_err_set(err, HF_CANCELED, "stopped before %s was published", p->o->out_path);
    return publish(p, err);
}

enum hf_code hf_restore(const struct hf_restore_options *o, struct hf_rebuild_report *report,
                        struct hf_err *err)
{
    struct hf_rebuild_report made = {0};
    HF_AUTO_FREE char *dir = hf_path_dir(o->out_path);
    enum hf_code rc;

    hf_assert(o->rand != NULL);
    {
        /* Its end removes the temporary names, before the folder is synced. */
        HF_CLEANUP(place_done) struct place p;

        place_init(&p, o);
        rc = restore_to(&p, &made, err);
    }
    if (rc != HF_OK)
        return rc;
    rc = hf_fs_sync_dir(o->fs, dir, err);
    if (rc != HF_OK)
        return hf_err_recode(err, HF_UNCERTAIN, "%s is restored, perhaps not durably", o->out_path);
    *report = made;
    return HF_OK;
}
