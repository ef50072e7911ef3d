# SPDX-License-Identifier: Apache-2.0
"""A real file system that can be filled to the last byte, and emptied again.

Goal:   ENOSPC as the kernel gives it, from every call that may, and nothing left of it afterwards.
Method: a tmpfs of a few MiB in a mount namespace of this process, which ends with it. Who is not
        root gets one in a user namespace. Where neither is allowed, the file system of the folder
        HF_E2E_SMALL_DISK, or /dev/shm if it is small, as it is in a container; a file takes what
        is not for us.
"""
import contextlib
import ctypes
import errno
import os
import shutil
import tempfile

MIB = 1 << 20
BLOCK_BYTES = 4096
OTHERS_BYTES_MAX = 1 << 30  # of a file system that is not ours alone
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 16384, 1 << 18, 2

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *values):
    if getattr(libc, name)(*values) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def write_to(path, text):
    with open(path, "w") as f:
        f.write(text)


def enter_user_namespace():
    """Be root of a namespace of our own."""
    uid, gid = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    write_to("/proc/self/setgroups", "deny")
    write_to("/proc/self/uid_map", f"0 {uid} 1")
    write_to("/proc/self/gid_map", f"0 {gid} 1")


def enter_namespace():
    """Why this process cannot mount, or None. To be called before it has threads or children."""
    try:
        try:
            call("unshare", CLONE_NEWNS)
        except OSError as e:
            if e.errno != errno.EPERM:
                raise
            enter_user_namespace()
        call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    except OSError as e:
        return str(e)
    return None


REFUSED = enter_namespace()


def shared_folder():
    """A folder on a small file system that others may use, too."""
    path = os.environ.get("HF_E2E_SMALL_DISK", "/dev/shm")
    st = os.statvfs(path)
    if st.f_blocks * st.f_frsize > OTHERS_BYTES_MAX:
        raise AssertionError(
            f"no small disk: mounting one was refused ({REFUSED}), and the file system of {path} "
            f"has more than {OTHERS_BYTES_MAX >> 20} MiB. Run this as root or where user "
            "namespaces are allowed, or name a folder on a small one by HF_E2E_SMALL_DISK")
    return tempfile.mkdtemp(prefix="holdfast-e2e-", dir=path)


class SmallDisk:
    def __init__(self, path, size_bytes):
        """At `path`, which is made."""
        self.path = path
        self.shared = None
        if REFUSED is None:
            os.mkdir(path)
            call("mount", b"holdfast-test", path.encode(), b"tmpfs", MS_NOSUID | MS_NODEV,
                 f"size={size_bytes},mode=755".encode())
        else:
            self.shared = shared_folder()
            os.symlink(self.shared, path)
            self.take(f"{self.shared}/.of-others", size_bytes)

    def free_bytes(self):
        st = os.statvfs(self.path)
        return st.f_bavail * st.f_frsize

    def take(self, path, leave_bytes):
        """Let the file grow until only so much is left."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            piece = max(self.free_bytes() - leave_bytes, 0) // BLOCK_BYTES * BLOCK_BYTES
            while piece >= BLOCK_BYTES:
                try:
                    os.posix_fallocate(fd, os.fstat(fd).st_size, piece)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
                    piece = piece // 2 // BLOCK_BYTES * BLOCK_BYTES
                else:
                    piece = max(self.free_bytes() - leave_bytes, 0) // BLOCK_BYTES * BLOCK_BYTES
        finally:
            os.close(fd)

    def fill(self, leave_bytes=0):
        self.take(f"{self.path}/.ballast", leave_bytes)

    def empty(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.path}/.ballast")

    def remove(self):
        if self.shared is None:
            with contextlib.suppress(OSError):
                call("umount2", self.path.encode(), MNT_DETACH)
        else:
            shutil.rmtree(self.shared, ignore_errors=True)
            os.unlink(self.path)
