#!/bin/sh
# Install what a task needs and this machine lacks. Usage: tools/setup.sh [rust] [redis] [postgres] [servers] [sdk] [bench] [fuzz]
set -eu

cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

say() { printf '==> %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif have sudo; then sudo "$@"; else
        die "cannot run '$*': neither root nor sudo"
    fi
}

install() {
    have apt-get || die "please install: $*"
    say "installing $*"
    as_root apt-get update -qq >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need PROGRAM PACKAGE: install the package if its program is not there.
need() {
    have "$1" || install "$2"
}

rust() {
    have cargo || die "cargo is missing: install Rust with rustup"
    need cc gcc
    for part in fmt clippy; do
        cargo "$part" --version >/dev/null 2>&1 && continue
        have rustup || die "cargo $part is missing"
        say "installing cargo $part"
        case $part in fmt) rustup component add rustfmt ;; *) rustup component add clippy ;; esac
    done
}

redis() {
    need redis-server redis-server
    need redis-cli redis-tools
    need age age
    need zstd zstd
}

# PostgreSQL, for catalogs of several nodes. Debian keeps its programs off the PATH.
postgres() {
    for program in initdb /usr/lib/postgresql/*/bin/initdb; do
        have "$program" && return 0
    done
    install postgresql
}

need_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or later is needed"
    "$python" -m pip --version >/dev/null 2>&1 || install python3-pip
}

# Redis and Valkey of many versions, in .tools/servers.
servers() {
    redis
    need_python
    "$python" -B tools/servers.py
}

# The vendors' SDKs, in an environment of their own in .tools/py; renewed when their list or Python changes.
# OpenSSL makes the certificates of the tests.
sdk() {
    need openssl openssl
    wanted="$("$python" --version) $(cksum <tools/requirements.txt)"
    [ "$(cat .tools/py/.installed 2>/dev/null)" = "$wanted" ] && return 0
    need_python
    say "installing the vendors' SDKs into .tools/py"
    rm -rf .tools/py
    "$python" -m venv --without-pip .tools/py
    "$python" -m pip --python .tools/py/bin/python install --quiet --no-compile --disable-pip-version-check \
        --root-user-action=ignore --requirement tools/requirements.txt
    printf '%s\n' "$wanted" >.tools/py/.installed
}

bench() {
    PATH=$PATH:/usr/sbin
    need nginx nginx
    need wrk wrk
    need taskset util-linux
    need cc gcc
}

fuzz() {
    cargo fuzz --version >/dev/null 2>&1 && return 0
    say "installing cargo-fuzz"
    cargo install --quiet --locked cargo-fuzz
}

[ $# -gt 0 ] || set -- rust postgres servers sdk bench fuzz
for part in "$@"; do
    case $part in
        rust | redis | postgres | servers | sdk | bench | fuzz) "$part" ;;
        *) die "unknown part: $part" ;;
    esac
done
