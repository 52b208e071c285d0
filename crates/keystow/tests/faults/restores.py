"""Faults of sources and targets, one after the other: what is listed restores, what was changed is reported.

Usage: restores.py FAULTS [SEED]. Prints its figures; exit code 1 on any violation.
"""

import collections
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from lab import Lab, LabError, ReplyError, Resp, wait_until
from topology import union_digest

KEYS, VALUE_BYTES = 4000, 400
DELAY_US = 150  # a backup takes the source more than half a second


class Trial:
    """One service, sources and targets that come and go; counts what it sees."""

    def __init__(self, lab, chance):
        self.lab, self.chance = lab, chance
        config = lab.dir("config") / "keystow.toml"
        # A shard that is gone for good is looked for as long as this.
        config.write_text("[source]\nfail_over = '6s'\n")
        self.keystow = lab.keystow("--config", str(config))
        self.figures = collections.Counter()
        self.violations = []
        self.number = 0
        self.source = self.new_source()
        self.good = self.back_up("first", self.source)
        self.digest = self.source.digest()
        self.cases = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("fault_")]

    # What the cases are made of

    def new_source(self, *options):
        """A server with data."""
        redis = self.lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no", *options)
        redis.call("DEBUG", "POPULATE", KEYS, "key", VALUE_BYTES)
        redis.call("HSET", "hash", "field", "value")
        redis.call("XADD", "stream", "1-1", "field", "value")
        return redis

    def add(self, redis):
        """Register a source; its id."""
        self.number += 1
        name = f"r-{self.number}"
        self.keystow.cli("instance", "add", redis.url, "--id", name)
        return name

    def back_up(self, what, redis):
        """A backup that must work."""
        backup = self.keystow.json("backup", "create", self.add(redis), "--wait")
        self.expect(backup["state"] == "available", f"{what}: an undisturbed backup is available: {backup}")
        return backup

    def expect(self, holds, claim):
        """Note a violation unless the claim holds."""
        if not holds:
            self.violations.append(claim)
            print(f"  VIOLATION: {claim}", flush=True)

    def struck_backup(self, redis, strike, *create):
        """Start a backup of a slow source, strike at a random moment, and return how the backup ended."""
        name = self.add(redis)
        redis.call("CONFIG", "SET", "rdb-key-save-delay", DELAY_US)
        backup = self.keystow.json("backup", "create", name, *create)
        time.sleep(self.chance.uniform(0, 0.9))
        strike()
        return wait_until(lambda: self.ended(backup["id"]), 120, "a backup to end")

    def ended(self, backup):
        """The row, once it is over."""
        row = self.keystow.json("backup", "show", backup)
        return row if row["state"] not in ("queued", "running") else None

    def check_backup(self, row, digest=None):
        """Not available and with a reason; or available, and then it restores with the same digest."""
        self.figures[f"backup {row['state']}"] += 1
        if row["state"] != "available":
            self.expect(row.get("failure"), f"{row['id']} says why: {row}")
            return
        target = self.lab.redis()
        done = self.keystow.run("restore", row["id"], "--to", target.url, "--yes")
        self.expect(done.returncode == 0, f"{row['id']} restores: {done.stderr}")
        self.expect(target.digest() == (digest or self.digest), f"{row['id']} restores what was there")
        target.stop()

    def target(self, *options, keys=0):
        """A target, with keys of its own if it should have some."""
        redis = self.lab.redis(*options)
        if keys:
            redis.call("DEBUG", "POPULATE", keys, "own", 50)
        return redis

    def start_restore(self, url, *options, backup=None):
        """Start a restore and return the number of its job; None if it was refused."""
        done = self.keystow.run("restore", (backup or self.good)["id"], "--to", url, "--yes", "--no-wait",
                                "--json", *options)
        if done.returncode:
            self.figures["refused"] += 1
            return None
        return json.loads(done.stdout)["job"]["number"]

    def job_ended(self, number, seconds=150):
        """The job, once it is over."""
        def look():
            job = self.keystow.json("job", "show", number)
            return job if job["state"] not in ("queued", "running") else None
        return wait_until(look, seconds, f"job {number} to end")

    def check_restore(self, job, target, before):
        """Done and equal; or failed with a reason, and a change of the target is reported as one."""
        self.figures[f"restore {job['state']}"] += 1
        outcome = (job.get("outcome") or {}).get("restore")
        if job["state"] == "done":
            self.expect(outcome and outcome["complete"], f"a restore that is done is complete: {job}")
            return
        self.expect(job.get("failure"), f"a failed restore says why: {job}")
        if target is None:
            return
        changed = target.digest() != before
        self.expect(not changed or (outcome and outcome["changed"]),
                    f"a change of the target is reported: {job}")

    # Sources

    def fault_source_killed(self):
        """SIGKILL in the middle of a backup."""
        redis = self.new_source()
        digest = redis.digest()
        row = self.struck_backup(redis, redis.process.kill)
        self.check_backup(row, digest)

    def fault_source_drops_us(self):
        """The operator cuts all replicas off."""
        redis = self.new_source()
        digest = redis.digest()
        row = self.struck_backup(redis, lambda: redis.call("CLIENT", "KILL", "TYPE", "replica"))
        self.check_backup(row, digest)
        redis.stop()

    def fault_source_child_killed(self):
        """The child that writes the snapshot dies."""
        redis = self.new_source()
        digest = redis.digest()

        def strike():
            process = redis.process.pid
            for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
                try:
                    os.kill(int(child), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.check_backup(self.struck_backup(redis, strike), digest)
        redis.stop()

    def fault_source_loses_its_password(self):
        """The password is changed before the backup."""
        redis = self.new_source()
        name = self.add(redis)
        redis.call("CONFIG", "SET", "requirepass", "other")
        row = self.keystow.run("backup", "create", name, "--wait", "--json")
        self.expect(row.returncode, "a backup without the password fails")
        self.expect("SOURCE_AUTH" in row.stderr + row.stdout, f"and says so: {row.stderr}")
        self.figures["backup failed"] += 1
        redis.stop()

    def fault_service_killed_in_a_backup(self):
        """SIGKILL of Keystow; the backup is finished after the restart."""
        redis = self.new_source()
        digest = redis.digest()

        def strike():
            self.keystow.kill()
            redis.call("CONFIG", "SET", "rdb-key-save-delay", 0)
            self.keystow.start()
        self.check_backup(self.struck_backup(redis, strike), digest)
        redis.stop()

    # Targets

    def slow_target(self, *options):
        """A target that takes its time for each command, so that a strike falls into the middle."""
        target = self.target(*options)
        self.slow(target)
        return target

    def slow(self, target):
        """A script that keeps the target busy half of the time."""
        def hold():
            try:
                client = Resp(target.port)
                for _ in range(60):
                    client.call("DEBUG", "SLEEP", "0.03")
                    time.sleep(0.01)
                client.close()
            except (OSError, LabError, ReplyError):
                pass
        threading.Thread(target=hold, daemon=True).start()

    def fault_target_killed_by_commands(self):
        """SIGKILL of the target in the middle of RESTOREs."""
        target = self.slow_target()
        job = self.start_restore(target.url, "--as", "commands")
        time.sleep(self.chance.uniform(0, 0.4))
        target.process.kill()
        if job:
            self.check_restore(self.job_ended(job), None, None)

    def fault_target_killed_as_a_replica(self):
        """SIGKILL of the target while it follows us."""
        target = self.target()
        job = self.start_restore(target.url, "--as", "primary")
        time.sleep(self.chance.uniform(0, 0.5))
        target.process.kill()
        if job:
            self.check_restore(self.job_ended(job), None, None)

    def fault_target_full(self):
        """maxmemory is reached in the middle."""
        target = self.target()
        used = int(target.field("used_memory"))
        target.call("CONFIG", "SET", "maxmemory", used + self.chance.randrange(100_000, 1_500_000))
        before = target.digest()
        job = self.start_restore(target.url, "--as", "commands")
        if job:
            ended = self.job_ended(job)
            self.expect(ended["state"] == "failed", f"a full target fails the restore: {ended}")
            self.check_restore(ended, target, before)
        target.stop()

    def fault_target_is_a_replica(self):
        """Refused, and nothing is touched."""
        primary = self.target(keys=10)
        target = self.target("--replicaof", "127.0.0.1", str(primary.port))
        wait_until(lambda: target.keys() == 10, 120, "the replica")
        before = target.digest()
        job = self.start_restore(target.url, "--on-conflict", "replace")
        self.expect(job is None, "a replica is refused")
        self.expect(target.digest() == before, "and left as it was")
        target.stop()
        primary.stop()

    def fault_target_not_empty(self):
        """A key of the same name: refused, and nothing is touched."""
        target = self.target(keys=100)
        target.call("SET", f"key:{self.chance.randrange(KEYS)}", "mine")
        before = target.digest()
        method = self.chance.choice(("auto", "commands", "primary"))
        job = self.start_restore(target.url, "--as", method)
        if job:
            ended = self.job_ended(job)
            self.expect(ended["state"] == "failed", f"a conflict fails the restore: {ended}")
            self.check_restore(ended, target, before)
        self.expect(target.digest() == before, "a target with keys in common is left as it was")
        target.stop()

    def fault_target_older(self):
        """A version that cannot load it."""
        target = self.lab.redis(version="redis-6.2")
        newer = self.newer_backup()
        job = self.start_restore(target.url, backup=newer)
        if job:
            self.check_restore(self.job_ended(job), target, "0" * 40)
            self.expect(target.keys() == 0, "an older target is left empty")
        target.stop()

    def newer_backup(self):
        """A backup with what 6.2 has no words for."""
        if not hasattr(self, "_newer"):
            redis = self.lab.redis(version="redis-7.4")
            redis.call("HSET", "h", "f", "v")
            redis.call("HPEXPIREAT", "h", 4102444800000, "FIELDS", 1, "f")
            self._newer = self.back_up("newer", redis)
            redis.stop()
        return self._newer

    def fault_target_denies(self):
        """An ACL user without RESTORE."""
        target = self.target()
        target.call("ACL", "SETUSER", "app", "on", ">word", "~*", "+@all", "-restore", "-replicaof", "-slaveof")
        before = target.digest()
        job = self.start_restore(target.url.replace("//", "//app:word@"))
        if job:
            self.check_restore(self.job_ended(job), target, before)
        self.expect(target.digest() == before, "a target that denies is left as it was")
        target.stop()

    def fault_service_killed_in_a_restore(self):
        """SIGKILL of Keystow; the restore is finished after the restart, and equal."""
        target = self.slow_target()
        method = self.chance.choice(("commands", "primary"))
        job = self.start_restore(target.url, "--as", method)
        if not job:
            self.expect(False, "an empty target is not refused")
            return
        time.sleep(self.chance.uniform(0, 0.4))
        self.keystow.kill()
        self.keystow.start()
        ended = self.job_ended(job)
        self.check_restore(ended, target, "0" * 40)
        if ended["state"] == "done":
            self.expect(target.digest() == self.digest, f"a restore that was interrupted ({method}) is whole")
            self.expect(b"role:master" in target.call("INFO", "replication"), "and its target is free")
        target.stop()

    def fault_connection_cut_in_a_restore(self):
        """The target drops every client; the restore goes on."""
        target = self.slow_target()
        job = self.start_restore(target.url, "--as", "commands")
        for _ in range(3):
            time.sleep(self.chance.uniform(0, 0.2))
            target.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        ended = self.job_ended(job)
        self.check_restore(ended, target, "0" * 40)
        if ended["state"] == "done":
            self.expect(target.digest() == self.digest, "a restore whose connection was cut is whole")
        target.stop()

    def fault_part_damaged(self):
        """A bit of the stored part flips: the restore says so."""
        redis = self.new_source()
        backup = self.back_up("to be damaged", redis)
        redis.stop()
        part, = (self.keystow.data_dir / "repository").rglob(f"{backup['id']}/*/*.rdb")
        data = bytearray(part.read_bytes())
        data[self.chance.randrange(20, len(data))] ^= 1 << self.chance.randrange(8)
        part.chmod(0o600)
        part.write_bytes(data)
        target = self.target()
        before = target.digest()
        method = self.chance.choice(("commands", "primary"))
        job = self.start_restore(target.url, "--as", method, backup=backup)
        if job:
            ended = self.job_ended(job)
            self.expect(ended["state"] == "failed", f"a damaged part fails the restore ({method}): {ended}")
            self.check_restore(ended, target, before)
        target.stop()

    # Clusters

    def new_cluster(self, shards=2):
        """A small cluster with data, and its digest."""
        cluster = self.lab.cluster("--repl-diskless-sync-delay", "0", shards=shards, replicas=0)
        for number in range(1500):
            cluster.set(f"key:{number}", "x" * VALUE_BYTES)
        return cluster, union_digest(cluster.nodes)

    def slots_to_move(self, cluster):
        """Some slots of the first shard, and who gets them."""
        first, last = cluster.slots(0)
        return self.chance.sample(range(first, last + 1), 40), cluster.nodes[0], cluster.nodes[1]

    def fault_cluster_resharded_in_a_backup(self):
        """Slots move while the shards are captured: the backup is whole, or says that it is not."""
        cluster, digest = self.new_cluster()
        for node in cluster.nodes:
            node.call("CONFIG", "SET", "rdb-key-save-delay", 300)
        backup = self.keystow.json("backup", "create", self.add(cluster))
        time.sleep(self.chance.uniform(0, 0.6))
        cluster.move(*self.slots_to_move(cluster))
        row = wait_until(lambda: self.ended(backup["id"]), 120, "a backup to end")
        self.check_backup(row, digest)
        for node in cluster.nodes:
            node.stop()

    def fault_cluster_node_killed_in_a_backup(self):
        """A shard without a replica dies."""
        cluster, digest = self.new_cluster()
        for node in cluster.nodes:
            node.call("CONFIG", "SET", "rdb-key-save-delay", 300)
        backup = self.keystow.json("backup", "create", self.add(cluster))
        time.sleep(self.chance.uniform(0, 0.6))
        cluster.nodes[1].process.kill()
        row = wait_until(lambda: self.ended(backup["id"]), 120, "a backup to end")
        self.expect(row["state"] != "partial" or row["origin"]["missing"], "a partial set says what is missing")
        self.check_backup(row, digest)
        cluster.nodes[0].stop()

    def fault_cluster_resharded_in_a_restore(self):
        """Slots move while RESTOREs come in."""
        cluster = self.lab.cluster(shards=2, replicas=0)
        for node in cluster.nodes:
            self.slow(node)
        job = self.start_restore(cluster.url)
        if not job:
            self.expect(False, "an empty cluster is not refused")
            return
        time.sleep(self.chance.uniform(0, 0.3))
        cluster.move(*self.slots_to_move(cluster))
        ended = self.job_ended(job)
        self.check_restore(ended, None, None)
        if ended["state"] == "done":
            self.expect(union_digest(cluster.nodes) == self.digest, "a restore amid a resharding is whole")
        for node in cluster.nodes:
            node.stop()

    def one(self):
        """One fault."""
        case = self.chance.choice(self.cases)
        self.figures[case.__name__] += 1
        try:
            case()
        except Exception as error:  # a case that cannot be played is a finding too
            traceback.print_exc()
            self.expect(False, f"{case.__name__} can be played: {error}")

    def report(self, faults, seconds):
        """Print the figures."""
        print(f"{faults} faults in {seconds:.0f} s")
        for name, value in sorted(self.figures.items()):
            print(f"  {name}: {value}")
        print(f"{len(self.violations)} violations")


def main():
    """Run the trial; 1 if anything was violated."""
    faults = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with Lab() as lab:
        began = time.monotonic()
        trial = Trial(lab, random.Random(seed))
        for done in range(1, faults + 1):
            trial.one()
            if done % 10 == 0:
                print(f"  {done} of {faults}", flush=True)
        trial.report(faults, time.monotonic() - began)
    return 1 if trial.violations else 0


if __name__ == "__main__":
    sys.exit(main())
