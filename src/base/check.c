/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - what a failed assertion prints. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void hf_assert_failed(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "holdfast: internal error: %s does not hold (%s:%d)\n", cond, file, line);
    abort();
}
