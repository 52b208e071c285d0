"""Files that keystow relabels load in the servers that they are for, and hold what they held."""

import json
import unittest

from lab import Resp
from world import FIXTURES, FORMATS, servers_of, world

EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
# Types that a server needs no module for: vector sets are built into Redis 8.
BUILT_IN = {"vectorset": "redis-8.2"}
# Servers that write scores in another way before they sum them up.
OTHER_DIGESTS = ("redis-6.2", "redis-7.0")
# Its score of minus zero becomes zero in later servers, unless it comes out of a file of Redis 6.2.
MINUS_ZERO = ("librdb--plain_zset_2_v11.rdb", "redis-6.2")
FORMAT_OF = {"redis-8.2": 12, "valkey-9.1": 80}
# What a format may have no words for, and how to leave that out.
WITHOUT = {
    "functions have no place": ("--without-functions",),
    "expire have no place": tuple(
        word for kind in ("string", "list", "set", "zset", "stream", "module") for word in ("--type", kind)),
}


def fixtures():
    """Files of real servers that one of ours loads: (file, the server, modules)."""
    for name, expected in sorted(EXPECTED.items()):
        modules = expected.get("modules", [])
        if "refused" in expected or any(module not in BUILT_IN for module in modules):
            continue
        if expected["version"] == 13:
            continue
        reference = "valkey-9.1" if expected["version"] == 80 else "redis-8.2"
        yield FIXTURES / name, reference, modules


class RelabelTest(unittest.TestCase):
    """Every fixture, in every format, in every server."""

    def test_digests_stay_the_same(self):
        """DEBUG DIGEST is that of the original, wherever the rewritten file is loaded."""
        loads = 0
        for file, reference, modules in fixtures():
            for to in FORMATS:
                with self.subTest(file=file.name, to=to):
                    loads += self._check(file, reference, modules, to)
        self.assertGreater(loads, 900)

    def _check(self, file, reference, modules, to):
        """How many servers have loaded the file."""
        options = ()
        while True:
            done, rewritten = world().relabel(file, to, *options)
            if done.returncode == 0:
                break
            error = json.loads(done.stderr)["error"]
            self.assertEqual((1, "RELABEL_IMPOSSIBLE"), (done.returncode, error["code"]), error)
            self.assertFalse(rewritten.exists())
            left_out = [words for why, words in WITHOUT.items() if why in error["cause"]]
            self.assertEqual(1, len(left_out), error)
            options += left_out[0]
        original = file
        if options:
            # What the format has no words for is left out of the original too, which else stays as it is.
            own = EXPECTED[file.name]["version"]
            done, original = world().relabel(file, max(own, 9), *options)
            self.assertEqual(0, done.returncode, done.stderr)
        expected = world().digest(reference, original)
        self.assertIsNotNone(expected)
        servers = [server for server in servers_of(to) if all(BUILT_IN[module] == server for module in modules)]
        for server in servers:
            found = self._digest(server, rewritten, reference, to)
            if found is None and self._refuses_the_original(server, file):
                continue
            if (file.name, server) != MINUS_ZERO:
                self.assertEqual(expected, found, server)
        return len(servers)

    @staticmethod
    def _digest(server, rewritten, reference, to):
        """The digest of what a server makes of a file, as the reference computes it."""
        same_family = server.split("-")[0] == reference.split("-")[0]
        if server in OTHER_DIGESTS:
            saved = world().saved(server, rewritten)
            return saved and world().digest(reference, saved)
        if same_family or to <= 11:
            return world().digest(server, rewritten)
        # The families sum up fields that expire each in its own way, and do not load each other's files.
        saved = world().saved(server, rewritten)
        if saved is None:
            return None
        done, back = world().relabel(saved, FORMAT_OF[reference])
        return world().digest(reference, back) if done.returncode == 0 else done.stderr

    @staticmethod
    def _refuses_the_original(server, file):
        """Whether a server does not load a file that it should."""
        return EXPECTED[file.name]["version"] <= 11 and world().digest(server, file) is None


class BeyondDigestsTest(unittest.TestCase):
    """What DEBUG DIGEST does not sum up."""

    COMMANDS = (
        ("SET", "string", "value"),
        ("RPUSH", "list", *range(500), "x" * 10000),
        ("SADD", "set", "a", "b", "c"),
        ("HSET", "hash", "field", "value", "number", "7"),
        ("ZADD", "zset", "1.5", "a", "-inf", "b"),
        ("XADD", "stream", "1-1", "field", "value"),
        ("XADD", "stream", "2-1", "other", "value"),
        ("XGROUP", "CREATE", "stream", "group", "0"),
        ("XREADGROUP", "GROUP", "group", "reader", "COUNT", "1", "STREAMS", "stream", ">"),
    )

    def test_streams_keep_their_groups(self):
        """Consumer groups and pending entries are not in the digest; ask for them."""
        source = world().lab.redis(version="redis-7.0")
        for command in self.COMMANDS:
            source.call(*command)
        source.call("SAVE")
        file = world().folder / "groups.rdb"
        file.write_bytes((source.folder / "dump.rdb").read_bytes())
        for to in FORMATS:
            done, rewritten = world().relabel(file, to)
            self.assertEqual(0, done.returncode, done.stderr)
            for version in servers_of(to):
                with self.subTest(to=to, server=version):
                    self.assertIsNotNone(world().digest(version, rewritten))
                    server = world().server(version)
                    pending = server.call("XPENDING", "stream", "group", "-", "+", "10")
                    self.assertEqual([[b"1-1", b"reader"]], [entry[:2] for entry in pending])
                    self.assertEqual(1, pending[0][3])

    def test_fields_expire_in_both_families_alike(self):
        """A hash's fields keep their expiries from Redis to Valkey and back."""
        when = 4102444800000
        for source_version, to, target_version in (
                ("redis-8.2", 80, "valkey-9.1"), ("valkey-9.1", 12, "redis-8.2"), ("valkey-9.1", 12, "redis-7.4")):
            source = world().lab.redis(version=source_version)
            for key, fields in (("small", 3), ("large", 2000)):
                source.pipe(Resp.encode("HSET", key, f"f{n}", n) for n in range(fields))
                source.call("HPEXPIREAT", key, when, "FIELDS", 1, "f0")
                source.call("HPEXPIREAT", key, when + 5, "FIELDS", 1, "f2")
            source.call("SAVE")
            file = world().folder / "fields.rdb"
            file.write_bytes((source.folder / "dump.rdb").read_bytes())
            done, rewritten = world().relabel(file, to)
            self.assertEqual(0, done.returncode, done.stderr)
            with self.subTest(source=source_version, target=target_version):
                self.assertIsNotNone(world().digest(target_version, rewritten))
                target = world().server(target_version)
                for key in ("small", "large"):
                    self.assertEqual([when, -1, when + 5],
                                     target.call("HPEXPIRETIME", key, "FIELDS", 3, "f0", "f1", "f2"))
                    self.assertEqual(source.call("HLEN", key), target.call("HLEN", key))
                    self.assertEqual([b"0", b"1", b"2"], target.call("HMGET", key, "f0", "f1", "f2"))


if __name__ == "__main__":
    unittest.main()
