"""What the tests of Huawei Cloud's three services have in common."""

import functools
import json
import re
import unittest
import warnings

import huaweicloudsdkdcs.v2 as dcs
import huaweicloudsdkdds.v3 as dds
import huaweicloudsdkgaussdbfornosql.v3 as gemini
import vendors
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from lab import wait_until
from world import OPERATOR, get, world

CLIENTS = {dds: dds.DdsClient, gemini: gemini.GaussDBforNoSQLClient, dcs: dcs.DcsClient}
INSTANCE = "7f1e4c6b8d9a4b0c9e2f3a5b7c8d9e0fin12"
# Everything that is in no project: the account's own id.
ACCOUNT = "default"
PROJECT = "0483b6b16e954cb88930a360d2c4e663"
PROJECT_INSTANCE = "c0ffee6b8d9a4b0c9e2f3a5b7c8d9e0fin12"


@functools.cache
def prepared():
    """The world with this vendor's instances and a project; the key that is bound to the project."""
    warnings.filterwarnings("ignore", "Unable to convert string to datetime", ImportWarning)
    keystow, redis = world().keystow, world().redis
    keystow.cli("instance", "add", redis.url, "--id", INSTANCE, "--name", "huawei cache")
    keystow.cli("project", "add", PROJECT, "--name", "huawei shop")
    keystow.cli("instance", "add", redis.url, "--id", PROJECT_INSTANCE, "--project", PROJECT)
    key = keystow.json("key", "create", "--role", "operator", "--project", PROJECT)
    return key["access_key_id"], key["secret"]


class HuaweiCase(unittest.TestCase):
    """Calls through the vendor's SDKs."""

    @classmethod
    def setUpClass(cls):
        cls.bound = prepared()

    def client(self, service, key=OPERATOR, project=ACCOUNT):
        """A client of one of the SDKs."""
        return vendors.huawei(CLIENTS[service], world().keystow.api, *key, project)

    def call(self, service, action, key=OPERATOR, project=ACCOUNT, **parameters):
        """One call by the name of its request."""
        return call(self.client(service, key, project), service, action, **parameters)

    def refused(self, status, code, made, message=""):
        """The SDK raises with the vendor's status and code, and a request's id."""
        with self.assertRaises(ServiceResponseException) as caught:
            made()
        error = caught.exception
        self.assertEqual((status, code), (error.status_code, error.error_code), error.error_msg)
        self.assertRegex(error.request_id, "^[0-9a-f-]{32,36}$")
        self.assertIn(message, error.error_msg)
        return error.error_msg

    def back_up(self, name, instance=INSTANCE, key=OPERATOR, project=ACCOUNT):
        """A completed backup, taken through DDS: its row."""
        started = self.call(dds, "CreateManualBackup", key, project, body={
            "backup": {"instance_id": instance, "name": name, "description": "before the release"}})
        return self.completed(started.backup_id, key, project)

    def completed(self, backup, key=OPERATOR, project=ACCOUNT):
        """Poll the list, as the vendor has it, until the backup is there."""
        def row():
            listed = self.call(dds, "ListBackups", key, project, backup_id=backup).backups
            self.assertEqual([backup], [one.id for one in listed])
            self.assertIn(listed[0].status, ("BUILDING", "COMPLETED"))
            return listed[0] if listed[0].status == "COMPLETED" else None
        return wait_until(row, 60, f"the backup {backup}", pause=0.2)

    def link(self, backup, instance=INSTANCE, key=OPERATOR, project=ACCOUNT):
        """The answer of the link action."""
        return self.call(dds, "ShowBackupDownloadLink", key, project, instance_id=instance, backup_id=backup)


def call(client, service, action, **parameters):
    """One call of a client by the name of its request."""
    method = re.sub("(?<!^)(?=[A-Z])", "_", action).lower()
    return getattr(client, method)(getattr(service, f"{action}Request")(**parameters))


def send(method, path, body=None, keystow=None, **headers):
    """A request without the SDKs: (status, headers, JSON)."""
    url = f"{(keystow or world().keystow).server}{path}"
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answered, answer = get(url, method, data, **headers)
    return status, answered, json.loads(answer)
