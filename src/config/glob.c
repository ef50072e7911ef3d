/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.c - what a pattern means, and whether two of them meet.
 *
 * For overlap, a pattern becomes a row of tokens, each a set of bytes, of which some repeat (*).
 * Two rows are walked at once as two machines would be: a pair of places is reachable if some text
 * leads both there. The sets of [...] are found by asking fnmatch(3) about every byte, so that the
 * two readings of a pattern cannot differ.
 */
#include "config/glob.h"

#include <fnmatch.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

struct token {
    bool repeats;    /* any number of bytes of the set, also none */
    uint64_t set[4]; /* bit b of word w: byte 64 * w + b */
};

struct tokens {
    size_t count;
    struct token *items;
};

static void tokens_done(struct tokens *t)
{
    hf_free(t->items);
}

static bool is_dots(const char *part, size_t len)
{
    return (len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.');
}

static bool ends_in_escape(const char *part, size_t len)
{
    bool escape = false;

    for (size_t i = 0; i < len; i++)
        escape = part[i] == '\\' && !escape;
    return escape;
}

static enum hf_code check_part(const char *part, size_t len, struct hf_err *err)
{
    if (len == 0)
        return hf_err_set(err, HF_USAGE,
                          "there is an empty part between two slashes, or at the "
                          "end; name files, as in /var/lib/app/*.db");
    if (is_dots(part, len))
        return hf_err_set(err, HF_USAGE, "\".\" and \"..\" are not allowed; write the path out");
    if (ends_in_escape(part, len))
        return hf_err_set(err, HF_USAGE,
                          "a backslash stands before a slash or at the end; it makes "
                          "the next letter of a name plain, and there is none");
    if (memmem(part, len, "**", 2) != NULL)
        return hf_err_set(err, HF_USAGE,
                          "\"**\" is not available; a * stays within one folder, so "
                          "name each level, as in /srv/*/*.db");
    return HF_OK;
}

enum hf_code hf_glob_check(const char *glob, struct hf_err *err)
{
    if (glob[0] != '/')
        return hf_err_set(err, HF_USAGE, "an absolute path is needed, one that begins with /");
    if (strlen(glob) > HF_GLOB_MAX)
        return hf_err_set(err, HF_USAGE, "the pattern is longer than %d bytes", HF_GLOB_MAX);
    for (const char *p = glob; *p != '\0';) {
        const char *part = p + 1;
        const size_t len = strcspn(part, "/");
        const enum hf_code rc = check_part(part, len, err);

        if (rc != HF_OK)
            return rc;
        p = part + len;
    }
    return HF_OK;
}

/* Behind the ] that ends the [...] at `p`; NULL if none does, and then [ stands for itself. */
static const char *bracket_end(const char *p)
{
    const char *q = p + 1;

    if (*q == '!' || *q == '^')
        q++;
    if (*q == ']')
        q++;
    while (*q != ']') {
        if (*q == '\0' || *q == '/')
            return NULL;
        if (q[0] == '[' && (q[1] == ':' || q[1] == '.' || q[1] == '=')) {
            const char *class_end = strchr(q + 2, q[1]);

            if (class_end != NULL && class_end[1] == ']')
                q = class_end + 1;
        } else if (q[0] == '\\' && q[1] != '\0') {
            q++;
        }
        q++;
    }
    return q + 1;
}

bool hf_glob_is_wild(const char *part)
{
    for (const char *p = part; *p != '\0'; p++) {
        if (*p == '*' || *p == '?' || (*p == '[' && bracket_end(p) != NULL))
            return true;
        if (p[0] == '\\' && p[1] != '\0')
            p++;
    }
    return false;
}

char *hf_glob_unescape(const char *part)
{
    char *ret = hf_strdup(part);
    char *to = ret;

    for (const char *p = part; *p != '\0'; p++) {
        if (p[0] == '\\' && p[1] != '\0')
            p++;
        *to++ = *p;
    }
    *to = '\0';
    return ret;
}

bool hf_glob_match(const char *part, const char *name)
{
    return fnmatch(part, name, FNM_PATHNAME | FNM_PERIOD) == 0;
}

static void set_add(struct token *t, unsigned char byte)
{
    t->set[byte / 64] |= UINT64_C(1) << (byte % 64);
}

/* All bytes that fnmatch(3) takes for `pattern`, which stands for one byte. */
static void set_add_matches(struct token *t, const char *pattern)
{
    for (unsigned c = 1; c < 256; c++) {
        const char name[2] = {(char)c, '\0'};

        if (fnmatch(pattern, name, FNM_PATHNAME) == 0)
            set_add(t, (unsigned char)c);
    }
}

/* Fill `t` from the pattern at `p`; returns where the next token begins. */
static const char *read_token(const char *p, struct token *t)
{
    const char *end = *p == '[' ? bracket_end(p) : NULL;

    *t = (struct token){.repeats = *p == '*'};
    if (*p == '*' || *p == '?') {
        set_add_matches(t, "?");
        return p + 1;
    }
    if (end != NULL) {
        HF_AUTO_FREE char *pattern = hf_strndup(p, (size_t)(end - p));

        set_add_matches(t, pattern);
        return end;
    }
    if (p[0] == '\\' && p[1] != '\0')
        p++;
    set_add(t, (unsigned char)*p);
    return p + 1;
}

static struct tokens read_tokens(const char *glob)
{
    struct tokens ret = {.items = hf_calloc(strlen(glob) + 1, sizeof(struct token))};

    while (*glob != '\0')
        glob = read_token(glob, &ret.items[ret.count++]);
    return ret;
}

static bool sets_meet(const struct token *a, const struct token *b)
{
    return ((a->set[0] & b->set[0]) | (a->set[1] & b->set[1]) | (a->set[2] & b->set[2]) |
            (a->set[3] & b->set[3])) != 0;
}

/*
 * From row `here` (bit j: a is before token i while b is before token j) fill what token i of `a`
 * leads to: more of the same row, and `next`. False if nothing of the next row can be reached.
 */
static bool advance(const struct token *a, const struct tokens *b, bool *here, bool *next)
{
    bool alive = false;

    for (size_t j = 0; j <= b->count; j++) {
        const struct token *t = j < b->count ? &b->items[j] : NULL;

        next[j] = next[j] || (here[j] && a->repeats); /* a's * stands for nothing more */
        if (here[j] && t != NULL) {
            const bool meet = sets_meet(a, t);

            here[j + 1] = here[j + 1] || t->repeats || (a->repeats && meet);
            next[j + 1] = next[j + 1] || (!a->repeats && !t->repeats && meet);
            next[j] = next[j] || (t->repeats && meet);
        }
        alive = alive || next[j];
    }
    return alive;
}

/* Do the patterns part before the first wildcard of either? Most pairs of a configuration do. */
static bool part_early(const char *a, const char *b)
{
    static const char special[] = "*?[\\";
    const size_t a_len = strcspn(a, special);
    const size_t b_len = strcspn(b, special);

    return strncmp(a, b, a_len < b_len ? a_len : b_len) != 0;
}

bool hf_glob_overlap(const char *a, const char *b)
{
    if (part_early(a, b))
        return false;

    HF_CLEANUP(tokens_done) struct tokens left = read_tokens(a);
    HF_CLEANUP(tokens_done) struct tokens right = read_tokens(b);
    HF_AUTO_FREE bool *here = hf_calloc(right.count + 1, sizeof(*here));
    HF_AUTO_FREE bool *next = hf_calloc(right.count + 1, sizeof(*next));

    here[0] = true;
    for (size_t i = 0; i < left.count; i++) {
        bool *swap = here;

        if (!advance(&left.items[i], &right, here, next))
            return false;
        here = next;
        next = swap;
        (void)memset(next, 0, (right.count + 1) * sizeof(*next));
    }
    for (size_t j = 0; j < right.count; j++)
        here[j + 1] = here[j + 1] || (here[j] && right.items[j].repeats);
    return here[right.count];
}
