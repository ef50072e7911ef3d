/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aws_env.c - each file is read once, line by line, and fills what is still missing: so the order
 * of reading is the order of precedence, and a key pair never mixes two places.
 */
#include "store/aws_env.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* What one place says. */
struct profile {
    bool found;
    bool unsupported; /* it names a way to credentials that we do not follow */
    char *access_key_id;
    char *secret_access_key;
    char *session_token;
    char *region;
    char *endpoint_url;
    char *ca_bundle;
};

struct loader {
    const struct hf_aws_env_source *source;
    const char *profile_name;
    char *credentials_path;
    char *config_path;
    bool profile_found;
    bool unsupported;
};

static void free_secret(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    hf_free(*text);
    *text = NULL;
}

static void profile_done(struct profile *p)
{
    free_secret(&p->access_key_id);
    free_secret(&p->secret_access_key);
    free_secret(&p->session_token);
    hf_free(p->region);
    hf_free(p->endpoint_url);
    hf_free(p->ca_bundle);
}

void hf_aws_env_done(struct hf_aws_env *env)
{
    free_secret(&env->access_key_id);
    free_secret(&env->secret_access_key);
    free_secret(&env->session_token);
    hf_free(env->credentials_from);
    hf_free(env->region);
    hf_free(env->endpoint_url);
    hf_free(env->ca_bundle);
    *env = (struct hf_aws_env){0};
}

static void loader_done(struct loader *l)
{
    hf_free(l->credentials_path);
    hf_free(l->config_path);
}

/* A variable that is set and not empty, as the AWS tools take it. */
static const char *look_up(const struct hf_aws_env_source *source, const char *name)
{
    const char *value = source->get != NULL ? source->get(source->ctx, name) : getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static char *look_up_copy(const struct hf_aws_env_source *source, const char *first,
                          const char *second)
{
    const char *value = look_up(source, first);

    if (value == NULL && second != NULL)
        value = look_up(source, second);
    return value != NULL ? hf_strdup(value) : NULL;
}

/* NULL if neither the variable nor HOME is set. */
static char *file_path(const struct hf_aws_env_source *source, const char *variable,
                       const char *below_home)
{
    const char *path = look_up(source, variable);
    const char *home = look_up(source, "HOME");

    if (path != NULL)
        return hf_strdup(path);
    return home != NULL ? hf_strfmt("%s/%s", home, below_home) : NULL;
}

static struct hf_slice trim(struct hf_slice s)
{
    while (s.len > 0 && isspace(s.ptr[0]))
        s = hf_slice(s.ptr + 1, s.len - 1);
    while (s.len > 0 && isspace(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool slice_is(struct hf_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

/* "[name]" in either file, "[profile name]" in the configuration file. */
static bool is_section(struct hf_slice line, const char *name)
{
    struct hf_slice inner = hf_slice(line.ptr + 1, line.len - 1);
    const uint8_t *end = (const uint8_t *)memchr(inner.ptr, ']', inner.len);
    static const char word[] = "profile";

    if (end == NULL)
        return false;
    inner = trim(hf_slice(inner.ptr, (size_t)(end - inner.ptr)));
    if (slice_is(inner, name))
        return true;
    if (inner.len < sizeof(word) || memcmp(inner.ptr, word, sizeof(word) - 1) != 0 ||
        !isspace(inner.ptr[sizeof(word) - 1]))
        return false;
    return slice_is(trim(hf_slice(inner.ptr + sizeof(word), inner.len - sizeof(word))), name);
}

static void take_setting(struct profile *p, struct hf_slice name, struct hf_slice value)
{
    static const char *const unsupported[] = {"credential_process", "role_arn", "sso_session",
                                              "sso_start_url", "web_identity_token_file"};
    const struct {
        const char *name;
        char **dst;
    } known[] = {
        {"aws_access_key_id", &p->access_key_id}, {"aws_secret_access_key", &p->secret_access_key},
        {"aws_session_token", &p->session_token}, {"region", &p->region},
        {"endpoint_url", &p->endpoint_url},       {"ca_bundle", &p->ca_bundle},
    };

    for (size_t i = 0; i < HF_ARRAY_LEN(known); i++) {
        if (!slice_is(name, known[i].name) || value.len == 0)
            continue;
        free_secret(known[i].dst);
        *known[i].dst = hf_strndup((const char *)value.ptr, value.len);
    }
    for (size_t i = 0; i < HF_ARRAY_LEN(unsupported); i++)
        p->unsupported = p->unsupported || slice_is(name, unsupported[i]);
}

/* Lines that begin with a blank belong to a nested table ("s3 =") and are left out. */
static void take_line(struct profile *p, struct hf_slice line, const char *profile_name,
                      bool *inside)
{
    if (line.len == 0 || isspace(line.ptr[0]) || line.ptr[0] == '#' || line.ptr[0] == ';')
        return;
    if (line.ptr[0] == '[') {
        *inside = is_section(line, profile_name);
        p->found = p->found || *inside;
        return;
    }

    const uint8_t *equals = (const uint8_t *)memchr(line.ptr, '=', line.len);

    if (!*inside || equals == NULL)
        return;

    const size_t name_len = (size_t)(equals - line.ptr);

    take_setting(p, trim(hf_slice(line.ptr, name_len)),
                 trim(hf_slice(equals + 1, line.len - name_len - 1)));
}

/* A file that does not exist says nothing. */
static enum hf_code read_profile(const struct loader *l, const char *path, struct profile *ret,
                                 struct hf_err *err)
{
    HF_AUTO_BUF text = {0};
    bool inside = false;
    enum hf_code rc;

    if (path == NULL)
        return HF_OK;
    rc = hf_fs_read_all(l->source->fs, path, HF_AWS_FILE_BYTES_MAX, &text, err);
    if (rc == HF_NOT_FOUND)
        return HF_OK;
    if (rc != HF_OK)
        return hf_err_wrap(err, "looking for S3 credentials");
    for (size_t at = 0; at < text.len;) {
        const uint8_t *end = (const uint8_t *)memchr(text.ptr + at, '\n', text.len - at);
        const size_t len = end != NULL ? (size_t)(end - text.ptr) - at : text.len - at;

        take_line(ret, hf_slice(text.ptr + at, len), l->profile_name, &inside);
        at += len + 1;
    }
    if (text.len > 0)
        explicit_bzero(text.ptr, text.len);
    return HF_OK;
}

static void fill(char **dst, char **src)
{
    if (*dst == NULL)
        *dst = (char *)hf_take_ptr(src);
}

/* Take what is still missing. A pair is taken whole or not at all. */
static enum hf_code merge(struct hf_aws_env *env, struct profile *p, const char *from,
                          struct hf_err *err)
{
    if (env->access_key_id == NULL && (p->access_key_id != NULL || p->secret_access_key != NULL)) {
        if (p->access_key_id == NULL || p->secret_access_key == NULL)
            return hf_err_set(err, HF_USAGE, "S3 credentials in %s: %s is missing", from,
                              p->access_key_id == NULL ? "the access key id"
                                                       : "the secret access key");
        env->access_key_id = (char *)hf_take_ptr(&p->access_key_id);
        env->secret_access_key = (char *)hf_take_ptr(&p->secret_access_key);
        env->session_token = (char *)hf_take_ptr(&p->session_token);
        env->credentials_from = hf_strdup(from);
    }
    fill(&env->region, &p->region);
    fill(&env->endpoint_url, &p->endpoint_url);
    fill(&env->ca_bundle, &p->ca_bundle);
    return HF_OK;
}

static enum hf_code merge_environment(const struct loader *l, struct hf_aws_env *env,
                                      struct hf_err *err)
{
    HF_CLEANUP(profile_done)
    struct profile p = {
        .access_key_id = look_up_copy(l->source, "AWS_ACCESS_KEY_ID", NULL),
        .secret_access_key = look_up_copy(l->source, "AWS_SECRET_ACCESS_KEY", NULL),
        .session_token = look_up_copy(l->source, "AWS_SESSION_TOKEN", NULL),
        .region = look_up_copy(l->source, "AWS_REGION", "AWS_DEFAULT_REGION"),
        .endpoint_url = look_up_copy(l->source, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        .ca_bundle = look_up_copy(l->source, "AWS_CA_BUNDLE", NULL),
    };

    return merge(env, &p, "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)", err);
}

static enum hf_code merge_file(struct loader *l, const char *path, struct hf_aws_env *env,
                               struct hf_err *err)
{
    HF_CLEANUP(profile_done) struct profile p = {0};
    HF_AUTO_FREE char *from = NULL;
    enum hf_code rc;

    rc = read_profile(l, path, &p, err);
    if (rc != HF_OK)
        return rc;
    l->profile_found = l->profile_found || p.found;
    l->unsupported = l->unsupported || p.unsupported;
    from = hf_strfmt("%s, profile %s", path != NULL ? path : "no file", l->profile_name);
    return merge(env, &p, from, err);
}

static enum hf_code complain(const struct loader *l, const struct hf_aws_env *env,
                             struct hf_err *err)
{
    const char *credentials = l->credentials_path != NULL ? l->credentials_path : "(no HOME)";
    const char *config = l->config_path != NULL ? l->config_path : "(no HOME)";

    if (env->access_key_id == NULL)
        return hf_err_set(err, HF_USAGE,
                          "no S3 credentials: looked in the environment (AWS_ACCESS_KEY_ID and "
                          "AWS_SECRET_ACCESS_KEY), in %s and in %s, profile %s%s",
                          credentials, config, l->profile_name,
                          l->unsupported ? "; that profile names a role, a process or SSO, which "
                                           "holdfast does not follow: export the keys instead"
                                         : "");
    if (!l->profile_found && look_up(l->source, "AWS_PROFILE") != NULL)
        return hf_err_set(err, HF_USAGE, "AWS_PROFILE is %s, and neither %s nor %s has it",
                          l->profile_name, credentials, config);
    return HF_OK;
}

enum hf_code hf_aws_env_load(const struct hf_aws_env_source *source, struct hf_aws_env *ret,
                             struct hf_err *err)
{
    const char *profile_name = look_up(source, "AWS_PROFILE");
    HF_CLEANUP(loader_done)
    struct loader l = {
        .source = source,
        .profile_name = profile_name != NULL ? profile_name : "default",
        .credentials_path = file_path(source, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        .config_path = file_path(source, "AWS_CONFIG_FILE", ".aws/config"),
    };
    HF_AUTO_AWS_ENV env = {0};
    enum hf_code rc;

    rc = merge_environment(&l, &env, err);
    if (rc != HF_OK)
        return rc;
    rc = merge_file(&l, l.credentials_path, &env, err);
    if (rc != HF_OK)
        return rc;
    rc = merge_file(&l, l.config_path, &env, err);
    if (rc != HF_OK)
        return rc;
    rc = complain(&l, &env, err);
    if (rc != HF_OK)
        return rc;
    *ret = env;
    env = (struct hf_aws_env){0};
    return HF_OK;
}
