"""What is shown to be pasted works as it is shown: `keystow key snippet`, and the examples of README.md."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

from lab import ROOT, clean_environment
from world import ALIBABA_INSTANCE, OPERATOR, TENCENT_INSTANCE, world

SNIPPETS = {"tccli": ["sh"], "tencent": [sys.executable], "alibaba": [sys.executable],
            "huawei": [sys.executable], "ucloud": [sys.executable]}


def run(interpreter, text):
    """Run a text as a file of its own, with the SDKs' programs on the PATH; what it prints."""
    folder = world().lab.dir("snippet")
    file = folder / "snippet"
    file.write_text(text)
    environment = clean_environment() | {
        "KEYSTOW_ACCESS_KEY_SECRET": OPERATOR[1], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
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


class ReadmeTest(unittest.TestCase):
    """The Python examples of README.md."""

    def test_every_example_runs(self):
        keystow = world().keystow
        examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        self.assertGreaterEqual(len(examples), 2)
        for example in examples:
            instance = TENCENT_INSTANCE if "tencentcloud" in example else ALIBABA_INSTANCE
            backup = keystow.json("backup", "create", instance, "--wait")["id"]
            given = f"key_id, secret, backup_id = {(*OPERATOR, backup)!r}\n"
            with self.subTest(example.splitlines()[0]):
                run([sys.executable], given + example.replace("7360", str(keystow.api)).replace("prod-cache", instance))
