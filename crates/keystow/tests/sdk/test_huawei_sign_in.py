"""Huawei Cloud: projects of regions, tokens, temporary keys, host names and limits."""

import logging
from datetime import datetime, timedelta, timezone

import huaweicloudsdkdcs.v2 as dcs
import huaweicloudsdkdds.v3 as dds
import huaweicloudsdkgaussdbfornosql.v3 as gemini
import vendors
from huawei import ACCOUNT, CLIENTS, INSTANCE, PROJECT, PROJECT_INSTANCE, HuaweiCase, call, send
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import SdkException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import DerivationAKSKSigner, Signer
from world import OPERATOR, STRANGER, VIEWER, get, world

SESSION = ("HSTAtemporaryKeyOfOurs", "temporary-secret-0123456789abcdef")
TOKEN = "gQpjbi1ub3J0aC00-session-token-of-ours"


class RegionTest(HuaweiCase):
    """A region and no project id."""

    def test_the_sdk_finds_the_project_of_its_region(self):
        for service, client in CLIENTS.items():
            found = vendors.huawei_by_region(client, world().keystow.api, *OPERATOR)
            instance, = (one for one in call(found, service, "ListInstances").instances
                         if INSTANCE in (getattr(one, "id", None), getattr(one, "instance_id", None)))
            self.assertEqual("huawei cache", instance.name)

    def test_a_key_of_a_project_finds_that_project(self):
        client = vendors.huawei_by_region(dds.DdsClient, world().keystow.api, *self.bound)
        self.assertEqual([PROJECT_INSTANCE], [one.id for one in call(client, dds, "ListInstances").instances])

    def test_a_wrong_secret_finds_none(self):
        with self.assertRaises(SdkException) as caught:
            vendors.huawei_by_region(dds.DdsClient, world().keystow.api, OPERATOR[0], "not-the-secret")
        self.assertIn("verify aksk signature fail", str(caught.exception))


class TokenTest(HuaweiCase):
    """A token of IAM in place of a signature."""

    def login(self, key=OPERATOR, domain=ACCOUNT, scope=None, query=""):
        """Ask for a token: the answer's status, headers and body."""
        user = {"name": key[0], "password": key[1], "domain": {"name": domain}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
        return send("POST", f"/v3/auth/tokens{query}", {"auth": auth | ({"scope": scope} if scope else {})},
                    Content_Type="application/json;charset=utf8")

    def token(self, *login):
        """A token, by default the one that all tests may use."""
        if not login:
            return self.operators
        status, headers, body = self.login(*login)
        self.assertEqual(201, status, body)
        return headers["X-Subject-Token"]

    def link(self, token, instance=INSTANCE, project=ACCOUNT, backup=None):
        """The link action with a token."""
        backup = backup or self.row.id
        return send("GET", f"/v3/{project}/backups/download-file?instance_id={instance}&backup_id={backup}",
                    X_Auth_Token=token)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.row = cls().back_up("for-tokens")
        cls.operators = cls().token(OPERATOR)

    def test_a_token_gets_a_link_that_needs_none(self):
        status, headers, body = self.login(scope={"project": {"name": "cn-north-4"}})
        self.assertEqual((201, {"id": ACCOUNT, "name": "default"}), (status, body["token"]["user"]["domain"]))
        self.assertEqual(ACCOUNT, body["token"]["project"]["id"])
        self.assertEqual([], body["token"]["catalog"])
        status, _, answer = self.link(headers["X-Subject-Token"])
        self.assertEqual(200, status, answer)
        file, = answer["files"]
        world().assert_restores(self, file["download_link"], len(get(file["download_link"])[2]))

    def test_the_catalog_can_be_left_out(self):
        _, _, body = self.login(query="?nocatalog=true")
        self.assertNotIn("catalog", body["token"])
        self.assertEqual(ACCOUNT, body["token"]["domain"]["id"])

    def test_the_twin_of_rds_names_no_instance(self):
        status, _, answer = send("GET", f"/v3/{ACCOUNT}/backup-files?backup_id={self.row.id}",
                                 X_Auth_Token=self.token())
        self.assertEqual((200, [""]), (status, [file["database_name"] for file in answer["files"]]))

    def test_a_time_may_have_a_bare_plus(self):
        times = "begin_time=2020-01-01T00:00:00+0000&end_time=2020-01-02T00:00:00+0000"
        status, _, answer = send("GET", f"/v4/{ACCOUNT}/backups?{times}", X_Auth_Token=self.token())
        self.assertEqual((200, 0), (status, answer["total_count"]))

    def test_a_wrong_user_password_or_account_is_unauthorized(self):
        for login in (((OPERATOR[0], "not-the-secret"),), (STRANGER,), (OPERATOR, "nobody")):
            status, headers, body = self.login(*login)
            error = body["error"]
            self.assertEqual((401, 401, "Unauthorized"), (status, error["code"], error["title"]))
            self.assertIsNone(headers["X-Subject-Token"])
            self.assertTrue(headers["X-Request-Id"])

    def test_a_body_without_a_user_is_malformed(self):
        status, _, body = send("POST", "/v3/auth/tokens", {"auth": {}}, Content_Type="application/json")
        self.assertEqual((400, 400), (status, body["error"]["code"]))

    def test_no_token_or_a_changed_one_is_refused(self):
        token = self.token()
        for changed in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[1:], token + "A", "x"):
            status, _, body = self.link(changed)
            self.assertEqual((401, "APIGW.0301"), (status, body["error_code"]))
            self.assertIn("decrypt token fail", body["error_msg"])
        status, _, body = send("GET", f"/v3/{ACCOUNT}/backups", X_Sdk_Date="20261121T080000Z")
        self.assertEqual((401, "APIGW.0301"), (status, body["error_code"]))

    def test_a_token_ends_with_its_key(self):
        key = world().keystow.json("key", "create", "--role", "operator")
        token = self.token((key["access_key_id"], key["secret"]))
        self.assertEqual(200, self.link(token)[0])
        world().keystow.cli("key", "revoke", key["access_key_id"])
        self.assertEqual((401, "APIGW.0301"), self.code(self.link(token)))

    def test_a_token_has_the_rights_of_its_key(self):
        self.assertEqual((403, "DBS.280032"), self.code(self.link(self.token(VIEWER))))

    def test_a_token_of_one_project_is_not_anothers(self):
        token = self.token(OPERATOR, ACCOUNT, {"project": {"id": PROJECT}})
        self.assertEqual((400, "DBS.280408"), self.code(self.link(token)))
        self.assertEqual((400, "DBS.200010"), self.code(self.link(token, project=PROJECT)))
        status, _, body = send("GET", f"/v3/{PROJECT}/instances", X_Auth_Token=token)
        self.assertEqual((200, [PROJECT_INSTANCE]), (status, [one["id"] for one in body["instances"]]))

    def test_a_signature_beside_a_token_counts(self):
        signature = f"SDK-HMAC-SHA256 Access={OPERATOR[0]}, SignedHeaders=x-sdk-date, Signature={'0' * 64}"
        status, _, body = send("GET", f"/v3/{ACCOUNT}/instances", X_Auth_Token=self.token(),
                               Authorization=signature, X_Sdk_Date="20261121T080000Z")
        self.assertEqual((401, "APIGW.0301"), (status, body["error_code"]))
        self.assertNotIn("token", body["error_msg"])

    def test_the_project_of_the_header_must_be_that_of_the_path(self):
        self.assertEqual((400, "DBS.280408"), self.code(
            send("GET", f"/v3/{ACCOUNT}/instances", X_Auth_Token=self.token(), X_Project_Id=PROJECT)))

    def test_projects_and_the_account_are_listed(self):
        token = self.token()
        projects = send("GET", "/v3/auth/projects", X_Auth_Token=token)[2]["projects"]
        self.assertEqual([(ACCOUNT, "default"), (PROJECT, "huawei shop")],
                         [(one["id"], one["name"]) for one in projects if one["id"] in (ACCOUNT, PROJECT)])
        domains = send("GET", "/v3/auth/domains", X_Auth_Token=token)[2]["domains"]
        self.assertEqual([ACCOUNT], [one["id"] for one in domains])
        for name, project in (("cn-north-4", ACCOUNT), ("huawei%20shop", PROJECT)):
            one, = send("GET", f"/v3/projects?name={name}", X_Auth_Token=token)[2]["projects"]
            self.assertEqual(project, one["id"])

    def test_temporary_keys_are_not_made(self):
        status, _, body = send("POST", "/v3.0/OS-CREDENTIAL/securitytokens", {}, X_Auth_Token=self.token())
        self.assertEqual((501, 501), (status, body["error"]["code"]))

    def test_another_path_does_not_exist(self):
        self.assertEqual((404, "APIGW.0101"), self.code(
            send("GET", f"/v3/{ACCOUNT}/flavors", X_Auth_Token=self.token())))

    @staticmethod
    def code(answer):
        """Status and code of an answer."""
        return answer[0], answer[2].get("error_code")


class TemporaryKeyTest(HuaweiCase):
    """A key that has a session token."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        files = []
        for text in (SESSION[1], TOKEN):
            file = world().lab.dir("secret") / "file"
            file.write_text(text)
            file.chmod(0o600)
            files.append(file)
        world().keystow.cli("key", "create", "--id", SESSION[0], "--secret-file", files[0],
                            "--session-token-file", files[1])

    def instances(self, token):
        """A call that sends a session token."""
        client = vendors.huawei(dcs.DcsClient, world().keystow.api, *SESSION, ACCOUNT, token)
        return call(client, dcs, "ListInstances").instances

    def test_the_token_must_be_its_own(self):
        self.assertTrue(self.instances(TOKEN))
        for token in (None, TOKEN + "x"):
            self.refused(401, "APIGW.0301", lambda: self.instances(token), "decrypt token fail")


class SignerTest(HuaweiCase):
    """The SDK's signers, told when and for whom to sign."""

    def instances(self, *scope, signer=Signer, late=timedelta()):
        """A list of instances with a date of the caller's own: status and message."""
        date = (datetime.now(timezone.utc) + late).strftime("%Y%m%dT%H%M%SZ")
        path, host = f"/v3/{ACCOUNT}/instances", f"127.0.0.1:{world().keystow.api}"
        request = SdkRequest("GET", "http", host, path, query_params=[], body="",
                             header_params={"X-Sdk-Date": date, "X-Project-Id": ACCOUNT})
        signer(BasicCredentials(*OPERATOR, ACCOUNT)).sign(request, *scope)
        status, _, body = send("GET", path, **request.header_params)
        return status, body.get("error_msg", "")

    def test_a_request_may_be_a_quarter_of_an_hour_off(self):
        for minutes in (-14, 14):
            self.assertEqual((200, ""), self.instances(late=timedelta(minutes=minutes)))
        for minutes in (-16, 16):
            status, message = self.instances(late=timedelta(minutes=minutes))
            self.assertEqual(401, status)
            self.assertIn("signature expired, signature time:", message)

    def test_a_derived_key_may_name_any_region_and_service(self):
        for scope in (("dds", "cn-north-4"), ("x", "anywhere")):
            self.assertEqual((200, ""), self.instances(*scope, signer=DerivationAKSKSigner))
        late = timedelta(hours=-1)
        self.assertEqual(401, self.instances(*scope, signer=DerivationAKSKSigner, late=late)[0])


class ConfiguredTest(HuaweiCase):
    """A server that says which host names are this vendor's, and how often it may be called."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        file = world().lab.dir("config") / "keystow.toml"
        file.write_text('[limits]\nbody_bytes = 10000\n[links.ttl]\nhuawei = "5m"\n'
                        '[dialects.huawei]\nrate = 1000\nhosts = ["cache.keystow.test"]\n'
                        '[dialects.huawei.rates]\nListBackups = 1\n')
        cls.keystow = world().lab.keystow("--config", file)
        for region in ("cn-north-4", "cn-south-1"):
            cls.keystow.cli("instance", "add", world().redis.url, "--id", f"of-{region}", "--region", region)
        cls.key = cls.keystow.admin()

    def client(self, service=gemini, **config):
        """A client of that server."""
        credentials = BasicCredentials(*self.key, ACCOUNT)
        return (CLIENTS[service].new_builder().with_credentials(credentials)
                .with_http_config(HttpConfig(**config)).with_endpoint(self.keystow.server).build())

    def token(self):
        """A token of that server; the account is named by its id."""
        auth = {"identity": {"methods": ["password"], "password": {"user": {
            "name": self.key[0], "password": self.key[1], "domain": {"id": ACCOUNT}}}}}
        login = send("POST", "/v3/auth/tokens", {"auth": auth}, self.keystow, Content_Type="application/json")
        return login[1]["X-Subject-Token"]

    def test_too_many_calls_are_told_how_long_to_wait(self):
        token = self.token()
        for _ in range(3):
            status, headers, body = send("GET", f"/v4/{ACCOUNT}/backups", None, self.keystow, X_Auth_Token=token)
        self.assertEqual((429, "APIGW.0308", "1"), (status, body["error_code"], headers["Retry-After"]))

    def test_too_many_calls_are_refused_and_repeated_by_the_sdk(self):
        logging.getLogger("HuaweiCloud-SDK-GaussDBforNoSQLClient").disabled = True
        client = self.client()
        with self.assertRaises(SdkException) as caught:
            for _ in range(5):
                call(client, gemini, "ListBackups")
        self.assertIn("429", str(caught.exception))
        patient = self.client(retry_times=5)
        self.assertEqual([], call(patient, gemini, "ListBackups", backup_type="Auto").backups)

    def test_a_link_lives_as_long_as_the_operator_says(self):
        backup = self.keystow.json("backup", "create", "of-cn-north-4", "--wait")["id"]
        answer = call(self.client(dds), dds, "ShowBackupDownloadLink", instance_id="of-cn-north-4",
                      backup_id=backup)
        expires = datetime.strptime(answer.files[0].link_expired_time, "%Y-%m-%dT%H:%M:%S%z")
        life = expires - datetime.now(timezone.utc)
        self.assertLess(abs(life - timedelta(minutes=5)), timedelta(seconds=5))

    def test_a_body_may_be_too_large(self):
        body = {"name": "nightly-1", "description": "x" * 10000}
        self.refused(413, "APIGW.0201", lambda: call(
            self.client(), gemini, "CreateBack", instance_id="of-cn-north-4", body=body))

    def test_a_host_name_of_the_vendors_form_narrows_what_is_seen(self):
        token = self.token()
        for host, regions in (("dds.cn-north-4.keystow.test", ["cn-north-4"]),
                              ("dcs.cn-south-1.keystow.test:7360", ["cn-south-1"]),
                              ("cache.keystow.test", ["cn-north-4", "cn-south-1"])):
            headers = {"X_Auth_Token": token, "Host": host}
            body = send("GET", f"/v3/{ACCOUNT}/instances", None, self.keystow, **headers)[2]
            self.assertEqual(regions, sorted(one["region"] for one in body["instances"]), host)
