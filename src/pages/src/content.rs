//! The content of a page as values, independent of language and layout.

use std::fmt;

use http::StatusCode;
use model::{clock::Timestamp, room::RoomKey, session::ReturnTo};
use serde_json::Value;
use url::Url;

use crate::problem::{
    Component, EmbedProblem, LinkProblem, NameProblem, RefusalCause, RequestProblem, SignInProblem,
};

/// The content of a page.
///
/// In fields that hold a path on this site, any other URL is replaced by `/`.
#[derive(Clone, Copy, Debug)]
pub enum Content<'c> {
    /// The start page: create or join a meeting.
    Start {
        /// Display name of the signed-in user.
        person: Option<&'c str>,
        /// Path on this site to sign in, or to switch the account.
        sign_in: Option<&'c str>,
        /// Whether the user may create meetings.
        may_create: bool,
        /// The rejected input, if a form was submitted.
        name: Option<&'c str>,
        /// Whether the submitted form was the one to join a meeting.
        joining: bool,
        /// Why the input was rejected.
        problem: Option<NameProblem>,
    },
    /// Links of a meeting, for its host.
    Meeting {
        /// The room.
        room: &'c RoomKey,
        /// Display name of the signed-in host.
        person: Option<&'c str>,
        /// Path on this site to switch the account.
        sign_in: Option<&'c str>,
        /// The room's public URL, for users whom the room rules admit.
        room_url: &'c str,
        /// Makes every holder a host.
        host_link: PageLink<'c>,
        /// Whether the room rules admit guests at the room's public URL.
        admits_guests: bool,
        /// Admits guests without an account.
        guest_link: Option<PageLink<'c>>,
        /// Initial values of the calendar form.
        calendar: CalendarForm<'c>,
    },
    /// Entry to a room: sign in, or enter as a guest.
    Join {
        /// The room.
        room: &'c RoomKey,
        /// Path on this site to sign in.
        sign_in: Option<&'c str>,
        /// Entry as a guest, if the room rules allow guests.
        guest: Option<GuestForm<'c>>,
    },
    /// Waiting for the host.
    Wait {
        /// The room.
        room: &'c RoomKey,
        /// The waiting user; a member is no host.
        person: Option<PagePerson<'c>>,
        /// Display name of the host, if known.
        awaited: Option<&'c str>,
        /// Path on this site where a host signs in.
        sign_in: Option<&'c str>,
        /// Path on this site of the event stream that sends `open`.
        events: &'c str,
    },
    /// Choice of one of several providers.
    ChooseProvider {
        /// The providers, the suggested one first.
        providers: &'c [ProviderLink<'c>],
        /// Choice by the domain of an e-mail address, if it decides.
        email: Option<EmailForm<'c>>,
    },
    /// Redirect to the provider by script, which saves the URL fragment in the browser first: the
    /// fragment holds options of Jitsi's page, and no HTTP redirect returns it.
    Continue {
        /// URL of the authorization request.
        provider: &'c Url,
        /// The page to return to.
        return_to: &'c ReturnTo,
    },
    /// Return to the mobile app that requested the sign-in.
    OpenApp {
        /// The room.
        room: &'c RoomKey,
        /// Deep link; only schemes of Jitsi's apps are opened.
        link: &'c str,
        /// Path on this site to continue in the browser.
        browser: &'c str,
    },
    /// A meeting at 8x8 (Jitsi as a Service), embedded by its `external_api.js`.
    Call {
        /// The room.
        room: &'c RoomKey,
        /// URL of `external_api.js`; the meeting is on the same host.
        script: &'c Url,
        /// Options of `JitsiMeetExternalAPI` except `parentNode`.
        options: &'c Value,
        /// Path on this site of the event stream that sends `close` when the session ends.
        events: &'c str,
        /// Path on this site to enter the meeting again.
        again: &'c str,
    },
    /// After a sign-out.
    SignedOut {
        /// Path on this site to sign in again.
        sign_in: Option<&'c str>,
        /// Path on this site of the room that the person was put out of.
        return_to: Option<&'c str>,
    },
    /// After a guest ended the visit: there is no account to sign in with again.
    GuestLeft {
        /// Path on this site of the room that the guest was in.
        return_to: Option<&'c str>,
    },
    /// After a sign-out that a restart of the gateway may undo.
    SignOutNotKept {
        /// Where to sign out at the provider, too.
        provider: Option<&'c str>,
    },
    /// The room rules deny entry.
    Refused {
        /// The room.
        room: &'c RoomKey,
        /// The refused user.
        person: Option<PagePerson<'c>>,
        /// The reason.
        denial: RefusalCause,
        /// Path on this site to try again.
        again: &'c str,
        /// Path on this site to sign in, or to switch the account.
        sign_in: Option<&'c str>,
    },
    /// The room needs a stronger or more recent authentication than the provider gave.
    StepUp {
        /// The requested room.
        room: &'c RoomKey,
        /// Display name of the person.
        person: Option<&'c str>,
        /// What the rule requires, in the terms of the protocol.
        required: &'c str,
        /// Path on this site to sign in anew, with this account or another.
        sign_in: &'c str,
    },
    /// An invitation link is refused.
    LinkRefused {
        /// The requested room.
        room: &'c RoomKey,
        /// The reason.
        problem: LinkProblem,
        /// Path on this site of the room's page, without the link.
        page: &'c str,
    },
    /// A token of an integration is refused.
    EmbedRefused {
        /// The requested room.
        room: &'c RoomKey,
        /// The reason.
        problem: EmbedProblem,
        /// The reason as the audit log names it, for the operator of the embedding system.
        reference: &'c str,
        /// Path on this site of the room's page, without the token.
        page: &'c str,
    },
    /// A sign-in failed.
    SignInFailed {
        /// The reason.
        failure: SignInProblem,
        /// The reason as the log names it.
        reference: &'c str,
        /// Path on this site to try again.
        again: &'c str,
    },
    /// A component is down, or the gateway had an internal error.
    Unavailable {
        /// The component.
        component: Component,
        /// Path on this site to try again.
        again: &'c str,
    },
    /// No page has this URL.
    NotFound,
    /// The request is malformed, or not for this client.
    BadRequest {
        /// The reason.
        problem: RequestProblem<'c>,
        /// The reason as an identifier, which is the same in all languages.
        reference: &'c str,
    },
    /// In the popup that Jitsi's page opened for a sign-in: reports the outcome to that page and
    /// closes.
    Popup {
        /// The outcome.
        outcome: PopupOutcome<'c>,
    },
    /// In the hidden frame that Jitsi's page opened for a sign-out: reports the end to that page.
    LogoutFrame,
}

/// The user whose name a page shows.
#[derive(Clone, Copy, Debug)]
pub struct PagePerson<'c> {
    /// Display name.
    pub name: &'c str,
    /// Whether the user is signed in with an account, so that signing out and another account are of use.
    pub is_member: bool,
}

/// An invitation link.
#[derive(Clone, Copy, Debug)]
pub struct PageLink<'c> {
    /// Absolute URL.
    pub url: &'c str,
    /// Expiry.
    pub expires: Timestamp,
    /// Maximum number of users; `None` for no limit.
    pub uses: Option<u32>,
}

/// Initial values of the calendar form.
#[derive(Clone, Copy, Debug)]
pub struct CalendarForm<'c> {
    /// Proposed start.
    pub start: Timestamp,
    /// Proposed duration.
    pub minutes: u32,
    /// URL of the prefilled event in Google Calendar.
    pub google: &'c str,
    /// URL of the prefilled event in Outlook on the web.
    pub outlook: &'c str,
}

/// The sign-in with one of several providers.
#[derive(Clone, Copy, Debug)]
pub struct ProviderLink<'c> {
    /// The provider's name.
    pub name: &'c str,
    /// Path on this site to sign in with it.
    pub path: &'c str,
    /// Whether the last sign-in of this browser was with it.
    pub is_last: bool,
}

/// Form that chooses a provider by an e-mail address; it is sent with GET.
#[derive(Clone, Copy, Debug)]
pub struct EmailForm<'c> {
    /// Path on this site that receives the form.
    pub action: &'c str,
    /// Name of the field of the address.
    pub field: &'c str,
    /// Names and values of the other fields.
    pub hidden: &'c [(String, String)],
    /// The typed address, if its domain is of no provider.
    pub unknown: Option<&'c str>,
}

/// Form to enter as a guest.
#[derive(Clone, Copy, Debug)]
pub struct GuestForm<'c> {
    /// Path on this site that receives the form.
    pub action: &'c str,
    /// Path of the room's page as the guest's address has it.
    pub page: Option<&'c str>,
    /// The invitation, if the guest has one.
    pub invite: Option<&'c str>,
    /// Initial name.
    pub name: Option<&'c str>,
    /// Why the name was rejected.
    pub problem: Option<NameProblem>,
    /// Whether the invitation makes the guest a host.
    pub host: bool,
    /// Whether the box to remember the name is checked; `None` where the browser could not remember it.
    pub remember: Option<bool>,
}

/// Outcome of a sign-in in a popup.
#[derive(Clone, Copy)]
pub enum PopupOutcome<'c> {
    /// The user is signed in.
    Success {
        /// Display token for Jitsi's page, which Prosody refuses.
        access_token: &'c str,
    },
    /// The sign-in failed.
    Failure {
        /// Error code for the console of Jitsi's page.
        error: &'c str,
    },
}

// === impl Content ===

impl Content<'_> {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Start {
                problem: Some(_), ..
            }
            | Self::Join {
                guest: Some(GuestForm {
                    problem: Some(_), ..
                }),
                ..
            }
            | Self::ChooseProvider {
                email: Some(EmailForm {
                    unknown: Some(_), ..
                }),
                ..
            } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Start { .. }
            | Self::Meeting { .. }
            | Self::Join { .. }
            | Self::Wait { .. }
            | Self::ChooseProvider { .. }
            | Self::Continue { .. }
            | Self::OpenApp { .. }
            | Self::Call { .. }
            | Self::SignedOut { .. }
            | Self::GuestLeft { .. }
            | Self::Popup { .. }
            | Self::LogoutFrame => StatusCode::OK,
            Self::Refused { .. } | Self::StepUp { .. } | Self::EmbedRefused { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::LinkRefused { problem, .. } => problem.status(),
            Self::SignInFailed { failure, .. } => failure.status(),
            Self::Unavailable { .. } | Self::SignOutNotKept { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

// === impl PopupOutcome ===

/// Without the token.
impl fmt::Debug for PopupOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { .. } => f.write_str("Success"),
            Self::Failure { error } => write!(f, "Failure({error:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_token() {
        let access_token = "secret";
        let outcome = PopupOutcome::Success { access_token };
        assert!(!format!("{:?}", Content::Popup { outcome }).contains(access_token));
    }
}
