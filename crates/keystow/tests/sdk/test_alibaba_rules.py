"""Alibaba Cloud's SDKs against a server that is configured: regions, limits, projects, temporary keys."""

import functools
import http.client
import threading
import time
import unittest
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from alibaba import Core, Tea, TeaV2, failure, minute
from alibabacloud_r_kvstore20150101.client import Client
from alibabacloud_r_kvstore20150101.models import DescribeRegionsRequest
from alibabacloud_tea_openapi.models import Config
from lab import wait_until
from world import OPERATOR, get, world

CONFIGURATION = """
[regions.cn-hangzhou]
aliases = ["ap-hangzhou-of-others"]
zones = ["cn-hangzhou-h", "cn-hangzhou-i"]

[regions.cn-beijing-finance]
hosts = ["bank.example"]
isolated = true

[links.ttl]
alibaba = "30m"

[dialects.alibaba]
hosts = ["redis.shop.example"]

[dialects.alibaba.rates]
DescribeBackupPolicy = 1
"""
HERE, ELSEWHERE, BANK, SHOP = "r-hangzhou", "r-beijing", "r-bank", "r-shop"
WHOLE = ("LTAI4FwholeAccountOfOurs", "whole-secret-0123456789abcdef000")
ONE_PROJECT = ("LTAI4FoneProjectOfOurs00", "project-secret-0123456789abcdef0")
TEMPORARY = ("STS.temporaryKeyOfOurs00", "temporary-secret-0123456789abcde")
TOKEN = "CAISession+Token/of=ours"


@functools.cache
def place():
    """The configured server with its instances, project and keys, made by the first test that needs it."""
    lab = world().lab
    file = lab.dir("rules") / "keystow.toml"
    file.write_text(CONFIGURATION)
    keystow = lab.keystow("--config", file)
    keystow.cli("project", "add", "shop")
    for instance, *where in (
            (HERE, "--region", "cn-hangzhou", "--zone", "cn-hangzhou-h"),
            (ELSEWHERE, "--region", "cn-beijing"), (BANK, "--region", "cn-beijing-finance"),
            (SHOP, "--project", "shop")):
        keystow.cli("instance", "add", world().redis.url, "--id", instance, *where)
    token = private_file(TOKEN)
    for (access_key_id, secret), *options in (
            (WHOLE,), (ONE_PROJECT, "--project", "shop"), (TEMPORARY, "--session-token-file", token)):
        keystow.cli("key", "create", "--id", access_key_id, "--secret-file", private_file(secret), *options)
    return keystow


def private_file(text):
    """A file that only we may read."""
    file = world().lab.dir("private") / "file"
    file.write_text(text)
    file.chmod(0o600)
    return file


class RulesContract:
    """What must hold for every generation; subclasses name theirs."""

    generation = None

    def as_key(self, *key):
        """A client that signs with this key."""
        return self.generation(place().api, key)

    def code_of(self, call):
        """The vendor's code that the call fails with."""
        return failure(self, call)[0]

    def listed(self, client, **parameters):
        """Ids of the instances that are listed."""
        answer = client.call("DescribeInstances", **parameters)
        return {row["InstanceId"] for row in answer["Instances"]["KVStoreInstance"]}

    def test_a_region_holds_its_instances_and_those_of_none(self):
        self.assertEqual({HERE, SHOP}, self.listed(self.as_key(*WHOLE), RegionId="cn-hangzhou"))

    def test_a_region_has_other_spellings_too(self):
        answer = self.as_key(*WHOLE).common("DescribeInstances", query={"RegionId": "ap-hangzhou-of-others"})
        rows = {row["InstanceId"]: row["RegionId"] for row in answer["Instances"]["KVStoreInstance"]}
        self.assertEqual({HERE: "ap-hangzhou-of-others", SHOP: ""}, rows)

    def test_an_isolated_region_is_unknown_under_other_host_names(self):
        client = self.as_key(*WHOLE)
        self.assertEqual("InvalidRegionId.NotFound", self.code_of(
            lambda: client.common("DescribeInstances", query={"RegionId": "cn-beijing-finance"})))

    def test_an_instance_of_another_region_is_not_found(self):
        named = {"RegionId": "cn-hangzhou", "InstanceId": ELSEWHERE}
        client = self.as_key(*WHOLE)
        self.assertEqual([], client.call("DescribeInstances", RegionId="cn-hangzhou", InstanceIds=ELSEWHERE)
                         ["Instances"]["KVStoreInstance"])
        self.assertEqual("InvalidInstanceId.NotFound", self.code_of(
            lambda: client.common("DescribeBackupTasks", query=named)))

    def test_regions_are_listed_with_their_zones(self):
        answer = self.as_key(*WHOLE).call("DescribeRegions")
        rows = {row["RegionId"]: row["ZoneIdList"]["ZoneId"] for row in answer["RegionIds"]["KVStoreRegion"]}
        zones = ["cn-hangzhou-h", "cn-hangzhou-i"]
        self.assertEqual({"cn-hangzhou": zones, "ap-hangzhou-of-others": zones, "cn-beijing": []}, rows)

    def test_links_live_as_long_as_the_setting_says(self):
        client = self.as_key(*WHOLE)
        job = int(client.call("CreateBackup", InstanceId=HERE)["BackupJobID"])
        window = {"InstanceId": HERE, "StartTime": minute(-1), "EndTime": minute(1), "BackupJobId": job}
        rows = lambda: client.call("DescribeBackups", **window)["Backups"]["Backup"]
        row, = wait_until(rows, 60, "the backup", pause=0.2)
        link = row["BackupDownloadURL"]
        left = int(parse_qs(urlsplit(link).query)["Expires"][0]) - time.time()
        self.assertTrue(29 * 60 < left <= 30 * 60, left)
        self.assertEqual(200, get(link)[0])

    def test_more_requests_than_the_rate_are_throttled(self):
        client = self.as_key(*WHOLE)
        codes = {self.code_of(lambda: client.call("DescribeBackupPolicy", InstanceId="r-nothing")) for _ in range(40)}
        self.assertIn("Throttling.User", codes)
        self.assertLessEqual(codes, {"Throttling.User", "InvalidDBInstance.NotFound"})
        client.call("DescribeRegions")

    def test_an_instance_of_another_project_is_denied(self):
        client = self.as_key(*ONE_PROJECT)
        self.assertEqual({SHOP}, self.listed(client))
        code, _, status = failure(self, lambda: client.call("CreateBackup", InstanceId=HERE))
        self.assertEqual(("NoPermission", 403), (code, status))

    def test_temporary_credentials_need_their_token(self):
        self.assertIn(HERE, self.listed(self.as_key(*TEMPORARY, TOKEN)))
        self.assertEqual("MissingSecurityToken", self.code_of(lambda: self.listed(self.as_key(*TEMPORARY))))
        self.assertEqual("InvalidSecurityToken.MismatchWithAccessKey", self.code_of(
            lambda: self.listed(self.as_key(*TEMPORARY, TOKEN + "x"))))
        self.assertEqual("InvalidSecurityToken.MismatchWithAccessKey", self.code_of(
            lambda: self.listed(self.as_key(*WHOLE, TOKEN))))


class AlibabaCoreRulesTest(RulesContract, unittest.TestCase):
    """Signature V1."""

    generation = Core


class AlibabaTeaRulesTest(RulesContract, unittest.TestCase):
    """Signature V3."""

    generation = Tea


class AlibabaTeaV2RulesTest(RulesContract, unittest.TestCase):
    """Signature V1, from the second generation."""

    generation = TeaV2


@contextmanager
def proxy(port):
    """A proxy to a server's API that puts a Host of its own into every request; its URL."""

    class Forward(BaseHTTPRequestHandler):
        """One request, passed on."""

        def do_POST(self):
            """Pass it on under another Host."""
            url = urlsplit(self.path)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            backend = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            backend.request("POST", f"{url.path}?{url.query}", body, headers | {"Host": "backend"})
            answer = backend.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.read())
            backend.close()

        def log_message(self, *_):
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class AlibabaBehindProxyTest(unittest.TestCase):
    """Signature V3 signs the host, which a proxy may change."""

    def regions(self, port, key, host):
        """DescribeRegions of a client that knows the server by that name."""
        with proxy(port) as url:
            client = Client(Config(access_key_id=key[0], access_key_secret=key[1], region_id="cn-hangzhou",
                                   endpoint=host, protocol="HTTP", http_proxy=url))
            return client.describe_regions(DescribeRegionsRequest()).body.region_ids.kvstore_region

    def test_a_host_that_is_named_may_be_signed(self):
        self.assertTrue(self.regions(place().api, WHOLE, "redis.shop.example"))

    def test_any_other_host_must_arrive_as_it_was_signed(self):
        for port, key, host in ((place().api, WHOLE, "redis.other.example"),
                                (world().keystow.api, OPERATOR, "redis.shop.example")):
            code, *_ = failure(self, lambda: self.regions(port, key, host))
            self.assertEqual("SignatureDoesNotMatch", code)
