"""Two nodes on one PostgreSQL and one repository: what one knows, the other knows; what one leaves, the other ends."""

import base64
import os
import re
import shutil
import threading
import time
import unittest
import urllib.error
import urllib.request

from lab import Lab, sha256, wait_until
from postgres import Postgres

JOBS = int(os.environ.get("JOBS", "60"))
FIRES = 2000


def asked(url, key=None):
    """(status, headers) of a GET."""
    request = urllib.request.Request(url)
    if key:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(key).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


class Nodes(unittest.TestCase):
    """Each story has a database, a repository and a source of its own."""

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.postgres = Postgres(self.lab.dir("postgres"))
        self.lab.callback(self.postgres.stop)
        self.redis = self.lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no")
        self.redis.call("DEBUG", "POPULATE", 2000, "key", 300)
        repository = self.lab.dir("repository")
        self.config = self.lab.dir("config") / "keystow.toml"
        self.config.write_text(f'[catalog]\nurl = "{self.postgres.url}"\n[repository]\nurl = "file://{repository}"\n'
                               '[work]\nlease = "10s"\n')
        self.first = self.lab.keystow("--config", str(self.config))

    def second(self, *options):
        """Another node with the same root key and the same admin."""
        data_dir = self.lab.dir("second")
        for name in ("root.key", "admin.key"):
            shutil.copy(self.first.data_dir / name, data_dir / name)
        return self.lab.keystow("--config", str(self.config), *options, data_dir=data_dir)

    def add(self, node, name="r-1"):
        node.cli("instance", "add", self.redis.url, "--id", name)

    def test_what_one_knows_the_other_knows(self):
        second = self.second("--roles", "api,download")
        self.add(self.first)
        backup = second.json("backup", "create", "r-1", "--wait")
        self.assertEqual(backup["state"], "available", "the first one took it")
        shown = {tuple(node["roles"]): node["state"] for node in second.json("node", "list")}
        self.assertEqual(shown, {("api", "download", "worker", "scheduler"): "alive", ("api", "download"): "alive"})
        key = self.first.json("key", "create", "--role", "downloader")
        pair = key["access_key_id"], key["secret"]
        self.assertEqual(asked(f"{second.server}/api/v1/backups", pair)[0], 200)
        link = self.first.json("link", "create", backup["id"])["links"][0]["url"]
        there = link.replace(str(self.first.download), str(second.download))
        self.assertEqual(asked(there)[0], 200)
        self.first.cli("key", "revoke", key["access_key_id"])
        self.first.cli("link", "revoke", "--backup", backup["id"])
        revoked = time.monotonic()
        wait_until(lambda: asked(there)[0] == 403, 5, "the link to end on the other node")
        wait_until(lambda: asked(f"{second.server}/api/v1/backups", pair)[0] == 401, 5, "the key to end there")
        self.assertLess(time.monotonic() - revoked, 5)
        second.stop()
        self.assertEqual(len(self.first.json("node", "list")), 1, "it said that it goes")

    def test_a_killed_nodes_backup_is_ended_by_the_other(self):
        self.add(self.first)
        self.redis.call("CONFIG", "SET", "rdb-key-save-delay", 20000)
        asked_for = self.first.json("backup", "create", "r-1")
        state = lambda node: node.json("backup", "show", asked_for["id"])["state"]
        wait_until(lambda: state(self.first) == "running", 30, "the backup to begin")
        time.sleep(0.5)
        second = self.second()
        self.first.kill()
        self.redis.call("CONFIG", "SET", "rdb-key-save-delay", 0)
        wait_until(lambda: state(second) not in ("queued", "running"), 60, "the backup to end")
        rows = second.json("backup", "list")
        self.assertEqual([(row["id"], row["state"]) for row in rows], [(asked_for["id"], "available")])
        copy = self.lab.dir("fetch") / "dump.rdb"
        second.cli("fetch", asked_for["id"], "-o", copy)
        self.assertEqual(sha256(copy), rows[0]["parts"][0]["sha256"])
        self.assertEqual(self.lab.digest_of(copy), (self.redis.digest(), self.redis.keys()))
        attempts = self.postgres.sql("SELECT attempt, deaths, state FROM job")
        self.assertEqual(attempts, ["2|1|done"])
        states = {node["state"] for node in second.json("node", "list")}
        self.assertEqual(states, {"alive", "lost"})

    def test_a_restart_of_the_database_is_outlived(self):
        second = self.second()
        self.add(self.first)
        self.redis.call("CONFIG", "SET", "rdb-key-save-delay", 2000)
        backup = self.first.json("backup", "create", "r-1")
        key, answers, stop = self.first.admin(), [], threading.Event()

        def load():
            while not stop.is_set():
                for node in (self.first, second):
                    status, headers = asked(f"{node.server}/api/v1/instances", key)
                    answers.append((time.monotonic(), status, headers.get("Retry-After")))
                time.sleep(0.02)

        loading = threading.Thread(target=load)
        loading.start()
        time.sleep(1)
        self.postgres.stop()
        down = time.monotonic()
        wait_until(lambda: any(status == 503 for _, status, _ in list(answers)), 15, "an answer without a database")
        self.postgres.start()
        up = time.monotonic()
        self.assertGreater(up, down)
        time.sleep(4)
        stop.set()
        loading.join()
        self.assertEqual({status for _, status, _ in answers}, {200, 503})
        self.assertTrue(all(retry for _, status, retry in answers if status == 503))
        late = [at for at, status, _ in answers if status == 503 and at > up + 3]
        self.assertEqual(late, [], "it is back within three seconds")
        state = lambda: self.first.json("backup", "show", backup["id"])["state"]
        wait_until(lambda: state() not in ("queued", "running"), 60, "the backup to end")
        self.assertEqual(state(), "available")

    def test_every_job_is_done_once(self):
        second = self.second()
        for number in range(JOBS):
            self.add(self.first, f"r-{number}")
        for number in range(JOBS):
            self.first.json("backup", "create", f"r-{number}")
        left = "SELECT COUNT(*) FROM job WHERE state IN ('queued', 'running')"
        wait_until(lambda: self.postgres.sql(left) == ["0"], 10 * JOBS, "the jobs to be done")
        self.assertEqual(self.postgres.sql("SELECT DISTINCT state, attempt FROM job"), ["done|1"])
        states = self.postgres.sql("SELECT state, COUNT(*) FROM backup GROUP BY state")
        self.assertEqual(states, [f"available|{JOBS}"])
        began = [set(re.findall(r"started.*?job=(\d+)", "".join(node.log))) for node in (self.first, second)]
        self.assertTrue(all(began), "both took part")
        self.assertEqual((len(began[0] | began[1]), began[0] & began[1]), (JOBS, set()))

    def test_every_fire_comes_once(self):
        self.add(self.first, "f-0")
        self.first.cli("policy", "set", "f-0", "--cron", "0 3 1 1 *")
        self.first.stop()
        # Many instances like that one; nobody takes their backups, so that only the fires count.
        for table, key in (("instance", "id"), ("policy", "instance")):
            columns = self.postgres.sql("SELECT column_name FROM information_schema.columns "
                                        f"WHERE table_name = '{table}' AND column_name <> '{key}'")
            others = ", ".join(columns)
            self.postgres.sql(f"INSERT INTO {table} ({key}, {others}) SELECT 'f-' || n, {others} "
                              f"FROM {table}, generate_series(1, {FIRES - 1}) AS n WHERE {key} = 'f-0'")
        # The disk is not on trial here.
        self.postgres.sql("ALTER SYSTEM SET synchronous_commit = off")
        self.postgres.sql("SELECT pg_reload_conf()")
        nodes = self.second("--roles", "scheduler"), self.second("--roles", "scheduler")
        self.postgres.sql("UPDATE policy SET next_fire = keystow_now(0), next_at = keystow_now(0)")
        wait_until(lambda: self.postgres.sql("SELECT COUNT(*) FROM policy WHERE next_at <= keystow_now(0)") == ["0"],
                   600, "all policies to fire", pause=1)
        for node in nodes:
            node.stop()
        fires = "SELECT outcome, COUNT(*), COUNT(DISTINCT instance), COUNT(DISTINCT backup) FROM fire GROUP BY outcome"
        self.assertEqual(self.postgres.sql(fires), [f"started|{FIRES}|{FIRES}|{FIRES}"])
        for table in ("job", "backup"):
            counted = f"SELECT COUNT(*), COUNT(DISTINCT instance) FROM {table}"
            self.assertEqual(self.postgres.sql(counted), [f"{FIRES}|{FIRES}"])
        began = ["".join(node.log).count("a policy takes a backup") for node in nodes]
        self.assertEqual(sum(began), FIRES)
        self.assertGreater(min(began), 0, "both took part")


if __name__ == "__main__":
    unittest.main()
