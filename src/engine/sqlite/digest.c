/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.c - the array of page hashes and its journal.
 *
 * Array: entry of page p at (p-1) * 32: hash (16 bytes, big-endian), sum (8 bytes, big-endian), and
 * a check of both (8 bytes), so that an entry that was damaged here is never taken into a root.
 * Journal: 8 bytes of magic, then records: length, number of changes, XXH3-64 of what follows,
 * mark, changes. Both are local; no other program reads them.
 *
 * Invariants
 * 1. A commit appends one record to the journal before it touches the array. A record that is cut
 *    off or fails its hash ends the journal.
 * 2. Array + all records of the journal, in order, = the state of the last record. Applying a
 *    record twice is the same as once, so a crash between 1 and the array's writes is repaired by
 *    replaying.
 * 3. The journal is shortened only after the array was synced, by replacing the whole file.
 * 4. Opening recomputes root and sum over the whole array and believes nothing else.
 * 5. During a bulk rewrite the journal on disk holds one record with TXID 0, and so it does while a
 *    commit that is too large for the journal is written to the array, which is synced then.
 * 6. The journal is never longer than DIGEST_JOURNAL_MAX; one that is was not written here.
 */
#include "engine/sqlite/digest.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define ENTRY_BYTES       32
#define CHANGE_BYTES      (4 + ENTRY_BYTES)
#define MARK_BYTES        112
#define RECORD_HEAD_BYTES 16
#define MAGIC             "HFDGST02"
#define MAGIC_BYTES       8
#define JOURNAL_BYTES_MAX (4U << 20) /* then it is shortened */
#define MARKS_MAX         1024       /* recent positions that digest_find() knows */

#define SUM_FLAG (UINT64_C(1) << 63)

struct digest {
    struct hf_fs *fs;
    char *path;
    char *journal_path;
    struct hf_file *array;
    struct hf_file *journal;
    uint64_t journal_bytes;
    struct digest_mark mark;
    struct digest_mark marks[MARKS_MAX]; /* ring; the newest at (marks_count - 1) % MARKS_MAX */
    uint64_t marks_count;
    bool bulk;
    uint32_t bulk_pages;
    pthread_mutex_t mutex;
    struct {
        struct hf_root root;
        uint64_t sum;
    } guarded; /* by mutex, during a bulk rewrite */
};

/* An entry of zeros, which holes in the file read as, has a check of zero. */
static uint64_t check_of(const uint8_t *entry)
{
    static const uint8_t zeros[ENTRY_BYTES - 8] = {0};

    return memcmp(entry, zeros, sizeof(zeros)) == 0 ? 0 : hf_hash64(entry, ENTRY_BYTES - 8);
}

static void encode_entry(uint8_t *dst, const struct digest_entry *e)
{
    hf_root_put(dst, e->hash);
    hf_put_be64(dst + HF_ROOT_BYTES, e->sum);
    hf_put_be64(dst + ENTRY_BYTES - 8, check_of(dst));
}

/* False: these are not the bytes that were written. */
static bool decode_entry(const uint8_t *src, struct digest_entry *e)
{
    e->hash = hf_root_get(src);
    e->sum = hf_get_be64(src + HF_ROOT_BYTES);
    return hf_get_be64(src + ENTRY_BYTES - 8) == check_of(src);
}

static void encode_mark(uint8_t dst[MARK_BYTES], const struct digest_mark *m)
{
    (void)memset(dst, 0, MARK_BYTES);
    hf_put_be64(dst, m->txid);
    hf_put_be64(dst + 8, (uint64_t)m->time_ms);
    hf_put_be32(dst + 16, m->page_bytes);
    hf_put_be32(dst + 20, m->pages_count);
    hf_root_put(dst + 24, m->root);
    hf_put_be64(dst + 40, m->sum);
    dst[48] = m->has_root;
    dst[49] = m->from_log;
    dst[50] = m->settled;
    wal_position_encode(&m->wal, dst + 56);
    hf_put_be64(dst + 80, m->db_inode);
    hf_put_be64(dst + 88, m->wal_inode);
}

static void decode_mark(const uint8_t src[MARK_BYTES], struct digest_mark *m)
{
    *m = (struct digest_mark){
        .txid = hf_get_be64(src),
        .time_ms = (int64_t)hf_get_be64(src + 8),
        .page_bytes = hf_get_be32(src + 16),
        .pages_count = hf_get_be32(src + 20),
        .root = hf_root_get(src + 24),
        .sum = hf_get_be64(src + 40),
        .has_root = src[48] != 0,
        .from_log = src[49] != 0,
        .settled = src[50] != 0,
        .db_inode = hf_get_be64(src + 80),
        .wal_inode = hf_get_be64(src + 88),
    };
    wal_position_decode(src + 56, &m->wal);
}

static void add_entry(struct hf_root *root, uint64_t *sum, const struct digest_entry *e)
{
    hf_root_add(root, e->hash);
    *sum = SUM_FLAG | (*sum ^ e->sum);
}

static void drop_entry(struct hf_root *root, uint64_t *sum, const struct digest_entry *e)
{
    hf_root_sub(root, e->hash);
    *sum = SUM_FLAG | (*sum ^ e->sum);
}

static void remember_mark(struct digest *d, const struct digest_mark *m)
{
    d->mark = *m;
    d->marks[d->marks_count % MARKS_MAX] = *m;
    d->marks_count++;
}

static void forget_marks(struct digest *d)
{
    d->mark = (struct digest_mark){.sum = SUM_FLAG};
    d->marks_count = 0;
}

/* ---- the array ---- */

enum hf_code digest_read(struct digest *d, uint32_t first_pgno, size_t n, struct digest_entry *ret,
                         struct hf_err *err)
{
    uint8_t bytes[ENTRY_BYTES * 256];

    hf_assert(first_pgno >= 1);
    for (size_t done = 0; done < n;) {
        const size_t now = n - done < 256 ? n - done : 256;
        size_t got = 0;
        const enum hf_code rc = hf_file_read(d->array,
                                             ((uint64_t)first_pgno - 1 + done) * ENTRY_BYTES, bytes,
                                             now * ENTRY_BYTES, &got, err);

        if (rc != HF_OK)
            return rc;
        (void)memset(bytes + got, 0, now * ENTRY_BYTES - got);
        for (size_t i = 0; i < now; i++)
            if (!decode_entry(bytes + i * ENTRY_BYTES, &ret[done + i]))
                return hf_err_set(err, HF_DAMAGE, "the entry of page %llu in %s is damaged",
                                  (unsigned long long)first_pgno + done + i, d->path);
        done += now;
    }
    return HF_OK;
}

static enum hf_code write_entries(struct digest *d, uint32_t first_pgno, size_t n,
                                  const struct digest_entry *entries, struct hf_err *err)
{
    uint8_t bytes[ENTRY_BYTES * 256];

    for (size_t done = 0; done < n;) {
        const size_t now = n - done < 256 ? n - done : 256;

        for (size_t i = 0; i < now; i++)
            encode_entry(bytes + i * ENTRY_BYTES, &entries[done + i]);
        const enum hf_code rc = hf_file_write(d->array,
                                              ((uint64_t)first_pgno - 1 + done) * ENTRY_BYTES,
                                              hf_slice(bytes, now * ENTRY_BYTES), err);

        if (rc != HF_OK)
            return rc;
        done += now;
    }
    return HF_OK;
}

/* Write the changes, neighbours in one go, and cut the array to its new size. */
static enum hf_code apply_changes(struct digest *d, const struct digest_change *changes, size_t n,
                                  uint32_t pages_count, struct hf_err *err)
{
    struct digest_entry run[256];

    for (size_t i = 0; i < n;) {
        size_t len = 0;

        do {
            run[len] = changes[i + len].entry;
            len++;
        } while (len < 256 && i + len < n &&
                 changes[i + len].pgno == changes[i].pgno + (uint32_t)len);
        const enum hf_code rc = write_entries(d, changes[i].pgno, len, run, err);

        if (rc != HF_OK)
            return rc;
        i += len;
    }
    return hf_file_truncate(d->array, (uint64_t)pages_count * ENTRY_BYTES, err);
}

/* Add (sign +1) or drop (-1) the entries of pages first..last. */
static enum hf_code sum_range(struct digest *d, uint32_t first, uint32_t last, int sign,
                              struct hf_root *root, uint64_t *sum, struct hf_err *err)
{
    struct digest_entry window[256];

    for (uint64_t p = first; p <= last;) {
        const size_t n = last - p + 1 < 256 ? (size_t)(last - p + 1) : 256;
        const enum hf_code rc = digest_read(d, (uint32_t)p, n, window, err);

        if (rc != HF_OK)
            return rc;
        for (size_t i = 0; i < n; i++)
            (sign > 0 ? add_entry : drop_entry)(root, sum, &window[i]);
        p += n;
    }
    return HF_OK;
}

/* ---- the journal ---- */

static void append_record(struct hf_buf *out, const struct digest_mark *mark,
                          const struct digest_change *changes, size_t n)
{
    const size_t len = RECORD_HEAD_BYTES + MARK_BYTES + n * CHANGE_BYTES;
    uint8_t *rec = hf_buf_extend(out, len);

    hf_assert(len <= DIGEST_JOURNAL_MAX);
    hf_put_be32(rec, (uint32_t)len);
    hf_put_be32(rec + 4, (uint32_t)n);
    encode_mark(rec + RECORD_HEAD_BYTES, mark);
    for (size_t i = 0; i < n; i++) {
        uint8_t *to = rec + RECORD_HEAD_BYTES + MARK_BYTES + i * CHANGE_BYTES;

        hf_put_be32(to, changes[i].pgno);
        encode_entry(to + 4, &changes[i].entry);
    }
    hf_put_be64(rec + 8, hf_hash64(rec + RECORD_HEAD_BYTES, len - RECORD_HEAD_BYTES));
}

/* Open the journal, if an earlier attempt failed. */
static enum hf_code need_journal(struct digest *d, struct hf_err *err)
{
    if (d->journal != NULL)
        return HF_OK;
    return hf_fs_open(d->fs, d->journal_path, HF_OPEN_WRITE, 0600, &d->journal, err);
}

/* Replace the journal by the recent marks, the last of them being where the digest stands. */
static enum hf_code rewrite_journal(struct digest *d, struct hf_err *err)
{
    HF_AUTO_BUF out = {0};
    const uint64_t kept = d->marks_count < MARKS_MAX ? d->marks_count : MARKS_MAX;

    hf_buf_append(&out, MAGIC, MAGIC_BYTES);
    for (uint64_t i = d->marks_count - kept; i < d->marks_count; i++)
        append_record(&out, &d->marks[i % MARKS_MAX], NULL, 0);
    if (kept == 0)
        append_record(&out, &d->mark, NULL, 0);
    const enum hf_code rc = hf_fs_replace(d->fs, d->journal_path, hf_buf_slice(&out), 0600, err);

    if (rc != HF_OK && rc != HF_UNCERTAIN)
        return rc; /* the old one is there as before, and open */
    hf_file_close(d->journal);
    d->journal = NULL;
    d->journal_bytes = out.len;
    return need_journal(d, err);
}

/* Apply one record of the journal; false if it is not whole. */
static enum hf_code replay_record(struct digest *d, struct hf_slice rest, size_t *ret_len,
                                  struct hf_err *err)
{
    *ret_len = 0;
    if (rest.len < RECORD_HEAD_BYTES + MARK_BYTES)
        return HF_OK;

    const size_t len = hf_get_be32(rest.ptr);
    const size_t n = hf_get_be32(rest.ptr + 4);

    if (len > rest.len || len != RECORD_HEAD_BYTES + MARK_BYTES + n * CHANGE_BYTES ||
        hf_get_be64(rest.ptr + 8) !=
            hf_hash64(rest.ptr + RECORD_HEAD_BYTES, len - RECORD_HEAD_BYTES))
        return HF_OK;

    struct digest_mark mark;
    HF_AUTO_FREE struct digest_change *changes = hf_calloc(n, sizeof(*changes));

    decode_mark(rest.ptr + RECORD_HEAD_BYTES, &mark);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from = rest.ptr + RECORD_HEAD_BYTES + MARK_BYTES + i * CHANGE_BYTES;

        changes[i].pgno = hf_get_be32(from);
        (void)decode_entry(from + 4, &changes[i].entry); /* the record's hash covers it */
    }
    if (n > 0) {
        const enum hf_code rc = apply_changes(d, changes, n, mark.pages_count, err);

        if (rc != HF_OK)
            return rc;
    }
    remember_mark(d, &mark);
    *ret_len = len;
    return HF_OK;
}

static enum hf_code replay(struct digest *d, const char **ret_why, struct hf_err *err)
{
    HF_AUTO_BUF all = {0};
    enum hf_code rc = hf_fs_read_all(d->fs, d->journal_path, DIGEST_JOURNAL_MAX, &all, err);

    if (rc == HF_USAGE) {
        *ret_why = "its journal is too long";
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (all.len == 0)
        return HF_OK;
    if (all.len < MAGIC_BYTES || memcmp(all.ptr, MAGIC, MAGIC_BYTES) != 0) {
        *ret_why = "its journal is not one of this version";
        return HF_OK;
    }
    size_t at = MAGIC_BYTES;
    size_t len = 0;

    do {
        rc = replay_record(d, hf_slice(all.ptr + at, all.len - at), &len, err);
        if (rc != HF_OK)
            return rc;
        at += len;
    } while (len > 0);
    d->journal_bytes = at;
    return HF_OK;
}

/* Invariant 4. An empty digest has an empty array: a bulk rewrite that did not end leaves entries,
 * which the next one would take for those of the state before it. */
static enum hf_code judge(struct digest *d, const char **ret_why, struct hf_err *err)
{
    struct hf_root root = {0};
    uint64_t sum = SUM_FLAG;

    enum hf_code rc = hf_file_truncate(d->array, (uint64_t)d->mark.pages_count * ENTRY_BYTES, err);

    if (rc != HF_OK)
        return rc;
    rc = sum_range(d, 1, d->mark.pages_count, +1, &root, &sum, err);
    if (rc == HF_DAMAGE) {
        *ret_why = "an entry of it is damaged";
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (!hf_root_equal(root, d->mark.root) || sum != d->mark.sum)
        *ret_why = "its hashes do not add up to its root";
    return HF_OK;
}

enum hf_code digest_open(struct hf_fs *fs, const char *path, struct digest **ret,
                         const char **ret_why, struct hf_err *err)
{
    struct digest *d = hf_calloc(1, sizeof(*d));
    const char *why = NULL;

    d->fs = fs;
    d->path = hf_strdup(path);
    d->journal_path = hf_strfmt("%s.journal", path);
    (void)pthread_mutex_init(&d->mutex, NULL);
    forget_marks(d);
    enum hf_code rc = hf_fs_open(fs, path, HF_OPEN_CREATE, 0600, &d->array, err);

    if (rc == HF_OK)
        rc = hf_fs_open(fs, d->journal_path, HF_OPEN_CREATE, 0600, &d->journal, err);
    if (rc == HF_OK)
        rc = replay(d, &why, err);
    if (rc == HF_OK && why == NULL)
        rc = judge(d, &why, err);
    if (rc == HF_OK && why != NULL)
        rc = digest_reset(d, err);
    if (rc != HF_OK) {
        digest_free(d);
        return rc;
    }
    *ret_why = why;
    *ret = d;
    return HF_OK;
}

void digest_free(struct digest *d)
{
    if (d == NULL)
        return;
    hf_file_close(d->array);
    hf_file_close(d->journal);
    (void)pthread_mutex_destroy(&d->mutex);
    hf_free(d->path);
    hf_free(d->journal_path);
    hf_free(d);
}

const struct digest_mark *digest_mark(const struct digest *d)
{
    return &d->mark;
}

enum hf_code digest_next(struct digest *d, const struct digest_change *changes, size_t n,
                         struct digest_mark *mark, struct hf_err *err)
{
    const uint32_t old_count = d->mark.pages_count;

    hf_assert(!d->bulk);
    mark->root = d->mark.root;
    mark->sum = d->mark.sum;
    for (size_t i = 0; i < n; i++) {
        struct digest_entry old = {0};

        hf_assert(changes[i].pgno >= 1 && changes[i].pgno <= mark->pages_count);
        hf_assert(i == 0 || changes[i - 1].pgno < changes[i].pgno);
        if (changes[i].pgno <= old_count) {
            const enum hf_code rc = digest_read(d, changes[i].pgno, 1, &old, err);

            if (rc != HF_OK)
                return rc;
            if (old.hash.hi == 0 && old.hash.lo == 0)
                return hf_err_set(err, HF_DAMAGE, "the entry of page %u in %s was wiped out",
                                  changes[i].pgno, d->path);
        }
        drop_entry(&mark->root, &mark->sum, &old);
        add_entry(&mark->root, &mark->sum, &changes[i].entry);
    }
    if (mark->pages_count < old_count)
        return sum_range(d, mark->pages_count + 1, old_count, -1, &mark->root, &mark->sum, err);
    return HF_OK;
}

/* Invariant 6. */
static bool has_room(const struct digest *d, size_t n)
{
    const uint64_t taken = d->journal_bytes + MAGIC_BYTES + RECORD_HEAD_BYTES + MARK_BYTES;

    return taken <= DIGEST_JOURNAL_MAX && n <= (DIGEST_JOURNAL_MAX - taken) / CHANGE_BYTES;
}

/* Invariant 3. A failure is left to the next commit: the long journal is as good, and what ails the
 * disk will be met there. */
static void shorten_journal(struct digest *d)
{
    struct hf_err ignored;

    if (d->journal_bytes > JOURNAL_BYTES_MAX && hf_file_sync(d->array, &ignored) == HF_OK)
        (void)!rewrite_journal(d, &ignored);
}

/* The journal on disk says that the digest is empty; here it stands where it did. */
static enum hf_code mark_empty(struct digest *d, struct hf_err *err)
{
    const struct digest_mark mark = d->mark;
    const uint64_t marks_count = d->marks_count;

    forget_marks(d);
    const enum hf_code rc = rewrite_journal(d, err);

    d->mark = mark;
    d->marks_count = marks_count;
    return rc;
}

/* digest_commit() without the journal (invariant 5). Every step can be done again. */
static enum hf_code commit_by_rewrite(struct digest *d, const struct digest_change *changes,
                                      size_t n, const struct digest_mark *mark, struct hf_err *err)
{
    const struct digest_mark before = d->mark;
    const struct digest_mark oldest = d->marks[d->marks_count % MARKS_MAX];
    enum hf_code rc = mark_empty(d, err);

    if (rc == HF_OK)
        rc = apply_changes(d, changes, n, mark->pages_count, err);
    if (rc == HF_OK)
        rc = hf_file_sync(d->array, err);
    if (rc != HF_OK)
        return rc;
    remember_mark(d, mark);
    rc = rewrite_journal(d, err);
    if (rc != HF_OK) {
        d->mark = before;
        d->marks[--d->marks_count % MARKS_MAX] = oldest;
    }
    return rc;
}

enum hf_code digest_commit(struct digest *d, const struct digest_change *changes, size_t n,
                           const struct digest_mark *mark, struct hf_err *err)
{
    HF_AUTO_BUF rec = {0};

    hf_assert(!d->bulk && mark->txid > d->mark.txid);
    if (!has_room(d, n))
        return commit_by_rewrite(d, changes, n, mark, err);
    enum hf_code rc = need_journal(d, err);

    if (rc != HF_OK)
        return rc;
    if (d->journal_bytes == 0)
        hf_buf_append(&rec, MAGIC, MAGIC_BYTES);
    append_record(&rec, mark, changes, n);
    rc = hf_file_write(d->journal, d->journal_bytes, hf_buf_slice(&rec), err);
    if (rc != HF_OK)
        return rc;
    d->journal_bytes += rec.len;
    rc = apply_changes(d, changes, n, mark->pages_count, err);
    if (rc != HF_OK)
        return rc;
    remember_mark(d, mark);
    shorten_journal(d);
    return HF_OK;
}

enum hf_code digest_reposition(struct digest *d, const struct digest_mark *mark, struct hf_err *err)
{
    HF_AUTO_BUF rec = {0};

    hf_assert(!d->bulk && mark->txid == d->mark.txid && hf_root_equal(mark->root, d->mark.root));
    enum hf_code rc = need_journal(d, err);

    if (rc != HF_OK)
        return rc;
    append_record(&rec, mark, NULL, 0);
    rc = hf_file_write(d->journal, d->journal_bytes, hf_buf_slice(&rec), err);
    if (rc != HF_OK)
        return rc;
    d->journal_bytes += rec.len;
    remember_mark(d, mark);
    shorten_journal(d);
    return HF_OK;
}

enum hf_code digest_bulk_begin(struct digest *d, struct hf_err *err)
{
    const struct digest_mark before = d->mark;
    enum hf_code rc = HF_OK;

    hf_assert(!d->bulk);
    /* Empty is empty: digest_bulk_put() takes what it finds for a part of the root. */
    if (before.txid == 0)
        rc = hf_file_truncate(d->array, 0, err);
    if (rc != HF_OK)
        return rc;
    rc = mark_empty(d, err);
    if (rc != HF_OK)
        return rc;
    forget_marks(d);
    d->bulk = true;
    d->bulk_pages = before.pages_count;
    d->guarded.root = before.root;
    d->guarded.sum = before.sum;
    return HF_OK;
}

enum hf_code digest_bulk_put(struct digest *d, uint32_t first_pgno, size_t n,
                             const struct digest_entry *entries, struct hf_err *err)
{
    struct hf_root root = {0};
    uint64_t sum = SUM_FLAG;

    hf_assert(d->bulk && first_pgno >= 1);
    enum hf_code rc =
        sum_range(d, first_pgno, (uint32_t)(first_pgno + n - 1), -1, &root, &sum, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        add_entry(&root, &sum, &entries[i]);
    rc = write_entries(d, first_pgno, n, entries, err);
    if (rc != HF_OK)
        return rc;
    (void)pthread_mutex_lock(&d->mutex);
    hf_root_add(&d->guarded.root, root);
    d->guarded.sum = SUM_FLAG | (d->guarded.sum ^ sum);
    if (first_pgno + n - 1 > d->bulk_pages)
        d->bulk_pages = (uint32_t)(first_pgno + n - 1);
    (void)pthread_mutex_unlock(&d->mutex);
    return HF_OK;
}

enum hf_code digest_bulk_resize(struct digest *d, uint32_t pages_count, struct hf_err *err)
{
    hf_assert(d->bulk);
    if (pages_count < d->bulk_pages) {
        const enum hf_code rc = sum_range(d, pages_count + 1, d->bulk_pages, -1, &d->guarded.root,
                                          &d->guarded.sum, err);

        if (rc != HF_OK)
            return rc;
    }
    d->bulk_pages = pages_count;
    return hf_file_truncate(d->array, (uint64_t)pages_count * ENTRY_BYTES, err);
}

void digest_bulk_sums(struct digest *d, struct hf_root *ret_root, uint64_t *ret_sum)
{
    (void)pthread_mutex_lock(&d->mutex);
    *ret_root = d->guarded.root;
    *ret_sum = d->guarded.sum;
    (void)pthread_mutex_unlock(&d->mutex);
}

enum hf_code digest_bulk_end(struct digest *d, const struct digest_mark *mark, struct hf_err *err)
{
    hf_assert(d->bulk && mark->pages_count == d->bulk_pages);
    hf_assert(hf_root_equal(mark->root, d->guarded.root) && mark->sum == d->guarded.sum);
    const enum hf_code rc = hf_file_sync(d->array, err);

    if (rc != HF_OK)
        return rc;
    d->bulk = false;
    remember_mark(d, mark);
    return rewrite_journal(d, err);
}

enum hf_code digest_reset(struct digest *d, struct hf_err *err)
{
    d->bulk = false;
    forget_marks(d);
    const enum hf_code rc = rewrite_journal(d, err);

    return rc == HF_OK ? hf_file_truncate(d->array, 0, err) : rc;
}

enum hf_code digest_sync(struct digest *d, struct hf_err *err)
{
    enum hf_code rc = hf_file_sync(d->array, err);

    if (rc == HF_OK)
        rc = need_journal(d, err);
    return rc == HF_OK ? hf_file_sync(d->journal, err) : rc;
}

/* The i-th newest mark; NULL if there are not so many. */
static const struct digest_mark *recent_mark(const struct digest *d, uint64_t i)
{
    const uint64_t kept = d->marks_count < MARKS_MAX ? d->marks_count : MARKS_MAX;

    return i < kept ? &d->marks[(d->marks_count - 1 - i) % MARKS_MAX] : NULL;
}

uint64_t digest_find(const struct digest *d, const struct wal_position *p)
{
    const struct digest_mark *m;

    for (uint64_t i = 0; (m = recent_mark(d, i)) != NULL; i++) {
        if (m->from_log && wal_position_equal(&m->wal, p))
            return m->txid;
    }
    return 0;
}

const struct digest_mark *digest_recall(const struct digest *d, uint64_t txid)
{
    const struct digest_mark *m;
    uint64_t i = 0;

    while ((m = recent_mark(d, i)) != NULL && m->txid != txid)
        i++;
    return m;
}
