/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    a digest is the model's array of hashes after every commit, rewrite and reopening; killed
 *         at any call it stands for the state before or after; altered on disk it counts as empty.
 * Method  a plain array as model; random commits that grow and shrink; the n-th call and all behind
 *         it fail, as if the process had died there, and the file is opened again.
 */
#include "engine/sqlite/digest.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/rand.h"
#include "lib/fixture.h"
#include "lib/fs_fault.h"

#define PAGES_MAX 900
#define SUM_FLAG  (UINT64_C(1) << 63)

/* What a digest should hold. */
struct model {
    struct digest_mark mark;
    struct digest_entry entries[PAGES_MAX];
};

struct fixture {
    struct hf_rand rand;
    char *dir;
    char *path;
    char *journal;
    struct hf_fs *fs;
    struct digest *d;
    const char *why;
    struct model m;
    struct hf_err err;
};

static void fixture_init(struct fixture *f, uint64_t seed)
{
    (void)memset(f, 0, sizeof(*f));
    f->rand = hf_rand_seeded(seed);
    f->dir = test_tmp_new();
    f->path = hf_strfmt("%s/d", f->dir);
    f->journal = hf_strfmt("%s/d.journal", f->dir);
    f->fs = hf_fs_system();
    f->m.mark.sum = SUM_FLAG;
    hf_must(digest_open(f->fs, f->path, &f->d, &f->why, &f->err), &f->err);
}

static void fixture_done(struct fixture *f)
{
    digest_free(f->d);
    hf_free(f->path);
    hf_free(f->journal);
    test_tmp_remove(f->dir);
}

static void reopen(struct fixture *f)
{
    digest_free(f->d);
    f->d = NULL;
    hf_must(digest_open(hf_fs_system(), f->path, &f->d, &f->why, &f->err), &f->err);
}

static struct digest_entry random_entry(struct fixture *f)
{
    return (struct digest_entry){
        .hash = {.hi = hf_rand_u64(&f->rand), .lo = hf_rand_u64(&f->rand)},
        .sum = SUM_FLAG | hf_rand_u64(&f->rand),
    };
}

/* Root and sum of the model, from nothing. */
static void sum_up(struct model *m)
{
    m->mark.root = (struct hf_root){0};
    m->mark.sum = SUM_FLAG;
    for (uint32_t p = 0; p < m->mark.pages_count; p++) {
        hf_root_add(&m->mark.root, m->entries[p].hash);
        m->mark.sum = SUM_FLAG | (m->mark.sum ^ m->entries[p].sum);
    }
}

static int compare_changes(const void *a, const void *b)
{
    const struct digest_change *x = a;
    const struct digest_change *y = b;

    return (x->pgno > y->pgno) - (x->pgno < y->pgno);
}

/* The next state of the model, and the changes that lead to it: n of them, sorted. */
static size_t next_state(struct fixture *f, struct model *m, struct digest_change *changes)
{
    uint32_t was = m->mark.pages_count;
    uint32_t now = was;
    size_t n = 0;

    switch (was == 0 ? 0 : hf_rand_below(&f->rand, 5)) {
    case 0:
        now += 1 + (uint32_t)hf_rand_below(&f->rand, 300);
        break;
    case 1:
        now = (uint32_t)hf_rand_below(&f->rand, was + 1);
        break;
    default:
        break;
    }
    now = now > PAGES_MAX ? PAGES_MAX : now;
    for (uint32_t p = 1; p <= now; p++) {
        if (p > was || hf_rand_below(&f->rand, 20) == 0)
            changes[n++] = (struct digest_change){.pgno = p, .entry = random_entry(f)};
    }
    qsort(changes, n, sizeof(*changes), compare_changes);
    for (uint32_t p = now; p < was; p++)
        m->entries[p] = (struct digest_entry){0};
    for (size_t i = 0; i < n; i++)
        m->entries[changes[i].pgno - 1] = changes[i].entry;
    m->mark.txid++;
    m->mark.time_ms = (int64_t)m->mark.txid * 1000;
    m->mark.page_bytes = 4096;
    m->mark.pages_count = now;
    m->mark.has_root = true;
    m->mark.from_log = m->mark.txid % 3 != 0;
    m->mark.settled = m->mark.txid % 2 == 0;
    m->mark.wal = (struct wal_position){.salt = {7, 8},
                                        .frame = (uint32_t)m->mark.txid * 10,
                                        .cksum = {1, (uint32_t)m->mark.txid},
                                        .commit = now};
    m->mark.db_inode = 5;
    m->mark.wal_inode = UINT64_MAX;
    sum_up(m);
    return n;
}

static bool equal_marks(const struct digest_mark *a, const struct digest_mark *b)
{
    return a->txid == b->txid && a->time_ms == b->time_ms && a->page_bytes == b->page_bytes &&
           a->pages_count == b->pages_count && hf_root_equal(a->root, b->root) &&
           a->sum == b->sum && a->has_root == b->has_root && a->from_log == b->from_log &&
           a->settled == b->settled && wal_position_equal(&a->wal, &b->wal) &&
           a->wal.commit == b->wal.commit && a->db_inode == b->db_inode &&
           a->wal_inode == b->wal_inode;
}

/* The digest is the model's, entry by entry, and zero behind its end. */
static void assert_is(struct fixture *f, const struct model *m)
{
    static struct digest_entry entries[PAGES_MAX + 10];

    assert_true(equal_marks(digest_mark(f->d), &m->mark));
    hf_must(digest_read(f->d, 1, PAGES_MAX + 10, entries, &f->err), &f->err);
    for (uint32_t p = 0; p < PAGES_MAX + 10; p++) {
        const struct digest_entry none = {0};
        const struct digest_entry *want = p < m->mark.pages_count ? &m->entries[p] : &none;

        assert_true(hf_root_equal(entries[p].hash, want->hash));
        assert_int_equal(entries[p].sum, want->sum);
    }
}

static enum hf_code commit(struct fixture *f, struct model *m, const struct digest_change *changes,
                           size_t n)
{
    struct digest_mark mark = m->mark;
    enum hf_code rc;

    mark.root = (struct hf_root){0};
    mark.sum = 0;
    rc = digest_next(f->d, changes, n, &mark, &f->err);
    if (rc != HF_OK)
        return rc;
    assert_true(equal_marks(&mark, &m->mark)); /* incremental, and the same as from nothing */
    return digest_commit(f->d, changes, n, &mark, &f->err);
}

static void commits_move_it_as_the_model_and_a_reopening_changes_nothing(void **state)
{
    static struct digest_change changes[PAGES_MAX];

    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture f;

        fixture_init(&f, seed);
        assert_null(f.why);
        for (int k = 0; k < 60; k++) {
            const size_t n = next_state(&f, &f.m, changes);

            hf_must(commit(&f, &f.m, changes, n), &f.err);
            assert_is(&f, &f.m);
            if (k % 7 == 0) {
                reopen(&f);
                assert_null(f.why);
                assert_is(&f, &f.m);
            }
        }
        hf_must(digest_sync(f.d, &f.err), &f.err);
        hf_must(digest_reset(f.d, &f.err), &f.err);
        assert_int_equal(digest_mark(f.d)->txid, 0);
        reopen(&f);
        assert_int_equal(digest_mark(f.d)->txid, 0);
        fixture_done(&f);
    }
}

/* Enough to have the journal rewritten several times. */
static void a_long_journal_is_shortened_and_still_knows_recent_positions(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    struct fixture f;
    struct hf_stat st;
    uint64_t largest = 0;

    (void)state;
    fixture_init(&f, 9);
    for (uint64_t t = 1; t <= 1500; t++) {
        struct wal_position p = {.salt = {7, 8}, .frame = (uint32_t)t, .cksum = {0, 0}};
        size_t n = 0;

        for (uint32_t i = 1; i <= 200; i++)
            changes[n++] = (struct digest_change){.pgno = i, .entry = random_entry(&f)};
        for (size_t i = 0; i < n; i++)
            f.m.entries[i] = changes[i].entry;
        f.m.mark.txid = t;
        f.m.mark.pages_count = 200;
        f.m.mark.from_log = true;
        f.m.mark.wal = p;
        sum_up(&f.m);
        hf_must(commit(&f, &f.m, changes, n), &f.err);
        hf_must(hf_fs_stat(f.fs, f.journal, &st, &f.err), &f.err);
        largest = st.size_bytes > largest ? st.size_bytes : largest;
    }
    assert_true(largest < (5U << 20));
    for (int again = 0; again <= 1; again++) {
        for (uint64_t t = 1; t <= 1501; t++) {
            const struct wal_position p = {.salt = {7, 8}, .frame = (uint32_t)t};

            assert_int_equal(digest_find(f.d, &p), t > 1500 - 1024 && t <= 1500 ? t : 0);
        }
        reopen(&f);
        assert_is(&f, &f.m);
    }
    fixture_done(&f);
}

static void find_compares_salts_frame_and_checksum(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    struct fixture f;
    struct wal_position p;

    (void)state;
    fixture_init(&f, 2);
    for (int k = 0; k < 4; k++) {
        const size_t n = next_state(&f, &f.m, changes);

        hf_must(commit(&f, &f.m, changes, n), &f.err);
    }
    p = (struct wal_position){.salt = {7, 8}, .frame = 40, .cksum = {1, 4}};
    assert_int_equal(digest_find(f.d, &p), 4);
    p.cksum[1] = 5;
    assert_int_equal(digest_find(f.d, &p), 0);
    p = (struct wal_position){.salt = {7, 9}, .frame = 40, .cksum = {1, 4}};
    assert_int_equal(digest_find(f.d, &p), 0);
    p = (struct wal_position){.salt = {7, 8}, .frame = 30, .cksum = {1, 3}};
    assert_int_equal(digest_find(f.d, &p), 0); /* TXID 3 did not end in the log */
    f.m.mark.from_log = true;
    f.m.mark.wal = (struct wal_position){.salt = {9, 9}, .frame = 0};
    hf_must(digest_reposition(f.d, &f.m.mark, &f.err), &f.err);
    assert_int_equal(digest_find(f.d, &f.m.mark.wal), 4);
    reopen(&f);
    assert_is(&f, &f.m);
    fixture_done(&f);
}

/* Dies at the n-th call of a commit: before it or after it, and after it if it had returned. */
static void killed_in_a_commit_it_stands_before_or_behind_it(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    unsigned before = 0;
    unsigned behind = 0;

    (void)state;
    for (uint64_t at = 1; at < 400; at++) {
        struct fixture f;
        struct fs_fault fault;
        struct model *m;
        enum hf_code rc;
        size_t n;

        fixture_init(&f, at);
        fs_fault_init(&fault, hf_fs_system());
        digest_free(f.d);
        hf_must(digest_open(&fault.base, f.path, &f.d, &f.why, &f.err), &f.err);
        for (int k = 0; k < 3; k++) {
            n = next_state(&f, &f.m, changes);
            hf_must(commit(&f, &f.m, changes, n), &f.err);
        }
        m = hf_malloc(sizeof(*m));
        *m = f.m;
        n = next_state(&f, m, changes);
        fs_fault_arm(&fault, (struct fs_fault_plan){.fail_at = at % 40 + 1, .from_then_on = true});
        rc = commit(&f, m, changes, n);
        digest_free(f.d);
        f.d = NULL;
        fs_fault_done(&fault);
        hf_must(digest_open(hf_fs_system(), f.path, &f.d, &f.why, &f.err), &f.err);
        assert_null(f.why);
        if (rc == HF_OK || digest_mark(f.d)->txid == m->mark.txid) {
            assert_is(&f, m);
            behind++;
        } else {
            assert_is(&f, &f.m);
            before++;
        }
        hf_free(m);
        fixture_done(&f);
    }
    assert_true(before > 10 && behind > 10);
}

/* A digest of LARGE pages at TXID 1, and the changes that lead to TXID 2: all its pages. */
#define LARGE (DIGEST_JOURNAL_MAX / 36 + 1000)

struct large {
    struct fixture f;
    struct fs_fault fault;
    struct digest_change *changes;
    struct digest_mark marks[2];
};

static void next_large(struct large *l, size_t i)
{
    struct digest_mark *mark = &l->marks[i];

    *mark = (struct digest_mark){
        .txid = i + 1, .page_bytes = 4096, .pages_count = LARGE, .has_root = true, .sum = SUM_FLAG};
    for (uint32_t p = 0; p < LARGE; p++) {
        l->changes[p] = (struct digest_change){.pgno = p + 1, .entry = random_entry(&l->f)};
        hf_root_add(&mark->root, l->changes[p].entry.hash);
        mark->sum = SUM_FLAG | (mark->sum ^ l->changes[p].entry.sum);
    }
}

static void large_init(struct large *l)
{
    fixture_init(&l->f, 8);
    fs_fault_init(&l->fault, hf_fs_system());
    l->fault.skips_sync = true;
    digest_free(l->f.d);
    hf_must(digest_open(&l->fault.base, l->f.path, &l->f.d, &l->f.why, &l->f.err), &l->f.err);
    l->changes = hf_calloc(LARGE, sizeof(*l->changes));
    next_large(l, 0);
    hf_must(digest_commit(l->f.d, l->changes, LARGE, &l->marks[0], &l->f.err), &l->f.err);
    next_large(l, 1);
}

static void large_done(struct large *l)
{
    digest_free(l->f.d);
    l->f.d = NULL;
    fs_fault_done(&l->fault);
    hf_free(l->changes);
    fixture_done(&l->f);
}

/* What is on disk is whole: a digest is opened only if its entries add up. */
static void assert_reopens_at(struct large *l, const struct digest_mark *mark)
{
    struct digest *d = NULL;
    const char *why = NULL;

    hf_must(digest_open(hf_fs_system(), l->f.path, &d, &why, &l->f.err), &l->f.err);
    assert_null(why);
    assert_true(equal_marks(digest_mark(d), mark));
    digest_free(d);
}

static void a_change_too_large_for_the_journal_is_written_without_it(void **state)
{
    struct large l;
    struct hf_stat st;

    (void)state;
    large_init(&l);
    hf_must(digest_commit(l.f.d, l.changes, LARGE, &l.marks[1], &l.f.err), &l.f.err);
    hf_must(hf_fs_stat(hf_fs_system(), l.f.journal, &st, &l.f.err), &l.f.err);
    assert_true(st.size_bytes <= DIGEST_JOURNAL_MAX);
    assert_true(equal_marks(digest_mark(l.f.d), &l.marks[1]));
    assert_reopens_at(&l, &l.marks[1]);
    large_done(&l);
}

static void a_large_change_that_fails_leaves_nothing_wrong_and_can_be_done_again(void **state)
{
    static const struct {
        unsigned kind;
        uint64_t at;
        bool empty; /* on disk, afterwards */
    } cases[] = {
        {FS_RENAME, 1, false}, {FS_WRITE, 1, false},   {FS_TRUNCATE, 1, false},
        {FS_WRITE, 2, true},   {FS_WRITE, 1000, true}, {FS_TRUNCATE, 2, true},
        {FS_SYNC, 2, true},    {FS_RENAME, 2, true},
    };

    (void)state;
    for (size_t k = 0; k < 2 * HF_ARRAY_LEN(cases); k++) {
        const struct digest_mark none = {.sum = SUM_FLAG};
        const size_t i = k / 2;
        struct large l;

        large_init(&l);
        fs_fault_arm(&l.fault,
                     (struct fs_fault_plan){.kinds = cases[i].kind, .fail_at = cases[i].at});
        assert_int_equal(digest_commit(l.f.d, l.changes, LARGE, &l.marks[1], &l.f.err), HF_IO);
        fs_fault_disarm(&l.fault);
        assert_true(equal_marks(digest_mark(l.f.d), &l.marks[0]));
        if (k % 2 == 0) { /* killed, or tried again */
            assert_reopens_at(&l, cases[i].empty ? &none : &l.marks[0]);
        } else {
            hf_must(digest_commit(l.f.d, l.changes, LARGE, &l.marks[1], &l.f.err), &l.f.err);
            assert_reopens_at(&l, &l.marks[1]);
        }
        large_done(&l);
    }
}

static void a_journal_that_is_too_long_counts_as_none(void **state)
{
    struct fixture f;
    HF_AUTO_FILE *journal = NULL;

    (void)state;
    fixture_init(&f, 8);
    hf_must(hf_fs_open(f.fs, f.journal, HF_OPEN_WRITE, 0, &journal, &f.err), &f.err);
    hf_must(hf_file_truncate(journal, UINT64_C(5) << 30, &f.err), &f.err); /* sparse */
    reopen(&f);
    assert_non_null(f.why);
    assert_int_equal(digest_mark(f.d)->txid, 0);
    fixture_done(&f);
}

static void what_was_altered_on_disk_counts_as_empty(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    static const struct {
        bool journal;
        int64_t offset; /* negative: from the end */
    } cases[] = {
        {false, 0}, {false, 30}, {false, -1}, {true, 0}, {true, 7},
    };

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(cases); i++) {
        struct fixture f;
        HF_AUTO_BUF bytes = {0};
        size_t n;

        fixture_init(&f, 3);
        n = next_state(&f, &f.m, changes);
        hf_must(commit(&f, &f.m, changes, n), &f.err);
        /* Now in the array alone: what the journal holds would be replayed over the damage. */
        f.m.mark.txid++;
        hf_must(digest_bulk_begin(f.d, &f.err), &f.err);
        hf_must(digest_bulk_resize(f.d, f.m.mark.pages_count, &f.err), &f.err);
        hf_must(digest_bulk_end(f.d, &f.m.mark, &f.err), &f.err);
        const char *path = cases[i].journal ? f.journal : f.path;

        hf_must(hf_fs_read_all(f.fs, path, 1 << 20, &bytes, &f.err), &f.err);
        bytes.ptr[cases[i].offset < 0 ? (size_t)((int64_t)bytes.len + cases[i].offset)
                                      : (size_t)cases[i].offset] ^= 0x40;
        hf_must(hf_fs_replace(f.fs, path, hf_buf_slice(&bytes), 0600, &f.err), &f.err);
        reopen(&f);
        assert_non_null(f.why);
        assert_int_equal(digest_mark(f.d)->txid, 0);
        f.m = (struct model){.mark = {.sum = SUM_FLAG}};
        n = next_state(&f, &f.m, changes);
        hf_must(commit(&f, &f.m, changes, n), &f.err); /* and can be used as new */
        reopen(&f);
        assert_is(&f, &f.m);
        fixture_done(&f);
    }
}

/* A record that was cut off ends the journal: the state before it stands. */
static void a_torn_record_is_as_if_never_written(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    struct fixture f;
    struct model first;
    HF_AUTO_BUF array = {0};
    HF_AUTO_BUF journal = {0};
    struct hf_stat st;
    size_t n;

    (void)state;
    fixture_init(&f, 3);
    n = next_state(&f, &f.m, changes);
    hf_must(commit(&f, &f.m, changes, n), &f.err);
    first = f.m;
    hf_must(hf_fs_read_all(f.fs, f.path, 1 << 20, &array, &f.err), &f.err);
    hf_must(hf_fs_stat(f.fs, f.journal, &st, &f.err), &f.err);
    n = next_state(&f, &f.m, changes);
    hf_must(commit(&f, &f.m, changes, n), &f.err);
    hf_must(hf_fs_read_all(f.fs, f.journal, 1 << 20, &journal, &f.err), &f.err);
    for (size_t cut = (size_t)st.size_bytes; cut < journal.len; cut += 1 + journal.len / 50) {
        hf_must(hf_fs_replace(f.fs, f.path, hf_buf_slice(&array), 0600, &f.err), &f.err);
        hf_must(hf_fs_replace(f.fs, f.journal, hf_slice(journal.ptr, cut), 0600, &f.err), &f.err);
        reopen(&f);
        assert_null(f.why);
        assert_is(&f, &first);
    }
    fixture_done(&f);
}

/* ---- bulk rewrites ------------------------------------------------------------------------- */

struct part {
    struct fixture *f;
    uint32_t first;
    uint32_t count;
};

static void *put_part(void *arg)
{
    struct part *p = arg;
    struct hf_err err;

    for (uint32_t i = 0; i < p->count; i += 7) {
        const uint32_t n = p->count - i < 7 ? p->count - i : 7;

        hf_must(digest_bulk_put(p->f->d, p->first + i, n, &p->f->m.entries[p->first - 1 + i], &err),
                &err);
    }
    return NULL;
}

static void a_rewrite_by_several_threads_is_the_models(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    struct fixture f;
    struct hf_root root;
    uint64_t sum;

    (void)state;
    fixture_init(&f, 4);
    for (int round = 0; round < 6; round++) {
        const uint32_t pages = 400 - (uint32_t)round * 50;
        pthread_t threads[4];
        struct part parts[4];

        hf_must(digest_bulk_begin(f.d, &f.err), &f.err);
        for (uint32_t p = 0; p < PAGES_MAX; p++)
            f.m.entries[p] = p < 400 ? random_entry(&f) : (struct digest_entry){0};
        for (uint32_t i = 0; i < 4; i++) {
            parts[i] = (struct part){.f = &f, .first = i * 100 + 1, .count = 100};
            assert_int_equal(pthread_create(&threads[i], NULL, put_part, &parts[i]), 0);
        }
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        hf_must(digest_bulk_resize(f.d, pages, &f.err), &f.err);
        for (uint32_t p = pages; p < PAGES_MAX; p++)
            f.m.entries[p] = (struct digest_entry){0};
        f.m.mark.txid++;
        f.m.mark.pages_count = pages;
        sum_up(&f.m);
        digest_bulk_sums(f.d, &root, &sum);
        assert_true(hf_root_equal(root, f.m.mark.root));
        assert_int_equal(sum, f.m.mark.sum);
        hf_must(digest_bulk_end(f.d, &f.m.mark, &f.err), &f.err);
        assert_is(&f, &f.m);
        reopen(&f);
        assert_null(f.why);
        assert_is(&f, &f.m);
        const size_t n = next_state(&f, &f.m, changes); /* commits go on from there */

        hf_must(commit(&f, &f.m, changes, n), &f.err);
        assert_is(&f, &f.m);
    }
    fixture_done(&f);
}

/* What an unfinished rewrite left in the array must not count in the next one. */
static void an_unfinished_rewrite_leaves_an_empty_digest(void **state)
{
    static struct digest_change changes[PAGES_MAX];
    struct fixture f;
    struct hf_root root;
    uint64_t sum;
    size_t n;

    (void)state;
    fixture_init(&f, 6);
    n = next_state(&f, &f.m, changes);
    hf_must(commit(&f, &f.m, changes, n), &f.err);
    hf_must(digest_bulk_begin(f.d, &f.err), &f.err);
    hf_must(digest_bulk_put(f.d, 1, 5, f.m.entries, &f.err), &f.err);
    reopen(&f);
    f.m = (struct model){.mark = {.sum = SUM_FLAG}};
    assert_is(&f, &f.m);
    hf_must(digest_bulk_begin(f.d, &f.err), &f.err);
    f.m.entries[0] = random_entry(&f);
    hf_must(digest_bulk_put(f.d, 1, 1, f.m.entries, &f.err), &f.err);
    hf_must(digest_bulk_resize(f.d, 1, &f.err), &f.err);
    digest_bulk_sums(f.d, &root, &sum);
    assert_true(hf_root_equal(root, f.m.entries[0].hash));
    assert_int_equal(sum, f.m.entries[0].sum);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_move_it_as_the_model_and_a_reopening_changes_nothing),
        cmocka_unit_test(a_long_journal_is_shortened_and_still_knows_recent_positions),
        cmocka_unit_test(find_compares_salts_frame_and_checksum),
        cmocka_unit_test(killed_in_a_commit_it_stands_before_or_behind_it),
        cmocka_unit_test(a_change_too_large_for_the_journal_is_written_without_it),
        cmocka_unit_test(a_large_change_that_fails_leaves_nothing_wrong_and_can_be_done_again),
        cmocka_unit_test(a_journal_that_is_too_long_counts_as_none),
        cmocka_unit_test(what_was_altered_on_disk_counts_as_empty),
        cmocka_unit_test(a_torn_record_is_as_if_never_written),
        cmocka_unit_test(a_rewrite_by_several_threads_is_the_models),
        cmocka_unit_test(an_unfinished_rewrite_leaves_an_empty_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
