/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - what a page belongs to, by a walk over the b-trees. */
#include "engine/sqlite/describe.h"

#include "base/attr.h"
#include "engine/sqlite/conn.h"

static bool describe_by(struct conn *c, const char *sql, uint64_t page, char ret[HF_PAGE_TEXT_MAX])
{
    sqlite3_stmt *stmt = NULL;
    bool found = false;

    if (sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)page) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_text(stmt, 0) != NULL) {
        (void)sqlite3_snprintf(HF_PAGE_TEXT_MAX, ret, "%s", sqlite3_column_text(stmt, 0));
        found = true;
    }
    (void)sqlite3_finalize(stmt);
    return found;
}

enum hf_code sqlite_describe(const char *db_path, uint64_t page, char ret[HF_PAGE_TEXT_MAX],
                             struct hf_err *err)
{
    /* dbstat walks the b-trees; it names the tree of every page that one holds. */
    static const char walk[] =
        "SELECT CASE WHEN s.type IS NULL THEN 'the schema (b-tree 1)' "
        "WHEN s.type = 'index' THEN 'index ' || s.name || ' of table ' || s.tbl_name || "
        "' (b-tree ' || s.rootpage || ')' "
        "ELSE s.type || ' ' || s.name || ' (b-tree ' || s.rootpage || ')' END "
        "FROM dbstat d LEFT JOIN sqlite_schema s ON s.name = d.name WHERE d.pageno = ?1 LIMIT 1";
    HF_CLEANUP(conn_close) struct conn c = {0};
    const enum hf_code rc = conn_open(db_path, &c, err);

    if (rc != HF_OK)
        return rc;
    if (!describe_by(&c, walk, page, ret))
        (void)sqlite3_snprintf(HF_PAGE_TEXT_MAX, ret,
                               page == 1 ? "the header and the schema (b-tree 1)"
                                         : "no b-tree that can be walked");
    return HF_OK;
}
