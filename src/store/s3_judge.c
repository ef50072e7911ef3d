/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_judge.c - from S3's error answers to what they mean for the caller's data.
 *
 * The error code decides where there is one; a HEAD and some proxies give only the status.
 * Sources: S3 API Reference, "Error responses" (list of error codes); "Troubleshooting conditional
 * requests" for 409 and 412.
 */
#include <string.h>

#include "store/s3_client.h"

enum kind {
    BY_STATUS, /* the code tells nothing more */
    CONFLICT,
    RETRY,
    NO_OBJECT,
    NO_BUCKET,
    NO_UPLOAD,
    BAD_KEYS,
    BAD_CLOCK,
    FORBIDDEN,
    WRONG_REGION,
    NOT_OFFERED,
    WRONG_TARGET,
    NO_SPACE,
};

static const struct {
    const char *code;
    enum kind kind;
} codes[] = {
    {"PreconditionFailed", CONFLICT},
    {"ConditionalRequestConflict", RETRY},
    {"OperationAborted", RETRY},
    {"SlowDown", RETRY},
    {"SlowDownRead", RETRY},
    {"SlowDownWrite", RETRY},
    {"ServiceUnavailable", RETRY},
    {"InternalError", RETRY},
    {"RequestTimeout", RETRY},
    {"Throttling", RETRY},
    {"TooManyRequests", RETRY},
    {"RequestLimitExceeded", RETRY},
    {"BadDigest", RETRY},
    {"IncompleteBody", RETRY},
    {"XAmzContentSHA256Mismatch", RETRY},
    {"NoSuchKey", NO_OBJECT},
    {"NoSuchBucket", NO_BUCKET},
    {"NoSuchUpload", NO_UPLOAD},
    {"SignatureDoesNotMatch", BAD_KEYS},
    {"InvalidAccessKeyId", BAD_KEYS},
    {"InvalidToken", BAD_KEYS},
    {"ExpiredToken", BAD_KEYS},
    {"TokenRefreshRequired", BAD_KEYS},
    {"RequestTimeTooSkewed", BAD_CLOCK},
    {"RequestExpired", BAD_CLOCK},
    {"AccessDenied", FORBIDDEN},
    {"AllAccessDisabled", FORBIDDEN},
    {"AccountProblem", FORBIDDEN},
    {"PermanentRedirect", WRONG_REGION},
    {"TemporaryRedirect", WRONG_REGION},
    {"AuthorizationHeaderMalformed", WRONG_REGION},
    {"IllegalLocationConstraintException", WRONG_REGION},
    {"NotImplemented", NOT_OFFERED},
    {"MethodNotAllowed", NOT_OFFERED},
    {"InvalidBucketName", WRONG_TARGET},
    {"EntityTooLarge", WRONG_TARGET},
    {"KeyTooLongError", WRONG_TARGET},
    {"XMinioStorageFull", NO_SPACE},
};

static enum kind kind_of_status(int status)
{
    switch (status) {
    case 412:
        return CONFLICT;
    case 404:
        return NO_OBJECT;
    case 401:
    case 403:
        return FORBIDDEN;
    case 301:
    case 302:
    case 307:
    case 308:
        return WRONG_REGION;
    case 405:
    case 501:
        return NOT_OFFERED;
    case 507:
        return NO_SPACE;
    case 408:
    case 429:
        return RETRY;
    default:
        return status >= 500 && status <= 599 ? RETRY : BY_STATUS;
    }
}

static enum kind kind_of(const struct hf_s3_verdict *v)
{
    for (size_t i = 0; i < HF_ARRAY_LEN(codes); i++) {
        if (strcmp(codes[i].code, v->error->code) == 0)
            return codes[i].kind;
    }
    return kind_of_status(v->status);
}

/* What S3 said, or the status where it said nothing. */
static void describe(const struct hf_s3_verdict *v, struct hf_buf *ret)
{
    hf_buf_printf(ret, "HTTP %d", v->status);
    if (v->error->code[0] != '\0')
        hf_buf_printf(ret, " %s", v->error->code);
    if (v->error->message[0] != '\0')
        hf_buf_printf(ret, ", \"%s\"", v->error->message);
}

static enum hf_code judge_region(const struct hf_s3_verdict *v, const char *said,
                                 struct hf_err *err)
{
    const char *right = v->answer_region;

    if (right == NULL && v->error->region[0] != '\0')
        right = v->error->region;
    if (right != NULL && strcmp(right, v->region) != 0)
        return hf_err_set(err, HF_USAGE,
                          "bucket %s is in region %s, and %s was asked: add ?region=%s to the URL, "
                          "or set AWS_REGION (%s)",
                          v->bucket, right, v->region, right, said);
    if (v->error->endpoint[0] != '\0')
        return hf_err_set(err, HF_USAGE,
                          "bucket %s is to be reached at %s: set the URL's endpoint or region to "
                          "that (%s)",
                          v->bucket, v->error->endpoint, said);
    return hf_err_set(err, HF_USAGE,
                      "the store sends us elsewhere and does not say where: check endpoint, region "
                      "(%s) and path-style in the URL (%s)",
                      v->region, said);
}

static enum hf_code judge_missing(const struct hf_s3_verdict *v, enum kind kind, const char *said,
                                  struct hf_err *err)
{
    if (kind == NO_BUCKET || !v->has_key)
        return hf_err_set(err, HF_NOT_FOUND, "bucket %s does not exist (%s)", v->bucket, said);
    if (kind == NO_UPLOAD)
        return hf_err_set(err, HF_NOT_FOUND, "the multipart upload is no longer there (%s)", said);
    if (v->if_match)
        return hf_err_set(err, HF_CONFLICT, "the object to be replaced is gone (%s)", said);
    return hf_err_set(err, HF_NOT_FOUND, "no such object (%s)", said);
}

enum hf_code hf_s3_judge(const struct hf_s3_verdict *v, struct hf_err *err)
{
    HF_AUTO_BUF buf = {0};
    const enum kind kind = kind_of(v);

    describe(v, &buf);

    const char *said = hf_buf_str(&buf);

    switch (kind) {
    case CONFLICT:
        return hf_err_set(err, HF_CONFLICT, "the condition does not hold (%s)", said);
    case RETRY:
        return hf_err_set(err, HF_TRANSIENT, "the store asks to come back later (%s)", said);
    case NO_OBJECT:
    case NO_BUCKET:
    case NO_UPLOAD:
        return judge_missing(v, kind, said, err);
    case BAD_KEYS:
        return hf_err_set(err, HF_DENIED,
                          "the store refuses the keys from %s: check them, and that they belong to "
                          "this endpoint (%s)",
                          v->credentials_from, said);
    case BAD_CLOCK:
        return hf_err_set(err, HF_DENIED,
                          "this machine's clock and the store's differ by more than the store "
                          "allows (15 minutes on S3): set the clock (%s)",
                          said);
    case FORBIDDEN:
        return hf_err_set(err, HF_DENIED,
                          "the keys from %s may not do this in bucket %s (%s); docs/S3.md lists "
                          "the permissions needed",
                          v->credentials_from, v->bucket, said);
    case WRONG_REGION:
        return judge_region(v, said, err);
    case NOT_OFFERED:
        return hf_err_set(err, HF_UNSUPPORTED, "the store does not offer this request (%s)", said);
    case WRONG_TARGET:
        return hf_err_set(err, HF_USAGE, "the store refuses the bucket, the key or the size (%s)",
                          said);
    case NO_SPACE:
        return hf_err_set(err, HF_FULL, "the store has no space left (%s)", said);
    default:
        return hf_err_set(err, HF_IO, "unexpected answer of the store: %s", said);
    }
}
