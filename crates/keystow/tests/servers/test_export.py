"""Exports of what every server writes: commands recreate it, JSON lines say what the server itself answers."""

import base64
import json
import subprocess
import unittest

import sample
from lab import Lab, Resp, binary
from servers import SERVERS

FAR_FUTURE_MS = sample.FAR_FUTURE_MS
FUNCTION = "#!lua name=keystow\nredis.register_function('one', function() return 1 end)"
WITH_FIELD_EXPIRY = ("redis-7.4", "redis-8.2", "valkey-9.1")


def fill(redis, version):
    """The sample, and what is hard to recreate."""
    sample.fill(redis, records=200)
    redis.call("SELECT", 5)
    redis.call("SET", b"\xff\x00 \"quoted\"\\", "odd key")
    redis.call("RPUSH", "long", "x" * 200_000, "y", "z" * 70_000)
    redis.call("ZADD", "scores", "inf", "a", "-inf", "b", "1e300", "c", "0.1", "d", "-0", "e", "3e-9", "f")
    redis.call("SADD", "many", *range(100_000, 102_000))
    redis.pipe(Resp.encode("HSET", "wide", f"field{number}", number) for number in range(2000))
    fill_streams(redis)
    if version != "redis-6.2":
        redis.call("FUNCTION", "LOAD", FUNCTION)
    if version in WITH_FIELD_EXPIRY:
        for key, fields in (("fields:few", 3), ("fields:many", 700)):
            redis.pipe(Resp.encode("HSET", key, f"field{field}", "x" * (field % 90)) for field in range(fields))
            redis.call("HPEXPIREAT", key, FAR_FUTURE_MS, "FIELDS", 2, "field0", "field1")
    redis.call("SELECT", 0)


def fill_streams(redis):
    """Streams that are empty, trimmed, and read by several."""
    redis.call("XGROUP", "CREATE", "nothing", "nobody", "$", "MKSTREAM")
    redis.call("XADD", "emptied", "7-1", "a", "b")
    redis.call("XDEL", "emptied", "7-1")
    for number in range(1, 31):
        redis.call("XADD", "events", f"{number}-1", "kind", "visit", "number", number)
    redis.call("XDEL", "events", "20-1", "30-1")
    redis.call("XGROUP", "CREATE", "events", "readers", "0")
    for consumer, count in (("one", 3), ("two", 5), ("one", 1)):
        redis.call("XREADGROUP", "GROUP", "readers", consumer, "COUNT", count, "STREAMS", "events", ">")
    redis.call("XACK", "events", "readers", "2-1")
    redis.call("XCLAIM", "events", "readers", "two", 0, "3-1", "TIME", 1_700_000_000_000, "RETRYCOUNT", 9)


def save(redis):
    """The server's file."""
    redis.call("SAVE")
    return redis.folder / "dump.rdb"


def export(file, *options):
    """What the program prints."""
    return subprocess.run([binary(), "export", file, *options], capture_output=True, check=True).stdout


def load(redis, commands):
    """Send the commands as `redis-cli --pipe` does; every error counts."""
    done = subprocess.run(["redis-cli", "-p", str(redis.port), "--pipe"], input=commands, capture_output=True)
    text = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode or "errors: 0" not in text:
        raise AssertionError(text)


def facts_of_streams(redis):
    """What DEBUG DIGEST does not look at: groups, consumers and what is pending for them, how often."""
    redis.call("SELECT", 5)
    found = {}
    for key in ("nothing", "emptied", "events"):
        info = pairs(redis.call("XINFO", "STREAM", key))
        groups = [pairs(group) for group in redis.call("XINFO", "GROUPS", key)]
        pending = [redis.call("XPENDING", key, group[b"name"], "-", "+", 100) for group in groups]
        kept = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added", b"first-entry")
        found[key] = ({name: info.get(name) for name in kept}, groups,
                      [[(one[0], one[1], one[3]) for one in group] for group in pending])
    return found


def pairs(flat):
    """Names and values, as a dictionary."""
    return dict(zip(flat[::2], flat[1::2]))


def plain(value):
    """A string of the export, as bytes."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def answered(redis, kind, key):
    """A value as the server answers it, in the shape of the export."""
    if kind == "string":
        return redis.call("GET", key)
    if kind == "list":
        return redis.call("LRANGE", key, 0, -1)
    if kind == "set":
        return sorted(redis.call("SMEMBERS", key))
    if kind == "hash":
        return pairs(redis.call("HGETALL", key))
    if kind == "zset":
        flat = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
        return {member: float(score) for member, score in zip(flat[::2], flat[1::2])}
    return [(one[0], one[1]) for one in redis.call("XRANGE", key, "-", "+")]


def exported(kind, value):
    """A value of the export in that shape."""
    if kind == "string":
        return plain(value)
    if kind == "list":
        return [plain(one) for one in value]
    if kind == "set":
        return sorted(plain(one) for one in value)
    if kind == "hash":
        return {plain(pair[0]): plain(pair[1]) for pair in value}
    if kind == "zset":
        return {plain(member): float(score) for member, score in value}
    return [(entry["id"].encode(), [plain(word) for field in entry["fields"] for word in field])
            for entry in value["entries"]]


class Export(unittest.TestCase):
    """One server after the other."""

    def test_commands_recreate_everything(self):
        for version in SERVERS:
            with self.subTest(version), Lab() as lab:
                redis = lab.redis(version=version)
                fill(redis, version)
                commands = export(save(redis), "--format", "resp")
                other = lab.redis(version=version)
                load(other, commands)
                self.assertEqual((other.digest(), other.keys()), (redis.digest(), redis.keys()))
                self.assertEqual(facts_of_streams(other), facts_of_streams(redis))
                if version != "redis-6.2":
                    self.assertEqual(other.call("FUNCTION", "LIST"), redis.call("FUNCTION", "LIST"))

    def test_json_lines_say_what_the_server_says(self):
        for version in SERVERS:
            with self.subTest(version), Lab() as lab:
                redis = lab.redis(version=version)
                fill(redis, version)
                lines = [json.loads(line) for line in export(save(redis)).splitlines()]
                keys = [line for line in lines if "key" in line]
                self.assertEqual(len(keys), redis.keys())
                for line in keys:
                    self.compare(redis, line)
                functions = [line["function"] for line in lines if "function" in line]
                self.assertEqual(functions, [] if version == "redis-6.2" else [FUNCTION])

    def compare(self, redis, line):
        """One line with what the server knows of the key."""
        key, kind = plain(line["key"]), line["type"]
        redis.call("SELECT", line["db"])
        self.assertEqual(redis.call("TYPE", key), kind)
        self.assertEqual(exported(kind, line["value"]), answered(redis, kind, key), key)
        left = redis.call("PTTL", key)
        self.assertEqual("expires_at_ms" in line, left >= 0, key)
        for pair in line["value"] if kind == "hash" else ():
            if len(pair) == 3:
                self.assertEqual(redis.call("HPEXPIRETIME", key, "FIELDS", 1, plain(pair[0])), [pair[2]])

    def test_memory_is_about_what_the_server_holds(self):
        with Lab() as lab:
            redis = lab.redis(version="redis-7.0")
            before = self.dataset(redis)
            sample.fill(redis, records=4000)
            held = self.dataset(redis) - before
            done = subprocess.run([binary(), "inspect", save(redis), "--json"], capture_output=True, check=True)
            estimated = json.loads(done.stdout)["memory_bytes"]
            self.assertLess(abs(estimated - held) / held, 0.2, f"{estimated}, not {held}")

    def dataset(self, redis):
        """Bytes that the server's data takes: without its buffers, but with the tables of keys."""
        stats = pairs(redis.call("MEMORY", "STATS"))
        tables = sum(value for name in stats if name.startswith(b"db.")
                     for value in pairs(stats[name]).values())
        return stats[b"dataset.bytes"] + tables


if __name__ == "__main__":
    unittest.main()
