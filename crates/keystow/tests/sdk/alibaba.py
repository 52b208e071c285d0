"""Alibaba Cloud's SDKs, brought to one shape for the tests: three ways to sign the same calls."""

import importlib
import json
import re
from datetime import datetime, timedelta, timezone
from unittest import mock
from xml.etree import ElementTree

import vendors
from alibabacloud_r_kvstore20150101 import models
from alibabacloud_tea_openapi import models as openapi
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.request import CommonRequest
from darabonba.runtime import RuntimeOptions
from Tea.exceptions import TeaException


def minute(hours=0):
    """A moment so many hours from now, the way that this API takes it."""
    return (datetime.now(timezone.utc) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%MZ")


def core_request(action, parameters):
    """A request of the first generation, which names its client's region by itself."""
    module = importlib.import_module(f"aliyunsdkr_kvstore.request.v20150101.{action}Request")
    request = getattr(module, f"{action}Request")()
    for name, value in parameters.items():
        if name != "RegionId":
            getattr(request, f"set_{name}")(value)
    return request


class Core:
    """First generation: signature V1."""

    nonce = "aliyunsdkcore.utils.parameter_helper.get_uuid"
    clock = "aliyunsdkcore.utils.parameter_helper.get_iso_8061_date"

    def __init__(self, port, key):
        self._client = vendors.AlibabaCore(port, *key)

    def call(self, action, **parameters):
        """One call; the JSON answer."""
        return json.loads(self._client.send(core_request(action, parameters)))

    def xml(self, action, **parameters):
        """One call in the API's default format."""
        return ElementTree.fromstring(self._client.send_xml(core_request(action, parameters)))

    def common(self, action, query=None, form=None):
        """One call of any action, some parameters in the query and some in a form; the JSON answer."""
        request = CommonRequest(domain="127.0.0.1", version="2015-01-01", action_name=action)
        request.set_method("POST" if form else "GET")
        for name, value in (query or {}).items():
            request.add_query_param(name, value)
        for name, value in (form or {}).items():
            request.add_body_params(name, value)
        return json.loads(self._client.send(request))


class Tea:
    """Second generation: signature V3."""

    algorithm = None
    nonce = "alibabacloud_tea_openapi.utils.Utils.get_nonce"
    clock = "alibabacloud_tea_openapi.utils.Utils.get_timestamp"

    def __init__(self, port, key):
        self._client = vendors.alibaba_tea(port, *key, algorithm=self.algorithm)

    def call(self, action, **parameters):
        """One call; the JSON answer."""
        request = getattr(models, f"{action}Request")().from_map(parameters)
        method = re.sub("(?<!^)([A-Z])", r"_\1", action).lower()
        return getattr(self._client, method)(request).body.to_map()

    def common(self, action, query=None, form=None):
        """One call of any action, some parameters in the query and some in a form; the JSON answer."""
        params = openapi.Params(
            action=action, version="2015-01-01", protocol="HTTP", pathname="/",
            method="POST", auth_type="AK", style="RPC", req_body_type="formData", body_type="json")
        request = openapi.OpenApiRequest(query=query, body=form)
        return self._client.call_api(params, request, RuntimeOptions())["body"]


class TeaV2(Tea):
    """Second generation, told to sign as the first one does."""

    algorithm = "v2"


def fixed(what, value):
    """Make an SDK use this nonce or this time."""
    return mock.patch(what, return_value=value)


def failure(test, call):
    """(code, message, status) of the exception that a call ends with."""
    with test.assertRaises((ServerException, TeaException)) as caught:
        call()
    error = caught.exception
    if isinstance(error, ServerException):
        return error.get_error_code(), error.get_error_msg(), error.get_http_status()
    return error.code, error.message, error.statusCode
