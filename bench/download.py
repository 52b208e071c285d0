"""Delivering a backup by link, against nginx with secure_link and sendfile, both on core 0, the client on core 1.

Then the memory that many downloads take together.
"""

import base64
import grp
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import data
import readers
from lab import ROOT, LabError, free_port, sha256, stop, wait_until
from measure import compare, cpu_seconds

ROUNDS = 5
LARGE_REPEATS = 4  # downloads per measurement: CPU is counted in ticks of 10 ms
WRK_SECONDS = 3
SERVER_CORE, CLIENT_CORE = ("taskset", "-c", "0"), ("taskset", "-c", "1")
HERE = Path(__file__).resolve().parent
SECRET = "bench"


class Nginx:
    """An nginx of our own that serves one folder by signed links."""

    def __init__(self, folder, root):
        self.port = free_port()
        user = f"user {pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name};"
        text = (HERE / "nginx.conf").read_text().format(
            user=user if os.getuid() == 0 else "", folder=folder, port=self.port, root=root, secret=SECRET)
        config = folder / "nginx.conf"
        config.write_text(text)
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        self.process = subprocess.Popen([*SERVER_CORE, program, "-c", str(config), "-e", "stderr"])
        wait_until((folder / "nginx.pid").exists, 10, "nginx")

    def link(self, name):
        """A signed link to a file."""
        expires = int(time.time()) + 3600
        digest = hashlib.md5(f"{expires}/{name} {SECRET}".encode()).digest()
        md5 = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return f"http://127.0.0.1:{self.port}/{name}?md5={md5}&expires={expires}"

    def stop(self):
        """End it."""
        stop(self.process)


def run(lab):
    """The rows for the large and the small file, and for many readers at once."""
    keystow = lab.keystow(prefix=SERVER_CORE)
    root = lab.dir("www")
    ours = {name: _publish(lab, keystow, root, name, fill)
            for name, fill in (("large", data.strings), ("small", data.one_string))}
    nginx = Nginx(lab.dir("nginx"), root)
    lab.callback(nginx.stop)
    theirs = {name: nginx.link(f"{name}.rdb") for name in ours}
    sink = _build_sink()
    for url in (*ours.values(), *theirs.values()):
        _download(sink, url)
    return [*_large(sink, keystow, ours["large"], nginx, theirs["large"]), _small(ours["small"], theirs["small"]),
            *readers.run(lab)]


def _publish(lab, keystow, root, name, fill):
    """Back up a data set, put the same bytes where nginx finds them, and return Keystow's link."""
    redis = lab.redis("--rdbcompression", "no", "--repl-diskless-sync-delay", "0")
    fill(redis)
    keystow.cli("instance", "add", redis.url, "--id", name)
    backup = keystow.json("backup", "create", name, "--wait")
    redis.stop()
    file = root / f"{name}.rdb"
    keystow.cli("fetch", backup["id"], "-o", file)
    if sha256(file) != backup["parts"][0]["sha256"]:
        raise LabError("the two servers would not deliver the same bytes")
    print(f"  {name} file: {file.stat().st_size} bytes", flush=True)
    return keystow.json("link", "create", backup["id"], "--ttl", "6h", "--network", "public")["links"][0]["url"]


def _build_sink():
    """The client that throws bytes away inside the kernel."""
    program = ROOT / ".tools" / "sink"
    program.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-o", str(program), str(HERE / "sink.c")], check=True)
    return str(program)


def _download(sink, url):
    """(bytes, seconds) of one download."""
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    out = subprocess.run([*CLIENT_CORE, sink, parts.hostname, str(parts.port), path],
                         check=True, capture_output=True, text=True).stdout.split()
    return int(out[0]), float(out[1])


def _measure_large(sink, pid, url):
    """(CPU seconds per GiB of the server, MB/s)."""
    before = cpu_seconds(pid)
    sizes, seconds = zip(*(_download(sink, url) for _ in range(LARGE_REPEATS)))
    cpu = cpu_seconds(pid) - before
    return cpu / sum(sizes) * (1 << 30), sum(sizes) / sum(seconds) / 1e6


def _large(sink, keystow, our_url, nginx, their_url):
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(_measure_large(sink, nginx.process.pid, their_url))
        ours.append(_measure_large(sink, keystow.process.pid, our_url))
    (our_cpu, our_rate), (their_cpu, their_rate) = zip(*ours), zip(*theirs)
    # "Within the spread": our median may lie as low as the slowest of the peer's runs.
    floor = min(their_rate) / sorted(their_rate)[len(their_rate) // 2]
    return [compare("download CPU per GiB, 1 GB", our_cpu, their_cpu, 1.0, " s"),
            compare("download rate, 1 GB", our_rate, their_rate, round(floor, 2), " MB/s", at_least=True)]


def _small(our_url, their_url):
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(_requests_per_second(their_url))
        ours.append(_requests_per_second(our_url))
    return compare("signed link, 4 KiB, keep-alive", ours, theirs, 1.05, "/s", at_least=True)


def _requests_per_second(url):
    out = subprocess.run([*CLIENT_CORE, "wrk", "-t1", "-c64", f"-d{WRK_SECONDS}s", url],
                         check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise LabError(f"wrk saw errors:\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
