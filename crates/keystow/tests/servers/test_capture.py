"""Every server that is there: its data comes back from a backup, with what only newer versions have."""

import unittest

import sample
from lab import Lab, wait_until
from servers import SERVERS

FAR_FUTURE_MS = sample.FAR_FUTURE_MS
FUNCTION = "#!lua name=keystow\nredis.register_function('one', function() return 1 end)"
# The format that each writes, and whether its hash fields can expire.
FORMATS = {
    "redis-6.2": ("REDIS0009", False),
    "redis-7.0": ("REDIS0010", False),
    "redis-7.2": ("REDIS0011", False),
    "redis-7.4": ("REDIS0012", True),
    "redis-8.2": ("REDIS0012", True),
    "valkey-8.1": ("REDIS0011", False),
    "valkey-9.1": ("VALKEY080", True),
}


def fill(redis, version):
    """The sample, and all that the version adds to it."""
    sample.fill(redis, records=200)
    if version != "redis-6.2":
        redis.call("FUNCTION", "LOAD", FUNCTION)
    if FORMATS[version][1]:
        for key, fields in (("fields:few", 3), ("fields:many", 700)):
            for field in range(fields):
                redis.call("HSET", key, f"field{field}", "x" * (field % 90))
            redis.call("HPEXPIREAT", key, FAR_FUTURE_MS, "FIELDS", 2, "field0", "field1")


class Capture(unittest.TestCase):
    """One server after the other into one service."""

    def test_every_version(self):
        self.assertEqual(set(FORMATS), set(SERVERS), "a server that this test does not know")
        with Lab() as lab:
            keystow = lab.keystow()
            for version, (magic, _) in FORMATS.items():
                with self.subTest(version):
                    self.story(lab, keystow, version, magic)

    def story(self, lab, keystow, version, magic):
        """Fill, back up, fetch, load into another server of the version, compare."""
        redis = lab.redis("--repl-diskless-sync-delay", "0", version=version)
        fill(redis, version)
        name = version.replace(".", "-")
        keystow.cli("instance", "add", redis.url, "--id", name)
        backup = keystow.json("backup", "create", name, "--wait")
        self.assertEqual(backup["state"], "available")
        file = lab.dir("fetched") / "dump.rdb"
        keystow.cli("fetch", backup["id"], "-o", file)
        verdict = keystow.json("verify", file)
        self.assertEqual((verdict["magic"], verdict["keys"]), (magic, redis.keys()))
        self.assertEqual(lab.digest_of(file, version=version), (redis.digest(), redis.keys()))
        wait_until(lambda: b"slave0" not in redis.call("INFO", "replication"), 60, "our link to be gone")
        redis.stop()


if __name__ == "__main__":
    unittest.main()
