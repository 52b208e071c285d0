//! Certificates of a listener, read again when their files change.

use std::fs::File;
use std::future::Future;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keystow_engine::{Error, Kind, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CipherSuite, RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The files of one listener, PEM.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub(crate) cert: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Authorities, if clients must show a certificate.
    pub(crate) client_ca: Option<PathBuf>,
}

/// What a listener shows its clients. Connections keep what they began with.
pub(crate) struct Certificates {
    files: TlsFiles,
    config: Mutex<Arc<ServerConfig>>,
    /// What the files looked like when they were last read, whether or not that went well.
    seen: Mutex<Vec<Option<Look>>>,
}

/// What tells one state of a file from another: device, inode, size, and time of the last change.
type Look = (u64, u64, u64, i64, i64);

impl Certificates {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Self> {
        let seen = Mutex::new(files.look());
        let config = Mutex::new(files.read()?);
        Ok(Self { files, config, seen })
    }

    /// The configuration for the next connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again if they changed, or in any case. What is broken is not taken.
    fn refresh(&self, in_any_case: bool) {
        // First looked at, then read: a change in between is seen the next time.
        let look = self.files.look();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_any_case && *seen == look {
            return;
        }
        *seen = look;
        let cert = self.files.cert.display();
        match self.files.read() {
            Ok(config) => {
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!(%cert, "the certificate was read again");
            }
            Err(error) => {
                tracing::warn!(%cert, %error, "the new certificate is not usable; the old one stays");
            }
        }
    }
}

/// Keeps certificates fresh until `stop`. From the call on, SIGHUP has them read at once and ends nothing.
pub(super) fn keep_fresh(
    all: Vec<Arc<Certificates>>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let hangup = signal(SignalKind::hangup());
    async move {
        match hangup {
            Ok(hangup) => look_again(&all, hangup, stop).await,
            Err(error) => tracing::error!(%error, "cannot wait for SIGHUP; certificates are not read again"),
        }
    }
}

async fn look_again(all: &[Arc<Certificates>], mut hangup: Signal, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let in_any_case = tokio::select! {
            _ = ticks.tick(), if !all.is_empty() => false,
            _ = hangup.recv() => true,
            () = stop.cancelled() => return,
        };
        let all = all.to_vec();
        let refreshed =
            tokio::task::spawn_blocking(move || all.iter().for_each(|one| one.refresh(in_any_case)));
        if let Err(error) = refreshed.await {
            tracing::error!(%error, "the certificates cannot be looked at");
        }
    }
}

impl TlsFiles {
    fn look(&self) -> Vec<Option<Look>> {
        let paths = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        paths.into_iter().flatten().map(|path| look_at(path)).collect()
    }

    fn read(&self) -> Result<Arc<ServerConfig>> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_reader(BufReader::new(open(&self.key)?))
            .map_err(|error| unusable(&self.key, error))?;
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| Error::internal("TLS cannot be set up", error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(authorities(path)?, provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(path, error))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(&self.cert, error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ignore_client_order = true;
        Ok(Arc::new(config))
    }
}

/// The provider with AES-128-GCM in front: it is strong enough for any backup and the cheapest per byte.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let cheap = |suite: CipherSuite| {
        !matches!(
            suite,
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    provider.cipher_suites.sort_by_key(|suite| cheap(suite.suite()));
    provider
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_reader_iter(BufReader::new(open(path)?)).collect();
    let found = read.map_err(|error| unusable(path, error))?;
    if found.is_empty() { Err(unusable(path, "it holds no certificate")) } else { Ok(found) }
}

fn authorities(path: &Path) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    Ok(Arc::new(roots))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, "TLS_UNUSABLE", format!("cannot use {} for TLS", path.display()))
        .because(cause)
        .hint("it is PEM: the certificate with its chain in tls.cert, its own private key in tls.key")
}

fn look_at(path: &Path) -> Option<Look> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &TlsFiles, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    fn files(folder: &tempfile::TempDir) -> TlsFiles {
        let path = |name| folder.path().join(name);
        TlsFiles { cert: path("cert.pem"), key: path("key.pem"), client_ca: None }
    }

    #[test]
    fn a_changed_pair_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        write(&files, "first.example");
        let certificates = Certificates::load(files.clone()).unwrap();
        let first = certificates.current();
        certificates.refresh(false);
        assert!(Arc::ptr_eq(&certificates.current(), &first), "nothing changed");

        let key = std::fs::read(&files.key).unwrap();
        for broken in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&files.cert, broken).unwrap();
            certificates.refresh(false);
            assert!(Arc::ptr_eq(&certificates.current(), &first), "{broken:?}");
        }
        write(&files, "second.example");
        let second_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, key).unwrap();
        certificates.refresh(true);
        assert!(Arc::ptr_eq(&certificates.current(), &first), "a certificate with another's key");
        std::fs::remove_file(&files.key).unwrap();
        certificates.refresh(false);
        assert!(Arc::ptr_eq(&certificates.current(), &first), "a key that is gone");

        std::fs::write(&files.key, second_key).unwrap();
        certificates.refresh(false);
        assert!(!Arc::ptr_eq(&certificates.current(), &first));
    }

    #[test]
    fn files_that_are_no_certificates_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(&folder);
        let refused = |files: &TlsFiles| Certificates::load(files.clone()).err().unwrap();
        assert!(refused(&files).message.contains("cert.pem"));
        write(&files, "a.example");
        files.client_ca = Some(files.key.clone());
        let error = refused(&files);
        assert_eq!(error.code, "TLS_UNUSABLE");
        assert!(error.message.contains("key.pem"), "{}", error.message);
    }
}
