"""Taking a backup, whole verification included, against `redis-cli --rdb`, which verifies nothing."""

import os
import subprocess
import time

import data
from lab import LabError
from measure import bound, compare, cpu_seconds, peak_mib

ROUNDS = 5
SETS = (("strings, 1 GB", data.strings, 1.10), ("small mixed keys", data.small_mixed, 1.05))
SOURCE = ("--rdbcompression", "no", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


def run(lab):
    """The rows of both data sets."""
    rows = []
    for name, fill, wall_limit in SETS:
        redis = lab.redis(*SOURCE)
        began = time.monotonic()
        fill(redis)
        print(f"  {redis.keys()} keys ({name}) made in {time.monotonic() - began:.0f} s", flush=True)
        rows += _pairs(lab, redis, name, wall_limit)
        redis.stop()
    return rows


def _pairs(lab, redis, name, wall_limit):
    """Interleaved runs on one source."""
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(redis_cli(lab, redis))
        ours.append(keystow(lab, redis))
    wall, cpu, _ = zip(*ours)
    their_wall, their_cpu = zip(*theirs)
    peaks = [peak for *_, peak in ours]
    return [compare(f"capture wall, {name}", wall, their_wall, wall_limit, " s"),
            compare(f"capture CPU, {name}", cpu, their_cpu, 1.6, " s"),
            bound(f"capture memory, {name}", peaks, 64, " MiB")]


def redis_cli(lab, redis):
    """(wall, CPU) of redis-cli."""
    file = lab.folder / "peer.rdb"
    began = time.monotonic()
    process = subprocess.Popen(["redis-cli", "-p", str(redis.port), "--rdb", str(file)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise LabError("redis-cli --rdb failed")
    file.unlink()
    return wall, usage.ru_utime + usage.ru_stime


def keystow(lab, redis, *options):
    """(wall, CPU, peak MiB) of a fresh server; its wall is what the waiting caller sees."""
    server = lab.keystow(*options)
    server.cli("instance", "add", redis.url, "--id", "bench")
    before = cpu_seconds(server.process.pid)
    began = time.monotonic()
    backup = server.json("backup", "create", "bench", "--wait")
    wall = time.monotonic() - began
    cpu = cpu_seconds(server.process.pid) - before
    peak = peak_mib(server.process.pid)
    if backup["state"] != "available" or backup["parts"][0]["keys"] != redis.keys():
        raise LabError(f"not a whole backup: {backup}")
    server.discard()
    return wall, cpu, peak
