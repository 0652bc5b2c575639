//! The options of an examination, and the report of its progress.

use std::{fmt, str::FromStr, time::Duration};

use http::uri::Authority;
use secrecy::SecretString;

use super::{Check, CheckSelection};

/// The options of an examination.
pub struct DoctorOptions<'o> {
    /// The checks to report. Their prerequisites are examined as well.
    pub selection: CheckSelection,
    /// Whether to run the checks that open a test room, with two occupants.
    pub deep: bool,
    /// The time for which idle connections have to survive; `None` skips these checks.
    pub idle: Option<Duration>,
    /// Jicofo's HTTP endpoint, for the number of bridges.
    pub jicofo: Option<Authority>,
    /// The account of a recorder, for H2.
    pub recorder: Option<RecorderAccount>,
    /// Called when a selected check begins.
    pub progress: &'o dyn Fn(Check),
}

/// The account of a recorder at Prosody.
#[derive(Clone, Debug)]
pub struct RecorderAccount {
    /// The part of the address before the `@`.
    pub user: String,
    /// The XMPP domain, in lower case.
    pub domain: String,
    /// The password.
    pub password: SecretString,
}

/// The text is no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one line, as recorder@hidden.meet.jitsi:password")]
pub struct AccountFormError;

/// The selection and the progress callback, as the checks use them.
pub(super) struct Progress<'p> {
    pub(super) selection: &'p CheckSelection,
    callback: &'p dyn Fn(Check),
}

// === impl DoctorOptions ===

impl fmt::Debug for DoctorOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoctorOptions")
            .field("selection", &self.selection)
            .field("deep", &self.deep)
            .finish_non_exhaustive()
    }
}

// === impl RecorderAccount ===

/// Parses `user@domain:password`; a password may have any character.
impl FromStr for RecorderAccount {
    type Err = AccountFormError;

    fn from_str(text: &str) -> Result<Self, AccountFormError> {
        let line = text.trim_end_matches(['\r', '\n']);
        let (address, password) = line.split_once(':').ok_or(AccountFormError)?;
        let (user, domain) = address.split_once('@').ok_or(AccountFormError)?;
        let has_line_break = line.contains(['\r', '\n']);
        if has_line_break || [user, domain, password].iter().any(|part| part.is_empty()) {
            return Err(AccountFormError);
        }
        Ok(Self {
            user: user.to_owned(),
            domain: domain.to_ascii_lowercase(),
            password: password.into(),
        })
    }
}

// === impl Progress ===

impl<'p> Progress<'p> {
    pub(super) fn new(options: &'p DoctorOptions<'_>) -> Self {
        Self {
            selection: &options.selection,
            callback: options.progress,
        }
    }

    /// Whether the check is selected, or a selected check through the public address needs it.
    pub(super) fn needs(&self, check: Check) -> bool {
        self.selection.has(check)
            || (PUBLIC_LOGIN_NEEDS.contains(&check) && self.wants_public_login())
    }

    /// Whether one of the checks through the public address is selected.
    pub(super) fn wants_public_login(&self) -> bool {
        self.selection.has_any(Check::PublicLogin.with_dependents())
    }

    /// Reports the beginning of a check. Returns whether it is selected.
    pub(super) fn begins(&self, check: Check) -> bool {
        let selected = self.selection.has(check);
        if selected {
            (self.callback)(check);
        }
        selected
    }
}

/// A failure of one of these explains a failed login through the public address.
pub(super) const PUBLIC_LOGIN_NEEDS: [Check; 3] =
    [Check::PublicAddress, Check::Bypass, Check::ValidToken];

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn an_account_is_one_line_with_address_and_password() {
        let account: RecorderAccount = "recorder@Hidden.jitsi:a:b@c\n".parse().unwrap();
        assert_eq!(
            (&*account.user, &*account.domain),
            ("recorder", "hidden.jitsi")
        );
        assert_eq!(account.password.expose_secret(), "a:b@c");
        for text in [
            "",
            "recorder",
            "recorder@x",
            "recorder:p",
            "@x:p",
            "r@:p",
            "r@x:",
            "r@x:p\nq",
        ] {
            assert!(text.parse::<RecorderAccount>().is_err(), "{text}");
        }
    }
}
