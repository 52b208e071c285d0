"""RDB files that lie in a bucket of somebody's own become backups."""

import json
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import s3
from lab import clean_environment, sha256
from world import INSTANCE, Story

FOLDER = "old/dumps"
FILES = {f"{FOLDER}/monday.rdb": 0, f"{FOLDER}/more/of-them/sunday.rdb": 2, f"{FOLDER}/tuesday.rdb": 1}


class Import(Story):
    def setUp(self):
        super().setUp()
        redis = self.lab.redis("--rdbcompression", "no")
        self.dumps = self.lab.dir("dumps")
        for number in range(3):
            # The last one takes many pieces.
            redis.call("DEBUG", "POPULATE", 1000 if number < 2 else 20_000, f"key{number}", 1000)
            redis.call("SAVE")
            shutil.copy(Path(redis.folder) / "dump.rdb", self.dumps / str(number))
        self.keystow = self.lab.keystow()
        self.keystow.cli("instance", "add", redis.url, "--id", INSTANCE)

    def filled(self, kind):
        """A store with the dumps, one of them broken, and what is none."""
        store = s3.Store(self.lab, kind)
        for name, number in FILES.items():
            path = store.bucket / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.dumps / str(number), path)
        folder = store.bucket / FOLDER
        (folder / "broken.rdb").write_bytes((self.dumps / "0").read_bytes()[:-20])
        (folder / "notes.txt").write_text("not one of them")
        (store.bucket / "twice").mkdir()
        shutil.copy(self.dumps / "1", store.bucket / "twice" / "again.rdb")
        return store

    def words(self, store, port=None, place=f"{s3.BUCKET}/{FOLDER}"):
        url = f"s3://{place}?endpoint=http://127.0.0.1:{port or store.port}"
        return ["import", url, "--instance", INSTANCE, "--bucket-key-id", s3.KEY,
                "--bucket-secret-file", store.secret_file]

    def run_json(self, *words):
        """(exit code, outcomes by name, whole output)."""
        done = self.keystow.run(*words, "--json")
        rows = json.loads(done.stdout) if done.stdout else []
        names = {row["files"][0].removeprefix(f"s3://{s3.BUCKET}/"): row for row in rows}
        return done.returncode, {name: row["outcome"] for name, row in names.items()}, names

    def forget(self):
        """Remove the backups that were imported."""
        for backup in self.keystow.json("backup", "list"):
            self.keystow.cli("backup", "delete", backup["id"], "--yes")

    def test_a_bucket_is_imported_once(self):
        for kind in s3.KINDS:
            print(f"  {kind}", flush=True)
            store = self.filled(kind)
            read = []
            proxy = s3.Proxy(self.lab, store, lambda method, path: read.append((method, path)))
            words = self.words(store, proxy.port)
            code, outcomes, _ = self.run_json(*words, "--dry-run")
            new = dict.fromkeys([*FILES, f"{FOLDER}/broken.rdb"], "new")
            self.assertEqual((0, new), (code, outcomes))
            self.assertEqual([], self.keystow.json("backup", "list"))
            self.assertEqual([], [path for method, path in read if method == "GET" and ".rdb" in path])

            code, outcomes, rows = self.run_json(*words)
            done = dict.fromkeys(FILES, "imported") | {f"{FOLDER}/broken.rdb": "failed"}
            self.assertEqual((3, done), (code, outcomes))
            self.assertEqual("SNAPSHOT_CORRUPT", rows[f"{FOLDER}/broken.rdb"]["error"]["code"])
            for name, number in FILES.items():
                backup, moment = rows[name]["backup"], int((store.bucket / name).stat().st_mtime)
                target = self.lab.dir("fetched") / "dump.rdb"
                self.keystow.cli("fetch", backup["id"], "-o", target)
                self.assertEqual(sha256(self.dumps / str(number)), sha256(target))
                self.assertEqual([f"s3://{s3.BUCKET}/{name}"], backup["origin"]["imported"])
                self.assertEqual(self.keystow.json("backup", "show", backup["id"])["created_at"], shown(moment))

            # What is there is known without being read again.
            read.clear()
            code, outcomes, _ = self.run_json(*words)
            self.assertEqual((3, dict.fromkeys(FILES, "known") | {f"{FOLDER}/broken.rdb": "failed"}), (code, outcomes))
            paths = {path.split("?")[0] for method, path in read if method == "GET" and ".rdb" in path}
            self.assertEqual({f"/{s3.BUCKET}/{FOLDER}/broken.rdb"}, paths)
            # Nor are bytes kept twice that lie there under two names.
            one = self.words(store, place=f"{s3.BUCKET}/twice/again.rdb")
            self.assertEqual((0, {"twice/again.rdb": "known"}), self.run_json(*one)[:2])
            self.assertEqual(3, len(self.keystow.json("backup", "list")))
            self.forget()

    def test_the_shards_of_a_cluster_become_one_set(self):
        store = self.filled("s3s")
        (store.bucket / FOLDER / "broken.rdb").unlink()
        code, _, rows = self.run_json(*self.words(store), "--cluster", "--remark", "moved")
        self.assertEqual(0, code)
        backup, = (row["backup"] for row in rows.values())
        self.assertEqual(["monday.rdb", "sunday.rdb", "tuesday.rdb"],
                         [Path(name).name for name in backup["origin"]["imported"]])
        self.assertEqual(("moved", [0, 1, 2]), (backup["remark"], [part["shard"] for part in backup["parts"]]))
        _, outcomes, _ = self.run_json(*self.words(store), "--cluster")
        self.assertEqual({"known"}, set(outcomes.values()))

    def test_a_bucket_that_cannot_be_read_says_why(self):
        store = self.filled("s3s")
        wrong = self.lab.dir("wrong") / "secret"
        wrong.write_text("not the secret")
        refused = [
            (4, "BUCKET_DENIED", [*self.words(store)[:-1], wrong]),
            (5, "BUCKET_MISSING", self.words(store, place="nowhere")),
            (5, "FILE_NOT_FOUND", self.words(store, place=f"{s3.BUCKET}/empty")),
            (5, "BUCKET_FILE_MISSING", self.words(store, place=f"{s3.BUCKET}/absent.rdb")),
            (2, "INVALID_VALUE", ["import", "ftp://host/dumps", "--instance", INSTANCE]),
        ]
        for code, name, words in refused:
            done = self.keystow.run(*words, "--json")
            self.assertEqual((code, name), (done.returncode, json.loads(done.stderr)["error"]["code"]), done.stderr)
            self.assertNotIn("repository.", done.stderr)
        self.assertEqual([], self.keystow.json("backup", "list"))

    def test_one_that_breaks_is_tried_again_and_then_given_up(self):
        store = self.filled("s3s")
        large = f"{FOLDER}/more/of-them/sunday.rdb"

        def reads(method, path):
            return method == "GET" and large in path

        proxy = s3.Proxy(self.lab, store, s3.once(reads, "truncate"))
        words = self.words(store, proxy.port, f"{s3.BUCKET}/{large}")
        code, outcomes, _ = self.run_json(*words)
        self.assertEqual((0, {large: "imported"}, 1), (code, outcomes, len(proxy.done)))
        self.forget()
        proxy.harm = lambda method, path: "denied" if reads(method, path) else None
        code, _, rows = self.run_json(*words)
        self.assertEqual((4, "BUCKET_DENIED"), (code, rows[large]["error"]["code"]))
        self.assertEqual([], self.keystow.json("backup", "list"))

    def test_the_key_may_come_from_the_environment(self):
        store = self.filled("s3s")
        environment = clean_environment() | {
            "KEYSTOW_SERVER": self.keystow.server, "KEYSTOW_DATA_DIR": str(self.keystow.data_dir)}
        url = f"s3://{s3.BUCKET}/{FOLDER}/monday.rdb?endpoint=http://127.0.0.1:{store.port}"
        words = [self.keystow.program, "import", url, "--instance", INSTANCE, "--json"]
        chain = {"AWS_ACCESS_KEY_ID": s3.KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
        named = {"OLD_STORE_SECRET": s3.SECRET}
        key = ["--bucket-key-id", s3.KEY, "--bucket-secret-file", "env:OLD_STORE_SECRET"]
        for more, given, outcome in ((chain, [], "imported"), (named, key, "known")):
            done = subprocess.run([*map(str, words), *given], env=environment | more, text=True, capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=120)
            self.assertEqual([outcome], [row["outcome"] for row in json.loads(done.stdout)], done.stderr)
        unset = subprocess.run([*map(str, words), *key], env=environment, text=True, capture_output=True, timeout=120)
        self.assertEqual(2, unset.returncode, unset.stderr)


def shown(moment):
    """A moment as the API writes it."""
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
