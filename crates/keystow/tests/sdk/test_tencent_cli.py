"""Tencent Cloud's command line, tccli, unmodified."""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

from lab import clean_environment, wait_until
from world import OPERATOR, TENCENT_INSTANCE, VIEWER, world

TCCLI = Path(sys.executable).with_name("tccli")


class TencentCliTest(unittest.TestCase):
    """One story, and how failures are told."""

    @classmethod
    def setUpClass(cls):
        cls.home = world().lab.dir("home")

    def run_tccli(self, action, *words, key=OPERATOR):
        """The finished program."""
        access_key_id, secret = key
        command = [TCCLI, "redis", action, "--endpoint", f"http://127.0.0.1:{world().keystow.api}",
                   "--region", "ap-guangzhou", "--language", "en-US",
                   "--secretId", access_key_id, "--secretKey", secret, *words]
        environment = {**clean_environment(), "HOME": str(self.home)}
        return subprocess.run(list(map(str, command)), env=environment, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60)

    def tccli(self, action, *words):
        """What the program prints."""
        done = self.run_tccli(action, *words)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def assert_fails(self, code, action, *words, key=OPERATOR):
        """Exit code 255, and the vendor's code on stderr."""
        done = self.run_tccli(action, *words, key=key)
        self.assertEqual(255, done.returncode, done.stdout)
        self.assertIn(f"[TencentCloudSDKException] code:{code} message:", done.stdout + done.stderr)

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        found = self.tccli("DescribeInstances", "--SearchKey", f"cache {TENCENT_INSTANCE}")["InstanceSet"]
        instance = ("--InstanceId", found[0]["InstanceId"])
        task = self.tccli("ManualBackupInstance", *instance, "--Remark", "by tccli")["TaskId"]
        wait_until(lambda: self.tccli("DescribeTaskInfo", "--TaskId", task)["Status"] == "succeed", 60,
                   "the task", pause=0.2)
        listed = self.tccli("DescribeInstanceBackups", *instance, "--Status", "[2]", "--Limit", 100)
        backup, = (row["BackupId"] for row in listed["BackupSet"] if row["Remark"] == "by tccli")
        links, = self.tccli("DescribeBackupUrl", *instance, "--BackupId", backup, "--LimitType", "Customize",
                            "--LimitIp", '["127.0.0.1"]')["BackupInfos"]
        for url in (links["DownloadUrl"], links["InnerDownloadUrl"]):
            world().assert_restores(self, url, links["FileSize"])

    def test_lists_may_be_unfolded(self):
        self.assert_fails("InvalidParameter.InvalidParameter", "ModifyBackupDownloadRestriction",
                          "--cli-unfold-argument", "--LimitType", "Customize",
                          "--LimitVpc.0.Region", "ap-guangzhou", "--LimitVpc.0.VpcList", "vpc-nowhere")

    def test_the_snippets_of_our_own_command_line_work_as_they_are(self):
        keystow = world().keystow
        programs = {"tccli": ["sh", "-c"], "tencent": [sys.executable, "-c"]}
        environment = {**clean_environment(), "HOME": str(self.home),
                       "KEYSTOW_ACCESS_KEY_SECRET": OPERATOR[1], "PATH": f"{TCCLI.parent}:{os.environ['PATH']}"}
        for client, program in programs.items():
            snippet = keystow.cli("key", "snippet", OPERATOR[0], "--for", client)
            done = subprocess.run([*program, snippet], env=environment, text=True, capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=60)
            self.assertEqual((0, ""), (done.returncode, done.stderr), snippet)
            self.assertIn(TENCENT_INSTANCE, done.stdout)

    def test_failures_have_the_vendors_codes(self):
        backup = ("--InstanceId", TENCENT_INSTANCE, "--BackupId", "2147483646")
        self.assert_fails("InvalidParameterValue.BackupNotExists", "DescribeBackupUrl", *backup)
        self.assert_fails("UnauthorizedOperation.NoCAMAuthed", "DescribeBackupUrl", *backup, key=VIEWER)
        self.assert_fails("AuthFailure.SignatureFailure", "DescribeInstances", key=(OPERATOR[0], "wrong"))
        self.assert_fails("UnsupportedOperation", "DescribeBackupEncryptConfig", *backup[:2])
