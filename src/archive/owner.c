/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner.c - claiming, touching and checking the owner object.
 *
 * Invariants
 * 1. An epoch is put only over the object that was read (IF_MATCH, IF_ABSENT), so no two nodes
 *    hold the same epoch where puts are conditional. Without them node and epoch are both compared.
 * 2. After HF_UNCERTAIN nothing is decided but by reading back: node and epoch are ours, or not.
 */
#include "archive/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/json.h"
#include "archive/listing.h"
#include "archive/partition.h"
#include "base/check.h"

#define TRIES_MAX 8 /* looks and puts of one call */

void hf_owner_init(struct hf_owner *o, struct hf_rand *rand, const char *host, uint64_t pid)
{
    HF_AUTO_BUF escaped = {0};
    const uint64_t hi = hf_rand_u64(rand);
    const uint64_t lo = hf_rand_u64(rand);

    *o = (struct hf_owner){.pid = pid};
    (void)snprintf(o->node, sizeof(o->node), "%016" PRIx64 "%016" PRIx64, hi, lo);
    hf_percent_escape(host[0] != '\0' ? host : "unknown", &escaped);
    (void)snprintf(o->host, sizeof(o->host), "%s", hf_buf_str(&escaped));
}

void hf_owner_set_database(struct hf_owner *o, const char *path)
{
    HF_AUTO_BUF escaped = {0};

    hf_percent_escape(path, &escaped);
    o->database[0] = '\0';
    if (escaped.len < sizeof(o->database))
        (void)snprintf(o->database, sizeof(o->database), "%s", hf_buf_str(&escaped));
}

void hf_owner_print(const struct hf_owner *o, struct hf_buf *ret)
{
    HF_AUTO_JSON *json = hf_json_new();

    hf_assert(o->since_ms >= 0 && o->attached_until_ms >= 0 && o->lease_until_ms >= 0);
    hf_json_set_number(json, "epoch", o->epoch);
    hf_json_set_text(json, "node", o->node);
    hf_json_set_text(json, "host", o->host);
    hf_json_set_number(json, "pid", o->pid);
    if (o->database[0] != '\0')
        hf_json_set_text(json, "database", o->database);
    hf_json_set_number(json, "since_ms", (uint64_t)o->since_ms);
    hf_json_set_number(json, "attached_until_ms", (uint64_t)o->attached_until_ms);
    hf_json_set_number(json, "last_txid", o->last_txid);
    hf_json_set_number(json, "lease_until_ms", (uint64_t)o->lease_until_ms);
    hf_json_print(json, ret);
}

static enum hf_code parse_time(const json_t *json, const char *field, int64_t *ret,
                               struct hf_err *err)
{
    uint64_t ms = 0;
    const enum hf_code rc = hf_json_get_number(json, field, HF_NUMBER_MAX, &ms, err);

    if (rc == HF_OK)
        *ret = (int64_t)ms;
    return rc;
}

static enum hf_code parse_fields(const json_t *json, struct hf_owner *o, struct hf_err *err)
{
    enum hf_code rc;

    rc = hf_json_get_number(json, "epoch", HF_NUMBER_MAX - 1, &o->epoch, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_hex(json, "node", HF_NODE_MAX - 1, o->node, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_text(json, "host", o->host, sizeof(o->host), err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_number(json, "pid", HF_NUMBER_MAX, &o->pid, err);
    if (rc != HF_OK)
        return rc;
    if (json_object_get(json, "database") != NULL)
        rc = hf_json_get_text(json, "database", o->database, sizeof(o->database), err);
    if (rc != HF_OK)
        return rc;
    rc = parse_time(json, "since_ms", &o->since_ms, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_time(json, "attached_until_ms", &o->attached_until_ms, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_json_get_number(json, "last_txid", HF_NUMBER_MAX, &o->last_txid, err);
    if (rc != HF_OK)
        return rc;
    return parse_time(json, "lease_until_ms", &o->lease_until_ms, err);
}

enum hf_code hf_owner_parse(struct hf_slice body, struct hf_owner *ret, struct hf_err *err)
{
    HF_AUTO_JSON *json = NULL;
    struct hf_owner o = {0};
    enum hf_code rc;

    rc = hf_json_parse(body, HF_NAME_OWNER, &json, err);
    if (rc != HF_OK)
        return rc;
    rc = parse_fields(json, &o, err);
    if (rc != HF_OK)
        return hf_err_wrap(err, HF_NAME_OWNER);
    *ret = o;
    return HF_OK;
}

enum hf_code hf_owner_read(const struct hf_archive *a, struct hf_owner *ret, struct hf_err *err)
{
    HF_AUTO_BUF body = {0};
    char url[HF_ARCHIVE_URL_MAX];
    struct hf_owner o;
    struct hf_etag etag;
    enum hf_code rc;

    rc = hf_archive_get(a, HF_NAME_OWNER, &body, &etag, err);
    if (rc != HF_OK)
        return rc;
    rc = hf_owner_parse(hf_buf_slice(&body), &o, err);
    if (rc != HF_OK) {
        hf_archive_url(a, url);
        return hf_err_wrap(err, "%s", url);
    }
    o.etag = etag;
    *ret = o;
    return HF_OK;
}

enum hf_code hf_owner_missing_tail(const struct hf_archive *a, uint64_t last_txid,
                                   uint64_t *ret_missing_to, struct hf_err *err)
{
    HF_CLEANUP(hf_head_done) struct hf_head head = {0};
    struct hf_owner owner = {0};
    enum hf_code rc = hf_owner_read(a, &owner, err);

    *ret_missing_to = 0;
    if (rc == HF_NOT_FOUND || (rc == HF_OK && owner.last_txid <= last_txid))
        return HF_OK;
    if (rc == HF_OK) /* it may have come between the listing that `last_txid` is from and now */
        rc = hf_listing_head(a, last_txid, &head, err);
    if (rc == HF_OK && head.head_txid < owner.last_txid)
        *ret_missing_to = owner.last_txid;
    return rc;
}

bool hf_owner_lease_is_short(const struct hf_owner *o, int64_t now_ms)
{
    return o->lease_until_ms != 0 && o->lease_until_ms - now_ms < HF_OWNER_LEASE_MS / 2;
}

static bool is_same_claim(const struct hf_owner *a, const struct hf_owner *b)
{
    return a->epoch == b->epoch && strcmp(a->node, b->node) == 0;
}

static bool has_cond(const struct hf_archive *a)
{
    return (hf_store_caps(a->store) & HF_STORE_COND_PUT) != 0;
}

/* Put `o`, over the version o->etag names, or where there is none if that is empty. */
static enum hf_code put_owner(const struct hf_archive *a, struct hf_owner *o, struct hf_err *err)
{
    HF_AUTO_BUF body = {0};
    enum hf_put_cond cond = HF_PUT_ALWAYS;

    if (has_cond(a))
        cond = o->etag.str[0] != '\0' ? HF_PUT_IF_MATCH : HF_PUT_IF_ABSENT;
    hf_owner_print(o, &body);
    const enum hf_code rc =
        hf_archive_put(a, HF_NAME_OWNER, hf_buf_slice(&body), cond, &o->etag, &o->etag, err);

    /* S3 answers If-Match on a key that is gone with 404. */
    return rc == HF_NOT_FOUND ? hf_err_recode(err, HF_CONFLICT, "it was removed") : rc;
}

/* HF_BUSY while another node's lease runs, or ours is short. Where puts are conditional there are
 * no leases. */
static enum hf_code check_lease(const struct hf_archive *a, const struct hf_owner *now,
                                const struct hf_owner *me, int64_t now_ms, struct hf_err *err)
{
    char until[HF_TIME_TEXT_MAX];

    if (has_cond(a) || now->lease_until_ms <= now_ms ||
        (strcmp(now->node, me->node) == 0 && !hf_owner_lease_is_short(now, now_ms)))
        return HF_OK;
    hf_time_text(now->lease_until_ms, until);
    return hf_err_set(err, HF_BUSY,
                      "the archive is held by %s, process %" PRIu64
                      ", until %s: this store has no conditional puts, so its lease is waited for",
                      now->host, now->pid, until);
}

/* One look and one put. HF_CONFLICT: somebody was faster; look again. */
static enum hf_code try_claim(const struct hf_archive *a, struct hf_owner *me, int64_t now_ms,
                              struct hf_err *err)
{
    struct hf_owner now = {0};
    struct hf_owner next = *me;
    enum hf_code rc;

    rc = hf_owner_read(a, &now, err);
    if (rc != HF_OK && rc != HF_NOT_FOUND)
        return rc;
    rc = check_lease(a, &now, me, now_ms, err);
    if (rc != HF_OK)
        return rc;

    next.epoch = (now.epoch > me->epoch ? now.epoch : me->epoch) + 1;
    next.since_ms = now_ms;
    next.attached_until_ms = now_ms;
    next.lease_until_ms = has_cond(a) ? 0 : now_ms + HF_OWNER_LEASE_MS;
    next.last_txid = now.last_txid;
    next.etag = now.etag;
    rc = put_owner(a, &next, err);
    if (rc == HF_OK && has_cond(a)) {
        *me = next;
        return HF_OK;
    }
    if (rc != HF_OK && rc != HF_CONFLICT && rc != HF_UNCERTAIN)
        return rc;

    /* A conflict too may be our own put, repeated below us: reading back settles all of them. */
    struct hf_err read_err;
    const enum hf_code read_rc = hf_owner_read(a, &now, &read_err);

    if (read_rc == HF_OK && is_same_claim(&now, &next)) {
        *me = now;
        return HF_OK;
    }
    if (read_rc == HF_OK || read_rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_CONFLICT, "another node claimed the archive at the same moment");
    *err = read_err;
    return rc == HF_CONFLICT ? err->code
                             : hf_err_recode(err, HF_UNCERTAIN, "after the claim was put");
}

enum hf_code hf_owner_claim(const struct hf_archive *a, struct hf_owner *me, int64_t now_ms,
                            struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    hf_assert(me->node[0] != '\0' && now_ms >= 0);
    for (int i = 0; i < TRIES_MAX; i++) {
        rc = try_claim(a, me, now_ms, err);
        if (rc != HF_CONFLICT)
            return rc;
    }
    return hf_err_recode(err, HF_BUSY, "gave up after %d tries", TRIES_MAX);
}

/* `now` is what lies in the archive: is it still `me`'s claim? */
static enum hf_code judge(const struct hf_owner *me, const struct hf_owner *now, struct hf_err *err)
{
    char since[HF_TIME_TEXT_MAX];

    if (is_same_claim(me, now))
        return HF_OK;
    if (now->epoch < me->epoch)
        return hf_err_set(err, HF_DAMAGE,
                          HF_NAME_OWNER " went back from epoch %" PRIu64 " to %" PRIu64
                                        ": an older copy of the archive was put in its place",
                          me->epoch, now->epoch);
    hf_time_text(now->since_ms, since);
    return hf_err_set(err, HF_FENCED,
                      "the archive belongs to %s, process %" PRIu64 ", since %s (epoch %" PRIu64
                      ", ours was %" PRIu64 "): only one archiver may write to it",
                      now->host, now->pid, since, now->epoch, me->epoch);
}

/* Read the object and judge it; `me` becomes what is there. */
static enum hf_code reread(const struct hf_archive *a, struct hf_owner *me, struct hf_err *err)
{
    struct hf_owner now;
    enum hf_code rc;

    rc = hf_owner_read(a, &now, err);
    if (rc == HF_NOT_FOUND)
        return hf_err_set(err, HF_FENCED,
                          HF_NAME_OWNER " was removed, so the archive is nobody's any more");
    if (rc != HF_OK)
        return rc;
    rc = judge(me, &now, err);
    if (rc != HF_OK)
        return rc;
    *me = now;
    return HF_OK;
}

enum hf_code hf_owner_check(const struct hf_archive *a, struct hf_owner *me, struct hf_err *err)
{
    hf_assert(me->epoch > 0);
    return reread(a, me, err);
}

/* Without conditional put a blind one would overwrite the other's claim: the object is read, and
 * then so much of the lease is left that the put is there before another may claim. */
static enum hf_code prove_lease(const struct hf_archive *a, struct hf_owner *me,
                                struct hf_clock *clock, struct hf_err *err)
{
    char until[HF_TIME_TEXT_MAX];
    const enum hf_code rc = reread(a, me, err);

    if (rc != HF_OK || !hf_owner_lease_is_short(me, hf_now_ms(clock)))
        return rc;
    hf_time_text(me->lease_until_ms, until);
    return hf_err_set(err, HF_BUSY,
                      "our lease of the archive, until %s, was not renewed in time: this store has "
                      "no conditional puts, so it has to be claimed anew",
                      until);
}

static enum hf_code touch(const struct hf_archive *a, struct hf_owner *me, struct hf_clock *clock,
                          int64_t lease_ms, struct hf_err *err)
{
    const int64_t now_ms = hf_now_ms(clock);
    const int64_t lease_until_ms = lease_ms > 0 ? now_ms + lease_ms : 0;
    const uint64_t last_txid = me->last_txid;
    enum hf_code put_rc = HF_OK;
    enum hf_code rc;

    hf_assert(me->epoch > 0);
    for (int i = 0; i < TRIES_MAX; i++) {
        rc = has_cond(a) ? HF_OK : prove_lease(a, me, clock, err);
        if (rc != HF_OK)
            return rc;
        struct hf_owner next = *me;

        if (!has_cond(a))
            next.lease_until_ms = lease_until_ms;
        next.attached_until_ms = now_ms;
        next.last_txid = last_txid;
        put_rc = put_owner(a, &next, err);
        if (put_rc == HF_OK) {
            *me = next;
            return HF_OK;
        }
        if (put_rc != HF_CONFLICT && put_rc != HF_UNCERTAIN)
            return put_rc;
        rc = reread(a, me, err);
        if (rc != HF_OK)
            return rc;
        if (me->attached_until_ms == now_ms && me->last_txid == last_txid &&
            (has_cond(a) || me->lease_until_ms == lease_until_ms))
            return HF_OK;
    }
    return hf_err_set(err, put_rc, "%s was put %d times and read back without the change",
                      HF_NAME_OWNER, TRIES_MAX);
}

enum hf_code hf_owner_touch(const struct hf_archive *a, struct hf_owner *me, struct hf_clock *clock,
                            struct hf_err *err)
{
    return touch(a, me, clock, HF_OWNER_LEASE_MS, err);
}

enum hf_code hf_owner_leave(const struct hf_archive *a, struct hf_owner *me, struct hf_clock *clock,
                            struct hf_err *err)
{
    return touch(a, me, clock, 0, err);
}
