"""The main job as a story: back up a throw-away Redis, get the vendors' links, restore, compare."""

import json
import logging
import shlex
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

import sample
import vendors
from aliyunsdkr_kvstore.request.v20150101.DescribeBackupsRequest import DescribeBackupsRequest
from certificate import Certificate
from huaweicloudsdkdds.v3 import DdsClient, ShowBackupDownloadLinkRequest
from lab import Lab, LabError, sha256
from tencentcloud.redis.v20180412 import models

INSTANCE = "crs-c7xq4kqu"
# What is in no project belongs to the account itself.
PROJECT = "default"


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
    """DescribeBackupUrl, by Tencent Cloud's SDK of API 3.0."""
    request = models.DescribeBackupUrlRequest()
    request.InstanceId, request.BackupId = INSTANCE, backup
    print(f"  RedisClient(…, endpoint=127.0.0.1:{keystow.api}) → "
          f"DescribeBackupUrl(InstanceId={INSTANCE}, BackupId={backup})")
    link = vendors.tencent(keystow.api, *keystow.admin()).DescribeBackupUrl(request).BackupInfos[0]
    print(f"  FileSize           {link.FileSize}\n  DownloadUrl        {link.DownloadUrl}\n"
          f"  InnerDownloadUrl   {link.InnerDownloadUrl}")
    return link.DownloadUrl


def ucloud_link(keystow, backup):
    """DescribeURedisBackupURL, by UCloud's SDK."""
    print(f"  Client(base_url={keystow.server}, …).umem() → "
          f"describe_uredis_backup_url(BackupId={backup})")
    client = vendors.ucloud(keystow.api, *keystow.admin(), PROJECT).umem()
    answer = client.describe_uredis_backup_url({"BackupId": backup})
    print(f"  BackupPath         {answer['BackupPath']}")
    return answer["BackupPath"]


def huawei_link(keystow, backup):
    """ShowBackupDownloadLink, by Huawei Cloud's SDK."""
    print(f"  DdsClient(…, endpoint={keystow.server}) → "
          f"show_backup_download_link(instance_id={INSTANCE}, backup_id={backup})")
    client = vendors.huawei(DdsClient, keystow.api, *keystow.admin(), PROJECT)
    file, = client.show_backup_download_link(ShowBackupDownloadLinkRequest(INSTANCE, backup)).files
    print(f"  size               {file.size}\n  download_link      {file.download_link}")
    return file.download_link


def tencent_v2_link(keystow, backup):
    """GetBackupDownloadUrl, by Tencent Cloud's first SDK."""
    print(f"  QcloudApi(…, endpoint=localhost:{keystow.api}) → "
          f"GetBackupDownloadUrl(redisId={INSTANCE}, backupId={backup})")
    client = vendors.TencentV2(keystow.api, *keystow.admin(), "HmacSHA256", "GET", ca=keystow.ca)
    links = client.call("GetBackupDownloadUrl", redisId=INSTANCE, backupId=backup)["data"]
    print(f"  extranet           {links['extranet']}\n  intranet           {links['intranet']}")
    return links["extranet"]


def download(folder, links, part):
    """Follow each link with an ordinary HTTP client, and compare what comes."""
    for vendor, link in links.items():
        urllib.request.urlretrieve(link, folder / f"{vendor}.rdb")
        check(f"SHA-256 of {vendor}.rdb", sha256(folder / f"{vendor}.rdb"), part["sha256"])


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
    part, backup, folder = backup["parts"][0], backup["id"], lab.dir("download")

    say("The same backup, asked for by Alibaba Cloud's own unmodified SDK")
    links = {"alibaba": alibaba_link(keystow)}
    say("By Tencent Cloud's")
    links["tencent_v3"] = tencent_link(keystow, backup)
    say("By UCloud's")
    links["ucloud"] = ucloud_link(keystow, backup)
    say("And by Huawei Cloud's")
    links["huawei"] = huawei_link(keystow, backup)

    say("The links are followed by an ordinary HTTP client, and one by keystow")
    download(folder, links, part)
    show(keystow, "fetch", links["alibaba"], "-o", folder / "dump.rdb")

    say("Tencent Cloud's first SDK speaks https only: the same server with a certificate")
    keystow.stop()
    certificate = Certificate(lab.folder)
    keystow = lab.keystow(
        "--config", tls_file(lab, certificate), data_dir=keystow.data_dir, ca=certificate.ca)
    print(f"$ keystow serve --config keystow.toml --api 127.0.0.1:{keystow.api} …\n  ready")
    download(folder, {"tencent_v2": tencent_v2_link(keystow, backup)}, part)

    say("A second, empty redis-server loads the file; DEBUG DIGEST compares every key and value")
    show(keystow, "verify", folder / "dump.rdb")
    digest, keys = lab.digest_of(folder / "dump.rdb")
    check("keys", keys, redis.keys())
    check("digest", digest, redis.digest())
    say("equal")


def tls_file(lab, certificate):
    """A configuration that gives the API that certificate."""
    file = lab.folder / "keystow.toml"
    file.write_text(f'[tls.api]\ncert = "{certificate.cert}"\nkey = "{certificate.key}"\n')
    return file


def main():
    """Tell the story; the exit code says how it ended."""
    logging.getLogger("ucloud").addFilter(lambda record: record.levelno > logging.INFO)
    try:
        with Lab() as lab:
            tell(lab)
    except LabError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
