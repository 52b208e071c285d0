"""Clocks, medians and the table."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab import LabError, clean_environment

TICK = os.sysconf("SC_CLK_TCK")

# A child's peak memory is at least that of the process that starts it, so a small one does.
STARTER = """
import os, sys, time
began = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
                        file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - began
print([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024])
sys.exit(abs(os.waitstatus_to_exitcode(status)))
"""


def cpu_seconds(pid):
    """CPU that a process and its children have used, user and system, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / TICK
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(child) for child in children)


def peak_mib(pid):
    """The largest resident size so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@dataclass(frozen=True)
class Spent:
    """What a whole process took: seconds, seconds of CPU, and MiB at its peak."""

    wall: float
    cpu: float
    peak: float


def spend(*command):
    """Run a command to its end, its output discarded; failure raises with what it said on stderr."""
    words = [str(word) for word in command]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", STARTER, *words], env=clean_environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(words)} failed ({done.returncode}):\n{done.stderr}")
    return Spent(*json.loads(done.stdout))


@dataclass
class Row:
    """One line of the table. `value`, the ratio to the peer or the figure itself, is held against `limit`."""

    what: str
    ours: str
    peer: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = ""

    def cells(self):
        """The line's texts."""
        met = self.value >= self.limit if self.at_least else self.value <= self.limit
        sign = "≥" if self.at_least else "≤"
        return (self.what, self.ours, self.peer, f"{self.value:.2f}{self.unit}",
                f"{sign} {self.limit:g}{self.unit}", "met" if met else "missed")


def compare(what, ours, theirs, limit, unit, at_least=False):
    """A row from paired runs: medians of both sides and the median of the pairs' ratios."""
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return Row(what, _spread(ours, unit), _spread(theirs, unit), ratio, limit, at_least)


def bound(what, values, limit, unit):
    """A row without a peer: the worst of all runs."""
    return Row(what, _spread(values, unit), "–", max(values), limit, unit=unit)


def _spread(values, unit):
    digits = 0 if max(values) >= 100 else 2
    return (f"{statistics.median(values):.{digits}f}{unit} "
            f"[{min(values):.{digits}f}–{max(values):.{digits}f}]")


def print_table(rows):
    """Columns of equal width."""
    lines = [("what", "ours", "peer", "ratio", "target", "")] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
