"""The server ends itself at each named step, and is started again: whatever is listed is whole, and nothing is lost.

Usage: crash.py TIMES [STEP…]. Prints its figures; exit code 1 on any violation. The steps are those of
`crates/engine/src/crash.rs`; only a debug build has them.
"""

import contextlib
import json
import random
import re
import sqlite3
import subprocess
import sys
import time

from kill9 import INSTANCE, KEYS, Trial
from lab import ROOT, Lab, LabError, sha256, wait_until

SOURCE = ROOT / "crates" / "engine" / "src" / "crash.rs"
OF_FIRES = ("policy-due", "policy-fired")
OF_RESTORES = ("restore-noted", "restore-under-way", "restore-ended")
OF_REMOVALS = ("backup-expired", "manifest-removed", "objects-removed")
OF_COPIES = ("copy-part-sealed", "copy-proven", "copy-manifest-written", "copy-complete", "copy-sealed")
OF_REPAIRS = OF_COPIES[:3]
FAR = "far"


def steps():
    """Every step, in order."""
    return re.findall(r'Self::\w+ => "([a-z-]+)"', SOURCE.read_text())


class Crashes(Trial):
    """One server that ends itself; the checks are those of random kills."""

    def __init__(self, lab):
        super().__init__(lab, random.Random(0))
        self.lab = lab
        self.digest = self.redis.digest()
        # Another repository, for copies; the server knows it from its next start on.
        self.far = lab.dir("far") / "repository"
        self.environment = {f"KEYSTOW_COPIES__{FAR.upper()}__URL": f"file://{self.far}"}
        self.keystow.environment = dict(self.environment)

    def crash_at(self, step):
        """One end at a step, one start, all the checks."""
        self.keystow.stop()
        if step in OF_FIRES:
            self.crash_in_fire(step)
        elif step in OF_RESTORES:
            self.crash_in_restore(step)
        elif step in OF_REMOVALS:
            self.crash_in_removal(step)
        elif step in OF_COPIES:
            self.crash_in_copy(step)
        else:
            self.crash_in_backup(step)
        self.check_debris()

    def end_at(self, step):
        """Start the server so that it will end itself."""
        self.keystow.environment = self.environment | {"CRASH_AT": step}
        self.keystow.start()
        self.keystow.environment = dict(self.environment)

    def start_again(self, step):
        """Wait until the server has ended itself, look at what is there, and start it."""
        try:
            self.keystow.process.wait(180)
        except subprocess.TimeoutExpired:
            self.expect(False, f"the server ends itself at {step}")
            self.keystow.kill()
        self.figures[step] += 1
        self.check_manifests()
        self.keystow.start()
        self.settle()

    def crash_in_fire(self, step):
        """The fire comes once: one entry, one backup."""
        self.slow_source(0)
        self.keystow.start()
        self.keystow.cli("policy", "set", INSTANCE, "--resume", "--cron", "0 3 1 1 *", "--keep-last", "1000")
        known = set()  # The policy shows its last fires, not all of them.
        fires = lambda: [fire for fire in self.keystow.json("policy", "show", INSTANCE).get("fires", [])
                         if fire["at"] not in known]
        taken = lambda: [row for row in self.keystow.json("backup", "list") if row["mode"] == "automated"]
        known.update(fire["at"] for fire in fires())
        before = len(taken())
        self.keystow.stop()
        self.end_at(step)
        # Whoever looks next finds it due.
        with contextlib.closing(sqlite3.connect(self.keystow.data_dir / "catalog.db", timeout=30)) as catalog, catalog:
            now = time.time_ns() // 1000
            catalog.execute("UPDATE policy SET next_fire = ?, next_at = ?", (now, now))
        self.start_again(step)
        wait_until(fires, 120, "the policy to fire")
        self.settle()
        self.expect((len(fires()), len(taken())) == (1, before + 1), f"one fire, one backup: {step}")
        newest = max(taken(), key=lambda row: row["number"])
        self.expect(fires()[0]["backup"] == newest["id"], f"the fire names its backup: {step}")
        self.check_backup(newest)
        self.keystow.cli("policy", "set", INSTANCE, "--pause")

    def crash_in_backup(self, step):
        """The backup is taken anew, or was finished."""
        self.slow_source(0)
        self.end_at(step)
        struck = self.keystow.json("backup", "create", INSTANCE)["id"]
        self.start_again(step)
        rows = {row["id"]: row for row in self.keystow.json("backup", "list")}
        self.check_struck(struck, rows)
        for row in rows.values():
            if row["state"] == "available" and row["id"] not in self.checked:
                self.check_backup(row)
        self.expect(not (self.checked.keys() - rows.keys()), "no backup that was available has vanished")

    def crash_in_restore(self, step):
        """The restore goes on, or says why it failed and that the target was changed."""
        target = self.lab.redis("--repl-diskless-load", "on-empty-db")
        # By commands, so that an attempt after this one can go on where it was.
        how = ("--as", "commands") if self.figures[step] % 2 else ("--as", "primary")
        self.end_at(step)
        backup = next(iter(self.checked))
        asked = self.keystow.json("restore", backup, "--to", target.url, "--yes", "--no-wait", *how)
        number = asked["job"]["number"]
        self.start_again(step)
        job = self.keystow.json("job", "show", number)
        self.figures[f"then restore {job['state']}"] += 1
        if job["state"] == "done":
            self.expect(target.digest() == self.digest, f"a restore that is done is whole: {step}")
        else:
            self.expect(job["state"] == "failed" and job.get("failure"), f"a restore says why it failed: {job}")
            changed = job.get("outcome", {}).get("restore", {}).get("changed", False)
            self.expect(changed or target.keys() == 0, f"a change is told: {job}")
        self.expect(target.call("ROLE")[0] in (b"master", "master"), f"nobody follows us after {step}")
        target.stop()

    def crash_in_removal(self, step):
        """The backup is gone, or as it was."""
        self.keystow.start()
        row = self.back_up()
        self.check_backup(row)
        self.keystow.stop()
        self.end_at(step)
        deleted = self.keystow.run("backup", "delete", row["id"], "--yes")
        self.start_again(step)
        rows = {found["id"]: found for found in self.keystow.json("backup", "list")}
        state = rows.get(row["id"], {}).get("state", "expired")
        self.figures[f"then {state}"] += 1
        self.expect(state in ("expired", "available"), f"a removed backup is gone or whole: {state}")
        self.expect(deleted.returncode != 0 or state == "expired", f"what was removed stays so: {step}")
        if state == "expired":
            self.checked.pop(row["id"])
            self.expect(self.keystow.run("fetch", row["id"], "-o", self.copy).returncode != 0,
                        f"an expired backup is not handed out: {step}")

    def crash_in_copy(self, step):
        """The copy is made anew, or was finished; what is half of one is gone."""
        self.slow_source(0)
        self.keystow.start()
        row = self.back_up()
        self.check_backup(row)
        # A repair goes the same way back.
        in_repair = self.figures[step] % 2 == 1 and step in OF_REPAIRS
        if in_repair:
            self.keystow.json("backup", "copy", row["id"], "--to", FAR, "--wait")
            self.lose(row)
        self.keystow.stop()
        self.end_at(step)
        if in_repair:
            self.keystow.json("backup", "repair", row["id"])
        else:
            self.keystow.json("backup", "copy", row["id"], "--to", FAR)
        self.start_again(step)
        if in_repair:
            self.figures["in a repair"] += 1
            self.check_backup(self.keystow.json("backup", "show", row["id"]))
        copy, = self.keystow.json("backup", "show", row["id"])["copies"]
        self.figures[f"then copy {copy['state']}"] += 1
        self.expect(copy["state"] == "available", f"a copy is made in the end: {step}: {copy}")
        part, = row["parts"]
        attempts = [path for path in self.far.rglob(f"{row['id']}/*") if path.name != "events"]
        self.expect(len(attempts) == 1, f"one attempt of a copy is left: {step}: {attempts}")
        for attempt in attempts:
            names = sorted(path.name for path in attempt.iterdir())
            self.expect(names == ["0.rdb", "manifest.json"], f"a copy is whole: {step}: {names}")
            self.expect(sha256(attempt / "0.rdb") == part["sha256"], f"a copy is the same bytes: {step}")
        self.check_repair(row)
        self.keystow.cli("backup", "delete", row["id"], "--yes")
        self.settle()
        self.checked.pop(row["id"])
        self.expect(not list(self.far.rglob(f"{row['id']}/*/*")), f"a removed backup has no copy: {step}")

    def check_repair(self, row):
        """What the first repository loses comes back from the copy."""
        self.lose(row)
        self.keystow.json("backup", "repair", row["id"], "--wait")
        self.check_backup(self.keystow.json("backup", "show", row["id"]))

    def lose(self, row):
        """The first repository loses the backup's bytes, and notices."""
        lost, = self.repository.rglob(f"{row['id']}/*/0.rdb")
        lost.unlink()
        self.keystow.run("backup", "scrub", row["id"], "--wait")
        state = self.keystow.json("backup", "show", row["id"])["state"]
        self.expect(state == "damaged", f"a scrub finds what is lost: {state}")


def main():
    """Run the trial; 1 if anything was violated."""
    times = int(sys.argv[1])
    wanted = sys.argv[2:] or steps()
    with Lab() as lab:
        began = time.monotonic()
        trial = Crashes(lab)
        try:
            for step in wanted:
                for _ in range(times):
                    trial.crash_at(step)
                print(f"  {step}: {times} times", flush=True)
        except (LabError, json.JSONDecodeError) as error:
            trial.expect(False, f"every step works: {error}")
        trial.report(times * len(wanted), time.monotonic() - began)
    return 1 if trial.violations else 0


if __name__ == "__main__":
    sys.exit(main())
