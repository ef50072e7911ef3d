#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Django site is archived, scrubbed and restored while people use it.

Goal:   a site of several worker processes, with sessions and admin, sees no error that it would
        not see alone; every scrub is clean; what is restored is what the site itself dumped, and
        between two dumps it is a state that the site could have had.
Method: gunicorn on loopback, and a bounded number of requests by several users at once, in phases
        with and without an archiver (sides.py), with Django's transactions as they come and as
        IMMEDIATE. Users log in, visit, write notes, and work in the admin; a job of the site's own
        clears sessions. After a phase, at rest, dumpdata and .dump say what there is. In between,
        notes and tallies, which change in one transaction, have to agree.
"""
import collections
import http.client
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import lib
import packages
import sides

CYCLES = lib.count("DJANGO_CYCLES", 2)  # each with both sides
REQUESTS = lib.count("DJANGO_REQUESTS", 40)  # of a user in a phase
POINTS = lib.count("DJANGO_POINTS", 4)
USERS = 4
WORKERS = 3
MODES = ("DEFERRED", "IMMEDIATE")  # the first is the default, and not set
PASSWORD = "a-password-of-a-test"


class Browser:
    """One user: cookies, and what was answered."""

    def __init__(self, port, name):
        self.port, self.name = port, name
        self.cookies = {}
        self.answers = collections.Counter()

    def ask(self, method, path, **fields):
        body = None
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if method == "POST":
            fields["csrfmiddlewaretoken"] = self.cookies.get("csrftoken", "")
            body = urllib.parse.urlencode(fields)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=lib.WAIT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        if response.status == 503 and text == "database is locked":
            self.answers["refused"] += 1
        elif response.status in (200, 302):
            self.answers["done"] += 1
        else:
            raise AssertionError(f"{method} {path}: {response.status}\n{text[:2000]}")
        return response.status, text

    def log_in(self):
        while True:
            self.ask("GET", "/admin/login/")
            status, _ = self.ask("POST", "/admin/login/", username=self.name, password=PASSWORD,
                                 next="/admin/")
            if status == 302:
                return
            if status == 200:
                raise AssertionError(f"{self.name} may not log in")

    # ---- what a user does ----

    def visit(self, _chance):
        self.ask("GET", "/visit/")

    def write(self, chance):
        self.ask("POST", "/notes/", text="ä" * chance.randrange(3000))

    def read(self, _chance):
        self.ask("GET", "/notes/")

    def add_by_admin(self, chance):
        _, form = self.ask("GET", "/admin/notes/note/add/")
        authors = re.findall(r'<option value="(\d+)"', form)
        if authors:
            self.ask("POST", "/admin/notes/note/add/", author=chance.choice(authors),
                     text="by the admin")

    def delete_by_admin(self, chance):
        _, page = self.ask("GET", "/admin/notes/note/")
        notes = re.findall(r"/admin/notes/note/(\d+)/change/", page)
        if notes:  # another user may be faster: then the admin goes back to its front page
            self.ask("POST", f"/admin/notes/note/{chance.choice(notes)}/delete/", post="yes")

    def use(self, chance, count):
        self.log_in()
        while sum(self.answers.values()) < count:
            chance.choice((self.visit, self.visit, self.write, self.write, self.read,
                           self.add_by_admin, self.delete_by_admin))(chance)


class Program:
    """A process of the site's; lib.Case ends it if the test does not."""

    def __init__(self, words, log, **options):
        with open(log, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen([*lib.LEASH, *words], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, **options)


class Site(lib.Case):
    """See test_django_s3.py, too."""

    cycles, requests, points = CYCLES, REQUESTS, POINTS

    def setUp(self):
        super().setUp()
        self.site = shutil.copytree(f"{lib.HERE}/site", self.path("site"))
        self.db = self.path("db.sqlite3")
        self.made_log = 0
        for words in (("makemigrations", "notes"), ("migrate",)):
            self.manage(*words)
        self.manage("shell", "-c", "from django.contrib.auth.models import User\n"
                    f"for i in range({USERS}):\n"
                    f"    User.objects.create_superuser(f'user{{i}}', password='{PASSWORD}')")
        self.assertEqual(lib.sql(self.db, "PRAGMA journal_mode"), [("wal",)])
        self.dumps = []  # (words for restore, what the site said then)
        self.scrubs = 0

    # ---- the site ----

    def environment(self, db=None, mode=MODES[0]):
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "SITE_DB": db or self.db,
               "PYTHONPATH": self.site, "PYTHONDONTWRITEBYTECODE": "1"}
        if mode != MODES[0]:
            env["SITE_TRANSACTION_MODE"] = mode
        return env

    def manage(self, *words, db=None):
        done = subprocess.run([packages.python(), "-m", "django", *words], cwd=self.site,
                              env=self.environment(db), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def serve(self, mode):
        """The server, and its port."""
        self.made_log += 1
        log = self.path(f"gunicorn-{self.made_log}.log")
        server = Program([packages.python(), "-m", "gunicorn", "--workers", str(WORKERS),
                          "--bind", "127.0.0.1:0", "--chdir", self.site,
                          "django.core.wsgi:get_wsgi_application()"], log,
                         env=self.environment(mode=mode))
        self.processes.append(server)

        def port():
            self.assertIsNone(server.process.poll(), lib.read_bytes(log).decode())
            return re.search(r"Listening at: http://127\.0\.0\.1:(\d+)",
                             lib.read_bytes(log).decode())
        return server, int(lib.wait_for("the site", port)[1])

    def dump(self, db):
        """All that the site knows, by Django and by SQLite."""
        said = subprocess.run(["sqlite3", db, ".dump"], stdout=subprocess.PIPE, check=True).stdout
        return self.manage("dumpdata", db=db), said

    # ---- load ----

    def load(self, port):
        """Every user makes so many requests; sums of what was answered."""
        users = [Browser(port, f"user{i}") for i in range(USERS)]
        seeds = [self.random.random() for _ in users]
        failed = []

        def use(user, seed):
            try:
                user.use(lib.random.Random(seed), self.requests)
            except BaseException as e:  # pylint: disable=broad-except
                failed.append(e)
        threads = [threading.Thread(target=use, args=pair) for pair in zip(users, seeds)]
        for t in threads:
            t.start()
        self.manage("clearsessions")
        while any(t.is_alive() for t in threads):
            self.meanwhile()
        for t in threads:
            t.join()
        if failed:
            raise failed[0]
        answers = sum((u.answers for u in users), collections.Counter())
        return answers["done"] + answers["refused"], answers["refused"]

    def meanwhile(self):
        if self.archiver is None:
            time.sleep(0.05)
        else:
            self.scrub()

    def scrub(self):
        done = self.hf("scrub", self.db, self.url, "--json", "--no-progress")
        self.assertTrue(done.partition["clean"], done)
        self.scrubs += 1

    # ---- phases ----

    def remember(self, *target):
        """At rest: what the site says now is what is restored to now."""
        self.dumps.append((target, self.dump(self.db)))

    def phase(self, side, port):
        if side == "attached":
            self.archiver = self.start_archiver()
            self.remember("--timestamp", lib.rfc3339(time.time()))  # how the last phase left it
        counts = self.load(port)
        if side == "attached":
            self.archiver.stop()
            self.archiver = None
            self.remember("--txid", str(self.head()))
        return counts

    def test_a_site_in_use(self):
        self.archiver = None
        judged = {mode: sides.Sides(mode, mode == "DEFERRED") for mode in MODES}
        for cycle in range(self.cycles):
            mode = MODES[cycle % 2]
            server, port = self.serve(mode)
            for side in (("alone", "attached"), ("attached", "alone"))[cycle // 2 % 2]:
                judged[mode].add(side, *self.phase(side, port))
            server.process.terminate()
            server.process.wait(lib.WAIT_S)
        self.archive_once()
        self.scrub()
        self.assert_whole()
        self.assert_restores_to_live()
        for target, dump in self.dumps:
            self.assertEqual(self.dump(self.restore(*target)), dump, target)
        points = self.check_points()
        for s in judged.values():
            self.report(str(s))
            s.check()
        done = sum(sum(s.done.values()) for s in judged.values())
        self.report(f"{done} requests, {self.scrubs} scrubs, {len(self.dumps)} dumps, "
                    f"{points} points")

    def check_points(self):
        txids = self.random.sample(range(1, self.head() + 1), min(self.points, self.head()))
        for txid in txids:
            out = self.restore("--txid", str(txid))
            self.assertEqual(lib.sql(out, "PRAGMA integrity_check"), [("ok",)])
            self.assertEqual(lib.sql(out, "PRAGMA foreign_key_check"), [])
            wrong = lib.sql(out, "SELECT author_id, notes FROM notes_tally t WHERE notes <> "
                            "(SELECT count(*) FROM notes_note n WHERE n.author_id = t.author_id)")
            self.assertEqual(wrong, [], f"TXID {txid}")
            lib.os.unlink(out)
        return len(txids)


if __name__ == "__main__":
    lib.main()
