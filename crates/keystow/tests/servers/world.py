"""The world that every test of this suite lives in: one server of each version, which loads files on demand."""

import atexit
import functools
import subprocess

from lab import ROOT, Lab, ReplyError, binary, clean_environment

FIXTURES = ROOT / "crates" / "rdb" / "tests" / "fixtures"

# The RDB versions that each server is to load, its own last.
LOADS = {
    "redis-6.2": (9,),
    "redis-7.0": (9, 10),
    "redis-7.2": (9, 10, 11),
    "valkey-8.1": (9, 10, 11),
    "redis-7.4": (9, 10, 11, 12),
    "redis-8.2": (9, 10, 11, 12),
    "valkey-9.1": (9, 10, 11, 80),
}
FORMATS = (9, 10, 11, 12, 80)


def servers_of(rdb_version):
    """The servers that load files of that version."""
    return [server for server, versions in LOADS.items() if rdb_version in versions]


class World:
    """Servers, and what the tests ask of them."""

    def __init__(self, lab):
        self.lab = lab
        self.folder = lab.dir("files")
        self._servers = {}

    def server(self, version):
        """The server of that version. As a replica without a master it keeps keys whose time is over."""
        if version not in self._servers:
            # 16 databases are not enough for one of the fixtures.
            self._servers[version] = self.lab.redis(
                "--replicaof", "127.0.0.1", "1", "--replica-read-only", "no", "--databases", "64",
                "--dbfilename", "dump.rdb", version=version)
        return self._servers[version]

    def digest(self, version, file):
        """(DEBUG DIGEST, number of keys) of a file, as that server loads it; None if it does not."""
        server = self.server(version)
        (server.folder / "dump.rdb").write_bytes(file.read_bytes())
        try:
            server.call("DEBUG", "RELOAD", "NOSAVE")
        except ReplyError:
            return None
        return server.digest(), server.keys()

    def saved(self, version, file):
        """A file with what that server holds after it has loaded the file; None if it does not."""
        if self.digest(version, file) is None:
            return None
        server = self.server(version)
        server.call("SAVE")
        saved = self.folder / "saved.rdb"
        saved.write_bytes((server.folder / "dump.rdb").read_bytes())
        return saved

    def relabel(self, source, to, *options):
        """The finished process, and the file that it was to write."""
        target = self.folder / f"{source.stem}-{to}.rdb"
        target.unlink(missing_ok=True)
        command = [binary(), "relabel", source, "--to", to, "-o", target, *options, "--json"]
        done = subprocess.run([str(word) for word in command], env=clean_environment(), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        return done, target


@functools.cache
def world():
    """The one world."""
    lab = Lab()
    atexit.register(lab.close)
    return World(lab)
