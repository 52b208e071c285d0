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
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import servers

ROOT = Path(__file__).resolve().parent.parent


class LabError(Exception):
    """Something that the laboratory needs did not work."""


class ReplyError(LabError):
    """A Redis server answered with an error."""


def binary():
    """The keystow program under test: $KEYSTOW_BIN, else the debug build."""
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    path = Path(os.environ.get("KEYSTOW_BIN") or Path(target) / "debug" / "keystow")
    if not path.exists():
        raise LabError(f"{path} does not exist: run `make build`, or set KEYSTOW_BIN")
    return str(path.resolve())


def free_port():
    """A port of 127.0.0.1 that nobody uses now, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition, seconds, what, pause=0.05):
    """Call `condition` until it answers something true; that answer is returned."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)


def sha256(path):
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stop(process, grace=10):
    """End a child of ours: SIGTERM first, SIGKILL after the grace period."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Resp:
    """A very small Redis client."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def close(self):
        """Hang up."""
        self._reader.close()
        self._socket.close()

    @staticmethod
    def encode(*words):
        """One command as RESP bytes."""
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out.append(b"$%d\r\n%b\r\n" % (len(word), word))
        return b"".join(out)

    def call(self, *words):
        """Send one command and return its reply; bulk strings come back as bytes."""
        self._socket.sendall(self.encode(*words))
        return self._reply()

    def pipe(self, commands):
        """Send many encoded commands, reading their replies meanwhile; an error reply raises."""
        batch, count = [], 0
        for command in commands:
            batch.append(command)
            count += 1
            if count == 1000:
                self._flush(batch, count)
                batch, count = [], 0
        self._flush(batch, count)

    def _flush(self, batch, count):
        if count:
            self._socket.sendall(b"".join(batch))
            for _ in range(count):
                self._reply()

    def _reply(self):
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise LabError("the Redis server hung up")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        raise LabError(f"not a RESP reply: {line!r}")


class Redis:
    """A redis-server of our own: the one on the PATH, or a `version` that tools/servers.py knows."""

    def __init__(self, folder, *options, dump=None, version=None):
        self.folder = Path(folder)
        if dump:
            shutil.copyfile(dump, self.folder / "dump.rdb")
        program = [servers.program(version)] if version else ["redis-server", "--enable-debug-command", "yes"]
        for _ in range(5):
            self.port = free_port()
            command = [*program, "--port", str(self.port), "--bind", "127.0.0.1",
                       "--dir", str(self.folder), "--save", "", "--daemonize", "no", *options]
            with open(self.folder / "redis.log", "wb") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log)
            if self._is_ours():
                return
            stop(self.process)
            log = (self.folder / "redis.log").read_text(errors="replace")
            if "Address already in use" not in log:
                break
        last = "\n".join(log.splitlines()[-12:])
        raise LabError(f"{version or 'redis-server'} does not start{f' with {dump}' if dump else ''}:\n{last}")

    def _is_ours(self):
        """True as soon as this very process answers, False when it ends or another one answers."""
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self._client = Resp(self.port)
                info = self.call("INFO", "server").decode()
                if f"process_id:{self.process.pid}\r\n" in info and not self.loading():
                    return True
                self._client.close()
                if f"process_id:{self.process.pid}\r\n" not in info:
                    return False
            except (OSError, ReplyError):
                pass
            time.sleep(0.02)
        return False

    @property
    def url(self):
        """The address as `keystow instance add` takes it."""
        return f"redis://127.0.0.1:{self.port}"

    def call(self, *words):
        """Run one command."""
        return self._client.call(*words)

    def pipe(self, commands):
        """Run many commands, encoded by `Resp.encode`, at full speed."""
        self._client.pipe(commands)

    def loading(self):
        """Is the server still reading its file?"""
        return b"loading:1" in self.call("INFO", "persistence")

    def digest(self):
        """DEBUG DIGEST: one number over every key, value and database."""
        return self.call("DEBUG", "DIGEST")

    def keys(self):
        """How many keys there are, over all databases."""
        lines = self.call("INFO", "keyspace").decode().split("\r\n")
        return sum(int(line.split("keys=")[1].split(",")[0]) for line in lines if "keys=" in line)

    def stop(self):
        """End the server; nothing is saved."""
        self._client.close()
        stop(self.process)


class Keystow:
    """A `keystow serve` of our own, and its command line."""

    def __init__(self, data_dir, *options, prefix=(), ca=None):
        self.program = binary()
        self.ca = ca
        self.data_dir = Path(data_dir)
        self._options = options
        self._prefix = prefix
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
            stderr=subprocess.PIPE, text=True, env=clean_environment())
        self.log, ready = [], threading.Event()
        threading.Thread(target=self._listen, args=(self.process.stderr, ready), daemon=True).start()
        ready.wait(60)
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
        """Run the command line and return what it prints; failure raises."""
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
        """End the server in order."""
        stop(self.process)

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

    def redis(self, *options, dump=None, version=None):
        """Start a redis-server, empty or with the contents of an RDB file; it may refuse the file: LabError."""
        redis = Redis(self.dir("redis"), *options, dump=dump, version=version)
        self.callback(redis.stop)
        return redis

    def keystow(self, *options, data_dir=None, prefix=(), ca=None):
        """Start a keystow server; `ca` is the authority behind its API's certificate, if it has one."""
        keystow = Keystow(data_dir or self.dir("keystow"), *options, prefix=prefix, ca=ca)
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
