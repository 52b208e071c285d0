# Tencent Cloud API 3.0: pip install tencentcloud-sdk-python-redis
import os

from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.redis.v20180412 import models
from tencentcloud.redis.v20180412.redis_client import RedisClient

credential = Credential("{access_key_id}", os.environ["KEYSTOW_ACCESS_KEY_SECRET"])
http = HttpProfile(protocol="{scheme}", endpoint="{authority}")
client = RedisClient(credential, "{region}", ClientProfile(httpProfile=http))
for instance in client.DescribeInstances(models.DescribeInstancesRequest()).InstanceSet:
    print(instance.InstanceId)
