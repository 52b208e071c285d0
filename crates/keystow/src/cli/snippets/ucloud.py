# UCloud UMem: pip install ucloud-sdk-python3
import os

from ucloud.client import Client

client = Client({
    "base_url": "{server}",
    "region": "{region}",
    "project_id": "{project}",
    "public_key": "{access_key_id}",
    "private_key": os.environ["KEYSTOW_ACCESS_KEY_SECRET"],
})
for instance in client.umem().describe_umem({"Protocol": "redis"})["DataSet"]:
    print(instance["ResourceId"])
