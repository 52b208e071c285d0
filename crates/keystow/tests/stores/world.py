"""What the stories of this suite have in common."""

import hashlib
import re
import unittest
import urllib.request

import s3
from lab import Lab

INSTANCE = "r-stored"
# What a capture into a store adds to the memory of an idle server: five parts of 8 MiB on their way, the chunks of a
# capture, and what the allocator keeps of those before. It must not grow with the backup.
CAPTURE_MIB = 96


class Story(unittest.TestCase):
    """A laboratory for each story."""

    def setUp(self):
        self.lab = Lab()
        self.addCleanup(self.lab.close)

    def source(self, keys, value_bytes):
        """A Redis with so many keys."""
        redis = self.lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no")
        redis.call("DEBUG", "POPULATE", keys, "key", value_bytes)
        return redis

    def service(self, config, redis):
        """A Keystow with that configuration, which knows the Redis."""
        keystow = self.lab.keystow("--config", str(config))
        keystow.cli("instance", "add", redis.url, "--id", INSTANCE)
        return keystow

    def stores(self):
        """Every kind of store, one after the other."""
        for kind in s3.KINDS:
            print(f"  {kind}", flush=True)
            yield s3.Store(self.lab, kind)


def high_water_mib(keystow):
    """The most memory that a server has had."""
    with open(f"/proc/{keystow.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def get(url, **headers):
    """(status, headers, body)."""
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.status, answer.headers, answer.read()


def digest(body):
    """SHA-256 in hex."""
    return hashlib.sha256(body).hexdigest()


def link(keystow, backup, *words):
    """The first link to a backup."""
    return keystow.json("link", "create", backup["id"], *words)["links"][0]
