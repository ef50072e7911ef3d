/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.h - how far an archive proves what was read of it, in words and in JSON: by roots, or,
 * where another program wrote it, by the checksums of its segments only.
 */
#ifndef HF_CLI_PROOF_H
#define HF_CLI_PROOF_H

#include "cli/out.h"

/* What it means that there are no roots; a line without indent and end. */
extern const char hf_proof_weaker_text[];

/* The field "proof" of `object`: "roots" or "checksums". */
void hf_proof_json(bool by_roots, json_t *object);
/* The same, and without roots the line above, indented, below what was said last. */
void hf_proof_tell(struct hf_out *o, bool by_roots, json_t *object);

#endif
