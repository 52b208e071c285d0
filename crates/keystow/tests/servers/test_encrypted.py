"""Encrypted and compressed backups: the stock programs open them, and links deliver their plain bytes."""

import hashlib
import json
import os
import pty
import random
import subprocess
import unittest
import urllib.error
import urllib.request

import sample
from lab import Lab, sha256

WAYS = (("zstd", "off"), ("off", "age"), ("zstd", "age"))
PASSPHRASE = "correct horse battery staple"


def configured(lab, compression, encryption, **more):
    """A configuration file for the server."""
    file = lab.dir("config") / "keystow.toml"
    lines = [f'compression = "{compression}"', f'encryption = "{encryption}"']
    lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    file.write_text("[repository]\n" + "\n".join(lines) + "\n")
    return "--config", str(file)


def piped(data, *programs):
    """What comes out of one program after the other."""
    for words in programs:
        data = subprocess.run([str(word) for word in words], input=data, capture_output=True, check=True).stdout
    return data


def ranged(url, ranges):
    """(status, headers, body) of a GET of that range."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={ranges}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, answer.headers, answer.read()


def answer_passphrase(words):
    """Run a program that asks for a passphrase on its terminal; its output."""
    out_read, out_write = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(out_write, 1)
        os.execvp(words[0], words)
    os.close(out_write)
    os.write(terminal, (PASSPHRASE + "\n").encode())
    with os.fdopen(out_read, "rb") as output:
        data = output.read()
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    if status:
        raise AssertionError(f"{words} failed")
    return data


class Encoded(unittest.TestCase):
    """One server with data of more than one frame, stored in every way."""

    def setUp(self):
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.redis = self.lab.redis("--repl-diskless-sync-delay", "0", "--rdbcompression", "no")
        sample.fill(self.redis, records=300)
        chance = random.Random(3)
        for number in range(6000):
            self.redis.call("SET", f"bulk:{number}", (chance.randbytes(300) * 3).hex())

    def backup(self, keystow, instance="crs-1"):
        """Take one, and return its row with the file of its part."""
        keystow.cli("instance", "add", self.redis.url, "--id", instance)
        row = keystow.json("backup", "create", instance, "--wait")
        self.assertEqual("available", row["state"])
        folder = keystow.data_dir / "repository" / "accounts/default/instances" / instance / "backups" / row["id"]
        (stored,) = folder.rglob("0.rdb*")
        return row, stored

    def test_every_way(self):
        for compression, encryption in WAYS:
            with self.subTest(compression=compression, encryption=encryption):
                keystow = self.lab.keystow(*configured(self.lab, compression, encryption))
                row, stored = self.backup(keystow)
                suffix = (".zst" if compression != "off" else "") + (".age" if encryption != "off" else "")
                self.assertEqual(f"0.rdb{suffix}", stored.name)
                self.opens_with_stock_programs(keystow, row, stored)
                self.links_deliver_plain_bytes(keystow, row)
                self.damage_is_told(keystow, row, stored)
                keystow.stop()

    def opens_with_stock_programs(self, keystow, row, stored):
        """age and zstd alone give the file that was taken, and a server loads it."""
        data, folder = stored.read_bytes(), self.lab.dir("stock")
        if stored.name.endswith(".age"):
            own = keystow.data_dir / "node.identity"
            self.assertEqual(0o600, own.stat().st_mode & 0o777)
            identity = folder / "repository.txt"
            identity.write_bytes(piped(None, ("age", "-d", "-i", own, keystow.data_dir / "repository/keys/1.age")))
            data = piped(data, ("age", "-d", "-i", identity))
        if ".zst" in stored.name:
            data = piped(data, ("zstd", "-d", "-c"))
        plain = folder / "dump.rdb"
        plain.write_bytes(data)
        self.assertEqual(row["parts"][0]["sha256"], sha256(plain))
        self.assertEqual((self.redis.digest(), self.redis.keys()), self.lab.digest_of(plain))

    def links_deliver_plain_bytes(self, keystow, row):
        """Whole, in ranges and resumed."""
        part, folder = row["parts"][0], self.lab.dir("links")
        size = part["size_bytes"]
        self.assertGreater(size, 3 << 20)
        whole = folder / "whole.rdb"
        keystow.cli("fetch", row["id"], "-o", whole)
        self.assertEqual(part["sha256"], sha256(whole))
        data = whole.read_bytes()
        url = keystow.json("link", "create", row["id"], "--network", "public")["links"][0]["url"]
        with urllib.request.urlopen(url, timeout=60) as answer:
            self.assertEqual((str(size), data), (answer.headers["Content-Length"], answer.read()))
            etag = answer.headers["ETag"]
        chance = random.Random(5)
        edges = [0, 1, 65535, 65536, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, size - 1]
        for _ in range(40):
            first, last = sorted(chance.choice((chance.randrange(size), chance.choice(edges))) for _ in range(2))
            status, headers, body = ranged(url, f"{first}-{last}")
            self.assertEqual((206, data[first:last + 1], etag), (status, body, headers["ETag"]), (first, last))
        self.assertEqual(data[-7:], ranged(url, "-7")[2])
        status, _, body = ranged(url, "0-9,2097150-2097160")
        self.assertTrue((status == 200 and body == data) or (data[:10] in body and data[2097150:2097161] in body))
        # A download that stopped in the middle goes on there.
        resumed = folder / "resumed.rdb"
        subprocess.run(["curl", "-sf", "-o", resumed, "-r", "0-1234567", url], check=True)
        subprocess.run(["curl", "-sf", "-o", resumed, "-C", "-", url], check=True)
        self.assertEqual(part["sha256"], sha256(resumed))
        digest = hashlib.sha256(data).hexdigest()
        self.assertEqual(part["sha256"], digest)

    def damage_is_told(self, keystow, row, stored):
        """A flipped bit anywhere is an error, never other bytes."""
        good = stored.read_bytes()
        stored.chmod(0o600)
        places = [5, 100, 150, 1000, len(good) // 2, len(good) - 40, len(good) - 3]
        for at in places:
            stored.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
            target = self.lab.dir("damaged") / "dump.rdb"
            done = keystow.run("drill", row["id"], "--json")
            self.assertNotEqual(0, done.returncode, f"byte {at}")
            self.assertIn("DAMAGED", done.stderr + done.stdout)
            self.assertFalse(target.exists())
        stored.write_bytes(good)
        keystow.cli("drill", row["id"])

    def test_restores_and_drills(self):
        keystow = self.lab.keystow(*configured(self.lab, "zstd", "age"))
        row, _ = self.backup(keystow)
        for method in ("primary", "commands"):
            other = self.lab.redis("--repl-diskless-sync-delay", "0")
            keystow.cli("restore", row["id"], "--to", other.url, "--as", method, "--yes")
            self.assertEqual((self.redis.digest(), self.redis.keys()), (other.digest(), other.keys()), method)
        keystow.cli("drill", row["id"])
        keystow.cli("verify", row["id"])

    def test_people_and_identities_change(self):
        keystow = self.lab.keystow(*configured(self.lab, "zstd", "age"))
        first, stored = self.backup(keystow, "first")
        self.assertNotEqual(0, keystow.run("doctor").returncode, "nobody but the node can decrypt")
        folder = self.lab.dir("people")
        ann = folder / "ann.txt"
        subprocess.run(["age-keygen", "-o", ann], check=True, capture_output=True)
        public = piped(None, ("age-keygen", "-y", ann)).decode().strip()
        keystow.cli("repository", "recipients", "add", public, "--name", "ann")
        keystow.cli("doctor")
        words = folder / "words"
        words.write_text(PASSPHRASE + "\n")
        keystow.cli("repository", "recipients", "add", "--name", "safe", "--passphrase-file", words)
        before = keystow.json("repository", "show")
        after = keystow.json("repository", "rotate-identity")
        self.assertNotEqual(before["recipient"], after["recipient"])
        second, new = self.backup(keystow, "second")
        keys = keystow.data_dir / "repository" / "keys"
        newest = max(keys.glob("?.age"), key=lambda file: int(file.name.split(".")[0]))
        by_ann = piped(None, ("age", "-d", "-i", ann, newest))
        by_words = answer_passphrase(["age", "-d", "-i", str(keys / "3.passphrase.age"), str(newest)])
        self.assertEqual(by_ann, by_words)
        identity = folder / "repository.txt"
        identity.write_bytes(by_ann)
        for row, file in ((first, stored), (second, new)):
            plain = piped(file.read_bytes(), ("age", "-d", "-i", identity), ("zstd", "-d", "-c"))
            self.assertEqual(row["parts"][0]["sha256"], hashlib.sha256(plain).hexdigest())
            keystow.cli("fetch", row["id"], "-o", folder / f"{row['id']}.rdb")
        keystow.cli("repository", "recipients", "remove", "ann")
        names = [holder["name"] for holder in keystow.json("repository", "recipients", "list")]
        self.assertEqual(["node", "safe"], names)

    def test_a_node_that_only_takes_backups(self):
        keystow = self.lab.keystow(*configured(self.lab, "zstd", "age"))
        self.backup(keystow, "first")
        keystow.stop()
        writer = self.lab.keystow(*configured(self.lab, "zstd", "age", write_only=True), data_dir=keystow.data_dir)
        row, _ = self.backup(writer, "second")
        for words in (("link", "create", row["id"]), ("drill", row["id"]),
                      ("restore", row["id"], "--to", self.redis.url, "--yes")):
            refused = json.loads(writer.run(*words, "--json").stderr)
            self.assertEqual("IDENTITY_MISSING", refused["error"]["code"], words)
        writer.stop()
        again = self.lab.keystow(*configured(self.lab, "off", "off"), data_dir=keystow.data_dir)
        again.cli("fetch", row["id"], "-o", self.lab.dir("again") / "dump.rdb")


if __name__ == "__main__":
    unittest.main()
