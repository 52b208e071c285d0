"""Second copies: a folder and an S3 server, each the other's second repository; the first one is hurt, the copy is good."""

import shutil

import s3
from lab import wait_until
from world import INSTANCE, Story, digest, get, link

FAR = "far"


def parts(folder):
    """The parts below a folder, while they are removed; `[None]` = look again."""
    try:
        return list(folder.rglob("*.rdb"))
    except FileNotFoundError:
        return [None]


class Copies(Story):
    def configured(self, store, first):
        """A server whose repository is a folder or the store, and whose copies go to the other; (it, both places)."""
        folder = self.lab.dir("second") / "repository"
        place = {"url": f"s3://{s3.BUCKET}/pre/fix?endpoint=http://127.0.0.1:{store.port}",
                 "access_key_id": s3.KEY, "secret_file": str(store.secret_file)}
        local = {"url": f"file://{folder}"}
        here, there = (local, place) if first == "folder" else (place, local)
        lines = [f'repository.{name} = "{value}"' for name, value in here.items()]
        lines += [f'copies.{FAR}.{name} = "{value}"' for name, value in there.items()]
        file = self.lab.dir("config") / "keystow.toml"
        file.write_text("\n".join(lines) + "\n")
        return self.lab.keystow("--config", str(file)), folder

    def copy_of(self, keystow, backup):
        """The backup's only copy, as it is shown."""
        copy, = keystow.json("backup", "show", backup["id"])["copies"]
        return copy

    def wait_for_copy(self, keystow, backup, state="available"):
        """Wait until the copy is in that state."""
        wait_until(lambda: self.copy_of(keystow, backup)["state"] == state, 60, f"the copy to be {state}", pause=0.2)
        return self.copy_of(keystow, backup)

    def test_the_copy_is_read_when_the_first_repository_has_lost_its_object(self):
        redis = self.source(25_000, 1000)
        for kind, first in zip(s3.KINDS, ("folder", "store")):
            store = s3.Store(self.lab, kind)
            keystow, folder = self.configured(store, first)
            keystow.cli("instance", "add", redis.url, "--id", INSTANCE)
            keystow.cli("policy", "set", INSTANCE, "--copy", FAR)
            backup = keystow.json("backup", "create", INSTANCE, "--wait")
            copy = self.wait_for_copy(keystow, backup)
            part, = backup["parts"]
            self.assertEqual((part["size_bytes"], FAR), (copy["bytes"], copy["repository"]))
            roots = {"folder": folder, "store": store.bucket / "pre" / "fix"}
            here = roots[first]
            there = roots["store" if first == "folder" else "folder"]
            lost, = here.rglob("0.rdb")
            kept, = there.rglob("0.rdb")
            self.assertEqual(part["sha256"], digest(kept.read_bytes()))
            lost.unlink()
            # rclone remembers what was there.
            store.stop()
            store.start()
            self.assertEqual(part["sha256"], digest(get(link(keystow, backup)["url"])[2]))
            # A scrub says what is lost and what to do; the repair does it.
            self.assertEqual(7, keystow.run("backup", "scrub", backup["id"], "--wait").returncode)
            shown = keystow.json("backup", "show", backup["id"])
            self.assertEqual("damaged", shown["state"])
            self.assertIn(f"keystow backup repair {backup['id']}", shown["failure"]["hint"])
            keystow.json("backup", "repair", backup["id"], "--wait")
            self.assertEqual("available", keystow.json("backup", "show", backup["id"])["state"])
            self.assertEqual(part["sha256"], digest(get(link(keystow, backup)["url"])[2]))
            found, = here.rglob("0.rdb")
            self.assertEqual(part["sha256"], digest(found.read_bytes()))
            # Both go together.
            keystow.cli("backup", "delete", backup["id"], "--yes")
            wait_until(lambda: not parts(here) and not parts(there), 120, "both to be removed")
            keystow.stop()

    def test_a_second_store_that_is_away_holds_up_nothing_and_gets_its_copy_later(self):
        redis = self.source(1000, 1000)
        store = s3.Store(self.lab, "s3s")
        store.stop()
        keystow, folder = self.configured(store, "folder")
        keystow.cli("instance", "add", redis.url, "--id", INSTANCE)
        backup = keystow.json("backup", "create", INSTANCE, "--wait")
        self.assertEqual("available", backup["state"])
        self.assertNotEqual(0, keystow.run("doctor").returncode)
        refused = keystow.run("backup", "copy", backup["id"], "--to", FAR, "--wait")
        self.assertEqual(8, refused.returncode, refused.stderr)
        copy = self.copy_of(keystow, backup)
        self.assertEqual(("failed", "REPOSITORY_UNREACHABLE"), (copy["state"], copy["failure"]["code"]))
        self.assertIsNotNone(copy["retry_at"])
        self.assertEqual(2, keystow.run("backup", "copy", backup["id"], "--to", "nowhere").returncode)
        store.start()
        # It is looked for every minute, and at a start; what waited for it is made at once.
        keystow.stop()
        keystow.start()
        self.wait_for_copy(keystow, backup)
        self.assertEqual(0, keystow.run("doctor").returncode)
        self.assertIn("copy", keystow.cli("backup", "show", backup["id"]))

    def test_a_store_that_lies_keeps_no_copy(self):
        redis = self.source(25_000, 1000)
        store = s3.Store(self.lab, "s3s")
        proxy = s3.Proxy(self.lab, store, lambda *_: None)
        store.port, real = proxy.port, store.port
        keystow, _ = self.configured(store, "folder")
        store.port = real
        keystow.cli("instance", "add", redis.url, "--id", INSTANCE)
        backup = keystow.json("backup", "create", INSTANCE, "--wait")
        for name in (".rdb", "manifest.json"):
            proxy.harm = lambda method, path, name=name: "forget" if name in path and method in ("PUT", "POST") else None
            self.assertNotEqual(0, keystow.run("backup", "copy", backup["id"], "--to", FAR, "--wait").returncode)
            self.assertEqual("failed", self.copy_of(keystow, backup)["state"], name)
            proxy.harm = lambda *_: None
        keystow.json("backup", "copy", backup["id"], "--to", FAR, "--wait")
        self.assertEqual("available", self.copy_of(keystow, backup)["state"])
        self.assertEqual(1, len([name for name in store.objects() if name.endswith(".rdb")]))

    def test_the_second_repository_alone_is_a_repository(self):
        redis = self.source(1000, 1000)
        store = s3.Store(self.lab, "s3s")
        keystow, folder = self.configured(store, "folder")
        keystow.cli("instance", "add", redis.url, "--id", INSTANCE)
        backup = keystow.json("backup", "create", INSTANCE, "--wait")
        keystow.json("backup", "copy", backup["id"], "--to", FAR, "--wait")
        keystow.json("catalog", "copy")
        url = link(keystow, backup)["url"]
        keystow.stop()
        # The host's disk is lost, but for the root key and the admin's.
        shutil.rmtree(folder)
        for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
            (keystow.data_dir / name).unlink(missing_ok=True)
        config = store.config()
        rebuilt = keystow.json("catalog", "rebuild", "--config", config, "--data-dir", keystow.data_dir)
        self.assertEqual({"available": 1}, rebuilt["backups"])
        self.assertIsNotNone(rebuilt["copy_at"])
        after = self.lab.keystow("--config", str(config), data_dir=keystow.data_dir)
        self.assertEqual([INSTANCE], [row["id"] for row in after.json("instance", "list")])
        moved = url.replace(f":{keystow.download}/", f":{after.download}/")
        self.assertEqual(backup["parts"][0]["sha256"], digest(get(moved)[2]))
        self.assertEqual("available", after.json("backup", "create", INSTANCE, "--wait")["state"])
