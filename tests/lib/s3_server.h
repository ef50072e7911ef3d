/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_server.h - the real S3 server that minio-test/with-minio gives to a test.
 */
#ifndef HF_TESTS_LIB_S3_SERVER_H
#define HF_TESTS_LIB_S3_SERVER_H

#include "lib/fixture.h"
#include "store/open.h"

/* false, with a line on stderr that says how to get one: there is no server. A test program that
 * needs it then fails; it never skips. */
bool s3_server_present(void);
const char *s3_server_endpoint(void);
const char *s3_server_bucket(void);

/* The system's files, clock and random numbers. */
struct hf_store_env s3_server_env(void);

/* Open SCHEME://BUCKET/PREFIX at the server; fails the test if it cannot. */
struct hf_store *s3_server_open(const char *scheme, const char *bucket, const char *prefix);

/* A prefix that no other run has used; the caller frees. */
char *s3_server_prefix(const char *name);

#endif
