//! Insertion of the script into an HTML page while it streams through.
//!
//! The scanner finds one byte offset; the page's own bytes are not re-serialized, and after the offset
//! the rest passes unread. The only bytes that change are the tags of content security policies before
//! the offset, which would block the script. Three places are possible, the first of them that the
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
mod whole_page;

use bytes::{Bytes, BytesMut};

use self::scanner::{MetaPolicy, Position, Scanner};
pub(super) use self::{
    scanner::{ScriptPlacement, Selectors},
    whole_page::LastScannedHead,
};
use super::{InjectedScript, csp};

/// Inserts a script into an HTML page that arrives in chunks.
pub(super) struct HtmlInjector {
    script: InjectedScript,
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
    /// The bytes of the page before [`MARK_BYTES`] of it have arrived.
    start: BytesMut,
    /// Number of bytes that were returned by [`HtmlInjector::push`].
    sent: usize,
    /// The bytes between `sent` and the end of the last chunk.
    held: BytesMut,
}

// === impl HtmlInjector ===

impl HtmlInjector {
    pub(super) fn new(selectors: &Selectors, script: &InjectedScript) -> Self {
        Self {
            script: script.clone(),
            state: State::Scanning(Box::new(Splicer {
                scanner: Scanner::new(selectors),
                start: BytesMut::new(),
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
        let Some(chunk) = splicer.complete_start(chunk) else {
            return Ok(Bytes::new());
        };
        if !splicer.scanner.has_begun() && is_utf_16(&chunk) {
            self.state = State::Done(ScriptPlacement::Utf16);
            return Ok(chunk);
        }
        let scanned = splicer.scanner.write(&chunk);
        if let Some(position) = splicer.scanner.found() {
            splicer.held.extend_from_slice(&chunk);
            let spliced = splicer.splice(position.offset, &self.script);
            self.state = State::Done(position.placement);
            return Ok(spliced);
        }
        if scanned.is_ok() {
            return Ok(splicer.take_released(chunk, &self.script));
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
            State::Scanning(splicer) => Ok(splicer.finish(&self.script)),
            State::Done(placement) => Ok((Bytes::new(), placement)),
            State::Failed => Err(UnsafeHtml),
        }
    }
}

// === impl Splicer ===

impl Splicer {
    /// Collects the first bytes of the page; `None` while a byte order mark may be incomplete.
    fn complete_start(&mut self, chunk: Bytes) -> Option<Bytes> {
        if self.scanner.has_begun() {
            return Some(chunk);
        }
        if self.start.is_empty() && chunk.len() >= MARK_BYTES {
            return Some(chunk);
        }
        self.start.extend_from_slice(&chunk);
        (self.start.len() >= MARK_BYTES).then(|| self.start.split().freeze())
    }

    /// The bytes that the scanner has released; holds back the rest of the chunk.
    fn take_released(&mut self, mut chunk: Bytes, script: &InjectedScript) -> Bytes {
        let from = self.sent;
        let count = self.scanner.released() - from;
        self.sent += count;
        let released = if self.held.is_empty() {
            // The usual case: copies nothing but an incomplete tag.
            let released = chunk.split_to(count);
            self.held.extend_from_slice(&chunk);
            released
        } else {
            self.held.extend_from_slice(&chunk);
            self.held.split_to(count).freeze()
        };
        self.allow_script(from, released, script)
    }

    /// All unsent bytes, with the script at `offset` of the page.
    fn splice(&mut self, offset: usize, script: &InjectedScript) -> Bytes {
        let mut before = self.held.split();
        let after = before.split_off((offset - self.sent).min(before.len()));
        let before = self.allow_script(self.sent, before.freeze(), script);
        let element = script.element();
        let mut bytes = BytesMut::with_capacity(before.len() + element.len() + after.len());
        bytes.extend_from_slice(&before);
        bytes.extend_from_slice(element);
        bytes.extend_from_slice(&after);
        bytes.freeze()
    }

    /// [`allow_script`], with the policies found since the last call. A tag is released whole, once it is
    /// complete.
    fn allow_script(&mut self, from: usize, bytes: Bytes, script: &InjectedScript) -> Bytes {
        allow_script(&self.scanner.take_policies(), from, bytes, script)
    }

    fn finish(mut self, script: &InjectedScript) -> (Bytes, ScriptPlacement) {
        // The page has one byte.
        if !self.start.is_empty() {
            return (self.start.freeze(), ScriptPlacement::Nowhere);
        }
        if let Some(Position {
            offset, placement, ..
        }) = self.scanner.finish()
        {
            return (self.splice(offset, script), placement);
        }
        let rest = self.held.split().freeze();
        let rest = self.allow_script(self.sent, rest, script);
        (rest, ScriptPlacement::Nowhere)
    }
}

/// Replaces the tags of policies that would block the script, in bytes that begin at `from` of the page.
fn allow_script(
    policies: &[MetaPolicy],
    from: usize,
    bytes: Bytes,
    script: &InjectedScript,
) -> Bytes {
    if policies.is_empty() {
        return bytes;
    }
    let (mut changed, mut copied) = (BytesMut::with_capacity(bytes.len() + 128), 0);
    for MetaPolicy { tag, content } in policies {
        let place = (tag.start.checked_sub(from), tag.end.checked_sub(from));
        if let (Some(start), Some(end)) = place
            && let Some(unchanged) = bytes.get(copied..start)
            && end <= bytes.len()
            && let Some(tag) = csp::meta_tag_with_script(content, script)
        {
            changed.extend_from_slice(unchanged);
            changed.extend_from_slice(tag.as_bytes());
            copied = end;
        }
    }
    changed.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    changed.freeze()
}

/// Whether the page is UTF-16, whose markup is not ASCII.
fn is_utf_16(page: &[u8]) -> bool {
    UTF_16_MARKS.iter().any(|mark| page.starts_with(&mark[..]))
}

/// Byte order marks of UTF-16 (Encoding Standard § 6.1).
const UTF_16_MARKS: [&[u8; MARK_BYTES]; 2] = [b"\xfe\xff", b"\xff\xfe"];

const MARK_BYTES: usize = 2;

#[cfg(test)]
mod tests;
