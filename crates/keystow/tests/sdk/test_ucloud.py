"""UCloud URedis and UMem, through the vendor's SDK, and the forms of its other SDKs."""

import functools
import hashlib
import json
import re
import time
import unittest
import uuid
from urllib.parse import parse_qs, urlencode, urlsplit

import vendors
from lab import wait_until
from ucloud.core.exc import HTTPStatusException, RetCodeException, ValidationException
from world import VIEWER, examples, get, run, world

KEY = ("ucloudsomeone@example.com1296235120854146120==", "46f09bb9fab4f12dfc160dae12273d5332b5debe")
GROUP = "uredis-k3vxq2n1"
ZONED = "uredis-twozones"
SLOW = "uredis-slowly"
PROJECT = "org-k3vxq2"
PROJECT_GROUP = "uredis-project"
REGION, ZONE, REPLICA_ZONE = "cn-bj2", "cn-bj2-04", "cn-bj2-05"
UNKNOWN = "11111111-2222-4333-8444-555555555555"


@functools.cache
def prepared():
    """The world with this vendor's instances, key and project; the key that is bound to the project."""
    keystow, redis = world().keystow, world().redis
    zones = ["--region", REGION, "--zone", ZONE, "--replica-zone", REPLICA_ZONE]
    keystow.cli("project", "add", PROJECT, "--name", "ucloud shop")
    keystow.cli("instance", "add", redis.url, "--id", GROUP, "--name", "ucloud cache")
    keystow.cli("instance", "add", redis.url, "--id", ZONED, *zones)
    keystow.cli("instance", "add", redis.url, "--id", PROJECT_GROUP, "--project", PROJECT)
    slow = world().lab.redis("--repl-diskless-sync-delay", "600", "--shutdown-timeout", "0")
    keystow.cli("instance", "add", slow.url, "--id", SLOW)
    file = world().lab.dir("secret") / "private-key"
    file.write_text(KEY[1])
    file.chmod(0o600)
    keystow.cli("key", "create", "--id", KEY[0], "--secret-file", file)
    key = keystow.json("key", "create", "--project", PROJECT)
    return key["access_key_id"], key["secret"]


def name():
    """A name for a backup that no other has."""
    return f"nightly_{uuid.uuid4().hex[:8]}"


class UcloudCase(unittest.TestCase):
    """Calls through the vendor's SDK."""

    @classmethod
    def setUpClass(cls):
        cls.bound = prepared()

    def client(self, key=KEY, project=None, path=""):
        """A client of the vendor's SDK."""
        return vendors.ucloud(world().keystow.api, *key, project, path)

    def call(self, action, key=KEY, project=None, **parameters):
        """One call by the action's own method, which checks request and answer; the answer's fields."""
        client = self.client(key, project)
        service = client.uaccount() if action.startswith("Get") else client.umem()
        words = action.replace("URedis", "Uredis").replace("UMem", "Umem").replace("URL", "Url")
        return getattr(service, re.sub("(?<!^)(?=[A-Z])", "_", words).lower())(parameters)

    def invoke(self, action, key=KEY, project=None, **parameters):
        """One call without the SDK's checks."""
        return self.client(key, project).invoke(action, {"Region": REGION} | parameters)

    def refused(self, code, made, message=""):
        """The SDK raises with the vendor's code."""
        with self.assertRaises(RetCodeException) as caught:
            made()
        self.assertEqual(code, caught.exception.code, caught.exception.message)
        self.assertIn(message, caught.exception.message)
        self.assertTrue(caught.exception.request_uuid)

    def back_up(self, group=GROUP, key=KEY, project=None):
        """A backup, taken and waited for as the vendor has it: its row."""
        called = name()
        backup = self.call("CreateURedisBackup", key, project, GroupId=group, BackupName=called)["BackupId"]

        def row():
            listed = self.call("DescribeURedisBackup", key, project, GroupId=group, BackupId=backup)
            one, = listed["DataSet"]
            self.assertIn(one["State"], ("Backuping", "Success"))
            return one if one["State"] == "Success" else None
        row = wait_until(row, 60, f"the backup {backup}", pause=0.2)
        self.assertEqual((backup, called), (row["BackupId"], row["BackupName"]))
        return row


class GroupTest(UcloudCase):
    """The primary and replica edition."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.row = cls().back_up()

    def link(self, **more):
        """The answer of the link action."""
        return self.call("DescribeURedisBackupURL", BackupId=self.row["BackupId"], **more)

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        instance, = self.call("DescribeUMem", Protocol="redis", ResourceId=GROUP)["DataSet"]
        self.assertEqual((GROUP, "single", "Running"),
                         (instance["ResourceId"], instance["ResourceType"], instance["State"]))
        row = self.back_up(instance["ResourceId"])
        self.assertEqual((GROUP, "ucloud cache"), (row["GroupId"], row["GroupName"]))
        self.assertEqual("Manual", row["BackupType"])
        self.assertLess(abs(row["BackupTime"] - time.time()), 60)
        asked = {"BackupId": row["BackupId"], "GroupId": GROUP}
        links = self.call("DescribeURedisBackupURL", **asked)
        self.assertEqual(links["BackupPath"], links["BackupURL"])
        expires = int(parse_qs(urlsplit(links["BackupPath"]).query)["Expires"][0])
        self.assertLess(abs(expires - time.time() - 4 * 3600), 5)
        world().assert_restores(self, links["BackupPath"], row["BackupSize"])
        # The SDK drops the intranet's link, which the vendor's page has, unless nothing is checked.
        inner = self.invoke("DescribeURedisBackupURL", **asked)["InnerBackupPath"]
        self.assertIn(f":{world().keystow.intranet}/", inner)
        world().assert_restores(self, inner, row["BackupSize"])

    def test_the_example_of_the_page_runs_as_written(self):
        row = self.back_up()
        example, = examples("ucloud.md", "python", GROUP)
        told, link = run(example, KEY).splitlines()
        self.assertEqual(f"{row['BackupName']} Success {row['BackupSize']}", told)
        world().assert_restores(self, link, row["BackupSize"])

    def test_the_snippet_of_the_command_line_runs_as_printed(self):
        for key, instance in ((KEY, GROUP), (self.bound, PROJECT_GROUP)):
            snippet = world().keystow.cli("key", "snippet", key[0], "--for", "ucloud")
            self.assertIn(instance, run(snippet, key).split())

    def test_groups_are_listed(self):
        listed = self.call("DescribeURedisGroup", GroupId=GROUP)
        group, = listed["DataSet"]
        self.assertEqual((1, GROUP, "ucloud cache", world().redis.port, "master"), (
            listed["TotalCount"], group["GroupId"], group["Name"], group["Port"], group["Role"]))
        everything = self.call("DescribeURedisGroup")
        page = self.call("DescribeURedisGroup", Offset=1, Limit=1)
        self.assertEqual((everything["TotalCount"], 1), (page["TotalCount"], len(page["DataSet"])))
        self.assertEqual(everything["DataSet"][1]["GroupId"], page["DataSet"][0]["GroupId"])

    def test_the_newest_backup_is_listed_first(self):
        newest = self.back_up()
        listed = self.call("DescribeURedisBackup", GroupId=GROUP, Limit=1)
        self.assertGreaterEqual(listed["TotalCount"], 2)
        self.assertEqual([newest["BackupId"]], [row["BackupId"] for row in listed["DataSet"]])
        for kind, rows in (("normal", 1), ("source", 0), ("target", 0)):
            listed = self.call("DescribeURedisBackup", GroupId=GROUP, RegionType=kind, Limit=1)
            self.assertEqual(rows, len(listed["DataSet"]), kind)

    def test_a_running_backup_is_busy(self):
        backup = self.call("CreateURedisBackup", GroupId=SLOW, BackupName=name())["BackupId"]
        row, = self.call("DescribeURedisBackup", GroupId=SLOW)["DataSet"]
        self.assertEqual((backup, "Backuping"), (row["BackupId"], row["State"]))
        state = self.invoke("DescribeURedisBackupState", Zone=ZONE, GroupId=SLOW, BackupId=backup)
        self.assertEqual("Backuping", state["State"])
        self.refused(20203, lambda: self.call("CreateURedisBackup", GroupId=SLOW, BackupName=name()))
        self.refused(230, lambda: self.call("DescribeURedisBackupURL", BackupId=backup), "not finished")

    def test_the_state_of_a_backup(self):
        action, backup = "DescribeURedisBackupState", self.row["BackupId"]
        state = self.invoke(action, Zone=ZONE, GroupId=GROUP, BackupId=backup)
        self.assertEqual({"RetCode": 0, "Action": f"{action}Response", "State": "Success"}, state)

    def test_zones_choose_an_instance(self):
        both = {"GroupId": ZONED, "Zone": ZONE, "SlaveZone": REPLICA_ZONE}
        backup = self.back_up(ZONED)["BackupId"]
        for place in (both, both | {"RegionFlag": True}, {"GroupId": ZONED}):
            self.assertTrue(self.call("DescribeURedisBackupURL", BackupId=backup, **place)["BackupPath"])
        group, = self.call("DescribeURedisGroup", GroupId=ZONED)["DataSet"]
        self.assertEqual((ZONE, REPLICA_ZONE), (group["Zone"], group["SlaveZone"]))
        self.refused(230, lambda: self.call("DescribeURedisBackupURL", BackupId=backup, **both | {
            "SlaveZone": ZONE}), "SlaveZone")
        self.refused(230, lambda: self.call("DescribeURedisBackupURL", BackupId=backup, **both | {
            "SlaveZone": "cn-sh2-01"}), "SlaveZone")
        self.refused(230, lambda: self.call("DescribeURedisBackupURL", BackupId=backup, **both | {
            "SlaveZone": "cn-bj2-06"}), "GroupId")
        self.refused(230, lambda: self.call("DescribeURedisBackupURL", BackupId=backup, **both | {
            "Zone": "cn-bj2-03"}), "GroupId")
        self.refused(230, lambda: self.call("DescribeURedisGroup", GroupId=ZONED, Region="cn-sh2"), "GroupId")
        one_zone = {"BackupId": self.row["BackupId"], "GroupId": GROUP, "RegionFlag": True}
        self.refused(230, lambda: self.call("DescribeURedisBackupURL", **one_zone), "GroupId")

    def test_there_is_no_copy_in_another_region(self):
        self.refused(230, lambda: self.link(IsCrossRegion=True), "BackupId")

    def test_a_base_url_may_have_a_path(self):
        listed = self.client(path="/ucloud").umem().describe_umem({"Protocol": "redis", "ResourceId": GROUP})
        self.assertEqual(1, listed["TotalCount"])

    def test_a_strategy_is_a_policy(self):
        keystow = world().keystow
        self.addCleanup(keystow.cli, "policy", "delete", GROUP, "--yes")
        beijing = (time.gmtime().tm_hour + 20) % 24
        self.invoke("UpdateURedisBackupStrategy", Zone=ZONE, GroupId=GROUP, AutoBackup="enable", BackupTime=str(beijing))
        kept = keystow.json("policy", "show", GROUP)
        self.assertEqual(([f"0 {(beijing - 8) % 24} * * *"], "UTC", False),
                         (kept["schedules"], kept["time_zone"], kept["paused"]))
        group, = self.call("DescribeURedisGroup", GroupId=GROUP)["DataSet"]
        self.assertEqual(("enable", beijing), (group["AutoBackup"], group["BackupTime"]))
        keystow.cli("policy", "set", GROUP, "--cron", "0 3 * * 1")
        self.invoke("UpdateURedisBackupStrategy", Zone=ZONE, GroupId=GROUP, BackupTime=str(beijing))
        self.assertEqual([f"0 {(beijing - 8) % 24} * * *"], keystow.json("policy", "show", GROUP)["schedules"])
        self.invoke("UpdateURedisBackupStrategy", Zone=ZONE, GroupId=GROUP, AutoBackup="disable")
        group, = self.call("DescribeUMem", Protocol="redis", ResourceId=GROUP)["DataSet"]
        self.assertEqual(("disable", 0), (group["AutoBackup"], group["BackupTime"]))
        self.assertTrue(keystow.json("policy", "show", GROUP)["paused"])

    def test_what_is_not_done_here_is_said(self):
        for action, parameters in (("UpdateURedisBackupStrategy", {"GroupId": GROUP, "OperationType": "modify"}),
                                   ("CreateURedisGroup", {"Name": "another", "HighAvailability": "disable"}),
                                   ("CreateUMemSpace", {"Name": "another", "Size": 1}),
                                   ("RestoreURedisGroup", {"GroupId": GROUP})):
            with self.subTest(action):
                self.refused(161, lambda: self.invoke(action, Zone=ZONE, **parameters), f"[{action}")

    def test_projects_and_regions_are_listed(self):
        projects = self.call("GetProjectList")["ProjectSet"]
        own = {one["ProjectId"]: one for one in projects}
        self.assertEqual(("default", True), (own["default"]["ProjectName"], own["default"]["IsDefault"]))
        self.assertEqual(("ucloud shop", False, 1), (
            own[PROJECT]["ProjectName"], own[PROJECT]["IsDefault"], own[PROJECT]["ResourceCount"]))
        regions = self.call("GetRegion")["Regions"]
        self.assertIn((REGION, ZONE), [(one["Region"], one["Zone"]) for one in regions])
        self.assertEqual(1, sum(one["IsDefault"] for one in regions))


class SpaceTest(UcloudCase):
    """The distributed edition's actions, on an instance that has one shard."""

    def test_a_backup_is_taken_listed_linked_and_loads_to_equal_data(self):
        place = {"Zone": ZONE, "SpaceId": ZONED}
        called = name()
        backup = self.call("CreateUMemBackup", BackupName=called, **place)["BackupId"]

        def row():
            rows = self.call("DescribeUMemBackup", Limit=100, **place)["DataSet"]
            one, = [one for one in rows if one["BackupId"] == backup]
            self.assertIn(one["State"], ("Starting", "Done"))
            return one if one["State"] == "Done" else None
        row = wait_until(row, 60, f"the backup {backup}", pause=0.2)
        self.assertEqual((called, "manual", 1), (row["BackupName"], row["BackupType"], row["BlockCount"]))
        block, = self.call("DescribeUMemBlockInfo", Offset=0, Limit=10, **place)["DataSet"]
        self.assertEqual((world().redis.port, 0, 16383, "master"), (
            block["BlockPort"], block["BlockSlotBegin"], block["BlockSlotEnd"], block["BlockType"]))
        for more in ({}, {"BlockId": block["BlockId"]}):
            link, = self.call("DescribeUMemBackupURL", BackupId=backup, **place, **more)["BackupURL"]
            world().assert_restores(self, link, len(get(link)[2]))
        self.refused(230, lambda: self.call(
            "DescribeUMemBackupURL", BackupId=backup, BlockId="nowhere", **place), "BlockId")

    def test_only_clusters_are_spaces(self):
        listed = self.call("DescribeUMemSpace")
        self.assertEqual((0, []), (listed["TotalCount"], listed["DataSet"]))
        self.refused(230, lambda: self.call("DescribeUMemSpace", SpaceId=GROUP), "SpaceId")


class RefusedTest(UcloudCase):
    """The vendor's errors, through its SDK."""

    def instances(self, key=KEY, project=None):
        """A call that needs nothing but a right."""
        return self.call("DescribeUMem", key, project, Protocol="redis", Limit=100)["DataSet"]

    def test_a_wrong_private_key(self):
        self.refused(171, lambda: self.instances((KEY[0], "not-the-secret")), "Signature VerifyAC Error")

    def test_an_unknown_public_key(self):
        self.refused(172, lambda: self.instances(("nobody@example.com1", KEY[1])), "User Not Exists")

    def test_an_unknown_action(self):
        self.refused(161, lambda: self.invoke("DescribeBackupPhotos"), "[DescribeBackupPhotos]")

    def test_a_missing_parameter(self):
        self.refused(220, lambda: self.invoke("DescribeURedisBackupURL", GroupId=GROUP), "[BackupId]")
        self.refused(220, lambda: self.invoke("DescribeURedisBackup"), "[GroupId]")
        self.refused(220, lambda: self.invoke("DescribeUMemBackup", SpaceId=GROUP), "[Zone]")
        self.refused(220, lambda: self.invoke("DescribeUMem", Region=""), "[Region]")
        with self.assertRaises(ValidationException):
            self.call("DescribeURedisBackupURL", GroupId=GROUP)

    def test_a_malformed_parameter(self):
        for action, bad, parameters in (
                ("DescribeURedisBackup", "Limit", {"GroupId": GROUP, "Limit": "many"}),
                ("DescribeURedisBackup", "Limit", {"GroupId": GROUP, "Limit": 0}),
                ("DescribeURedisBackup", "Offset", {"GroupId": GROUP, "Offset": -1}),
                ("DescribeURedisBackup", "RegionType", {"GroupId": GROUP, "RegionType": "far"}),
                ("CreateURedisBackup", "BackupName", {"GroupId": GROUP, "BackupName": "short"}),
                ("CreateURedisBackup", "BackupName", {"GroupId": GROUP, "BackupName": "with blank"}),
                ("DescribeUMem", "Protocol", {"Protocol": "memcache"}),
                ("DescribeUMem", "ResourceType", {"Protocol": "redis", "ResourceType": "performance"}),
                ("DescribeURedisBackupURL", "RegionFlag", {"BackupId": UNKNOWN, "RegionFlag": "maybe"}),
                ("GetProjectList", "IsFinance", {"IsFinance": "Yes"}),
                ("DescribeUMem", "Zonecn", {"Protocol": "redis", "Zonecn": "-bj2-04"})):
            with self.subTest(parameters):
                self.refused(230, lambda: self.invoke(action, **parameters), f"[{bad}]")

    def test_what_does_not_exist(self):
        for action, unknown, parameters in (
                ("DescribeURedisBackupURL", "BackupId", {"BackupId": UNKNOWN}),
                ("DescribeURedisBackup", "BackupId", {"GroupId": GROUP, "BackupId": UNKNOWN}),
                ("DescribeURedisBackup", "GroupId", {"GroupId": "nowhere"}),
                ("CreateURedisBackup", "GroupId", {"GroupId": "nowhere", "BackupName": name()}),
                ("DescribeUMemBackup", "SpaceId", {"SpaceId": "nowhere", "Zone": ZONE}),
                ("DescribeUMem", "ResourceId", {"Protocol": "redis", "ResourceId": "nowhere"})):
            with self.subTest(parameters):
                self.refused(230, lambda: self.call(action, **parameters), f"[{unknown}]")

    def test_a_backup_of_another_group_does_not_exist(self):
        backup = self.back_up()["BackupId"]
        self.refused(230, lambda: self.call(
            "DescribeURedisBackupURL", BackupId=backup, GroupId=ZONED), "[BackupId]")

    def test_a_viewer_may_only_look(self):
        self.assertTrue(self.instances(VIEWER))
        self.refused(299, lambda: self.call("DescribeURedisBackupURL", VIEWER, BackupId=UNKNOWN))
        self.refused(299, lambda: self.call("CreateURedisBackup", VIEWER, GroupId=GROUP, BackupName=name()))

    def test_an_unknown_project(self):
        self.refused(292, lambda: self.instances(project="org-nowhere"), "Project Not Exists")

    def test_a_key_of_a_project_must_name_it(self):
        self.refused(220, lambda: self.instances(self.bound), "[ProjectId]")
        self.assertEqual([PROJECT_GROUP], [one["ResourceId"] for one in self.instances(self.bound, PROJECT)])
        self.assertEqual([PROJECT_GROUP], [one["ResourceId"] for one in self.instances(KEY, PROJECT)])
        project, = self.call("GetProjectList", self.bound)["ProjectSet"]
        self.assertEqual((PROJECT, True), (project["ProjectId"], project["IsDefault"]))
        backup = self.back_up(PROJECT_GROUP, self.bound, PROJECT)["BackupId"]
        link = self.call("DescribeURedisBackupURL", self.bound, PROJECT, BackupId=backup)["BackupPath"]
        self.assertEqual(200, get(link)[0])
        self.refused(299, lambda: self.call("DescribeURedisBackup", self.bound, PROJECT, GroupId=GROUP))


class ConfiguredTest(UcloudCase):
    """A server that says how long links live and how often it may be called."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        file = world().lab.dir("config") / "keystow.toml"
        file.write_text('[limits]\nbody_bytes = 10000\n[links.ttl]\nucloud = "5m"\n'
                        "[dialects.ucloud.rates]\nDescribeUMem = 1\n")
        cls.keystow = world().lab.keystow("--config", file)
        cls.keystow.cli("instance", "add", world().redis.url, "--id", GROUP)

    def client(self):
        """A client of that server."""
        return vendors.ucloud(self.keystow.api, *self.keystow.admin())

    def test_too_many_calls_of_one_action(self):
        client = self.client()

        def often():
            for _ in range(5):
                client.umem().describe_umem({"Protocol": "redis"})
        self.refused(153, often)
        for _ in range(5):
            client.umem().describe_uredis_group({})

    def test_a_link_lives_as_long_as_the_operator_says(self):
        backup = self.keystow.json("backup", "create", GROUP, "--wait")["id"]
        link = self.client().umem().describe_uredis_backup_url({"BackupId": backup})["BackupPath"]
        self.assertLess(abs(int(parse_qs(urlsplit(link).query)["Expires"][0]) - time.time() - 300), 5)

    def test_a_body_may_be_too_large(self):
        with self.assertRaises(HTTPStatusException) as caught:
            self.client().umem().describe_uredis_group({"GroupId": "x" * 10000})
        self.assertEqual(413, caught.exception.status_code)


def text(value):
    """A value as the vendor's manual says it is signed; lists and objects as the Go SDK does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "".join(map(text, value))
    if isinstance(value, dict):
        return "".join(name + text(value[name]) for name in sorted(value))
    return str(value)


def signed(**parameters):
    """The parameters with key and signature."""
    parameters = {"PublicKey": KEY[0], "Region": REGION} | parameters
    signature = hashlib.sha1((text(parameters) + KEY[1]).encode()).hexdigest()
    return parameters | {"Signature": signature}


class FormTest(UcloudCase):
    """Requests as other SDKs and hand-written tools write them."""

    ASKED = {"Action": "DescribeUMem", "Protocol": "redis", "ResourceId": GROUP}

    def send(self, query=None, form=None, body=None):
        """A request: the answer's RetCode and the instances."""
        data = urlencode(form).encode() if form else json.dumps(body).encode() if body else None
        kind = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
        status, headers, answer = get(
            f"{world().keystow.server}/?{urlencode(query or {})}", "POST" if data else "GET", data,
            **kind if data else {})
        self.assertEqual((200, "application/json"), (status, headers.get_content_type()))
        self.assertTrue(headers["X-UCLOUD-REQUEST-UUID"])
        answer = json.loads(answer)
        self.assertEqual("DescribeUMemResponse", answer["Action"])
        return answer["RetCode"], [row["ResourceId"] for row in answer.get("DataSet", ())]

    def test_a_query(self):
        self.assertEqual((0, [GROUP]), self.send(query=signed(**self.ASKED)))

    def test_a_form(self):
        self.assertEqual((0, [GROUP]), self.send(form=signed(**self.ASKED)))

    def test_the_action_in_both_places_as_the_go_sdk_sends_it(self):
        query = {"Action": "DescribeUMem"}
        self.assertEqual((0, [GROUP]), self.send(query=query, form=signed(**self.ASKED, Limit=20)))
        self.assertEqual((0, [GROUP]), self.send(query=query, body=signed(**self.ASKED, Limit=20)))

    def test_two_values_for_one_name(self):
        query = {"Action": "DescribeUMem", "ResourceId": ZONED}
        self.assertEqual((171, []), self.send(query=query, form=signed(**self.ASKED)))

    def test_flat_json_as_the_javascript_sdk_sends_it(self):
        more = {"Limit": 20, "Disks.0.Boot": True, "Disks.0.Size": 20, "Tags.10": "b", "Tags.2": "a"}
        self.assertEqual((0, [GROUP]), self.send(body=signed(**self.ASKED, **more)))

    def test_nested_json_as_the_go_sdk_sends_it(self):
        more = {"Disks": [{"Size": 20, "Boot": True}], "Tags": ["b", "a"]}
        self.assertEqual("DisksBoottrueSize20Tagsba", text(more))
        asked = signed(**self.ASKED, **more)
        self.assertEqual((0, [GROUP]), self.send(query={"Action": "DescribeUMem"}, body=asked))

    def test_a_changed_request(self):
        self.assertEqual((171, []), self.send(form=signed(**self.ASKED) | {"ResourceId": ZONED}))

    def test_no_signature(self):
        unsigned = {name: value for name, value in signed(**self.ASKED).items() if name != "Signature"}
        self.assertEqual((170, []), self.send(form=unsigned))
