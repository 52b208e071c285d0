"""A page of a list of backups from a catalog of 1,000,000 against one of 10,000, on SQLite and on PostgreSQL.

A catalog is filled by copying a real backup's rows inside the database. Both sizes have the same instances, so that in
the large one each has a hundred times as many backups. Every page is full, and the large catalog's answer is as long as
the small one's.
"""

import base64
import hashlib
import hmac
import json
import random
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import data
from api import SERVER_CORE, requests_per_second
from lab import LabError
from measure import compare
from postgres import Postgres

ROUNDS = 5
SMALL, LARGE = 10_000, 1_000_000
INSTANCES = 200
PAGE = 30
REQUESTS = 20_000  # more than a run sends: a signed one is answered once
HOURS = 40  # of the lists that name a time: an instance has a backup an hour
CONFIG = "".join(f"[dialects.{name}]\nrate = 0\n" for name in ("alibaba", "tencent_v3", "huawei", "ucloud"))
CONFIG += '[log]\nlevel = "warn"\n'
REGION = "ap-guangzhou"  # what the vendors' lists name; the instances are in no region, and so in every one

# Both databases understand all of this. The number of a copy is `i`, which counts from 0; the last copy is the newest.
COPIES = "WITH RECURSIVE copy (i) AS (SELECT CAST({first} AS BIGINT) UNION ALL SELECT i + 1 FROM copy WHERE i < {last})"
INSTANCE = f"'r-' || CAST(1000 + i % {INSTANCES} AS TEXT)"
BACKUP = "'01990000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT)"
NUMBER, JOB, PART = (f"10000000 + 3 * i + {place}" for place in range(3))
STEP = 3_600_000_000 // INSTANCES  # microseconds from one copy to the next
CHUNK = 100_000  # copies in a statement
# Both databases hold the counts up to date by triggers. A million changes of few counts take PostgreSQL minutes.
PLACE = ("project", "region", "zone", "replica_zone")
KIND = f"account, instance, instance_name, {', '.join(PLACE)}, mode, state"
FOUND = ", ".join(["b.account, b.instance, b.instance_name", *(f"COALESCE(b.{name}, '')" for name in PLACE), "b.mode"])
TALLY = (
    "DELETE FROM backup_tally", "DELETE FROM job_tally",
    f"INSERT INTO backup_tally ({KIND}, backups, bytes) SELECT {FOUND}, b.state, COUNT(*), SUM(bytes) FROM backup b "
    "JOIN (SELECT backup, SUM(size) AS bytes FROM part GROUP BY backup) AS sized ON sized.backup = b.id "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
    f"INSERT INTO job_tally ({KIND}, kind, jobs) SELECT {FOUND}, j.state, j.kind, COUNT(*) "
    "FROM job j JOIN backup b ON b.id = j.backup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10")


def run(lab):
    """The rows of both databases."""
    source = lab.redis()
    data.one_string(source)
    rows = []
    for database in (Sqlite, Shared):
        small, large = (Filled(lab, source, database, size) for size in (SMALL, LARGE))
        rows += [_row(f"a page {what}, {database.name}", asked, small, large) for what, asked in LISTS.items()]
        for filled in (small, large):
            filled.keystow.discard()
    return rows


def _row(what, asked, small, large):
    """Milliseconds a page, asked for by one client that waits for each. The first pair warms the caches."""
    ours, theirs = [], []
    for _ in range(ROUNDS + 1):
        for filled, times in ((small, theirs), (large, ours)):
            times.append(1000 / requests_per_second(filled.keystow.api, filled.requests(asked), connections=1))
    return compare(what, ours[1:], theirs[1:], 1.2, " ms")


class Sqlite:
    """The catalog in its own file. No server gathers statistics there, so none are gathered here."""

    name, setting = "SQLite", ""

    def __init__(self, _lab, data_dir):
        self._file = data_dir / "catalog.db"

    def columns(self, table):
        """The names of a table's columns."""
        with closing(sqlite3.connect(self._file)) as catalog:
            return [name for name, in catalog.execute("SELECT name FROM pragma_table_info(?)", (table,))]

    def change(self, statements):
        """Change it, while no server has it open."""
        with closing(sqlite3.connect(self._file)) as catalog:
            catalog.execute("PRAGMA synchronous = OFF")
            for statement in statements:
                catalog.execute(statement)
                catalog.commit()
            catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def mib(self):
        """The room that it takes."""
        return self._file.stat().st_size >> 20


class Shared:
    """A catalog in a PostgreSQL of its own."""

    name = "PostgreSQL"

    def __init__(self, lab, _data_dir):
        self._postgres = Postgres(lab.dir("postgres"))
        lab.callback(self._postgres.stop)
        self.setting = f'[catalog]\nurl = "{self._postgres.url}"\n'

    def columns(self, table):
        """The names of a table's columns."""
        return self._postgres.sql(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'")

    def change(self, statements):
        """Change it without its triggers, and do what autovacuum does in time."""
        for statement in statements:
            self._postgres.sql(f"SET session_replication_role = replica; {statement}")
        self._postgres.sql("VACUUM ANALYZE")

    def mib(self):
        """The room that it takes."""
        return int(self._postgres.sql("SELECT pg_database_size(current_database()) >> 20")[0])


class Filled:
    """A server with so many backups."""

    def __init__(self, lab, source, database, size):
        data_dir = lab.dir(f"keystow-{size}")
        self._folder, self.size = lab.dir("requests"), size
        self._catalog = database(lab, data_dir)
        config = self._folder / "keystow.toml"
        config.write_text(CONFIG + self._catalog.setting)
        keystow = lab.keystow("--config", str(config), data_dir=data_dir)
        keystow.cli("instance", "add", source.url, "--id", "r-seed")
        keystow.json("backup", "create", "r-seed", "--wait")
        self.key = keystow.admin()
        keystow.stop()
        self._fill()
        self.keystow = lab.keystow("--config", str(config), data_dir=data_dir, prefix=SERVER_CORE)
        print(f"  {size:,} backups on {database.name}: {self._catalog.mib()} MiB of catalog", flush=True)

    def _fill(self):
        moments = {name: f"{name} - ({self.size} - i) * {STEP}" for name in ("created_at", "started_at", "ended_at")}
        parts = f"""replace(parts, '"number":' || (SELECT MIN(number) FROM part), '"number":' || ({PART}))"""
        backup = {"id": BACKUP, "number": NUMBER, "job": JOB, "instance": INSTANCE, "instance_name": INSTANCE,
                  "parts": parts, **moments}
        job = {"number": JOB, "backup": BACKUP, "instance": INSTANCE, **moments}
        self._catalog.change([
            *self._copies("instance", "id = 'r-seed'", INSTANCES, {"id": INSTANCE, "name": INSTANCE}),
            *self._copies("backup", "number < 10000000", self.size, backup),
            *self._copies("part", "number < 10000000", self.size, {"number": PART, "backup": BACKUP}),
            *self._copies("job", "number < 10000000", self.size, job),
            "UPDATE sequence SET last = 20000000", *TALLY])

    def _copies(self, table, seed, count, changes):
        """Statements that each make a chunk of the copies of a table's row."""
        columns = self._catalog.columns(table)
        values = ", ".join(changes.get(column, column) for column in columns)
        for first in range(0, count, CHUNK):
            copies = COPIES.format(first=first, last=min(first + CHUNK, count) - 1)
            yield (f"INSERT INTO {table} ({', '.join(columns)}) {copies} "
                   f"SELECT {values} FROM (SELECT * FROM {table} WHERE {seed}) AS seed, copy")

    def requests(self, what):
        """A file of freshly signed requests for pages of instances chosen at random, after a look at one answer."""
        path, headers = what.ask(self, "r-1000")
        request = urllib.request.Request(self.keystow.server + path, headers=headers)
        found = what.read(json.load(urllib.request.urlopen(request)))
        if found != (what.total(self.size), PAGE):
            raise LabError(f"not the list that is to be measured: {found[0]} backups, {found[1]} of them shown")
        file = self._folder / "requests"
        with open(file, "wb") as out:
            for _ in range(REQUESTS):
                path, headers = what.ask(self, f"r-{1000 + random.randrange(INSTANCES)}")
                head = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.keystow.api}"]
                head += [f"{name}: {value}" for name, value in headers.items()]
                out.write(b"%d\n%b" % (len(text := ("\r\n".join(head) + "\r\n\r\n").encode()), text))
        return file


@dataclass(frozen=True)
class What:
    """A list: how to ask for an instance's page, how to read (total, rows), and the total for a size of catalog."""

    ask: Callable
    read: Callable
    total: Callable


def _native(query):
    def ask(filled, instance):
        key = base64.b64encode(":".join(filled.key).encode()).decode()
        return f"/api/v1/backups?limit={PAGE}{query.format(instance)}", {"Authorization": f"Basic {key}"}
    return ask


def _describe_backups(filled, instance):
    """Alibaba's DescribeBackups, signed with HMAC-SHA1: a page of the last hours, with links."""
    key_id, secret = filled.key
    now = datetime.now(timezone.utc)
    parameters = {
        "Action": "DescribeBackups", "Version": "2015-01-01", "Format": "JSON", "AccessKeyId": key_id,
        "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": str(random.getrandbits(64)),
        "Timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}", "InstanceId": instance, "PageSize": PAGE,
        "StartTime": f"{now - timedelta(hours=HOURS, minutes=30):%Y-%m-%dT%H:%MZ}", "EndTime": f"{now:%Y-%m-%dT%H:%MZ}"}
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in sorted(parameters.items()))
    digest = hmac.digest(f"{secret}&".encode(), f"GET&%2F&{quote(query, safe='')}".encode(), hashlib.sha1)
    return f"/?{query}&Signature={quote(base64.b64encode(digest), safe='')}", {}


def _jobs(filled, _instance):
    _, headers = _native("")(filled, "")
    return f"/api/v1/jobs?limit={PAGE}", headers


def _describe_instance_backups(filled, _instance):
    """Tencent's DescribeInstanceBackups, signed with HmacSHA1: a page of a whole region."""
    key_id, secret = filled.key
    parameters = {
        "Action": "DescribeInstanceBackups", "Version": "2018-04-12", "Region": REGION, "Limit": PAGE, "Offset": 0,
        "SecretId": key_id, "Nonce": random.getrandbits(31), "Timestamp": int(datetime.now(timezone.utc).timestamp())}
    text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    digest = hmac.digest(secret.encode(), f"GET127.0.0.1:{filled.keystow.api}/?{text}".encode(), hashlib.sha1)
    return f"/?{text}&Signature={quote(base64.b64encode(digest), safe='')}", {}


def _list_backups(filled, instance):
    """Huawei's ListBackups, signed with SDK-HMAC-SHA256."""
    key_id, secret = filled.key
    path, query = "/v3/default/backups", f"instance_id={instance}&limit={PAGE}"
    date = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
    host = f"127.0.0.1:{filled.keystow.api}"
    headers = f"host:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date"
    canonical = f"GET\n{path}/\n{query}\n{headers}\n{hashlib.sha256().hexdigest()}"
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    authorization = f"SDK-HMAC-SHA256 Access={key_id}, SignedHeaders=host;x-sdk-date, Signature={signature}"
    return f"{path}?{query}", {"X-Sdk-Date": date, "Authorization": authorization}


def _describe_uredis_backup(filled, instance):
    """UCloud's DescribeURedisBackup, signed with SHA-1."""
    key_id, secret = filled.key
    parameters = {"Action": "DescribeURedisBackup", "Region": "cn-gd", "GroupId": instance, "Limit": PAGE, "Offset": 0,
                  "PublicKey": key_id}
    text = "".join(f"{name}{value}" for name, value in sorted(parameters.items()))
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in sorted(parameters.items()))
    return f"/?{query}&Signature={hashlib.sha1(f'{text}{secret}'.encode()).hexdigest()}", {}


def _rows_of(total, *way):
    """Reads an answer: its total, and the rows that lie that way."""
    def read(answer):
        answer = answer.get("Response", answer)
        rows = answer
        for name in way:
            rows = rows[name]
        return answer[total], len(rows)
    return read


LISTS = {
    "of all backups": What(_native(""), _rows_of("total", "backups"), lambda size: size + 1),
    "of an instance": What(_native("&instance={}"), _rows_of("total", "backups"), lambda size: size // INSTANCES),
    "of all jobs": What(_jobs, _rows_of("total", "jobs"), lambda size: size + 1),
    "by DescribeBackups": What(_describe_backups, _rows_of("TotalCount", "Backups", "Backup"), lambda _: HOURS),
    "by DescribeInstanceBackups": What(
        _describe_instance_backups, _rows_of("TotalCount", "BackupSet"), lambda size: size + 1),
    "by ListBackups": What(_list_backups, _rows_of("total_count", "backups"), lambda size: size // INSTANCES),
    "by DescribeURedisBackup": What(
        _describe_uredis_backup, _rows_of("TotalCount", "DataSet"), lambda size: size // INSTANCES),
}
