"""Tencent Cloud redis 2018-04-12, through the vendor's SDK: both methods, three signatures."""

import json
import signal
import time
import unittest
import uuid
from datetime import datetime, timedelta, timezone
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import vendors
from configured import import_key, server
from lab import wait_until
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.redis.v20180412 import models
from world import (
    ALIBABA_INSTANCE, OPERATOR, STRANGER, TENCENT_INSTANCE, VIEWER, assert_puts_back, get, world)

TEMPORARY = ("AKIDtemporaryKeyOfOurs00", "temporary-secret-0123456789abcdef", "token-of-a-role-0123456789")
BEIJING = timezone(timedelta(hours=8))
HERE, ELSEWHERE = "127.0.0.1", "203.0.113.7"


def setUpModule():
    """One server for all ways to sign, which never finds that there are too many calls."""
    TencentContract.keystow = TencentUnfinishedBackupTest.keystow = keystow = server(
        "[dialects.tencent_v3]\nrate = 0")
    for key, role in ((OPERATOR, "operator"), (VIEWER, "viewer")):
        import_key(keystow, key, role)
    import_key(keystow, TEMPORARY[:2], "viewer", token=TEMPORARY[2])
    for instance in (TENCENT_INSTANCE, ALIBABA_INSTANCE):
        keystow.cli("instance", "add", world().redis.url, "--id", instance, "--name", f"cache {instance}")


class TencentCalls:
    """Calls through the vendor's SDK; subclasses name a server, and how calls are signed and sent."""

    keystow = None
    sign_method, method = "TC3-HMAC-SHA256", "POST"

    @classmethod
    def client(cls, key=OPERATOR, **options):
        """A client of the vendor's SDK."""
        return vendors.tencent(cls.keystow.api, *key, cls.sign_method, cls.method, **options)

    @classmethod
    def call(cls, action, key=OPERATOR, region=vendors.TENCENT_REGION, **parameters):
        """One call; the answer's fields."""
        request = getattr(models, f"{action}Request")()
        request.from_json_string(json.dumps(parameters))
        return json.loads(getattr(cls.client(key, region=region), action)(request).to_json_string())

    def refused(self, code, call):
        """The call fails in the SDK with the vendor's code; the failure."""
        with self.assertRaises(TencentCloudSDKException) as caught:
            call()
        self.assertEqual(code, caught.exception.get_code(), caught.exception)
        self.assertTrue(uuid.UUID(caught.exception.get_request_id()))
        return caught.exception

    @classmethod
    def finished(cls, task):
        """Poll a task as the vendor says, until it has ended."""
        def ended():
            told = cls.call("DescribeTaskInfo", TaskId=task)
            return told if told["Status"] not in ("preparing", "running") else None
        return wait_until(ended, 60, f"the task {task}", pause=0.2)


class TencentContract(TencentCalls):
    """What must hold for every way to sign and send."""

    sign_method = None
    method = None

    @classmethod
    def setUpClass(cls):
        cls.remark = f"remark+of {uuid.uuid4()} 备份&x=1"
        cls.started = datetime.now(BEIJING)
        cls.task = cls.call("ManualBackupInstance", InstanceId=TENCENT_INSTANCE, Remark=cls.remark,
                            StorageDays=30)["TaskId"]
        cls.task_info = cls.finished(cls.task)
        rows = cls.call("DescribeInstanceBackups", InstanceId=TENCENT_INSTANCE, Limit=100)["BackupSet"]
        cls.row, = (row for row in rows if row["Remark"] == cls.remark)

    def link(self, key=OPERATOR, region=vendors.TENCENT_REGION, **limits):
        """(public, intranet) link of the backup."""
        info, = self.call("DescribeBackupUrl", key, region, InstanceId=TENCENT_INSTANCE,
                          BackupId=self.row["BackupId"], **limits)["BackupInfos"]
        return info["DownloadUrl"], info["InnerDownloadUrl"]

    def assert_opens(self, *urls):
        """Each link delivers the file."""
        for url in urls:
            status, _, body = get(url)
            self.assertEqual((200, self.row["BackupSize"]), (status, len(body)), url)

    def assert_closed(self, *urls):
        """Each link is refused to us."""
        for url in urls:
            self.assertEqual(403, get(url)[0], url)

    def test_the_instance_is_listed(self):
        listed = self.call("DescribeInstances", InstanceId=TENCENT_INSTANCE)
        self.assertEqual(1, listed["TotalCount"])
        row, = listed["InstanceSet"]
        shown = {name: row[name] for name in ("InstanceId", "InstanceName", "WanIp", "Port", "Status",
                                              "ProductType", "RedisShardNum", "NoAuth")}
        self.assertEqual(
            {"InstanceId": TENCENT_INSTANCE, "InstanceName": f"cache {TENCENT_INSTANCE}", "WanIp": HERE,
             "Port": world().redis.port, "Status": 2, "ProductType": "standalone", "RedisShardNum": 1,
             "NoAuth": True}, shown)
        self.assertRegex(row["CurrentRedisVersion"], r"^\d+\.\d+\.\d+$")
        self.assertIn(row["Type"], (6, 8, 15, 17), "standard layout, Redis 4 to 7")

    def test_instances_are_searched_and_paged(self):
        search = lambda **filters: [row["InstanceId"] for row in
                                    self.call("DescribeInstances", **filters)["InstanceSet"]]
        self.assertEqual([TENCENT_INSTANCE], search(SearchKey=f"cache {TENCENT_INSTANCE}"))
        self.assertEqual([TENCENT_INSTANCE], search(InstanceIds=[TENCENT_INSTANCE, "crs-nowhere0"]))
        self.assertEqual([], search(InstanceId="crs-nowhere0"))
        both = [TENCENT_INSTANCE, ALIBABA_INSTANCE]
        pages = [search(InstanceIds=both, Limit=1, Offset=at) for at in (0, 1)]
        self.assertEqual(set(both), {name for page in pages for name in page})

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        self.assertEqual(("succeed", "Manual backup", TENCENT_INSTANCE, ""), tuple(
            self.task_info[name] for name in ("Status", "TaskType", "InstanceId", "TaskMessage")))
        self.assertEqual((2, "0", TENCENT_INSTANCE), tuple(
            self.row[name] for name in ("Status", "BackupType", "InstanceId")))
        self.assertRegex(self.row["FileType"], r"^RDB-Redis \d+\.\d+$")
        links = self.call("DescribeBackupUrl", InstanceId=TENCENT_INSTANCE, BackupId=self.row["BackupId"])
        info, = links["BackupInfos"]
        self.assertEqual([info["DownloadUrl"]], links["DownloadUrl"])
        self.assertEqual([info["InnerDownloadUrl"]], links["InnerDownloadUrl"])
        self.assertEqual([info["FileName"]], links["Filenames"])
        self.assertEqual(self.row["BackupSize"], info["FileSize"])
        world().assert_restores(self, info["DownloadUrl"], info["FileSize"])
        world().assert_restores(self, info["InnerDownloadUrl"], info["FileSize"])

    def test_a_link_lives_six_hours(self):
        for url in self.link():
            first, last = parse_qs(urlsplit(url).query)["q-sign-time"][0].split(";")
            self.assertEqual(6 * 3600, int(last) - int(first))

    def test_a_backup_is_kept_as_long_as_asked_and_tells_beijings_time(self):
        start, end, expiry = (datetime.strptime(self.row[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
                              for name in ("StartTime", "EndTime", "ExpireTime"))
        self.assertLess(abs(start - self.started), timedelta(minutes=1))
        self.assertLessEqual(start, end)
        self.assertLess(abs(expiry - end - timedelta(days=30)), timedelta(minutes=1))

    def test_a_backups_details_are_those_of_its_row(self):
        detail = self.call("DescribeBackupDetail", InstanceId=TENCENT_INSTANCE, BackupId=self.row["BackupId"])
        for name in ("BackupId", "StartTime", "EndTime", "BackupType", "Status", "Remark", "BackupSize",
                     "InstanceType"):
            self.assertEqual(self.row[name], detail[name], name)
        self.assertEqual((1, 0, False), (detail["ShardNum"], detail["ReplicasNum"], detail["Encrypted"]))
        self.assertGreater(detail["MemSize"], 0)

    def test_backups_are_listed_by_time_name_and_state(self):
        def listed(**filters):
            rows = self.call("DescribeInstanceBackups", InstanceName=TENCENT_INSTANCE, Limit=100, **filters)
            return self.row["BackupId"] in {row["BackupId"] for row in rows["BackupSet"]}
        moment = lambda hours: f"{datetime.now(BEIJING) + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"
        self.assertTrue(listed(BeginTime=self.row["StartTime"], EndTime=moment(1)))
        self.assertFalse(listed(BeginTime=moment(1), EndTime=moment(2)))
        self.assertTrue(listed(Status=[1, 2]))
        self.assertFalse(listed(Status=[-1]))

    def test_the_task_is_listed_as_done(self):
        tasks = self.call("DescribeTaskList", InstanceId=TENCENT_INSTANCE, TaskTypes=["012"], Result=[2],
                          Limit=100)["Tasks"]
        task, = (task for task in tasks if task["TaskId"] == self.task)
        self.assertEqual((2, 1.0, "012", self.row["EndTime"]), tuple(
            task[name] for name in ("Result", "Progress", "TaskType", "EndTime")))
        none = self.call("DescribeTaskList", InstanceId=TENCENT_INSTANCE, TaskTypes=["017"])
        self.assertEqual((0, []), (none["TotalCount"], none["Tasks"]))

    def test_the_one_shard_and_node_are_shown(self):
        shards = self.call("DescribeInstanceShards", InstanceId=TENCENT_INSTANCE, FilterSlave=True)
        shard, = shards["InstanceShards"]
        address = f"{HERE}:{world().redis.port}"
        self.assertEqual((1, address, 0, 1), (
            shards["TotalCount"], shard["ShardId"], shard["Role"], shard["Connected"]))
        self.assertGreater(shard["Storage"], 0)
        nodes = self.call("DescribeInstanceNodeInfo", InstanceId=TENCENT_INSTANCE)
        self.assertEqual((0, 1), (nodes["ProxyCount"], nodes["RedisCount"]))
        node, = nodes["Redis"]
        self.assertEqual((address, "master"), (node["NodeId"], node["NodeRole"]))

    def test_the_stored_restriction_is_shown_and_enforced_in_its_region(self):
        region = f"ap-{uuid.uuid4().hex[:8]}"
        shown = lambda: {name: value for name, value in self.call(
            "DescribeBackupDownloadRestriction", region=region).items() if name != "RequestId"}
        setting = {"LimitType": "NoLimit", "VpcComparisonSymbol": "In", "IpComparisonSymbol": "In",
                   "LimitVpc": [], "LimitIp": []}
        self.assertEqual(setting, shown())
        for symbol, address, ours in (("In", HERE, True), ("In", ELSEWHERE, False), ("NotIn", HERE, False),
                                      ("NotIn", ELSEWHERE, True), ("In", "127.0.0.0/8", True)):
            change = {"LimitType": "Customize", "IpComparisonSymbol": symbol, "LimitIp": [address]}
            self.call("ModifyBackupDownloadRestriction", region=region, **change)
            self.assertEqual({**setting, **change}, shown())
            (self.assert_opens if ours else self.assert_closed)(*self.link(region=region))
        self.call("ModifyBackupDownloadRestriction", region=region, LimitType="LimitOnlyIntranet")
        public, intranet = self.link(region=region)
        self.assertEqual("", public)
        self.assert_opens(intranet)
        self.call("ModifyBackupDownloadRestriction", region=region, LimitType="NoLimit")
        self.assertEqual(setting, shown())
        self.assert_opens(*self.link(region=region))

    def test_a_call_overrides_the_stored_restriction(self):
        region = f"ap-{uuid.uuid4().hex[:8]}"
        self.call("ModifyBackupDownloadRestriction", region=region, LimitType="Customize",
                  LimitIp=[ELSEWHERE])
        self.assert_closed(*self.link(region=region))
        self.assert_opens(*self.link(region=region, LimitType="NoLimit"))
        self.assert_opens(*self.link(region=region, LimitType="Customize", LimitIp=[ELSEWHERE, HERE]))
        self.assertEqual("", self.link(region=region, LimitType="LimitOnlyIntranet")[0])
        self.assert_opens(*self.link())

    def test_a_restriction_that_means_nothing_is_refused(self):
        modify = lambda **limits: lambda: self.call(
            "ModifyBackupDownloadRestriction", region="ap-none", **limits)
        vpc = [{"Region": "ap-guangzhou", "VpcList": ["vpc-unknown"]}]
        self.refused("MissingParameter", modify())
        for limits in ({"LimitType": "Sometimes"}, {"LimitType": "Customize"},
                       {"LimitType": "Customize", "LimitIp": ["localhost"]},
                       {"LimitType": "Customize", "LimitIp": [HERE], "IpComparisonSymbol": "Near"},
                       {"LimitType": "Customize", "LimitVpc": vpc}):
            self.refused("InvalidParameter.InvalidParameter", modify(**limits))
        self.refused("InvalidParameterValue", lambda: self.link(LimitIp=[HERE]))
        self.refused("InvalidParameterValue", lambda: self.link(LimitType="Customize", LimitVpc=vpc))

    def test_a_backup_is_put_back(self):
        instance = f"crs-{type(self).__name__.lower()}"

        def restore(backup):
            task = self.call("RestoreInstance", InstanceId=instance, BackupId=str(backup["number"]))["TaskId"]
            told = self.finished(task)
            self.assertEqual(("succeed", instance), (told["Status"], told["InstanceId"]))
        assert_puts_back(self, self.keystow, instance, restore)
        self.refused("InvalidParameterValue.BackupNotExists", lambda: self.call(
            "RestoreInstance", InstanceId=ALIBABA_INSTANCE, BackupId=self.row["BackupId"]))

    def test_what_is_not_there_yet_says_so(self):
        for action, parameters in {
                "CloneInstances": {}, "ModifyInstanceBackupMode": {}, "DescribeBackupEncryptConfig": {},
                "ModifyBackupEncrypt": {}, "DescribeSecondLevelBackupInfo": {}, "CreateExportTask": {},
                "DescribeExportTasks": {}}.items():
            with self.subTest(action):
                self.refused("UnsupportedOperation", lambda: self.client().call_json(action, parameters))

    def test_a_policy_is_set_and_shown(self):
        instance = f"crs-policy{self.sign_method.lower()}{self.method.lower()}"
        self.keystow.cli("instance", "add", world().redis.url, "--id", instance)
        self.addCleanup(self.keystow.cli, "instance", "delete", instance)
        shown = self.call("DescribeAutoBackupConfig", InstanceId=instance)
        self.assertEqual([], shown["WeekDays"])
        hour = (datetime.now(BEIJING).hour + 12) % 24
        period = f"{hour:02}:00-{(hour + 1) % 24:02}:00"
        change = {"WeekDays": ["Monday", "Sunday"], "TimePeriod": period, "BackupStorageDays": 30}
        self.refused("UnauthorizedOperation.NoCAMAuthed",
                     lambda: self.call("ModifyAutoBackupConfig", VIEWER, InstanceId=instance, **change))
        self.assertEqual(change, change | {
            name: value for name, value in self.call("ModifyAutoBackupConfig", InstanceId=instance, **change).items()
            if name in change})
        shown = self.call("DescribeAutoBackupConfig", InstanceId=instance)
        self.assertEqual(change, {name: shown[name] for name in change})
        kept = self.keystow.json("policy", "show", instance)
        self.assertEqual((f"0 {(hour - 8) % 24} * *", "30d"),
                         (kept["schedules"][0].rpartition(" ")[0], kept["keep"]["within"]))
        # Days alone change nothing else.
        self.call("ModifyAutoBackupConfig", InstanceId=instance, BackupStorageDays=14)
        shown = self.call("DescribeAutoBackupConfig", InstanceId=instance)
        self.assertEqual(change | {"BackupStorageDays": 14}, {name: shown[name] for name in change})

    def test_what_is_not_there_yet_is_checked_all_the_same(self):
        modify = lambda **change: lambda: self.call(
            "ModifyAutoBackupConfig", InstanceId=TENCENT_INSTANCE, **change)
        self.refused("InvalidParameterValue.WeekDaysIsInvalid", modify(
            WeekDays=["Someday"], TimePeriod="02:00-03:00"))
        self.refused("InvalidParameter.Period", modify(WeekDays=["Monday"], TimePeriod="02:30-03:30"))
        self.refused("InvalidParameter.NotSupported", modify(AutoBackupType=2))
        self.refused("MissingParameter", lambda: self.call("RestoreInstance", InstanceId=TENCENT_INSTANCE))

    def test_a_wrong_secret_is_a_signature_failure(self):
        key = (OPERATOR[0], "not-the-secret")
        self.refused("AuthFailure.SignatureFailure", lambda: self.call("DescribeInstances", key))

    def test_an_unknown_key_is_not_found(self):
        self.refused("AuthFailure.SecretIdNotFound", lambda: self.call("DescribeInstances", STRANGER))

    def test_a_request_from_another_hour_has_expired(self):
        for hours in (-1, 1):
            with mock.patch("time.time", return_value=time.time() + hours * 3600):
                self.refused("AuthFailure.SignatureExpire", lambda: self.call("DescribeInstances"))
                self.refused("AuthFailure.SignatureExpire", lambda: self.call("DescribeInstances", STRANGER))

    def test_a_viewer_may_look_and_no_more(self):
        of_backup = {"InstanceId": TENCENT_INSTANCE, "BackupId": self.row["BackupId"]}
        self.assertEqual(self.row["Remark"], self.call("DescribeBackupDetail", VIEWER, **of_backup)["Remark"])
        for action, parameters in {
                "DescribeBackupUrl": {"InstanceId": TENCENT_INSTANCE, "BackupId": "0"},
                "ManualBackupInstance": {"InstanceId": TENCENT_INSTANCE},
                "ModifyBackupDownloadRestriction": {"LimitType": "NoLimit"},
                "RestoreInstance": of_backup}.items():
            with self.subTest(action):
                self.refused("UnauthorizedOperation.NoCAMAuthed",
                             lambda: self.call(action, VIEWER, **parameters))

    def test_an_unknown_instance_does_not_exist(self):
        for action in ("DescribeBackupUrl", "DescribeBackupDetail", "DescribeInstanceBackups",
                       "ManualBackupInstance", "DescribeInstanceShards", "DescribeInstanceNodeInfo"):
            backup = {"BackupId": "0"} if action in ("DescribeBackupUrl", "DescribeBackupDetail") else {}
            self.refused("ResourceNotFound.InstanceNotExists", lambda: self.call(
                action, InstanceId="crs-nowhere0", **backup))

    def test_an_unknown_backup_does_not_exist(self):
        for action in ("DescribeBackupUrl", "DescribeBackupDetail"):
            for backup in ("2147483646", "no such thing", self.row["BackupId"][:-1]):
                self.refused("InvalidParameterValue.BackupNotExists", lambda: self.call(
                    action, InstanceId=TENCENT_INSTANCE, BackupId=backup))

    def test_a_backup_of_another_instance_does_not_exist(self):
        self.refused("InvalidParameterValue.BackupNotExists", lambda: self.call(
            "DescribeBackupUrl", InstanceId=ALIBABA_INSTANCE, BackupId=self.row["BackupId"]))

    def test_a_backup_that_is_gone_is_told_from_one_that_never_was(self):
        gone = self.keystow.json("backup", "create", TENCENT_INSTANCE, "--wait")["id"]
        self.keystow.cli("backup", "delete", gone, "--yes")
        asked = {"InstanceId": TENCENT_INSTANCE, "BackupId": gone}
        for action in ("DescribeBackupUrl", "DescribeBackupDetail"):
            with self.subTest(action):
                self.refused("ResourceUnavailable.BackupStatusInvalid", lambda: self.call(action, **asked))
        self.refused("ResourceUnavailable.BackupStatusAbnormal", lambda: self.call("RestoreInstance", **asked))

    def test_filters_that_fit_nothing_list_nothing(self):
        self.assertEqual(0, self.call("DescribeTaskList", TaskTypes=["009"])["TotalCount"])
        self.assertEqual(0, self.call("DescribeInstanceBackups", Status=[3])["TotalCount"])
        types = {task["TaskType"] for task in self.call("DescribeTaskList", TaskTypes=["010", "012"])["Tasks"]}
        self.assertLessEqual(types, {"010", "012"})
        self.assertIn("012", types)

    def test_instances_are_put_in_order(self):
        def listed(**order):
            rows = self.call("DescribeInstances", SearchKeys=[ALIBABA_INSTANCE, TENCENT_INSTANCE], **order)
            return [row["InstanceId"] for row in rows["InstanceSet"]]
        in_order = sorted([ALIBABA_INSTANCE, TENCENT_INSTANCE])
        self.assertEqual(in_order, listed())
        by_name = listed(OrderBy="instancename", OrderType=0)
        self.assertEqual((2, by_name[::-1]), (len(by_name), listed(OrderBy="instancename")))

    def test_a_key_of_another_address_is_refused(self):
        key = self.keystow.json("key", "create", "--role", "operator", "--allow-ip", "203.0.113.1")
        self.refused("IpNotInWhitelist", lambda: self.call(
            "DescribeInstances", (key["access_key_id"], key["secret"])))

    def test_an_unknown_task_is_invalid(self):
        self.refused("InvalidParameter.InvalidParameter", lambda: self.call(
            "DescribeTaskInfo", TaskId=2147483646))

    def test_parameters_that_do_not_fit_are_refused(self):
        send = lambda action, **parameters: lambda: self.client().call_json(action, parameters)
        backups = lambda **filters: send("DescribeInstanceBackups", InstanceId=TENCENT_INSTANCE, **filters)
        self.refused("MissingParameter", send("DescribeBackupUrl", InstanceId=TENCENT_INSTANCE))
        self.refused("InvalidParameter.EmptyParam", send("DescribeBackupUrl", InstanceId="", BackupId="0"))
        self.refused("UnknownParameter", send("DescribeInstances", Colour="red"))
        self.refused("InvalidParameter", backups(Limit="many"))
        self.refused("InvalidParameterValue", backups(Limit=101))
        self.refused("InvalidParameterValue", backups(Status=[7]))
        self.refused("InvalidParameterValue", backups(EndTime="tomorrow"))
        self.refused("InvalidParameterValue", backups(BeginTime="2026-01-01 00:00:00",
                                                      EndTime="2026-03-01 00:00:00"))
        self.refused("InvalidParameterValue", send("DescribeInstances", ProjectIds=[1]))
        self.refused("InvalidParameterValue", send("ManualBackupInstance", InstanceId=TENCENT_INSTANCE,
                                                   StorageDays=2000))

    def test_a_remark_may_be_too_long(self):
        failure = self.refused("InvalidParameterValue", lambda: self.call(
            "ManualBackupInstance", InstanceId=TENCENT_INSTANCE, Remark="x" * 1025))
        self.assertIn("remark is not valid: is longer than 1024 bytes", failure.get_message())

    def test_an_unknown_action_is_invalid(self):
        self.refused("InvalidAction", lambda: self.client().call_json("DescribeBackupPhotos", {}))

    def test_another_version_of_the_api_is_unknown(self):
        known = self.client()
        client = CommonClient("redis", "2017-01-01", known.credential, known.region, known.profile)
        self.refused("NoSuchVersion", lambda: client.call_json("DescribeInstances", {}))

    def test_the_region_may_be_left_out(self):
        listed = self.call("DescribeInstances", region="", InstanceId=TENCENT_INSTANCE)
        self.assertEqual(1, listed["TotalCount"])

    def test_messages_are_in_the_language_of_the_caller(self):
        for language, message in (("zh-CN", "实例 crs-nowhere0 不存在。"),
                                  ("en-US", "No such instance: crs-nowhere0.")):
            failure = self.refused("ResourceNotFound.InstanceNotExists", lambda: self.client(
                language=language).call_json("ManualBackupInstance", {"InstanceId": "crs-nowhere0"}))
            self.assertEqual(message, failure.get_message())
        info = self.client(language="zh-CN").call_json("DescribeTaskInfo", {"TaskId": self.task})["Response"]
        self.assertEqual("手动备份", info["TaskType"])

    def test_temporary_credentials_need_their_token(self):
        *key, token = TEMPORARY
        look = lambda token: self.client(key, token=token).call_json("DescribeInstances", {})
        self.assertIn("InstanceSet", look(token)["Response"])
        for wrong in (None, token[::-1]):
            self.refused("AuthFailure.TokenFailure", lambda: look(wrong))
        self.refused("AuthFailure.TokenFailure", lambda: self.client(token=token).call_json(
            "DescribeInstances", {}))


class TencentTc3PostTest(TencentContract, unittest.TestCase):
    """TC3-HMAC-SHA256, JSON body."""

    sign_method, method = "TC3-HMAC-SHA256", "POST"

    def test_the_payload_may_be_left_unsigned(self):
        client = self.client()
        client.profile.unsignedPayload = True
        detail = client.call_json("DescribeBackupDetail", {
            "InstanceId": TENCENT_INSTANCE, "BackupId": self.row["BackupId"]})
        self.assertEqual(self.remark, detail["Response"]["Remark"])

    def test_an_unsigned_request_is_refused(self):
        self.refused("AuthFailure.InvalidAuthorization", lambda: self.client().call_json(
            "DescribeInstances", {}, options={"SkipSign": True}))

    def test_the_generic_client_may_send_multipart(self):
        answer = self.client().call_json("DescribeBackupUrl", {
            "InstanceId": TENCENT_INSTANCE, "BackupId": self.row["BackupId"], "LimitType": "Customize",
            "LimitIp": [HERE]}, options={"IsMultipart": True})
        self.assert_opens(*answer["Response"]["DownloadUrl"], *answer["Response"]["InnerDownloadUrl"])


class TencentTc3GetTest(TencentContract, unittest.TestCase):
    """TC3-HMAC-SHA256, parameters in the query."""

    sign_method, method = "TC3-HMAC-SHA256", "GET"


class TencentHmacSha256PostTest(TencentContract, unittest.TestCase):
    """HmacSHA256, form body."""

    sign_method, method = "HmacSHA256", "POST"


class TencentHmacSha1GetTest(TencentContract, unittest.TestCase):
    """HmacSHA1, everything in the query."""

    sign_method, method = "HmacSHA1", "GET"


class TencentUnfinishedBackupTest(TencentCalls, unittest.TestCase):
    """A backup while its server stands still, and after the server is gone."""

    instance = "crs-standing"

    @classmethod
    def setUpClass(cls):
        cls.redis = world().lab.redis()
        cls.keystow.cli("instance", "add", cls.redis.url, "--id", cls.instance)

    def backup(self, status):
        """The instance's one backup, which has that status."""
        row, = self.call("DescribeInstanceBackups", InstanceId=self.instance, Status=[status])["BackupSet"]
        return row["BackupId"]

    def assert_no_link(self, backup):
        """There is nothing to download."""
        self.refused("ResourceUnavailable.BackupStatusInvalid", lambda: self.call(
            "DescribeBackupUrl", InstanceId=self.instance, BackupId=backup))

    def test_it_is_shown_locks_the_instance_and_has_no_link(self):
        self.redis.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.redis.process.kill)
        task = self.call("ManualBackupInstance", InstanceId=self.instance)["TaskId"]
        self.refused("ResourceUnavailable.InstanceLockedError", lambda: self.call(
            "ManualBackupInstance", InstanceId=self.instance))
        row, = self.call("DescribeInstances", InstanceId=self.instance)["InstanceSet"]
        self.assertEqual((1, "Processing"), (row["Status"], row["InstanceTitle"]))
        self.assertIn(self.call("DescribeTaskInfo", TaskId=task)["Status"], ("preparing", "running"))
        backup = self.backup(1)
        self.assert_no_link(backup)
        self.refused("ResourceUnavailable.BackupLockedError", lambda: self.call(
            "RestoreInstance", InstanceId=self.instance, BackupId=backup))
        self.redis.process.kill()
        told = self.finished(task)
        self.assertEqual("failed", told["Status"])
        self.assertTrue(told["TaskMessage"])
        self.assertEqual(backup, self.backup(-1))
        self.assert_no_link(backup)
