"""Every server to itself, and to those that load what it writes, by both methods."""

import copy
import os
import unittest

import story
from lab import Lab, wait_until

ALL = os.environ.get("MATRIX") == "all"


def pairs():
    """(source, target, method): in a short run each version once by each method, and one step up."""
    for source in story.VERSIONS:
        for method in ("primary", "commands"):
            yield source, source, method
        others = story.LOADED_BY[source]
        for number, target in enumerate(others):
            if ALL:
                for method in ("primary", "commands"):
                    yield source, target, method
            elif number == 0:
                yield source, target, "commands"


class Pairs(unittest.TestCase):
    """One source of each version, backed up once; targets come and go."""

    def test_pairs(self):
        with Lab() as lab:
            keystow = lab.keystow()
            backups = {}
            for source, target, method in pairs():
                with self.subTest(f"{source} to {target} by {method}"):
                    if source not in backups:
                        backups[source] = self.back_up(lab, keystow, source)
                    backup, facts, file = backups[source]
                    if source != target:
                        # Redis 7.2 writes scores in another way into its digest: a server of the target's version
                        # that loads the file itself says what is to be expected.
                        facts = copy.copy(facts)
                        facts.digest, _ = lab.digest_of(file, version=target)
                    self.restore(lab, keystow, backup, facts, target, method)

    def back_up(self, lab, keystow, version):
        """(backup, what it should hold, the file)."""
        redis = lab.redis("--repl-diskless-sync-delay", "0", version=version)
        story.fill(redis, version)
        name = version.replace(".", "-")
        keystow.cli("instance", "add", redis.url, "--id", name)
        backup = keystow.json("backup", "create", name, "--wait")
        self.assertEqual(backup["state"], "available")
        wait_until(lambda: b"connected_slaves:0" in redis.call("INFO", "replication"), 60, "our link to be gone")
        facts = story.Facts([redis], version)
        file = lab.dir("fetched") / "dump.rdb"
        keystow.cli("fetch", backup["id"], "-o", file)
        redis.stop()
        return backup, facts, file

    def restore(self, lab, keystow, backup, facts, version, method):
        """Into an empty server of that version."""
        redis = lab.redis(version=version)
        done = keystow.json("restore", backup["id"], "--to", redis.url, "--as", method, "--yes")
        outcome = done["job"]["outcome"]["restore"]
        self.assertEqual((outcome["method"], outcome["complete"]), (method, True))
        self.assertEqual(outcome["restored"], facts.keys)
        # As a primary: the target is nobody's replica any more.
        self.assertIn(b"role:master", redis.call("INFO", "replication"))
        found = story.Facts([redis], version)
        found.assert_same(self, facts)
        redis.stop()


if __name__ == "__main__":
    unittest.main()
