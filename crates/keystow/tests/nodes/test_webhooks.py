"""A source dies, its backup fails, and a receiver hears of it, signed as docs/operate/webhooks.md says."""

import base64
import hashlib
import hmac
import json
import threading
import time
import unittest
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab import Lab, wait_until


def is_from_keystow(secret: bytes, signature: str, body: bytes, now=time.time) -> bool:
    """As the documentation shows it."""
    parts = dict(part.split("=", 1) for part in signature.split(","))
    wanted = hmac.new(secret, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, parts["v1"]) and abs(now() - int(parts["t"])) < 300


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent; answers the first requests with these statuses, all others with 204."""

    def __init__(self, *statuses):
        self.statuses, self.got = list(statuses), []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/keystow"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Webhooks(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.redis = self.lab.redis()
        self.redis.call("DEBUG", "POPULATE", 1000, "key", 100)
        self.keystow = self.lab.keystow()
        self.keystow.cli("instance", "add", self.redis.url, "--id", "crs-1", "--name", "first")

    def receiver(self, *statuses):
        receiver = Receiver(*statuses)
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        return receiver

    def fail(self):
        """The backup of a server that is gone."""
        self.redis.stop()
        return self.keystow.json("backup", "create", "crs-1")

    def test_a_failed_backup_is_told_and_told_again_until_it_is_taken(self):
        receiver = self.receiver(500)
        events = ["backup.failed", "backup.partial"]
        hook = self.keystow.json("webhook", "add", receiver.url, "--event", events[0], "--event", events[1])
        self.assertEqual((hook["state"], hook["events"]), ("active", events))
        secret = hook["secret"].encode()
        self.keystow.cli("backup", "create", "crs-1", "--wait")
        failed = self.fail()
        wait_until(lambda: len(receiver.got) == 2, 60, "the notice to come twice")
        (first, body), (second, again) = receiver.got
        self.assertEqual(first["Keystow-Delivery"], second["Keystow-Delivery"])
        self.assertEqual(json.loads(body), json.loads(again))
        for headers, body in receiver.got:
            self.assertTrue(is_from_keystow(secret, headers["Keystow-Signature"], body))
            self.assertFalse(is_from_keystow(b"another", headers["Keystow-Signature"], body))
            self.assertFalse(is_from_keystow(secret, headers["Keystow-Signature"], body + b" "))
        notice = json.loads(body)
        self.assertEqual(list(notice), ["id", "type", "at", "account", "project", "instance", "backup", "code",
                                        "message", "hint", "node", "server"])
        self.assertEqual((notice["type"], notice["code"]), ("backup.failed", "SOURCE_UNREACHABLE"))
        self.assertEqual(notice["instance"], {"id": "crs-1", "name": "first"})
        self.assertEqual(notice["backup"], {"id": failed["id"], "number": failed["number"]})

        done = lambda: self.keystow.json("webhook", "deliveries", hook["id"])[0]
        wait_until(lambda: done()["state"] == "done", 60, "the end to be written down")
        row = done()
        self.assertEqual((row["tries"], row["status"], row["backup"]), (2, 204, failed["number"]))
        self.assertNotIn(hook["secret"], "".join(self.keystow.log))
        self.assertNotIn(hook["secret"], json.dumps(self.keystow.json("audit", "list")))
        metrics = self.metrics()
        self.assertIn('keystow_webhook_tries_total{outcome="done"} 1', metrics)
        self.assertIn('keystow_webhook_tries_total{outcome="failed"} 1', metrics)
        self.assertIn("keystow_webhook_pending 0.0", metrics)

    def metrics(self):
        request = urllib.request.Request(f"{self.keystow.server}/metrics")
        pair = ":".join(self.keystow.admin()).encode()
        request.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def test_a_webhook_outlives_a_restart_and_its_pause_is_silent(self):
        receiver = self.receiver()
        secret = self.lab.dir("secret") / "secret"
        secret.write_text("a secret of our own, long enough\n")
        hook = self.keystow.json("webhook", "add", receiver.url, "--secret-file", secret)
        self.assertEqual(self.keystow.json("webhook", "pause", hook["id"])["state"], "paused")
        self.fail()
        wait_until(lambda: self.keystow.json("backup", "list")[0]["state"] == "failed", 120, "the backup to fail")
        self.keystow.stop()
        self.keystow.start()
        self.assertEqual(self.keystow.json("webhook", "resume", hook["id"])["state"], "active")
        tested = self.keystow.json("webhook", "test", hook["id"])
        self.assertEqual(tested["status"], 204)
        self.assertEqual([headers["Keystow-Event"] for headers, _ in receiver.got], ["webhook.test"])
        headers, body = receiver.got[0]
        self.assertTrue(is_from_keystow(b"a secret of our own, long enough", headers["Keystow-Signature"], body))
        self.keystow.json("backup", "create", "crs-1")
        wait_until(lambda: len(receiver.got) == 2, 120, "the next failure to be told")
        self.assertEqual(receiver.got[1][0]["Keystow-Event"], "backup.failed")

    def test_what_cannot_be_told_has_its_exit_code(self):
        receiver = self.receiver(403)
        hook = self.keystow.json("webhook", "add", receiver.url)
        done = self.keystow.run("webhook", "test", hook["id"])
        self.assertEqual((done.returncode, "WEBHOOK_REFUSED" in done.stderr), (8, True), done.stderr)
        receiver.shutdown()
        receiver.server_close()
        done = self.keystow.run("webhook", "test", hook["id"])
        self.assertEqual((done.returncode, "WEBHOOK_UNREACHABLE" in done.stderr), (8, True), done.stderr)
        for url in ("http://169.254.169.254/", "ftp://example.com/"):
            self.assertEqual(self.keystow.run("webhook", "add", url).returncode, 2, url)
        self.assertEqual(self.keystow.run("webhook", "add", receiver.url, "--event", "no.such").returncode, 2)
        self.assertEqual(self.keystow.run("webhook", "show", "wh-none").returncode, 5)
        self.assertEqual(self.keystow.json("webhook", "list")[0]["state"], "failing")
        self.keystow.cli("webhook", "delete", hook["id"], "--yes")
        self.assertEqual(self.keystow.json("webhook", "list"), [])


if __name__ == "__main__":
    unittest.main()
