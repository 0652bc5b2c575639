//! A directory for temporary files that hold secrets.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use model::random::Random;

/// A new directory with mode 0700. Dropping it removes it with its files.
#[derive(Debug)]
pub(super) struct PrivateDirectory(PathBuf);

// === impl PrivateDirectory ===

impl PrivateDirectory {
    pub(super) fn create(random: &Random) -> io::Result<Self> {
        let name = format!("jitsi-auth-gateway-{}", random.text::<12>());
        let path = std::env::temp_dir().join(name);
        // Fails if the directory exists, for example created by another user.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a new file with mode 0600.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove temporary files");
        }
    }
}
