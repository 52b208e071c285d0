"""What is shown to be pasted works as it is shown: `keystow key snippet`, and the examples of README.md."""

import functools
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

from alibaba import minute
from certificate import Certificate
from configured import server
from lab import ROOT, clean_environment
from world import ALIBABA_INSTANCE, OPERATOR, TENCENT_INSTANCE, world

SNIPPETS = {"tccli": ["sh"], "tencent": [sys.executable], "alibaba": [sys.executable],
            "huawei": [sys.executable], "ucloud": [sys.executable]}


def run(interpreter, text, ca=None):
    """Run a text as a file of its own, with the SDKs' programs on the PATH; what it prints."""
    folder = world().lab.dir("snippet")
    file = folder / "snippet"
    file.write_text(text)
    environment = clean_environment() | {
        "KEYSTOW_ACCESS_KEY_SECRET": OPERATOR[1], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if ca:
        environment["SSL_CERT_FILE"] = str(ca)
    done = subprocess.run([*interpreter, str(file)], env=environment, text=True, stdin=subprocess.DEVNULL,
                          capture_output=True, cwd=folder, timeout=60)
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}\n{text}\n{done.stdout}{done.stderr}")
    return done.stdout


class SnippetTest(unittest.TestCase):
    """`keystow key snippet`."""

    def test_every_snippet_lists_the_instances(self):
        for client, interpreter in SNIPPETS.items():
            with self.subTest(client):
                text = world().keystow.cli("key", "snippet", OPERATOR[0], "--for", client)
                self.assertNotIn(OPERATOR[1], text)
                self.assertIn(ALIBABA_INSTANCE, run(interpreter, text))

    def test_there_is_one_for_every_client(self):
        made = world().keystow.json("key", "snippet", OPERATOR[0])
        self.assertEqual(list(SNIPPETS), [snippet["client"] for snippet in made])

    def test_an_unknown_key_has_none(self):
        done = world().keystow.run("key", "snippet", "nobody")
        self.assertEqual(5, done.returncode)
        self.assertIn("error[NOT_FOUND]", done.stderr)


@functools.cache
def over_https():
    """A server whose API speaks https, for the SDK that knows nothing else; its authority."""
    keystow = server("", certificate=Certificate(world().lab.dir("https")))
    keystow.cli("instance", "add", world().redis.url, "--id", TENCENT_INSTANCE)
    return keystow


class ReadmeTest(unittest.TestCase):
    """The Python examples of README.md."""

    def test_every_example_ends_in_links(self):
        examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        self.assertEqual(5, len(examples))
        for example in examples:
            with self.subTest(example.splitlines()[0]):
                self.try_example(example)

    def try_example(self, example):
        """Run an example with a backup and a key, on this server's port, and look for the backup's link."""
        keystow = over_https() if "QcloudApi" in example else world().keystow
        backup = keystow.json("backup", "create", TENCENT_INSTANCE, "--wait")["id"]
        changes = {"7360": str(keystow.api), "prod-cache": TENCENT_INSTANCE,
                   "2026-11-21T00:00Z": minute(-1), "2026-11-22T00:00Z": minute(1)}
        for shown, ours in changes.items():
            example = example.replace(shown, ours)
        *lines, last = example.strip().splitlines()
        given = f"key_id, secret, backup_id = {(*keystow.admin(), backup)!r}"
        text = "\n".join([given, *lines, f"print({last.split('   #')[0]})"])
        printed = run([sys.executable], text, ca=keystow.ca)
        self.assertRegex(printed, f"http://127.0.0.1:{keystow.download}\\\\?/{backup}")
