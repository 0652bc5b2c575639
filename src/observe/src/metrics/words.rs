//! The words that labels have. Whatever clients send, there are no others.

/// A decision of the rules, as metrics tell of it.
#[derive(Debug)]
pub(super) struct AdmissionWord {
    /// What `Admission::as_str` calls it.
    pub(super) word: &'static str,
    /// What comes of it.
    pub(super) outcome: &'static str,
    /// The role, or why not.
    pub(super) reason: &'static str,
}

/// What is limited, or guarded against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The head of a request is too large, or has too many fields.
    Head,
    /// A head did not come in time; idle HTTP/1.1 connections end so, too.
    HeadTime,
    /// The body of a request is too large.
    Body,
    /// A body that has to be whole did not come in time, or broke off.
    BodyTime,
    /// Somebody listens to more streams of events than anybody needs, or all together do.
    Events,
    /// A key to the API made too many requests.
    Api,
    /// The system gave no socket for a connection: out of descriptors or memory.
    Accept,
}

/// Which server behind us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Jitsi's web server.
    Web,
    /// Prosody.
    Xmpp,
}

/// What stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A WebSocket to Prosody.
    WebSocket,
    /// A BOSH session that polls.
    Bosh,
    /// Server-sent events for somebody who waits.
    Events,
}

// === impl Limit ===

impl Limit {
    pub(super) const ALL: [Self; 7] = [
        Self::Head,
        Self::HeadTime,
        Self::Body,
        Self::BodyTime,
        Self::Events,
        Self::Api,
        Self::Accept,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head_size",
            Self::HeadTime => "head_time",
            Self::Body => "body_size",
            Self::BodyTime => "body_time",
            Self::Events => "event_streams",
            Self::Api => "api_requests",
            Self::Accept => "accept",
        }
    }
}

// === impl Upstream ===

impl Upstream {
    pub(super) const ALL: [Self; UPSTREAMS] = [Self::Web, Self::Xmpp];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Xmpp => "xmpp",
        }
    }
}

// === impl Stream ===

impl Stream {
    pub(super) const ALL: [Self; 3] = [Self::WebSocket, Self::Bosh, Self::Events];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Bosh => "bosh",
            Self::Events => "events",
        }
    }
}

// === impl AdmissionWord ===

impl AdmissionWord {
    const fn new(word: &'static str, outcome: &'static str, reason: &'static str) -> Self {
        Self {
            word,
            outcome,
            reason,
        }
    }
}

pub(super) const UPSTREAMS: usize = 2;

/// `route::Transport`, in the order of its numbers.
pub(super) const TRANSPORTS: usize = 2;

pub(super) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

pub(super) const ADMISSIONS: [AdmissionWord; 12] = [
    AdmissionWord::new("moderator", "admitted", "moderator"),
    AdmissionWord::new("participant", "admitted", "participant"),
    AdmissionWord::new("wait", "waits", "not_open"),
    AdmissionWord::new("guest", "asked", "name"),
    AdmissionWord::new("sign_in", "asked", "sign_in"),
    AdmissionWord::new("no_rule", "refused", "no_rule"),
    AdmissionWord::new("closed", "refused", "closed"),
    AdmissionWord::new("not_allowed", "refused", "not_allowed"),
    AdmissionWord::new("invitation_only", "refused", "invitation_only"),
    AdmissionWord::new("not_yet", "refused", "not_yet"),
    AdmissionWord::new("over", "refused", "over"),
    AdmissionWord::new("full", "refused", "full"),
];

/// As what somebody is in a room: `Role::as_str`, or a recorder.
pub(super) const ROLES: [&str; 3] = ["moderator", "participant", "recorder"];

/// Why the gateway ends what is open: `End::as_str`.
pub(super) const CUTS: [&str; 8] = [
    "sign_out",
    "back_channel",
    "link",
    "operator",
    "expired",
    "shutdown",
    "moved",
    "rules",
];

/// `SendError::as_str`, and an answer that makes no sense.
pub(super) const FAILURES: [&str; 6] = [
    "connect",
    "connect_timeout",
    "handshake",
    "no_answer",
    "timeout",
    "nonsense",
];

pub(super) const HANDSHAKES: [&str; 3] = ["ok", "failed", "timeout"];
