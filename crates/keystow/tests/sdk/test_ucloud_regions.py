"""UCloud's copies in another region, through the vendor's SDK, on a server with repositories in two regions."""

import functools
import logging
import unittest

import vendors
from configured import server
from lab import wait_until
from ucloud.core.exc import RetCodeException
from world import get, world

HOME, FAR = "cn-bj2", "cn-sh2"
GROUP, ELSEWHERE = "uredis-copied1", "uredis-faraway"
SETTINGS = """
[regions.shanghai]
aliases = ["{far}"]
[copies.away]
url = "file://{away}"
region = "shanghai"
[copies.beside]
url = "file://{beside}"
region = "{home}"
"""


@functools.cache
def prepared():
    """The server, its admin key, both repositories of copies, and a backup with a copy in each."""
    logging.getLogger("ucloud").disabled = True
    folders = {name: world().lab.dir(name) / "repository" for name in ("away", "beside")}
    keystow = server(SETTINGS.format(far=FAR, home=HOME, **folders))
    for group, region in ((GROUP, HOME), (ELSEWHERE, FAR)):
        keystow.cli("instance", "add", world().redis.url, "--id", group, "--region", region)
    keystow.cli("policy", "set", GROUP, "--copy", "away", "--copy", "beside")
    key = keystow.json("key", "create", "--role", "downloader")
    backup = keystow.json("backup", "create", GROUP, "--wait")["id"]
    wait_until(lambda: all(copy["state"] == "available" for copy in keystow.json("backup", "show", backup)["copies"]),
               60, "the copies", pause=0.2)
    return keystow, (key["access_key_id"], key["secret"]), folders, backup


class RegionsTest(unittest.TestCase):
    """One backup, and its copy in another region."""

    @classmethod
    def setUpClass(cls):
        cls.keystow, cls.key, cls.folders, cls.backup = prepared()

    def call(self, action, **parameters):
        """One call by the action's own method, which checks request and answer."""
        client = vendors.ucloud(self.keystow.api, *self.key)
        method = {"DescribeURedisBackupURL": "describe_uredis_backup_url",
                  "DescribeURedisBackup": "describe_uredis_backup"}[action]
        return getattr(client.umem(), method)(parameters)

    def test_the_link_is_of_the_copy_that_is_in_another_region(self):
        usual = self.call("DescribeURedisBackupURL", Region=HOME, BackupId=self.backup)["BackupPath"]
        crossing = self.call("DescribeURedisBackupURL", Region=HOME, BackupId=self.backup, IsCrossRegion=True)
        self.assertNotEqual(usual, crossing["BackupPath"])
        self.assertEqual(crossing["BackupPath"], crossing["BackupURL"])
        _, _, body = get(crossing["BackupPath"])
        self.assertEqual(get(usual)[2], body)
        # Neither the first repository nor the copy in its own region has anything to do with it.
        for root in (self.keystow.data_dir / "repository", self.folders["beside"]):
            for part in root.rglob("*.rdb"):
                part.rename(part.with_suffix(".gone"))
        self.addCleanup(self.put_back)
        crossing = self.call("DescribeURedisBackupURL", Region=HOME, BackupId=self.backup, IsCrossRegion=True)
        self.assertEqual(body, get(crossing["BackupPath"])[2])

    def put_back(self):
        """Give the repositories their objects back."""
        for root in (self.keystow.data_dir / "repository", self.folders["beside"]):
            for part in root.rglob("*.gone"):
                part.rename(part.with_suffix(".rdb"))

    def test_a_backup_without_such_a_copy_has_no_such_link(self):
        alone = self.keystow.json("backup", "create", ELSEWHERE, "--wait")["id"]
        with self.assertRaises(RetCodeException) as caught:
            self.call("DescribeURedisBackupURL", Region=FAR, BackupId=alone, IsCrossRegion=True)
        self.assertEqual(230, caught.exception.code)

    def test_copies_are_listed_at_both_ends(self):
        for region, kind, more, rows in (
                (HOME, "source", {}, 1), (HOME, "source", {"GroupId": GROUP}, 1), (HOME, "target", {}, 0),
                (FAR, "target", {}, 1), (FAR, "target", {"GroupId": GROUP}, 1), (FAR, "source", {}, 0),
                (FAR, "target", {"GroupId": ELSEWHERE}, 0)):
            told = (region, kind, more)
            listed = self.call("DescribeURedisBackup", Region=region, RegionType=kind, **more)
            self.assertEqual((rows, rows), (listed["TotalCount"], len(listed["DataSet"])), told)
            for row in listed["DataSet"]:
                self.assertEqual((self.backup, GROUP, "Success"), (row["BackupId"], row["GroupId"], row["State"]))
                away = "shanghai" if kind == "source" else FAR
                self.assertEqual((HOME, away), (row["SrcRegionName"], row["DstRegionName"]), told)


if __name__ == "__main__":
    unittest.main()
