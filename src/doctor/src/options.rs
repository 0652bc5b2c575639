//! The options of an examination, and the report of its progress.

use std::{fmt, time::Duration};

use http::uri::Authority;

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
    /// Called when a selected check begins.
    pub progress: &'o dyn Fn(Check),
}

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
