//! The line about the signed-in account in the head of a page.

use super::{local_path, shorten};
use crate::{Content, PagePerson};

/// Values of the account line of `base.html`.
pub(super) struct AccountView<'v> {
    pub(super) person: String,
    /// Path on this site to switch the account.
    pub(super) switch: Option<&'v str>,
    /// Whether the line offers to sign out on all devices.
    pub(super) has_sign_out_everywhere: bool,
}

// === impl AccountView ===

impl<'v> AccountView<'v> {
    /// The line of a page whose user is signed in.
    pub(super) fn of(content: &Content<'v>) -> Option<Self> {
        let is_start = matches!(content, Content::Start { .. });
        let (person, switch) = match *content {
            Content::Start {
                person, sign_in, ..
            }
            | Content::Meeting {
                person, sign_in, ..
            } => (person?, sign_in),
            Content::StepUp {
                person, sign_in, ..
            } => (person?, Some(sign_in)),
            Content::Wait {
                person, sign_in, ..
            }
            | Content::Refused {
                person, sign_in, ..
            } => (account_name(person)?, sign_in),
            _ => return None,
        };
        Some(Self {
            person: shorten(person),
            switch: switch.map(local_path),
            has_sign_out_everywhere: is_start,
        })
    }
}

fn account_name(person: Option<PagePerson<'_>>) -> Option<&str> {
    let person = person.filter(|person| person.is_member)?;
    Some(person.name)
}
