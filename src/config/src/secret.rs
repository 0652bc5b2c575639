//! Secrets, written in the configuration, in environment variables or in separate files. A secret is the same
//! from each of them: see [`as_written`].

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use super::{diagnostics::Section, problem::Fault};

/// Reads secrets and checks the permissions of their files.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretReader {
    /// Accepts files that every account of the machine can access.
    pub(super) allow_world_accessible: bool,
}

/// A secret as the raw configuration has it; at most one of the two may be set.
pub(super) struct RawSecret {
    pub(super) inline: Option<SecretString>,
    pub(super) file: Option<String>,
}

// === impl SecretReader ===

impl SecretReader {
    /// Reads the secret at `key` or `<key>_file`; `None` if neither is set or a problem was
    /// reported.
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
                    format!("conflicts with {key}"),
                    "remove one of the two",
                );
                None
            }
            (Some(secret), None) => {
                if section.is_in_world_accessible_file(key) && !self.allow_world_accessible {
                    section.reject(
                        key,
                        "a secret in a file that every account of the machine can access",
                        format!("run chmod o-rwx on the file, or use {file_key}"),
                    );
                }
                section.keep(key, parse_secret(secret.expose_secret()))
            }
            (None, Some(file)) => {
                let text = self.read_text(Path::new(&file));
                section.keep(&file_key, text.and_then(|text| parse_secret(&text)))
            }
            (None, None) => None,
        }
    }

    /// Reads the text of a secret file, line feeds included.
    pub(super) fn read_text(self, path: &Path) -> Result<Zeroizing<String>, Fault> {
        let bytes = read_file(path)?;
        self.check_permissions(path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            error.into_bytes().zeroize();
            Fault::new(
                format!("{} is not text", path.display()),
                "name a file of UTF-8 text",
            )
        })?;
        let mut text = Zeroizing::new(text);
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        if as_written(&text).trim().is_empty() {
            let what = format!("{} is empty", path.display());
            return Err(Fault::new(what, "write the secret into it"));
        }
        Ok(text)
    }

    fn check_permissions(self, path: &Path) -> Result<(), Fault> {
        let accessible = is_world_accessible(path).map_err(|error| unreadable(path, &error))?;
        if self.allow_world_accessible || !accessible {
            return Ok(());
        }
        let path = path.display();
        Err(Fault::new(
            format!("{path} contains a secret and every account of the machine can access it"),
            format!(
                "run chmod o-rwx {path} (in Kubernetes: defaultMode 0440 and an fsGroup), or set \
                 insecure_readable_secrets = true"
            ),
        ))
    }
}

// === impl RawSecret ===

impl RawSecret {
    pub(super) fn is_absent(&self) -> bool {
        self.inline.is_none() && self.file.is_none()
    }

    /// The key that holds the secret: `key` if it is written inline, else `file_key`.
    pub(super) fn written_key<'k>(&self, key: &'k str, file_key: &'k str) -> &'k str {
        if self.inline.is_some() { key } else { file_key }
    }
}

/// Reads a file; the fault names it.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// Reads a UTF-8 file that is no secret; the fault names it.
pub(super) fn read_text_file(path: &Path) -> Result<String, Fault> {
    String::from_utf8(read_file(path)?).map_err(|_| {
        let what = format!("{} is not text", path.display());
        Fault::new(what, "name a file of UTF-8 text")
    })
}

/// Whether accounts other than the owner and the group have any permission.
pub(super) fn is_world_accessible(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|metadata| is_exposed(path, metadata.permissions().mode()))
}

/// Docker mounts the secrets of a service into its container with the mode 0444, in a filesystem
/// that only the container's processes see.
fn is_exposed(path: &Path, mode: u32) -> bool {
    let others = mode & OTHERS;
    others != 0 && !(others == OTHERS_READ && path.starts_with(CONTAINER_SECRETS))
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound if path.is_relative() => {
            "create the file, or correct its path, which is relative to the working directory"
        }
        io::ErrorKind::NotFound => "create the file, or correct its path",
        io::ErrorKind::PermissionDenied => "make it readable for the gateway's account",
        _ => "name a readable file",
    };
    // The number of the system error adds nothing to its text.
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or_default();
    let what = format!(
        "{} cannot be read: {}",
        path.display(),
        reason.to_lowercase()
    );
    Fault::new(what, remedy)
}

fn parse_secret(text: &str) -> Result<SecretString, Fault> {
    let secret = as_written(text);
    reject_placeholder(secret)?;
    Ok(SecretString::from(secret))
}

/// The secret without what editors, `echo`, `kubectl create secret` and PowerShell put around it: line ends
/// and a byte order mark. Blanks stay, as a secret may have them.
fn as_written(text: &str) -> &str {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.trim_matches(['\r', '\n'])
}

/// Rejects the placeholders of documentation and templates.
fn reject_placeholder(secret: &str) -> Result<(), Fault> {
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
    let one_character_repeated = lower.chars().skip(1).all(|c| lower.starts_with(c));
    if bracketed || known || one_character_repeated {
        Err(Fault::new("a placeholder, not a secret", remedy))
    } else {
        Ok(())
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The mode bits of accounts that are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

const OTHERS_READ: u32 = 0o004;

/// Where Docker mounts secrets.
const CONTAINER_SECRETS: &str = "/run/secrets";

/// Common placeholders, without separators.
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
    fn placeholders_are_rejected() {
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
            assert!(reject_placeholder(text).is_err(), "{text}");
        }
        for text in [
            "dGhpcyBpcyBhIHNlY3JldA",
            "correct horse battery staple",
            "a1",
        ] {
            assert!(reject_placeholder(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn secrets_of_a_container_may_be_readable() {
        for (path, mode, exposed) in [
            ("/run/secrets/oidc", 0o100_444, false),
            ("/run/secrets/oidc", 0o100_400, false),
            ("/run/secrets/oidc", 0o100_446, true),
            ("/run/secrets/oidc", 0o100_777, true),
            ("/run/secrets.d/oidc", 0o100_444, true),
            ("/run/secretsx", 0o100_444, true),
            ("/etc/gateway/oidc", 0o100_444, true),
            ("/etc/gateway/oidc", 0o100_640, false),
        ] {
            assert_eq!(
                is_exposed(Path::new(path), mode),
                exposed,
                "{path} {mode:o}"
            );
        }
    }

    #[test]
    fn secret_files_have_to_be_private_and_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let strict = SecretReader {
            allow_world_accessible: false,
        };
        let what = |reader: SecretReader| reader.read_text(&path).unwrap_err().what;
        let missing = what(strict);
        assert!(missing.ends_with("cannot be read: no such file or directory"));
        fs::write(&path, "\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(what(strict).ends_with("is empty"));
        fs::write(&path, "hush\n").unwrap();
        assert_eq!(strict.read_text(&path).unwrap().as_str(), "hush\n");
        fs::write(&path, "\u{feff}hush").unwrap();
        assert_eq!(strict.read_text(&path).unwrap().as_str(), "hush");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let fault = strict.read_text(&path).unwrap_err();
        assert!(fault.remedy.starts_with("run chmod o-rwx "));
        let lax = SecretReader {
            allow_world_accessible: true,
        };
        assert!(lax.read_text(&path).is_ok());
    }
}
