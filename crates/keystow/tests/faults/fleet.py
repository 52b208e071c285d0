"""Two nodes on one PostgreSQL and one bucket. Nodes are killed, the database is stopped hard, the store is full of
errors: whatever is listed is whole, whatever was asked for is there or says why not, and nothing is lost.

Usage: fleet.py KILLS RESTARTS BACKUPS [SEED]. Prints its figures; exit code 1 on any violation.
"""

import base64
import collections
import json
import random
import re
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request

import s3
from kill9 import ATTEMPT, LAYOUT, WITH_BYTES
from lab import Lab, LabError, sha256, wait_until
from postgres import Postgres

# Each source: the host that it is on, keys, bytes of a value, microseconds that it pauses before each key. Those on one
# host take turns, whichever nodes ask; the last is big enough to be stored in several pieces.
SOURCES = {
    "r-small": ("127.0.0.1", 3000, 300, 300),
    "r-medium": ("127.0.0.1", 6000, 500, 120),
    "r-large": ("127.0.0.2", 12000, 1000, 50),
}
LEASE = "2s"
KILLS_IN_A_ROW = (1, 2, 4)  # of the same backups: the next strikes those who put right what the last one did
BOTH = 0.2  # the share of kills that strike both nodes
ERRORS = 0.1  # the share of the store's answers that go wrong
SETTLE_SECONDS = 600
LONGEST_OUTAGE_SECONDS = 10
AWAY_SECONDS, BACK_SECONDS = 8, 6  # a node waits up to 3 s for its database
SWEEPS, SWEEP_SECONDS = 3, 6
PREFIX = "pre/fix/"
STORED = re.compile(rf"(?P<attempt>{ATTEMPT})/(?P<file>[^/]+)")


class Fleet:
    """Two nodes and all that they share; counts what it sees."""

    def __init__(self, lab, chance):
        self.lab, self.chance = lab, chance
        self.violations = []
        self.figures = collections.Counter()
        self.asked, self.checked = {}, {}
        self.postgres = Postgres(lab.dir("postgres"))
        lab.callback(self.postgres.stop)
        self.store = s3.Store(lab, "s3s")
        self.config = self.configured(self.store.port)
        first = lab.keystow("--config", str(self.config))
        second_dir = lab.dir("second")
        for name in ("root.key", "admin.key"):
            shutil.copy(first.data_dir / name, second_dir / name)
        self.nodes = [first, lab.keystow("--config", str(self.config), data_dir=second_dir)]
        self.sources = {}
        for name, (host, keys, value_bytes, _) in SOURCES.items():
            redis = lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no",
                              "--bind", "127.0.0.1", "127.0.0.2")
            redis.call("DEBUG", "POPULATE", keys, "key", value_bytes)
            first.cli("instance", "add", f"redis://{host}:{redis.port}", "--id", name)
            self.sources[name] = redis
        self.slow_sources(True)
        began = time.monotonic()
        self.ask()
        self.settle()
        self.duration = time.monotonic() - began
        self.check()
        self.expect(len(self.checked) == len(SOURCES), "every undisturbed backup is available")

    # What the trials are made of

    def configured(self, port):
        """A configuration file for both nodes, whose store is behind that port."""
        return self.store.config(port, catalog__url=self.postgres.url, work__lease=LEASE)

    def slow_sources(self, slow):
        """Let each source pause before each key that it sends, or no longer."""
        for name, redis in self.sources.items():
            redis.call("CONFIG", "SET", "rdb-key-save-delay", SOURCES[name][3] if slow else 0)

    def expect(self, holds, claim):
        """Note a violation unless the claim holds."""
        if not holds:
            self.violations.append(claim)
            print(f"  VIOLATION: {claim}", flush=True)

    def most(self, name, seconds):
        """Keep the longest time of that name."""
        self.figures[name] = max(self.figures[name], round(seconds * 1000))

    def node(self):
        """Either node."""
        return self.chance.choice(self.nodes)

    def call(self, node, path, body=None):
        """(status, headers, value) of a call of the native API."""
        request = urllib.request.Request(f"{node.server}/api/v1/{path}", json.dumps(body).encode() if body else None)
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(node.admin()).encode()).decode())
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.load(error)
        except OSError as error:
            raise LabError(f"a node does not answer: {error}") from error

    def ask(self, names=tuple(SOURCES)):
        """Ask either node for a backup of each of these."""
        for name in names:
            node = self.node()
            status, _, row = self.call(node, "backups", {"instance": name, "name": f"{name}-{len(self.asked)}"})
            self.expect(status == 202, f"a backup can be asked for: {status} {row}")
            if status == 202:
                self.asked[row["id"]] = name

    def settle(self):
        """Wait until no job is queued or running."""
        began = time.monotonic()
        left = "SELECT COUNT(*) FROM job WHERE state IN ('queued', 'running')"
        wait_until(lambda: self.postgres.sql(left) == ["0"], SETTLE_SECONDS, "the jobs to end", pause=0.2)
        self.most("settled after ms, at most", time.monotonic() - began)

    def start_again(self, nodes):
        """Start nodes that were killed."""
        for node in nodes:
            self.check_log(node)
            node.start()

    def restart(self, node):
        """End a node in order and start it."""
        self.expect(node.process.poll() is None, "no node ends by itself")
        node.stop()
        self.check_log(node)
        node.start()

    # The trials

    def kill(self, times):
        """SIGKILLs at random moments of some backups, a start after each, then all the checks."""
        self.slow_sources(True)
        self.ask()
        for _ in range(times):
            time.sleep(self.chance.uniform(0, self.duration * 1.1))
            struck = self.nodes if self.chance.random() < BOTH else [self.node()]
            for node in struck:
                node.kill()
            self.figures["kills of both nodes" if len(struck) > 1 else "kills of one node"] += 1
            # Sometimes the others have time to take over.
            time.sleep(self.chance.choice((0, 0, 4)))
            self.start_again(struck)
        self.slow_sources(False)
        self.settle()
        self.check()

    def restart_database(self):
        """PostgreSQL crashes in the middle of some backups, and comes back soon or late."""
        self.slow_sources(True)
        before = set(self.asked)
        self.ask()
        answers, stop = [], threading.Event()
        clients = [threading.Thread(target=self.keep_asking, args=(node, answers, stop)) for node in self.nodes]
        for client in clients:
            client.start()
        try:
            time.sleep(self.chance.uniform(0, self.duration))
            down = time.monotonic()
            self.postgres.stop("immediate")
            try:
                time.sleep(self.chance.uniform(0, LONGEST_OUTAGE_SECONDS))
            finally:
                self.postgres.start()
            back = time.monotonic()
            self.figures["restarts of PostgreSQL"] += 1
            time.sleep(BACK_SECONDS)
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.check_answers(answers, down, back)
        self.slow_sources(False)
        self.settle()
        self.check()
        failed = sum(row["state"] == "failed" for row in self.rows().values() if row["id"] not in before)
        self.figures["backups that failed by a restart of PostgreSQL"] += failed

    def keep_asking(self, node, answers, stop):
        """Ask what takes the catalog, until `stop`; notes when that was asked and answered, and what the answer was."""
        while not stop.is_set():
            asked = time.monotonic()
            try:
                status, headers, answer = self.call(node, "instances")
                answers.append((node, asked, time.monotonic(), status, headers.get("Retry-After"), answer))
            except (LabError, ValueError) as error:
                answers.append((node, asked, time.monotonic(), None, None, str(error)))
            stop.wait(0.1)

    def check_answers(self, answers, down, back):
        """Without a database each node says so in time, and when to come back; with it all is as before."""
        odd = [answer for answer in answers if answer[3] not in (200, 503)]
        self.expect(not odd, f"an answer is 200 or 503: {odd[:2]}")
        away = [answer for answer in answers if answer[3] == 503]
        self.figures["answers 503"] += len(away)
        self.expect(all(retry for *_, retry, _ in away), "a 503 says when to come back")
        for node in self.nodes:
            of_node = [answer for answer in answers if answer[0] is node]
            self.expect(all(ended - asked < AWAY_SECONDS for _, asked, ended, *_ in of_node), "answers come in time")
            self.expect(of_node[-1][3] == 200, f"a node is well {BACK_SECONDS} s after the restart: {of_node[-1]}")
            self.expect(back - down < AWAY_SECONDS or any(answer[0] is node for answer in away),
                        "a node says that its database is away")
            late = [ended for _, _, ended, status, *_ in of_node if status == 503 and ended > back]
            self.most("last 503 after ms, at most", max(late, default=back) - back)

    def bad_store(self, backups):
        """Backups while one answer of the store in ten goes wrong, and downloads of them."""
        proxy = s3.Proxy(self.lab, self.store, lambda *_: None)
        self.use_store(proxy.port)
        self.slow_sources(False)
        proxy.harm = s3.at_random(random.Random(self.chance.random()), ERRORS)
        before = set(self.asked)
        left = backups
        while left > 0:
            names = list(SOURCES)[:left]
            self.ask(names)
            self.settle()
            left -= len(names)
        rows = self.rows()
        for backup in self.asked.keys() - before:
            self.check_bad_store(rows.get(backup, {}))
        proxy.harm = lambda *_: None
        self.figures["faults of the store"] += len(proxy.done)
        for node in self.nodes:
            # It may leave the store alone for some seconds.
            wait_until(lambda node=node: node.run("doctor").returncode == 0, 120, "the store to be used again")
        self.check()

    def use_store(self, port):
        """Let both nodes reach the store by that port."""
        shutil.copy(self.configured(port), self.config)
        for node in self.nodes:
            self.restart(node)

    def check_bad_store(self, row):
        """What failed says that the store did; what is available is downloaded right or not at all."""
        state, code = row.get("state"), (row.get("failure") or {}).get("code", "")
        self.figures[f"with a bad store {state} {code}".rstrip()] += 1
        if state == "failed":
            self.expect(code.startswith(("REPOSITORY_", "OBJECT_")), f"it is the store's fault: {row}")
        elif state == "available":
            copy = self.lab.dir("fetch") / "dump.rdb"
            done = self.node().run("fetch", row["id"], "-o", copy)
            if done.returncode == 0:
                self.check_copy(row, copy)
            else:
                self.figures["downloads that failed with a bad store"] += 1
                self.expect(not copy.exists(), f"a download that failed leaves no file of that name: {row['id']}")
            shutil.rmtree(copy.parent)

    # What must hold once nothing is under way

    def check(self):
        """All the checks."""
        for node in self.nodes:
            self.expect(node.process.poll() is None, "no node ends by itself")
            self.check_log(node)
        rows = self.rows()
        self.check_rows(rows)
        for row in rows.values():
            if row["state"] == "available" and row["id"] not in self.checked:
                self.fetch(row)
        self.check_debris()
        self.check_bucket()

    def rows(self):
        """Every backup, by its id."""
        listed = self.node().json("backup", "list")
        rows = {row["id"]: row for row in listed}
        self.expect(len(rows) == len(listed), "no backup is listed twice")
        return rows

    def check_rows(self, rows):
        """Each request has one row, which is available or says why not; what was available is so for ever."""
        self.expect(rows.keys() == self.asked.keys(), f"a row for each request: {rows.keys() ^ self.asked.keys()}")
        names = collections.Counter(row["name"] for row in rows.values())
        self.expect(len(names) == len(rows), f"one row for each request: {names.most_common(3)}")
        for row in rows.values():
            failure = row.get("failure")
            self.expect(row["state"] == "available" or (row["state"] == "failed" and failure and failure["code"]),
                        f"a backup is available, or failed with a reason: {row}")
        for backup, digest in self.checked.items():
            row = rows.get(backup)
            self.expect(row and row["state"] == "available" and row["parts"][0]["sha256"] == digest,
                        f"what was available stays so: {backup} {row}")
        odd = self.postgres.sql("SELECT b.id, b.state, j.state, j.attempt FROM backup b JOIN job j ON j.number = b.job "
                                "WHERE (b.state = 'available') <> (j.state = 'done')")
        self.expect(not odd, f"a job is done if its backup is available: {odd}")
        jobs = self.postgres.sql("SELECT backup FROM job WHERE kind = 'take_backup' "
                                 "GROUP BY backup HAVING COUNT(*) > 1")
        self.expect(not jobs, f"one job for each request: {jobs}")

    def fetch(self, row):
        """An available backup is downloaded, once, from either node."""
        copy = self.lab.dir("fetch") / "dump.rdb"
        self.node().cli("fetch", row["id"], "-o", copy)
        self.check_copy(row, copy)
        self.checked[row["id"]] = row["parts"][0]["sha256"]
        shutil.rmtree(copy.parent)

    def check_copy(self, row, copy):
        """A downloaded file is what its row says, and holds what its source did."""
        part, = row["parts"]
        self.expect(copy.stat().st_size == part["size_bytes"], f"{row['id']} has its size")
        self.expect(sha256(copy) == part["sha256"], f"{row['id']} has its SHA-256")
        report = self.nodes[0].json("verify", copy)
        keys = SOURCES[self.asked[row["id"]]][1]
        self.expect(report["ok"] and report["keys"] == keys, f"{row['id']} verifies: {report}")

    def check_debris(self):
        """Nothing is in the bucket that no row speaks of. What was half done goes with the next sweep: a node sweeps
        every hour and when it starts, unless another does or died less than ten seconds ago while it did."""
        if not self.debris():
            return
        self.figures["times that something was left for a sweep"] += 1
        for _ in range(SWEEPS):
            self.restart(self.node())
            try:
                wait_until(lambda: not self.debris(), SWEEP_SECONDS, "the sweep", pause=0.2)
                return
            except LabError:
                self.figures["sweeps that did not see all"] += 1
        self.expect(False, f"nothing is left over: {self.debris()[:5]}")

    def debris(self):
        """Objects that no row speaks of."""
        named = self.named()
        odd = []
        for name in self.objects():
            stored = STORED.fullmatch(name)
            if not LAYOUT.fullmatch(name) or (stored and stored["attempt"] not in named):
                odd.append(name)
        return odd

    def check_bucket(self, *, bytes_too=False):
        """What rows speak of is in the bucket: a manifest and one part, whose bytes are those that were fetched."""
        found = collections.defaultdict(list)
        for name in self.objects():
            if stored := STORED.fullmatch(name):
                found[stored["attempt"]].append(stored["file"])
        named = self.named()
        for attempt, backup in named.items():
            self.expect(sorted(found[attempt]) == ["0.rdb", "manifest.json"], f"{attempt} is whole: {found[attempt]}")
            if bytes_too and backup in self.checked and "0.rdb" in found[attempt]:
                digest = sha256(self.store.bucket / f"{PREFIX}{attempt}" / "0.rdb")
                self.expect(digest == self.checked[backup], f"{attempt} holds the bytes that it held")
        self.expect(self.checked.keys() <= set(named.values()), "every available backup names its attempt")

    def objects(self):
        """The names of all objects below the prefix."""
        return [name.removeprefix(PREFIX) for name in self.store.objects()]

    def named(self):
        """The attempts that rows speak of, as folders, each with its backup."""
        states = ", ".join(f"'{state}'" for state in WITH_BYTES)
        rows = self.postgres.sql("SELECT 'accounts/' || account || '/instances/' || instance || '/backups/' || id "
                                 f"|| '/' || attempt, id FROM backup WHERE state IN ({states})")
        return dict(row.split("|") for row in rows)

    def check_log(self, node):
        """No node has panicked since its start."""
        panics = [line.strip() for line in node.log if "panicked" in line]
        self.expect(not panics, f"no node panics: {panics[:2]}")

    def report(self, seconds):
        """Print the figures."""
        print(f"{seconds:.0f} s; undisturbed backups take {self.duration:.1f} s; {len(self.asked)} backups asked for, "
              f"{len(self.checked)} available, all of them fetched and verified")
        if not self.violations:
            self.report_catalog()
        for name, value in sorted(self.figures.items()):
            print(f"  {name}: {value}")
        print(f"  unfinished uploads in the store, for a rule of the bucket: {len(self.store.leftovers())}")
        print(f"{len(self.violations)} violations")
        if self.violations:
            for node in self.nodes:
                print("a node's last words:\n" + "".join(node.log[-20:]))

    def report_catalog(self):
        """What the catalog counts."""
        for row in self.postgres.sql("SELECT state, COALESCE(failure::json ->> 'code', ''), COUNT(*) FROM backup "
                                     "GROUP BY 1, 2 ORDER BY 1, 2"):
            state, code, count = row.split("|")
            self.figures[f"backups {state} {code}".rstrip()] += int(count)
        for row in self.postgres.sql("SELECT attempt, COUNT(*) FROM job WHERE kind = 'take_backup' GROUP BY 1"):
            attempt, count = row.split("|")
            self.figures[f"backups with {attempt} attempts"] += int(count)
        deaths, = self.postgres.sql("SELECT SUM(deaths) FROM job")
        self.figures["attempts whose lease ran out"] += int(deaths)


def main():
    """Run the trials; 1 if anything was violated."""
    kills, restarts, backups = map(int, sys.argv[1:4])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with Lab() as lab:
        began = time.monotonic()
        fleet = Fleet(lab, random.Random(seed))
        try:
            done = 0
            while done < kills:
                times = min(fleet.chance.choice(KILLS_IN_A_ROW), kills - done)
                fleet.kill(times)
                done += times
                print(f"  {done} of {kills} kills", flush=True)
            for number in range(1, restarts + 1):
                fleet.restart_database()
                print(f"  {number} of {restarts} restarts of PostgreSQL", flush=True)
            if backups:
                fleet.bad_store(backups)
                print(f"  {backups} backups in a bad store", flush=True)
            fleet.check_bucket(bytes_too=True)
        except LabError as error:
            fleet.expect(False, f"every step works: {error}")
        except KeyboardInterrupt:
            print("  stopped; these are the figures until then", flush=True)
        fleet.report(time.monotonic() - began)
    return 1 if fleet.violations else 0


if __name__ == "__main__":
    sys.exit(main())
