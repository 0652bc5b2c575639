//! Labels of sign-ins, admissions and the end of connections.

use super::label_values;
use model::policy::{Admission, Refusal, Role};

label_values! {
    /// The policy's answer to a visitor who wants to enter a room.
    pub enum AdmissionReason {
        /// Admitted as a moderator.
        Moderator = "moderator",
        /// Admitted as a participant.
        Participant = "participant",
        /// Waits for a host to open the room.
        NotOpen = "not_open",
        /// Asked for a guest's name.
        Name = "name",
        /// Asked to sign in.
        SignIn = "sign_in",
        /// Asked to authenticate more strongly, or anew.
        StepUp = "step_up",
        /// Refused: no rule matches the room.
        NoRule = "no_rule",
        /// Refused: the rule closes the room.
        Closed = "closed",
        /// Refused: the rule does not admit this visitor.
        NotAllowed = "not_allowed",
        /// Refused: the rule admits invited visitors only.
        InvitationOnly = "invitation_only",
        /// Refused: before the rule's window.
        NotYet = "not_yet",
        /// Refused: after the rule's window.
        Over = "over",
        /// Refused: the room has as many people as the rule permits.
        Full = "full",
    }
}

label_values! {
    /// The role of an admitted connection.
    pub enum EntryRole {
        /// A moderator.
        Moderator = "moderator",
        /// A participant.
        Participant = "participant",
        /// A recorder (Jibri), which has no token.
        Recorder = "recorder",
    }
}

label_values! {
    /// Why the gateway closed a WebSocket or BOSH session.
    pub enum CutReason {
        /// The session's owner signed out.
        SignOut = "sign_out",
        /// The provider ended the session (OpenID Connect Back-Channel Logout 1.0).
        BackChannel = "back_channel",
        /// The link of the session was revoked.
        Link = "link",
        /// An operator revoked the session.
        Operator = "operator",
        /// The provider no longer confirms the session (refused refresh token).
        Revalidation = "revalidation",
        /// The provider took a role from the person.
        Role = "role",
        /// The session expired.
        Expired = "expired",
        /// The gateway stops.
        Shutdown = "shutdown",
        /// The room moved to another shard.
        Moved = "moved",
        /// The reloaded policy no longer admits the visitor.
        Rules = "rules",
        /// The client sent a frame that does not go to Prosody.
        Protocol = "protocol",
    }
}

label_values! {
    /// How a sign-in ended. Coarser than the reason in the log, which names the exact fault.
    pub enum SignInReason {
        /// Completed.
        None = "none",
        /// The user or the provider declined.
        Cancelled = "cancelled",
        /// The callback has no sign-in cookie of this browser: forged, repeated, or another host.
        UnknownState = "unknown_state",
        /// The callback's query is not an authorization response (RFC 6749 § 4.1.2).
        InvalidCallback = "invalid_callback",
        /// The sign-in took longer than its cookie lives.
        TooLate = "too_late",
        /// The provider's configuration or keys are not known.
        ProviderNotReady = "provider_not_ready",
        /// The provider reported an error of its own.
        ProviderTrouble = "provider_trouble",
        /// The provider refused the authorization request.
        RequestRefused = "request_refused",
        /// The provider has to show a page, and a silent sign-in was requested.
        InteractionNeeded = "interaction_needed",
        /// The response names another issuer, or none (RFC 9207).
        WrongIssuer = "wrong_issuer",
        /// The token endpoint gave no response.
        TokenEndpoint = "token_endpoint",
        /// The token endpoint refused the code.
        CodeRefused = "code_refused",
        /// The token endpoint refused the client's credentials.
        ClientRefused = "client_refused",
        /// The token endpoint refused for another reason, or its response is malformed.
        TokenRefused = "token_refused",
        /// The ID token is invalid or belongs to another sign-in.
        IdToken = "id_token",
        /// The userinfo endpoint failed, or its response is about another subject.
        Userinfo = "userinfo",
        /// The claim configured as the user's id is missing or unusable.
        IdClaim = "id_claim",
        /// The claims do not fit into a session cookie.
        SessionTooLarge = "session_too_large",
    }
}

label_values! {
    /// How a back-channel or front-channel logout request ended.
    pub enum LogoutOutcome {
        /// Sessions were revoked.
        Ok = "ok",
        /// The request has no logout token, or several; or it does not name the issuer and one session.
        InvalidRequest = "invalid_request",
        /// The logout token is invalid.
        TokenRefused = "token_refused",
        /// The token cannot be checked now: the provider's configuration or the token's key is not
        /// known.
        Unavailable = "unavailable",
        /// No session began from the named one: any stranger can send such a front-channel logout.
        Unmatched = "unmatched",
    }
}

// === impl AdmissionReason ===

impl AdmissionReason {
    /// The label `outcome`: `admitted`, `waits`, `asked` or `refused`.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Moderator | Self::Participant => "admitted",
            Self::NotOpen => "waits",
            Self::Name | Self::SignIn | Self::StepUp => "asked",
            Self::NoRule
            | Self::Closed
            | Self::NotAllowed
            | Self::InvitationOnly
            | Self::NotYet
            | Self::Over
            | Self::Full => "refused",
        }
    }
}

impl From<&Admission<'_>> for AdmissionReason {
    fn from(admission: &Admission<'_>) -> Self {
        match admission {
            Admission::Admit(grant) => match grant.role() {
                Role::Moderator => Self::Moderator,
                Role::Participant => Self::Participant,
            },
            Admission::Wait(_) => Self::NotOpen,
            Admission::SignIn => Self::SignIn,
            Admission::StepUp(_) => Self::StepUp,
            Admission::Guest { .. } => Self::Name,
            Admission::Refuse(refusal) => match refusal {
                Refusal::NoRule => Self::NoRule,
                Refusal::Closed { .. } => Self::Closed,
                Refusal::NotAllowed { .. } => Self::NotAllowed,
                Refusal::InvitationOnly { .. } => Self::InvitationOnly,
                Refusal::NotYet { .. } => Self::NotYet,
                Refusal::Over { .. } => Self::Over,
                Refusal::Full { .. } => Self::Full,
            },
        }
    }
}

// === impl EntryRole ===

impl From<Role> for EntryRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Moderator => Self::Moderator,
            Role::Participant => Self::Participant,
        }
    }
}

// === impl SignInReason ===

impl SignInReason {
    /// The label `outcome`: `ok`, `cancelled`, `failed`, or `unmatched` for a callback that belongs
    /// to no sign-in of the browser. Any unauthenticated client can send an unmatched one.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::None => "ok",
            Self::Cancelled => "cancelled",
            _ if self.is_unmatched() => "unmatched",
            _ => "failed",
        }
    }

    /// Whether the callback belongs to no sign-in of the browser.
    pub const fn is_unmatched(self) -> bool {
        matches!(self, Self::UnknownState | Self::InvalidCallback)
    }
}
