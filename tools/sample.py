"""Sample data: every type of value, several databases, expiry in the far future."""

import random

from lab import Resp

FAR_FUTURE_MS = 4102444800000  # 2100-01-01: no key expires while somebody compares


def fill(redis, records=2000, seed=7):
    """Fill a server with about `records` keys per database; returns the number of keys."""
    for database in (0, 1, 5):
        chance = random.Random(seed + database)
        redis.pipe([Resp.encode("SELECT", database)])
        redis.pipe(commands(chance, records))
    redis.pipe([Resp.encode("SELECT", 0)])
    return redis.keys()


def commands(chance, records):
    """The commands of one database."""
    text = lambda size: chance.randbytes(size // 2).hex()
    for number in range(records):
        yield Resp.encode("SET", f"page:{number}", text(chance.randrange(20, 1200)))
        if number % 3 == 0:
            yield Resp.encode("PEXPIREAT", f"page:{number}", FAR_FUTURE_MS + number)
        if number % 20 == 0:
            yield from _collections(chance, number, text)
    yield Resp.encode("SET", "counter", -12345)
    yield Resp.encode("SET", "binary", bytes(range(256)))
    yield Resp.encode("SET", "empty", "")
    yield Resp.encode("SETBIT", "bitmap", 100_000, 1)
    yield Resp.encode("PFADD", "visitors", *range(500))
    yield Resp.encode("GEOADD", "cities", "116.40", "39.90", "Beijing", "113.26", "23.13", "Guangzhou")


def _collections(chance, number, text):
    """One of each collection, small (packed) and large (hash table, skip list, quick list)."""
    size = chance.choice((3, 30, 700))
    members = [f"{text(16)}:{index}" for index in range(size)]
    yield Resp.encode("RPUSH", f"queue:{number}", *members)
    yield Resp.encode("SADD", f"tags:{number}", *members)
    yield Resp.encode("SADD", f"ids:{number}", *(chance.randrange(1 << 30) for _ in range(size)))
    yield Resp.encode("HSET", f"user:{number}", *(word for name in members for word in (name, text(24))))
    yield Resp.encode("ZADD", f"board:{number}",
                      *(word for name in members for word in (chance.uniform(-1e6, 1e6), name)))
    for index in range(1, min(size, 40) + 1):
        yield Resp.encode("XADD", f"events:{number}", f"{index}-1", "kind", "visit", "who", text(12))
    yield Resp.encode("XGROUP", "CREATE", f"events:{number}", "readers", "0")
    yield Resp.encode("XREADGROUP", "GROUP", "readers", "one", "COUNT", 2, "STREAMS", f"events:{number}", ">")
