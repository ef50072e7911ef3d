/* SPDX-License-Identifier: Apache-2.0 */
/* proof.c - by roots, or by checksums only. */
#include "cli/proof.h"

const char hf_proof_weaker_text[] =
    "weaker proof: another program wrote this archive, or part of it, without roots. Each segment "
    "is checked by its own checksum, but no root of the whole database vouches for what they add "
    "up to";

void hf_proof_json(bool by_roots, json_t *object)
{
    hf_out_set_text(object, "proof", by_roots ? "roots" : "checksums");
}

void hf_proof_tell(struct hf_out *o, bool by_roots, json_t *object)
{
    hf_proof_json(by_roots, object);
    if (!by_roots)
        hf_out_line(o, "  %s", hf_proof_weaker_text);
}
