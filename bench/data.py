"""The data sets: large strings that do not compress, and small keys of every type."""

import base64
import random

from lab import Resp

STRINGS = 1_000_000
SMALL_KEYS = 3_000_000
LUA_STEP = 10_000

# One key per number, of a type that depends on it; every value is small.
SMALL_LUA = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local kind, n = i % 20, tostring(i)
  local mark = redis.sha1hex(n)
  if kind < 7 then redis.call('SET', 'session:' .. n, mark .. n .. mark .. mark)
  elseif kind < 9 then redis.call('SET', 'counter:' .. n, i * 7919)
  elseif kind < 12 then redis.call('SET', 'cache:' .. n, mark .. n .. mark .. mark, 'PXAT', 4102444800000 + i)
  elseif kind < 15 then redis.call('HSET', 'user:' .. n, 'name', 'user ' .. n, 'mail', mark .. '@example.org',
    'age', i % 90, 'city', 'city ' .. i % 500, 'visits', i, 'last', mark)
  elseif kind == 15 then redis.call('RPUSH', 'queue:' .. n, n, mark, i % 100, 'payload ' .. mark, 'job ' .. n, mark)
  elseif kind == 16 then redis.call('SADD', 'tags:' .. n, 'red', 'green', mark, 'tag ' .. n, 'tag ' .. i % 300)
  elseif kind == 17 then redis.call('SADD', 'ids:' .. n, i, i + 1, i + 5, i + 9, i + 70000, i + 90000)
  elseif kind == 18 then redis.call('ZADD', 'board:' .. n, i % 1000, mark, i % 777 + 0.5, 'bob', i, 'carol ' .. n)
  else redis.call('XADD', 'events:' .. n, '1-1', 'kind', 'visit', 'who', mark, 'where', 'page ' .. n) end
end
for i = tonumber(ARGV[1]), tonumber(ARGV[2]), 10 do
  redis.call('HSET', 'large:hash', i, i)
  redis.call('ZADD', 'large:board', i, i)
end
"""


def strings(redis, count=STRINGS):
    """`count` strings of 1 KiB, random text."""
    chance = random.Random(1)
    pool = base64.b64encode(chance.randbytes(48 << 20))
    last = len(pool) - 1024
    redis.pipe(b"*3\r\n$3\r\nSET\r\n$12\r\nkey:%08d\r\n$1024\r\n%b\r\n" % (number, pool[start:start + 1024])
               for number in range(count) for start in (chance.randrange(last),))


def small_mixed(redis, count=SMALL_KEYS):
    """`count` small keys: strings, numbers, expiry, hashes, lists, sets, sorted sets, streams."""
    redis.pipe(Resp.encode("EVAL", SMALL_LUA, 0, first, first + LUA_STEP - 1)
               for first in range(0, count, LUA_STEP))


def one_string(redis):
    """One key whose RDB file is about 4 KiB."""
    redis.call("SET", "small", random.Random(2).randbytes(2000).hex())
