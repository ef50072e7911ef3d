/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: credentials come from where every S3 tool looks, in its order, whole or not at all, and no
 * message holds a secret.
 * Method: an environment by table, files in a folder of the test.
 */
#include "lib/fixture.h"

#include <string.h>

#include "store/aws_env.h"

#define VARIABLES_MAX 16

struct world {
    char *home;
    struct variable {
        const char *name;
        const char *value;
    } variables[VARIABLES_MAX];
    size_t variables_count;
};

static const char *world_get(void *ctx, const char *name)
{
    const struct world *w = (const struct world *)ctx;

    for (size_t i = 0; i < w->variables_count; i++) {
        if (strcmp(w->variables[i].name, name) == 0)
            return w->variables[i].value;
    }
    return NULL;
}

static void set(struct world *w, const char *name, const char *value)
{
    assert_true(w->variables_count < VARIABLES_MAX);
    w->variables[w->variables_count].name = name;
    w->variables[w->variables_count++].value = value;
}

static void put_file(const struct world *w, const char *name, const char *text)
{
    HF_AUTO_FREE char *path = hf_strfmt("%s/.aws/%s", w->home, name);
    HF_AUTO_FREE char *dir = hf_path_dir(path);
    struct hf_err err;

    hf_must(hf_fs_mkdirs(hf_fs_system(), dir, 0700, &err), &err);
    hf_must(hf_fs_replace(hf_fs_system(), path, hf_slice_str(text), 0600, &err), &err);
}

static int world_setup(void **state)
{
    struct world *w = (struct world *)hf_calloc(1, sizeof(*w));

    w->home = test_tmp_new();
    set(w, "HOME", w->home);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = (struct world *)*state;

    test_tmp_remove(w->home);
    hf_free(w);
    return 0;
}

static enum hf_code load(struct world *w, struct hf_aws_env *ret, struct hf_err *err)
{
    const struct hf_aws_env_source source = {.get = world_get, .ctx = w, .fs = hf_fs_system()};

    return hf_aws_env_load(&source, ret, err);
}

static void expect_refusal(struct world *w, const char *const *words)
{
    HF_AUTO_AWS_ENV env = {0};
    struct hf_err err;

    assert_int_equal(load(w, &env, &err), HF_USAGE);
    assert_null(env.access_key_id);
    assert_null(strstr(err.text, "MYSECRET"));
    for (; *words != NULL; words++) {
        if (strstr(err.text, *words) == NULL)
            fail_msg("'%s' is not in: %s", *words, err.text);
    }
}

static void the_environment_comes_before_the_files(void **state)
{
    struct world *w = (struct world *)*state;
    HF_AUTO_AWS_ENV env = {0};
    struct hf_err err;

    put_file(w, "credentials",
             "[default]\naws_access_key_id = F\naws_secret_access_key = G\n"
             "aws_session_token = H\n");
    set(w, "AWS_ACCESS_KEY_ID", "A");
    set(w, "AWS_SECRET_ACCESS_KEY", "B");
    set(w, "AWS_REGION", "eu-west-1");
    set(w, "AWS_DEFAULT_REGION", "not-this");
    set(w, "AWS_ENDPOINT_URL", "http://not-this");
    set(w, "AWS_ENDPOINT_URL_S3", "http://this");
    set(w, "AWS_CA_BUNDLE", "/ca.pem");
    hf_must(load(w, &env, &err), &err);
    assert_string_equal(env.access_key_id, "A");
    assert_string_equal(env.secret_access_key, "B");
    assert_null(env.session_token); /* that of the file belongs to other keys */
    assert_string_equal(env.region, "eu-west-1");
    assert_string_equal(env.endpoint_url, "http://this");
    assert_string_equal(env.ca_bundle, "/ca.pem");
    assert_non_null(strstr(env.credentials_from, "environment"));
}

static void files_are_read_by_profile_and_settings_are_filled_up(void **state)
{
    struct world *w = (struct world *)*state;
    HF_AUTO_AWS_ENV env = {0};
    struct hf_err err;

    put_file(w, "credentials",
             "# comment = aws_access_key_id\n[default]\naws_access_key_id=X\n"
             "aws_secret_access_key=X\n\n[ backup ]\r\naws_access_key_id = K1\r\n"
             "aws_secret_access_key=a/b+c==\r\naws_session_token =T1");
    put_file(w, "config",
             "[default]\nregion = not-this\n[profile backup]\nregion = eu-north-1\n"
             "endpoint_url = https://s3.example.net\ns3 =\n  region = nested\n"
             "aws_access_key_id = not-this\n; region = no\nca_bundle=/x.pem\n"
             "[profile backup2]\nregion = no\n");
    set(w, "AWS_PROFILE", "backup");
    hf_must(load(w, &env, &err), &err);
    assert_string_equal(env.access_key_id, "K1");
    assert_string_equal(env.secret_access_key, "a/b+c==");
    assert_string_equal(env.session_token, "T1");
    assert_string_equal(env.region, "eu-north-1");
    assert_string_equal(env.endpoint_url, "https://s3.example.net");
    assert_string_equal(env.ca_bundle, "/x.pem");
    assert_non_null(strstr(env.credentials_from, ".aws/credentials, profile backup"));
}

static void other_files_may_be_named(void **state)
{
    struct world *w = (struct world *)*state;
    HF_AUTO_AWS_ENV env = {0};
    HF_AUTO_FREE char *path = hf_strfmt("%s/.aws/mine", w->home);
    struct hf_err err;

    put_file(w, "mine", "[default]\naws_access_key_id=M\naws_secret_access_key=N\n");
    put_file(w, "credentials", "[default]\naws_access_key_id=X\naws_secret_access_key=X\n");
    set(w, "AWS_SHARED_CREDENTIALS_FILE", path);
    hf_must(load(w, &env, &err), &err);
    assert_string_equal(env.access_key_id, "M");
}

static void without_credentials_every_place_is_named(void **state)
{
    static const char *const words[] = {"AWS_ACCESS_KEY_ID", ".aws/credentials", ".aws/config",
                                        "profile default", NULL};

    expect_refusal((struct world *)*state, words);
}

static void an_empty_variable_counts_as_unset(void **state)
{
    static const char *const words[] = {"no S3 credentials", NULL};
    struct world *w = (struct world *)*state;

    set(w, "AWS_ACCESS_KEY_ID", "");
    set(w, "AWS_SECRET_ACCESS_KEY", "");
    expect_refusal(w, words);
}

static void half_a_pair_is_refused_and_not_completed_from_elsewhere(void **state)
{
    static const char *const words[] = {"environment", "the access key id is missing", NULL};
    struct world *w = (struct world *)*state;

    put_file(w, "credentials", "[default]\naws_access_key_id=X\naws_secret_access_key=X\n");
    set(w, "AWS_SECRET_ACCESS_KEY", "MYSECRET");
    expect_refusal(w, words);
}

static void half_a_pair_in_a_file_names_the_file(void **state)
{
    static const char *const words[] = {".aws/config", "the secret access key is missing", NULL};
    struct world *w = (struct world *)*state;

    put_file(w, "config", "[default]\naws_access_key_id=X\n");
    expect_refusal(w, words);
}

static void an_unknown_profile_is_refused_even_with_keys_at_hand(void **state)
{
    static const char *const words[] = {"AWS_PROFILE is nobody", NULL};
    struct world *w = (struct world *)*state;

    set(w, "AWS_PROFILE", "nobody");
    set(w, "AWS_ACCESS_KEY_ID", "A");
    set(w, "AWS_SECRET_ACCESS_KEY", "MYSECRET");
    expect_refusal(w, words);
}

static void a_profile_with_a_role_says_that_roles_are_not_followed(void **state)
{
    static const char *const words[] = {"does not follow", NULL};
    struct world *w = (struct world *)*state;

    put_file(w, "config", "[default]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = y\n");
    expect_refusal(w, words);
}

static void a_file_that_cannot_be_read_is_not_an_absent_one(void **state)
{
    struct world *w = (struct world *)*state;
    HF_AUTO_AWS_ENV env = {0};
    struct hf_err err;

    set(w, "AWS_SHARED_CREDENTIALS_FILE", w->home); /* a folder */
    assert_int_not_equal(load(w, &env, &err), HF_OK);
    assert_non_null(strstr(err.text, w->home));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_environment_comes_before_the_files),
        TEST(files_are_read_by_profile_and_settings_are_filled_up),
        TEST(other_files_may_be_named),
        TEST(without_credentials_every_place_is_named),
        TEST(an_empty_variable_counts_as_unset),
        TEST(half_a_pair_is_refused_and_not_completed_from_elsewhere),
        TEST(half_a_pair_in_a_file_names_the_file),
        TEST(an_unknown_profile_is_refused_even_with_keys_at_hand),
        TEST(a_profile_with_a_role_says_that_roles_are_not_followed),
        TEST(a_file_that_cannot_be_read_is_not_an_absent_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
