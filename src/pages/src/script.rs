//! The pages' scripts: one for each page that has any, allowed by its hash.

use std::sync::OnceLock;

use super::Content;
use crate::inject::csp_hash;

/// The script of a page.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

// === impl Script ===

impl Script {
    const fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: OnceLock::new(),
        }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    /// Its source expression in a content security policy.
    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| csp_hash(self.source.as_bytes()))
    }
}

// === impl Content ===

impl Content<'_> {
    /// The script of its page.
    pub(super) fn script(&self) -> Option<&'static Script> {
        match self {
            Self::Start { .. } => Some(&START),
            Self::Meeting { .. } => Some(&MEETING),
            Self::Join { .. } => Some(&JOIN),
            Self::Wait { .. } => Some(&WAIT),
            Self::Continue { .. } => Some(&CONTINUE),
            Self::OpenApp { .. } => Some(&OPEN_APP),
            Self::Call { .. } => Some(&CALL),
            Self::Popup { .. } => Some(&POPUP),
            Self::LogoutFrame => Some(&LOGOUT_FRAME),
            Self::Refused {
                denial: super::Denial::NotYet { .. },
                ..
            } => Some(&NOTICE),
            _ => None,
        }
    }
}

static START: Script = Script::new(include_str!("scripts/start.js"));
static MEETING: Script = Script::new(include_str!("scripts/meeting.js"));
static JOIN: Script = Script::new(include_str!("scripts/join.js"));
static WAIT: Script = Script::new(include_str!("scripts/wait.js"));
pub(super) static CONTINUE: Script = Script::new(include_str!("scripts/continue.js"));
static OPEN_APP: Script = Script::new(include_str!("scripts/open_app.js"));
static CALL: Script = Script::new(include_str!("scripts/call.js"));
static POPUP: Script = Script::new(include_str!("scripts/popup.js"));
static LOGOUT_FRAME: Script = Script::new(include_str!("scripts/logout_frame.js"));
static NOTICE: Script = Script::new(include_str!("scripts/notice.js"));
