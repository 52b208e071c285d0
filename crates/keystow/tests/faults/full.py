"""Disks that are full: of the repository, of the catalog, of the folder for work. What cannot be kept is refused, with
the reason; nothing half-written stays; with room again the next backup works, without a restart.

Usage: full.py. Exit code 1 on any violation. The disks are small tmpfs mounts, which takes the right to mount; without
it the program starts itself anew in a user namespace of its own (`unshare`).
"""

import os
import subprocess
import sys
import time

from lab import Lab, LabError, sha256, wait_until

SMALL, LARGE = 2000, 60000  # keys of 1 KiB: 2 MiB, and more than the disk holds
DISK = "32m"


class Full:
    """A server of its own for each case, with one folder that is a small disk."""

    def __init__(self, lab):
        self.lab = lab
        self.violations = []
        self.redis = {}
        for name, keys in (("small", SMALL), ("large", LARGE)):
            self.redis[name] = lab.redis("--rdbcompression", "no")
            self.redis[name].call("DEBUG", "POPULATE", keys, "key", 1024)

    def expect(self, holds, claim):
        """Note a violation unless the claim holds."""
        if not holds:
            self.violations.append(claim)
            print(f"  VIOLATION: {claim}", flush=True)

    def serve(self, folder, **environment):
        """Start a server whose `folder` in the data directory is a small disk; the path of that."""
        data_dir = self.lab.dir("data")
        disk = data_dir / folder
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "keystow-test", str(disk)],
                       check=True)
        self.lab.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=False)
        self.keystow = self.lab.keystow(data_dir=data_dir, environment=environment)
        for name, redis in self.redis.items():
            self.keystow.cli("instance", "add", redis.url, "--id", f"r-{name}")
        return disk

    def fill(self, folder):
        """Leave no room; the file that takes it."""
        ballast = folder / "ballast"
        with open(ballast, "wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                pass
        return ballast

    def create(self, name):
        """(exit code, error) of a backup."""
        began = time.monotonic()
        done = self.keystow.run("backup", "create", f"r-{name}", "--wait")
        self.expect(time.monotonic() - began < 30, "a full disk is told soon")
        return done.returncode, done.stderr

    def works(self, what):
        """A backup can be taken and fetched."""
        row = self.keystow.json("backup", "create", "r-small", "--wait")
        copy = self.lab.dir("fetch") / "dump.rdb"
        self.keystow.cli("fetch", row["id"], "-o", copy)
        self.expect(sha256(copy) == row["parts"][0]["sha256"], f"{what}: the backup is whole")

    def repository(self):
        """The repository's disk is too small for one backup."""
        folder = self.serve("repository", KEYSTOW_REPOSITORY__RESERVE="1MiB")
        self.works("an undisturbed repository")
        code, error = self.create("large")
        self.expect(code == 9 and ("DISK_FULL" in error or "SPACE_GUARD" in error), f"repository: {code} {error}")
        left = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 4 << 20]
        self.expect(not left, f"nothing of the failed attempt stays: {left}")
        self.expect(self.keystow.json("backup", "list"), "lists are answered meanwhile")
        self.works("the repository with room again")

    def catalog(self):
        """The catalog's disk has no room for one row."""
        repository = self.lab.dir("repository")
        folder = self.serve(".", KEYSTOW_REPOSITORY__URL=f"file://{repository}")
        self.works("an undisturbed catalog")
        ballast = self.fill(folder)
        done = self.keystow.run("instance", "add", self.redis["small"].url, "--id", "r-more")
        code, error = self.create("small")
        self.expect(code != 0 and "DISK_FULL" in error, f"catalog: {code} {error}")
        self.expect(done.returncode in (0, 9), f"catalog: {done.stderr}")
        self.expect(self.keystow.json("backup", "list"), "lists are answered meanwhile")
        ballast.unlink()
        wait_until(lambda: self.keystow.run("backup", "create", "r-small", "--wait").returncode == 0, 120,
                   "the catalog with room again to take a backup")
        self.works("the catalog with room again")

    def work(self):
        """The folder for work is full: what needs it fails, what does not goes on."""
        folder = self.serve("work")
        ballast = self.fill(folder)
        self.works("a full folder for work")
        done = self.keystow.run("drill", self.keystow.json("backup", "list")[0]["id"])
        self.expect(done.returncode != 0 and "No space" in done.stderr + "".join(self.keystow.log[-20:])
                    or "DISK_FULL" in done.stderr, f"a drill says what is full: {done.stderr}")
        ballast.unlink()
        self.keystow.cli("drill", self.keystow.json("backup", "list")[0]["id"])


def main():
    """Run all; 1 if anything was violated."""
    may_mount = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "keystow-test", "/mnt"], check=False,
                                                     capture_output=True).returncode == 0
    if may_mount:
        subprocess.run(["umount", "/mnt"], check=True)
    elif not os.environ.get("KEYSTOW_TEST_UNSHARED"):
        os.environ["KEYSTOW_TEST_UNSHARED"] = "1"
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, "-B", *sys.argv])
    with Lab() as lab:
        full = Full(lab)
        for case in (full.repository, full.work, full.catalog):
            try:
                case()
                print(f"  {case.__name__}: played", flush=True)
            except LabError as error:
                full.expect(False, f"{case.__name__}: every step works: {error}")
    print(f"{len(full.violations)} violations")
    return 1 if full.violations else 0


if __name__ == "__main__":
    sys.exit(main())
