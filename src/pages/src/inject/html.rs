//! Where the script goes: found by a tokenizer while the page streams through.
//!
//! The page's own bytes are never altered or serialized anew: the tokenizer only tells an offset, and
//! once that is found the rest is passed on unread.

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use lol_html::{
    ElementContentHandlers, HandlerResult, MemorySettings, OutputSink, Selector,
    send::{Element, HtmlRewriter, SendHandlerTypes, Settings},
};

use super::{CompletionError, Script};

/// Inserts a script into an HTML document that comes in pieces.
pub struct HtmlCompleter {
    element: Bytes,
    state: State,
}

/// Where the script went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In front of the script that loads Jitsi's library, so behind the configuration.
    BeforeLibrary,
    /// At the end of `<head>`: the page loads no library that we know.
    BeforeHeadEnd,
    /// Behind the document: it has no `</head>` either.
    AtEnd,
    /// Nowhere: the document is empty, cannot be read, or ends inside of something.
    Nowhere,
}

/// The selectors, parsed once.
pub(super) struct Selectors {
    library: Selector,
    head: Selector,
    template: Selector,
}

enum State {
    Seeking(Box<Seeker>),
    Over(Placement),
    Failed,
}

struct Seeker {
    tokenizer: HtmlRewriter<'static, Counter>,
    found: Arc<OnceLock<(usize, Placement)>>,
    /// How much of the input the tokenizer is done with.
    done: Arc<AtomicUsize>,
    received: usize,
    emitted: usize,
    /// The input between `emitted` and `received`: a tag that has not ended yet.
    held: BytesMut,
}

/// Counts what the tokenizer lets go; as nothing is altered, that is a length of input.
struct Counter(Arc<AtomicUsize>);

// === impl HtmlCompleter ===

impl HtmlCompleter {
    pub(super) fn new(selectors: &Selectors, script: &Script) -> Self {
        Self {
            element: script.element().clone(),
            state: State::Seeking(Box::new(Seeker::new(selectors))),
        }
    }

    /// Takes the next piece of the document and returns what can be sent on, which may be empty.
    ///
    /// # Errors
    ///
    /// When the document cannot be read and part of it was sent on already.
    pub fn push(&mut self, mut chunk: Bytes) -> Result<Bytes, CompletionError> {
        let seeker = match &mut self.state {
            State::Seeking(seeker) => seeker,
            State::Over(_) => return Ok(chunk),
            State::Failed => return Err(CompletionError::Html),
        };
        seeker.received += chunk.len();
        let outcome = seeker.tokenizer.write(&chunk);
        if let Some(&(offset, placement)) = seeker.found.get() {
            seeker.held.extend_from_slice(&chunk);
            let completed = seeker.splice(offset, &self.element);
            self.state = State::Over(placement);
            return Ok(completed);
        }
        if outcome.is_err() {
            let untouched = seeker.emitted == 0;
            seeker.held.extend_from_slice(&chunk);
            let all = seeker.held.split().freeze();
            return if untouched {
                self.state = State::Over(Placement::Nowhere);
                Ok(all)
            } else {
                self.state = State::Failed;
                Err(CompletionError::Html)
            };
        }
        let ready = seeker.done.load(Ordering::Relaxed) - seeker.emitted;
        seeker.emitted += ready;
        Ok(if seeker.held.is_empty() {
            // Nearly always: nothing is copied but the beginning of a tag at the end.
            let ready = chunk.split_to(ready);
            seeker.held.extend_from_slice(&chunk);
            ready
        } else {
            seeker.held.extend_from_slice(&chunk);
            seeker.held.split_to(ready).freeze()
        })
    }

    /// Ends the document: what is still to be sent, and where the script went.
    ///
    /// # Errors
    ///
    /// When an earlier piece could not be read.
    pub fn finish(self) -> Result<(Bytes, Placement), CompletionError> {
        match self.state {
            State::Seeking(seeker) => Ok(seeker.finish(&self.element)),
            State::Over(placement) => Ok((Bytes::new(), placement)),
            State::Failed => Err(CompletionError::Html),
        }
    }
}

// === impl Seeker ===

impl Seeker {
    fn new(selectors: &Selectors) -> Self {
        let found = Arc::new(OnceLock::new());
        let done = Arc::new(AtomicUsize::new(0));
        let templates = Arc::new(AtomicUsize::new(0));
        let settings = Settings::new_send()
            .append_element_content_handler(on(&selectors.template, count_templates(&templates)))
            .append_element_content_handler(on(&selectors.head, find_head_end(&found, &templates)))
            .append_element_content_handler(on(
                &selectors.library,
                find_library(&found, &templates),
            ))
            .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY))
            // Rather no script than one inside of what a browser takes for text.
            .with_strict(true);
        Self {
            tokenizer: HtmlRewriter::new(settings, Counter(Arc::clone(&done))),
            found,
            done,
            received: 0,
            emitted: 0,
            held: BytesMut::new(),
        }
    }

    /// Everything that was not sent yet, with the element at the offset.
    fn splice(&mut self, offset: usize, element: &[u8]) -> Bytes {
        let mut rest = self.held.split();
        let behind = rest.split_off((offset - self.emitted).min(rest.len()));
        rest.reserve(element.len() + behind.len());
        rest.extend_from_slice(element);
        rest.extend_from_slice(&behind);
        rest.freeze()
    }

    fn finish(mut self, element: &[u8]) -> (Bytes, Placement) {
        // The end is a place only if a script that stood there would be one: not inside of a
        // comment, a tag or another script. The tokenizer knows; it is shown one.
        let readable = self.received > 0;
        let _stops_at_the_probe = readable.then(|| self.tokenizer.write(PROBE));
        match self.found.get() {
            Some(&(offset, Placement::BeforeLibrary)) if offset >= self.received => {
                let received = self.received;
                (self.splice(received, element), Placement::AtEnd)
            }
            _ => (self.held.split().freeze(), Placement::Nowhere),
        }
    }
}

// === impl Selectors ===

impl Selectors {
    pub(super) fn new() -> Self {
        let parse = |text: &str| text.parse().expect("our selectors are well-formed");
        Self {
            library: parse(r#"script[src*="lib-jitsi-meet"]"#),
            head: parse("head"),
            template: parse("template"),
        }
    }
}

// === impl Counter ===

impl OutputSink for Counter {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.fetch_add(chunk.len(), Ordering::Relaxed);
    }
}

type Found = Arc<OnceLock<(usize, Placement)>>;
type Handlers = ElementContentHandlers<'static, SendHandlerTypes>;

fn on(
    selector: &Selector,
    handler: impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + 'static,
) -> (Cow<'_, Selector>, Handlers) {
    let handlers = Handlers {
        element: Some(Box::new(handler)),
        ..Handlers::default()
    };
    (Cow::Borrowed(selector), handlers)
}

/// Keeps the number of open templates: what is inside of one is not part of the page.
fn count_templates(
    templates: &Arc<AtomicUsize>,
) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + use<> {
    let templates = Arc::clone(templates);
    move |element| {
        templates.fetch_add(1, Ordering::Relaxed);
        let templates = Arc::clone(&templates);
        element.on_end_tag(Box::new(move |_| {
            templates.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(())
    }
}

fn find_head_end(
    found: &Found,
    templates: &Arc<AtomicUsize>,
) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + use<> {
    let (found, templates) = (Arc::clone(found), Arc::clone(templates));
    move |element| {
        let (found, templates) = (Arc::clone(&found), Arc::clone(&templates));
        element.on_end_tag(Box::new(move |tag| {
            let offset = tag.source_location().bytes().start;
            stop_at(&found, &templates, offset, Placement::BeforeHeadEnd)
        }))?;
        Ok(())
    }
}

fn find_library(
    found: &Found,
    templates: &Arc<AtomicUsize>,
) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + use<> {
    let (found, templates) = (Arc::clone(found), Arc::clone(templates));
    move |element| {
        let offset = element.source_location().bytes().start;
        stop_at(&found, &templates, offset, Placement::BeforeLibrary)
    }
}

/// Notes the place; the error ends the tokenizer's work, which nobody needs any more.
fn stop_at(
    found: &Found,
    templates: &AtomicUsize,
    offset: usize,
    placement: Placement,
) -> HandlerResult {
    if templates.load(Ordering::Relaxed) > 0 || found.set((offset, placement)).is_err() {
        return Ok(());
    }
    Err("found".into())
}

/// A script that the tokenizer would report.
const PROBE: &[u8] = b"<script src=lib-jitsi-meet>";

/// What the tokenizer may hold of one tag: Jitsi's longest is below 1 KiB, an operator's `data:`
/// address may be longer.
const MAX_MEMORY: usize = 512 * 1024;

#[cfg(test)]
mod tests;
