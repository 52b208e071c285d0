"""Tencent Cloud redis 2018-04-12, through the vendor's SDK: both methods, three signatures."""

import json
import unittest
import uuid

import vendors
from lab import wait_until
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.redis.v20180412 import models
from world import OPERATOR, STRANGER, TENCENT_INSTANCE, VIEWER, world


class TencentContract:
    """What must hold for every way to sign and send; subclasses name theirs."""

    sign_method = None
    method = None

    def client(self, key):
        """A client of the vendor's SDK."""
        return vendors.tencent(world().keystow.api, *key, self.sign_method, self.method)

    def call(self, action, key=OPERATOR, **parameters):
        """One call; the answer's fields."""
        request = getattr(models, f"{action}Request")()
        request.from_json_string(json.dumps(parameters))
        return json.loads(getattr(self.client(key), action)(request).to_json_string())

    def refused(self, code, call):
        """The call fails in the SDK with the vendor's code."""
        with self.assertRaises(TencentCloudSDKException) as caught:
            call()
        self.assertEqual(code, caught.exception.get_code())

    def back_up(self):
        """Take a backup, wait for its task, and find its row by the remark."""
        remark = f"remark {uuid.uuid4()}"
        self.call("ManualBackupInstance", InstanceId=TENCENT_INSTANCE, Remark=remark)
        return wait_until(lambda: self.row_with(remark), 60, f"the backup with {remark}", pause=0.2)

    def row_with(self, remark):
        """The row with that remark; none while the backup is running, since only available ones are listed."""
        rows = self.call("DescribeInstanceBackups", InstanceId=TENCENT_INSTANCE, Limit=100)["BackupSet"]
        ours = [row for row in rows if row["Remark"] == remark]
        self.assertLessEqual(len(ours), 1, rows)
        return ours[0] if ours else None

    def test_the_instance_is_listed(self):
        rows = self.call("DescribeInstances", InstanceId=TENCENT_INSTANCE)["InstanceSet"]
        self.assertEqual([TENCENT_INSTANCE], [row["InstanceId"] for row in rows])

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        row = self.back_up()
        self.assertEqual(2, row["Status"])
        links = self.call("DescribeBackupUrl", InstanceId=TENCENT_INSTANCE, BackupId=row["BackupId"])
        info, = links["BackupInfos"]
        self.assertEqual([info["DownloadUrl"]], links["DownloadUrl"])
        self.assertEqual([info["InnerDownloadUrl"]], links["InnerDownloadUrl"])
        self.assertEqual([info["FileName"]], links["Filenames"])
        world().assert_restores(self, info["DownloadUrl"], info["FileSize"])
        world().assert_restores(self, info["InnerDownloadUrl"], info["FileSize"])

    def test_a_wrong_secret_is_a_signature_failure(self):
        key = (OPERATOR[0], "not-the-secret")
        self.refused("AuthFailure.SignatureFailure", lambda: self.call("DescribeInstances", key))

    def test_an_unknown_key_is_not_found(self):
        self.refused("AuthFailure.SecretIdNotFound", lambda: self.call("DescribeInstances", STRANGER))

    def test_a_viewer_may_not_have_a_link(self):
        self.refused("UnauthorizedOperation.NoCAMAuthed", lambda: self.call(
            "DescribeBackupUrl", VIEWER, InstanceId=TENCENT_INSTANCE, BackupId="0"))

    def test_an_unknown_instance_does_not_exist(self):
        self.refused("ResourceNotFound.InstanceNotExists", lambda: self.call(
            "DescribeBackupUrl", InstanceId="crs-nowhere0", BackupId="0"))

    def test_an_unknown_backup_does_not_exist(self):
        self.refused("InvalidParameterValue.BackupNotExists", lambda: self.call(
            "DescribeBackupUrl", InstanceId=TENCENT_INSTANCE, BackupId="2147483646"))

    def test_an_unknown_action_is_invalid(self):
        self.refused("InvalidAction", lambda: self.client(OPERATOR).call_json("DescribeBackupPhotos", {}))


class TencentTc3PostTest(TencentContract, unittest.TestCase):
    """TC3-HMAC-SHA256, JSON body."""

    sign_method, method = "TC3-HMAC-SHA256", "POST"

    def test_an_end_time_of_another_shape_is_invalid(self):
        with self.assertRaises(TencentCloudSDKException) as caught:
            self.call("DescribeInstanceBackups", InstanceId=TENCENT_INSTANCE, EndTime="tomorrow")
        self.assertRegex(caught.exception.get_code(), "^InvalidParameter")


class TencentTc3GetTest(TencentContract, unittest.TestCase):
    """TC3-HMAC-SHA256, parameters in the query."""

    sign_method, method = "TC3-HMAC-SHA256", "GET"


class TencentHmacSha256PostTest(TencentContract, unittest.TestCase):
    """HmacSHA256, form body."""

    sign_method, method = "HmacSHA256", "POST"


class TencentHmacSha1GetTest(TencentContract, unittest.TestCase):
    """HmacSHA1, everything in the query."""

    sign_method, method = "HmacSHA1", "GET"
