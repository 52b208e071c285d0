"""The runbook of moving from a cloud: its own SDK gives the URL, the file is fetched, imported, and put back.

The cloud is a Keystow that has the backup and is asked as the vendor's clients ask.
"""

import json
import unittest
from datetime import datetime, timedelta, timezone

import sample
import vendors
from aliyunsdkr_kvstore.request.v20150101.DescribeBackupsRequest import DescribeBackupsRequest
from certificate import Certificate
from configured import server
from huaweicloudsdkdds.v3 import DdsClient, ShowBackupDownloadLinkRequest
from lab import sha256
from tencentcloud.redis.v20180412 import models
from world import world

INSTANCE = "crs-moved00"
MINUTE = "%Y-%m-%dT%H:%MZ"


def alibaba(cloud, _backup):
    """DescribeBackups."""
    now, hour = datetime.now(timezone.utc), timedelta(hours=1)
    request = DescribeBackupsRequest()
    request.set_InstanceId(INSTANCE)
    request.set_StartTime((now - hour).strftime(MINUTE))
    request.set_EndTime((now + hour).strftime(MINUTE))
    answer = json.loads(vendors.AlibabaCore(cloud.api, *cloud.admin()).send(request))
    return answer["Backups"]["Backup"][0]["BackupDownloadURL"]


def tencent(cloud, backup):
    """DescribeBackupUrl."""
    request = models.DescribeBackupUrlRequest()
    request.InstanceId, request.BackupId = INSTANCE, backup
    return vendors.tencent(cloud.api, *cloud.admin()).DescribeBackupUrl(request).BackupInfos[0].DownloadUrl


def tencent_v2(cloud, backup):
    """GetBackupDownloadUrl."""
    client = vendors.TencentV2(cloud.api, *cloud.admin(), "HmacSHA256", "GET", ca=cloud.ca)
    return client.call("GetBackupDownloadUrl", redisId=INSTANCE, backupId=backup)["data"]["extranet"]


def ucloud(cloud, backup):
    """DescribeURedisBackupURL."""
    client = vendors.ucloud(cloud.api, *cloud.admin(), "default").umem()
    return client.describe_uredis_backup_url({"BackupId": backup})["BackupPath"]


def huawei(cloud, backup):
    """ShowBackupDownloadLink."""
    client = vendors.huawei(DdsClient, cloud.api, *cloud.admin(), "default")
    file, = client.show_backup_download_link(ShowBackupDownloadLinkRequest(INSTANCE, backup)).files
    return file.download_link


class Moving(unittest.TestCase):
    """What was in the cloud is in the instance of the same id afterwards, backup and data."""

    def setUp(self):
        self.lab = world().lab
        self.source = self.lab.redis("--repl-diskless-sync-delay", "0")
        self.addCleanup(self.source.stop)
        sample.fill(self.source, records=50)

    def cloud(self, certificate=None):
        """A cloud, and the id that it gives to its backup."""
        cloud = server("", certificate=certificate)
        self.addCleanup(cloud.discard)
        cloud.cli("instance", "add", self.source.url, "--id", INSTANCE)
        return cloud, cloud.json("backup", "create", INSTANCE, "--wait")

    def move(self, cloud, backup, link):
        """The runbook, step by step."""
        target = self.lab.redis("--repl-diskless-load", "on-empty-db")
        self.addCleanup(target.stop)
        ours = self.lab.keystow()
        self.addCleanup(ours.discard)
        ours.cli("instance", "add", target.url, "--id", INSTANCE)
        folder = self.lab.dir("moving")
        ours.cli("fetch", link(cloud, backup["id"]), "-o", folder / "cloud.rdb")
        self.assertEqual(sha256(folder / "cloud.rdb"), backup["parts"][0]["sha256"])
        imported, = ours.json("import", folder, "--instance", INSTANCE)
        self.assertEqual(imported["outcome"], "imported")
        ours.cli("restore", imported["backup"]["id"], "--to", target.url, "--yes")
        self.assertEqual((target.digest(), target.keys()), (self.source.digest(), self.source.keys()))

    def test_from_each_cloud(self):
        cloud, backup = self.cloud()
        for link in (alibaba, tencent, ucloud, huawei):
            with self.subTest(link.__name__):
                self.move(cloud, backup, link)

    def test_from_the_cloud_that_speaks_https_only(self):
        cloud, backup = self.cloud(Certificate(self.lab.dir("certificate")))
        self.move(cloud, backup, tencent_v2)


if __name__ == "__main__":
    unittest.main()
