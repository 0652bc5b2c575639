//! One warning for each reason for which Jitsi's page passes as it came.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use tracing::warn;

use super::{headers::Obstacle, html::ScriptPlacement};

/// Which warnings were logged. Each is logged once per process: every visitor of a room would repeat
/// it.
#[derive(Debug, Default)]
pub(super) struct InjectionWarnings {
    media_type: AtomicBool,
    encoding: AtomicBool,
    charset: AtomicBool,
    placement: AtomicBool,
}

// === impl InjectionWarnings ===

impl InjectionWarnings {
    /// Warns of a response that passes because of its head.
    pub(super) fn passed(&self, obstacle: Obstacle, headers: &HeaderMap) {
        let (content_type, coding) = (headers.get(CONTENT_TYPE), headers.get(CONTENT_ENCODING));
        match obstacle {
            Obstacle::MediaType if is_first(&self.media_type) => warn!(
                ?content_type,
                "upstream's page or config.js has another media type than text/html or \
                 application/javascript; {PASSES}"
            ),
            Obstacle::Encoding if is_first(&self.encoding) => warn!(
                content_encoding = ?coding,
                "upstream encodes Jitsi's page or config.js although `identity` was requested; {PASSES}"
            ),
            Obstacle::Charset if is_first(&self.charset) => warn!(
                ?content_type,
                "upstream's page or config.js is not UTF-8 or another superset of ASCII; {PASSES}"
            ),
            _ => {}
        }
    }

    /// Warns of a page without the script.
    pub(super) fn placed(&self, placement: ScriptPlacement) {
        match placement {
            ScriptPlacement::Utf16 if is_first(&self.charset) => {
                warn!("upstream's page begins with a byte order mark of UTF-16; {PASSES}");
            }
            ScriptPlacement::Nowhere if is_first(&self.placement) => {
                warn!("upstream's page has no place for the gateway's script; {PASSES}");
            }
            _ => {}
        }
    }
}

fn is_first(logged: &AtomicBool) -> bool {
    !logged.swap(true, Ordering::Relaxed)
}

const PASSES: &str = "such responses pass unchanged, without the gateway's options and user names; \
    the doctor's W1 and W2 name remedies";
