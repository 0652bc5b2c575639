//! The directory of account, key and certificate.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use instant_acme::AccountCredentials;
use model::clock::Timestamp;
use proxy::server::CertificateFields;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{challenge::SharedChallenge, schedule::Validity};

/// The directory that outlives the process, and that replicas may share. Every file is written beside its
/// place, synchronized, and renamed.
#[derive(Clone, Debug)]
pub struct AcmeStorage {
    directory: PathBuf,
}

/// The storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct AcmeStorageError {
    action: &'static str,
    path: String,
    #[source]
    source: io::Error,
}

/// An account at an authority.
#[derive(Deserialize, Serialize)]
pub(crate) struct StoredAccount {
    /// The authority's directory.
    pub(crate) directory: String,
    /// The external account that it is bound to.
    pub(crate) external_account: Option<String>,
    pub(crate) credentials: AccountCredentials,
}

/// The certificate in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredCertificate {
    /// The directory of the authority that issued it.
    pub(crate) authority: String,
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) fields: CertificateFields,
}

/// The right to order: one process at a time has it. The kernel takes it back when the process ends.
#[derive(Debug)]
pub(crate) struct OrderLock(File);

// === impl AcmeStorage ===

impl AcmeStorage {
    /// Creates the directory if it is missing, and checks that files can be written into it.
    pub fn open(directory: &Path) -> Result<Self, AcmeStorageError> {
        let create = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        create.map_err(failed("create", directory))?;
        // Fails if the directory is another account's; the files are private in any case.
        let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
        let storage = Self {
            directory: directory.to_owned(),
        };
        storage.write(PROBE, b"")?;
        storage.remove(PROBE)?;
        Ok(storage)
    }

    /// The file of certificate and key in a storage directory.
    pub fn certificate_file(directory: &Path) -> PathBuf {
        directory.join(CERTIFICATE)
    }

    /// The account; `None` if there is none, or if it cannot be read.
    pub(crate) fn account(&self) -> Option<StoredAccount> {
        let text = Zeroizing::new(fs::read(self.path(ACCOUNT)).ok()?);
        serde_json::from_slice(&text).ok()
    }

    pub(crate) fn write_account(&self, account: &StoredAccount) -> Result<(), AcmeStorageError> {
        let text = serde_json::to_vec(account).map_err(io::Error::other);
        let text = Zeroizing::new(text.map_err(failed("encode", &self.path(ACCOUNT)))?);
        self.write(ACCOUNT, &text)
    }

    /// The certificate; `None` if there is none, or if it is not a certificate with a key.
    pub(crate) fn certificate(&self) -> Option<StoredCertificate> {
        let text = Zeroizing::new(fs::read(self.path(CERTIFICATE)).ok()?);
        PrivateKeyDer::from_pem_slice(&text).ok()?;
        let leaf = CertificateDer::from_pem_slice(&text).ok()?;
        let first_line = text.split(|byte| *byte == b'\n').next()?;
        let authority = str::from_utf8(first_line).ok()?.strip_prefix(AUTHORITY)?;
        Some(StoredCertificate {
            authority: authority.to_owned(),
            fields: CertificateFields::of(&leaf)?,
            leaf,
        })
    }

    /// Writes chain and key into one file, so that no reader sees the one without the other. Text before
    /// a PEM block is a comment (RFC 7468 § 2).
    pub(crate) fn write_certificate(
        &self,
        authority: &str,
        chain: &str,
        key: &str,
    ) -> Result<(), AcmeStorageError> {
        let text = format!("{AUTHORITY}{authority}\n{}\n{key}", chain.trim_end());
        self.write(CERTIFICATE, Zeroizing::new(text).as_bytes())
    }

    /// The challenges of the order that a replica has begun; empty if there is none.
    pub(crate) fn challenges(&self) -> Vec<SharedChallenge> {
        fs::read(self.path(CHALLENGES))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Shows the challenges to the other replicas; an empty list ends them.
    pub(crate) fn write_challenges(
        &self,
        challenges: &[SharedChallenge],
    ) -> Result<(), AcmeStorageError> {
        if challenges.is_empty() {
            return self.remove(CHALLENGES);
        }
        let text = serde_json::to_vec(challenges).map_err(io::Error::other);
        self.write(
            CHALLENGES,
            &text.map_err(failed("encode", &self.path(CHALLENGES)))?,
        )
    }

    /// Takes the right to order; `None` if another process has it. The file names its owner.
    pub(crate) fn try_lock(&self, now: Timestamp) -> Result<Option<OrderLock>, AcmeStorageError> {
        let path = self.path(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let mut file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let (host, process) = (host.trim(), std::process::id());
        let owner = format!("{host}, process {process}, since {now}\n");
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all(owner.as_bytes()));
        written.map_err(failed("write", &path))?;
        Ok(Some(OrderLock(file)))
    }

    /// The owner of the right to order, for logs.
    pub(crate) fn lock_owner(&self) -> String {
        let text = fs::read_to_string(self.path(LOCK)).unwrap_or_default();
        text.lines().next().unwrap_or("unknown").to_owned()
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), AcmeStorageError> {
        let (path, process) = (self.path(name), std::process::id());
        let beside = self.path(&format!(".{name}.{process}"));
        let write = || {
            // Left over by a process that had the same number and was killed.
            let _ = fs::remove_file(&beside);
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(failed("write", &path))
    }

    fn remove(&self, name: &str) -> Result<(), AcmeStorageError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

// === impl StoredCertificate ===

impl StoredCertificate {
    pub(crate) fn validity(&self) -> Validity {
        Validity {
            from: Timestamp::from_unix(self.fields.not_before),
            until: Timestamp::from_unix(self.fields.not_after),
        }
    }

    /// Whether it is what the settings ask for: a staging certificate is not, after the switch to the real
    /// authority.
    pub(crate) fn is_of(&self, authority: &str, names: &[String]) -> bool {
        self.authority == authority && names.iter().all(|name| self.fields.is_for(name))
    }
}

// === impl OrderLock ===

impl Drop for OrderLock {
    fn drop(&mut self) {
        // The lock ends with the file; the text is for people.
        let _ = self.0.set_len(0);
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> AcmeStorageError {
    let path = path.display().to_string();
    move |source| AcmeStorageError {
        action,
        path: path.clone(),
        source,
    }
}

const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";
const CHALLENGES: &str = "challenges.json";
const LOCK: &str = "order.lock";
const PROBE: &str = "probe";

/// The first line of the certificate's file.
const AUTHORITY: &str = "Issued by ";

#[cfg(test)]
mod tests;
