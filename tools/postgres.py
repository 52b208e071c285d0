"""A throw-away PostgreSQL on a free port of 127.0.0.1, run as the user `postgres` where we are root."""

import glob
import os
import shutil
import subprocess
from pathlib import Path

from redisserver import LabError, free_port

__all__ = ["Postgres"]


def _programs():
    """The folder of PostgreSQL's programs: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):
        return Path(folder)
    raise LabError("PostgreSQL is missing: tools/setup.sh postgres")


class Postgres:
    """A server whose databases go with it."""

    def __init__(self, folder):
        self.folder, self.port = Path(folder), free_port()
        self._bin = _programs()
        self._prefix = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
            # The folders above are ours alone.
            for above in self.folder.parents:
                if above.stat().st_uid == 0 and str(above).startswith(("/tmp/", "/dev/shm/")):
                    above.chmod(above.stat().st_mode | 0o011)
            self._prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._run("initdb", "-A", "trust", "-U", "keystow", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()
        self.url = f"postgres://keystow@127.0.0.1:{self.port}/postgres"

    def _run(self, program, *words):
        with open("/dev/null") as nothing:
            done = subprocess.run([*self._prefix, self._bin / program, "-D", self.folder / "data", *words], cwd="/",
                                  stdin=nothing, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise LabError(f"{program}: {done.stderr}")

    def start(self):
        """Start it and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode="immediate"):
        """End it; `immediate` is what a crash looks like."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def sql(self, text):
        """Rows of a query, as lines of text."""
        done = subprocess.run(["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", text],
                              capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"psql: {done.stderr}")
        return done.stdout.split("\n")[:-1]
