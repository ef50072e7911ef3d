# SPDX-License-Identifier: Apache-2.0
"""The verbs with -c holdfast.yaml: tables and partitions by name.

Goal: names stand where databases and URLs stand; a table is restored from its store alone, each
partition at its last capture at or before the time. Method: two tables, three partitions, a change
in one of them after the others.
"""

import json
import os
import shutil
import unittest

from cli import Case, connect, damage, insert, later, rows_of

CONFIG = """\
store: '{store}'
tables:
  - name: orders
    partitions: {folder}/live/orders/*/*.db
    capture: 50ms
  - name: users
    partitions: {folder}/live/users.db
"""


class Tables(Case):
    """Two tables: orders with eu/1.db and us/2.db, users with users.db."""

    def setUp(self):
        super().setUp()
        self.names = ["orders/eu/1.db", "orders/us/2.db", "users/users.db"]
        self.dbs = [self.database("live/orders/eu/1.db"), self.database("live/orders/us/2.db"),
                    self.database("live/users.db")]
        self.config = self.path("holdfast.yaml")
        self.write_config(CONFIG.format(store=self.store, folder=self.folder))

    def write_config(self, text):
        """Replace holdfast.yaml."""
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)

    def run_config(self, status, verb, *words):
        """Run a verb with the configuration; its JSON."""
        return self.json(status, verb, "-c", self.config, *words)

    def names_in(self, said):
        """The names of the partitions in an answer."""
        return [row["name"] for row in said["partitions"]]

    def archive(self, *words):
        """Archive once."""
        return self.run_config(0, "archive", "--once", *words)


class Names(Tables):
    """Which partitions are meant."""

    def test_without_a_name_all_tables_are_meant(self):
        self.assertEqual(self.names_in(self.archive()), self.names)
        for verb in ("scrub", "verify", "list"):
            self.assertEqual(self.names_in(self.run_config(0, verb)), self.names)

    def test_a_table_or_a_partition_can_be_named(self):
        self.archive()
        for verb in ("scrub", "verify", "list"):
            self.assertEqual(self.names_in(self.run_config(0, verb, "orders")), self.names[:2])
            self.assertEqual(self.names_in(self.run_config(0, verb, "orders/us/2.db")),
                             [self.names[1]])

    def test_keys_lie_below_table_and_partition(self):
        self.archive()
        for name in self.names:
            self.assertTrue(os.path.isfile(self.path("store", name, "holdfast", "format")), name)
        self.assertTrue(os.path.isdir(self.path("store", "orders", "holdfast", "members")))

    def test_unknown_names_are_refused_with_what_was_meant(self):
        for words, message in (
                (["ordres"], "no table 'ordres': did you mean 'orders'?"),
                (["zebra"], "no table 'zebra'"),
                (["orders/nonexistent.db"], "no database 'nonexistent.db'"),
                (["file:///x"], "'file:///x' is a URL, but with -c tables")):
            answer = self.expect(2, "archive", "-c", self.config, "--once", *words)
            self.assertIn(message, answer.stderr)

    def test_too_many_names_are_refused(self):
        answer = self.expect(2, "list", "-c", self.config, "orders", "users")
        self.assertIn("'users' is one word too many for list with -c", answer.stderr)

    def test_a_table_without_databases_does_not_keep_others_from_being_archived(self):
        os.unlink(self.dbs[2])
        answer = self.expect(2, "archive", "-c", self.config, "--once")
        self.assertIn("users", answer.stderr)
        self.assertEqual(self.names_in(self.run_config(0, "verify", "orders")), self.names[:2])

    def test_one_broken_database_does_not_keep_others_from_being_archived(self):
        with open(self.dbs[1], "wb") as file:
            file.write(b"no database " * 1000)
        answer = self.expect(2, "archive", "-c", self.config, "--once")
        self.assertIn("orders/us/2.db", answer.stderr)
        for name in (self.names[0], self.names[2]):
            self.run_config(0, "verify", name)


class RestoreTable(Tables):
    """A whole table, from its store alone."""

    def setUp(self):
        super().setUp()
        self.archive()
        self.first = [rows_of(path) for path in self.dbs]
        # Behind all captures: of the one that changes later, this lies in a gap.
        self.middle = later(max(row["sections"][-1]["to"]
                                for row in self.run_config(0, "list")["partitions"]))
        with connect(self.dbs[1]) as db:
            insert(db, 10)
        self.archive()

    def restored(self, folder):
        """Rows of the table's two databases below `folder`."""
        return [rows_of(self.path(folder, "eu/1.db")), rows_of(self.path(folder, "us/2.db"))]

    def test_the_latest_state_comes_back_when_all_databases_are_gone(self):
        latest = [rows_of(path) for path in self.dbs[:2]]
        shutil.rmtree(self.path("live"))
        said = self.run_config(0, "restore", "orders", "-o", "back")
        self.assertEqual(self.restored("back"), latest)
        self.assertEqual(said["restored_count"], 2)

    def test_a_time_brings_each_partition_to_its_last_capture(self):
        said = self.run_config(1, "restore", "orders", "-o", "back", "-t", self.middle)
        self.assertEqual(self.restored("back"), self.first[:2])
        self.assertEqual(["gap" in row for row in said["partitions"]], [False, True])
        times = [row["time"] for row in said["partitions"]]
        self.assertEqual((said["earliest"], said["latest"]), (min(times), max(times)))
        self.assertLessEqual(max(times), self.middle)

    def test_the_skew_is_told(self):
        answer = self.expect(0, "restore", "-c", self.config, "orders", "-o", "back")
        self.assertRegex(answer.stdout, r"2 of 2 partitions restored; captures from .* to .*, a "
                                        r"skew of ")

    def test_one_partition_goes_to_a_file(self):
        said = self.run_config(1, "restore", "orders/us/2.db", "-o", "one.db", "-t", self.middle)
        self.run_config(0, "restore", "orders/us/2.db", "-o", "exact.db", "-t",
                        said["partitions"][0]["gap"]["from"])
        self.assertEqual(rows_of(self.path("exact.db")), self.first[1])
        self.assertEqual(rows_of(self.path("one.db")), self.first[1])

    def test_nothing_is_restored_if_one_output_exists(self):
        os.makedirs(self.path("back/us"))
        with open(self.path("back/us/2.db"), "w", encoding="utf-8") as file:
            file.write("precious")
        answer = self.expect(2, "restore", "-c", self.config, "orders", "-o", "back")
        self.assertIn("back/us/2.db exists", answer.stderr)
        self.assertFalse(os.path.exists(self.path("back/eu")))
        self.run_config(0, "restore", "orders", "-o", "back", "--force")
        self.assertEqual(self.restored("back")[1], rows_of(self.dbs[1]))

    def test_a_txid_cannot_be_meant_for_a_table(self):
        answer = self.expect(2, "restore", "-c", self.config, "orders", "-o", "b", "--txid", "1")
        self.assertIn("--txid cannot be used for a table", answer.stderr)

    def test_a_partition_that_came_later_is_left_out(self):
        self.database("live/orders/eu/new.db")
        self.archive()
        said = self.run_config(1, "restore", "orders", "-o", "back", "-t", self.middle)
        self.assertEqual((said["restored_count"], said["unborn_count"]), (2, 1))
        self.assertEqual(os.listdir(self.path("back/eu")), ["1.db"])

    def test_a_hole_in_one_partition_is_told_and_the_others_come_back(self):
        folder = self.path("store", "orders/us/2.db", "ltx", "9")
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        answer = self.expect(1, "restore", "-c", self.config, "orders", "-o", "back", "--json")
        said = json.loads(answer.stdout)
        self.assertEqual(said["restored_count"], 1)
        self.assertEqual(said["error"]["code"], "hole")
        self.assertNotIn("error", said["partitions"][0])
        self.assertIn("error", said["partitions"][1])

    def test_a_reference_is_made_of_one_partition(self):
        self.expect(2, "rebuild", "-c", self.config, "orders", "-o", "x.db")
        self.run_config(0, "rebuild", "orders/us/2.db", "-o", "x.db")
        self.assertEqual(rows_of(self.path("x.db")), rows_of(self.dbs[1]))


class CheckTable(Tables):
    """Verdicts over several partitions."""

    def test_damage_in_one_partition_is_the_verdict_of_all(self):
        self.archive()
        damage(self.dbs[1], 3)
        said = self.json(1, "scrub", "-c", self.config)
        self.assertEqual([row["clean"] for row in said["partitions"]], [True, False, True])

    def test_damage_stays_the_verdict_when_another_partition_fails(self):
        self.archive()
        damage(self.dbs[0], 3)
        shutil.rmtree(self.path("store", "orders/us/2.db"))
        answer = self.holdfast("scrub", "-c", self.config, "orders", "--no-archive")
        self.assertEqual(answer.returncode, 1, answer.stderr)
        self.assertIn("orders/us/2.db", answer.stderr)

    def test_list_has_a_row_for_each_partition(self):
        self.archive()
        text = self.expect(0, "list", "-c", self.config).stdout
        for name in self.names:
            self.assertRegex(text, rf"(?m)^{name} +20\S+Z +20\S+Z +1 ")


class Config(Tables):
    """holdfast config."""

    def test_check_counts_the_databases(self):
        answer = self.expect(0, "config", "check", "-c", self.config)
        self.assertIn("table orders: 2 databases match ", answer.stdout)
        self.assertIn("2 tables, 3 databases", answer.stdout)
        said = self.json(0, "config", "check", "-c", self.config)
        self.assertEqual([row["databases_count"] for row in said["tables"]], [2, 1])

    def test_a_folder_of_databases_that_is_not_there_is_named_once(self):
        config = os.path.join(self.folder, "none.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"store: file://{self.folder}/s\ntables:\n  - name: orders\n"
                       f"    partitions: {self.folder}/none/*.db\n")
        for words in (["config", "check"], ["archive", "--once"]):
            answer = self.expect(2, *words, "-c", config)
            self.assertEqual(answer.stderr.count("table orders"), 1, answer.stderr)
            self.assertIn(f"partitions: {self.folder}/none: ", answer.stderr)

    def test_what_show_prints_means_the_same(self):
        text = self.expect(0, "config", "show", "-c", self.config).stdout
        said = self.json(0, "config", "show", "-c", self.config)
        self.assertIn("capture: 50ms", text)
        self.write_config(text)
        self.assertEqual(self.expect(0, "config", "show", "-c", self.config).stdout, text)
        self.assertEqual(self.json(0, "config", "show", "-c", self.config), said)
        self.assertEqual(said["tables"][1]["capture_ms"], 1000)

    def test_what_is_wrong_is_named_with_file_and_line(self):
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        self.write_config(text.replace("capture:", "captrue:"))
        for verb in (["config", "check"], ["list"], ["archive", "--once"]):
            answer = self.expect(2, *verb, "-c", self.config)
            self.assertIn("holdfast.yaml:5", answer.stderr)
            self.assertIn("capture", answer.stderr)

    def test_a_missing_file_is_named(self):
        answer = self.expect(2, "config", "check", "-c", "nonexistent.yaml")
        self.assertIn("nonexistent.yaml", answer.stderr)

    def test_an_unknown_action_is_refused_with_what_was_meant(self):
        answer = self.expect(2, "config", "chekc", "-c", self.config)
        self.assertIn("did you mean 'config check'?", answer.stderr)


if __name__ == "__main__":
    unittest.main()
