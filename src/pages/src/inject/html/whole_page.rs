//! Insertion of the script into a page that has arrived whole.
//!
//! Jitsi's page is the same for all rooms and people of a deployment, so its head is scanned once. A page that begins
//! with the bytes of the head that was scanned last, up to the end of the tag that determined the script's place, has
//! the script in the same place: the tokenizer reads no later byte before it decides.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};

use super::{
    InjectedScript, MARK_BYTES, MetaPolicy, Position, Scanner, ScriptPlacement, Selectors,
    allow_script, is_utf_16,
};
use crate::inject::Chunks;

/// The head of the page that was scanned last.
///
/// One, because the pages of a deployment differ by release and, with multi-tenancy, by tenant. Pages that alternate
/// are scanned each time.
#[derive(Default)]
pub(in crate::inject) struct LastScannedHead(ArcSwapOption<KnownHead>);

struct KnownHead {
    /// From the page's first byte to the end of the tag that determines the place.
    bytes: Bytes,
    place: ScriptPlace,
}

/// The script's place in one page.
#[derive(Clone)]
struct ScriptPlace {
    position: Position,
    /// Policies in the page's markup before the place.
    policies: Arc<[MetaPolicy]>,
}

// === impl LastScannedHead ===

impl LastScannedHead {
    /// Inserts the script. The page is in one piece: the HTTP library sends several in several writes.
    pub(in crate::inject) fn complete(
        &self,
        page: Chunks,
        selectors: &Selectors,
        script: &InjectedScript,
    ) -> (Bytes, ScriptPlacement) {
        let known = self.0.load();
        if let Some(known) = known.as_ref().filter(|it| page.starts_with(&it.bytes)) {
            return known.place.complete(&page, script);
        }
        let page = page.join();
        match scan(&page, selectors) {
            Ok(place) => {
                if let Some(known) = KnownHead::of(&page, &place) {
                    self.0.store(Some(Arc::new(known)));
                }
                place.complete(&page.into(), script)
            }
            Err(placement) => (page, placement),
        }
    }
}

// === impl KnownHead ===

impl KnownHead {
    /// The head of a page; `None` if the end of the page determines the place.
    fn of(page: &[u8], place: &ScriptPlace) -> Option<Self> {
        if place.position.placement == ScriptPlacement::AtEnd {
            return None;
        }
        let bytes = page.get(..place.position.determined_by)?;
        Some(Self {
            // A copy: the page itself is freed when it was sent.
            bytes: Bytes::copy_from_slice(bytes),
            place: place.clone(),
        })
    }
}

// === impl ScriptPlace ===

impl ScriptPlace {
    fn complete(&self, page: &Chunks, script: &InjectedScript) -> (Bytes, ScriptPlacement) {
        let Position {
            offset, placement, ..
        } = self.position;
        let element = script.element();
        let mut text = BytesMut::with_capacity(page.length() + element.len());
        for piece in page.range(0..offset) {
            text.extend_from_slice(piece);
        }
        if !self.policies.is_empty() {
            text = allow_script(&self.policies, 0, text.freeze(), script).into();
        }
        text.extend_from_slice(element);
        for piece in page.range(offset..page.length()) {
            text.extend_from_slice(piece);
        }
        (text.freeze(), placement)
    }
}

/// Finds the script's place; without one the page stays unchanged.
fn scan(page: &[u8], selectors: &Selectors) -> Result<ScriptPlace, ScriptPlacement> {
    if page.len() < MARK_BYTES {
        return Err(ScriptPlacement::Nowhere);
    }
    if is_utf_16(page) {
        return Err(ScriptPlacement::Utf16);
    }
    let mut scanner = Scanner::new(selectors);
    let scanned = scanner.write(page);
    let found = match scanner.found() {
        Some(position) => Some(position),
        None if scanned.is_ok() => scanner.finish(),
        None => None,
    };
    let position = found.ok_or(ScriptPlacement::Nowhere)?;
    Ok(ScriptPlace {
        position,
        policies: scanner.take_policies().into(),
    })
}
