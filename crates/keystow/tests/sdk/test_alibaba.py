"""Alibaba Cloud R-kvstore 2015-01-01, through both generations of the vendor's SDK."""

import importlib
import json
import re
import unittest
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree

import vendors
from alibabacloud_r_kvstore20150101 import models
from alibabacloud_tea_openapi import models as openapi
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.request import CommonRequest
from darabonba.runtime import RuntimeOptions
from lab import wait_until
from Tea.exceptions import TeaException
from world import ALIBABA_INSTANCE, OPERATOR, STRANGER, VIEWER, world


def minutes(offset):
    """A moment so many hours from now, the way that this API takes it."""
    return (datetime.now(timezone.utc) + timedelta(hours=offset)).strftime("%Y-%m-%dT%H:%MZ")


def window():
    """The parameters that every listing of backups needs."""
    return {"InstanceId": ALIBABA_INSTANCE, "StartTime": minutes(-1), "EndTime": minutes(1)}


def core_request(action, parameters):
    """A request of the first generation."""
    module = importlib.import_module(f"aliyunsdkr_kvstore.request.v20150101.{action}Request")
    request = getattr(module, f"{action}Request")()
    for name, value in parameters.items():
        getattr(request, f"set_{name}")(value)
    return request


class Core:
    """First generation: signature V1."""

    def __init__(self, key):
        self._client = vendors.AlibabaCore(world().keystow.api, *key)

    def call(self, action, **parameters):
        """One call; the JSON answer."""
        return json.loads(self._client.send(core_request(action, parameters)))

    def xml(self, action, **parameters):
        """One call in the API's default format."""
        return ElementTree.fromstring(self._client.send_xml(core_request(action, parameters)))

    def unheard_of(self):
        """An action that does not exist."""
        request = CommonRequest(version="2015-01-01", action_name="DescribeBackupPhotos")
        request.set_domain("127.0.0.1")
        return self._client.send(request)


class Tea:
    """Second generation: signature V3."""

    def __init__(self, key):
        self._client = vendors.alibaba_tea(world().keystow.api, *key)

    def call(self, action, **parameters):
        """One call; the JSON answer."""
        request = getattr(models, f"{action}Request")().from_map(parameters)
        method = re.sub("(?<!^)([A-Z])", r"_\1", action).lower()
        return getattr(self._client, method)(request).body.to_map()

    def unheard_of(self):
        """An action that does not exist."""
        action = openapi.Params(
            action="DescribeBackupPhotos", version="2015-01-01", protocol="HTTP", pathname="/",
            method="POST", auth_type="AK", style="RPC", req_body_type="formData", body_type="json")
        return self._client.call_api(action, openapi.OpenApiRequest(), RuntimeOptions())


class AlibabaContract:
    """What must hold for every generation; subclasses name theirs."""

    generation = None

    def setUp(self):
        self.client = self.generation(OPERATOR)

    def refused(self, call, *codes, **parameters):
        """The call fails in the SDK with one of the vendor's codes."""
        with self.assertRaises((ServerException, TeaException)) as caught:
            call(**parameters)
        error = caught.exception
        code = error.get_error_code() if isinstance(error, ServerException) else error.code
        self.assertIn(code, codes)

    def back_up(self):
        """Take a backup and wait for its row."""
        job = int(self.client.call("CreateBackup", InstanceId=ALIBABA_INSTANCE)["BackupJobID"])
        return wait_until(lambda: self.row_of(job), 60, f"backup job {job}", pause=0.2)

    def row_of(self, job):
        """The row of a job's backup; none while it is running, since only ended ones are listed."""
        rows = self.client.call("DescribeBackups", **window())["Backups"]["Backup"]
        ours = [row for row in rows if row["BackupJobID"] == job]
        self.assertLessEqual(len(ours), 1, rows)
        return ours[0] if ours else None

    def test_the_instance_is_listed(self):
        answer = self.client.call("DescribeInstances", InstanceIds=ALIBABA_INSTANCE)
        rows = answer["Instances"]["KVStoreInstance"]
        self.assertEqual([ALIBABA_INSTANCE], [row["InstanceId"] for row in rows])

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        row = self.back_up()
        self.assertEqual("Success", row["BackupStatus"])
        self.assertEqual("Manual", row["BackupMode"])
        world().assert_restores(self, row["BackupDownloadURL"], row["BackupSize"])
        world().assert_restores(self, row["BackupIntranetDownloadURL"], row["BackupSize"])

    def test_a_wrong_secret_is_named_as_such(self):
        client = self.generation((OPERATOR[0], "not-the-secret"))
        self.refused(lambda: client.call("DescribeBackups", **window()),
                     "SignatureDoesNotMatch", "InvalidAccessKeySecret")

    def test_an_unknown_key_is_not_found(self):
        client = self.generation(STRANGER)
        self.refused(lambda: client.call("DescribeBackups", **window()), "InvalidAccessKeyId.NotFound")

    def test_a_viewer_may_not_take_a_backup(self):
        client = self.generation(VIEWER)
        self.refused(lambda: client.call("CreateBackup", InstanceId=ALIBABA_INSTANCE), "Forbidden.RAM")

    def test_an_unknown_instance_is_not_found(self):
        self.refused(lambda: self.client.call("DescribeBackups", **window() | {"InstanceId": "r-nowhere"}),
                     "InvalidInstanceId.NotFound")

    def test_an_unknown_backup_is_an_empty_list(self):
        answer = self.client.call("DescribeBackups", **window(), BackupId=2147483646)
        self.assertEqual((0, []), (answer["TotalCount"], answer["Backups"]["Backup"]))

    def test_an_end_time_of_another_shape_is_malformed(self):
        self.refused(lambda: self.client.call("DescribeBackups", **window() | {"EndTime": "tomorrow"}),
                     "InvalidEndTime.Malformed")

    def test_an_unknown_action_is_not_found(self):
        self.refused(self.client.unheard_of, "InvalidAction.NotFound")


class AlibabaCoreTest(AlibabaContract, unittest.TestCase):
    """Signature V1."""

    generation = Core

    def test_without_a_format_the_answer_is_xml(self):
        taken = self.back_up()
        answer = self.client.xml("DescribeBackups", **window(), BackupId=taken["BackupId"])
        self.assertEqual("DescribeBackupsResponse", answer.tag)
        row = answer.find("Backups/Backup")
        self.assertEqual(str(taken["BackupId"]), row.findtext("BackupId"))
        world().assert_restores(self, row.findtext("BackupDownloadURL"), int(row.findtext("BackupSize")))

    def test_without_a_format_the_error_is_xml(self):
        answer = self.client.xml("DescribeBackups", **window() | {"InstanceId": "r-nowhere"})
        self.assertEqual(("Error", "InvalidInstanceId.NotFound"), (answer.tag, answer.findtext("Code")))


class AlibabaTeaTest(AlibabaContract, unittest.TestCase):
    """Signature V3."""

    generation = Tea
