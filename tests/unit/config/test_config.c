/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a configuration is taken whole with every default, or refused with file, line, key and what
 * to write instead; nothing it asks for is left out in silence, and libcyaml prints nothing.
 * Method: tables of texts. A text of the table of refusals is a correct file with one line changed.
 */
#include "config/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fixture.h"

static enum hf_code parse(const char *text, struct hf_config **ret, struct hf_err *err)
{
    return hf_config_parse(hf_slice_str(text), "f.yaml", ret, err);
}

static void a_short_file_gets_every_default(void **state)
{
    HF_CLEANUP(hf_config_free_ptr) struct hf_config *c = NULL;
    struct hf_err err;

    (void)state;
    hf_must(parse("store: file:///srv/backups\n"
                  "tables:\n"
                  "  - {name: orders, partitions: /var/lib/app/*.db}\n",
                  &c, &err),
            &err);
    assert_string_equal(c->store_url, "file:///srv/backups");
    assert_int_equal(c->tables_count, 1);
    assert_string_equal(c->tables[0].name, "orders");
    assert_string_equal(c->tables[0].partitions, "/var/lib/app/*.db");
    assert_int_equal(c->tables[0].seal, HF_SEAL_AUTO);
    assert_int_equal(c->tables[0].capture_ms, 1000);
    assert_int_equal(c->tables[0].retention_every_capture_ms, 7LL * 24 * 3600 * 1000);
    assert_int_equal(c->tables[0].retention_history_ms, 35LL * 24 * 3600 * 1000);
    assert_int_equal(c->tables[0].scrub_every_ms, 24LL * 3600 * 1000);
    assert_int_equal(c->tables[0].scrub_bytes_per_s, 50 * 1024 * 1024);
}

static void a_full_file_is_taken_key_by_key(void **state)
{
    HF_CLEANUP(hf_config_free_ptr) struct hf_config *c = NULL;
    const struct hf_table *users;
    struct hf_err err;

    (void)state;
    hf_must(parse("# what we keep\n"
                  "store: s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1\n"
                  "tables:\n"
                  "  - name: orders\n"
                  "    partitions: /var/lib/app/orders/*.db\n"
                  "    capture: 50ms   # as often as it goes\n"
                  "    seal: no-lock\n"
                  "    retention: {every-capture: 1h, history: 2d}\n"
                  "    scrub: {every: 30m, rate: 1GiB/s}\n"
                  "    replicas: []\n"
                  "    copies: []\n"
                  "    encryption: none\n"
                  "  - name: users_2-b\n"
                  "    partitions: \"/var/lib/app/users.db\"\n"
                  "    seal: auto\n"
                  "    retention: {history: 8d}\n",
                  &c, &err),
            &err);
    assert_int_equal(c->tables_count, 2);
    assert_int_equal(c->tables[0].capture_ms, 50);
    assert_int_equal(c->tables[0].seal, HF_SEAL_NO_LOCK);
    assert_int_equal(c->tables[0].retention_every_capture_ms, 3600 * 1000);
    assert_int_equal(c->tables[0].retention_history_ms, 2LL * 24 * 3600 * 1000);
    assert_int_equal(c->tables[0].scrub_every_ms, 30 * 60 * 1000);
    assert_int_equal(c->tables[0].scrub_bytes_per_s, 1 << 30);
    users = hf_config_find_table(c, "users_2-b");
    assert_ptr_equal(users, &c->tables[1]);
    assert_int_equal(users->retention_every_capture_ms, 7LL * 24 * 3600 * 1000);
    assert_int_equal(users->retention_history_ms, 8LL * 24 * 3600 * 1000);
    assert_null(hf_config_find_table(c, "user"));
}

/* Text, and the whole message or (where it ends in ...) how it begins. */
struct refusal {
    const char *text;
    const char *message;
};

static void check_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct hf_config *c = NULL;
        struct hf_err err;
        const size_t len = strlen(refusals[i].message);
        const bool cut = len > 3 && strcmp(refusals[i].message + len - 3, "...") == 0;

        assert_int_equal(parse(refusals[i].text, &c, &err), HF_USAGE);
        assert_null(c);
        if (cut)
            err.text[len - 3] = '\0';
        if (strncmp(err.text, refusals[i].message, cut ? len - 3 : len + 1) != 0)
            fail_msg("expected %s\n     met %s", refusals[i].message, err.text);
    }
}

#define STORE "store: file:///b\n"
#define TABLE STORE "tables:\n  - name: orders\n    partitions: /a/*.db\n"

static void wrong_shapes_are_refused_by_line(void **state)
{
    static const struct refusal refusals[] = {
        {"", "f.yaml:1: the file is empty; it needs at least store and tables"},
        {"# nothing\n", "f.yaml:1: the file is empty..."},
        {"- a\n", "f.yaml:1: keys with values are expected"},
        {"store\n", "f.yaml:1: keys with values are expected"},
        {STORE, "f.yaml:1: \"tables\" is missing"},
        {"tables:\n  - {name: a, partitions: /a}\n", "f.yaml:1: \"store\" is missing"},
        {STORE "tables:\n  - name: a\n", "f.yaml:3: \"partitions\" is missing"},
        {STORE "tables:\n  - name: a\n    partitions: /a\n\n  - partitions: /b\n",
         "f.yaml:6: \"name\" is missing"},
        {STORE "tables: []\n", "f.yaml:2: tables: at least one entry is expected"},
        {STORE "tables: x\n", "f.yaml:2: tables: a list is expected"},
        {STORE "tables: {name: a}\n", "f.yaml:2: tables: a list is expected"},
        {STORE "tables:\n  - a\n", "f.yaml:3: tables: keys with values are expected"},
        {TABLE "    capture: [1s]\n", "f.yaml:5: capture: one plain value is expected"},
        {TABLE "    capture:\n", "f.yaml:5: capture: the value is missing"},
        {TABLE "    scrub: 24h\n", "f.yaml:5: scrub: keys with values are expected"},
        {TABLE "    replicas: none\n", "f.yaml:5: replicas: a list is expected"},
        {"store: \"\"\ntables:\n  - {name: a, partitions: /a}\n",
         "f.yaml:1: store: the value is missing"},
        {"store: \"a\\0b\"\ntables:\n  - {name: a, partitions: /a}\n",
         "f.yaml:1: a value holds a NUL byte"},
        {STORE "tables:\n\t- a\n", "f.yaml:3: not YAML: found character that cannot start..."},
        {STORE "tables: [a\n", "f.yaml:3: not YAML: ..."},
        {"store: &s file:///b\ntables:\n  - {name: *s, partitions: /a}\n",
         "f.yaml:3: name: aliases (*name) are not available; write the value out"},
        {"&a {store: x, tables: [*a]}\n", "f.yaml:1: unknown key..."},
        {TABLE "---\nstore: x\n", "f.yaml:6: a second document begins here; one is expected"},
        {TABLE "---\n[\n", "f.yaml:7: not YAML: ..."},
    };

    (void)state;
    check_refusals(refusals, HF_ARRAY_LEN(refusals));
}

static void unknown_keys_name_the_one_that_was_meant(void **state)
{
    static const struct refusal refusals[] = {
        {TABLE "    captrue: 1s\n", "f.yaml:5: unknown key \"captrue\"; did you mean \"capture\"?"},
        {TABLE "    retention: {every_capture: 1d}\n",
         "f.yaml:5: unknown key \"every_capture\"; did you mean \"every-capture\"?"},
        {TABLE "    scrub:\n      every: 1h\n      rates: 1MiB/s\n",
         "f.yaml:7: unknown key \"rates\"; did you mean \"rate\"?"},
        {TABLE "    scrub: {colour: red}\n",
         "f.yaml:5: unknown key \"colour\"; known here: every, rate"},
        {"stores: a\n" TABLE, "f.yaml:1: unknown key \"stores\"; did you mean \"store\"?"},
        {TABLE "    <<: {seal: auto}\n", "f.yaml:5: unknown key \"<<\"; known here: name,..."},
        {TABLE "    [a, b]: c\n", "f.yaml:5: a key must be a word"},
        {TABLE "    seal: auto\n    capture: 1s\n    seal: no-lock\n",
         "f.yaml:7: \"seal\" is here again; it is in line 5 already"},
    };

    (void)state;
    check_refusals(refusals, HF_ARRAY_LEN(refusals));
}

static void wrong_values_name_table_key_and_line(void **state)
{
    static const struct refusal refusals[] = {
        {TABLE "    seal: auto\n    capture: 5\n",
         "f.yaml:6: table orders: capture: \"5\" has no unit; the units are ms, s, m, h and d"},
        {TABLE "    capture: 49ms\n",
         "f.yaml:5: table orders: capture: \"49ms\" is outside 50ms to 1h"},
        {TABLE "    capture: 61m\n",
         "f.yaml:5: table orders: capture: \"61m\" is outside 50ms to 1h"},
        {TABLE "    seal: never\n",
         "f.yaml:5: table orders: seal: \"never\" is neither auto nor no-lock"},
        {TABLE "    retention:\n      every-capture: 0s\n",
         "f.yaml:6: table orders: retention.every-capture: \"0s\" is outside 1s to 36500d"},
        {TABLE "    retention: {history: week}\n",
         "f.yaml:5: table orders: retention.history: \"week\" is not a duration..."},
        {TABLE "    retention: {every-capture: 40d}\n",
         "f.yaml:5: table orders: retention: history (35d) must not be shorter than "
         "every-capture (40d)"},
        {TABLE "    retention: {history: 1d}\n",
         "f.yaml:5: table orders: retention: history (1d) must not be shorter than "
         "every-capture (7d)"},
        {TABLE "    scrub: {every: 1ms}\n",
         "f.yaml:5: table orders: scrub.every: \"1ms\" is outside 1s to 36500d"},
        {TABLE "    scrub: {rate: 50MB/s}\n",
         "f.yaml:5: table orders: scrub.rate: \"50MB/s\" is not a rate..."},
        {TABLE "    scrub: {rate: 65535B/s}\n",
         "f.yaml:5: table orders: scrub.rate: \"65535B/s\" is below 64KiB/s"},
        {STORE "tables:\n  - name: a b\n    partitions: /a\n",
         "f.yaml:3: table a b: name: only letters, digits, - and _ are allowed"},
        {STORE "tables:\n  - partitions: /a\n    name: holdfast\n",
         "f.yaml:4: table holdfast: name: the name \"holdfast\" is taken..."},
        {STORE "tables:\n  - partitions: /a\n    name: "
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
         "f.yaml:4: table aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: name: "
         "longer than 64 letters"},
        {STORE "tables:\n  - name: a\n    partitions: a/*.db\n",
         "f.yaml:4: table a: partitions: an absolute path is needed..."},
    };

    (void)state;
    check_refusals(refusals, HF_ARRAY_LEN(refusals));
}

static void what_is_not_built_yet_is_refused(void **state)
{
    static const struct refusal refusals[] = {
        {TABLE "    replicas: [/b/x.db]\n",
         "f.yaml:5: table orders: replicas: not available yet in holdfast " HF_VERSION "..."},
        {TABLE "    copies: [s3://other]\n",
         "f.yaml:5: table orders: copies: not available yet..."},
        {TABLE "    encryption: aes\n",
         "f.yaml:5: table orders: encryption: \"aes\" is not available yet..."},
    };

    (void)state;
    check_refusals(refusals, HF_ARRAY_LEN(refusals));
}

static void tables_may_not_share_a_name_or_a_file(void **state)
{
    static const struct refusal refusals[] = {
        {TABLE "  - name: orders\n    partitions: /b\n",
         "f.yaml:5: table orders: name: another table has this name"},
        {TABLE "  - name: other\n    partitions: /b\n  - name: third\n    partitions: /a/x*\n",
         "f.yaml:8: table third: partitions: /a/x* and /a/*.db of table orders can match the same "
         "file; a database belongs to one table"},
    };

    (void)state;
    check_refusals(refusals, HF_ARRAY_LEN(refusals));
}

static void tables_end_at_their_limit(void **state)
{
    HF_AUTO_BUF text = {0};
    HF_CLEANUP(hf_config_free_ptr) struct hf_config *c = NULL;
    struct hf_config *none = NULL;
    struct hf_err err;

    (void)state;
    hf_buf_printf(&text, STORE "tables:\n");
    for (int i = 0; i < HF_CONFIG_TABLES_MAX; i++)
        hf_buf_printf(&text, "- {name: t%d, partitions: /srv/%d/*.db}\n", i, i);
    hf_must(parse(hf_buf_str(&text), &c, &err), &err);
    assert_int_equal(c->tables_count, HF_CONFIG_TABLES_MAX);
    assert_string_equal(c->tables[999].partitions, "/srv/999/*.db");

    hf_buf_printf(&text, "- {name: more, partitions: /more}\n");
    assert_int_equal(parse(hf_buf_str(&text), &none, &err), HF_USAGE);
    assert_non_null(strstr(err.text, "tables: there are too many entries"));
}

/* Cut a correct file at every byte: what is left parses or is refused, and nothing leaks. */
static void every_beginning_of_a_file_is_judged(void **state)
{
    static const char text[] = TABLE
        "    retention: {every-capture: 1h, history: 2d}\n"
        "    replicas: []\n    encryption: \"none\"\n";
    int taken = 0;

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        HF_CLEANUP(hf_config_free_ptr) struct hf_config *c = NULL;
        struct hf_err err = {0};
        const enum hf_code rc = hf_config_parse(hf_slice(text, len), "f.yaml", &c, &err);

        assert_int_equal(c != NULL, rc == HF_OK);
        assert_true(rc == HF_OK || (rc == HF_USAGE && strncmp(err.text, "f.yaml:", 7) == 0));
        taken += rc == HF_OK;
    }
    assert_in_range(taken, 10, 80);
}

static void files_are_read_whole_or_refused_by_name(void **state)
{
    char *dir = test_tmp_new();
    HF_AUTO_FREE char *path = hf_strfmt("%s/holdfast.yaml", dir);
    HF_AUTO_FREE char *large = hf_strfmt("%s/large.yaml", dir);
    HF_CLEANUP(hf_config_free_ptr) struct hf_config *c = NULL;
    struct hf_config *none = NULL;
    struct hf_err err;

    (void)state;
    hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str(TABLE), 0600, &err), &err);
    hf_must(hf_config_load(hf_fs_system(), path, &c, &err), &err);
    assert_string_equal(c->tables[0].name, "orders");

    hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str(TABLE "    x: y\n"), 0600, &err),
            &err);
    assert_int_equal(hf_config_load(hf_fs_system(), path, &none, &err), HF_USAGE);
    assert_ptr_equal(strstr(err.text, path), err.text);

    assert_int_equal(hf_config_load(hf_fs_system(), large, &none, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.text, large));

    HF_AUTO_BUF zeros = {0};

    (void)memset(hf_buf_extend(&zeros, HF_CONFIG_BYTES_MAX + 1), '#', HF_CONFIG_BYTES_MAX + 1);
    hf_must(hf_fs_replace(hf_fs_system(), large, hf_buf_slice(&zeros), 0600, &err), &err);
    assert_int_equal(hf_config_load(hf_fs_system(), large, &none, &err), HF_USAGE);
    assert_null(none);
    test_tmp_remove(dir);
}

/* What a file makes libcyaml say must not appear on standard error. */
static void libcyaml_prints_nothing(void **state)
{
    FILE *f = tmpfile();
    const int saved = dup(STDERR_FILENO);
    struct hf_config *c = NULL;
    struct hf_err err;
    enum hf_code rc;

    (void)state;
    assert_non_null(f);
    (void)dup2(fileno(f), STDERR_FILENO);
    rc = parse(STORE "tables: x\n", &c, &err);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    assert_int_equal(rc, HF_USAGE);
    (void)fseek(f, 0, SEEK_END);
    assert_int_equal(ftell(f), 0);
    (void)fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_file_gets_every_default),
        cmocka_unit_test(a_full_file_is_taken_key_by_key),
        cmocka_unit_test(wrong_shapes_are_refused_by_line),
        cmocka_unit_test(unknown_keys_name_the_one_that_was_meant),
        cmocka_unit_test(wrong_values_name_table_key_and_line),
        cmocka_unit_test(what_is_not_built_yet_is_refused),
        cmocka_unit_test(tables_may_not_share_a_name_or_a_file),
        cmocka_unit_test(tables_end_at_their_limit),
        cmocka_unit_test(every_beginning_of_a_file_is_judged),
        cmocka_unit_test(files_are_read_whole_or_refused_by_name),
        cmocka_unit_test(libcyaml_prints_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
