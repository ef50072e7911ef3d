/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harm.h - objects of the archive that decay or are removed, and who meets that.
 *
 * Segments, format and owner; each is put back afterwards, as somebody would from a copy of it, but
 * for an owner that was made anew meanwhile.
 */
#ifndef HF_TESTS_SIM_HARM_H
#define HF_TESTS_SIM_HARM_H

#include "sim/machine.h"

enum harm_part {
    HARM_SEGMENT,
    HARM_FORMAT,
    HARM_OWNER,
    HARM_PARTS,
};

/* What is wrong with which object. */
struct harm {
    struct partition *partition; /* whose it is */
    enum harm_part part;
    bool removes;  /* else it is damaged */
    uint64_t txid; /* of a segment */
    char key[HF_KEY_MAX + 1];
    const char *name;   /* as messages call it: the end of the key */
    struct hf_buf body; /* what it was */
    int64_t timestamp_ms;
};

/* Whoever reads the archive says so. */
void harm_meets_tools(struct site *site);
/* An archiver starts: it says so and ends, and has put nothing; or it goes on where the archive
 * ends. There is none on either machine. */
void harm_meets_start(struct site *site);
/* The only archiver goes on: without an owner that it can read it puts nothing. */
void harm_meets_archiver(struct site *site);

#endif
