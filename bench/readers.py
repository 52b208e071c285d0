"""Memory of a server that delivers a large part to many slow readers at once."""

import selectors
import socket
import time
from urllib.parse import urlsplit

import data
from lab import LabError
from measure import bound, peak_mib

READERS = 200
STRINGS = 100_000  # of 1 KiB
PIECE = 64 << 10  # what a reader takes at a time
PAUSE = 0.1  # between two pieces, in seconds
SECONDS = 5
RECEIVE = 64 << 10  # a reader's receive buffer: what it has not taken waits at the server


def run(lab):
    """One row: the largest resident size of a server that does nothing but these downloads."""
    redis = lab.redis("--rdbcompression", "no")
    data.strings(redis, STRINGS)
    keystow = lab.keystow()
    keystow.cli("instance", "add", redis.url, "--id", "readers")
    backup = keystow.json("backup", "create", "readers", "--wait")
    redis.stop()
    # What the capture took does not count.
    keystow.stop()
    keystow.start()
    url = keystow.json("link", "create", backup["id"], "--ttl", "1h", "--network", "public")["links"][0]["url"]
    _read(url, backup["parts"][0]["size_bytes"])
    peak = peak_mib(keystow.process.pid)
    keystow.discard()
    return [bound(f"memory, {READERS} slow downloads of 100 MB", [peak], 128, " MiB")]


def _read(url, size):
    """All readers take a piece now and then, so that every download is still under way at the end."""
    parts = urlsplit(url)
    request = f"GET {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
    with selectors.DefaultSelector() as selector:
        readers = [_connect(parts, request.encode()) for _ in range(READERS)]
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        got = dict.fromkeys(readers, 0)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for key, _ in selector.select(PAUSE):
                got[key.fileobj] += _take(key.fileobj, first=not got[key.fileobj])
            time.sleep(PAUSE)
        if not all(0 < taken < size for taken in got.values()):
            raise LabError(f"not every download is under way: {min(got.values())} to {max(got.values())} bytes")
        print(f"  {READERS} downloads under way, {max(got.values())} of {size} bytes taken at most", flush=True)
        for reader in readers:
            reader.close()


def _connect(parts, request):
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE)
    reader.connect((parts.hostname, parts.port))
    reader.sendall(request)
    reader.setblocking(False)
    return reader


def _take(reader, first):
    """The size of a piece."""
    piece = reader.recv(PIECE)
    if not piece or first and not piece.startswith(b"HTTP/1.1 200 "):
        raise LabError(f"a download ended early: {piece[:80]}")
    return len(piece)
