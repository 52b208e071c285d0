//! What a server wants to see before it lets us in: user, password, certificates.

use crate::model::Secret;

/// All that is needed to be let in, at any server of an instance.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// For the servers that hold the data.
    pub credentials: Credentials,
    /// For the Sentinels, which have users of their own.
    pub sentinel: Credentials,
    /// For connections with TLS, to either.
    pub tls: TlsOptions,
}

impl Login {
    /// The same, as a Sentinel is to see it.
    pub(super) fn at_sentinel(&self) -> Self {
        Self { credentials: self.sentinel.clone(), ..self.clone() }
    }
}

/// User and password for a server.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// ACL user; `None` = the default user.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
}

/// Whom to trust, and what to show, on connections with TLS. The default trusts the authorities that the operating
/// system trusts, and shows nothing.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The authorities to trust instead of the system's, PEM.
    pub ca_pem: Option<String>,
    /// The certificate to show, and those between it and its authority, PEM.
    pub certificate_pem: Option<String>,
    /// Its private key, PEM.
    pub key_pem: Option<Secret>,
    /// The name that certificates must be for, instead of the host that was connected to. It holds for every server
    /// of an instance.
    pub server_name: Option<String>,
}
