"""Stores that are down, slow, full of errors, or that lie."""

import s3
from lab import wait_until
from world import INSTANCE, Story, digest, get, link

BACKUPS = 12
CLEAR = {"REPOSITORY_UNREACHABLE", "REPOSITORY_DENIED", "REPOSITORY_FAILED", "OBJECT_DAMAGED", "OBJECT_CHANGED"}


def completes(method, path):
    """Whether a request ends an upload."""
    return method == "POST" and "uploadId=" in path


class Faults(Story):
    def back_up(self, keystow):
        """The row of a new backup, whatever became of it."""
        keystow.run("backup", "create", INSTANCE, "--wait")
        return keystow.json("backup", "list")[0]

    def assert_whole(self, keystow, backup):
        part = keystow.json("backup", "show", backup["id"])["parts"][0]
        self.assertEqual(part["sha256"], digest(get(link(keystow, backup)["url"])[2]))

    def test_one_request_in_ten_fails(self):
        redis = self.source(25_000, 1000)
        for store in self.stores():
            proxy = s3.Proxy(self.lab, store, s3.at_random(s3.seeded(), 0.1))
            # What follows is about backups: the first look at the store is patient enough.
            keystow = self.service(store.config(proxy.port), redis)
            rows = [self.back_up(keystow) for _ in range(BACKUPS)]
            good = [row for row in rows if row["state"] == "available"]
            print(f"  {store.kind}: {len(good)} of {BACKUPS} backups, {len(proxy.done)} faults", flush=True)
            self.assertGreater(len(proxy.done), 3)
            self.assertGreaterEqual(len(good), BACKUPS - 1)
            for row in rows:
                if row["state"] != "available":
                    self.assertIn(row["failure"]["code"], CLEAR, row)
            proxy.harm = lambda *_: None
            for row in good:
                self.assert_whole(keystow, row)
            parts = [name for name in store.objects() if name.endswith(".rdb")]
            self.assertEqual(len(good), len(parts), parts)
            keystow.stop()

    def test_an_upload_that_cannot_end_is_no_backup(self):
        redis = self.source(25_000, 1000)
        store = s3.Store(self.lab, "s3s")
        proxy = s3.Proxy(self.lab, store, lambda *_: None)
        keystow = self.service(store.config(proxy.port), redis)
        for kind, code in (("denied", "REPOSITORY_DENIED"), ("forget", "OBJECT_DAMAGED")):
            proxy.harm = lambda method, path, kind=kind: kind if completes(method, path) else None
            failed = self.back_up(keystow)
            self.assertEqual(("failed", code), (failed["state"], failed["failure"]["code"]), kind)
            self.assertEqual([], [name for name in store.objects() if "accounts" in name])
            if kind != "forget":
                # A store that says that all is well is not asked to give anything up.
                self.assertEqual([], store.leftovers(), "what was not finished is aborted")
        # One lost answer, or one wrong one, is made good.
        for kind in ("lost", "lie", "500", "reset"):
            proxy.harm = s3.once(completes, kind)
            backup = self.back_up(keystow)
            self.assertEqual("available", backup["state"], kind)
            self.assert_whole(keystow, backup)

    def test_a_small_object_that_the_store_forgets_is_noticed(self):
        redis = self.source(10, 10)
        store = s3.Store(self.lab, "s3s")
        proxy = s3.Proxy(self.lab, store, lambda *_: None)
        keystow = self.service(store.config(proxy.port), redis)
        for name in (".rdb", "manifest.json"):
            proxy.harm = lambda method, path, name=name: "forget" if method == "PUT" and name in path else None
            failed = self.back_up(keystow)
            self.assertEqual(("failed", "OBJECT_DAMAGED"), (failed["state"], failed["failure"]["code"]), name)
        proxy.harm = lambda *_: None
        self.assertEqual("available", self.back_up(keystow)["state"])

    def test_a_store_that_comes_back_is_used_again(self):
        redis = self.source(1000, 1000)
        store = s3.Store(self.lab, "s3s")
        keystow = self.service(store.config(), redis)
        first = self.back_up(keystow)
        store.stop()
        failed = self.back_up(keystow)
        self.assertEqual(("failed", "REPOSITORY_UNREACHABLE"), (failed["state"], failed["failure"]["code"]))
        self.assertNotEqual(0, keystow.run("doctor").returncode)
        store.start()
        wait_until(lambda: keystow.run("doctor").returncode == 0, 120, "the store to be used again", pause=0.5)
        self.assertEqual("available", self.back_up(keystow)["state"])
        self.assert_whole(keystow, first)
