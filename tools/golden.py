"""Writes a data directory as this version leaves it, for the tests of the versions to come.

    KEYSTOW_BIN=target/debug/keystow PYTHONPATH=tools python3 tools/golden.py crates/keystow/tests/golden/NAME

What is in it is told by `expected.json` beside it. A golden data directory that is in use is never written anew: a new
version gets a new one. Its keys open nothing else.
"""

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lab import Lab

# Longest life that a link can have: the links must still open when a later version is tested.
LIFE = "3650d"


def write(folder):
    """Fill `folder` with a data directory and what is expected of it."""
    with Lab() as lab:
        redis = lab.redis()
        redis.call("SET", "greeting", "hello")
        redis.call("RPUSH", "queue", *range(50))
        redis.call("HSET", "user:1", "name", "Ada", "born", "1815")
        redis.call("ZADD", "scores", 1, "one", 2, "two")
        redis.call("XADD", "events", "1-1", "kind", "first")
        config = lab.dir("config") / "keystow.toml"
        config.write_text(f'[links]\nmax_ttl = "{LIFE}"\n'
                          '[repository]\ncompression = "zstd"\nencryption = "age"\n')
        keystow = lab.keystow("--config", str(config))
        keystow.cli("account", "add", "rival")
        keystow.cli("project", "add", "web")
        keystow.cli("instance", "add", redis.url, "--id", "crs-golden", "--name", "golden", "--region", "ap-guangzhou",
                    "--project", "web")
        first = keystow.json("backup", "create", "crs-golden", "--wait", "--remark", "the first")
        redis.call("SET", "greeting", "good bye")
        second = keystow.json("backup", "create", "crs-golden", "--wait")
        keystow.cli("backup", "protect", first["id"])
        keystow.cli("drill", second["id"])
        keystow.cli("backup", "scrub", second["id"], "--wait")
        # One that is not paused would begin to take backups as soon as a test opens it.
        keystow.cli("policy", "set", "crs-golden", "--cron", "30 3 * * *", "--time-zone", "Asia/Shanghai",
                    "--keep-daily", "7", "--pause")
        plain = keystow.json("link", "create", first["id"], "--ttl", LIFE)["links"][0]
        once = keystow.json("link", "create", second["id"], "--ttl", LIFE, "--once")["links"][0]
        viewer = keystow.json("key", "create", "--role", "viewer", "--project", "web")
        policy = keystow.json("policy", "show", "crs-golden")
        digest = redis.digest()
        keystow.cli("catalog", "copy")
        keystow.stop()
        expected = {
            "version": keystow.run("--version").stdout.split()[-1],
            "redis_digest_of_second": digest,
            "backups": [{"id": backup["id"], "number": backup["number"],
                         "parts": [{name: part[name] for name in ("name", "size_bytes", "sha256", "keys")}
                                   for part in backup["parts"]]} for backup in (first, second)],
            "protected": first["id"],
            "drilled": second["id"],
            "link": _target(plain["url"]),
            "once": _target(once["url"]),
            "viewer": viewer,
            "policy": {name: policy[name] for name in ("schedules", "time_zone", "keep", "paused")},
        }
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        for file in keystow.data_dir.iterdir():
            if file.is_file() and file.name not in ("lock",):
                shutil.copy(file, folder / "data" / file.name)
        shutil.copytree(keystow.data_dir / "repository", folder / "data" / "repository")
        (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def _target(url):
    """A link without the address that it was issued for."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
