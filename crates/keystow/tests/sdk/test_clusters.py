"""A cluster's backup has a file for each shard; every vendor's SDK shows them all, and together they are the data."""

import json
import unittest

import huaweicloudsdkdds.v3 as dds
import huawei
import vendors
from alibaba import Core, minute
from lab import wait_until
from tencentcloud.redis.v20180412 import models
from topology import union_digest
from world import OPERATOR, get, world

INSTANCE = "crs-cluster0"
SHARDS = 2


class ClusterTest(unittest.TestCase):
    """One backup of a cluster, asked for through each API."""

    @classmethod
    def setUpClass(cls):
        cls.keystow = world().keystow
        cls.cluster = world().lab.cluster("--repl-diskless-sync-delay", "0", shards=SHARDS, replicas=0)
        for number in range(200):
            cls.cluster.set(f"key:{number}", f"value {number}")
        cls.keystow.cli("instance", "add", cls.cluster.url, "--id", INSTANCE)
        cls.backup = cls.keystow.json("backup", "create", INSTANCE, "--wait")

    @classmethod
    def tearDownClass(cls):
        cls.keystow.cli("instance", "delete", INSTANCE, "--yes")

    def assert_whole(self, urls):
        """The files behind the links, loaded side by side, are the cluster's data."""
        self.assertEqual(SHARDS, len(set(urls)), urls)
        servers = []
        for url in urls:
            status, _, body = get(url)
            self.assertEqual(200, status)
            file = world().lab.dir("shard") / "dump.rdb"
            file.write_bytes(body)
            servers.append(world().lab.redis(dump=file))
        self.assertEqual(union_digest(self.cluster.nodes), union_digest(servers))
        self.assertEqual(200, sum(server.keys() for server in servers))
        for server in servers:
            server.stop()

    def test_tencent(self):
        """DescribeBackupUrl gives arrays of links, one for each shard, and DescribeInstanceShards the shards."""
        client = vendors.tencent(self.keystow.api, *OPERATOR)
        request = models.DescribeBackupUrlRequest()
        request.InstanceId, request.BackupId = INSTANCE, self.backup["id"]
        answer = client.DescribeBackupUrl(request)
        self.assertEqual(SHARDS, len(answer.InnerDownloadUrl))
        self.assert_whole(answer.DownloadUrl)

    def test_tencent_shows_the_shards(self):
        """DescribeInstances counts them, DescribeInstanceShards and DescribeInstanceNodeInfo list them."""
        client = vendors.tencent(self.keystow.api, *OPERATOR)
        request = models.DescribeInstancesRequest()
        request.InstanceId = INSTANCE
        instance, = client.DescribeInstances(request).InstanceSet
        self.assertEqual(SHARDS, instance.RedisShardNum)
        self.assertEqual(instance.RedisShardSize, -(-int(instance.Size) // SHARDS))
        request = models.DescribeInstanceShardsRequest()
        request.InstanceId = INSTANCE
        answer = client.DescribeInstanceShards(request)
        self.assertEqual(SHARDS, answer.TotalCount)
        self.assertEqual({f"{INSTANCE}-db-{shard}" for shard in range(SHARDS)},
                         {shard.ShardName for shard in answer.InstanceShards})
        self.assertEqual({f"127.0.0.1:{node.port}" for node in self.cluster.nodes},
                         {shard.ShardId for shard in answer.InstanceShards})
        slots = sorted(slot for shard in answer.InstanceShards for ends in json.loads(shard.Slots)
                       for slot in range(int(ends.split("-")[0]), int(ends.split("-")[-1]) + 1))
        self.assertEqual(list(range(16384)), slots)
        request = models.DescribeInstanceNodeInfoRequest()
        request.InstanceId = INSTANCE
        self.assertEqual(SHARDS, client.DescribeInstanceNodeInfo(request).RedisCount)
        request = models.DescribeBackupDetailRequest()
        request.InstanceId, request.BackupId = INSTANCE, self.backup["id"]
        self.assertEqual(SHARDS, client.DescribeBackupDetail(request).ShardNum)

    def test_ucloud(self):
        """DescribeUMemBlockInfo lists the blocks, and DescribeUMemBackupURL has the file of each."""
        client = vendors.ucloud(self.keystow.api, *OPERATOR)
        where = {"Region": "cn-bj2", "Zone": "cn-bj2-04", "SpaceId": INSTANCE}
        blocks = client.invoke("DescribeUMemBlockInfo", where | {"Offset": 0, "Limit": 20})
        self.assertEqual(SHARDS, blocks["TotalCount"])
        rows = blocks["DataSet"]
        self.assertEqual([0, 16383], [rows[0]["BlockSlotBegin"], rows[-1]["BlockSlotEnd"]])
        self.assertEqual({node.port for node in self.cluster.nodes}, {row["BlockPort"] for row in rows})
        links = []
        for row in rows:
            asked = where | {"BackupId": self.backup["id"], "BlockId": row["BlockId"]}
            link, = client.invoke("DescribeUMemBackupURL", asked)["BackupURL"]
            links.append(link)
        self.assert_whole(links)

    def test_alibaba(self):
        """DescribeBackups has a row for each node, each with a number of its own."""
        answer = Core(self.keystow.api, OPERATOR).call(
            "DescribeBackups", InstanceId=INSTANCE, StartTime=minute(-1), EndTime=minute(1))
        rows = answer["Backups"]["Backup"]
        self.assertEqual(SHARDS, len({row["BackupId"] for row in rows}))
        self.assertEqual([f"{INSTANCE}-db-{shard}" for shard in range(SHARDS)],
                         sorted(row["NodeInstanceId"] for row in rows))
        self.assert_whole([row["BackupDownloadURL"] for row in rows])
        instances = Core(self.keystow.api, OPERATOR).call("DescribeInstances", InstanceIds=INSTANCE)
        instance, = instances["Instances"]["KVStoreInstance"]
        self.assertEqual(SHARDS, instance["ShardCount"])

    def test_huawei(self):
        """The download action lists a file for each shard."""
        client = vendors.huawei(dds.DdsClient, self.keystow.api, *OPERATOR, huawei.ACCOUNT)
        answer = client.show_backup_download_link(
            dds.ShowBackupDownloadLinkRequest(instance_id=INSTANCE, backup_id=self.backup["id"]))
        self.assert_whole([file.download_link for file in answer.files])

    def test_a_vendors_restore_puts_a_cluster_back(self):
        """Tencent's RestoreInstance: every shard as it was."""
        before = union_digest(self.cluster.nodes)
        self.cluster.set("later", "x")
        self.assertNotEqual(before, union_digest(self.cluster.nodes))
        client = vendors.tencent(self.keystow.api, *OPERATOR)
        request = models.RestoreInstanceRequest()
        request.InstanceId, request.BackupId = INSTANCE, self.backup["id"]
        client.RestoreInstance(request)
        wait_until(lambda: union_digest(self.cluster.nodes) == before, 60, "the restore")


if __name__ == "__main__":
    unittest.main()
