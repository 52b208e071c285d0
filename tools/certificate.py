"""A throw-away authority and its certificate for localhost, for clients that speak nothing but https."""

import subprocess

# Two kinds of certificate: an authority's, and one that it gives to a server on this host.
_OPENSSL = """
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, DNS:redis.api.qcloud.com, IP:127.0.0.1
authorityKeyIdentifier = keyid
"""


class Certificate:
    """A private authority, and a certificate of it for localhost and one name of a vendor's."""

    def __init__(self, folder):
        self.config = folder / "openssl.cnf"
        self.config.write_text(_OPENSSL)
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "cert.key"
        ca_key = folder / "ca.key"
        self._make("ca", ca_key, self.ca, "-subj", "/CN=Authority of the laboratory")
        self._make("server", self.key, self.cert, "-CA", self.ca, "-CAkey", ca_key)

    def _make(self, kind, key, cert, *options):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                   "-nodes", "-days", "2", "-config", self.config, "-extensions", kind,
                   "-keyout", key, "-out", cert, *options]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)

    def server_options(self):
        """What a redis-server needs to show it, and to trust clients with one of this authority."""
        return ("--tls-cert-file", str(self.cert), "--tls-key-file", str(self.key),
                "--tls-ca-cert-file", str(self.ca), "--tls-auth-clients", "optional",
                "--tls-replication", "yes", "--tls-cluster", "yes")
