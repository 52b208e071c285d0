"""All trials: those of one node, one after the other, and beside them those of two nodes.

How often each is made comes from the environment; FULL=1 asks for all that there is. Prints what the trials print, each
line with its trial's name; exit code 1 if any of them saw a violation.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent

# Name of the number, how often by default, how often with FULL=1.
TIMES = {"CRASHES": (3, 20), "KILLS": (100, 1000), "FAULTS": (100, 1000),
         "NODE_KILLS": (100, 1000), "RESTARTS": (5, 200), "STORE_BACKUPS": (40, 400)}

# Trials of one lane wait for each other. A trial waits more than it works: two lanes are right for two cores.
LANES = (
    (("crash", ("CRASHES",)), ("full", ()), ("kill9", ("KILLS",)), ("restores", ("FAULTS",))),
    (("fleet", ("NODE_KILLS", "RESTARTS", "STORE_BACKUPS")),),
)


def times(name):
    """How often, as the environment says."""
    usual, full = TIMES[name]
    return os.environ.get(name) or str(full if os.environ.get("FULL") == "1" else usual)


def trial(script, numbers):
    """Run a trial, telling what it prints; its exit code."""
    arguments = [times(name) for name in numbers]
    told = ", ".join(f"{name}={value}" for name, value in zip(numbers, arguments, strict=True))
    print(f"{script:>8} | {told or 'each disk'}", flush=True)
    with subprocess.Popen([sys.executable, "-B", HERE / f"{script}.py", *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            print(f"{script:>8} | {line}", end="", flush=True)
    return process.returncode


def main():
    """Run the lanes side by side; 1 if any trial failed."""
    codes, began = {}, time.monotonic()

    def run(lane):
        for script, numbers in lane:
            codes[script] = trial(script, numbers)

    lanes = [threading.Thread(target=run, args=(lane,)) for lane in LANES]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    failed = [script for script in codes if codes[script] != 0]
    planned = sum(map(len, LANES))
    print(f"{planned} trials in {time.monotonic() - began:.0f} s; failed: {', '.join(failed) or 'none'}")
    return 1 if failed or len(codes) < planned else 0


if __name__ == "__main__":
    sys.exit(main())
