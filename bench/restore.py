"""Restoring against the server itself: as a primary against loading the same file, by commands against
`redis-cli --pipe` of the same RESTORE commands, already prepared."""

import shutil
import subprocess
import time

import data
from lab import LabError, Redis, Resp
from measure import compare

ROUNDS = 5
SOURCE = ("--rdbcompression", "no", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


def run(lab):
    """Rows of both ways; the target is a fresh server each time."""
    redis = lab.redis(*SOURCE)
    data.strings(redis)
    keystow = lab.keystow()
    keystow.cli("instance", "add", redis.url, "--id", "bench")
    backup = keystow.json("backup", "create", "bench", "--wait")
    file = lab.folder / "bench.rdb"
    keystow.cli("fetch", backup["id"], "-o", file)
    keys = redis.keys()
    redis.stop()
    rows = [_as_primary(lab, keystow, backup, file, keys)]
    file.unlink()
    keystow.discard()
    # Fewer keys: the file of commands must fit beside everything else.
    return rows + [_by_commands(lab, "strings, 300 MB", lambda redis: data.strings(redis, data.STRINGS * 3 // 10)),
                   _by_commands(lab, "small mixed keys", lambda redis: data.small_mixed(redis, data.SMALL_KEYS // 5))]


def _as_primary(lab, keystow, backup, file, keys):
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(_load(lab, file, keys))
        ours.append(_restore(lab, keystow, backup, "primary", keys))
    return compare("restore as a primary, strings, 1 GB", ours, theirs, 1.2, " s")


def _by_commands(lab, name, fill):
    redis = lab.redis("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
    fill(redis)
    keystow = lab.keystow()
    keystow.cli("instance", "add", redis.url, "--id", "bench")
    backup = keystow.json("backup", "create", "bench", "--wait")
    commands = lab.folder / "commands.resp"
    _prepare(redis, commands)
    keys = redis.keys()
    redis.stop()
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(_pipe(lab, commands, keys))
        ours.append(_restore(lab, keystow, backup, "commands", keys))
    commands.unlink()
    keystow.discard()
    return compare(f"restore by commands, {name}", ours, theirs, 1.15, " s")


def _prepare(redis, path):
    """Every key as an encoded RESTORE, from the server's own DUMP."""
    cursor = b"0"
    with open(path, "wb") as file:
        while True:
            cursor, keys = redis.call("SCAN", cursor, "COUNT", 10_000)
            for key in keys:
                payload, ttl = redis.call("DUMP", key), max(0, redis.call("PEXPIRETIME", key))
                file.write(Resp.encode("RESTORE", key, ttl, payload, "ABSTTL"))
            if cursor == b"0":
                return


def _load(lab, file, keys):
    """Seconds that a server needs to load the file."""
    folder = lab.dir("load")
    # A link would do, but some file systems copy faster than others: the copy is not timed.
    shutil.copyfile(file, folder / "dump.rdb")
    redis = Redis(folder)
    try:
        log = (folder / "redis.log").read_text(errors="replace")
        seconds = float(log.split("DB loaded from disk: ")[1].split(" ")[0])
        if redis.keys() != keys:
            raise LabError("the server did not load all keys")
        return seconds
    finally:
        redis.stop()
        shutil.rmtree(folder)


def _restore(lab, keystow, backup, method, keys):
    """Seconds that a caller waits for a restore into an empty server."""
    redis = lab.redis()
    try:
        began = time.monotonic()
        keystow.cli("restore", backup["id"], "--to", redis.url, "--as", method, "--yes")
        wall = time.monotonic() - began
        if redis.keys() != keys:
            raise LabError(f"the restore by {method} left keys out")
        return wall
    finally:
        redis.stop()


def _pipe(lab, commands, keys):
    """Seconds that redis-cli needs to push the prepared commands."""
    redis = lab.redis()
    try:
        with open(commands, "rb") as file:
            began = time.monotonic()
            subprocess.run(["redis-cli", "-p", str(redis.port), "--pipe"], stdin=file, check=True,
                           stdout=subprocess.DEVNULL)
            wall = time.monotonic() - began
        if redis.keys() != keys:
            raise LabError("redis-cli left keys out")
        return wall
    finally:
        redis.stop()
