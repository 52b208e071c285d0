"""Reading RDB files, `verify`, `inspect` and `export`, against `redis-check-rdb`, which Redis ships."""

import time
from dataclasses import dataclass

import data
from lab import binary
from measure import bound, compare, spend

ROUNDS = 5
JSON, LINES = ("--json",), ("--format", "jsonl")


@dataclass(frozen=True)
class Set:
    """Keys in a file; how many times as fast as the peer we must be, and how slow the export may be."""

    name: str
    fill: object
    options: tuple
    verify: float
    inspect: float
    export: float | None = None


SETS = (Set("strings, 1 GB", data.strings, ("--rdbcompression", "no"), verify=4, inspect=3),
        Set("small mixed keys", data.small_mixed, (), verify=5, inspect=3, export=1.2))


def run(lab):
    """The rows of both files."""
    rows = []
    for chosen in SETS:
        file = _save(lab, chosen)
        rows += _reading(file, "verify", chosen.name, chosen.verify)
        rows += _reading(file, "inspect", chosen.name, chosen.inspect)
        if chosen.export:
            ours, theirs = _pairs(file, "export", LINES)
            rows.append(compare(f"export wall, {chosen.name}", [one.wall for one in ours],
                                [one.wall for one in theirs], chosen.export, " s"))
        file.unlink()
    return rows


def _save(lab, chosen):
    """The file that a redis-server makes of the keys; the server is gone when it is returned."""
    redis = lab.redis(*chosen.options)
    began = time.monotonic()
    chosen.fill(redis)
    redis.call("SAVE")
    file = redis.folder / "dump.rdb"
    print(f"  {redis.keys()} keys ({chosen.name}), {file.stat().st_size / 1e6:.0f} MB, "
          f"made in {time.monotonic() - began:.0f} s", flush=True)
    redis.stop()
    return file


def _reading(file, command, name, times):
    """Speed and memory of a command that reads the file to the end."""
    ours, theirs = _pairs(file, command, JSON)
    megabytes = file.stat().st_size / 1e6
    return [compare(f"{command}, {name}", [megabytes / one.wall for one in ours],
                    [megabytes / one.wall for one in theirs], times, " MB/s", at_least=True),
            bound(f"{command} memory, {name}", [one.peak for one in ours], 64, " MiB")]


def _pairs(file, command, options):
    """Interleaved runs on one file: (ours, the peer's)."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(spend("redis-check-rdb", file))
        ours.append(spend(binary(), command, file, *options))
    return ours, theirs
