"""What a backup costs the source's users: the p99 of paced GETs during a backup against that during
`redis-cli --rdb`, ten pairs in one run."""

import json
import subprocess
import sys
import time
from pathlib import Path

import data
from lab import Resp, wait_until
from measure import compare

PAIRS = 10
SOURCE = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--save", "")
KEYS = 200_000
LOAD = 0.3
PACED = Path(__file__).parent / "paced.py"


def run(lab):
    """One row, and a check that nothing stays connected."""
    redis = lab.redis(*SOURCE)
    data.strings(redis, KEYS)
    keystow = lab.keystow()
    keystow.cli("instance", "add", redis.url, "--id", "bench")
    rate = _rate(redis)
    print(f"  paced load: {rate} GET/s", flush=True)
    theirs, ours = [], []
    for _ in range(PAIRS):
        theirs.append(_p99(redis, rate, lambda: _redis_cli(lab, redis)))
        ours.append(_p99(redis, rate, lambda: keystow.json("backup", "create", "bench", "--wait")))
        wait_until(lambda: b"connected_slaves:0" in redis.call("INFO", "replication"), 5, "our link to be gone")
    return [compare("source's GET p99 during a backup", ours, theirs, 1.2, " ms")]


def _redis_cli(lab, redis):
    file = lab.folder / "peer.rdb"
    subprocess.run(["redis-cli", "-p", str(redis.port), "--rdb", str(file)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file.unlink()


def _rate(redis):
    """About 30 % of the GETs a second that one client reaches one after the other."""
    client = Resp(redis.port)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 1:
        client.call("GET", f"key:{count % KEYS:08d}")
        count += 1
    client.close()
    return int(count * LOAD)


def _p99(redis, rate, work):
    """Milliseconds: the 99th percentile of GETs while `work` goes on. A GET is due at its own moment whether or not
    the one before has come back, so that waiting is not hidden."""
    with subprocess.Popen([sys.executable, "-I", "-S", PACED, str(redis.port), str(rate), str(KEYS)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        time.sleep(0.5)
        work()
        out, _ = load.communicate("stop\n")
    return json.loads(out)
