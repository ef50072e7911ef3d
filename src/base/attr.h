/* SPDX-License-Identifier: Apache-2.0 */
/* attr.h - the few compiler attributes the house uses. */
#ifndef HF_BASE_ATTR_H
#define HF_BASE_ATTR_H

#define HF_MUST_CHECK        __attribute__((warn_unused_result))
#define HF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define HF_NORETURN          __attribute__((noreturn))

/* Run fn(&var) when `var` leaves scope. No goto and no longjmp in such a function. */
#define HF_CLEANUP(fn) __attribute__((cleanup(fn)))

#define HF_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
