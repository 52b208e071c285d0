# Alibaba Cloud R-kvstore: pip install alibabacloud-r-kvstore20150101
import os

from alibabacloud_r_kvstore20150101.client import Client
from alibabacloud_r_kvstore20150101.models import DescribeInstancesRequest
from alibabacloud_tea_openapi.models import Config

client = Client(Config(
    access_key_id="{access_key_id}",
    access_key_secret=os.environ["KEYSTOW_ACCESS_KEY_SECRET"],
    endpoint="{authority}",
    protocol="{scheme}",
    region_id="{region}",
))
for instance in client.describe_instances(DescribeInstancesRequest()).body.instances.kvstore_instance:
    print(instance.instance_id)
