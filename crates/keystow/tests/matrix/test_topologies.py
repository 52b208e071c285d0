"""From one shape into another: standalone, Sentinel, clusters of different sizes."""

import json
import threading
import unittest

import story
from lab import Lab, wait_until

VERSION = "redis-7.0"
QUICK = ("--repl-diskless-sync-delay", "0")


class Topologies(unittest.TestCase):
    """Each test has a laboratory of its own."""

    def setUp(self):
        self.lab = self.enterContext(Lab())
        # A shard that is gone for good is looked for as long as this.
        config = self.lab.dir("config") / "keystow.toml"
        config.write_text("[source]\nfail_over = '20s'\n")
        self.keystow = self.lab.keystow("--config", str(config))

    def add(self, url, *options):
        """Register a source."""
        self.keystow.cli("instance", "add", url, "--id", "source", *options)

    def back_up(self, state="available"):
        """Take a backup of the source and wait for it."""
        done = self.keystow.run("backup", "create", "source", "--wait", "--json")
        backup = json.loads(done.stdout)
        self.assertEqual(backup["state"], state, done.stderr)
        self.assertEqual(done.returncode, 0 if state == "available" else 3)
        return backup

    def restore(self, backup, url, *options):
        """Restore and return the outcome."""
        done = self.keystow.json("restore", backup["id"], "--to", url, "--yes", *options)
        outcome = done["job"]["outcome"]["restore"]
        self.assertTrue(outcome["complete"], done)
        return outcome

    def cluster(self, shards, replicas=0, full=False):
        """A cluster, with data or without."""
        cluster = self.lab.cluster(*QUICK, shards=shards, replicas=replicas, version=VERSION)
        if full:
            owned = [(node, range(cluster.slots(at)[0], cluster.slots(at)[1] + 1))
                     for at, node in enumerate(cluster.primaries)]
            story.fill_cluster(owned, VERSION)
        return cluster

    def facts(self, servers):
        """What a deployment holds."""
        return story.Facts(servers, VERSION)

    def test_standalone_to_a_cluster_of_three(self):
        """A cluster has one database, so that is what the source has."""
        source, target = self.lab.redis(*QUICK, version=VERSION), self.cluster(3)
        source.pipe(story.everything(VERSION))
        source.call("FUNCTION", "LOAD", story.FUNCTION)
        self.add(source.url)
        outcome = self.restore(self.back_up(), target.url)
        self.assertEqual(outcome["method"], "commands")
        self.facts(target.primaries).assert_same(self, self.facts([source]))
        for node in target.primaries:
            self.assertTrue(node.keys(), "every shard has its share")

    def test_three_shards_to_two_and_to_one_server(self):
        """From replicas; nothing stays connected to any of them."""
        source = self.cluster(3, replicas=1, full=True)
        self.add(source.url)
        backup = self.back_up()
        expected = self.facts(source.primaries)
        self.assertEqual(sum(part["keys"] for part in backup["parts"]), expected.keys)
        self.assertEqual([part["node_role"] for part in backup["parts"]], ["replica"] * 3)
        self.assertEqual(backup["origin"]["topology"], "cluster")
        self.assertIsInstance(backup["origin"]["skew_ms"], int)
        slots = ",".join(part["slots"] for part in backup["parts"])
        self.assertEqual(slots, "0-5460,5461-10921,10922-16383")
        for node in source.nodes[3:]:
            wait_until(lambda node=node: b"connected_slaves:0" in node.call("INFO", "replication"), 60,
                       "our link to be gone")
        two = self.cluster(2)
        self.restore(backup, two.url)
        self.facts(two.primaries).assert_same(self, expected)
        one = self.lab.redis(version=VERSION)
        self.restore(backup, one.url)
        self.facts([one]).assert_same(self, expected)

    def test_a_cluster_without_a_shard_is_partial_and_restores_when_asked_to(self):
        """A shard that is gone for good."""
        source = self.cluster(3, full=True)
        for node in source.nodes:
            # So that the shards that are left can be asked what they hold.
            node.call("CONFIG", "SET", "cluster-require-full-coverage", "no")
        self.add(source.url)
        source.nodes[1].stop()
        wait_until(lambda: self.knows_of_a_loss(source.nodes[0]), 60, "the loss to be known")
        backup = self.back_up("partial")
        self.assertEqual([missing["slots"] for missing in backup["origin"]["missing"]], ["5461-10921"])
        target = self.lab.redis(version=VERSION)
        refused = self.keystow.run("restore", backup["id"], "--to", target.url, "--yes")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("RESTORE_BACKUP_STATE", refused.stderr)
        self.assertEqual(target.keys(), 0)
        self.restore(backup, target.url, "--accept-partial")
        self.facts([target]).assert_same(self, self.facts([source.nodes[0], source.nodes[2]]))

    @staticmethod
    def knows_of_a_loss(node):
        """Has the node, with the others, given another one up?"""
        flags = [line.split()[2].decode().split(",") for line in node.call("CLUSTER", "NODES").splitlines()]
        return any("fail" in words for words in flags)

    def test_sentinel_with_a_fail_over_during_the_backup(self):
        """The replica that is asked becomes the primary, or dies: the backup comes from a node that lives."""
        primary = self.lab.redis(*QUICK, version=VERSION)
        story.fill(primary, VERSION)
        replicas = [self.lab.redis(*QUICK, "--replicaof", "127.0.0.1", str(primary.port), version=VERSION)
                    for _ in range(2)]
        wait_until(lambda: all(b"master_link_status:up" in node.call("INFO", "replication")
                               for node in replicas), 60, "the replicas")
        sentinels = self.lab.sentinels(primary)
        expected = self.facts([primary])
        self.add(sentinels.url)
        for node in (primary, *replicas):
            # Slow enough for the fail-over to fall into the middle of it.
            node.call("CONFIG", "SET", "rdb-key-save-delay", "20000")
        backup = self.keystow.json("backup", "create", "source")
        asked = wait_until(lambda: next((node for node in replicas if self.is_asked(node)), None), 30,
                           "a replica to be asked")
        for node in (primary, *replicas):
            node.call("CONFIG", "SET", "rdb-key-save-delay", "0")
        fail_over = threading.Thread(target=sentinels.fail_over)
        fail_over.start()
        asked.process.kill()
        fail_over.join()
        backup = wait_until(lambda: self.ended(backup["id"]), 120, "the backup")
        self.assertEqual(backup["state"], "available", backup)
        self.assertNotIn(str(asked.port), backup["parts"][0]["node"])
        target = self.lab.redis(version=VERSION)
        self.restore(backup, target.url)
        self.facts([target]).assert_same(self, expected)

    @staticmethod
    def is_asked(node):
        """Is the node sending a snapshot now?"""
        return b"connected_slaves:1" in node.call("INFO", "replication")

    def ended(self, backup):
        """The row, once it is over."""
        row = self.keystow.json("backup", "show", backup)
        return row if row["state"] not in ("queued", "running") else None


if __name__ == "__main__":
    unittest.main()
