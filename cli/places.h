/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.h - from the operands to databases and archives: DB and URL as given, or the partitions of
 * tables in a configuration.
 */
#ifndef HF_CLI_PLACES_H
#define HF_CLI_PLACES_H

#include "archive/archive.h"
#include "cli/session.h"

/* One partition: its archive, and its database where there is one. All strings are owned. */
struct hf_place {
    char *name;                   /* for people: "orders/eu/1.db", or what was given */
    char *relative;               /* path below the table's fixed part; NULL without -c */
    char *partition;              /* its name in keys; NULL without -c */
    char *db_path;                /* NULL: not needed by the verb, or gone */
    char *prefix;                 /* of the archive in the store; "" without -c */
    char *url;                    /* of store and prefix, without secrets */
    const struct hf_table *table; /* borrowed from the configuration; NULL without -c */
};

/* All zero is an empty list. */
struct hf_places {
    struct hf_store *store; /* owned; the one store of all places */
    struct hf_place *items;
    size_t count;
    size_t cap;
    bool whole; /* a whole table or several were named, even if it has but one partition */
};

/* What a verb needs of the places it is given. */
enum hf_places_kind {
    HF_PLACES_LIVE,     /* databases: DB URL, or what the patterns find */
    HF_PLACES_ARCHIVED, /* archives: URL, or what the store lists; databases need not exist */
};

/*
 * `ret` has at least one place. `create` lets a file:// store make its folder. The caller ends with
 * hf_places_done(). When all tables are meant and one of them is empty, that is reported and part
 * of the verdict, and the others are found. HF_USAGE      the operands name no table or partition,
 * or are no URL; the message says what may have been meant. HF_NOT_FOUND  a database that was named
 * does not exist, or nothing belongs to the tables. any other     as hf_store_open(),
 * hf_partition_list() and hf_members_list().
 */
enum hf_code hf_places_find(struct hf_session *s, enum hf_places_kind kind, bool create,
                            struct hf_places *ret, struct hf_err *err) HF_MUST_CHECK;
void hf_places_done(struct hf_places *p);
#define HF_AUTO_PLACES HF_CLEANUP(hf_places_done) struct hf_places

/* There is a file at `path`. HF_NOT_FOUND: nothing; HF_USAGE: a folder. */
enum hf_code hf_place_check_database(const struct hf_session *s, const char *path,
                                     struct hf_err *err) HF_MUST_CHECK;

/* A new JSON object for the place in the list "partitions"; borrowed. */
json_t *hf_place_json(const struct hf_session *s, const struct hf_place *place);

/* Called for each place in turn; `object` is its JSON. What it returns is that place's outcome. */
typedef enum hf_code hf_place_fn(struct hf_session *s, const struct hf_places *places,
                                 const struct hf_place *place, json_t *object, struct hf_err *err);

/*
 * `fn` has seen every place. The only place's failure is returned; with several, each failure is
 * reported and the others go on, until the user asks to stop (HF_CANCELED).
 */
enum hf_code hf_places_each(struct hf_session *s, const struct hf_places *places, hf_place_fn *fn,
                            struct hf_err *err) HF_MUST_CHECK;

#endif
