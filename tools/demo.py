"""The main job as a story: back up a throw-away Redis, get the vendors' links, restore, compare."""

import json
import shlex
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

import sample
import vendors
from aliyunsdkr_kvstore.request.v20150101.DescribeBackupsRequest import DescribeBackupsRequest
from lab import Lab, LabError, sha256
from tencentcloud.redis.v20180412 import models

INSTANCE = "crs-c7xq4kqu"


def say(text):
    """A sentence of the story."""
    print(f"\n# {text}", flush=True)


def show(keystow, *words):
    """Print a command of the story, run it, and print what it prints."""
    print("$ keystow " + shlex.join(map(str, words)), flush=True)
    done = keystow.run(*words)
    print((done.stdout + done.stderr).rstrip(), flush=True)
    if done.returncode:
        raise LabError(f"exit code {done.returncode}")


def check(what, ours, theirs):
    """Print whether two things are equal; stop the story if they are not."""
    print(f"  {what}: {ours} {'==' if ours == theirs else '!='} {theirs}")
    if ours != theirs:
        raise LabError(f"{what} differs")


def alibaba_link(keystow):
    """DescribeBackups, by Alibaba Cloud's SDK."""
    now = datetime.now(timezone.utc)
    request = DescribeBackupsRequest()
    request.set_InstanceId(INSTANCE)
    request.set_StartTime((now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%MZ"))
    request.set_EndTime((now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%MZ"))
    print(f"  AcsClient(…, port={keystow.api}) → DescribeBackups(InstanceId={INSTANCE})")
    answer = json.loads(vendors.AlibabaCore(keystow.api, *keystow.admin()).send(request))
    row = answer["Backups"]["Backup"][0]
    print(f"  BackupStatus       {row['BackupStatus']}\n  BackupDownloadURL  {row['BackupDownloadURL']}")
    return row["BackupDownloadURL"]


def tencent_link(keystow, backup):
    """DescribeBackupUrl, by Tencent Cloud's SDK."""
    request = models.DescribeBackupUrlRequest()
    request.InstanceId, request.BackupId = INSTANCE, backup
    print(f"  RedisClient(…, endpoint=127.0.0.1:{keystow.api}) → "
          f"DescribeBackupUrl(InstanceId={INSTANCE}, BackupId={backup})")
    link = vendors.tencent(keystow.api, *keystow.admin()).DescribeBackupUrl(request).BackupInfos[0]
    print(f"  FileSize           {link.FileSize}\n  DownloadUrl        {link.DownloadUrl}\n"
          f"  InnerDownloadUrl   {link.InnerDownloadUrl}")
    return link.DownloadUrl


def tell(lab):
    """The story."""
    say("A Redis with every type of value, in three databases")
    redis = lab.redis("--repl-diskless-sync-delay", "0")
    print(f"  {redis.url} holds {sample.fill(redis)} keys")

    say("Keystow, with nothing configured")
    keystow = lab.keystow()
    print(f"$ keystow serve --api 127.0.0.1:{keystow.api} …\n  ready")
    show(keystow, "instance", "add", redis.url, "--id", INSTANCE, "--name", "demo cache")

    say("A backup: every byte is parsed and checksummed before it is listed")
    show(keystow, "backup", "create", INSTANCE, "--wait")
    show(keystow, "backup", "list")
    backup = keystow.json("backup", "list")[0]
    part = backup["parts"][0]

    say("The same backup, asked for by Alibaba Cloud's own unmodified SDK")
    first = alibaba_link(keystow)
    say("And by Tencent Cloud's")
    second = tencent_link(keystow, backup["id"])

    say("One link is followed by keystow, the other by an ordinary HTTP client")
    folder = lab.dir("download")
    show(keystow, "fetch", first, "-o", folder / "alibaba.rdb")
    urllib.request.urlretrieve(second, folder / "tencent.rdb")
    for name in ("alibaba", "tencent"):
        check(f"SHA-256 of {name}.rdb", sha256(folder / f"{name}.rdb"), part["sha256"])
    show(keystow, "verify", folder / "tencent.rdb")

    say("A second, empty redis-server loads the file; DEBUG DIGEST compares every key and value")
    digest, keys = lab.digest_of(folder / "tencent.rdb")
    check("keys", keys, redis.keys())
    check("digest", digest, redis.digest())
    say("equal")


def main():
    """Tell the story; the exit code says how it ended."""
    try:
        with Lab() as lab:
            tell(lab)
    except LabError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
