/* SPDX-License-Identifier: Apache-2.0 */
/* rawfile.c - O_DIRECT, or the next best thing. */
#include "engine/sqlite/rawfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"

/* A file system may take O_DIRECT at open and refuse it at read: try. */
static bool direct_works(int fd)
{
    HF_AUTO_FREE uint8_t *block = hf_memalign(RAWFILE_ALIGN, RAWFILE_ALIGN);

    return pread(fd, block, RAWFILE_ALIGN, 0) >= 0 || errno != EINVAL;
}

enum hf_code rawfile_open(const char *path, struct rawfile *ret, struct hf_err *err)
{
    struct rawfile f = {.fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC), .direct = true};

    if (f.fd >= 0 && !direct_works(f.fd)) {
        (void)close(f.fd);
        f.fd = -1;
        errno = EINVAL;
    }
    if (f.fd < 0 && errno == EINVAL) {
        f.fd = open(path, O_RDONLY | O_CLOEXEC);
        f.direct = false;
        f.why_not =
            "the file system refuses O_DIRECT; the page cache was told to drop the file "
            "before each read";
    }
    if (f.fd < 0)
        return hf_err_sys(err, errno == EACCES ? HF_DENIED : HF_IO, "open %s", path);
    *ret = f;
    return HF_OK;
}

void rawfile_close(struct rawfile *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
}

enum hf_code rawfile_read(struct rawfile *f, uint64_t offset, uint8_t *dst, size_t len,
                          size_t *ret_len, struct hf_err *err)
{
    size_t done = 0;

    if (!f->direct)
        (void)posix_fadvise(f->fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
    while (done < len) {
        const ssize_t n = pread(f->fd, dst + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hf_err_sys(err, HF_IO, "read %zu bytes at %llu", len,
                              (unsigned long long)offset);
        done += (size_t)n;
        if (n == 0 || done % RAWFILE_ALIGN != 0)
            break; /* the end of the file */
    }
    *ret_len = done;
    return HF_OK;
}
