"""Servers with a configuration of their own, beside the one of the shared world."""

from world import world

def server(settings, *, certificate=None):
    """Start a server with a configuration file; with a certificate its API speaks https."""
    lab = world().lab
    if certificate:
        settings += f'\n[tls.api]\ncert = "{certificate.cert}"\nkey = "{certificate.key}"\n'
    file = lab.dir("config") / "keystow.toml"
    file.write_text(settings)
    keystow = lab.keystow("--config", file, ca=certificate and certificate.ca)
    keystow.config_file = file
    return keystow


def reconfigure(keystow, settings):
    """Stop a server of ours and start it with other settings."""
    keystow.stop()
    keystow.config_file.write_text(settings)
    keystow.start()


def import_key(keystow, key, role, *options, token=None):
    """Give a server an access key: (id, secret)."""
    access_key_id, secret = key
    folder = world().lab.dir("secret")
    words = ["key", "create", "--id", access_key_id, "--role", role, *options]
    for option, text in (("--secret-file", secret), ("--session-token-file", token)):
        if text:
            file = folder / option.strip("-")
            file.write_text(text)
            file.chmod(0o600)
            words += [option, file]
    keystow.cli(*words)
