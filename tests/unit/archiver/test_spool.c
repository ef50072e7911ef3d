/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spool.c
 *
 * Goal: what was committed to the spool is there, whole, for this process and the next; what was
 * not is nowhere.
 * Method: a model (an array of sizes by TXID) beside random commits, aborts, drops and reopenings.
 */
#include "archiver/spool.h"
#include "base/fs.h"
#include "base/rand.h"
#include "lib/fixture.h"

#define TXIDS 40

static void write_one(struct spool *s, uint64_t txid, size_t bytes, bool commit)
{
    struct hf_sink *sink = NULL;
    struct hf_err err;
    HF_AUTO_BUF data = {0};

    (void)memset(hf_buf_extend(&data, bytes), (int)(txid & 0xff), bytes);
    hf_must(spool_begin(s, txid, &sink, &err), &err);
    hf_must(sink->write(sink, hf_slice(data.ptr, bytes / 2), &err), &err);
    hf_must(sink->write(sink, hf_slice(data.ptr + bytes / 2, bytes - bytes / 2), &err), &err);
    if (commit)
        hf_must(spool_commit(s, &err), &err);
    else
        spool_abort(s);
}

static void same_as_model(struct spool *s, const size_t *model)
{
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t bytes = 0;
    struct hf_err err;

    for (uint64_t txid = 1; txid <= TXIDS; txid++) {
        HF_CLEANUP(spool_source_done) struct spool_source source = {0};
        HF_AUTO_BUF got = {0};

        if (model[txid] == 0) {
            assert_int_equal(spool_source_open(s, txid, &source, &err), HF_NOT_FOUND);
            continue;
        }
        hf_must(spool_source_open(s, txid, &source, &err), &err);
        assert_int_equal(source.base.size_bytes, model[txid]);
        hf_must(source.base.read(&source.base, 0, model[txid] / 3, &got, &err), &err);
        hf_must(source.base.read(&source.base, model[txid] / 3, model[txid] - model[txid] / 3, &got,
                                 &err),
                &err);
        assert_int_equal(source.base.read(&source.base, 1, model[txid], &got, &err), HF_DAMAGE);
        assert_int_equal(got.len, model[txid]);
        assert_int_equal(got.ptr[got.len - 1], txid & 0xff);
        first = first == 0 ? txid : first;
        last = txid;
        bytes += model[txid];
    }
    assert_int_equal(spool_first(s), first);
    assert_int_equal(spool_last(s), last);
    assert_int_equal(spool_bytes(s), bytes);
}

static void it_holds_what_the_model_holds(void **state)
{
    char *dir = test_tmp_new();
    HF_AUTO_FREE char *path = hf_strfmt("%s/spool", dir);
    struct hf_rand rand = hf_rand_seeded(20260101);
    size_t model[TXIDS + 1] = {0};
    struct spool *s = NULL;
    struct hf_err err;

    (void)state;
    hf_must(spool_open(hf_fs_system(), path, &s, &err), &err);
    for (int i = 0; i < 500; i++) {
        const uint64_t txid = 1 + hf_rand_below(&rand, TXIDS);
        const size_t bytes = 1 + (size_t)hf_rand_below(&rand, 5000);

        switch (hf_rand_below(&rand, 5)) {
        case 0:
        case 1:
            if (model[txid] == 0) {
                write_one(s, txid, bytes, true);
                model[txid] = bytes;
            }
            break;
        case 2:
            write_one(s, txid, bytes, false);
            break;
        case 3:
            hf_must(spool_drop(s, txid, txid + 2, &err), &err);
            for (uint64_t t = txid; t <= txid + 2 && t <= TXIDS; t++)
                model[t] = 0;
            break;
        default:
            spool_free(s);
            hf_must(spool_open(hf_fs_system(), path, &s, &err), &err);
        }
        same_as_model(s, model);
    }
    spool_free(s);
    test_tmp_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_the_model_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
