//! Insertion of the script into an HTML page while it streams through.
//!
//! The scanner finds one byte offset; the page's own bytes are never changed or re-serialized, and
//! after the offset the rest passes unread. Three places are possible, the first of them that the
//! page has is used:
//!
//! ```text
//! <html><head> …
//!   <script>var config = {…}</script>         inlined by Jitsi's web server
//! ①                                           ScriptPlacement::BeforeLibrary
//!   <script src="libs/lib-jitsi-meet…">       reads `config`, then the URL fragment
//!   <script src="libs/app.bundle…">
//! ②                                           ScriptPlacement::BeforeHeadEnd: no library
//! </head><body> … </body></html>
//! ③                                           ScriptPlacement::AtEnd: no `</head>` either
//! ```
//!
//! The script must run after `config` exists and before the library reads it, hence ①. ② and ③
//! serve customized pages. A page that ends inside a comment, a tag or another script has no place
//! where a script would run, and stays unchanged.
//!
//! A chunk may end within a tag, in front of which the offset may turn out to be. The bytes of such
//! an incomplete tag are held back until the next chunk:
//!
//! ```text
//!      sent                 released             received
//! ───────┼─────────────────────┼────────────────────┼──▶ offset in the page
//!        │  returned by push   │  incomplete tag    │
//!                              └─────── held ───────┘
//! ```

mod scanner;

use bytes::{Bytes, BytesMut};

use self::scanner::{Position, Scanner};
pub(super) use self::scanner::{ScriptPlacement, Selectors};
use super::InjectedScript;

/// Inserts a script into an HTML page that arrives in chunks.
pub(super) struct HtmlInjector {
    element: Bytes,
    state: State,
}

/// The page is ambiguous HTML or has a tag over 512 KiB, after part of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page cannot be parsed safely")]
pub struct UnsafeHtml;

enum State {
    Scanning(Box<Splicer>),
    Done(ScriptPlacement),
    Failed,
}

/// A scanner with the bytes that it still needs.
struct Splicer {
    scanner: Scanner,
    /// Number of bytes that were returned by [`HtmlInjector::push`].
    sent: usize,
    /// The bytes between `sent` and the end of the last chunk.
    held: BytesMut,
}

// === impl HtmlInjector ===

impl HtmlInjector {
    pub(super) fn new(selectors: &Selectors, script: &InjectedScript) -> Self {
        Self {
            element: script.element().clone(),
            state: State::Scanning(Box::new(Splicer {
                scanner: Scanner::new(selectors),
                sent: 0,
                held: BytesMut::new(),
            })),
        }
    }

    /// Takes the next chunk and returns the bytes to send, possibly none.
    ///
    /// If the page cannot be parsed and nothing was sent, it passes unchanged from here on.
    ///
    /// # Errors
    ///
    /// The page cannot be parsed, and part of it was sent already.
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<Bytes, UnsafeHtml> {
        let splicer = match &mut self.state {
            State::Scanning(splicer) => splicer,
            State::Done(_) => return Ok(chunk),
            State::Failed => return Err(UnsafeHtml),
        };
        let scanned = splicer.scanner.write(&chunk);
        if let Some(position) = splicer.scanner.found() {
            splicer.held.extend_from_slice(&chunk);
            let spliced = splicer.splice(position.offset, &self.element);
            self.state = State::Done(position.placement);
            return Ok(spliced);
        }
        if scanned.is_ok() {
            return Ok(splicer.take_released(chunk));
        }
        if splicer.sent > 0 {
            self.state = State::Failed;
            return Err(UnsafeHtml);
        }
        splicer.held.extend_from_slice(&chunk);
        let all = splicer.held.split().freeze();
        self.state = State::Done(ScriptPlacement::Nowhere);
        Ok(all)
    }

    /// Ends the page. Returns the last bytes to send, and the place of the script.
    ///
    /// # Errors
    ///
    /// An earlier chunk could not be parsed.
    pub(super) fn finish(self) -> Result<(Bytes, ScriptPlacement), UnsafeHtml> {
        match self.state {
            State::Scanning(splicer) => Ok(splicer.finish(&self.element)),
            State::Done(placement) => Ok((Bytes::new(), placement)),
            State::Failed => Err(UnsafeHtml),
        }
    }
}

// === impl Splicer ===

impl Splicer {
    /// The bytes that the scanner has released; holds back the rest of the chunk.
    fn take_released(&mut self, mut chunk: Bytes) -> Bytes {
        let count = self.scanner.released() - self.sent;
        self.sent += count;
        if self.held.is_empty() {
            // The usual case: copies nothing but an incomplete tag.
            let released = chunk.split_to(count);
            self.held.extend_from_slice(&chunk);
            released
        } else {
            self.held.extend_from_slice(&chunk);
            self.held.split_to(count).freeze()
        }
    }

    /// All unsent bytes, with `element` at `offset` of the page.
    fn splice(&mut self, offset: usize, element: &[u8]) -> Bytes {
        let mut bytes = self.held.split();
        let tail = bytes.split_off((offset - self.sent).min(bytes.len()));
        bytes.reserve(element.len() + tail.len());
        bytes.extend_from_slice(element);
        bytes.extend_from_slice(&tail);
        bytes.freeze()
    }

    fn finish(mut self, element: &[u8]) -> (Bytes, ScriptPlacement) {
        match self.scanner.finish() {
            Some(Position { offset, placement }) => (self.splice(offset, element), placement),
            None => (self.held.split().freeze(), ScriptPlacement::Nowhere),
        }
    }
}

#[cfg(test)]
mod tests;
