"""Huawei Cloud DCS v2, the plain managed Redis, through the vendor's SDK."""

import re
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import huaweicloudsdkdcs.v2 as dcs
from huawei import INSTANCE, PROJECT, HuaweiCase
from lab import wait_until
from world import OPERATOR, STRANGER, TENCENT_INSTANCE, VIEWER, assert_puts_back, get, world

UNKNOWN = "11111111-2222-4333-8444-555555555555"


class DcsTest(HuaweiCase):
    """huaweicloudsdkdcs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.row = cls().taken()

    def taken(self):
        """A backup, taken and waited for as the vendor has it: its row."""
        remark = f"remark {uuid.uuid4()}"
        backup = self.call(dcs, "CopyInstance", instance_id=INSTANCE, body={"remark": remark}).backup_id

        def row():
            listed = self.call(dcs, "ListBackupRecords", instance_id=INSTANCE, limit=1000)
            one, = [one for one in listed.backup_record_response if one.backup_id == backup]
            self.assertIn(one.status, ("waiting", "backuping", "succeed"))
            return one if one.status == "succeed" else None
        row = wait_until(row, 60, f"the backup {backup}", pause=0.2)
        self.assertEqual(remark, row.remark)
        return row

    def links(self, backup=None, instance=INSTANCE, key=OPERATOR, **body):
        """The answer of the link action."""
        return self.call(dcs, "ListBackupFileLinks", key, instance_id=instance,
                         backup_id=backup or self.row.backup_id, body=body)

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        listed = self.call(dcs, "ListInstances", instance_id=INSTANCE)
        instance, = listed.instances
        self.assertEqual((1, INSTANCE), (listed.instance_num, instance.instance_id))
        self.assertEqual("RUNNING", instance.status)
        shown = self.call(dcs, "ShowInstance", instance_id=INSTANCE)
        self.assertEqual((instance.name, world().redis.port), (shown.name, shown.port))
        row = self.taken()
        self.assertEqual((INSTANCE, "manual", "rdb", "100.00", "TRUE"), (
            row.instance_id, row.backup_type, row.backup_format, row.progress, row.is_support_restore))
        self.assertRegex(row.backup_name, r"^backup_\d{14}$")
        self.assertRegex(row.created_at, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        answer = self.links(row.backup_id, expiration=300)
        self.assertEqual(f"{INSTANCE}/{row.backup_id}", answer.file_path)
        self.assertTrue(answer.bucket_name)
        link, = answer.links
        self.assertIn(link.file_name, link.link)
        world().assert_restores(self, link.link, row.size)

    def test_a_link_lives_as_long_as_was_asked(self):
        for seconds in (300, 86400):
            link, = self.links(expiration=seconds).links
            expires = int(parse_qs(urlsplit(link.link).query)["Expires"][0])
            self.assertLess(abs(expires - time.time() - seconds), 5)

    def test_a_life_out_of_bounds_is_invalid(self):
        for body in (*({"expiration": life} for life in (299, 86401, "300", 300.5, True)), {}):
            with self.subTest(body):
                self.refused(400, "DCS.4062", lambda: self.links(**body), "expiration")

    def test_a_deleted_backup_is_gone(self):
        row = self.taken()
        link, = self.links(row.backup_id, expiration=300).links
        self.call(dcs, "DeleteBackupFile", instance_id=INSTANCE, backup_id=row.backup_id)
        self.refused(400, "DCS.4062", lambda: self.links(row.backup_id, expiration=300), "not a backup")
        self.assertNotEqual(200, get(link.link)[0])

    def test_lists_have_filters_and_pages(self):
        def listed(**filters):
            return self.call(dcs, "ListBackupRecords", instance_id=INSTANCE, **filters)
        self.assertEqual(1, len(listed(limit=1).backup_record_response))
        past = {"begin_time": "20200101000000", "end_time": "20200102000000"}
        self.assertEqual((0, []), (listed(**past).total_num, listed(**past).backup_record_response))
        today = re.sub(r"\D", "", self.row.created_at)[:14]
        since = listed(begin_time=today, end_time="21000101000000", limit=1000).backup_record_response
        self.assertIn(self.row.backup_id, [row.backup_id for row in since])
        self.refused(400, "DCS.4062", lambda: listed(limit=1001), "limit")
        self.refused(400, "DCS.4062", lambda: listed(begin_time="soon"), "begin_time")
        named = self.call(dcs, "ListInstances", name="huawei cache", name_equal="true").instances
        self.assertEqual([INSTANCE], [one.instance_id for one in named])
        self.refused(400, "DCS.4062", lambda: self.call(dcs, "ListInstances", tags="a"), "tags")

    def test_no_restore_is_an_empty_list(self):
        listed = self.call(dcs, "ListRestoreRecords", instance_id=INSTANCE)
        self.assertEqual((0, []), (listed.total_num, listed.restore_record_response))

    def test_a_backup_is_put_back_and_listed_so(self):
        instance = "0d5e4c6b-8d9a-4b0c-9e2f-3a5b7c8d9e0f"

        def record():
            row, = self.call(dcs, "ListRestoreRecords", instance_id=instance).restore_record_response
            self.assertIn(row.status, ("waiting", "restoring", "succeed"))
            return row if row.status == "succeed" else None

        def restore(backup):
            body = {"backup_id": backup["id"], "remark": "after the accident"}
            asked = self.call(dcs, "RestoreInstance", instance_id=instance, body=body).restore_id
            row = wait_until(record, 60, "the restore's record")
            self.assertEqual((backup["id"], asked), (row.backup_id, row.restore_id))
        assert_puts_back(self, world().keystow, instance, restore)
        self.refused(400, "DCS.4062", lambda: self.call(dcs, "RestoreInstance", instance_id=INSTANCE, body={
            "backup_id": UNKNOWN}), "backup_id")

    def test_a_policy_is_set_and_switched_off(self):
        instance = "1e5e4c6b-8d9a-4b0c-9e2f-3a5b7c8d9e0f"
        keystow = world().keystow
        keystow.cli("instance", "add", world().redis.url, "--id", instance)
        self.addCleanup(keystow.cli, "instance", "delete", instance)
        plan = {"backup_at": [1, 3], "period_type": "weekly", "begin_at": "00:00-01:00"}
        policy = {"backup_type": "auto", "save_days": 5, "periodical_backup_plan": plan}
        self.call(dcs, "UpdateInstance", instance_id=instance, body={"instance_backup_policy": policy})
        kept = keystow.json("policy", "show", instance)
        self.assertEqual((["0 0 * * 1,3"], "5d", False), (kept["schedules"], kept["keep"]["within"], kept["paused"]))
        shown = self.call(dcs, "ShowInstance", instance_id=instance).instance_backup_policy.policy
        self.assertEqual(("auto", 5, [1, 3], "00:00-01:00"), (
            shown.backup_type, shown.save_days, shown.periodical_backup_plan.backup_at,
            shown.periodical_backup_plan.begin_at))
        self.call(dcs, "UpdateInstance", instance_id=instance, body={
            "instance_backup_policy": {"backup_type": "manual"}})
        self.assertTrue(keystow.json("policy", "show", instance)["paused"])

    def test_an_append_only_file_is_not_taken(self):
        self.refused(400, "DCS.4062", lambda: self.call(
            dcs, "CopyInstance", instance_id=INSTANCE, body={"backup_format": "aof"}), "backup_format")

    def test_a_long_remark_has_a_code(self):
        self.refused(400, "DCS.4098", lambda: self.call(
            dcs, "CopyInstance", instance_id=INSTANCE, body={"remark": "x" * 129}))

    def test_an_unknown_instance_does_not_exist(self):
        self.refused(404, "DCS.3022", lambda: self.links(instance="nowhere", expiration=300))
        self.refused(404, "DCS.3022", lambda: self.call(dcs, "ShowInstance", instance_id="nowhere"))
        self.refused(404, "DCS.3022", lambda: self.call(dcs, "ListBackupRecords", instance_id="nowhere"))

    def test_a_backup_unknown_or_of_another_instance_is_invalid(self):
        self.refused(400, "DCS.4062", lambda: self.links(UNKNOWN, expiration=300), "backup_id")
        self.refused(400, "DCS.4062", lambda: self.links(
            instance=TENCENT_INSTANCE, expiration=300), "backup_id")

    def test_a_viewer_may_only_look(self):
        self.assertTrue(self.call(dcs, "ListBackupRecords", VIEWER, instance_id=INSTANCE).total_num)
        for made in (lambda: self.links(key=VIEWER, expiration=300),
                     lambda: self.call(dcs, "CopyInstance", VIEWER, instance_id=INSTANCE, body={}),
                     lambda: self.call(dcs, "DeleteBackupFile", VIEWER, instance_id=INSTANCE,
                                       backup_id=self.row.backup_id)):
            self.refused(403, "DCS.2003", made)

    def test_nobody_signs_in_with_a_wrong_secret_or_key(self):
        for key in ((OPERATOR[0], "not-the-secret"), STRANGER):
            self.refused(401, "APIGW.0301", lambda: self.call(dcs, "ListInstances", key))

    def test_another_project_does_not_match(self):
        self.refused(401, "DCS.1004", lambda: self.call(dcs, "ListInstances", self.bound))
        ours = {"instance_id": INSTANCE}
        self.refused(403, "DCS.2003", lambda: self.call(
            dcs, "CopyInstance", self.bound, PROJECT, body={}, **ours))
        self.refused(404, "DCS.3022", lambda: self.call(dcs, "ShowInstance", self.bound, PROJECT, **ours))
