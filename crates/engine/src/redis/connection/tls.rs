//! TLS to a server, and what its failures mean to whoever set it up.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error as TlsError, RootCertStore,
    StreamOwned,
};
use tokio_util::sync::CancellationToken;

use super::socket::until;
use crate::error::{Error, Kind, Result};
use crate::redis::{Node, TlsOptions};

impl TlsOptions {
    /// Whether connections can be made with these: certificates and key are readable and belong together.
    pub fn check(&self) -> Result<()> {
        self.config()?;
        self.name("localhost").map(|_| ())
    }

    fn config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone())
            .build()
            .map_err(|error| Error::internal("TLS cannot be set up", error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("TLS cannot be set up", error))?
            .with_webpki_verifier(verifier);
        let (chain, key) = match (&self.certificate_pem, &self.key_pem) {
            (None, None) => return Ok(builder.with_no_client_auth()),
            (Some(chain), Some(key)) => (chain, key),
            _ => {
                return Err(Error::invalid("a client certificate without its key, or the reverse")
                    .hint("give both --tls-cert and --tls-key"));
            }
        };
        let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| {
            Error::invalid("the client's key is not a private key in PEM").hint("check --tls-key")
        })?;
        builder.with_client_auth_cert(certificates(chain, "--tls-cert")?, key).map_err(|error| {
            Error::invalid("the client's certificate and key cannot be used")
                .because(error)
                .hint("check that --tls-key is the key of --tls-cert")
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(authorities) = &self.ca_pem else {
            // Of the system's, those that do not read are left out, as every other program does.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Error::invalid("this system trusts no certificate authority at all")
                    .hint("install its package of CA certificates, or give --tls-ca"));
            }
            return Ok(roots);
        };
        for certificate in certificates(authorities, "--tls-ca")? {
            roots.add(certificate).map_err(|error| {
                Error::invalid("an authority's certificate cannot be used")
                    .because(error)
                    .hint("check --tls-ca")
            })?;
        }
        Ok(roots)
    }

    /// The name that the certificate must be for.
    fn name(&self, host: &str) -> Result<ServerName<'static>> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::invalid("no certificate can be for that host")
                .because(name)
                .hint("check --tls-server-name")
        })
    }
}

fn certificates(pem: &str, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|error| {
            Error::invalid("a certificate is not PEM").because(error).hint(format!("check {setting}"))
        })?;
    if all.is_empty() {
        return Err(
            Error::invalid("there is no certificate in the PEM text").hint(format!("check {setting}"))
        );
    }
    Ok(all)
}

/// Shakes hands on a connected socket.
pub(super) fn shake_hands(
    mut socket: TcpStream,
    (node, host): (&Node, &str),
    options: &TlsOptions,
    deadline: Instant,
    cancel: &CancellationToken,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut client = ClientConnection::new(Arc::new(options.config()?), options.name(host)?)
        .map_err(|error| Error::internal("TLS cannot be set up", error))?;
    until(deadline, cancel, || {
        while client.is_handshaking() {
            client.complete_io(&mut socket)?;
        }
        Ok(())
    })
    .map_err(|error| match error.kind() {
        _ if cancel.is_cancelled() => Error::cancelled(),
        // A server without TLS takes the greeting for the start of a command and waits for its end.
        ErrorKind::TimedOut => failed(node, "did not answer the TLS handshake in time", Kind::Unreachable)
            .hint("check that the port speaks TLS: redis:// reaches one that does not"),
        _ => failure(node, &error).unwrap_or_else(|| {
            failed(node, "broke the TLS handshake off", Kind::Unreachable)
                .because(error)
                .hint("check that the port speaks TLS; the server's own log says more")
        }),
    })?;
    Ok(StreamOwned::new(client, socket))
}

fn failed(node: &Node, what: &str, kind: Kind) -> Error {
    Error::new(kind, "SOURCE_TLS", format!("{node} {what}"))
}

/// What a failure of TLS means; `None` if it is none. It may come after the handshake: with TLS 1.3 a server refuses
/// a client's certificate only then.
pub(super) fn failure(node: &Node, error: &io::Error) -> Option<Error> {
    let tls = error.get_ref()?.downcast_ref::<TlsError>()?;
    let (what, hint) = match tls {
        TlsError::InvalidCertificate(reason) => refused_by_us(reason),
        TlsError::AlertReceived(alert) => refused_by_server(*alert),
        TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } => (
            "does not speak TLS on this port",
            "use the TLS port (tls-port), or redis:// if the server has none",
        ),
        TlsError::PeerIncompatible(_) => {
            ("speaks no version or cipher of TLS that is safe", "allow TLS 1.2 or 1.3 there: tls-protocols")
        }
        _ => ("failed at TLS", "the server's own log may say more"),
    };
    Some(failed(node, what, Kind::Denied).because(tls).hint(hint))
}

fn refused_by_us(reason: &CertificateError) -> (&'static str, &'static str) {
    match reason {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "shows a certificate for another name",
            "connect by a name that the certificate holds, or name it with --tls-server-name",
        ),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => (
            "shows a certificate that is not valid at this time",
            "renew the server's certificate; check the clocks of both hosts",
        ),
        _ => (
            "shows a certificate that is not trusted",
            "give the authority that signed it with --tls-ca; its certificate must be a version 3 one",
        ),
    }
}

fn refused_by_server(alert: AlertDescription) -> (&'static str, &'static str) {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::HandshakeFailure
        | AlertDescription::NoCertificate => (
            "wants a client certificate",
            "give one with --tls-cert and --tls-key, of an authority in the server's tls-ca-cert-file",
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => (
            "refused our client certificate",
            "check --tls-cert: it must be valid, and of an authority in the server's tls-ca-cert-file",
        ),
        AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
            ("speaks no version or cipher of TLS that is safe", "allow TLS 1.2 or 1.3 there: tls-protocols")
        }
        AlertDescription::UnrecognisedName => {
            ("does not know the name that it was called by", "name it with --tls-server-name")
        }
        _ => ("refused TLS", "the server's own log may say more"),
    }
}

/// A server that ends the connection before it ever answered, right after TLS began.
pub(super) fn hung_up(node: &Node) -> Error {
    failed(node, "closed the connection right after the TLS handshake", Kind::Denied).hint(
        "servers do so when they want a client certificate: --tls-cert and --tls-key; the server's own log says why",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn node() -> Node {
        Node::Tcp { host: "cache".to_owned(), port: 1, tls: true }
    }

    fn hint_of(error: TlsError) -> String {
        let found = failure(&node(), &io::Error::new(ErrorKind::InvalidData, error)).unwrap();
        assert_eq!(found.code, "SOURCE_TLS");
        found.hint.unwrap().into_owned()
    }

    #[test]
    fn each_failure_names_the_setting_that_mends_it() {
        for (error, setting) in [
            (TlsError::InvalidCertificate(CertificateError::UnknownIssuer), "--tls-ca"),
            (TlsError::InvalidCertificate(CertificateError::NotValidForName), "--tls-server-name"),
            (TlsError::InvalidCertificate(CertificateError::Expired), "clocks"),
            (TlsError::AlertReceived(AlertDescription::CertificateRequired), "--tls-cert and --tls-key"),
            (TlsError::AlertReceived(AlertDescription::HandshakeFailure), "--tls-cert and --tls-key"),
            (TlsError::AlertReceived(AlertDescription::UnknownCA), "--tls-cert"),
        ] {
            let text = error.to_string();
            let hint = hint_of(error);
            assert!(hint.contains(setting), "{text}: {hint}");
        }
        assert!(failure(&node(), &ErrorKind::ConnectionReset.into()).is_none());
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let pem = |text: &str| Some(text.to_owned());
        let key = |text: &str| Some(Secret::new(text));
        for (options, setting) in [
            (TlsOptions { ca_pem: pem("nothing"), ..TlsOptions::default() }, "--tls-ca"),
            (TlsOptions { certificate_pem: pem("x"), ..TlsOptions::default() }, "--tls-key"),
            (TlsOptions { key_pem: key("x"), ..TlsOptions::default() }, "--tls-cert"),
            (
                TlsOptions { certificate_pem: pem("x"), key_pem: key("x"), ..TlsOptions::default() },
                "--tls-key",
            ),
        ] {
            let refused = options.check().unwrap_err();
            assert_eq!(refused.code, "INVALID_VALUE");
            assert!(refused.hint.unwrap().contains(setting), "{setting}");
        }
        let name = TlsOptions { server_name: pem("not a name"), ..TlsOptions::default() };
        assert!(name.name("h").unwrap_err().hint.unwrap().contains("--tls-server-name"));
    }
}
