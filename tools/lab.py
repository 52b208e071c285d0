"""A throw-away laboratory: real servers on free ports of 127.0.0.1, stopped for certain.

Only the standard library and our list of servers. Everything a `Lab` starts lives in one temporary folder and
ends with it, also after Ctrl-C or SIGTERM:

    with Lab() as lab:
        redis = lab.redis()
        keystow = lab.keystow()
        keystow.cli("instance", "add", redis.url, "--id", "r-demo")
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import topology
from redisserver import LabError, Redis, ReplyError, Resp, free_port, stop, wait_until

__all__ = ["ROOT", "Keystow", "Lab", "LabError", "Redis", "ReplyError", "Resp", "binary", "clean_environment",
           "free_port", "sha256", "stop", "wait_until"]

ROOT = Path(__file__).resolve().parent.parent


def binary():
    """The keystow program under test: $KEYSTOW_BIN, else the debug build."""
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    path = Path(os.environ.get("KEYSTOW_BIN") or Path(target) / "debug" / "keystow")
    if not path.exists():
        raise LabError(f"{path} does not exist: run `make build`, or set KEYSTOW_BIN")
    return str(path.resolve())


def sha256(path):
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Keystow:
    """A `keystow serve` of our own, and its command line."""

    def __init__(self, data_dir, *options, prefix=(), ca=None, environment=None):
        self.program = binary()
        self.ca = ca
        self.data_dir = Path(data_dir)
        self._options = options
        self._prefix = prefix
        self.environment = environment or {}
        self.process = None
        self.start()

    def start(self):
        """Start the server on free ports and wait until it says `ready`."""
        if self.process and self.process.poll() is None:
            raise LabError("the server is running already")
        self.api, self.download, self.intranet = free_port(), free_port(), free_port()
        command = [*self._prefix, self.program, "serve", "--data-dir", str(self.data_dir)]
        for listener in ("api", "download", "intranet"):
            command += [f"--{listener}", f"127.0.0.1:{getattr(self, listener)}"]
        self.process = subprocess.Popen(
            [*command, *self._options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=clean_environment() | self.environment)
        self.log, ready = [], threading.Event()
        self._listener = threading.Thread(target=self._listen, args=(self.process.stderr, ready), daemon=True)
        self._listener.start()
        ready.wait(180)
        if "ready" not in (line.strip() for line in self.log):
            stop(self.process)
            raise LabError("keystow serve did not become ready:\n" + "".join(self.log))

    def _listen(self, pipe, ready):
        """Keep what the server says on stderr; `ready` is set by that line or by the end."""
        with pipe:
            for line in pipe:
                self.log.append(line)
                if line.strip() == "ready":
                    ready.set()
        ready.set()

    @property
    def server(self):
        """The address of the API: native and of every dialect."""
        return f"https://localhost:{self.api}" if self.ca else f"http://127.0.0.1:{self.api}"

    def admin(self):
        """The first access key: (id, secret)."""
        key = json.loads((self.data_dir / "admin.key").read_text())
        return key["access_key_id"], key["secret"]

    def run(self, *words):
        """Run the command line; the finished process, whatever its exit code."""
        environment = clean_environment()
        environment.update(KEYSTOW_SERVER=self.server, KEYSTOW_DATA_DIR=str(self.data_dir))
        if self.ca:
            environment["SSL_CERT_FILE"] = str(self.ca)
        return subprocess.run([self.program, *map(str, words)], env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=600)

    def cli(self, *words):
        """Run the command line and return what it prints; failure raises.

        Instances are added without the usual policy: its backup could fall due in the middle of a test.
        """
        if words[:2] == ("instance", "add"):
            words += ("--no-policy",)
        done = self.run(*words)
        if done.returncode:
            raise LabError(f"keystow {' '.join(map(str, words))}: exit {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *words):
        """Run the command line with --json and return the value."""
        return json.loads(self.cli(*words, "--json"))

    def kill(self):
        """SIGKILL: no goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """End the server in order; all that it said is in the log then."""
        stop(self.process)
        self._listener.join(10)

    def discard(self):
        """End the server and remove all that it kept."""
        self.stop()
        shutil.rmtree(self.data_dir)


class Lab(ExitStack):
    """Owns a temporary folder and every server started in it; leaving it ends them all."""

    def __init__(self, parent=None):
        super().__init__()
        signal.signal(signal.SIGTERM, _interrupt)
        self.folder = Path(tempfile.mkdtemp(prefix="keystow-lab-", dir=parent))
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def dir(self, name):
        """A new folder in the laboratory."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def redis(self, *options, **more):
        """Start a redis-server, empty or with the contents of an RDB file; it may refuse the file: LabError."""
        redis = Redis(self.dir("redis"), *options, **more)
        self.callback(redis.stop)
        return redis

    def replica(self, primary, *options, **more):
        """Start a replica of a redis-server, in step with it."""
        replica = self.redis(*options, **more)
        replica.follow(primary)
        return replica

    def sentinels(self, primary, **more):
        """Start Sentinels that watch a redis-server and its replicas: a `topology.Sentinels`."""
        return topology.Sentinels(self, primary, **more)

    def cluster(self, *options, **more):
        """Start a cluster that is well: a `topology.Cluster`."""
        return topology.Cluster(self, *options, **more)

    def keystow(self, *options, data_dir=None, prefix=(), ca=None, environment=None):
        """Start a keystow server; `ca` is the authority behind its API's certificate, if it has one."""
        keystow = Keystow(data_dir or self.dir("keystow"), *options, prefix=prefix, ca=ca, environment=environment)
        self.callback(keystow.stop)
        return keystow

    def digest_of(self, dump, version=None):
        """(DEBUG DIGEST, number of keys) of an RDB file, as a fresh redis-server loads it."""
        redis = Redis(self.dir("load"), dump=dump, version=version)
        try:
            return redis.digest(), redis.keys()
        finally:
            redis.stop()


def clean_environment():
    """Our environment without anybody's KEYSTOW_* settings and without proxies for 127.0.0.1."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTOW_")}
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def _interrupt(*_):
    raise KeyboardInterrupt
