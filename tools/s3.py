"""S3 servers of our own on free ports of 127.0.0.1, and a proxy before them that does what networks and bad stores do.

Two kinds: `s3s`, the example `s3_server` of the engine, and `rclone`, which ignores conditions. A bucket is a folder; keys are long because rclone refuses short ones.
"""

import http.client
import os
import random
import socket
import struct
import subprocess
import threading
from pathlib import Path

from redisserver import LabError, free_port, stop, wait_until

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("s3s", "rclone")
KEY, SECRET, BUCKET = "AKkeystowtests", "SKkeystowtests0123456789", "backups"


def _command(kind, port, folder):
    if kind == "rclone":
        program = ROOT / ".tools" / "py" / "bin" / "rclone"
        words = ["serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}", str(folder)]
    else:
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        program = target / "debug" / "examples" / "s3_server"
        words = [f"127.0.0.1:{port}", str(folder), KEY, SECRET]
    if not program.exists():
        raise LabError(f"{program} does not exist: run `make stores`")
    return [str(program), *words]


class Store:
    """A server with one bucket."""

    def __init__(self, lab, kind):
        self.kind = kind
        self.folder = lab.dir(kind)
        self.bucket = self.folder / BUCKET
        self.bucket.mkdir()
        self.secret_file = lab.dir("secret") / "store"
        self.secret_file.write_text(SECRET + "\n")
        self.port = free_port()
        self._log = open(lab.dir("log") / kind, "wb")
        self._lab = lab
        self.start()
        lab.callback(self._log.close)
        lab.callback(self.stop)

    def start(self):
        """Start it, again on the same port."""
        self.process = subprocess.Popen(_command(self.kind, self.port, self.folder), stdout=self._log,
                                        stderr=self._log, env=dict(os.environ, RCLONE_CONFIG="/dev/null"))
        wait_until(self._listens, 30, f"{self.kind} to listen")

    def _listens(self):
        if self.process.poll() is not None:
            raise LabError(f"{self.kind} ended: {self.process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """End it; what it holds stays."""
        stop(self.process)

    def config(self, port=None, **more):
        """A configuration file whose repository is here, or behind a proxy's port; `more` is links__mode and such."""
        url = f"s3://{BUCKET}/pre/fix?endpoint=http://127.0.0.1:{port or self.port}"
        settings = {"repository.url": url, "repository.access_key_id": KEY,
                    "repository.secret_file": str(self.secret_file)}
        settings |= {name.replace("__", "."): value for name, value in more.items()}
        file = self._lab.dir("config") / "keystow.toml"
        file.write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))
        return file

    def objects(self):
        """The names of all objects, sorted."""
        while True:
            try:
                files = [path for path in self.bucket.rglob("*") if path.is_file()]
                return sorted(str(path.relative_to(self.bucket)) for path in files)
            except FileNotFoundError:  # A folder went meanwhile.
                continue

    def leftovers(self):
        """What unfinished uploads left beside the buckets; rclone has them in memory."""
        return [path.name for path in self.folder.iterdir() if path.name.startswith(".upload")]


class Proxy:
    """Stands before a store. `harm(method, path)` names what happens to a request; None = nothing.

    `500`, `503`, `denied`: that answer. `reset`: the connection breaks amid the request. `lost`: it is done, but the answer is lost.
    `truncate`: half of the answer. `lie`: 200 with an error in the body. `forget`: 200, and nothing was done. `stall`: no answer.
    """

    def __init__(self, lab, store, harm):
        self.store, self.harm = store, harm
        self.done = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        lab.callback(self._listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            with client, client.makefile("rb") as incoming:
                while self._exchange(client, incoming):
                    pass
        except (OSError, http.client.HTTPException, ValueError):
            pass

    def _exchange(self, client, incoming):
        line = incoming.readline()
        if not line:
            return False
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while (header := incoming.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        harm = self.harm(method, path)
        if harm:
            self.done.append((harm, method, path))
        if harm == "reset":
            incoming.read(length // 2)
            return _reset(client)
        body = incoming.read(length)
        if harm == "stall":
            client.settimeout(150)
            incoming.read(1)
            return False
        if harm in ("500", "503", "denied", "lie", "forget"):
            return _answer(client, harm)
        status, reason, answered, content = self._forward(method, path, headers, body)
        if harm == "lost":
            return _reset(client)
        head = [f"HTTP/1.1 {status} {reason}"]
        head += [f"{name}: {value}" for name, value in answered
                 if name.lower() not in ("transfer-encoding", "content-length", "connection")]
        size = next((value for name, value in answered if name.lower() == "content-length"), None)
        if status != 204:
            head.append(f"content-length: {size if method == 'HEAD' and size else len(content)}")
        if harm == "truncate":
            content = content[:len(content) // 2]
        client.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content)
        return False if harm == "truncate" else True

    def _forward(self, method, path, headers, body):
        server = http.client.HTTPConnection("127.0.0.1", self.store.port, timeout=120)
        try:
            server.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                server.putheader(name, value)
            server.endheaders(body or None)
            answer = server.getresponse()
            return answer.status, answer.reason, answer.getheaders(), answer.read()
        finally:
            server.close()


def _reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _answer(client, harm):
    status, code = {"500": ("500 Internal Server Error", "InternalError"), "503": ("503 Slow Down", "SlowDown"),
                    "denied": ("403 Forbidden", "AccessDenied"), "lie": ("200 OK", "InternalError"),
                    "forget": ("200 OK", None)}[harm]
    body = f"<Error><Code>{code}</Code><Message>by the proxy</Message></Error>" if code else (
        "<CompleteMultipartUploadResult><ETag>\"0\"</ETag></CompleteMultipartUploadResult>")
    client.sendall(f"HTTP/1.1 {status}\r\netag: \"0\"\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    return True


def at_random(chance, rate):
    """A harm that strikes that share of all requests, in every way that a store or a network has."""
    lock = threading.Lock()

    def harm(method, path):
        with lock:
            if chance.random() >= rate:
                return None
            kinds = ["500", "503", "reset", "lost"]
            if method == "GET":
                kinds.append("truncate")
            if method == "POST" and "uploadId=" in path:
                kinds.append("lie")
            return chance.choice(kinds)

    return harm


def once(wanted, kind):
    """A harm that strikes the first request that `wanted(method, path)` picks."""
    struck = threading.Event()

    def harm(method, path):
        if not struck.is_set() and wanted(method, path):
            struck.set()
            return kind
        return None

    return harm


def seeded():
    """A source of chance whose seed is printed, so that a failure can be played again."""
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"  SEED={seed}", flush=True)
    return random.Random(seed)
