/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a table's partitions are listed by their names, and each entry is read as it was put.
 * Method: golden bytes; entries of awkward names there and back; entries damaged by hand.
 */
#include "archive/members.h"

#include "fake.h"

#define LINEAGE "00112233445566778899aabbccddeeff"

static enum hf_code append_name(void *ctx, const char *partition, struct hf_err *err)
{
    struct hf_buf *names = ctx;

    (void)err;
    hf_buf_printf(names, "%s ", partition);
    return HF_OK;
}

static enum hf_code stop_at_first(void *ctx, const char *partition, struct hf_err *err)
{
    (void)append_name(ctx, partition, err);
    return hf_err_set(err, HF_CANCELED, "enough");
}

static void put_member(struct fake *f, const char *table, const char *path)
{
    char partition[HF_PARTITION_MAX + 1];
    HF_AUTO_FREE char *database = hf_strfmt("/var/lib/app/%s", path);
    struct hf_member m;

    hf_must(hf_partition_escape(path, partition, &f->err), &f->err);
    hf_must(hf_member_init(&m, partition, database, LINEAGE, &f->err), &f->err);
    hf_must(hf_member_put(&f->store->base, table, &m, &f->err), &f->err);
}

static void bytes_are_the_documented_ones(void **state)
{
    struct fake f;

    (void)state;
    fake_init(&f);
    put_member(&f, "s/orders", "eu/a b.db");
    const struct store_mem_object *o =
        store_mem_find(f.store, "s/orders/holdfast/members/eu/a%20b.db");

    assert_non_null(o);
    HF_AUTO_FREE char *text = hf_strndup((const char *)o->body.ptr, o->body.len);

    assert_string_equal(text,
                        "{\n"
                        "  \"partition\": \"eu/a%20b.db\",\n"
                        "  \"database\": \"/var/lib/app/eu/a%20b.db\",\n"
                        "  \"lineage\": \"" LINEAGE
                        "\"\n"
                        "}\n");
    fake_done(&f);
}

static void members_are_listed_by_name_and_read_back(void **state)
{
    HF_AUTO_BUF names = {0};
    struct hf_member m;
    struct fake f;

    (void)state;
    fake_init(&f);
    hf_must(hf_members_list(&f.store->base, "orders", append_name, &names, &f.err), &f.err);
    assert_int_equal(names.len, 0);
    put_member(&f, "orders", "b.db");
    put_member(&f, "orders", "a/\xff.db");
    put_member(&f, "orders", ".x");
    put_member(&f, "orders", "b.db"); /* again: in its place */
    put_member(&f, "orders2", "z.db");
    put_member(&f, "", "root.db");
    fake_put(&f, "orders/holdfast/members/not a name", hf_slice_str("x"));
    hf_must(hf_members_list(&f.store->base, "orders", append_name, &names, &f.err), &f.err);
    assert_string_equal(hf_buf_str(&names), "%2Ex a/%FF.db b.db ");
    hf_must(hf_member_get(&f.store->base, "orders", "a/%FF.db", &m, &f.err), &f.err);
    assert_string_equal(m.partition, "a/%FF.db");
    assert_string_equal(m.database, "/var/lib/app/a/%FF.db");
    assert_string_equal(m.lineage, LINEAGE);

    hf_buf_reset(&names);
    hf_must(hf_members_list(&f.store->base, "orders", stop_at_first, &names, &f.err), &f.err);
    assert_string_equal(hf_buf_str(&names), "%2Ex ");
    hf_buf_reset(&names);
    hf_must(hf_members_list(&f.store->base, "", append_name, &names, &f.err), &f.err);
    assert_string_equal(hf_buf_str(&names), "root.db ");

    hf_must(hf_member_delete(&f.store->base, "orders", "b.db", &f.err), &f.err);
    assert_int_equal(hf_member_get(&f.store->base, "orders", "b.db", &m, &f.err), HF_NOT_FOUND);
    fake_done(&f);
}

static void a_damaged_entry_is_damage_and_named(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "{\"partition\": \"b.db\", \"database\": \"/b\", \"lineage\": \"" LINEAGE "\"}",
        "{\"partition\": \"a.db\", \"database\": \"\", \"lineage\": \"" LINEAGE "\"}",
        "{\"partition\": \"a.db\", \"database\": \"/a\", \"lineage\": \"0\"}",
    };
    struct hf_member m = {.partition = "untouched"};
    struct fake f;

    (void)state;
    fake_init(&f);
    for (size_t i = 0; i < HF_ARRAY_LEN(bad); i++) {
        fake_put(&f, "t/holdfast/members/a.db", hf_slice_str(bad[i]));
        assert_int_equal(hf_member_get(&f.store->base, "t", "a.db", &m, &f.err), HF_DAMAGE);
        assert_says(&f.err, "t/holdfast/members/a.db");
    }
    assert_string_equal(m.partition, "untouched");
    fake_done(&f);
}

static void names_and_prefixes_are_checked(void **state)
{
    char table[HF_KEY_MAX];
    HF_AUTO_FREE char *path = hf_calloc(HF_DATABASE_MAX + 1, 1);
    struct hf_member m;
    struct fake f;

    (void)state;
    fake_init(&f);
    (void)memset(table, 't', sizeof(table));
    table[sizeof(table) - 1] = '\0';
    assert_int_equal(hf_member_get(&f.store->base, "t", "../a", &m, &f.err), HF_USAGE);
    assert_int_equal(hf_member_get(&f.store->base, table, "a", &m, &f.err), HF_USAGE);
    assert_int_equal(hf_members_list(&f.store->base, table, append_name, NULL, &f.err), HF_USAGE);
    assert_int_equal(hf_member_delete(&f.store->base, "t", "a b", &f.err), HF_USAGE);
    assert_int_equal(hf_member_init(&m, "a b", "/a", LINEAGE, &f.err), HF_USAGE);
    assert_int_equal(hf_member_init(&m, "a", "", LINEAGE, &f.err), HF_USAGE);
    (void)memset(path, 'p', HF_DATABASE_MAX);
    assert_int_equal(hf_member_init(&m, "a", path, LINEAGE, &f.err), HF_USAGE);
    path[HF_DATABASE_MAX - 1] = '\0';
    hf_must(hf_member_init(&m, "a", path, LINEAGE, &f.err), &f.err);
    fake_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_documented_ones),
        cmocka_unit_test(members_are_listed_by_name_and_read_back),
        cmocka_unit_test(a_damaged_entry_is_damage_and_named),
        cmocka_unit_test(names_and_prefixes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
