//! Certificates in files that are replaced under a running gateway.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

/// A certificate and its key as PEM.
pub(crate) struct CertificatePair {
    certificate: String,
    key: String,
}

/// The directory with `tls.crt` and `tls.key`.
pub(crate) struct CertificateDirectory {
    path: PathBuf,
    versions: usize,
}

// === impl CertificatePair ===

impl CertificatePair {
    pub(crate) fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(["meet.example.org".to_owned()]).unwrap();
        Self {
            certificate: pair.cert.pem(),
            key: pair.signing_key.serialize_pem(),
        }
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

// === impl CertificateDirectory ===

impl CertificateDirectory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, versions: 0 }
    }

    /// Replaces one file after the other by rename, as a renewal on a host does. In between, the
    /// certificate and the key do not match.
    pub(crate) fn rename(&self, pair: &CertificatePair) {
        for (name, content) in [("tls.crt", &pair.certificate), ("tls.key", &pair.key)] {
            replace(&self.path.join(name), content);
        }
    }

    /// Swaps both files at once, as the kubelet does for a mounted Secret: each is a link into `..data`,
    /// itself a link to the directory of a version (kubernetes `pkg/volume/util/atomic_writer.go`).
    pub(crate) fn swap(&mut self, pair: &CertificatePair) {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        let directory = self.path.join(&version);
        fs::create_dir(&directory).unwrap();
        replace(&directory.join("tls.crt"), &pair.certificate);
        replace(&directory.join("tls.key"), &pair.key);
        let link = |to: &Path, name: &str| {
            symlink(to, self.path.join("new")).unwrap();
            fs::rename(self.path.join("new"), self.path.join(name)).unwrap();
        };
        link(Path::new(&version), "..data");
        if self.versions == 1 {
            for name in ["tls.crt", "tls.key"] {
                link(&Path::new("..data").join(name), name);
            }
        }
    }
}

/// Replaces a file by rename, with the mode that the gateway demands of secrets.
pub(crate) fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}
