"""Commands that restore a file make what a server makes of the file itself, on every server and of every type."""

import json
import subprocess
import unittest
from pathlib import Path

import test_export
from lab import Lab, Resp, binary
from servers import SERVERS
from test_relabel import BUILT_IN, EXPECTED, MINUS_ZERO
from world import FIXTURES, LOADS, world

# Pairs of servers: where the file comes from, and where it is restored to.
CROSS = (
    ("redis-6.2", "redis-8.2"),
    ("redis-6.2", "valkey-9.1"),
    ("redis-7.0", "redis-6.2"),
    ("redis-7.2", "redis-7.0"),
    ("valkey-8.1", "redis-7.2"),
    ("redis-7.4", "valkey-9.1"),
    ("redis-8.2", "valkey-9.1"),
    ("redis-8.2", "redis-7.4"),
    ("valkey-9.1", "redis-8.2"),
    ("valkey-9.1", "redis-7.4"),
)
# Each value in one command, large ones in pieces, all in pieces.
SIZES = ((), ("replace", "max=3000"), ("replace", "max=1"))
NOW = 4_000_000_000_000
WITH_FIELD_EXPIRY = ("redis-7.4", "redis-8.2", "valkey-9.1")


def commands(file, version, *options):
    """The commands that restore a file to that server: the finished process."""
    program = Path(binary()).parent / "examples" / "restore_commands"
    return subprocess.run([program, file, version, *options], capture_output=True, timeout=120)


def restored(redis, file, version, *options):
    """The server with nothing but what the commands make."""
    done = commands(file, version, *options)
    if done.returncode:
        raise AssertionError(done.stderr.decode())
    redis.call("FLUSHALL")
    if version != "redis-6.2":
        redis.call("FUNCTION", "FLUSH")
    test_export.load(redis, done.stdout)
    return redis


def expiries(redis):
    """When each key expires, in Unix milliseconds; with -1 for never."""
    found = {}
    for database in range(16):
        redis.call("SELECT", database)
        keys = redis.call("KEYS", "*")
        found.update({(database, key): redis.call("PEXPIRETIME", key) for key in keys})
    redis.call("SELECT", 0)
    return found


class Fixtures(unittest.TestCase):
    """Every file of a real server."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        # As replicas without a master they keep keys whose time is over, as those of the world do.
        cls.targets = {version: cls.lab.redis("--replicaof", "127.0.0.1", "1", "--replica-read-only", "no",
                                              "--databases", "64", version=version) for version in LOADS}
        for target in cls.targets.values():
            # What a client made on a replica would still expire.
            target.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()

    def test_digests_are_those_of_the_loaded_file(self):
        checked = 0
        for name, expected in sorted(EXPECTED.items()):
            modules = expected.get("modules", [])
            if "refused" in expected or any(module not in BUILT_IN for module in modules):
                continue
            for version in LOADS:
                if all(BUILT_IN[module] == version for module in modules) and (name, version) != MINUS_ZERO:
                    with self.subTest(file=name, server=version):
                        # What a module wrote goes in one command or not at all.
                        checked += self.check(FIXTURES / name, version, SIZES[:1] if modules else SIZES)
        self.assertGreater(checked, 380)

    def check(self, file, version, sizes):
        """1 if the server could be asked, 0 if it has no words for the file."""
        loaded = world().digest(version, file)
        if loaded is None:
            done, relabelled = world().relabel(file, LOADS[version][-1], "--without-functions")
            if done.returncode:
                self.assertEqual("RELABEL_IMPOSSIBLE", json.loads(done.stderr)["error"]["code"])
                self.assertNotEqual(0, commands(file, version).returncode)
                return 0
            loaded = world().digest(version, relabelled)
        if loaded is None:
            # Valkey 9 looks deeper than others, and refuses streams that early servers counted wrongly.
            self.assertEqual("valkey-9.1", version)
            with self.assertRaisesRegex(AssertionError, "errors: 1,.*\nERR Bad data format"):
                restored(self.targets[version], file, version)
            return 0
        for options in sizes:
            target = restored(self.targets[version], file, version, *options)
            self.assertEqual(loaded, (target.digest(), target.keys()), options)
            if version != "redis-6.2":
                self.assertEqual(expiries(world().server(version)), expiries(target), options)
        return 1


class Samples(unittest.TestCase):
    """What every server writes, with what is hard to recreate."""

    def test_same_server(self):
        for version in SERVERS:
            with self.subTest(version), Lab() as lab:
                redis, other = lab.redis(version=version), lab.redis(version=version)
                test_export.fill(redis, version)
                file = test_export.save(redis)
                for options in SIZES:
                    restored(other, file, version, *options)
                    self.assertEqual((other.digest(), other.keys()), (redis.digest(), redis.keys()), options)
                    self.assertEqual(test_export.facts_of_streams(other), test_export.facts_of_streams(redis))
                    if version != "redis-6.2":
                        self.assertEqual(expiries(other), expiries(redis))
                        self.assertEqual(other.call("FUNCTION", "LIST"), redis.call("FUNCTION", "LIST"))

    def test_other_servers(self):
        for source_version, version in CROSS:
            with self.subTest(source=source_version, target=version), Lab() as lab:
                redis, other = lab.redis(version=source_version), lab.redis(version=version)
                test_export.fill(redis, source_version)
                redis.call("SELECT", 5)
                # A score of minus zero stays one only in a file of Redis 6.2.
                redis.call("ZREM", "scores", "e")
                if version not in WITH_FIELD_EXPIRY:
                    redis.call("DEL", "fields:few", "fields:many")
                file = test_export.save(redis)
                done, relabelled = world().relabel(file, LOADS[version][-1], "--without-functions")
                self.assertEqual(0, done.returncode, done.stderr)
                loaded = world().digest(version, relabelled)
                for options in SIZES:
                    restored(other, file, version, *options)
                    self.assertEqual(loaded, (other.digest(), other.keys()), options)
                    groups = test_export.facts_of_streams(other)["events"][2]
                    self.assertEqual(test_export.facts_of_streams(redis)["events"][2], groups)

    def test_keys_that_are_there_are_replaced_only_when_asked(self):
        with Lab() as lab:
            redis, other = lab.redis(version="redis-7.0"), lab.redis(version="redis-7.0")
            redis.call("RPUSH", "list", *range(2000))
            file = test_export.save(redis)
            other.call("RPUSH", "list", "mine")
            done = commands(file, "redis-7.0")
            piped = subprocess.run(["redis-cli", "-p", str(other.port), "--pipe"], input=done.stdout,
                                   capture_output=True)
            self.assertIn(b"BUSYKEY", piped.stdout + piped.stderr)
            self.assertEqual([b"mine"], other.call("LRANGE", "list", 0, -1))
            refused = commands(file, "redis-7.0", "max=1000")
            self.assertIn(b"allow to replace keys", refused.stderr)
            for options in (("replace",), ("replace", "max=1000")):
                other.call("RPUSH", "list", "mine")
                test_export.load(other, commands(file, "redis-7.0", *options).stdout)
                self.assertEqual(redis.digest(), other.digest())

    def test_how_often_keys_were_used_is_restored(self):
        for policy, options in (("allkeys-lru", ("IDLETIME", 3)), ("allkeys-lfu", ("FREQ", 77))):
            with self.subTest(policy), Lab() as lab:
                memory = ("--maxmemory", "1gb", "--maxmemory-policy", policy, "--lfu-decay-time", "0")
                redis, other = (lab.redis(*memory, version="redis-7.2") for _ in range(2))
                redis.call("SET", "k", "v")
                redis.call("RESTORE", "k", 0, redis.call("DUMP", "k"), "REPLACE", *options)
                restored(other, test_export.save(redis), "redis-7.2")
                # No command looks at the key before that; meanwhile it was left alone for a moment.
                found = other.call("OBJECT", options[0], "k")
                self.assertIn(found - options[1], range(60))


class Expiries(unittest.TestCase):
    """What becomes of expiries."""

    def fill(self, redis, version):
        """Keys and fields that expire at NOW, later, and never, in small values and large ones."""
        for name, when in (("past", NOW), ("future", NOW + 5000), ("never", None)):
            for size in (3, 900):
                key = f"{name}:{size}"
                redis.call("RPUSH", key, *range(size))
                if when:
                    redis.call("PEXPIREAT", key, when)
                if version in WITH_FIELD_EXPIRY:
                    hash_ = f"fields:{name}:{size}"
                    redis.pipe(Resp.encode("HSET", hash_, f"f{n}", n) for n in range(size))
                    if when:
                        redis.call("HPEXPIREAT", hash_, when, "FIELDS", 2, "f0", "f1")
        if version in WITH_FIELD_EXPIRY:
            redis.call("HSET", "fields:gone", "f0", 1, "f1", 2)
            redis.call("HPEXPIREAT", "fields:gone", NOW, "FIELDS", 2, "f0", "f1")

    def fields(self, redis, version):
        """When the first three fields of each hash expire; -2 for those that are not there."""
        if version not in WITH_FIELD_EXPIRY:
            return {}
        return {key: redis.call("HPEXPIRETIME", key, "FIELDS", 3, "f0", "f1", "f2")
                for key in redis.call("KEYS", "fields:*")}

    def test_every_policy(self):
        for source_version, version in (("redis-7.0", "redis-7.0"), ("redis-7.2", "valkey-8.1"),
                                        ("redis-7.4", "redis-7.4"), ("redis-8.2", "redis-8.2"),
                                        ("valkey-9.1", "valkey-9.1"), ("redis-8.2", "valkey-9.1"),
                                        ("valkey-9.1", "redis-8.2")):
            with self.subTest(source=source_version, target=version), Lab() as lab:
                redis, other = lab.redis(version=source_version), lab.redis(version=version)
                self.fill(redis, source_version)
                file = test_export.save(redis)
                for options in SIZES:
                    self.check(redis, other, file, (source_version, version), options)

    def check(self, redis, other, file, versions, options):
        """The same file under each policy."""
        source_version, version = versions
        keys, fields = expiries(redis), self.fields(redis, source_version)

        def after(ttl):
            restored(other, file, version, f"ttl={ttl}", *options)
            return expiries(other), self.fields(other, version)

        def moved(when):
            return when + 777 if when > 0 else when

        self.assertEqual(after("shift:777"), (
            {key: moved(when) for key, when in keys.items()},
            {key: [moved(when) for when in times] for key, times in fields.items()}), options)
        self.assertEqual(after("strip"), (
            dict.fromkeys(keys, -1),
            {key: [min(when, -1) for when in times] for key, times in fields.items()}), options)
        gone = (0, b"fields:gone")
        self.assertEqual(after(f"drop:{NOW}"), (
            {key: when for key, when in keys.items() if when != NOW and key != gone},
            {key: [-2 if when == NOW else when for when in times]
             for key, times in fields.items() if (0, key) != gone}), options)

    def test_plain_hashes_go_to_servers_without_expiring_fields(self):
        with Lab() as lab:
            redis = lab.redis(version="redis-8.2")
            self.fill(redis, "redis-8.2")
            file = test_export.save(redis)
            for version in ("redis-6.2", "redis-7.2", "valkey-8.1"):
                self.assertIn(b"fields of a hash that expire", commands(file, version).stderr)
                for options in SIZES:
                    other = restored(lab.redis(version=version), file, version, "ttl=strip", *options)
                    self.assertEqual(redis.keys(), other.keys())
                    for key in ("fields:past:3", "fields:future:900"):
                        self.assertEqual(sorted(redis.call("HGETALL", key)), sorted(other.call("HGETALL", key)))


if __name__ == "__main__":
    unittest.main()
