"""Tencent's older API, redis.api.qcloud.com/v2/index.php, through its SDK over https."""

import signal
import socket
import time
import unittest
import uuid
from datetime import datetime, timedelta, timezone
from unittest import mock

import vendors
from certificate import Certificate
from configured import import_key, server
from lab import wait_until
from QcloudApi.common.api_exception import ApiClientNetworkException
from QcloudApi.modules.redis import Redis
from world import (
    ALIBABA_INSTANCE, OPERATOR, STRANGER, TENCENT_INSTANCE, VIEWER, assert_puts_back, get, world)

BEIJING = timezone(timedelta(hours=8))
PAGE = {"limit": 100, "offset": 0}
TEMPORARY = ("AKIDtemporaryKeyOfOurs00", "temporary-secret-0123456789abcdef", "token-of-a-role-0123456789")
STANDING = "crs-standing"


def setUpModule():
    """One server whose API speaks https, for both ways to sign."""
    global certificate, keystow
    certificate = Certificate(world().lab.dir("tls"))
    keystow = server("[dialects.tencent_v2]\nrate = 0", certificate=certificate)
    for key, role in ((OPERATOR, "operator"), (VIEWER, "viewer")):
        import_key(keystow, key, role)
    import_key(keystow, TEMPORARY[:2], "viewer", token=TEMPORARY[2])
    for instance in (TENCENT_INSTANCE, ALIBABA_INSTANCE):
        keystow.cli("instance", "add", world().redis.url, "--id", instance, "--name", f"cache {instance}",
                    "--region", "ap-guangzhou")


class QcloudContract:
    """What must hold for every way to sign and send."""

    sign_method = None
    method = None

    @classmethod
    def client(cls, key=OPERATOR, **options):
        """A client of the vendor's SDK."""
        options = {"ca": certificate.ca, **options}
        return vendors.TencentV2(keystow.api, *key, cls.sign_method, cls.method, **options)

    @classmethod
    def call(cls, action, **parameters):
        """One call that succeeds; the answer."""
        answer = cls.client().call(action, **parameters)
        if (answer["code"], answer["codeDesc"], answer["message"]) != (0, "Success", ""):
            raise AssertionError(answer)
        return answer

    def refused(self, code, name, action, client=None, **parameters):
        """The call is answered with a number, its name, and the number once more in the message."""
        answer = (client or self.client()).call(action, **parameters)
        self.assertEqual((code, name), (answer["code"], answer["codeDesc"]), answer)
        self.assertTrue(answer["message"].startswith(f"({code})"), answer)
        self.assertNotIn("data", answer)

    @classmethod
    def started(cls, instance, **parameters):
        """Ask for a backup; the task's number."""
        return cls.call("ManualBackupInstance", redisId=instance, **parameters)["data"]["requestId"]

    @classmethod
    def finished(cls, task):
        """Poll a task as the vendor says, until it has ended."""
        def ended():
            status = cls.call("DescribeTaskInfo", requestId=task)["data"]["status"]
            return status if status not in (0, 1) else None
        return wait_until(ended, 60, f"the task {task}", pause=0.2)

    @classmethod
    def rows(cls, instance=TENCENT_INSTANCE, **filters):
        """The backups of an instance."""
        return cls.call("GetRedisBackupList", redisId=instance, **PAGE, **filters)["data"]["redisBackupSet"]

    @classmethod
    def setUpClass(cls):
        cls.remark = f"remark of {uuid.uuid4()} 备份&x=1"
        cls.ended = cls.finished(cls.started(TENCENT_INSTANCE, remark=cls.remark))
        cls.row, = (row for row in cls.rows() if row["remark"] == cls.remark)
        cls.backup = {"redisId": TENCENT_INSTANCE, "backupId": cls.row["backupId"]}

    def test_the_instance_is_listed(self):
        listed = self.call("DescribeRedis", redisId=TENCENT_INSTANCE, **PAGE)
        row, = listed["data"]["redisSet"]
        self.assertEqual(1, listed["totalCount"])
        self.assertEqual((TENCENT_INSTANCE, f"cache {TENCENT_INSTANCE}", 1, 2, 2, "127.0.0.1"), tuple(
            row[name] for name in ("redisId", "redisName", "regionId", "status", "typeId", "wanIp")))
        self.assertEqual(world().redis.port, row["port"])

    def test_instances_are_searched_paged_and_told_apart_by_region(self):
        ids = lambda client, **filters: [
            row["redisId"] for row in client.call("DescribeRedis", **filters)["data"]["redisSet"]]
        self.assertEqual([TENCENT_INSTANCE], ids(
            self.client(), redisName=f"cache {TENCENT_INSTANCE}", orderBy="createtime", orderType=0, **PAGE))
        pages = [ids(self.client(), limit=1, offset=at) for at in range(3)]
        paged = {name for page in pages for name in page}
        self.assertEqual({TENCENT_INSTANCE, ALIBABA_INSTANCE}, paged - {STANDING})
        self.assertEqual([TENCENT_INSTANCE], ids(
            self.client(region="ap-guangzhou"), redisId=TENCENT_INSTANCE, **PAGE))
        self.assertEqual([], ids(self.client(region="sh"), **PAGE))

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        self.assertEqual(2, self.ended)
        self.assertEqual((2, "manualBackupInstance", 0), tuple(
            self.row[name] for name in ("status", "backupType", "locked")))
        links = self.call("GetBackupDownloadUrl", **self.backup)["data"]
        self.assertEqual({"extranet", "intranet"}, set(links))
        for url, port in ((links["extranet"], keystow.download), (links["intranet"], keystow.intranet)):
            self.assertIn(f":{port}/", url)
            world().assert_restores(self, url, len(get(url)[2]))

    def test_a_link_survives_a_shell_without_quotes(self):
        for url in self.call("GetBackupDownloadUrl", **self.backup)["data"].values():
            self.assertNotRegex(url, r"[&;|<>()$`'\"\\\s*!#~]")

    def test_backups_are_listed_by_time_oldest_first(self):
        moment = lambda hours: f"{datetime.now(BEIJING) + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"
        starts = [row["startTime"] for row in self.rows()]
        self.assertEqual(sorted(starts), starts)
        self.assertIn(self.row, self.rows(beginTime=self.row["startTime"], endTime=moment(1)))
        self.assertEqual([], self.rows(beginTime=moment(1), endTime=moment(2)))

    def test_the_task_is_listed_as_done(self):
        listed = self.call("GetRedisTaskList", redisId=TENCENT_INSTANCE, taskStatus=[2],
                           taskType=["task_backupInstance", "task_importRdb"], **PAGE)
        start = self.row["startTime"]
        task = next(task for task in listed["data"]["redisTaskSet"] if task["startTime"] == start)
        self.assertEqual(("backupInstance", TENCENT_INSTANCE, 2, 1), tuple(
            task[name] for name in ("taskName", "redisId", "status", "progress")))
        self.assertEqual(0, self.call("GetRedisTaskList", taskStatus=[-1], redisId=TENCENT_INSTANCE,
                                      **PAGE)["totalCount"])

    def test_an_export_is_for_clusters_only(self):
        self.refused(11214, "OnlyClusterInstanceCanExportBackup", "ExportRedisBackup", **self.backup)

    def test_a_backup_is_put_back(self):
        instance = f"crs-{type(self).__name__.lower()}"

        def restore(backup):
            task = self.call("RestoreInstance", redisId=instance, password="none",
                             backupId=str(backup["number"]))["data"]["requestId"]
            self.assertEqual(2, self.finished(task))
        assert_puts_back(self, keystow, instance, restore)
        self.refused(11213, "BackupNotExists", "RestoreInstance", password="none", redisId=ALIBABA_INSTANCE,
                     backupId=self.row["backupId"])

    def test_a_restore_names_a_password(self):
        self.refused(4000, "InvalidParameter", "RestoreInstance", **self.backup)

    def test_an_unknown_action_is_not_supported(self):
        self.refused(6100, "InvalidAction", "DescribeBackupPhotos")

    def test_a_wrong_secret_does_not_authenticate(self):
        client = self.client((OPERATOR[0], "not-the-secret"))
        self.refused(4100, "AuthFailure", "DescribeRedis", client, **PAGE)

    def test_an_unknown_key_does_not_exist(self):
        self.refused(4104, "SecretIdNotFound", "DescribeRedis", self.client(STRANGER), **PAGE)

    def test_temporary_credentials_need_their_token(self):
        *key, token = TEMPORARY
        self.assertEqual(0, self.client(key, token=token).call("DescribeRedis", **PAGE)["code"])
        for wrong in (None, token[::-1]):
            self.refused(4105, "AuthFailure", "DescribeRedis", self.client(key, token=wrong), **PAGE)

    def test_a_request_from_another_hour_counts_as_replayed(self):
        client = self.client()
        for hours in (-1, 1):
            with mock.patch("time.time", return_value=time.time() + hours * 3600):
                self.refused(4500, "ReplayAttack", "DescribeRedis", client, **PAGE)

    def test_a_viewer_may_look_and_no_more(self):
        viewer = self.client(VIEWER)
        self.assertEqual(0, viewer.call("GetRedisBackupList", redisId=TENCENT_INSTANCE, **PAGE)["code"])
        for action, parameters in {"GetBackupDownloadUrl": self.backup, "ExportRedisBackup": self.backup,
                                   "ManualBackupInstance": {"redisId": TENCENT_INSTANCE},
                                   "RestoreInstance": {**self.backup, "password": "secret"}}.items():
            with self.subTest(action):
                self.refused(4101, "UnauthorizedOperation", action, viewer, **parameters)

    def test_an_unknown_instance_does_not_exist(self):
        nowhere = {"redisId": "crs-nowhere0"}
        backup = {"backupId": "0"}
        for action, parameters in {"GetBackupDownloadUrl": backup, "ExportRedisBackup": backup,
                                   "GetRedisBackupList": PAGE, "ManualBackupInstance": {}}.items():
            with self.subTest(action):
                self.refused(10701, "InstanceNotExists", action, **nowhere, **parameters)

    def test_an_unknown_backup_does_not_exist(self):
        for backup in ("2147483646", "no such thing"):
            self.refused(11213, "BackupNotExists", "GetBackupDownloadUrl", redisId=TENCENT_INSTANCE,
                         backupId=backup)
        self.refused(11213, "BackupNotExists", "GetBackupDownloadUrl", redisId=ALIBABA_INSTANCE,
                     backupId=self.row["backupId"])

    def test_parameters_that_do_not_fit_are_refused(self):
        self.refused(4000, "InvalidParameter", "GetBackupDownloadUrl", redisId=TENCENT_INSTANCE)
        self.refused(4000, "InvalidParameter", "DescribeRedis", limit=20)
        for action, parameters in (
                ("DescribeTaskInfo", {"requestId": 2147483646}), ("DescribeTaskInfo", {"requestId": "one"}),
                ("DescribeRedis", {"limit": 1001, "offset": 0}), ("DescribeRedis", {**PAGE, "colour": "red"}),
                ("DescribeRedis", {**PAGE, "vpcIds": [1]}), ("DescribeRedis", {**PAGE, "orderBy": "colour"}),
                ("GetRedisBackupList", {**PAGE, "redisId": TENCENT_INSTANCE, "beginTime": "yesterday"}),
                ("GetRedisTaskList", {**PAGE, "taskStatus": [9]})):
            with self.subTest(action, **parameters):
                self.refused(11201, "InvalidParameter", action, **parameters)
        nothing = self.call("GetRedisTaskList", **PAGE, taskType=["task_importRdb"])
        self.assertEqual((0, []), (nothing["totalCount"], nothing["data"]["redisTaskSet"]))

    def test_the_sdks_own_module_takes_another_host(self):
        with mock.patch.object(Redis, "requestHost", f"localhost:{keystow.api}"):
            self.assertEqual(0, self.client(module="redis").call("DescribeRedis", **PAGE)["code"])

    def test_the_vendors_own_name_may_lead_here(self):
        connect, asked = socket.create_connection, []

        def here(address, *rest, **more):
            asked.append(address)
            return connect(("127.0.0.1", keystow.api), *rest, **more)
        with mock.patch("socket.create_connection", here):
            self.assertEqual(0, self.client(module="redis").call("DescribeRedis", **PAGE)["code"])
        self.assertEqual([("redis.api.qcloud.com", 443)], asked)

    def test_a_certificate_of_nobody_known_is_not_believed(self):
        stranger = Certificate(world().lab.dir("tls"))
        with self.assertRaises(ApiClientNetworkException) as caught:
            self.client(ca=stranger.ca).call("DescribeRedis", **PAGE)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", str(caught.exception))


class QcloudHmacSha1GetTest(QcloudContract, unittest.TestCase):
    """HmacSHA1, everything in the query: what the SDK does unless told otherwise."""

    sign_method, method = "HmacSHA1", "get"


class QcloudHmacSha256PostTest(QcloudContract, unittest.TestCase):
    """HmacSHA256, form body."""

    sign_method, method = "HmacSHA256", "post"

    def test_a_remark_that_begins_like_a_file_is_kept_as_it_is(self):
        remark = f"@{uuid.uuid4()}"
        self.assertEqual(2, self.finished(self.started(TENCENT_INSTANCE, remark=remark)))
        self.assertIn(remark, [row["remark"] for row in self.rows()])
        self.refused(4100, "AuthFailure", "DescribeRedis", redisName=remark, **PAGE)

    def test_a_restriction_of_api_3_holds_here_too(self):
        restrict = lambda limits: vendors.tencent(keystow.api, *OPERATOR, ca=certificate.ca).call_json(
            "ModifyBackupDownloadRestriction", limits)
        linked = lambda: self.call("GetBackupDownloadUrl", **self.backup)["data"]
        statuses = lambda: [get(linked()[network])[0] for network in ("extranet", "intranet")]
        self.addCleanup(restrict, {"LimitType": "NoLimit"})
        restrict({"LimitType": "Customize", "LimitIp": ["203.0.113.7"]})
        self.assertEqual([403, 403], statuses())
        restrict({"LimitType": "LimitOnlyIntranet"})
        self.assertEqual("", linked()["extranet"])
        self.assertEqual(200, get(linked()["intranet"])[0])
        restrict({"LimitType": "NoLimit"})
        self.assertEqual([200, 200], statuses())

    def test_an_unfinished_backup_locks_the_instance_and_has_no_link(self):
        redis = world().lab.redis()
        keystow.cli("instance", "add", redis.url, "--id", STANDING, "--region", "ap-guangzhou")
        redis.process.send_signal(signal.SIGSTOP)
        self.addCleanup(redis.process.kill)
        task = self.started(STANDING)
        self.refused(10707, "InstanceLockedError", "ManualBackupInstance", redisId=STANDING)
        row, = self.rows(STANDING)
        self.assertEqual(1, row["status"])
        linked = {"redisId": STANDING, "backupId": row["backupId"]}
        self.refused(10711, "BackupStatusAbnormal", "GetBackupDownloadUrl", **linked)
        redis.process.kill()
        self.assertEqual(3, self.finished(task))
        self.assertEqual([-1], [row["status"] for row in self.rows(STANDING)])
        self.refused(10711, "BackupStatusAbnormal", "GetBackupDownloadUrl", **linked)
