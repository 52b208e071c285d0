"""DUMP payloads that are relabelled restore in the servers that they are for."""

import subprocess
import unittest
from pathlib import Path

from lab import ReplyError, binary
from world import world

# The server that dumps, the version to relabel to, the server that restores.
WAYS = (
    ("redis-8.2", 80, "valkey-9.1"),
    ("valkey-9.1", 12, "redis-8.2"),
    ("valkey-9.1", 11, "redis-7.2"),
    ("redis-7.4", 11, "valkey-8.1"),
    ("redis-8.2", 10, "redis-7.0"),
    ("redis-8.2", 9, "redis-6.2"),
)
COMMANDS = (
    ("SET", "string", "value " * 100),
    ("SET", "number", "-77"),
    ("RPUSH", "list", *range(500), "x" * 10000),
    ("SADD", "numbers", 1, 2, 3),
    ("SADD", "set", "a", "b", "c"),
    ("HSET", "hash", "field", "value", "number", "7"),
    ("ZADD", "zset", "1.5", "a", "-inf", "b", "3", "c"),
    ("XADD", "stream", "1-1", "field", "value"),
    ("XADD", "stream", "2-1", "other", "value"),
    ("XGROUP", "CREATE", "stream", "group", "0"),
    ("XREADGROUP", "GROUP", "group", "reader", "COUNT", "1", "STREAMS", "stream", ">"),
)
READ = {
    "string": ("GET",), "list": ("LRANGE", 0, -1), "set": ("SMEMBERS",), "hash": ("HGETALL",),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"), "stream": ("XRANGE", "-", "+"),
}
WHEN = 4102444800000


def relabel(payload, to):
    """The payload for servers of that RDB version."""
    program = Path(binary()).parent / "examples" / "relabel_payload"
    return subprocess.run([program, str(to)], input=payload, capture_output=True, check=True, timeout=60).stdout


def contents(server, key):
    """What a key holds, in an order of our own where it has none."""
    kind = server.call("TYPE", key)
    command, *rest = READ[kind]
    found = server.call(command, key, *rest)
    return sorted(found) if kind in ("set", "hash") else found


class PayloadTest(unittest.TestCase):
    """Every type, on every way."""

    def setUp(self):
        for version in {server for way in WAYS for server in (way[0], way[2])}:
            world().server(version).call("FLUSHALL")

    def test_values_restore_elsewhere(self):
        """The contents are the same; without relabelling the server would refuse the payload."""
        for source_version, to, target_version in WAYS:
            source, target = world().server(source_version), world().server(target_version)
            source.call("FLUSHALL")
            for command in COMMANDS:
                source.call(*command)
            for key in source.call("KEYS", "*"):
                with self.subTest(key=key, source=source_version, target=target_version):
                    payload = source.call("DUMP", key)
                    with self.assertRaises(ReplyError):
                        target.call("RESTORE", key, 0, payload, "REPLACE")
                    target.call("RESTORE", key, 0, relabel(payload, to), "REPLACE")
                    self.assertEqual(contents(source, key), contents(target, key))
            self.assertEqual(1, target.call("XPENDING", "stream", "group")[0])

    def test_fields_that_expire_restore_in_the_other_family(self):
        """From Redis to Valkey and back."""
        for source_version, to, target_version in WAYS[:2]:
            source, target = world().server(source_version), world().server(target_version)
            source.call("HSET", "hash", "a", 1, "b", 2)
            source.call("HPEXPIREAT", "hash", WHEN, "FIELDS", 1, "b")
            target.call("RESTORE", "hash", 0, relabel(source.call("DUMP", "hash"), to), "REPLACE")
            with self.subTest(source=source_version, target=target_version):
                self.assertEqual([-1, WHEN], target.call("HPEXPIRETIME", "hash", "FIELDS", 2, "a", "b"))
                self.assertEqual(contents(source, "hash"), contents(target, "hash"))


if __name__ == "__main__":
    unittest.main()
