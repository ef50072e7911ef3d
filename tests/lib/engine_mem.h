/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_mem.h - a second storage engine, so small that it can be read in one go: databases are in
 * memory, their log is an array of commits, and segments have a format of their own.
 *
 * It keeps all of engine.h's promises, so services can be tested without SQLite, and what a service
 * takes for granted of SQLite shows. Databases are found by their path, which is only a name. Any
 * thread, as engine.h says; a struct mem_db may be used from several.
 */
#ifndef HF_TESTS_LIB_ENGINE_MEM_H
#define HF_TESTS_LIB_ENGINE_MEM_H

#include "engine/engine.h"

#define MEM_ENGINE_NAME "mem"
#define MEM_SLICE_PAGES 16 /* looked at in one slice of a scan */

/* The table; static. */
const struct hf_engine *engine_mem(void);

struct mem_db;

/* An empty database under this name; the caller frees it after all that follow it. */
struct mem_db *mem_db_new(const char *path, uint32_t page_bytes);
void mem_db_free(struct mem_db *db);

/* One transaction: the page gets these bytes; pages between the old end and it get zeros. */
void mem_db_write(struct mem_db *db, uint64_t page, struct hf_slice bytes);
/* One transaction: the database has so many pages; new ones are zeros. */
void mem_db_resize(struct mem_db *db, uint64_t pages_count);
/* A power cut: the last commits are as if they had never been. */
void mem_db_lose(struct mem_db *db, size_t commits);
/* The log begins anew, so that nothing in it proves continuity. */
void mem_db_restart_log(struct mem_db *db);
/* The device changes one byte of a page behind the log's back, until the page is written again:
 * what reads the database meets it, what reads the log does not. */
void mem_db_rot(struct mem_db *db, uint64_t page, size_t offset, uint8_t mask);

/* How many commits the log holds. */
size_t mem_db_log_count(struct mem_db *db);
/* How many pages it has now. */
uint64_t mem_db_pages(struct mem_db *db);
/* Append the page's bytes to `ret`. */
void mem_db_read(struct mem_db *db, uint64_t page, struct hf_buf *ret);

/* For oracles: `image`, a database's pages one after the other, moves over the whole segment, which
 * is taken at its word: no hash is looked at, and it must not be damaged. */
void mem_segment_apply(struct hf_slice segment, struct hf_buf *image);
/* For oracles: the bytes are a segment, and whole. */
bool mem_segment_is_whole(struct hf_slice segment);

#endif
