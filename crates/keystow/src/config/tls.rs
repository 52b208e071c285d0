//! Which listener speaks TLS, and with which files.

use std::path::PathBuf;

use keystow_engine::Result;
use serde::Deserialize;

use super::{Listener, invalid};

/// `[tls]`: files for all listeners, and for each alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    cert: String,
    key: String,
    client_ca: String,
    api: OwnTls,
    download: OwnTls,
    intranet: OwnTls,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnTls {
    cert: String,
    key: String,
    client_ca: String,
    off: bool,
}

/// The files of one listener, PEM.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub(crate) cert: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Authorities, if clients must show a certificate.
    pub(crate) client_ca: Option<PathBuf>,
}

impl Tls {
    /// The files of a listener; `None` if it speaks plain HTTP.
    pub(crate) fn files(&self, listener: Listener) -> Option<TlsFiles> {
        let own = self.own(listener);
        let (cert, key) = if own.cert.is_empty() { (&self.cert, &self.key) } else { (&own.cert, &own.key) };
        let client_ca = if own.client_ca.is_empty() { &self.client_ca } else { &own.client_ca };
        (!own.off && !cert.is_empty()).then(|| TlsFiles {
            cert: cert.into(),
            key: key.into(),
            client_ca: (!client_ca.is_empty()).then(|| client_ca.into()),
        })
    }

    /// What URLs of a listener begin with.
    pub(crate) fn scheme(&self, listener: Listener) -> &'static str {
        if self.files(listener).is_some() { "https" } else { "http" }
    }

    fn own(&self, listener: Listener) -> &OwnTls {
        match listener {
            Listener::Api => &self.api,
            Listener::Download => &self.download,
            Listener::Intranet => &self.intranet,
        }
    }

    /// A certificate and its key stand together, and nobody asks clients for certificates without TLS.
    pub(super) fn check(&self) -> Result<()> {
        let all = [
            ("tls", &self.cert, &self.key),
            ("tls.api", &self.api.cert, &self.api.key),
            ("tls.download", &self.download.cert, &self.download.key),
            ("tls.intranet", &self.intranet.cert, &self.intranet.key),
        ];
        for (name, cert, key) in all {
            if cert.is_empty() != key.is_empty() {
                return Err(invalid(format!("{name}.cert and {name}.key are set together or not at all")));
            }
        }
        if !self.client_ca.is_empty()
            && [&self.cert, &self.api.cert, &self.download.cert, &self.intranet.cert]
                .into_iter()
                .all(String::is_empty)
        {
            return Err(invalid("tls.client_ca is set, but no listener has a certificate"));
        }
        for (name, listener) in
            [("api", Listener::Api), ("download", Listener::Download), ("intranet", Listener::Intranet)]
        {
            if !self.own(listener).client_ca.is_empty() && self.files(listener).is_none() {
                return Err(invalid(format!("tls.{name}.client_ca is set, but that listener has no TLS")));
            }
        }
        Ok(())
    }
}
