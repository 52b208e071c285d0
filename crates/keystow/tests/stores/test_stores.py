"""A repository in an object store, through the whole life of a backup, on two S3 servers."""

import socket
import urllib.parse

import s3
from lab import wait_until
from world import CAPTURE_MIB, INSTANCE, Story, digest, get, high_water_mib, link

MIB = 1 << 20
# The most memory that any number of downloads takes (DESIGN.md, 9).
DOWNLOADS, DOWNLOADS_MIB = 200, 128


class Stores(Story):
    def test_a_backup_goes_there_and_comes_back(self):
        redis = self.source(200_000, 1000)
        for store in self.stores():
            keystow = self.service(store.config(), redis)
            idle = high_water_mib(keystow)
            backup = keystow.json("backup", "create", INSTANCE, "--wait")
            self.assertEqual("available", backup["state"])
            used = high_water_mib(keystow)
            print(f"  {store.kind}: {used:.0f} MiB during the capture, {idle:.0f} MiB before", flush=True)
            self.assertLess(used - idle, CAPTURE_MIB)
            part = backup["parts"][0]
            self.assertGreater(part["size_bytes"], 200 * MIB * 9 // 10)
            self.check_download(keystow, backup, part)
            self.assertTrue(keystow.json("verify", backup["id"])["ok"])
            self.assertEqual(["pre/fix/repository.json"], [n for n in store.objects() if "accounts" not in n and "/catalog/" not in n])
            self.assertEqual(2, sum("accounts" in name for name in store.objects()))
            keystow.cli("backup", "delete", backup["id"], "--yes")
            self.wait_for_removal(store)
            self.assertEqual([], store.leftovers())
            self.assertIn(f"s3://{s3.BUCKET}/pre/fix", keystow.cli("doctor"))
            keystow.stop()

    def check_download(self, keystow, backup, part):
        url = link(keystow, backup)["url"]
        status, headers, body = get(url)
        self.assertEqual((200, part["size_bytes"], part["sha256"]), (status, len(body), digest(body)))
        for first, last in ((0, 0), (5, 300_000), (8 * MIB - 1, 8 * MIB), (100 * MIB, 170 * MIB - 1)):
            status, _, piece = get(url, Range=f"bytes={first}-{last}")
            self.assertEqual((206, True), (status, piece == body[first:last + 1]), f"{first}-{last}")
        status, _, rest = get(url, Range=f"bytes={len(body) - 7}-", **{"If-Range": headers["ETag"]})
        self.assertEqual((206, body[-7:]), (status, rest))
        # What a download that broke has left is the start of the next one.
        target = self.lab.dir("fetch") / "dump.rdb"
        keystow.cli("fetch", backup["id"], "-o", target)
        self.assertEqual(part["sha256"], digest(target.read_bytes()))

    def wait_for_removal(self, store):
        wait_until(lambda: not any("accounts" in name for name in store.objects()), 120, "the removal")

    def test_two_hundred_downloads_take_little_memory(self):
        redis = self.source(60_000, 1000)
        store = s3.Store(self.lab, "s3s")
        keystow = self.service(store.config(), redis)
        backup = keystow.json("backup", "create", INSTANCE, "--wait")
        keystow.stop()
        keystow.start()
        address = urllib.parse.urlsplit(link(keystow, backup)["url"])
        request = f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
        clients, idle = [], high_water_mib(keystow)
        for _ in range(DOWNLOADS):
            client = socket.socket()
            # Little room here, so that the bytes under way are the server's to keep.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.connect((address.hostname, keystow.download))
            client.settimeout(120)
            client.sendall(request)
            clients.append(client)
        for _ in range(16):
            for client in clients:
                self.assertTrue(client.recv(64 * 1024))
        used = high_water_mib(keystow)
        for client in clients:
            client.close()
        print(f"  {DOWNLOADS} downloads from a store: {used:.0f} MiB, {idle:.0f} MiB before", flush=True)
        self.assertLess(used, DOWNLOADS_MIB)

    def test_a_direct_link_goes_to_the_store_unless_it_is_limited(self):
        redis = self.source(1000, 1000)
        for store in self.stores():
            keystow = self.service(store.config(links__mode="direct"), redis)
            backup = keystow.json("backup", "create", INSTANCE, "--wait")
            direct = link(keystow, backup)
            self.assertTrue(direct["url"].startswith(f"http://127.0.0.1:{store.port}/{s3.BUCKET}/"), direct)
            self.assertEqual((True, ""), (direct["direct"], direct["id"]))
            _, _, body = get(direct["url"])
            self.assertEqual(backup["parts"][0]["sha256"], digest(body))
            self.assertIn("cannot be revoked", keystow.run("link", "create", backup["id"]).stderr)
            for words in (("--once",), ("--ip", "127.0.0.0/8")):
                limited = link(keystow, backup, *words)
                self.assertTrue(limited["url"].startswith(f"http://127.0.0.1:{keystow.download}/"), limited)
                self.assertFalse(limited["direct"])
            keystow.stop()
