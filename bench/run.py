"""Run the measurements and print one table.

Usage: run.py capture|latency|download|encrypted|api|lists|rdb|restore|all
"""

import os
import platform
import sys

import api
import capture
import download
import encrypted
import latency
import lists
import rdb
import restore
from lab import Lab, LabError
from measure import print_table

PARTS = {"capture": capture, "latency": latency, "download": download, "encrypted": encrypted,
         "api": api, "lists": lists, "rdb": rdb, "restore": restore}


def main():
    """Measure what was asked for, on a RAM disk."""
    chosen = sys.argv[1] if len(sys.argv) > 1 else "all"
    if chosen != "all" and chosen not in PARTS:
        print(f"unknown bench {chosen!r}: one of all, {', '.join(PARTS)}", file=sys.stderr)
        return 2
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}")
    rows = []
    for name, part in PARTS.items():
        if chosen in (name, "all"):
            print(f"==> {name}", flush=True)
            with Lab("/dev/shm") as lab:
                rows += part.run(lab)
    print_table(rows)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"bench: {error}")
