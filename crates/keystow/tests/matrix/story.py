"""The one story of this suite: fill a source with everything that it knows, back it up, restore, compare."""

import binascii
import random

import sample
from lab import Resp
from topology import union_digest

FAR_FUTURE_MS = sample.FAR_FUTURE_MS
FUNCTION = "#!lua name=keystow\nredis.register_function('one', function() return 1 end)"

# Each server, oldest format first, and the servers that load what it writes (each loads its own).
LOADED_BY = {
    "redis-6.2": ("redis-7.0", "redis-7.2", "redis-7.4", "redis-8.2", "valkey-8.1", "valkey-9.1"),
    "redis-7.0": ("redis-7.2", "redis-7.4", "redis-8.2", "valkey-8.1", "valkey-9.1"),
    "redis-7.2": ("redis-7.4", "redis-8.2", "valkey-8.1", "valkey-9.1"),
    "valkey-8.1": ("redis-7.2", "redis-7.4", "redis-8.2", "valkey-9.1"),
    "redis-7.4": ("redis-8.2",),
    "redis-8.2": ("redis-7.4",),
    "valkey-9.1": (),
}
VERSIONS = tuple(LOADED_BY)
FIELDS_EXPIRE = ("redis-7.4", "redis-8.2", "valkey-9.1")


def slot(key):
    """The cluster slot of a key."""
    key = key if isinstance(key, bytes) else str(key).encode()
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        key = key[start + 1:end]
    return binascii.crc_hqx(key, 0) % 16384


def everything(version, records=200):
    """The commands of one database: every type, with and without expiry, small and large."""
    yield from sample.commands(random.Random(7), records)
    yield Resp.encode("SET", "soon", "gone in an hour", "EX", 3600)
    yield Resp.encode("HSET", "hash:far", "field", "value")
    yield Resp.encode("PEXPIREAT", "hash:far", FAR_FUTURE_MS)
    if version in FIELDS_EXPIRE:
        for key, fields in (("fields:few", 3), ("fields:many", 700)):
            for field in range(fields):
                yield Resp.encode("HSET", key, f"field{field}", "x" * (field % 90))
            yield Resp.encode("HPEXPIREAT", key, FAR_FUTURE_MS, "FIELDS", 2, "field0", "field1")


def fill(server, version, records=200):
    """Fill one server: three databases and a function."""
    for database in (0, 1, 5):
        server.pipe([Resp.encode("SELECT", database)])
        server.pipe(everything(version, records))
    server.call("SELECT", 0)
    if version != "redis-6.2":
        server.call("FUNCTION", "LOAD", FUNCTION)


def fill_cluster(primaries, version, records=200):
    """Fill a cluster: `primaries` is a list of (server, slots that it owns)."""
    batches = [[] for _ in primaries]
    for command in everything(version, records):
        # The second word of XGROUP and the like is a sub-command; every other command's is its key.
        words = words_of(command)
        key = words[2] if words[0] in (b"XGROUP",) else words[1]
        if words[0] == b"XREADGROUP":
            key = words[words.index(b"STREAMS") + 1]
        batches[next(i for i, (_, slots) in enumerate(primaries) if slot(key) in slots)].append(command)
    for (server, _), batch in zip(primaries, batches):
        server.pipe(batch)
        if version != "redis-6.2":
            server.call("FUNCTION", "LOAD", FUNCTION)


def words_of(command):
    """The words of an encoded command."""
    words, rest = [], command.split(b"\r\n", 1)[1]
    while rest:
        length, rest = rest[1:].split(b"\r\n", 1)
        words.append(rest[:int(length)])
        rest = rest[int(length) + 2:]
    return words


def expiries(servers, version):
    """Every key's expiry in Unix milliseconds, those that have one, over all databases: {(database, key): ms}."""
    found = {}
    for server in servers:
        lines = server.call("INFO", "keyspace").decode().split("\r\n")
        databases = [int(line[2:].split(":")[0]) for line in lines if line.startswith("db")]
        for database in databases:
            if database or len(databases) > 1:
                server.call("SELECT", database)
            cursor = b"0"
            while True:
                cursor, keys = server.call("SCAN", cursor, "COUNT", 1000)
                for key in keys:
                    ms = expiry(server, key, version)
                    if ms is not None:
                        found[database, key] = ms
                if cursor == b"0":
                    break
        if len(databases) > 1 or databases not in ([], [0]):
            server.call("SELECT", 0)
    return found


def expiry(server, key, version):
    """A key's expiry in Unix milliseconds; None = it has none."""
    if version != "redis-6.2":
        ms = server.call("PEXPIRETIME", key)
        return ms if ms >= 0 else None
    left = server.call("PTTL", key)
    seconds, micros = server.call("TIME")
    return left + int(seconds) * 1000 + int(micros) // 1000 if left >= 0 else None


def functions(server, version):
    """The code of the server's function libraries."""
    if version == "redis-6.2":
        return []
    return [library[library.index(b"library_code") + 1]
            for library in server.call("FUNCTION", "LIST", "WITHCODE")]


class Facts:
    """What a deployment holds: a digest over all keys and values, how many there are, when they expire, functions."""

    def __init__(self, servers, version):
        self.digest = union_digest(servers)
        self.keys = sum(server.keys() for server in servers)
        self.expiries = expiries(servers, version)
        self.functions = functions(servers[0], version)

    def assert_same(self, test, other, functions=True):
        """Everything equal; expiries to the second, because old servers only tell what is left."""
        test.assertEqual((self.digest, self.keys), (other.digest, other.keys))
        test.assertEqual(self.expiries.keys(), other.expiries.keys())
        off = {key: (ms, other.expiries[key]) for key, ms in self.expiries.items()
               if abs(ms - other.expiries[key]) > 1000}
        test.assertEqual(off, {})
        if functions:
            test.assertEqual(self.functions, other.functions)
