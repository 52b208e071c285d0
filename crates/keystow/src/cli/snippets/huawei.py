# Huawei Cloud DDS, whose API has the download links: pip install huaweicloudsdkdds
import os

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkdds.v3 import DdsClient, ListInstancesRequest

credentials = BasicCredentials("{access_key_id}", os.environ["KEYSTOW_ACCESS_KEY_SECRET"], "{project}")
client = DdsClient.new_builder().with_credentials(credentials).with_endpoint("{server}").build()
for instance in client.list_instances(ListInstancesRequest()).instances:
    print(instance.id)
