"""Redis and Valkey servers of our own on free ports of 127.0.0.1, and a very small client of them."""

import fcntl
import os
import random
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import servers


class LabError(Exception):
    """Something that the laboratory needs did not work."""


class ReplyError(LabError):
    """A Redis server answered with an error."""


class _Ports:
    """Which ports were given out, by this process and, as locked bytes of a file, by every other."""

    def __init__(self):
        self._file, self._ours = None, set()

    def take(self, port):
        """Whether the port was nobody's; it is ours from now on."""
        if self._file is None:
            self._file = open(Path(tempfile.gettempdir()) / f"keystow-ports-{os.getuid()}", "ab")
        if port in self._ours:
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self._ours.add(port)
        return True

    def give_back(self):
        """Ports of servers that have long ended; those that still run are found to be in use."""
        self._ours.clear()


_ports = _Ports()


def free_port():
    """A port of 127.0.0.1 that nobody uses now, below those that the kernel gives to outgoing connections."""
    for _ in range(1000):
        port = random.randrange(15000, 32000)
        if not _ports.take(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    _ports.give_back()
    return free_port()


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


def stop(process, grace=60):
    """End a child of ours: SIGTERM first, SIGKILL after the grace period."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Resp:
    """A very small Redis client; over TLS if it gets a context for that."""

    def __init__(self, port, tls=None):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
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
    """A redis-server of our own: the one on the PATH, or a `version` that tools/servers.py knows.

    With a `certificate` (of tools/certificate.py) it speaks TLS only; clients need not show one, unless the options
    have `--tls-auth-clients yes`. As a `cluster` node it still belongs to no cluster. With a file for `sentinel` it is one.
    """

    def __init__(self, folder, *options, dump=None, version=None, certificate=None, cluster=False, sentinel=None):
        self.folder = Path(folder)
        self.version = version
        self._tls = None
        if certificate:
            options = (*certificate.server_options(), *options)
            self._tls = ssl.create_default_context(cafile=certificate.ca)
            self._tls.load_cert_chain(certificate.cert, certificate.key)
        if dump:
            shutil.copyfile(dump, self.folder / "dump.rdb")
        program = [servers.program(version)] if version else ["redis-server", "--enable-debug-command", "yes"]
        for _ in range(5):
            self.port = free_port()
            if sentinel:
                program = ["redis-server", str(sentinel), "--sentinel"]
            ports = ["--port", "0", "--tls-port"] if certificate else ["--port"]
            command = [*program, *ports, str(self.port), "--bind", "127.0.0.1",
                       "--dir", str(self.folder), "--daemonize", "no", *(() if sentinel else ("--save", "")),
                       *(self._cluster_options() if cluster else ()), *options]
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
                self._client = self.connect()
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

    def _cluster_options(self):
        """Options of a node; before 7.0 its bus listens 10,000 ports above."""
        bus = () if self.version == "redis-6.2" else ("--cluster-port", str(free_port()))
        return ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *bus)

    @property
    def url(self):
        """The address as `keystow instance add` takes it."""
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}"

    def connect(self):
        """A connection of one's own."""
        return Resp(self.port, self._tls)

    def field(self, name):
        """A field of INFO, as text; empty if there is none."""
        lines = self.call("INFO").decode().split("\r\n")
        return next((line.partition(":")[2] for line in lines if line.startswith(f"{name}:")), "")

    def follow(self, primary):
        """Become a replica of another one, and wait until the link is up."""
        self.call("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: self.field("master_link_status") == "up", 60, "the replica's link")

    def call(self, *words):
        """Run one command."""
        return self._client.call(*words)

    def pipe(self, commands):
        """Run many commands, encoded by `Resp.encode`, at full speed."""
        self._client.pipe(commands)

    def loading(self):
        """Is the server still reading its file?"""
        return b"loading:1" in (self.call("INFO", "persistence") or b"")

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
