//! Files that are written once.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// A file to write.
pub struct NewFile {
    /// The path, relative to the directory of the set-up.
    pub path: &'static Path,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// Whether other accounts may read it.
    pub is_secret: bool,
    /// Its text.
    pub(crate) contents: Zeroizing<String>,
}

/// Why files were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// One of them exists. No file was written.
    #[error("{} exists; nothing was written. Choose another --directory, or remove the file", .0.display())]
    Exists(PathBuf),
    /// Not possible.
    #[error("cannot write {}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

// === impl NewFile ===

impl NewFile {
    /// Writes files below a directory, which is created. No existing file is changed.
    ///
    /// # Errors
    ///
    /// A file exists, or cannot be written.
    pub fn write_all(files: &[Self], directory: &Path) -> Result<(), WriteError> {
        let paths = files.iter().map(|file| directory.join(file.path));
        if let Some(existing) = paths.clone().find(|path| path.symlink_metadata().is_ok()) {
            return Err(WriteError::Exists(existing));
        }
        for (file, path) in files.iter().zip(paths) {
            let parent = path.parent().unwrap_or(directory);
            create_directory(parent, file.is_secret && parent != directory)
                .and_then(|()| file.write(&path))
                .map_err(|error| WriteError::Io { path, error })?;
        }
        Ok(())
    }

    /// `create_new` also refuses a file that came into being since the look at all of them.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mode = if self.is_secret { 0o600 } else { 0o644 };
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(self.contents.as_bytes())
    }
}

/// The contents may be a secret.
impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NewFile").field(&self.path).finish()
    }
}

fn create_directory(path: &Path, is_secret: bool) -> io::Result<()> {
    let mode = if is_secret { 0o700 } else { 0o755 };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(path: &'static str, is_secret: bool) -> NewFile {
        NewFile {
            path: Path::new(path),
            purpose: "a test",
            is_secret,
            contents: Zeroizing::new(format!("text of {path}")),
        }
    }

    #[test]
    fn secrets_are_for_their_owner_only_and_no_file_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &str| {
            let metadata = fs::metadata(directory.path().join(path)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        let files = [file("a.toml", false), file("secrets/key", true)];
        NewFile::write_all(&files, directory.path()).unwrap();
        assert_eq!(mode("secrets/key"), 0o600);
        assert_eq!(mode("secrets"), 0o700);
        assert_eq!(mode("a.toml") & 0o600, 0o600);

        let more = [file("b.toml", false), file("secrets/key", true)];
        let error = NewFile::write_all(&more, directory.path()).unwrap_err();
        assert!(matches!(error, WriteError::Exists(path) if path.ends_with("secrets/key")));
        assert!(!directory.path().join("b.toml").exists());
    }

    #[test]
    fn a_dangling_link_counts_as_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("a.toml");
        std::os::unix::fs::symlink("/nonexistent", link).unwrap();
        let error = NewFile::write_all(&[file("a.toml", false)], directory.path());
        assert!(matches!(error, Err(WriteError::Exists(_))));
    }
}
