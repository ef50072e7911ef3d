# SPDX-License-Identifier: Apache-2.0
"""Programs under the clock: seconds until they end, CPU seconds, and the most memory they had.

CPU (user + system) and memory are the kernel's own account of a child and of the children it waited
for (wait4). Peak memory of a program that is started from a larger one would be that one's, so this
process has to stay small: FLOOR_BYTES is what it can have hidden, and reports say so.
"""
import os
import resource
import signal
import subprocess
import sys
import threading
import time

LEASH = ("setpriv", "--pdeathsig", "KILL")  # a bench that is killed leaves no process behind
STOP_SECONDS_MAX = 120


def floor_bytes():
    """Below this, a child's peak memory may be ours."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Failed(Exception):
    """A program that was measured did not do what it should."""


class Usage:
    """What a program that has ended took."""

    def __init__(self, seconds, usage, out=""):
        self.seconds = seconds
        self.cpu = usage.ru_utime + usage.ru_stime
        self.user, self.system = usage.ru_utime, usage.ru_stime
        self.rss = usage.ru_maxrss * 1024
        self.out = out

    def __str__(self):
        return (f"{self.seconds:7.2f} s, {self.cpu:6.2f} s CPU ({self.user:.2f} user, "
                f"{self.system:.2f} system), {self.rss / 1e6:.0f} MB")


class Process:
    """A program that runs; on `cores` only, if given."""

    def __init__(self, words, env=None, cores=None, log=None):
        self.words, self.log = [str(word) for word in words], log
        limit = (lambda: os.sched_setaffinity(0, cores)) if cores is not None else None
        out = open(log, "wb") if log else subprocess.PIPE
        self.started = time.monotonic()
        self.child = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [*LEASH, *self.words], env=env, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT if log else None, preexec_fn=limit)
        if log:
            out.close()

    @property
    def pid(self):
        return self.child.pid

    def stop(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def wait(self, statuses=(0,)):
        """Until it ends, with one of the exit statuses."""
        out = b"" if self.log else self.child.stdout.read()
        _, status, usage = os.wait4(self.pid, 0)
        seconds = time.monotonic() - self.started
        self.child.returncode = os.waitstatus_to_exitcode(status)
        if self.child.stdout:
            self.child.stdout.close()
        if self.child.returncode not in statuses:
            raise Failed(f"{' '.join(self.words)}: exit status {self.child.returncode}\n"
                         f"{self.said(out)}")
        return Usage(seconds, usage, out.decode(errors="replace"))

    def said(self, out):
        if not self.log:
            return out.decode(errors="replace")
        with open(self.log, errors="replace") as f:
            return f.read()[-4000:]

    def end(self):
        """SIGTERM, and what it took."""
        self.stop()
        kill = threading.Timer(STOP_SECONDS_MAX, self.stop, (signal.SIGKILL,))
        kill.start()
        try:
            return self.wait(statuses=(0, -signal.SIGTERM))
        finally:
            kill.cancel()


def run(words, env=None, cores=None, log=None):
    return Process(words, env, cores, log).wait()


def cpu_seconds(pid):
    """What a process has used so far, by its CPU-time clock: clock_getcpuclockid(3), in Linux."""
    return time.clock_gettime(~pid << 3 | 2)


def say(text):
    print(text, flush=True)


def settle(folder):
    """Nothing that is dirty yet is written at the cost of what is measured next."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    subprocess.run(["sync", "-f", folder], check=True)
    sys.stdout.flush()
