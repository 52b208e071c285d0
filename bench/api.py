"""Signed DescribeBackupUrl calls for random backups, against an axum hello-world that gets the very same requests.

Both servers run on core 0, the client on core 1. The catalog is filled by copying a real backup's rows: an answer
needs the rows and the signing keys, and no file is opened for it.
"""

import hashlib
import hmac
import json
import os
import random
import re
import sqlite3
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

import data
from lab import LabError, free_port, stop, wait_until
from measure import compare

ROUNDS = 5
WRK_SECONDS = 3
SMALL, LARGE = 10_000, 1_000_000
REQUESTS = 100_000  # more than a run sends, so that no cache sees the same backup again and again
INSTANCES = 1_000
SERVER_CORE, CLIENT_CORE = ("taskset", "-c", "0"), ("taskset", "-c", "1")
HERE = Path(__file__).resolve().parent


def run(lab):
    """The rows for both sizes."""
    source = lab.redis()
    data.one_string(source)
    small, large = (Filled(lab, source, size) for size in (SMALL, LARGE))
    hello = Hello(lab)
    ours, ours_small, theirs = [], [], []
    for _ in range(ROUNDS):
        requests = large.requests()
        theirs.append(requests_per_second(hello.port, requests))
        ours.append(requests_per_second(large.keystow.api, requests))
        ours_small.append(requests_per_second(small.keystow.api, small.requests()))
    return [compare(f"signed DescribeBackupUrl, {LARGE:,} backups", ours, theirs, 0.40, "/s", at_least=True),
            compare(f"the same: {SMALL:,} backups against {LARGE:,}", ours_small, ours, 1.2, "/s")]


class Filled:
    """A server with so many backups of a thousand instances."""

    def __init__(self, lab, source, size):
        data_dir = lab.dir(f"keystow-{size}")
        keystow = lab.keystow(data_dir=data_dir)
        keystow.cli("instance", "add", source.url, "--id", "crs-seed")
        keystow.json("backup", "create", "crs-seed", "--wait")
        self.key = keystow.admin()
        keystow.stop()
        self.names = _fill(data_dir / "catalog.db", size)
        config = lab.dir("config") / "keystow.toml"
        config.write_text('[dialects.tencent_v3]\nrate = 0\n[log]\nlevel = "warn"\n')
        self.keystow = lab.keystow("--config", str(config), data_dir=data_dir, prefix=SERVER_CORE)
        self._folder = lab.dir("requests")
        print(f"  {size:,} backups: {(data_dir / 'catalog.db').stat().st_size >> 20} MiB of catalog", flush=True)
        self._try_one()

    def requests(self):
        """A file of freshly signed requests for random backups: a signature is good for five minutes."""
        file = self._folder / "requests"
        with open(file, "wb") as out:
            for instance, backup in random.choices(self.names, k=REQUESTS):
                request = _signed(self.key, self.keystow.api, instance, backup)
                out.write(b"%d\n%b" % (len(request), request))
        return file

    def _try_one(self):
        instance, backup = random.choice(self.names)
        head, _, body = _signed(self.key, self.keystow.api, instance, backup).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        request = urllib.request.Request(f"{self.keystow.server}/", body, headers)
        answer = json.load(urllib.request.urlopen(request))["Response"]
        if not answer.get("DownloadUrl") or backup not in answer["DownloadUrl"][0]:
            raise LabError(f"not the answer that is to be measured: {answer}")


class Hello:
    """The peer, built from crates/keystow/examples/hello.rs."""

    def __init__(self, lab):
        program = Path(os.environ["KEYSTOW_BIN"]).parent / "examples" / "hello"
        self.port = free_port()
        process = subprocess.Popen([*SERVER_CORE, program, f"127.0.0.1:{self.port}"])
        lab.callback(stop, process)
        wait_until(self._answers, 10, "the hello-world")

    def _answers(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/").read()
        except OSError:
            return None


def _fill(path, size):
    """Copy the seed's rows until there are so many backups; (instance, backup) of a sample of them."""
    catalog = sqlite3.connect(path)
    catalog.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
    catalog.row_factory = sqlite3.Row
    seed = {table: catalog.execute(f"SELECT * FROM {table}").fetchone()
            for table in ("instance", "backup", "part", "job")}
    instances = [f"crs-{number:08d}" for number in range(INSTANCES)]
    for instance in instances:
        _copy(catalog, "instance", seed["instance"], id=instance, name=instance)
    number, sample, started = seed["job"]["number"] + 10, [], seed["backup"]["created_at"]
    part, = json.loads(seed["backup"]["parts"])
    for index in range(size - 1):
        instance, backup = instances[index % INSTANCES], _uuid7(index)
        _copy(catalog, "backup", seed["backup"], id=backup, number=number, instance=instance, job=number + 1,
              created_at=started + index, started_at=started + index,
              parts=json.dumps([part | {"number": number + 2}]))
        _copy(catalog, "job", seed["job"], number=number + 1, backup=backup, instance=instance)
        _copy(catalog, "part", seed["part"], number=number + 2, backup=backup)
        number += 3
        sample.append((instance, backup))
    catalog.execute("UPDATE sequence SET last = ?", (number,))
    catalog.commit()
    catalog.executescript("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE;")
    catalog.close()
    return sample


_INSERTS = {}


def _copy(catalog, table, row, **changes):
    columns = row.keys()
    statement = _INSERTS.setdefault(table, f"INSERT INTO {table} ({', '.join(columns)}) "
                                           f"VALUES ({', '.join('?' * len(columns))})")
    catalog.execute(statement, [changes.get(column, row[column]) for column in columns])


def _uuid7(index):
    milliseconds = 1_790_000_000_000 + index
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | random.getrandbits(12) << 64
                         | 2 << 62 | random.getrandbits(62)))


def _signed(key, port, instance, backup):
    """A whole DescribeBackupUrl request, signed with TC3-HMAC-SHA256 as the vendor's SDK does."""
    now = int(time.time())
    date = time.strftime("%Y-%m-%d", time.gmtime(now))
    host, kind = f"127.0.0.1:{port}", "application/json"
    body = json.dumps({"InstanceId": instance, "BackupId": backup}).encode()
    canonical = (f"POST\n/\n\ncontent-type:{kind}\nhost:{host}\n\ncontent-type;host\n"
                 + hashlib.sha256(body).hexdigest())
    scope = f"{date}/redis/tc3_request"
    text = f"TC3-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"TC3{key[1]}".encode()
    for word in (date, "redis", "tc3_request"):
        secret = hmac.digest(secret, word.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    head = ["POST / HTTP/1.1", f"Host: {host}", f"Content-Type: {kind}", f"Content-Length: {len(body)}",
            f"Authorization: TC3-HMAC-SHA256 Credential={key[0]}/{scope}, SignedHeaders=content-type;host, "
            f"Signature={signature}", "X-TC-Action: DescribeBackupUrl", "X-TC-Version: 2018-04-12",
            f"X-TC-Timestamp: {now}", "X-TC-Region: ap-guangzhou"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def requests_per_second(port, requests, connections=64):
    """How often a server answers the requests of a file, one after the other on each connection."""
    out = subprocess.run(
        [*CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{WRK_SECONDS}s", "-s", str(HERE / "api.lua"),
         f"http://127.0.0.1:{port}/", "--", str(requests)],
        check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise LabError(f"wrk saw errors:\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
