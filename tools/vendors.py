"""The vendors' unmodified SDKs, pointed at a Keystow server. Nothing here knows how requests are signed."""

import json
import os
from unittest import mock

from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from alibabacloud_r_kvstore20150101.client import Client as TeaClient
from alibabacloud_tea_openapi.models import Config
from QcloudApi.qcloudapi import QcloudApi
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.region.region import Region
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.redis.v20180412.redis_client import RedisClient
from ucloud.client import Client as UcloudClient

ALIBABA_REGION = "cn-hangzhou"
TENCENT_REGION = "ap-guangzhou"
HUAWEI_REGION = "cn-north-4"
UCLOUD_REGION = "cn-bj2"


class AlibabaCore:
    """aliyun-python-sdk-core: parameters signed with HMAC-SHA1."""

    def __init__(self, port, access_key_id, secret, token=None):
        if token:
            credential = StsTokenCredential(access_key_id, secret, token)
            self._client = AcsClient(region_id=ALIBABA_REGION, credential=credential, port=port)
        else:
            self._client = AcsClient(access_key_id, secret, ALIBABA_REGION, port=port)

    def send(self, request):
        """One call, answered in JSON; the raw bytes."""
        return self._client.do_action_with_exception(_local(request))

    def send_xml(self, request):
        """One call without naming a format; the vendor's default is XML."""
        return self._client.do_action(_local(request))


def _local(request):
    request.set_endpoint("127.0.0.1")
    return request


def alibaba_tea(port, access_key_id, secret, token=None, algorithm=None):
    """alibabacloud-r-kvstore20150101: ACS3-HMAC-SHA256, or with the algorithm v2 the older way."""
    return TeaClient(Config(
        access_key_id=access_key_id, access_key_secret=secret, security_token=token, region_id=ALIBABA_REGION,
        endpoint=f"127.0.0.1:{port}", protocol="HTTP", signature_algorithm=algorithm))


def tencent(port, access_key_id, secret, sign_method="TC3-HMAC-SHA256", method="POST", *,
            region=TENCENT_REGION, host="127.0.0.1", token=None, language="en-US", ca=None):
    """tencentcloud-sdk-python-redis: API 3.0; https with `ca`."""
    http = HttpProfile(protocol="https" if ca else "http", endpoint=f"{host}:{port}", reqMethod=method,
                       reqTimeout=30, certification=ca and str(ca))
    profile = ClientProfile(signMethod=sign_method, httpProfile=http, language=language)
    return RedisClient(Credential(access_key_id, secret, token), region, profile)


class TencentV2:
    """qcloudapi-sdk-python: API v2. It speaks https only, and learns of an authority by the environment."""

    def __init__(self, port, access_key_id, secret, sign_method, method, *, ca, region="gz", token=None,
                 module="crs"):
        self._ca = ca
        self._api = QcloudApi(module, {
            "secretId": access_key_id, "secretKey": secret, "SignatureMethod": sign_method, "method": method,
            "Region": region, "Token": token or "", "endpoint": f"localhost:{port}"})

    def call(self, action, **parameters):
        """One call; the answer, which the SDK leaves unread."""
        with mock.patch.dict(os.environ, SSL_CERT_FILE=str(self._ca), https_proxy="", HTTPS_PROXY=""):
            return json.loads(self._api.call(action, parameters))

    def url(self, action, **parameters):
        """The signed URL of a call."""
        return self._api.generateUrl(action, parameters)


def huawei(service, port, access_key_id, secret, project, token=None):
    """huaweicloudsdkdds, …gaussdbfornosql or …dcs: `service` is the class of its client."""
    credentials = BasicCredentials(access_key_id, secret, project)
    if token:
        credentials = credentials.with_security_token(token)
    builder = service.new_builder().with_credentials(credentials)
    return builder.with_endpoint(f"http://127.0.0.1:{port}").build()


def huawei_by_region(service, port, access_key_id, secret):
    """The same without a project id: the SDK asks IAM for the project of the region."""
    server = f"http://127.0.0.1:{port}"
    credentials = BasicCredentials(access_key_id, secret).with_iam_endpoint(server)
    builder = service.new_builder().with_credentials(credentials)
    return builder.with_region(Region(HUAWEI_REGION, server)).build()


def ucloud(port, public_key, private_key, project=None, path=""):
    """ucloud-sdk-python3: POST with a form."""
    return UcloudClient({
        "base_url": f"http://127.0.0.1:{port}{path}", "region": UCLOUD_REGION, "project_id": project,
        "public_key": public_key, "private_key": private_key})
