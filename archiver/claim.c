/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.c - `claimed` in the folder of local state: the node of the last claim that was made over
 * it, and the inode of `lock` beside it, which a copy of the folder does not share.
 *
 * It tells whether the owner of an archive was a process over this folder. That process has ended
 * if the folder's lock is free; any other owner may be at work somewhere else. `claiming` holds the
 * same of a claim that is about to be made: whatever becomes of it, one of the two tells the truth.
 */
#include <inttypes.h>
#include <stdio.h>

#include "archive/partition.h"
#include "archiver/partition.h"
#include "base/alloc.h"
#include "base/log.h"

#define TEXT_BYTES_MAX 128
#define OWNER_FRESH_MS                                                                             \
    (OWNER_TOUCH_MS + OWNER_TOUCH_MS / 2) /* a live owner has touched it since                     \
                                           */

static char *path_of(const char *state_dir, const char *name)
{
    return hf_strfmt("%s/%s", state_dir, name);
}

/* What stands in the file after a claim by `node` over this folder. */
static enum hf_code text_of(struct hf_fs *fs, const char *state_dir, const char *node,
                            struct hf_buf *ret, struct hf_err *err)
{
    HF_AUTO_FREE char *lock = hf_strfmt("%s/lock", state_dir);
    struct hf_stat st;
    const enum hf_code rc = hf_fs_stat(fs, lock, &st, err);

    if (rc == HF_OK)
        hf_buf_printf(ret, "%s %" PRIu64 "\n", node, st.inode);
    return rc;
}

enum hf_code partition_note_claiming(const struct partition *p, struct hf_err *err)
{
    HF_AUTO_FREE char *path = path_of(p->state_dir, "claiming");
    HF_AUTO_BUF text = {0};
    enum hf_code rc = text_of(p->env->fs, p->state_dir, p->owner.node, &text, err);

    if (rc == HF_OK)
        rc = hf_fs_replace(p->env->fs, path, hf_buf_slice(&text), 0600, err);
    return rc;
}

void partition_note_claimed(const struct partition *p)
{
    HF_AUTO_FREE char *from = path_of(p->state_dir, "claiming");
    HF_AUTO_FREE char *to = path_of(p->state_dir, "claimed");
    struct hf_err err;

    if (hf_fs_rename(p->env->fs, from, to, &err) != HF_OK)
        hf_log(HF_LOG_DEBUG, "%s: %s", p->target.name, err.text);
}

static bool says(struct hf_fs *fs, const char *state_dir, const char *name, struct hf_slice text)
{
    HF_AUTO_FREE char *path = path_of(state_dir, name);
    HF_AUTO_BUF found = {0};
    struct hf_err ignored;

    return hf_fs_read_all(fs, path, TEXT_BYTES_MAX, &found, &ignored) == HF_OK &&
           found.len == text.len && memcmp(found.ptr, text.ptr, text.len) == 0;
}

static bool was_ours(struct hf_fs *fs, const char *state_dir, const struct hf_owner *owner)
{
    HF_AUTO_BUF want = {0};
    struct hf_err ignored;

    if (text_of(fs, state_dir, owner->node, &want, &ignored) != HF_OK)
        return false;
    return says(fs, state_dir, "claimed", hf_buf_slice(&want)) ||
           says(fs, state_dir, "claiming", hf_buf_slice(&want));
}

/* Both are there, and are two files. */
static bool are_two_files(struct hf_fs *fs, const char *a, const char *b)
{
    struct hf_stat stat_a;
    struct hf_stat stat_b;
    struct hf_err ignored;

    return hf_fs_stat(fs, a, &stat_a, &ignored) == HF_OK &&
           hf_fs_stat(fs, b, &stat_b, &ignored) == HF_OK &&
           (stat_a.inode != stat_b.inode || stat_a.device != stat_b.device);
}

enum hf_code partition_check_database(const struct partition *p, const struct hf_owner *owner,
                                      struct hf_err *err)
{
    HF_AUTO_BUF path = {0};

    if (owner->database[0] == '\0' || strcmp(owner->database, p->owner.database) == 0 ||
        strcmp(owner->host, p->owner.host) != 0 || !hf_percent_unescape(owner->database, &path) ||
        !are_two_files(p->env->fs, hf_buf_str(&path), p->target.db_path))
        return HF_OK;
    return hf_err_set(err, HF_USAGE,
                      "%s is the archive of %s, which is still there: give %s a URL of its own. If "
                      "it has taken the other's place, rename the other one first",
                      p->target.url, hf_buf_str(&path), p->target.db_path);
}

enum hf_code hf_archiver_check_claim(struct hf_fs *fs, struct hf_clock *clock,
                                     const struct hf_archive *a, const char *state_dir,
                                     struct hf_err *err)
{
    struct hf_owner owner;
    char seen[HF_TIME_TEXT_MAX];
    const enum hf_code rc = hf_owner_read(a, &owner, err);

    if (rc == HF_NOT_FOUND)
        return HF_OK;
    if (rc != HF_OK)
        return rc;
    if (hf_now_ms(clock) - owner.attached_until_ms > OWNER_FRESH_MS ||
        was_ours(fs, state_dir, &owner))
        return HF_OK;
    hf_time_text(owner.attached_until_ms, seen);
    return hf_err_set(err, HF_USAGE,
                      "the archive belongs to an archiver on %s (process %" PRIu64
                      ", last seen %s) that was not run over the local state %s: to archive from "
                      "here would end it. Is this its database, and its --state?",
                      owner.host, owner.pid, seen, state_dir);
}
