"""The world that every test of this suite lives in: one Redis, one Keystow, three access keys."""

import atexit
import functools
import logging
import re
import subprocess
import sys
import urllib.error
import urllib.request
import warnings

import sample
from lab import ROOT, Lab, LabError, clean_environment, wait_until

ALIBABA_INSTANCE = "r-bp1zxszhcgatnx"
TENCENT_INSTANCE = "crs-c7xq4kqu"
OPERATOR = ("LTAI4FoperatorKeyOfOurs", "operator-secret-0123456789abcdef")
VIEWER = ("AKIDviewerKeyOfOurs00000", "viewer-secret-0123456789abcdef00")
STRANGER = ("LTAI4FnobodyKnowsThisKey", OPERATOR[1])


class World:
    """Servers with sample data, and what the tests ask of them."""

    def __init__(self, lab):
        self.lab = lab
        self.redis = lab.redis("--repl-diskless-sync-delay", "0")
        sample.fill(self.redis, records=200)
        self.keystow = lab.keystow()
        for instance in (ALIBABA_INSTANCE, TENCENT_INSTANCE):
            self.keystow.cli("instance", "add", self.redis.url, "--id", instance, "--name", f"cache {instance}")
        self._import_key(OPERATOR, "operator")
        self._import_key(VIEWER, "viewer")

    def _import_key(self, key, role):
        access_key_id, secret = key
        file = self.lab.dir("secret") / "secret"
        file.write_text(secret)
        file.chmod(0o600)
        self.keystow.cli("key", "create", "--id", access_key_id, "--secret-file", file, "--role", role)

    def assert_restores(self, test, url, size):
        """The link delivers `size` bytes that a fresh redis-server loads to the very same data."""
        status, _, body = get(url)
        test.assertEqual((200, size), (status, len(body)), url)
        file = self.lab.dir("download") / "dump.rdb"
        file.write_bytes(body)
        digest, keys = self.lab.digest_of(file)
        test.assertEqual((self.redis.digest(), self.redis.keys()), (digest, keys))


def assert_puts_back(test, keystow, instance, restore, times=1):
    """What `restore(backup)`, a vendor's call, puts into an instance is what its backup holds, and nothing else."""
    redis = world().lab.redis("--repl-diskless-sync-delay", "0")
    sample.fill(redis, records=20)
    keystow.cli("instance", "add", redis.url, "--id", instance)
    try:
        backup = keystow.json("backup", "create", instance, "--wait")
        before = redis.digest()
        for time in range(times):
            redis.call("SET", "later", time)
            test.assertNotEqual(before, redis.digest())
            restore(backup)
            wait_until(lambda: _restores(keystow, instance) == time + 1, 60, f"restore {time} of {instance}")
            test.assertEqual((before, "master"), (redis.digest(), redis.field("role")))
    finally:
        keystow.cli("instance", "delete", instance)
        redis.stop()


def _restores(keystow, instance):
    """How many restores into an instance are done; a failed one raises."""
    jobs = [job for job in keystow.json("job", "list")
            if (job["kind"], job["instance"]) == ("restore", instance)]
    for job in jobs:
        if job["failure"]:
            raise LabError(str(job["failure"]))
    return sum(job["state"] == "done" for job in jobs)


@functools.cache
def _build():
    """The world, or why there is none; tried once."""
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.getLogger("aliyunsdkcore").setLevel(logging.CRITICAL)
    logging.getLogger("ucloud").disabled = True
    lab = Lab()
    atexit.register(lab.close)
    try:
        return World(lab), None
    except LabError as failure:
        return None, failure


def world():
    """The one world, made by the first test that needs it and ended with the process."""
    made, failure = _build()
    if failure:
        raise failure
    return made


def run(program, key, shell=(sys.executable, "-c")):
    """What a program prints that takes the access key from the environment, as our snippets and pages do."""
    environment = clean_environment() | {"KEYSTOW_ACCESS_KEY_SECRET": key[1], "AK": key[0], "SK": key[1]}
    done = subprocess.run([*shell, program], env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise LabError(done.stdout + done.stderr)
    return done.stdout


def examples(page, language, instance):
    """The programs of a page under docs/dialects, asking this world's server for that instance."""
    text = (ROOT / "docs" / "dialects" / page).read_text()
    text = text.replace("http://127.0.0.1:7360", world().keystow.server).replace("prod-cache", instance)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def get(url, method="GET", data=None, **headers):
    """(status, headers, body) of a plain request, whatever the status."""
    request = urllib.request.Request(url, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
