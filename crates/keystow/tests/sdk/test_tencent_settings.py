"""What an operator may set about Tencent's APIs: allow-lists, layouts, rates, networks, regions."""

import json
import socket
import unittest
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import vendors
from alibaba import minute
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from certificate import Certificate
from configured import import_key, reconfigure, server
from lab import wait_until
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from world import OPERATOR, TENCENT_INSTANCE, get, world

SETTINGS = """
[limits]
body_bytes = 65536

[dialects.tencent_v3]
allow_list = ["listed"]
hosts = ["redis.example.net"]
[dialects.tencent_v3.rates]
DescribeTaskList = 1

[networks.here]
cidrs = ["127.0.0.0/8"]
vpc_id = "vpc-here"
region = "ap-guangzhou"
[networks.elsewhere]
cidrs = ["203.0.113.0/24"]
vpc_id = "vpc-elsewhere"

[regions.ap-guangzhou]
aliases = ["cn-gd"]
[regions.ap-shanghai-fsi]
isolated = true
hosts = ["localhost"]
"""
CLUSTERS_ONLY = """
[dialects.tencent_v2]
allow_list = ["listed"]
cluster_only = true
[dialects.tencent_v2.rates]
GetRedisTaskList = 1
[dialects.tencent_v3]
cluster_only = true
"""
LISTED = ("AKIDlistedKeyOfOurs00000", "listed-secret-0123456789abcdef00")
BOUND = ("AKIDboundKeyOfOurs000000", "bound-secret-0123456789abcdef000")
FINANCE, OTHER = "crs-finance0", "crs-project2"
SOUTH, SOUTH_TOO, NORTH, BANK = "ap-guangzhou", "cn-gd", "ap-beijing", "ap-shanghai-fsi"


def furnish(keystow):
    """Two accounts, one of them on the allow-list, with an instance each, and a key bound to a project."""
    def add(instance, *options):
        keystow.cli("instance", "add", world().redis.url, "--id", instance, *options)
    keystow.cli("account", "add", "listed")
    for project in ("one", "two"):
        keystow.cli("project", "add", project)
    import_key(keystow, OPERATOR, "operator")
    import_key(keystow, LISTED, "operator", "--account", "listed")
    import_key(keystow, BOUND, "operator", "--project", "one")
    add(TENCENT_INSTANCE, "--account", "listed", "--region", SOUTH)
    add(FINANCE, "--account", "listed", "--region", BANK)
    add(OTHER, "--project", "two", "--region", SOUTH)


def back_up(client):
    """Take a backup through API 3.0; its id."""
    instance = {"InstanceId": TENCENT_INSTANCE}
    client.call_json("ManualBackupInstance", instance)
    listed = lambda: client.call_json("DescribeInstanceBackups", instance)["Response"]["BackupSet"]
    return wait_until(listed, 60, "the backup", pause=0.2)[0]["BackupId"]


class SettingsTest(unittest.TestCase):
    """API 3.0 of a server with most settings."""

    @classmethod
    def setUpClass(cls):
        cls.keystow = server(SETTINGS)
        furnish(cls.keystow)
        backup = back_up(vendors.tencent(cls.keystow.api, *LISTED))
        cls.linked = {"InstanceId": TENCENT_INSTANCE, "BackupId": backup}

    @classmethod
    def call(cls, action, parameters=None, key=LISTED, **options):
        """One call through the SDK's generic way; the answer's fields."""
        client = vendors.tencent(cls.keystow.api, *key, **options)
        return client.call_json(action, parameters or {})["Response"]

    def refused(self, code, *words, **options):
        """The call fails with the vendor's code."""
        with self.assertRaises(TencentCloudSDKException) as caught:
            self.call(*words, **options)
        self.assertEqual(code, caught.exception.get_code(), caught.exception)

    def ids(self, **options):
        """The instances that a client sees."""
        return {row["InstanceId"] for row in self.call("DescribeInstances", **options)["InstanceSet"]}

    def statuses(self, region=SOUTH, **limits):
        """What the backup's links answer us: public, intranet."""
        answer = self.call("DescribeBackupUrl", {**self.linked, **limits}, region=region)
        return [get(url)[0] for url in answer["DownloadUrl"] + answer["InnerDownloadUrl"]]

    def test_only_accounts_on_the_allow_list_get_links(self):
        self.assertEqual([200, 200], self.statuses())
        self.refused("UnauthorizedOperation.UserNotInWhiteList", "DescribeBackupUrl", self.linked,
                     key=OPERATOR)
        self.assertEqual({OTHER}, self.ids(key=OPERATOR))

    def test_an_instance_of_another_project_is_denied(self):
        self.refused("InvalidParameter.PermissionDenied", "ManualBackupInstance", {"InstanceId": OTHER},
                     key=BOUND)
        self.assertEqual(set(), self.ids(key=BOUND))

    def test_a_network_stands_for_its_addresses(self):
        def limited(vpc, **limits):
            limits = {"LimitVpc": [{"Region": SOUTH, "VpcList": vpc}], **limits}
            return self.statuses(LimitType="Customize", VpcComparisonSymbol="In", **limits)
        ours, others = ["127.0.0.1"], ["203.0.113.7"]
        self.assertEqual([200, 200], limited(["vpc-here"]))
        self.assertEqual([403, 403], limited(["vpc-elsewhere"]))
        self.assertEqual([200, 200], limited(["vpc-elsewhere", "vpc-here"]))
        self.assertEqual([200, 200], limited(["vpc-elsewhere"], LimitIp=ours))
        self.assertEqual([403, 403], limited(["vpc-here"], LimitIp=ours, IpComparisonSymbol="NotIn"))
        self.assertEqual([200, 200], limited(["vpc-here"], LimitIp=others, IpComparisonSymbol="NotIn"))
        unknown = "no network is configured for vpc-here in ap-beijing"
        with self.assertRaisesRegex(TencentCloudSDKException, unknown):
            limited([], LimitVpc=[{"Region": NORTH, "VpcList": ["vpc-here"]}])

    def test_a_restriction_holds_for_its_region_in_every_spelling(self):
        self.addCleanup(self.call, "ModifyBackupDownloadRestriction", {"LimitType": "NoLimit"}, region=SOUTH)
        vpc = [{"Region": SOUTH, "VpcList": ["vpc-elsewhere"]}]
        self.call("ModifyBackupDownloadRestriction", {"LimitType": "Customize", "LimitVpc": vpc},
                  region=SOUTH_TOO)
        for region in (SOUTH, SOUTH_TOO):
            kept = self.call("DescribeBackupDownloadRestriction", region=region)
            self.assertEqual(("Customize", vpc, []), (kept["LimitType"], kept["LimitVpc"], kept["LimitIp"]))
            self.assertEqual([403, 403], self.statuses(region=region))
        self.assertEqual("NoLimit", self.call("DescribeBackupDownloadRestriction", region=NORTH)["LimitType"])

    def test_a_restriction_holds_whatever_region_and_vendor_the_caller_names(self):
        self.addCleanup(self.call, "ModifyBackupDownloadRestriction", {"LimitType": "NoLimit"}, region=SOUTH)
        self.assertTrue(self.alibaba_link())
        self.call("ModifyBackupDownloadRestriction", {"LimitType": "LimitOnlyIntranet"}, region=SOUTH)
        answer = self.call("DescribeBackupUrl", self.linked, region="")
        self.assertEqual(([], 1), (answer["DownloadUrl"], len(answer["InnerDownloadUrl"])))
        self.assertFalse(self.alibaba_link())

    def test_two_restrictions_of_many_addresses_hold_together(self):
        def restrict(region, addresses, symbol):
            self.addCleanup(self.call, "ModifyBackupDownloadRestriction", {"LimitType": "NoLimit"}, region=region)
            limits = {"LimitType": "Customize", "LimitIp": addresses, "IpComparisonSymbol": symbol}
            self.call("ModifyBackupDownloadRestriction", limits, region=region)
        others = [f"203.0.{number}.0/24" for number in range(32)]
        restrict("", others, "NotIn")
        restrict(SOUTH, [*others[:31], "127.0.0.1"], "In")
        self.assertEqual([200, 200], self.statuses())
        self.assertEqual(200, get(self.alibaba_link())[0])
        restrict("", others, "In")
        self.assertEqual([403, 403], self.statuses())

    def test_a_backup_is_listed_without_links_where_a_restriction_means_nothing_any_more(self):
        vpc = [{"Region": SOUTH, "VpcList": ["vpc-elsewhere"]}]
        self.addCleanup(self.call, "ModifyBackupDownloadRestriction", {"LimitType": "NoLimit"}, region=SOUTH)
        self.call("ModifyBackupDownloadRestriction", {"LimitType": "Customize", "LimitVpc": vpc}, region=SOUTH)
        self.addCleanup(reconfigure, self.keystow, SETTINGS)
        reconfigure(self.keystow, SETTINGS.replace("vpc-elsewhere", "vpc-gone"))
        self.assertFalse(self.alibaba_link())
        self.refused("InvalidParameterValue", "DescribeBackupUrl", self.linked, region=SOUTH)

    def alibaba_link(self):
        """The public link that Alibaba's list shows to a caller who names no region."""
        client = AcsClient(*LISTED, "", port=self.keystow.api)
        request = CommonRequest(domain="127.0.0.1", version="2015-01-01", action_name="DescribeBackups")
        asked = {"InstanceId": TENCENT_INSTANCE, "StartTime": minute(-1), "EndTime": minute(1)}
        for name, value in asked.items():
            request.add_query_param(name, value)
        row = json.loads(client.do_action_with_exception(request))["Backups"]["Backup"][-1]
        return row.get("BackupDownloadURL")

    def test_a_region_is_one_place_in_every_spelling(self):
        for region in (SOUTH, SOUTH_TOO):
            self.assertEqual({TENCENT_INSTANCE}, self.ids(region=region))
            row, = self.call("DescribeInstances", region=region)["InstanceSet"]
            self.assertEqual(region, row["Region"])
            self.assertEqual([200, 200], self.statuses(region=region))
        self.assertEqual(set(), self.ids(region=NORTH))
        for action in ("DescribeBackupUrl", "DescribeBackupDetail"):
            self.refused("ResourceNotFound.InstanceNotExists", action, self.linked, region=NORTH)

    def test_a_finance_region_answers_under_its_own_host_names_only(self):
        self.refused("UnsupportedRegion", "DescribeInstances", region=BANK)
        self.assertEqual({TENCENT_INSTANCE}, self.ids(region=""))
        self.assertEqual({FINANCE}, self.ids(region=BANK, host="localhost"))
        resolve = socket.getaddrinfo
        with mock.patch("socket.getaddrinfo", lambda _, *rest, **more: resolve("127.0.0.1", *rest, **more)):
            self.assertEqual({FINANCE}, self.ids(region=BANK, host=f"redis.{BANK}.example.org"))
            self.refused("UnsupportedRegion", "DescribeInstances", region=BANK, host="redis.example.org")

    def test_a_client_may_have_signed_a_configured_name_that_a_proxy_replaced(self):
        def call(name):
            client = vendors.tencent(self.keystow.api, *LISTED)
            client.profile.httpProfile.endpoint = name
            client.profile.httpProfile.apigw_endpoint = f"127.0.0.1:{self.keystow.api}"
            return client.call_json("DescribeInstances", {})["Response"]
        self.assertIn("InstanceSet", call("redis.example.net"))
        with self.assertRaises(TencentCloudSDKException) as caught:
            call("redis.example.com")
        self.assertEqual("AuthFailure.SignatureFailure", caught.exception.get_code())

    def test_more_than_twenty_calls_a_second_are_too_many(self):
        def attempt(_):
            try:
                return self.call("DescribeInstanceNodeInfo", {"InstanceId": TENCENT_INSTANCE})
            except TencentCloudSDKException as failure:
                return failure.get_code()

        def burst():
            with ThreadPoolExecutor(16) as pool:
                outcomes = list(pool.map(attempt, range(300)))
            codes = [outcome for outcome in outcomes if isinstance(outcome, str)]
            self.assertEqual(set(), set(codes) - {"RequestLimitExceeded"})
            self.assertGreaterEqual(len(outcomes) - len(codes), 20)
            return codes
        wait_until(burst, 120, "one call too many")

    def test_a_single_action_may_have_its_own_rate(self):
        wait_until(lambda: self.throttled("DescribeTaskList"), 60, "one call too many", pause=0)
        wait_until(lambda: not self.throttled("DescribeTaskList"), 60, "the second to pass")

    def throttled(self, action):
        """Whether one call is one too many."""
        try:
            self.call(action)
        except TencentCloudSDKException as failure:
            return failure.get_code() == "RequestLimitExceeded"
        return False

    def test_a_request_may_be_too_large(self):
        self.refused("RequestSizeLimitExceeded", "ManualBackupInstance", {
            "InstanceId": TENCENT_INSTANCE, "Remark": "x" * 66_000})


class ClustersOnlyTest(unittest.TestCase):
    """Both APIs of a server that gives links for clusters only; over https."""

    @classmethod
    def setUpClass(cls):
        cls.certificate = Certificate(world().lab.dir("tls"))
        cls.keystow = server(CLUSTERS_ONLY, certificate=cls.certificate)
        furnish(cls.keystow)
        cls.api_3 = vendors.tencent(cls.keystow.api, *LISTED, ca=cls.certificate.ca)
        cls.linked = {"redisId": TENCENT_INSTANCE, "backupId": back_up(cls.api_3)}

    def answer(self, action, parameters, key=LISTED):
        """One call through API v2: (code, codeDesc)."""
        client = vendors.TencentV2(self.keystow.api, *key, "HmacSHA256", "post", ca=self.certificate.ca)
        answer = client.call(action, **parameters)
        return answer["code"], answer["codeDesc"]

    def test_api_3_gives_no_link_for_another_layout(self):
        with self.assertRaises(TencentCloudSDKException) as caught:
            self.api_3.call_json("DescribeBackupUrl", {
                "InstanceId": self.linked["redisId"], "BackupId": self.linked["backupId"]})
        self.assertEqual("UnsupportedOperation.OnlyClusterInstanceCanExportBackup",
                         caught.exception.get_code())

    def test_api_2_gives_no_link_for_another_layout(self):
        self.assertEqual((11214, "OnlyClusterInstanceCanExportBackup"),
                         self.answer("GetBackupDownloadUrl", self.linked))

    def test_api_2_gives_no_link_to_accounts_beside_the_allow_list(self):
        self.assertEqual((4300, "UserNotInWhiteList"),
                         self.answer("GetBackupDownloadUrl", self.linked, key=OPERATOR))

    def test_api_2_denies_an_instance_of_another_project(self):
        self.assertEqual((4102, "UnauthorizedOperation"),
                         self.answer("ManualBackupInstance", {"redisId": OTHER}, key=BOUND))

    def test_api_2_has_rates_too(self):
        ask = lambda: self.answer("GetRedisTaskList", {"limit": 20, "offset": 0})
        self.assertEqual((0, "Success"), ask())
        wait_until(lambda: ask() == (4400, "RequestLimitExceeded"), 60, "one call too many", pause=0)
