"""Encrypted and compressed backups: a download against `age -d | zstd -d` of the same object, and a capture with zstd."""

import subprocess
import time

import capture
import data
from lab import LabError
from measure import bound, compare, peak_mib

ROUNDS = 5
MIB_PER_SECOND = " MB/s"


def configured(lab, compression, encryption, verify="auto"):
    """The flags of a server that stores backups so."""
    file = lab.dir("config") / "keystow.toml"
    file.write_text(f'[repository]\ncompression = "{compression}"\nencryption = "{encryption}"\nverify = "{verify}"\n')
    return "--config", str(file)


def run(lab):
    """The rows of the download, then those of the captures."""
    redis = lab.redis(*capture.SOURCE)
    data.strings(redis)
    rows = _downloads(lab, redis)
    rows += _captures(lab, redis, "strings, 1 GB")
    redis.stop()
    mixed = lab.redis(*capture.SOURCE)
    data.small_mixed(mixed)
    rows += _captures(lab, mixed, "small mixed keys")
    mixed.stop()
    return rows


def _downloads(lab, redis):
    """Both sides throw the plain bytes away."""
    keystow = lab.keystow(*configured(lab, "zstd", "age"))
    keystow.cli("instance", "add", redis.url, "--id", "bench")
    backup = keystow.json("backup", "create", "bench", "--wait")
    size = backup["parts"][0]["size_bytes"]
    (stored,) = (keystow.data_dir / "repository").rglob("0.rdb.zst.age")
    print(f"  {size} bytes, stored as {stored.stat().st_size}", flush=True)
    identity = lab.folder / "repository.txt"
    with identity.open("wb") as file:
        subprocess.run(["age", "-d", "-i", keystow.data_dir / "node.identity",
                        keystow.data_dir / "repository/keys/1.age"], stdout=file, check=True)
    url = keystow.json("link", "create", backup["id"], "--ttl", "6h", "--network", "public")["links"][0]["url"]
    ours, theirs = [], []
    for _ in range(ROUNDS + 1):
        theirs.append(size / _stock(identity, stored) / 1e6)
        ours.append(size / _download(url, size) / 1e6)
    peak = peak_mib(keystow.process.pid)
    keystow.discard()
    # The first pair warms the caches.
    return [compare("encrypted download, 1 GB", ours[1:], theirs[1:], 0.9, MIB_PER_SECOND, at_least=True),
            bound("memory with it", [peak], 128, " MiB")]


def _stock(identity, stored):
    """Seconds of `age -d | zstd -d` into nothing."""
    began = time.monotonic()
    with subprocess.Popen(["age", "-d", "-i", identity, stored], stdout=subprocess.PIPE) as age:
        done = subprocess.run(["zstd", "-d", "-q", "-c"], stdin=age.stdout, stdout=subprocess.DEVNULL, check=False)
        age.stdout.close()
    if done.returncode or age.returncode:
        raise LabError("age -d | zstd -d failed")
    return time.monotonic() - began


def _download(url, size):
    """Seconds of a whole download into nothing."""
    began = time.monotonic()
    out = subprocess.run(["curl", "-sf", "-o", "/dev/null", "-w", "%{size_download}", url],
                         check=True, capture_output=True, text=True).stdout
    if int(out) != size:
        raise LabError(f"{out} of {size} bytes came")
    return time.monotonic() - began


def _captures(lab, redis, name):
    """With zstd alone: proven as it is by default, and by the hash of what was written."""
    theirs, proven, hashed = [], [], []
    for _ in range(ROUNDS):
        theirs.append(capture.redis_cli(lab, redis)[0])
        hashed.append(capture.keystow(lab, redis, *configured(lab, "zstd", "off", "hash"))[0])
        proven.append(capture.keystow(lab, redis, *configured(lab, "zstd", "off"))[0])
    return [compare(f"capture wall with zstd, {name}", hashed, theirs, 1.15, " s"),
            compare(f"the same, read back, {name}", proven, theirs, 1.15, " s")]
