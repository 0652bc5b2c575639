//! What a page is about: values only, no wording.

use http::StatusCode;
use serde_json::Value;
use url::Url;

use model::{clock::Timestamp, policy::Refusal, room::RoomKey, session::ReturnTo};

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub enum Content<'c> {
    /// `/`: begin a meeting or go to one.
    Start {
        /// Who is signed in.
        person: Option<&'c str>,
        /// Where to sign in, or sign in as somebody else: a path of this site.
        sign_in: Option<&'c str>,
        /// Whether the person may make meetings.
        may_create: bool,
        /// The name that was asked for and cannot be had.
        name: Option<&'c str>,
        /// It was that of a meeting to join, not to make.
        joining: bool,
        /// What is wrong with it.
        problem: Option<NameProblem>,
    },
    /// A meeting that the reader hosts: its addresses, to be passed on.
    Meeting {
        /// The room.
        room: &'c RoomKey,
        /// The room's public address, which everybody uses who may enter anyway.
        room_url: &'c str,
        /// Makes whoever has it a host.
        host_link: Link<'c>,
        /// Lets people in who have no account.
        guest_link: Option<Link<'c>>,
        /// What the calendar form begins with.
        calendar: Calendar<'c>,
    },
    /// A choice of how to enter: sign in, or as a guest.
    Join {
        /// The room.
        room: &'c RoomKey,
        /// Where to sign in: a path of this site.
        sign_in: Option<&'c str>,
        /// How to enter as a guest.
        guest: Option<GuestForm<'c>>,
    },
    /// Until the host comes.
    Wait {
        /// The room.
        room: &'c RoomKey,
        /// Who waits.
        person: Option<&'c str>,
        /// Who is awaited, if it is known.
        awaited: Option<&'c str>,
        /// Where a host signs in: a path of this site.
        sign_in: Option<&'c str>,
        /// The event stream that says `open`: a path of this site.
        events: &'c str,
    },
    /// On the way to the provider; keeps the address's fragment, which no redirect could.
    Continue {
        /// The provider's address, with everything that asks for a sign-in.
        provider: &'c Url,
        /// The page to come back to.
        return_to: &'c ReturnTo,
    },
    /// Back to the app that asked for the sign-in.
    OpenApp {
        /// The room.
        room: &'c RoomKey,
        /// The deep link; only the schemes of Jitsi's apps are opened.
        link: &'c str,
        /// Where to go on in the browser instead: a path of this site.
        browser: &'c str,
    },
    /// A meeting at 8x8, shown by its `external_api.js`.
    Call {
        /// The room.
        room: &'c RoomKey,
        /// The address of `external_api.js`; the meeting is on the same host.
        script: &'c Url,
        /// The options of `JitsiMeetExternalAPI`, but for its parent node.
        options: &'c Value,
        /// The event stream that says `close` when the person's session ends: a path of this site.
        events: &'c str,
    },
    /// After signing out.
    SignedOut,
    /// The policy refuses somebody a room.
    Refused {
        /// The room.
        room: &'c RoomKey,
        /// Who; nobody if nobody signed in.
        person: Option<&'c str>,
        /// Why.
        denial: Denial,
        /// Where to sign in, or sign in as somebody else: a path of this site.
        sign_in: Option<&'c str>,
    },
    /// An invitation cannot be used.
    LinkRefused {
        /// The room of the address.
        room: &'c RoomKey,
        /// Why.
        problem: LinkProblem,
    },
    /// A token of another system was refused.
    EmbedRefused {
        /// The room of the address.
        room: &'c RoomKey,
        /// Why, in English; for whoever runs that system.
        reason: &'c str,
    },
    /// Signing in did not work.
    SignInFailed {
        /// Why.
        failure: SignInFailure,
        /// Where to try again: a path of this site.
        again: &'c str,
    },
    /// What the gateway stands in front of, or beside, cannot be reached, or the gateway itself
    /// is at fault.
    Unavailable {
        /// Which of them.
        part: Part,
        /// Where to try again: a path of this site.
        again: &'c str,
    },
    /// Nothing is at this address.
    NotFound,
    /// The request cannot be understood.
    BadRequest {
        /// Why, in English; an error's text.
        reason: Option<&'c str>,
    },
    /// In the window that Jitsi's page opened for a sign-in: tells that page, and closes.
    Popup {
        /// How it ended.
        outcome: PopupOutcome<'c>,
    },
    /// In the hidden frame that Jitsi's page opened for signing out: tells that page.
    LogoutFrame,
}

/// An address to pass on.
#[derive(Clone, Copy, Debug)]
pub struct Link<'c> {
    /// The whole address.
    pub url: &'c str,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// How many people can use it; any number if there is none.
    pub uses: Option<u32>,
}

/// What the calendar form begins with.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'c> {
    /// The proposed beginning.
    pub start: Timestamp,
    /// The proposed length.
    pub minutes: u32,
    /// The address that opens this meeting in Google Calendar.
    pub google: &'c str,
    /// The address that opens this meeting in Outlook on the web.
    pub outlook: &'c str,
}

/// How to enter as a guest.
#[derive(Clone, Copy, Debug)]
pub struct GuestForm<'c> {
    /// Where the form is sent to: a path of this site.
    pub action: &'c str,
    /// The invitation to be used.
    pub invite: Option<&'c str>,
    /// The name to begin with.
    pub name: Option<&'c str>,
    /// What is wrong with it.
    pub problem: Option<NameProblem>,
    /// Whether the invitation makes a host.
    pub host: bool,
}

/// What is wrong with a name of a meeting or a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// There is none.
    Empty,
    /// It is too long.
    TooLong,
    /// It means something else already.
    Reserved,
    /// It has characters that no name can have.
    Characters,
    /// Somebody else has it.
    Taken,
}

/// Why somebody may not enter, as far as the person can make use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The rules say so.
    Policy(Refusal),
    /// The room opens later.
    NotYet {
        /// When.
        opens: Timestamp,
    },
    /// The room was open, and is no more.
    Over,
    /// As many people are in the room as may be.
    Full,
    /// The room is for people with an account.
    NoGuests,
    /// Somebody else has to open the room.
    HostStarts,
}

/// Why an invitation cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkProblem {
    /// It is not whole, or not ours.
    Unreadable,
    /// Its time is over.
    Expired,
    /// As many people used it as may.
    UsedUp,
    /// The host took it back.
    Revoked,
    /// It is for another room.
    OtherRoom,
}

/// Why signing in did not work, as far as the person can make use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFailure {
    /// The browser has no sign-in under way that the answer belongs to.
    Unknown,
    /// It took too long.
    Expired,
    /// The person or the provider declined.
    Declined,
    /// The provider's answer is wrong.
    Provider,
    /// The account does not fit into a session.
    TooLarge,
}

/// What does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The identity provider.
    Provider,
    /// Jitsi's web server or Prosody.
    Jitsi,
    /// The gateway.
    Gateway,
}

/// How a sign-in in a window of Jitsi's page ended.
#[derive(Clone, Copy)]
pub enum PopupOutcome<'c> {
    /// With a token for Jitsi's page.
    Success {
        /// The token; worthless to Prosody.
        access_token: &'c str,
    },
    /// With nothing.
    Failure {
        /// A word for the page's log.
        error: &'c str,
    },
}

// === impl Content ===

impl Content<'_> {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Start {
                problem: Some(_), ..
            }
            | Self::Join {
                guest: Some(GuestForm {
                    problem: Some(_), ..
                }),
                ..
            } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Start { .. }
            | Self::Meeting { .. }
            | Self::Join { .. }
            | Self::Wait { .. }
            | Self::Continue { .. }
            | Self::OpenApp { .. }
            | Self::Call { .. }
            | Self::SignedOut
            | Self::Popup { .. }
            | Self::LogoutFrame => StatusCode::OK,
            Self::Refused { .. } | Self::EmbedRefused { .. } => StatusCode::FORBIDDEN,
            Self::LinkRefused { problem, .. } => problem.status(),
            Self::SignInFailed { failure, .. } => failure.status(),
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

// === impl Denial ===

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotYet { opens, .. } => Self::NotYet { opens },
            Refusal::Over { .. } => Self::Over,
            Refusal::Full { .. } => Self::Full,
            Refusal::InvitationOnly { .. } => Self::NoGuests,
            Refusal::NoRule | Refusal::Closed { .. } | Refusal::NotAllowed { .. } => {
                Self::Policy(refusal)
            }
        }
    }
}

// === impl LinkProblem ===

impl LinkProblem {
    fn status(self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Expired | Self::UsedUp | Self::Revoked => StatusCode::GONE,
            Self::OtherRoom => StatusCode::FORBIDDEN,
        }
    }
}

// === impl SignInFailure ===

impl SignInFailure {
    fn status(self) -> StatusCode {
        match self {
            Self::Unknown | Self::Expired => StatusCode::BAD_REQUEST,
            Self::Declined | Self::TooLarge => StatusCode::FORBIDDEN,
            Self::Provider => StatusCode::BAD_GATEWAY,
        }
    }
}

// === impl PopupOutcome ===

/// Without the token.
impl std::fmt::Debug for PopupOutcome<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    fn tokens_are_not_printed() {
        let access_token = "secret";
        let outcome = PopupOutcome::Success { access_token };
        assert!(!format!("{:?}", Content::Popup { outcome }).contains(access_token));
    }
}
