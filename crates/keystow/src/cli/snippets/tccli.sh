# tccli: pip install tccli
export TENCENTCLOUD_SECRET_ID='{access_key_id}'
export TENCENTCLOUD_SECRET_KEY="$KEYSTOW_ACCESS_KEY_SECRET"
tccli redis DescribeInstances --region '{region}' --endpoint '{endpoint}'
