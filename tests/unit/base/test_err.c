/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: an error keeps its code and its message through every wrapping, whatever their length.
 * Method: messages around the limit; errno values set by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fixture.h"

static void set_gives_code_and_text(void **state)
{
    struct hf_err err;

    (void)state;
    assert_int_equal(hf_err_set(&err, HF_DAMAGE, "page %d of %s", 7, "a.db"), HF_DAMAGE);
    assert_int_equal(err.code, HF_DAMAGE);
    assert_string_equal(err.text, "page 7 of a.db");
}

static void wrap_puts_context_before_and_keeps_the_code(void **state)
{
    struct hf_err err;

    (void)state;
    (void)hf_err_set(&err, HF_CONFLICT, "it exists");
    assert_int_equal(hf_err_wrap(&err, "put %s", "k"), HF_CONFLICT);
    assert_int_equal(hf_err_wrap(&err, "archive %d", 1), HF_CONFLICT);
    assert_string_equal(err.text, "archive 1: put k: it exists");
}

static void recode_changes_the_code(void **state)
{
    struct hf_err err;

    (void)state;
    (void)hf_err_set(&err, HF_IO, "fsync failed");
    assert_int_equal(hf_err_recode(&err, HF_UNCERTAIN, "already visible"), HF_UNCERTAIN);
    assert_int_equal(err.code, HF_UNCERTAIN);
    assert_string_equal(err.text, "already visible: fsync failed");
}

static void errno_is_told_and_only_a_full_device_moves_the_code(void **state)
{
    static const struct {
        int number;
        enum hf_code want;
    } rows[] = {{EIO, HF_IO},      {EEXIST, HF_IO},   {ENOENT, HF_IO},
                {ENOSPC, HF_FULL}, {EDQUOT, HF_FULL}, {EINTR, HF_IO}};

    (void)state;
    for (size_t i = 0; i < HF_ARRAY_LEN(rows); i++) {
        HF_AUTO_FREE char *want = hf_strfmt("write x: %s", strerror(rows[i].number));
        struct hf_err err;

        errno = rows[i].number;
        assert_int_equal(hf_err_sys(&err, HF_IO, "write %s", "x"), rows[i].want);
        assert_string_equal(err.text, want);
    }
}

static void what_is_denied_names_the_user_and_what_to_look_at(void **state)
{
    HF_AUTO_FREE char *want = hf_strfmt(
        "open x: Permission denied; holdfast runs as uid %lu: see "
        "the owner and mode of it and of the folders above",
        (unsigned long)geteuid());
    struct hf_err err;

    (void)state;
    errno = EACCES;
    assert_int_equal(hf_err_sys(&err, HF_DENIED, "open %s", "x"), HF_DENIED);
    assert_string_equal(err.text, want);
}

/* A message that does not fit is cut, says so, and stays terminated. */
static void long_message_is_cut_with_a_mark(void **state)
{
    (void)state;
    for (size_t len = HF_ERR_TEXT_MAX - 5; len < HF_ERR_TEXT_MAX + 5; len++) {
        HF_AUTO_FREE char *text = hf_calloc(1, len + 1);
        struct hf_err err;

        (void)memset(text, 'm', len);
        (void)hf_err_set(&err, HF_IO, "%s", text);
        if (len < HF_ERR_TEXT_MAX) {
            assert_string_equal(err.text, text);
            continue;
        }
        assert_int_equal(strlen(err.text), HF_ERR_TEXT_MAX - 1);
        assert_string_equal(err.text + HF_ERR_TEXT_MAX - 4, "...");
    }
}

static void long_context_does_not_overflow(void **state)
{
    HF_AUTO_FREE char *text = hf_calloc(1, 3 * HF_ERR_TEXT_MAX);
    struct hf_err err;

    (void)state;
    (void)memset(text, 'c', 3 * HF_ERR_TEXT_MAX - 1);
    (void)hf_err_set(&err, HF_HOLE, "the cause");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hf_err_wrap(&err, "%s", text), HF_HOLE);
        assert_int_equal(strlen(err.text), HF_ERR_TEXT_MAX - 1);
    }
    errno = EIO;
    assert_int_equal(hf_err_sys(&err, HF_IO, "%s", text), HF_IO);
    assert_int_equal(strlen(err.text), HF_ERR_TEXT_MAX - 1);
}

/* The contract of the CLI: 0 clean, 1 damage or hole, 2 usage, 3 could not complete. */
static void exit_statuses_keep_the_contract(void **state)
{
    unsigned damage = 0;

    (void)state;
#define HF_TEST_COUNT(name, text, retry, status) +1
    const int codes_count = HF_CODES(HF_TEST_COUNT);
#undef HF_TEST_COUNT
    assert_int_equal(hf_code_exit_status(HF_OK), 0);
    for (int code = HF_OK + 1; code < codes_count; code++) {
        const int status = hf_code_exit_status((enum hf_code)code);

        assert_in_range(status, 1, 3);
        damage += status == 1 ? 1 : 0;
        assert_true(strlen(hf_code_text((enum hf_code)code)) > 0);
        /* What is worth repeating could not complete; it did not find damage. */
        assert_true(!hf_code_retryable((enum hf_code)code) || status == 3);
    }
    assert_int_equal(damage, 2);
    assert_int_equal(hf_code_exit_status(HF_HOLE), 1);
    assert_int_equal(hf_code_exit_status(HF_DAMAGE), 1);
    assert_int_equal(hf_code_exit_status(HF_USAGE), 2);
    assert_int_equal(hf_code_exit_status(HF_FENCED), 3);
    assert_false(hf_code_retryable(HF_UNCERTAIN)); /* to repeat it blindly would be wrong */
    assert_false(hf_code_retryable(HF_CONFLICT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_gives_code_and_text),
        cmocka_unit_test(wrap_puts_context_before_and_keeps_the_code),
        cmocka_unit_test(recode_changes_the_code),
        cmocka_unit_test(errno_is_told_and_only_a_full_device_moves_the_code),
        cmocka_unit_test(what_is_denied_names_the_user_and_what_to_look_at),
        cmocka_unit_test(long_message_is_cut_with_a_mark),
        cmocka_unit_test(long_context_does_not_overflow),
        cmocka_unit_test(exit_statuses_keep_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
