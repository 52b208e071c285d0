"""kill -9 in the middle of a backup, again and again: whatever is listed is whole, whatever is not is gone.

Usage: kill9.py KILLS [SEED]. Prints its figures; exit code 1 on any violation.
"""

import collections
import hashlib
import json
import random
import re
import sys
import time

from lab import Lab, LabError, sha256, wait_until

INSTANCE = "r-killed"
KEYS, VALUE_BYTES, DELAY_US = 15000, 300, 20  # about a second for the source to send
SETTLE_SECONDS = 120
UNFINISHED = ("queued", "running")
WITH_BYTES = ("available", "partial", "quarantined", "damaged")

ATTEMPT = r"accounts/[^/]+/instances/[^/]+/backups/(?P<backup>[^/]+)/\d+"
LAYOUT = re.compile(rf"repository\.json|keys/\d+\.age|catalog/[^/]+\.sealed"
                    rf"|accounts/[^/]+/instances/[^/]+/backups/[^/]+/events/\d+\.json"
                    rf"|{ATTEMPT}/(manifest\.json|[^/.]+\.rdb(\.zst)?(\.age)?)")


class Trial:
    """One server, killed many times; counts what it sees."""

    def __init__(self, lab, chance):
        self.chance = chance
        self.redis = lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no")
        self.redis.call("DEBUG", "POPULATE", KEYS, "key", VALUE_BYTES)
        self.keystow = lab.keystow()
        self.repository = self.keystow.data_dir / "repository"
        self.copy = lab.dir("fetch") / "dump.rdb"
        self.keystow.cli("instance", "add", self.redis.url, "--id", INSTANCE)
        self.checked = {}
        self.manifests = set()
        self.violations = []
        self.figures = collections.Counter()
        self.slow_source()
        began = time.monotonic()
        self.check_backup(self.back_up())
        self.duration = time.monotonic() - began

    def slow_source(self, delay=DELAY_US):
        """Let the source pause before each key that it sends."""
        self.redis.call("CONFIG", "SET", "rdb-key-save-delay", delay)

    def back_up(self):
        """Take a backup and wait for it."""
        return self.keystow.json("backup", "create", INSTANCE, "--wait")

    def expect(self, holds, claim):
        """Note a violation unless the claim holds."""
        if not holds:
            self.violations.append(claim)
            print(f"  VIOLATION: {claim}", flush=True)

    def kill_once(self):
        """One backup, one SIGKILL at a random moment, one restart, all the checks."""
        self.slow_source()
        struck = self.keystow.json("backup", "create", INSTANCE)["id"]
        time.sleep(self.chance.uniform(0, self.duration * 1.1))
        self.keystow.kill()
        self.check_manifests()
        self.slow_source(0)
        self.keystow.start()
        self.settle()
        rows = {row["id"]: row for row in self.keystow.json("backup", "list")}
        self.check_struck(struck, rows)
        for row in rows.values():
            if row["state"] == "available" and row["id"] not in self.checked:
                self.check_backup(row)
        self.expect(not (self.checked.keys() - rows.keys()), "no backup that was available has vanished")
        self.check_backup(self.back_up())
        self.check_debris()

    def settle(self):
        """Wait until no job is queued or running."""
        began = time.monotonic()
        wait_until(lambda: not any(job["state"] in UNFINISHED for job in self.keystow.json("job", "list")),
                   SETTLE_SECONDS, "the interrupted job to end")
        self.figures["settle_ms_max"] = max(self.figures["settle_ms_max"],
                                            round((time.monotonic() - began) * 1000))

    def check_struck(self, backup, rows):
        """The interrupted backup was finished before, is finished now, or says why it failed."""
        row = rows.get(backup)
        self.expect(row is not None, f"backup {backup} is still listed")
        if row:
            self.figures[f"then {row['state']}"] += 1
            self.expect(row["state"] == "available" or (row["state"] == "failed" and row.get("failure")),
                        f"backup {backup} is available, or failed with a reason: {row}")

    def check_backup(self, row):
        """An available backup is whole: fetched, hashed and verified."""
        self.expect(row["state"] == "available", f"backup {row['id']} is available: {row}")
        if row["state"] != "available":
            return
        part, = row["parts"]
        self.keystow.cli("fetch", row["id"], "-o", self.copy)
        self.expect(self.copy.stat().st_size == part["size_bytes"], f"{row['id']} has its size")
        self.expect(sha256(self.copy) == part["sha256"], f"{row['id']} has its SHA-256")
        report = self.keystow.json("verify", self.copy)
        self.expect(report["ok"] and report["keys"] == KEYS, f"{row['id']} verifies: {report}")
        self.copy.unlink()
        self.checked[row["id"]] = part["sha256"]

    def check_manifests(self):
        """The server is dead. A manifest, where there is one, is whole and so are the files it names."""
        for manifest in set(self.repository.rglob("manifest.json")) - self.manifests:
            self.manifests.add(manifest)
            try:
                text = manifest.read_text()
                json.loads(text)
            except ValueError as error:
                self.expect(False, f"{manifest} is whole: {error}")
                continue
            for part in manifest.parent.glob("*.rdb*"):
                digest = hashlib.sha256(part.read_bytes()).hexdigest()
                self.expect(digest in text, f"{part} is the file that its manifest names")

    def check_debris(self):
        """Nothing is left that no row speaks of; the sweeper gets a moment."""
        try:
            wait_until(lambda: not self.debris(), 10, "the sweeper")
        except LabError:
            self.expect(False, f"nothing is left over: {self.debris()[:5]}")

    def debris(self):
        """Paths that no row speaks of."""
        known = {row["id"] for row in self.keystow.json("backup", "list") if row["state"] in WITH_BYTES}
        attempts, odd = collections.Counter(), []
        try:
            paths = sorted(self.repository.rglob("*"))
        except FileNotFoundError as gone:  # It is being removed.
            return [str(gone)]
        for path in paths:
            name = path.relative_to(self.repository).as_posix()
            attempt = re.fullmatch(ATTEMPT, name)
            if path.is_file() and not LAYOUT.fullmatch(name):
                odd.append(name)
            elif attempt and path.is_dir():
                attempts[attempt["backup"]] += 1
                if attempt["backup"] not in known or attempts[attempt["backup"]] > 1 \
                        or not (path / "manifest.json").exists():
                    odd.append(f"{name}/")
        return odd

    def report(self, kills, seconds):
        """Print the figures."""
        print(f"{kills} kills in {seconds:.0f} s; an undisturbed backup takes {self.duration:.1f} s; "
              f"{len(self.checked)} available backups, all fetched and verified")
        print(f"  manifests looked at while the server was dead: {len(self.manifests)}")
        for name, value in sorted(self.figures.items()):
            print(f"  {name}: {value}")
        print(f"{len(self.violations)} violations")
        if self.violations:
            print("the server's last words:\n" + "".join(self.keystow.log[-20:]))


def main():
    """Run the trial; 1 if anything was violated."""
    kills = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with Lab() as lab:
        began = time.monotonic()
        trial = Trial(lab, random.Random(seed))
        killed = 0
        try:
            while killed < kills:
                trial.kill_once()
                killed += 1
                if killed % 10 == 0:
                    print(f"  {killed} of {kills}", flush=True)
        except LabError as error:
            trial.expect(False, f"every step works: {error}")
        except KeyboardInterrupt:
            print("  stopped; these are the figures until then", flush=True)
        trial.report(killed, time.monotonic() - began)
    return 1 if trial.violations else 0


if __name__ == "__main__":
    sys.exit(main())
