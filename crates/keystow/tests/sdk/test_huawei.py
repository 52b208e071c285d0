"""Huawei Cloud DDS v3 and GeminiDB v3, v3.1 and v4, through the vendor's SDKs."""

import json
import math
import os
import uuid
from datetime import datetime, timedelta, timezone
from unittest import mock

import huaweicloudsdkdcs.v2 as dcs
import huaweicloudsdkdds.v3 as dds
import huaweicloudsdkgaussdbfornosql.v3 as gemini
from huawei import ACCOUNT, INSTANCE, PROJECT, PROJECT_INSTANCE, HuaweiCase, call
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkdds.v3.region.dds_region import DdsRegion
from lab import wait_until
from world import (
    OPERATOR, STRANGER, TENCENT_INSTANCE, VIEWER, assert_puts_back, examples, get, run, world)

UNKNOWN = "11111111111111111111111111111111br12"


def name():
    """A name for a backup that no other has."""
    return f"nightly-{uuid.uuid4().hex[:8]}"


class DdsTest(HuaweiCase):
    """huaweicloudsdkdds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.row = cls().back_up(name())

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        instance, = self.call(dds, "ListInstances", id=INSTANCE).instances
        self.assertEqual((INSTANCE, "normal"), (instance.id, instance.status))
        called = name()
        row = self.back_up(called, instance.id)
        self.assertEqual((called, "before the release", "Manual", INSTANCE),
                         (row.name, row.description, row.type, row.instance_id))
        asked = datetime.now(timezone.utc)
        answer = self.link(row.id, row.instance_id)
        file, = answer.files
        self.assertEqual(row.size, file.size)
        self.assertTrue(answer.bucket)
        expires = datetime.strptime(file.link_expired_time, "%Y-%m-%dT%H:%M:%S%z")
        self.assertRegex(file.link_expired_time, r"\+0000$")
        self.assertLess(abs(expires - asked - timedelta(minutes=15)), timedelta(seconds=5))
        body = get(file.download_link)[2]
        self.assertEqual(file.size, math.ceil(len(body) / 1024))
        world().assert_restores(self, file.download_link, len(body))

    def test_the_list_has_filters_an_order_and_pages(self):
        other = self.back_up(name())
        newest = self.call(dds, "ListBackups", instance_id=INSTANCE, limit=1)
        oldest = self.call(dds, "ListBackups", instance_id=INSTANCE, limit=1, order_field="beginTime",
                           order_rule="asc")
        self.assertGreaterEqual(newest.total_count, 2)
        self.assertEqual([other.id], [row.id for row in newest.backups])
        self.assertNotEqual(other.id, oldest.backups[0].id)
        for filters in ({"backup_name": other.name}, {"backup_id": other.id},
                        {"begin_time": other.begin_time, "end_time": "2100-01-01 00:00:00", "offset": 0,
                         "backup_name": other.name}):
            rows = self.call(dds, "ListBackups", **filters).backups
            self.assertEqual([other.id], [row.id for row in rows], filters)
        for filters in ({"backup_status": "FAILED", "instance_id": INSTANCE}, {"backup_type": "Auto"},
                        {"instance_name": "nobody"},
                        {"begin_time": "2020-01-01 00:00:00", "end_time": "2020-01-02 00:00:00"}):
            self.assertEqual([], self.call(dds, "ListBackups", **filters).backups, filters)

    def test_jobs_tell_how_a_backup_went(self):
        body = {"backup": {"instance_id": INSTANCE, "name": name()}}
        started = self.call(dds, "CreateManualBackup", body=body)
        self.completed(started.backup_id)
        job = self.call(dds, "ShowJobDetail", id=started.job_id).job
        self.assertEqual((started.job_id, "CreateBackup", "Completed", INSTANCE),
                         (job.id, job.name, job.status, job.instance.id))
        self.refused(400, "DBS.280016", lambda: self.call(dds, "ShowJobDetail", id="2147483646"))

    def test_a_backup_is_put_back_by_its_id_and_by_its_time(self):
        ours = {"instance_id": "d15e4c6b8d9a4b0c9e2f3a5b7c8d9e0fin02"}

        def by_time(backup):
            point, = self.call(dds, "ListRestoreTimes", date=backup["started_at"][:10], **ours).restore_time
            return {"type": "timestamp", "restore_time": point.start_time}
        ways = iter((lambda backup: {"backup_id": backup["id"]}, by_time))

        def restore(backup):
            source = ours | next(ways)(backup)
            job = self.call(dds, "RestoreInstance", body={"source": source, "target": ours}).job_id
            told = self.call(dds, "ShowJobDetail", id=job).job
            self.assertEqual(("RestoreInstance", ours["instance_id"]), (told.name, told.instance.id))
        assert_puts_back(self, world().keystow, ours["instance_id"], restore, times=2)
        for wrong in ("1795248000000", "1"):
            source = {"instance_id": INSTANCE, "type": "timestamp", "restore_time": wrong}
            self.refused(400, "DBS.201215", lambda: self.call(
                dds, "RestoreInstance", body={"source": source, "target": {"instance_id": INSTANCE}}))

    def test_every_backup_is_a_point_to_restore(self):
        today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        points = self.call(dds, "ListRestoreTimes", instance_id=INSTANCE, date=today).restore_time
        self.assertTrue(points)
        self.assertEqual(points[0].start_time, points[0].end_time)
        self.refused(400, "DBS.280409", lambda: self.call(
            dds, "ListRestoreTimes", instance_id=INSTANCE, date="yesterday"))

    def test_a_deleted_backup_has_no_link(self):
        row = self.back_up(name())
        url = self.link(row.id).files[0].download_link
        self.assertTrue(self.call(dds, "DeleteManualBackup", backup_id=row.id).job_id)
        self.refused(400, "DBS.201214", lambda: self.link(row.id))
        self.assertNotEqual(200, get(url)[0])

    def test_several_are_deleted_together_or_none(self):
        rows = [self.back_up(name()), self.back_up(name())]
        ids = [row.id for row in rows]
        self.refused(400, "DBS.201214", lambda: self.call(
            dds, "BatchDeleteBackup", body={"backup_ids": [*ids, UNKNOWN]}))
        self.assertEqual(1, len(self.link(ids[0]).files))
        self.call(dds, "BatchDeleteBackup", body={"backup_ids": ids})
        for backup in ids:
            self.refused(400, "DBS.201214", lambda: self.link(backup))

    def test_a_running_backup_is_busy_and_can_be_stopped(self):
        slow = world().lab.redis("--repl-diskless-sync-delay", "600", "--shutdown-timeout", "0")
        world().keystow.cli("instance", "add", slow.url, "--id", "slow-in12")
        body = {"backup": {"instance_id": "slow-in12", "name": name()}}
        started = self.call(dds, "CreateManualBackup", body=body)
        row, = self.call(dds, "ListBackups", instance_id="slow-in12").backups
        self.assertEqual((started.backup_id, "BUILDING", 0), (row.id, row.status, row.size))
        self.assertIsNone(row.end_time)
        self.assertEqual("Running", self.call(dds, "ShowJobDetail", id=started.job_id).job.status)
        self.refused(400, "DBS.201204", lambda: self.link(row.id, "slow-in12"))
        self.refused(403, "DBS.200019", lambda: self.call(dds, "CreateManualBackup", body=body))
        self.refused(403, "DBS.200019", lambda: self.call(dds, "DeleteManualBackup", backup_id=row.id))
        ours = {"instance_id": "slow-in12"}
        shown, = self.call(dcs, "ListBackupRecords", **ours).backup_record_response
        self.assertEqual((row.id, "backuping"), (shown.backup_id, shown.status))
        self.assertEqual("FALSE", shown.is_support_restore)
        self.refused(400, "DCS.4087", lambda: self.call(
            dcs, "ListBackupFileLinks", backup_id=row.id, body={"expiration": 300}, **ours))
        self.refused(400, "DCS.4096", lambda: self.call(dcs, "CopyInstance", body={}, **ours))
        self.refused(400, "DCS.4096", lambda: self.call(dcs, "DeleteBackupFile", backup_id=row.id, **ours))
        self.call(dds, "StopBackup", backup_id=row.id, body={"action": "stop"})
        wait_until(lambda: self.call(dds, "ShowJobDetail", id=started.job_id).job.status == "Failed", 60,
                   "the end of the job")
        self.assertEqual("FAILED", self.call(dds, "ListBackups", **ours).backups[0].status)
        shown, = self.call(dcs, "ListBackupRecords", **ours).backup_record_response
        self.assertEqual("failed", shown.status)

    def test_what_is_done_cannot_be_stopped(self):
        self.refused(400, "DBS.201204", lambda: self.call(
            dds, "StopBackup", backup_id=self.row.id, body={"action": "stop"}))

    def test_the_download_policy_closes_the_public_network(self):
        self.assertEqual("open", self.call(dds, "ListBackupDownloadPolicy").action)
        self.addCleanup(self.call, dds, "SaveBackupDownloadPolicy", body={"action": "open"})
        self.call(dds, "SaveBackupDownloadPolicy", body={"action": "close"})
        policy = self.call(dds, "ListBackupDownloadPolicy")
        self.assertEqual("close", policy.action)
        self.refused(403, "DBS.280042", lambda: self.link(self.row.id))
        self.call(dds, "UpdateBackupDownloadPolicy", body={"id": policy.id, "action": "open"})
        self.assertEqual(1, len(self.link(self.row.id).files))

    def test_the_versions_are_told(self):
        version, = self.call(dds, "ListApiVersion").versions
        self.assertEqual(("v3", "CURRENT"), (version.id, version.status))
        self.assertEqual("v3", self.call(gemini, "ShowApiVersion", version="v3").version.id)

    def test_the_examples_of_the_page_run_as_written(self):
        row = self.back_up(name())
        example, = examples("huawei.md", "python", INSTANCE)
        told, until, link = run(example, OPERATOR).splitlines()[-3:]
        self.assertIn(f"{row.name} COMPLETED", told)
        self.assertRegex(until, rf"^{row.size} KB until \S+$")
        world().assert_restores(self, link, len(get(link)[2]))
        example, = examples("huawei.md", "sh", INSTANCE)
        listed = json.loads(run(example, OPERATOR, ("sh", "-c")))
        self.assertEqual([row.id], [one["id"] for one in listed["backups"]])

    def test_the_snippet_of_the_command_line_runs_as_printed(self):
        for key, instance in ((OPERATOR, INSTANCE), (self.bound, PROJECT_INSTANCE)):
            snippet = world().keystow.cli("key", "snippet", key[0], "--for", "huawei")
            self.assertIn(instance, run(snippet, key).split())

    def test_a_region_of_the_environment_leads_here(self):
        with mock.patch.dict(os.environ, HUAWEICLOUD_SDK_REGION_DDS_CN_NORTH_4=world().keystow.server):
            region = DdsRegion.value_of("cn-north-4")
        credentials = BasicCredentials(*OPERATOR, ACCOUNT)
        client = dds.DdsClient.new_builder().with_credentials(credentials).with_region(region).build()
        self.assertEqual(1, call(client, dds, "ListInstances", id=INSTANCE).total_count)


class GeminiTest(HuaweiCase):
    """huaweicloudsdkgaussdbfornosql."""

    def test_a_backup_is_taken_and_listed_in_every_version(self):
        instance, = self.call(gemini, "ListInstances", id=INSTANCE, datastore_type="redis").instances
        called = name()
        started = self.call(gemini, "CreateBack", instance_id=instance.id, body={
            "name": called, "description": "before the release"})
        self.completed(started.backup_id)
        old = self.call(gemini, "ShowAllInstancesBackups", offset=0, limit=10, backup_id=started.backup_id)
        new = self.call(gemini, "ShowAllInstancesBackupsNew", backup_id=started.backup_id)
        newest = self.call(gemini, "ListBackups", backup_id=started.backup_id)
        for listed in (old, new, newest):
            row, = listed.backups
            self.assertEqual((1, called, "COMPLETED", "redis"),
                             (listed.total_count, row.name, row.status, row.datastore.type))
        self.assertEqual(new.backups[0].begin_time, newest.backups[0].begin_time)
        begun = datetime.strptime(newest.backups[0].begin_time, "%Y-%m-%dT%H:%M:%S+0000")
        self.assertEqual(str(old.backups[0].begin_time)[:19], str(begun))
        # GeminiDB has no links; those of DDS are of the very same backups.
        file, = self.link(started.backup_id).files
        self.assertEqual(newest.backups[0].size, file.size)
        world().assert_restores(self, file.download_link, len(get(file.download_link)[2]))

    def test_jobs_are_listed(self):
        body = {"name": name(), "description": ""}
        started = self.call(gemini, "CreateBack", instance_id=INSTANCE, body=body)
        self.completed(started.backup_id)
        job, = self.call(gemini, "ListJobs", id=started.job_id).jobs
        self.assertEqual(("Completed", "", INSTANCE), (job.status, job.progress, job.instance.id))
        listed = self.call(gemini, "ListJobs", status="Completed", name="CreateBackup", limit=10)
        self.assertIn(started.job_id, [job.id for job in listed.jobs])

    def test_every_backup_is_a_point_to_restore(self):
        row = self.back_up(name())
        listed = self.call(gemini, "ListRestoreTime", instance_id=INSTANCE)
        begun = datetime.strptime(row.begin_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        points = [point.start_time // 1000 for point in listed.restorable_time_periods]
        self.assertIn(int(begun.timestamp()), points)

    def test_backups_are_deleted(self):
        rows = [self.back_up(name()), self.back_up(name())]
        self.call(gemini, "DeleteBackup", backup_id=rows[0].id)
        self.call(gemini, "BatchDeleteManualBackup", body={"backup_ids": [rows[1].id]})
        for row in rows:
            self.assertEqual([], self.call(gemini, "ListBackups", backup_id=row.id).backups)

    def test_a_backup_is_put_back(self):
        instance = "5e1e4c6b8d9a4b0c9e2f3a5b7c8d9e0fin12"

        def restore(backup):
            job = self.call(gemini, "RestoreExistingInstance", instance_id=instance,
                            body={"backup_id": backup["id"]}).job_id
            told, = self.call(gemini, "ListJobs", id=job).jobs
            self.assertEqual(("RestoreInstance", instance), (told.name, told.instance.id))
        assert_puts_back(self, world().keystow, instance, restore)
        self.refused(400, "DBS.201214", lambda: self.call(
            gemini, "RestoreExistingInstance", instance_id=INSTANCE, body={"backup_id": UNKNOWN}))

    def test_a_policy_is_set_shown_and_switched_off(self):
        instance = "5a5a4c6b8d9a4b0c9e2f3a5b7c8d9e0fin12"
        keystow = world().keystow
        keystow.cli("instance", "add", world().redis.url, "--id", instance)
        self.addCleanup(keystow.cli, "instance", "delete", instance)
        for service, shows in ((gemini, ("ShowBackupPolicy", "ShowBackupPolicies")), (dds, ("ShowBackupPolicy",))):
            with self.subTest(service=service.__name__):
                wanted = {"keep_days": 30, "start_time": "01:15-02:15", "period": "1,3,7"}
                self.call(service, "SetBackupPolicy", instance_id=instance, body={"backup_policy": wanted})
                for action in shows:
                    shown = self.call(service, action, instance_id=instance).backup_policy
                    self.assertEqual(wanted, {
                        "keep_days": shown.keep_days, "start_time": shown.start_time, "period": shown.period})
                kept = keystow.json("policy", "show", instance)
                self.assertEqual((["15 1 * * 1,3,7"], "30d", False),
                                 (kept["schedules"], kept["keep"]["within"], kept["paused"]))
                listed, = self.call(service, "ListInstances", id=instance).instances
                self.assertEqual(("01:15-02:15", 30), (
                    listed.backup_strategy.start_time, listed.backup_strategy.keep_days))
                keystow.cli("policy", "set", instance, "--keep-within", "0")
                for_ever = self.call(service, shows[0], instance_id=instance).backup_policy
                self.assertEqual(732, for_ever.keep_days)
                off = {"keep_days": 0, "start_time": "01:15-02:15", "period": "1,3,7"}
                self.call(service, "SetBackupPolicy", instance_id=instance, body={"backup_policy": off})
                self.assertEqual(0, self.call(service, shows[0], instance_id=instance).backup_policy.keep_days)
                self.assertTrue(keystow.json("policy", "show", instance)["paused"])

    def test_what_is_not_done_here_is_said(self):
        backup = {"backup_id": UNKNOWN}
        window = {"start_time": "2026-11-21T08:00:00+0000", "end_time": "2026-11-22T08:00:00+0000"}
        ours = {"instance_id": INSTANCE}
        for service, action, parameters in (
                (gemini, "RestoreRedisData", ours | {"body": {"recovery_info": {}}}),
                (gemini, "RestoreRedisPitr", ours | {"body": {"restore_time": window["end_time"]}}),
                (gemini, "ShowRedisPitrInfo", ours), (gemini, "ShowRedisPitrPolicy", ours),
                (gemini, "SetRedisPitrPolicy", ours | {"body": {"enabled": True}}),
                (gemini, "ListRedisPitrRestoreTime", ours | window),
                (gemini, "ShowRestorableList", backup)):
            with self.subTest(action=action):
                self.refused(400, "DBS.280343", lambda: self.call(service, action, **parameters))
        self.refused(403, "DBS.280042", lambda: self.call(gemini, "CreateInstance", body={"name": "new"}))


class RefusedTest(HuaweiCase):
    """The vendor's errors, through its SDK."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.row = cls().back_up(name())

    def instances(self, key=OPERATOR, project=ACCOUNT):
        """A call that needs nothing but a right."""
        return self.call(dds, "ListInstances", key, project)

    def test_a_wrong_secret_shows_what_was_signed(self):
        key = (OPERATOR[0], "not-the-secret")
        said = self.refused(401, "APIGW.0301", lambda: self.instances(key), "verify aksk signature fail")
        self.assertIn("canonicalRequest:GET|/v3/default/instances/|", said)

    def test_an_unknown_key_is_named(self):
        self.refused(401, "APIGW.0301", lambda: self.instances(STRANGER), f"ak {STRANGER[0]} not exist")

    def test_a_viewer_may_neither_link_nor_back_up_nor_delete(self):
        self.assertTrue(self.instances(VIEWER).instances)
        body = {"backup": {"instance_id": INSTANCE, "name": name()}}
        for made in (lambda: self.link(self.row.id, key=VIEWER),
                     lambda: self.call(dds, "CreateManualBackup", VIEWER, body=body),
                     lambda: self.call(dds, "DeleteManualBackup", VIEWER, backup_id=self.row.id),
                     lambda: self.call(dds, "SaveBackupDownloadPolicy", VIEWER, body={"action": "close"})):
            self.refused(403, "DBS.280032", made)

    def test_an_unknown_instance_does_not_exist(self):
        self.refused(404, "DBS.200002", lambda: self.link(self.row.id, "nowherein12"))
        self.refused(404, "DBS.200002", lambda: self.call(
            gemini, "CreateBack", instance_id="nowherein12", body={"name": name(), "description": ""}))

    def test_an_unknown_backup_does_not_exist(self):
        self.refused(400, "DBS.201214", lambda: self.link(UNKNOWN))
        self.refused(400, "DBS.201214", lambda: self.call(dds, "DeleteManualBackup", backup_id=UNKNOWN))

    def test_a_backup_of_another_instance_does_not_exist(self):
        self.refused(400, "DBS.201214", lambda: self.link(self.row.id, TENCENT_INSTANCE))

    def test_a_missing_parameter_is_named(self):
        self.refused(400, "DBS.200001", lambda: self.call(
            dds, "ShowBackupDownloadLink", instance_id=INSTANCE), "backup_id is missing")

    def test_malformed_parameters_have_their_codes(self):
        for code, filters in (
                ("DBS.280439", {"limit": 101}), ("DBS.280440", {"offset": -1}),
                ("DBS.280068", {"begin_time": "2026-11-21 08:00:00"}),
                ("DBS.280067", {"end_time": "2026-11-21 08:00:00"}),
                ("DBS.280067", {"begin_time": "soon", "end_time": "2026-11-21 08:00:00"}),
                ("DBS.200001", {"mode": "Sharding"}), ("DBS.200001", {"backup_type": "Incremental"}),
                ("DBS.200001", {"backup_name": "a", "backup_description": "b"}),
                ("DBS.200001", {"order_field": "status"})):
            with self.subTest(filters):
                self.refused(400, code, lambda: self.call(dds, "ListBackups", **filters))
        for code, body in (("DBS.280277", {"name": "1st", "description": ""}),
                           ("DBS.280127", {"name": name(), "description": "a = b"}),
                           ("DBS.200001", {"name": name(), "description": "", "database_tables": [{}]})):
            with self.subTest(body):
                self.refused(400, code, lambda: self.call(
                    gemini, "CreateBack", instance_id=INSTANCE, body=body))

    def test_messages_are_chinese_on_request(self):
        self.refused(400, "DBS.280409", lambda: self.call(
            dds, "ListRestoreTimes", instance_id=INSTANCE, date="昨天", x_language="zh-cn"), "日期无效。")

    def test_an_unknown_project_is_invalid(self):
        self.refused(400, "DBS.280408", lambda: self.instances(project="nowhere"))

    def test_a_client_without_a_project_is_told_so(self):
        self.refused(400, "DBS.280408", lambda: self.instances(project=None), "{project_id}")

    def test_a_key_of_a_project_sees_that_project_only(self):
        self.refused(400, "DBS.280408", lambda: self.instances(self.bound))
        rows = self.instances(self.bound, PROJECT).instances
        self.assertEqual([PROJECT_INSTANCE], [row.id for row in rows])
        row = self.back_up(name(), PROJECT_INSTANCE, self.bound, PROJECT)
        file, = self.link(row.id, PROJECT_INSTANCE, self.bound, PROJECT).files
        self.assertEqual(200, get(file.download_link)[0])
        self.refused(400, "DBS.200010", lambda: self.link(row.id, INSTANCE, self.bound, PROJECT))
        self.refused(403, "DBS.280032", lambda: self.call(
            dds, "SaveBackupDownloadPolicy", self.bound, PROJECT, body={"action": "close"}))

    def test_every_answer_can_be_written_as_json(self):
        self.assertIn(INSTANCE, json.dumps(self.instances().to_json_object()))
