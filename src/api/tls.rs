//! The box's certificate: the school's own, or one that the box makes at first start.
//!
//! Belongs here: reading, making, and the fingerprint by which people know it. Does not belong:
//! connections (`server`).

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::accounts::replace;
use crate::error::{ErrorKind, Kind, advice};

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate and those above it, PEM.
    pub chain: PathBuf,
    /// Its secret key, PEM.
    pub key: PathBuf,
    /// Whether the box makes both where they are missing.
    pub own: bool,
}

/// What can be wrong with a certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}{hint}", path = path.display(), hint = advice(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the key.
    #[error("{path} can be read by others (mode {mode:03o}): run `chmod 600` on it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What is in a file is of no use.
    #[error("{path} is of no use: {problem}", path = path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

impl Kind for TlsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Exposed { .. } | Self::Bad { .. } => ErrorKind::Config,
        }
    }
}

/// A certificate in use.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, as browsers show it.
    pub(super) fingerprint: String,
}

impl Certificate {
    /// Reads it; makes it first where it is the box's own and not there yet, for `names`.
    pub(super) fn load(&self, names: Vec<String>) -> Result<Loaded, TlsError> {
        if self.own && !self.chain.exists() && !self.key.exists() {
            self.make(names)?;
        }
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Io { path, source }
        };
        let bad = |path: &Path, problem: String| TlsError::Bad { path: path.to_owned(), problem };
        let found = std::fs::metadata(&self.key).map_err(io(&self.key))?;
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TlsError::Exposed { path: self.key.clone(), mode });
        }
        let text = std::fs::read(&self.chain).map_err(io(&self.chain))?;
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| bad(&self.chain, error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(bad(&self.chain, "it holds no certificate".to_owned()));
        };
        let fingerprint = fingerprint(first);
        let text = zeroize::Zeroizing::new(std::fs::read(&self.key).map_err(io(&self.key))?);
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| bad(&self.key, error.to_string()))?;
        let built = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = built.map_err(|error| bad(&self.chain, error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Loaded { config: Arc::new(config), fingerprint })
    }

    fn make(&self, names: Vec<String>) -> Result<(), TlsError> {
        let bad = |error: rcgen::Error| TlsError::Bad {
            path: self.chain.clone(),
            problem: error.to_string(),
        };
        // Valid at any time: the clock of a new box may be anywhere.
        let made = rcgen::generate_simple_self_signed(names).map_err(bad)?;
        let files = [
            (&self.key, zeroize::Zeroizing::new(made.signing_key.serialize_pem())),
            (&self.chain, zeroize::Zeroizing::new(made.cert.pem())),
        ];
        for (path, text) in files {
            let io = |source| TlsError::Io { path: path.clone(), source };
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(io)?;
            }
            replace(path, text.as_bytes()).map_err(io)?;
        }
        Ok(())
    }
}

/// `AA:BB:...`
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_its_own_is_made_once_and_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("keys/api.crt"), folder.path().join("keys/api.key"));
        let own = Certificate { chain: chain.clone(), key: key.clone(), own: true };
        let school = Certificate { own: false, ..own.clone() };
        let names = || vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        assert!(matches!(school.load(names()), Err(TlsError::Io { .. })));
        let first = own.load(names()).unwrap();
        assert_eq!(first.fingerprint.len(), 95);
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(own.load(names()).unwrap().fingerprint, first.fingerprint);
        assert_eq!(school.load(names()).unwrap().fingerprint, first.fingerprint);

        // Half of it is not replaced in silence: people know the other half.
        std::fs::remove_file(&chain).unwrap();
        assert!(matches!(own.load(names()), Err(TlsError::Io { .. })));
        std::fs::write(&chain, "").unwrap();
        assert!(matches!(own.load(names()), Err(TlsError::Bad { .. })));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(own.load(names()), Err(TlsError::Exposed { .. })));
    }
}
