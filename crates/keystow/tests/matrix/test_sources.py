"""Sources that are hard to get at: TLS with client certificates, and an ACL that hides replication."""

import unittest

import story
from certificate import Certificate
from lab import Lab

VERSION = "redis-7.0"
QUICK = ("--repl-diskless-sync-delay", "0")


class Sources(unittest.TestCase):
    """Backed up and restored to their like."""

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.keystow = self.lab.keystow()

    def test_tls_with_client_certificates(self):
        """Source and target let nobody in without a certificate of their authority."""
        certificate = Certificate(self.lab.dir("tls"))
        options = ("--tls-auth-clients", "yes", *QUICK)
        source = self.lab.redis(*options, version=VERSION, certificate=certificate)
        target = self.lab.redis(*options, version=VERSION, certificate=certificate)
        story.fill(source, VERSION)
        trust = ("--tls-ca", certificate.ca)
        shown = (*trust, "--tls-cert", certificate.cert, "--tls-key", certificate.key)
        for options, code in (((), "SOURCE_TLS"), (trust, "SOURCE_TLS"),
                              ((*shown, "--tls-server-name", "other.example"), "SOURCE_TLS")):
            refused = self.keystow.run("instance", "add", source.url, "--id", "tls", *options)
            self.assertNotEqual(refused.returncode, 0, options)
            self.assertIn(code, refused.stderr)
        self.keystow.cli("instance", "add", source.url, "--id", "tls", *shown)
        self.keystow.cli("instance", "add", target.url, "--id", "copy", *shown)
        backup = self.keystow.json("backup", "create", "tls", "--wait")
        self.assertEqual(backup["state"], "available", backup)
        self.keystow.cli("restore", backup["id"], "--to", target.url, "--as", "commands", "--yes", *shown)
        story.Facts([target], VERSION).assert_same(self, story.Facts([source], VERSION))
        self.keystow.cli("restore", backup["id"], "--to", "copy", "--on-conflict", "replace", "--yes")
        story.Facts([target], VERSION).assert_same(self, story.Facts([source], VERSION))

    def test_logical_where_the_acl_hides_psync(self):
        """Every version; the backup says that it is not of one instant."""
        for version in story.VERSIONS:
            with self.subTest(version):
                source = self.lab.redis(*QUICK, version=version)
                story.fill(source, version)
                source.call("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-psync", "-sync",
                            "-replconf")
                name = version.replace(".", "-")
                self.keystow.cli("instance", "add", source.url.replace("//", "//app:word@"), "--id", name)
                backup = self.keystow.json("backup", "create", name, "--wait")
                self.assertEqual((backup["state"], backup["method"]), ("available", "logical"))
                self.assertFalse(backup["origin"]["one_instant"])
                target = self.lab.redis(version=version)
                self.keystow.cli("restore", backup["id"], "--to", target.url, "--yes")
                story.Facts([target], version).assert_same(self, story.Facts([source], version))
                source.stop()
                target.stop()


if __name__ == "__main__":
    unittest.main()
