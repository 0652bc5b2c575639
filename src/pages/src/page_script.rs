//! Scripts of the pages, at most one for each, allowed by its hash.

use std::sync::OnceLock;

use crate::{Content, RefusalCause, csp::csp_hash};

/// A script with its hash, which is computed once.
#[derive(Debug)]
pub(super) struct PageScript {
    source: &'static str,
    hash: OnceLock<String>,
}

// === impl PageScript ===

impl PageScript {
    const fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: OnceLock::new(),
        }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    /// Source expression of a content security policy.
    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| csp_hash(self.source.as_bytes()))
    }
}

// === impl Content ===

impl Content<'_> {
    /// Script of the page.
    pub(super) fn script(&self) -> Option<&'static PageScript> {
        match self {
            Self::Start { .. } => Some(&START),
            Self::Meeting { .. } => Some(&MEETING),
            Self::Join { .. } => Some(&JOIN),
            Self::Wait { .. } => Some(&WAIT),
            Self::ChooseProvider { .. } => Some(&CHOOSE),
            Self::Continue { .. } => Some(&CONTINUE),
            Self::OpenApp { .. } => Some(&OPEN_APP),
            Self::Call { .. } => Some(&CALL),
            Self::Popup { .. } => Some(&POPUP),
            Self::LogoutFrame => Some(&LOGOUT_FRAME),
            Self::Refused {
                denial: RefusalCause::NotYet { .. },
                ..
            } => Some(&NOTICE),
            _ => None,
        }
    }
}

static START: PageScript = PageScript::new(include_str!("scripts/start.js"));
static MEETING: PageScript = PageScript::new(include_str!("scripts/meeting.js"));
static JOIN: PageScript = PageScript::new(include_str!("scripts/join.js"));
static WAIT: PageScript = PageScript::new(include_str!("scripts/wait.js"));
pub(super) static CONTINUE: PageScript = PageScript::new(include_str!("scripts/continue.js"));
static CHOOSE: PageScript = PageScript::new(include_str!("scripts/choose.js"));
static OPEN_APP: PageScript = PageScript::new(include_str!("scripts/open_app.js"));
static CALL: PageScript = PageScript::new(include_str!("scripts/call.js"));
static POPUP: PageScript = PageScript::new(include_str!("scripts/popup.js"));
static LOGOUT_FRAME: PageScript = PageScript::new(include_str!("scripts/logout_frame.js"));
static NOTICE: PageScript = PageScript::new(include_str!("scripts/notice.js"));
