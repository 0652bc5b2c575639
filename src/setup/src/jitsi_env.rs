//! The `.env` of docker-jitsi-meet.

use std::collections::BTreeMap;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// The variables of an `.env` that is there; none if there is no file.
///
/// The values have passwords, so they are not printed.
#[derive(Default)]
pub struct JitsiEnv(BTreeMap<String, Zeroizing<String>>);

/// A line of `.env` that is neither empty, nor a comment, nor an assignment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no assignment; write NAME=value")]
pub struct EnvError(usize);

// === impl JitsiEnv ===

impl JitsiEnv {
    /// Parses the file as Compose does: `NAME=value`, values in quotes or not, comments after `#`.
    /// The last assignment of a name counts.
    ///
    /// # Errors
    ///
    /// The first line that is no assignment.
    pub fn parse(text: &str) -> Result<Self, EnvError> {
        let lines = (1..).zip(text.lines());
        let assignments = lines.filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        assignments
            .map(|(number, line)| {
                let line = line.trim();
                let line = line.strip_prefix("export ").unwrap_or(line);
                let (name, value) = line.split_once('=').ok_or(EnvError(number))?;
                let value = Zeroizing::new(unquoted(value.trim()).to_owned());
                Ok((name.trim().to_owned(), value))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value of a variable; `None` if it is not set, or empty, which is the same to Jitsi.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.as_str();
        (!value.is_empty()).then_some(value)
    }

    /// `PUBLIC_URL`, without a slash at its end.
    pub fn public_url(&self) -> Option<&str> {
        self.get("PUBLIC_URL").map(|url| url.trim_end_matches('/'))
    }

    /// `JWT_APP_SECRET`, if Prosody verifies tokens with it.
    pub(crate) fn app_secret(&self) -> Option<SecretString> {
        let verifies = self.get("AUTH_TYPE") == Some("jwt") && self.get("ENABLE_AUTH") == Some("1");
        let secret = self.get("JWT_APP_SECRET").filter(|_| verifies);
        secret.map(SecretString::from)
    }
}

impl std::fmt::Debug for JitsiEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = value.strip_prefix(quote);
        if let Some((inner, _)) = inner.and_then(|rest| rest.rsplit_once(quote)) {
            return inner;
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    value[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_last_assignment_counts_without_quotes_and_comments() {
        let text = "# Jitsi\nPUBLIC_URL=\"https://meet.example.org/\"\n\nTZ=UTC # the zone\n\
                    TZ='Europe/Berlin'\nEMPTY=\nexport A=b\nURL=redis://x#y\n";
        let env = JitsiEnv::parse(text).unwrap();
        assert_eq!(env.public_url(), Some("https://meet.example.org"));
        for (name, value) in [
            ("TZ", Some("Europe/Berlin")),
            ("EMPTY", None),
            ("A", Some("b")),
            ("URL", Some("redis://x#y")),
            ("MISSING", None),
        ] {
            assert_eq!(env.get(name), value, "{name}");
        }
        assert_eq!(JitsiEnv::parse("A=b\nc d").err(), Some(EnvError(2)));
    }

    #[test]
    fn the_secret_of_another_authentication_is_not_taken() {
        for (text, expected) in [
            ("ENABLE_AUTH=1\nAUTH_TYPE=jwt\nJWT_APP_SECRET=s", Some("s")),
            ("ENABLE_AUTH=0\nAUTH_TYPE=jwt\nJWT_APP_SECRET=s", None),
            ("ENABLE_AUTH=1\nJWT_APP_SECRET=s", None),
            ("ENABLE_AUTH=1\nAUTH_TYPE=jwt\nJWT_APP_SECRET=", None),
        ] {
            let env = JitsiEnv::parse(text).unwrap();
            let secret = env.app_secret();
            assert_eq!(
                secret.as_ref().map(ExposeSecret::expose_secret),
                expected,
                "{text}"
            );
            assert!(!format!("{env:?}").contains("\"s\""));
        }
    }
}
