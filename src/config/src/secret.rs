//! Secrets: written in the configuration or, better, kept in a file of their own.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use super::problem::{Fault, Section};

/// How secrets are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretReader {
    /// Whether files that every account of the machine can read are taken all the same.
    pub(super) allow_readable: bool,
}

/// A secret as the raw configuration has it: at most one of the two.
pub(super) struct RawSecret {
    pub(super) inline: Option<SecretString>,
    pub(super) file: Option<String>,
}

// === impl SecretReader ===

impl SecretReader {
    /// The secret at `key` or `<key>_file`; `None` if there is none or something is wrong with it.
    pub(super) fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        raw: RawSecret,
    ) -> Option<SecretString> {
        let file_key = format!("{key}_file");
        match (raw.inline, raw.file) {
            (Some(_), Some(_)) => {
                section.reject(
                    &file_key,
                    format!("stands beside {key}"),
                    "remove one of the two",
                );
                None
            }
            (Some(secret), None) => {
                if section.is_exposed(key) && !self.allow_readable {
                    section.reject(
                        key,
                        "stands in a file that is open to every account of the machine",
                        format!("run chmod o-rwx on it, or use {file_key}"),
                    );
                }
                let checked = refuse_placeholder(secret.expose_secret()).map(|()| secret);
                section.keep(key, checked)
            }
            (None, Some(file)) => {
                let secret = self.read_file(Path::new(&file)).and_then(|text| {
                    let secret = text.trim_end_matches(['\r', '\n']);
                    refuse_placeholder(secret)?;
                    Ok(SecretString::from(secret))
                });
                section.keep(&file_key, secret)
            }
            (None, None) => None,
        }
    }

    /// The text of a secret file.
    pub(super) fn read_file(self, path: &Path) -> Result<Zeroizing<String>, Fault> {
        let bytes = read(path)?;
        self.refuse_readable(path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            error.into_bytes().zeroize();
            Fault::new(
                format!("{} is not text", path.display()),
                "name a file of UTF-8 text",
            )
        })?;
        let text = Zeroizing::new(text);
        if text.trim().is_empty() {
            let what = format!("{} is empty", path.display());
            return Err(Fault::new(what, "write the secret into it"));
        }
        Ok(text)
    }

    /// Refuses a file that any account of the machine can read.
    pub(super) fn refuse_readable(self, path: &Path) -> Result<(), Fault> {
        let open = is_open(path).map_err(|error| unreadable(path, &error))?;
        if self.allow_readable || !open {
            return Ok(());
        }
        let path = path.display();
        Err(Fault::new(
            format!("{path} holds a secret and is open to every account of the machine"),
            format!(
                "run chmod o-rwx {path} (in Kubernetes: defaultMode 0440 and an fsGroup), or set \
                 insecure_readable_secrets = true"
            ),
        ))
    }
}

// === impl RawSecret ===

impl RawSecret {
    /// Whether neither form is there.
    pub(super) fn is_absent(&self) -> bool {
        self.inline.is_none() && self.file.is_none()
    }
}

/// Reads a file; the fault names it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// Whether every account of the machine may do something with the file.
pub(super) fn is_open(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|metadata| metadata.permissions().mode() & OTHERS != 0)
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let shown = path.display();
    let remedy = match error.kind() {
        io::ErrorKind::NotFound if path.is_relative() => {
            "write the file, or correct its path, which counts from the working directory"
        }
        io::ErrorKind::NotFound => "write the file, or correct its path",
        io::ErrorKind::PermissionDenied => "let the gateway's account read it",
        _ => "name a readable file",
    };
    Fault::new(format!("{shown} cannot be read: {}", plain(error)), remedy)
}

/// The error without the number that the system gives it.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// Refuses what documentation and templates write where a secret belongs.
fn refuse_placeholder(secret: &str) -> Result<(), Fault> {
    let remedy = "write the real secret";
    let lower = secret.trim().to_lowercase();
    if lower.is_empty() {
        return Err(Fault::new("empty", remedy));
    }
    let bracketed = (lower.starts_with('<') && lower.ends_with('>'))
        || (lower.starts_with("${") && lower.ends_with('}'));
    let letters = lower.replace(['-', '_', ' ', '.'], "");
    let known = PLACEHOLDERS.contains(&letters.as_str())
        || letters.starts_with("changeme")
        || letters.starts_with("your")
        || letters.starts_with("replaceme");
    let steady = lower.chars().skip(1).all(|c| lower.starts_with(c));
    if bracketed || known || steady {
        Err(Fault::new("a placeholder, not a secret", remedy))
    } else {
        Ok(())
    }
}

/// The mode bits of accounts that are neither owner nor of the group.
const OTHERS: u32 = 0o007;

/// What people write to have written something.
const PLACEHOLDERS: [&str; 9] = [
    "secret",
    "password",
    "clientsecret",
    "appsecret",
    "myappsecret",
    "example",
    "test",
    "todo",
    "none",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_no_secrets() {
        for text in [
            "",
            " ",
            "changeme",
            "Change-Me",
            "secret",
            "<client secret>",
            "${SECRET}",
            "xxxxxxxx",
            "your-256-bit-secret",
            "my_app_secret",
        ] {
            assert!(refuse_placeholder(text).is_err(), "{text}");
        }
        for text in [
            "dGhpcyBpcyBhIHNlY3JldA",
            "correct horse battery staple",
            "a1",
        ] {
            assert!(refuse_placeholder(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn files_of_secrets_are_private_and_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let strict = SecretReader {
            allow_readable: false,
        };
        let fault = strict.read_file(&path).unwrap_err();
        assert!(
            fault
                .what
                .ends_with("cannot be read: no such file or directory")
        );
        fs::write(&path, "\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(
            strict
                .read_file(&path)
                .unwrap_err()
                .what
                .ends_with("is empty")
        );
        fs::write(&path, "hush\n").unwrap();
        assert_eq!(strict.read_file(&path).unwrap().as_str(), "hush\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let fault = strict.read_file(&path).unwrap_err();
        assert!(fault.remedy.starts_with("run chmod o-rwx "));
        let lax = SecretReader {
            allow_readable: true,
        };
        assert!(lax.read_file(&path).is_ok());
    }
}
