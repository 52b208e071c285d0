"""From one node with a folder and SQLite to two with a bucket and PostgreSQL, as the README says it."""

import shutil
import subprocess
import time
import unittest

from lab import Lab, clean_environment, sha256, wait_until
from postgres import Postgres
from s3 import Store


class Grow(unittest.TestCase):
    """What there was is there afterwards, and the new nodes stand in for each other."""

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.redis = self.lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no")
        self.redis.call("DEBUG", "POPULATE", 2000, "key", 300)

    def fetched(self, node, backup):
        """The SHA-256 of a backup as a node hands it out."""
        copy = self.lab.dir("fetch") / "dump.rdb"
        node.cli("fetch", backup["id"], "-o", copy)
        return sha256(copy)

    def test_one_node_becomes_two(self):
        alone = self.lab.keystow()
        alone.cli("instance", "add", self.redis.url, "--id", "r-1")
        alone.cli("policy", "set", "r-1", "--cron", "0 3 * * *", "--keep-daily", "14")
        before = alone.json("backup", "create", "r-1", "--wait")
        alone.stop()

        postgres = Postgres(self.lab.dir("postgres"))
        self.lab.callback(postgres.stop)
        store = Store(self.lab, "s3s")
        config = store.config(catalog__url=postgres.url, work__lease="2s")
        shutil.copytree(alone.data_dir / "repository", store.bucket / "pre" / "fix")
        done = subprocess.run([alone.program, "catalog", "rebuild", "--config", config, "--data-dir", alone.data_dir],
                              env=clean_environment(), text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        first = self.lab.keystow("--config", str(config), data_dir=alone.data_dir)
        data_dir = self.lab.dir("second")
        for name in ("root.key", "admin.key"):
            shutil.copy(alone.data_dir / name, data_dir / name)
        second = self.lab.keystow("--config", str(config), data_dir=data_dir)

        self.assertEqual(len(first.json("node", "list")), 2)
        self.assertEqual([row["id"] for row in second.json("backup", "list")], [before["id"]])
        self.assertEqual(second.json("policy", "show", "r-1")["keep"]["daily"], 14)
        self.assertEqual(self.fetched(second, before), before["parts"][0]["sha256"])
        self.check_that_one_stands_in(first, second)

    def check_that_one_stands_in(self, first, second):
        """One is killed in the middle of a backup, and the other ends it."""
        self.redis.call("CONFIG", "SET", "rdb-key-save-delay", 1000)
        asked = second.json("backup", "create", "r-1")
        look = lambda: second.json("backup", "show", asked["id"])
        wait_until(lambda: look()["state"] == "running", 30, "the backup to begin")
        time.sleep(0.3)
        # Whichever has it, it is over for one of them.
        first.kill()
        self.redis.call("CONFIG", "SET", "rdb-key-save-delay", 0)
        wait_until(lambda: look()["state"] not in ("queued", "running"), 60, "the backup to end")
        row = look()
        self.assertEqual(row["state"], "available")
        self.assertEqual(self.fetched(second, row), row["parts"][0]["sha256"])


if __name__ == "__main__":
    unittest.main()
