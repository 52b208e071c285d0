"""The vendors' unmodified SDKs, pointed at a Keystow server. Nothing here knows how requests are signed."""

from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from alibabacloud_r_kvstore20150101.client import Client as TeaClient
from alibabacloud_tea_openapi.models import Config
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.redis.v20180412.redis_client import RedisClient

ALIBABA_REGION = "cn-hangzhou"
TENCENT_REGION = "ap-guangzhou"


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


def tencent(port, access_key_id, secret, sign_method="TC3-HMAC-SHA256", method="POST"):
    """tencentcloud-sdk-python-redis: API 3.0."""
    http = HttpProfile(protocol="http", endpoint=f"127.0.0.1:{port}", reqMethod=method, reqTimeout=30)
    profile = ClientProfile(signMethod=sign_method, httpProfile=http, language="en-US")
    return RedisClient(Credential(access_key_id, secret), TENCENT_REGION, profile)
