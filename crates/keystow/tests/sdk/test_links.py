"""Download links: whom they serve, and what makes them worthless."""

import hashlib
import unittest
from datetime import datetime, timezone
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree

from lab import sha256, wait_until
from world import ALIBABA_INSTANCE, get, world


class LinkTest(unittest.TestCase):
    """One backup, its links, and plain HTTP."""

    @classmethod
    def setUpClass(cls):
        keystow = world().keystow
        cls.backup = keystow.json("backup", "create", ALIBABA_INSTANCE, "--wait")
        cls.part = cls.backup["parts"][0]
        cls.short_lived = cls.link("--ttl", "1s")["public"]
        both = cls.link("--network", "both")
        cls.public, cls.intranet = both["public"]["url"], both["intranet"]["url"]

    @classmethod
    def link(cls, *options):
        """Links of the backup, by network."""
        made = world().keystow.json("link", "create", cls.backup["id"], *options)
        return {link["network"]: link for link in made["links"]}

    def assert_refused(self, url):
        """403 with an object store's XML body, which names a code."""
        status, headers, body = get(url)
        self.assertEqual((403, "application/xml"), (status, headers.get_content_type()), body[:300])
        error = ElementTree.fromstring(body)
        self.assertEqual("Error", error.tag)
        self.assertTrue(error.findtext("Code"))
        return error

    def with_parameter(self, name, change):
        """The public link with one parameter's value changed."""
        url = urlsplit(self.public)
        values = dict(parse_qsl(url.query, strict_parsing=True))
        values[name] = change(values[name])
        return urlunsplit(url._replace(query=urlencode(values)))

    def test_it_delivers_the_very_bytes_that_were_verified(self):
        for url in (self.public, self.intranet):
            status, headers, body = get(url)
            self.assertEqual(200, status)
            self.assertEqual(self.part["sha256"], hashlib.sha256(body).hexdigest())
            self.assertEqual(str(self.part["size_bytes"]), headers["Content-Length"])

    def test_head_tells_the_same_as_get_and_sends_nothing(self):
        status, headers, body = get(self.public, method="HEAD")
        self.assertEqual((200, b""), (status, body))
        self.assertEqual(str(self.part["size_bytes"]), headers["Content-Length"])

    def test_an_interrupted_download_goes_on_where_it_stopped(self):
        whole = get(self.public)[2]
        status, headers, rest = get(self.public, Range="bytes=1000-")
        self.assertEqual((206, whole[1000:]), (status, rest))
        self.assertEqual(f"bytes 1000-{len(whole) - 1}/{len(whole)}", headers["Content-Range"])

    def test_the_command_line_fetches_and_verifies_it(self):
        keystow, file = world().keystow, world().lab.dir("fetch") / "dump.rdb"
        keystow.cli("fetch", self.public, "-o", file)
        self.assertEqual(self.part["sha256"], sha256(file))
        self.assertTrue(keystow.json("verify", file)["ok"])

    def test_an_intranet_link_is_refused_on_the_public_listener(self):
        keystow = world().keystow
        self.assert_refused(self.intranet.replace(f":{keystow.intranet}/", f":{keystow.download}/"))

    def test_a_public_link_is_refused_on_the_intranet_listener(self):
        keystow = world().keystow
        self.assert_refused(self.public.replace(f":{keystow.download}/", f":{keystow.intranet}/"))

    def test_a_link_with_a_later_expiry_is_refused(self):
        self.assert_refused(self.with_parameter("Expires", lambda value: str(int(value) + 1)))

    def test_a_link_with_another_signature_is_refused(self):
        self.assert_refused(self.with_parameter("Signature", lambda value: value[:9] + value[9:][::-1]))

    def test_a_link_with_half_a_signature_is_refused(self):
        self.assert_refused(self.with_parameter("Signature", lambda value: value[:len(value) // 2]))

    def test_a_link_to_another_file_name_is_refused(self):
        self.assert_refused(self.public.replace(".rdb?", ".aof?"))

    def test_a_link_that_a_shell_cut_at_the_ampersand_is_refused(self):
        self.assert_refused(self.public.partition("&")[0])

    def test_an_expired_link_is_refused(self):
        expiry = datetime.fromisoformat(self.short_lived["expires_at"])
        wait_until(lambda: datetime.now(timezone.utc) > expiry, 30, "the link to expire")
        wait_until(lambda: get(self.short_lived["url"])[0] != 200, 2, "the server to notice")
        error = self.assert_refused(self.short_lived["url"])
        self.assertIn("expired", error.findtext("Message"))
