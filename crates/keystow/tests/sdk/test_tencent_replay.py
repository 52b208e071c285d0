"""The very bytes that Tencent's SDKs have signed, sent a second time."""

import unittest
from unittest import mock

import requests
import vendors
from certificate import Certificate
from configured import import_key, server
from lab import wait_until
from requests.adapters import HTTPAdapter
from test_tencent import TencentCalls
from world import OPERATOR, TENCENT_INSTANCE, world


class Overheard:
    """Keeps the requests that an SDK sends, so that they can be sent again as they are."""

    def __enter__(self):
        self.requests, original = [], HTTPAdapter.send

        def send(adapter, request, *arguments, **options):
            self.requests.append(request.copy())
            return original(adapter, request, *arguments, **options)
        self._patch = mock.patch.object(HTTPAdapter, "send", send)
        self._patch.start()
        return self

    def __exit__(self, *_):
        self._patch.stop()


def again(request, keystow):
    """Send a request once more, to the same server on whatever port it is now; the answer."""
    old = request.url.split("/")[2]
    request = request.copy()
    request.headers["Host"] = old
    request.url = request.url.replace(old, f"127.0.0.1:{keystow.api}", 1)
    with requests.Session() as session:
        session.trust_env = False
        return session.send(request, timeout=30).json()["Response"]


class ReplayContract(TencentCalls):
    """Signature v1 of API 3.0 has a nonce."""

    @classmethod
    def setUpClass(cls):
        cls.keystow = world().lab.keystow()
        import_key(cls.keystow, OPERATOR, "operator")
        cls.keystow.cli("instance", "add", world().redis.url, "--id", TENCENT_INSTANCE)

    def sent(self, action, **parameters):
        """One call as the SDK sent it."""
        with Overheard() as overheard:
            self.call(action, **parameters)
        request, = overheard.requests
        return request

    def backups(self):
        """All backups of the instance."""
        listed = self.call("DescribeInstanceBackups", InstanceId=TENCENT_INSTANCE, Status=[1, 2, -1])
        return listed["TotalCount"]

    def assert_replayed(self, request):
        """It is not answered once more."""
        answer = again(request, self.keystow)
        self.assertEqual("AuthFailure.SignatureFailure", answer["Error"]["Code"])
        self.assertEqual("The nonce was used before.", answer["Error"]["Message"])

    def test_a_request_works_once(self):
        request = self.sent("DescribeInstances")
        for _ in range(2):
            self.assert_replayed(request)

    def test_a_change_works_once_also_across_a_restart(self):
        before = self.backups()
        request = self.sent("ManualBackupInstance", InstanceId=TENCENT_INSTANCE)
        wait_until(lambda: self.backups() > before, 60, "the backup")
        self.keystow.stop()
        self.keystow.start()
        self.assert_replayed(request)
        self.assertEqual(before + 1, self.backups())


class TencentReplayByPostTest(ReplayContract, unittest.TestCase):
    """HmacSHA256, form body."""

    sign_method, method = "HmacSHA256", "POST"


class TencentReplayByGetTest(ReplayContract, unittest.TestCase):
    """HmacSHA1, query."""

    sign_method, method = "HmacSHA1", "GET"


class TencentV2ReplayTest(unittest.TestCase):
    """API v2: the URL that the SDK makes and leaves to its user to open."""

    @classmethod
    def setUpClass(cls):
        cls.certificate = Certificate(world().lab.dir("tls"))
        cls.keystow = server("", certificate=cls.certificate)
        import_key(cls.keystow, OPERATOR, "operator")
        cls.keystow.cli("instance", "add", world().redis.url, "--id", TENCENT_INSTANCE)

    def url(self, action, **parameters):
        """A signed URL."""
        client = vendors.TencentV2(self.keystow.api, *OPERATOR, "HmacSHA256", "get", ca=self.certificate.ca)
        return client.url(action, **parameters)

    def open(self, url, signed_for=None):
        """The answer's (code, codeDesc)."""
        headers = {"Host": signed_for} if signed_for else {}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, headers=headers, verify=str(self.certificate.ca), timeout=30).json()
        return answer["code"], answer["codeDesc"]

    def test_a_url_works_once(self):
        url = self.url("DescribeRedis", limit=20, offset=0)
        self.assertEqual([(0, "Success"), (4500, "ReplayAttack")], [self.open(url), self.open(url)])

    def test_a_change_works_once_also_across_a_restart(self):
        url = self.url("ManualBackupInstance", redisId=TENCENT_INSTANCE)
        self.assertEqual((0, "Success"), self.open(url))
        host = f"localhost:{self.keystow.api}"
        self.keystow.stop()
        self.keystow.start()
        moved = url.replace(host, f"localhost:{self.keystow.api}", 1)
        self.assertEqual((4500, "ReplayAttack"), self.open(moved, signed_for=host))
