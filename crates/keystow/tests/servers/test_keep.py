"""Nothing is lost: the catalog goes, the root key changes, files come from elsewhere."""

import json
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from lab import Lab, clean_environment, sha256


class Keep(unittest.TestCase):
    def setUp(self):
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.redis = self.lab.redis()
        self.redis.call("DEBUG", "POPULATE", "2000", "key", "100")
        self.keystow = self.lab.keystow()
        self.keystow.cli("instance", "add", self.redis.url, "--id", "crs-1", "--name", "first")

    def offline(self, *words):
        """Run a command on the data directory; the finished process."""
        command = [self.keystow.program, *words, "--data-dir", self.keystow.data_dir]
        return subprocess.run([str(word) for word in command], env=clean_environment(), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def lose_catalog(self):
        for file in self.keystow.data_dir.glob("catalog.db*"):
            file.unlink()

    def fetched(self, backup):
        """SHA-256 of a backup, as it is fetched."""
        target = self.lab.dir("fetched") / "dump.rdb"
        self.keystow.cli("fetch", backup["id"], "-o", target)
        return sha256(target)

    def test_a_lost_catalog_comes_back_whole(self):
        backups = []
        for number in range(5):
            self.redis.call("SET", "number", number)
            backups.append(self.keystow.json("backup", "create", "crs-1", "--wait"))
        self.keystow.cli("backup", "protect", backups[1]["id"])
        secret = self.keystow.json("key", "create", "--role", "viewer")
        link = self.keystow.json("link", "create", backups[0]["id"], "--ttl", "6h")["links"][0]["url"]
        before = self.keystow.json("backup", "list")
        self.keystow.cli("catalog", "copy")
        self.keystow.kill()
        self.lose_catalog()

        # A rebuild that is killed at any moment begins again.
        for pause in (0.0, 0.02, 0.05, 0.1):
            rebuild = subprocess.Popen(
                [self.keystow.program, "catalog", "rebuild", "--data-dir", self.keystow.data_dir],
                env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause)
            rebuild.send_signal(signal.SIGKILL)
            rebuild.wait()
        done = self.offline("catalog", "rebuild", "--json")
        if done.returncode == 6:  # One of them was quick enough.
            self.assertIn("CATALOG_EXISTS", done.stderr)
            done = self.offline("catalog", "rebuild", "--force", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["backups"], {"available": 5})
        self.assertIsNotNone(report["copy_at"])

        port = self.keystow.download
        self.keystow.start()
        self.assertEqual(self.keystow.json("backup", "list"), before)
        for backup in backups:
            self.assertEqual(self.fetched(backup), backup["parts"][0]["sha256"])
        link = link.replace(f":{port}/", f":{self.keystow.download}/")
        fetched = self.lab.dir("link") / "dump.rdb"
        self.keystow.cli("fetch", link, "-o", fetched)
        self.assertEqual(sha256(fetched), backups[0]["parts"][0]["sha256"])
        self.assertIn(secret["access_key_id"], [key["id"] for key in self.keystow.json("key", "list")])
        # And it goes on, with numbers of its own.
        new = self.keystow.json("backup", "create", "crs-1", "--wait")
        self.assertGreater(new["number"], max(backup["number"] for backup in backups))
        self.assertEqual(self.keystow.run("backup", "delete", new["id"], "--yes").returncode, 0)

    def test_a_catalog_that_is_there_is_not_touched(self):
        self.assertEqual(self.offline("catalog", "rebuild").returncode, 6, "the server runs")
        self.keystow.stop()
        done = self.offline("catalog", "rebuild")
        self.assertEqual((done.returncode, "CATALOG_EXISTS" in done.stderr), (6, True), done.stderr)

    def test_a_new_root_key_and_a_wrong_one(self):
        backup = self.keystow.json("backup", "create", "crs-1", "--wait")
        link = self.keystow.json("link", "create", backup["id"], "--ttl", "6h")["links"][0]["url"]
        port = self.keystow.download
        self.keystow.stop()
        key = self.keystow.data_dir / "root.key"
        copy = self.lab.dir("safe") / "root.key"
        self.assertEqual(self.offline("root-key", "backup", "--to", copy).returncode, 0)
        old = key.read_text()
        self.assertEqual(copy.read_text(), old)
        done = self.offline("root-key", "rotate", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["generation"], 2)
        self.assertNotEqual(key.read_text(), old)

        # With the old key nothing starts, and nothing is changed.
        new = key.read_text()
        key.write_text(old)
        with self.assertRaisesRegex(Exception, "ROOT_KEY_WRONG"):
            self.keystow.start()
        key.write_text(new)
        self.keystow.start()
        self.assertEqual(self.fetched(backup), backup["parts"][0]["sha256"])
        self.assertTrue(self.keystow.json("instance", "test", "crs-1"))
        link = link.replace(f":{port}/", f":{self.keystow.download}/")
        self.assertEqual(self.keystow.run("fetch", link, "-o", self.lab.dir("link") / "dump.rdb").returncode, 0)
        # The catalog is lost after that: the new key and the repository are enough.
        self.keystow.kill()
        self.lose_catalog()
        done = self.offline("catalog", "rebuild", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["backups"]), (0, {"available": 1}), done.stderr)
        # Without the key nothing starts either.
        key.rename(key.with_suffix(".away"))
        with self.assertRaisesRegex(Exception, "ROOT_KEY_MISSING"):
            self.keystow.start()

    def test_without_the_root_key_the_files_of_the_repository_are_taken_in_again(self):
        backup = self.keystow.json("backup", "create", "crs-1", "--wait")
        self.keystow.kill()
        (self.keystow.data_dir / "root.key").unlink()
        anew = self.lab.keystow()
        anew.cli("instance", "add", self.redis.url, "--id", "crs-1")
        backups = self.keystow.data_dir / "repository" / "accounts" / "default" / "instances" / "crs-1" / "backups"
        imported, = anew.json("import", *backups.glob("*/*/0.rdb"), "--instance", "crs-1")
        self.assertEqual(imported["backup"]["parts"][0]["sha256"], backup["parts"][0]["sha256"])
        self.redis.call("FLUSHALL")
        anew.cli("restore", imported["backup"]["id"], "--to", self.redis.url, "--yes")
        self.assertEqual(self.redis.keys(), 2000)

    def test_a_lost_node_is_set_up_anew_from_repository_and_root_key(self):
        backup = self.keystow.json("backup", "create", "crs-1", "--wait")
        self.keystow.cli("catalog", "copy")
        self.keystow.kill()
        lost, new = self.keystow.data_dir, self.lab.dir("host")
        for name in ("repository", "root.key"):
            (lost / name).rename(new / name)
        self.keystow.data_dir = new
        done = self.offline("catalog", "rebuild", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        # The first admin key was in no repository.
        key = json.loads(self.offline("key", "recover", "--json").stdout)
        self.assertEqual(json.loads((new / "admin.key").read_text()), key)
        self.keystow.start()
        self.assertEqual(self.fetched(backup), backup["parts"][0]["sha256"])
        self.assertEqual(self.keystow.json("backup", "create", "crs-1", "--wait")["state"], "available")

    def test_a_folder_of_dumps_is_imported_and_again_is_not(self):
        folder = self.lab.dir("dumps")
        for number in range(3):
            self.redis.call("SET", "number", number)
            self.redis.call("SAVE")
            shutil.copy(Path(self.redis.folder) / "dump.rdb", folder / f"{number}.rdb")
        (folder / "broken.rdb").write_bytes((folder / "0.rdb").read_bytes()[:-20])
        done = self.keystow.run("import", folder, "--instance", "crs-1", "--json")
        self.assertEqual(done.returncode, 3, done.stderr)
        outcomes = {Path(row["files"][0]).name: row for row in json.loads(done.stdout)}
        self.assertEqual({name: row["outcome"] for name, row in outcomes.items()},
                         {"0.rdb": "imported", "1.rdb": "imported", "2.rdb": "imported", "broken.rdb": "failed"})
        backup = outcomes["2.rdb"]["backup"]
        self.assertEqual(self.fetched(backup), sha256(folder / "2.rdb"))
        (folder / "broken.rdb").unlink()
        again = self.keystow.json("import", folder, "--instance", "crs-1")
        self.assertEqual({row["outcome"] for row in again}, {"known"})
        self.assertEqual(len(self.keystow.json("backup", "list")), 3)
        missing = self.keystow.run("import", folder / "0.rdb", "--instance", "nobody")
        self.assertEqual(missing.returncode, 5, missing.stderr)


if __name__ == "__main__":
    unittest.main()
