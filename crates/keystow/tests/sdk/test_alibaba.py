"""Alibaba Cloud R-kvstore 2015-01-01, through both generations of the vendor's SDK."""

import unittest

from alibaba import Core, Tea, TeaV2, failure, fixed, minute
from lab import wait_until
from world import ALIBABA_INSTANCE, OPERATOR, STRANGER, VIEWER, assert_puts_back, world


def window(**more):
    """The parameters that every listing of backups needs, and others."""
    return {"InstanceId": ALIBABA_INSTANCE, "StartTime": minute(-1), "EndTime": minute(1)} | more


class AlibabaContract:
    """What must hold for every generation; subclasses name theirs."""

    generation = None
    wrong_secret = "SignatureDoesNotMatch"

    def setUp(self):
        self.client = self.as_key(OPERATOR)

    def as_key(self, key):
        """A client that signs with this key."""
        return self.generation(world().keystow.api, key)

    def refused(self, code, action, key=None, **parameters):
        """The call fails in the SDK with this code of the vendor; status and message."""
        client = self.as_key(key) if key else self.client
        said, message, status = failure(self, lambda: client.call(action, **parameters))
        self.assertEqual(code, said, message)
        return status, message

    def back_up(self, **parameters):
        """Take a backup, wait for its job the vendor's way, and find its row."""
        started = self.client.call("CreateBackup", InstanceId=ALIBABA_INSTANCE, **parameters)
        self.assertIsInstance(started["BackupJobID"], str)
        job = int(started["BackupJobID"])
        wait_until(lambda: self.status_of(job) == "Finished", 60, f"backup job {job}", pause=0.2)
        rows = self.client.call("DescribeBackups", **window(BackupJobId=job))["Backups"]["Backup"]
        self.assertEqual([job], [row["BackupJobID"] for row in rows])
        return rows[0]

    def status_of(self, job):
        """What DescribeBackupTasks says of a job."""
        answer = self.client.call("DescribeBackupTasks", InstanceId=ALIBABA_INSTANCE, BackupJobId=job)
        self.assertEqual(ALIBABA_INSTANCE, answer["InstanceId"])
        task, = answer["BackupJobs"]
        self.assertEqual((job, "Manual", "TempBackupTask"),
                         (task["BackupJobID"], task["JobMode"], task["TaskAction"]))
        self.assertIn(task["BackupProgressStatus"], ("NoStart", "Preparing", "Uploading", "Finished"))
        return task["BackupProgressStatus"]

    def rows_of(self, backup):
        """The rows with that backup's number."""
        answer = self.client.call("DescribeBackups", **window(BackupId=backup))
        self.assertEqual(answer["TotalCount"], len(answer["Backups"]["Backup"]))
        return answer["Backups"]["Backup"]

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        listed = self.client.call("DescribeInstances", SearchKey=ALIBABA_INSTANCE)
        instance, = listed["Instances"]["KVStoreInstance"]
        self.assertEqual(ALIBABA_INSTANCE, instance["InstanceId"])
        row = self.back_up()
        self.assertEqual("Success", row["BackupStatus"])
        self.assertEqual(("Manual", "Physical", "FullBackup"),
                         (row["BackupMode"], row["BackupMethod"], row["BackupType"]))
        world().assert_restores(self, row["BackupDownloadURL"], row["BackupSize"])
        world().assert_restores(self, row["BackupIntranetDownloadURL"], row["BackupSize"])

    def test_the_instance_is_listed(self):
        answer = self.client.call("DescribeInstances", InstanceIds=ALIBABA_INSTANCE)
        rows = answer["Instances"]["KVStoreInstance"]
        self.assertEqual([ALIBABA_INSTANCE], [row["InstanceId"] for row in rows])
        self.assertEqual(("127.0.0.1", world().redis.port), (rows[0]["ConnectionDomain"], rows[0]["Port"]))

    def test_an_instance_tells_its_attributes(self):
        answer = self.client.call("DescribeInstanceAttribute", InstanceId=ALIBABA_INSTANCE)
        row, = answer["Instances"]["DBInstanceAttribute"]
        self.assertEqual((ALIBABA_INSTANCE, f"cache {ALIBABA_INSTANCE}", "Redis"),
                         (row["InstanceId"], row["InstanceName"], row["Engine"]))
        self.refused("InvalidInstanceId.NotFound", "DescribeInstanceAttribute", InstanceId="r-nowhere")

    def test_a_filter_that_cannot_be_applied_is_refused(self):
        self.refused("UnsupportedParameter", "DescribeInstances", VpcId="vpc-1")

    def test_regions_are_listed(self):
        rows = self.client.call("DescribeRegions")["RegionIds"]["KVStoreRegion"]
        self.assertEqual(["127.0.0.1"], [row["RegionEndpoint"].split(":")[0] for row in rows])

    def test_a_backup_is_listed_as_a_set_with_its_shards(self):
        taken = self.back_up()
        listed = self.client.call("DescribeClusterBackupList", RegionId="cn-hangzhou", **window())
        newest = listed["ClusterBackups"][0]
        self.assertEqual(("OK", 1), (newest["ClusterBackupStatus"], newest["IsAvail"]))
        shard, = newest["Backups"]
        self.assertEqual(str(taken["BackupId"]), shard["BackupId"])
        world().assert_restores(self, shard["BackupDownloadURL"], int(shard["BackupSize"]))
        bare = self.client.call("DescribeClusterBackupList", RegionId="cn-hangzhou", **window(
            ClusterBackupId=newest["ClusterBackupId"], NoShardBackup="true"))
        self.assertEqual([(newest["ClusterBackupId"], [])],
                         [(row["ClusterBackupId"], row["Backups"]) for row in bare["ClusterBackups"]])

    def test_a_deleted_backup_is_gone(self):
        taken = self.back_up()
        named = {"InstanceId": ALIBABA_INSTANCE, "BackupId": str(taken["BackupId"])}
        self.assertEqual({"RequestId"}, set(self.client.call("DeleteBackup", **named)))
        self.assertEqual([], self.rows_of(taken["BackupId"]))
        self.assertEqual(404, self.refused("InvalidBackupId.NotFound", "DeleteBackup", **named)[0])

    def test_an_expiry_can_only_be_put_off(self):
        earliest = minute(7 * 24)
        taken = self.back_up(BackupRetentionPeriod=7)
        self.assertTrue(earliest <= taken["ExpectExpireTime"] <= minute(7 * 24), taken)
        named = {"InstanceId": ALIBABA_INSTANCE, "BackupId": str(taken["BackupId"])}
        later = minute(9 * 24)
        self.client.call("ModifyBackupExpireTime", ExpectExpireTime=later, **named)
        row, = self.rows_of(taken["BackupId"])
        self.assertEqual(later, row["ExpectExpireTime"])
        for earlier in (minute(24), minute(-24)):
            self.refused("InvalidExpectExpireTime.Malformed", "ModifyBackupExpireTime",
                         ExpectExpireTime=earlier, **named)

    def test_without_a_period_it_is_kept_as_long_as_the_policys(self):
        keystow = world().keystow
        self.assertNotIn("ExpectExpireTime", self.back_up(), "without a policy there is no end")
        keystow.cli("policy", "set", ALIBABA_INSTANCE, "--cron", "0 3 1 1 *", "--keep-within", "9d")
        self.addCleanup(keystow.cli, "policy", "delete", ALIBABA_INSTANCE, "--yes")
        earliest = minute(9 * 24)
        taken = self.back_up()
        self.assertTrue(earliest <= taken["ExpectExpireTime"] <= minute(9 * 24), taken)

    def test_while_a_backup_runs_there_is_no_second_one(self):
        # This server waits for other replicas before it sends anything.
        slow = world().lab.redis("--repl-diskless-sync-delay", "10")
        instance = f"r-slow{self.generation.__name__.lower()}"
        world().keystow.cli("instance", "add", slow.url, "--id", instance)
        job = int(self.client.call("CreateBackup", InstanceId=instance)["BackupJobID"])
        status, _ = self.refused("OperationDenied.BackupJobExists", "CreateBackup", InstanceId=instance)
        self.assertEqual(403, status)
        row, = self.client.call("DescribeInstances", InstanceIds=instance)["Instances"]["KVStoreInstance"]
        self.assertEqual("Changing", row["InstanceStatus"])
        task, = self.client.call("DescribeBackupTasks", InstanceId=instance)["BackupJobs"]
        self.assertEqual(job, task["BackupJobID"])
        self.assertIn(task["BackupProgressStatus"], ("NoStart", "Preparing"))
        listed = self.client.call("DescribeBackups", **window(InstanceId=instance))
        self.assertEqual([], listed["Backups"]["Backup"])

    def test_what_is_not_supported_yet_says_so(self):
        some = {"BackupId": "1001", "FilterKey": "user:.*"}
        self.refused("UnsupportedOperation", "RestoreInstance", InstanceId=ALIBABA_INSTANCE, **some)

    def test_a_policy_is_set_and_shown(self):
        keystow, instance = world().keystow, f"r-policy{self.generation.__name__.lower()}"
        keystow.cli("instance", "add", world().redis.url, "--id", instance)
        self.addCleanup(keystow.cli, "instance", "delete", instance)
        hour = (int(minute()[11:13]) + 12) % 24
        period = f"{hour:02}:00Z-{(hour + 1) % 24:02}:00Z"
        change = {"PreferredBackupPeriod": "Monday,Thursday", "PreferredBackupTime": period}
        self.refused("Forbidden.RAM", "ModifyBackupPolicy", VIEWER, InstanceId=instance, **change)
        self.client.call("ModifyBackupPolicy", InstanceId=instance, **change)
        shown = self.client.call("DescribeBackupPolicy", InstanceId=instance)
        self.assertEqual(("Monday,Thursday", period, "7"), (
            shown["PreferredBackupPeriod"], shown["PreferredBackupTime"], str(shown["BackupRetentionPeriod"])))
        kept = keystow.json("policy", "show", instance)
        self.assertEqual(([f"0 {hour} * * 1,4"], "UTC", "7d"),
                         (kept["schedules"], kept["time_zone"], kept["keep"]["within"]))
        self.assertEqual(shown["PreferredNextBackupTime"], kept["next_at"][:16] + "Z")

    def test_a_backup_is_put_back_by_its_number_and_by_its_time(self):
        instance = f"r-back{self.generation.__name__.lower()}"
        ways = iter((lambda backup: {"BackupId": str(backup["number"])},
                     lambda backup: {"RestoreType": "1", "RestoreTime": backup["started_at"][:16] + "Z"}))

        def restore(backup):
            self.client.call("RestoreInstance", InstanceId=instance, **next(ways)(backup))
            rows = self.client.call("DescribeInstances", InstanceIds=instance)["Instances"]["KVStoreInstance"]
            self.assertEqual([instance], [row["InstanceId"] for row in rows])
        assert_puts_back(self, world().keystow, instance, restore, times=2)
        self.refused("InvalidBackupId.NotFound", "RestoreInstance", InstanceId=ALIBABA_INSTANCE, BackupId="1")
        status, _ = self.refused("InvalidRestoreTime.Malformed", "RestoreInstance", InstanceId=ALIBABA_INSTANCE,
                                 RestoreType="1", RestoreTime=minute(-48))
        self.assertEqual(400, status)

    def test_parameters_may_come_in_a_form(self):
        taken = self.back_up()
        parts = list(window(BackupId=taken["BackupId"]).items())
        answer = self.client.common("DescribeBackups", query=dict(parts[:2]), form=dict(parts[2:]))
        self.assertEqual([taken["BackupId"]], [row["BackupId"] for row in answer["Backups"]["Backup"]])

    def test_a_wrong_secret_is_named_as_such(self):
        code, message, status = failure(self, lambda: self.as_key((OPERATOR[0], "not-the-secret")).call(
            "DescribeBackups", **window()))
        self.assertEqual((self.wrong_secret, 400), (code, status))
        if code == "SignatureDoesNotMatch":
            self.assertIn("Specified signature is not matched with our calculation. "
                          "server string to sign is:", message)

    def test_an_unknown_key_is_not_found(self):
        status, _ = self.refused("InvalidAccessKeyId.NotFound", "DescribeBackups", key=STRANGER, **window())
        self.assertEqual(404, status)

    def test_a_viewer_may_not_take_a_backup(self):
        status, message = self.refused(
            "Forbidden.RAM", "CreateBackup", key=VIEWER, InstanceId=ALIBABA_INSTANCE)
        self.assertEqual(403, status)
        self.assertIn("User not authorized to operate on the specified resource.", message)

    def test_a_viewer_sees_backups_without_links(self):
        taken = self.back_up()
        answer = self.as_key(VIEWER).call("DescribeBackups", **window(BackupId=taken["BackupId"]))
        row, = answer["Backups"]["Backup"]
        self.assertEqual(taken["BackupSize"], row["BackupSize"])
        self.assertFalse({"BackupDownloadURL", "BackupIntranetDownloadURL"} & set(row))

    def test_an_unknown_instance_is_not_found(self):
        for action in ("DescribeBackups", "CreateBackup", "DescribeBackupTasks", "DeleteBackup"):
            with self.subTest(action):
                more = {"BackupId": "1001"} if action == "DeleteBackup" else {}
                more |= window() if action == "DescribeBackups" else {}
                more |= {"InstanceId": "r-nowhere"}
                status, _ = self.refused("InvalidInstanceId.NotFound", action, **more)
                self.assertEqual(404, status)

    def test_an_unknown_backup_is_an_empty_list(self):
        self.assertEqual([], self.rows_of(2147483646))

    def test_an_end_time_of_another_shape_is_malformed(self):
        for end in ("tomorrow", minute(-2)):
            status, message = self.refused(
                "InvalidEndTime.Malformed", "DescribeBackups", **window(EndTime=end))
            self.assertEqual(400, status)
            self.assertIn("The Specified parameter EndTime is not valid.", message)

    def test_other_values_of_another_shape_are_named(self):
        self.refused("InvalidStartTime.Malformed", "DescribeBackups", **window(StartTime="2026-11-21"))
        self.refused("InvalidPageSize", "DescribeBackups", **window(PageSize=31))

    def test_a_missing_parameter_is_named(self):
        for name in window():
            kept = {other: value for other, value in window().items() if other != name}
            status, message = self.refused(f"Missing{name}", "DescribeBackups", **kept)
            self.assertEqual(400, status)
            self.assertIn(f"{name} is mandatory for this action.", message)

    def test_a_request_that_is_sent_again_is_refused(self):
        with fixed(self.generation.nonce, f"nonce-of-{self.id()}"):
            self.client.call("DescribeRegions")
            self.assertEqual(400, self.refused("SignatureNonceUsed", "DescribeRegions")[0])

    def test_an_old_request_is_refused(self):
        with fixed(self.generation.clock, minute(-1).replace("Z", ":00Z")):
            status, message = self.refused("InvalidTimeStamp.Expired", "DescribeRegions")
            self.assertEqual(400, status)
            self.assertIn("Specified time stamp or date value is expired.", message)

    def test_an_unknown_action_is_not_found(self):
        code, _, status = failure(self, lambda: self.client.common("DescribeBackupPhotos"))
        self.assertEqual(("InvalidAction.NotFound", 404), (code, status))


class AlibabaCoreTest(AlibabaContract, unittest.TestCase):
    """Signature V1."""

    generation = Core
    # This SDK compares the server's string to sign with its own: they agree, so the secret is to blame.
    wrong_secret = "InvalidAccessKeySecret"

    def test_without_a_format_the_answer_is_xml(self):
        taken = self.back_up()
        answer = self.client.xml("DescribeBackups", **window(BackupId=taken["BackupId"]))
        self.assertEqual("DescribeBackupsResponse", answer.tag)
        row = answer.find("Backups/Backup")
        self.assertEqual(str(taken["BackupId"]), row.findtext("BackupId"))
        world().assert_restores(self, row.findtext("BackupDownloadURL"), int(row.findtext("BackupSize")))

    def test_without_a_format_the_error_is_xml(self):
        answer = self.client.xml("DescribeBackups", **window(InstanceId="r-nowhere"))
        self.assertEqual(("Error", "InvalidInstanceId.NotFound"), (answer.tag, answer.findtext("Code")))


class AlibabaTeaTest(AlibabaContract, unittest.TestCase):
    """Signature V3."""

    generation = Tea


class AlibabaTeaV2Test(AlibabaContract, unittest.TestCase):
    """Signature V1, from the second generation."""

    generation = TeaV2
