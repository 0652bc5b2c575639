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
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::{super::Completion, *};

    fn complete(chunks: &[&[u8]]) -> Result<(String, Placement), CompletionError> {
        let completion = Completion::new("https://meet.test", &Map::new());
        let script = completion.script(Some("token"));
        let mut completer = completion.html(&script);
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&completer.push(Bytes::copy_from_slice(chunk))?);
        }
        let (rest, placement) = completer.finish()?;
        out.extend_from_slice(&rest);
        let element = String::from_utf8(script.element().to_vec()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.matches(&element).count() <= 1);
        Ok((text.replace(&element, "[HERE]"), placement))
    }

    fn placed(document: &str) -> (String, Placement) {
        complete(&[document.as_bytes()]).unwrap()
    }

    #[test]
    fn the_script_stands_before_the_library() {
        let (text, placement) = placed(JITSI);
        assert_eq!(placement, Placement::BeforeLibrary);
        assert_eq!(
            text,
            JITSI.replacen("<script src=\"libs/lib", "[HERE]<script src=\"libs/lib", 1)
        );
    }

    #[test]
    fn without_a_library_it_ends_the_head() {
        let (text, placement) = placed("<html><head><title>x</title></head><body></body></html>");
        assert_eq!(placement, Placement::BeforeHeadEnd);
        assert_eq!(
            text,
            "<html><head><title>x</title>[HERE]</head><body></body></html>"
        );
    }

    #[test]
    fn without_a_head_it_ends_the_document() {
        for document in [
            "<p>x",
            "text",
            "<!doctype html><html><body></body></html>\n",
        ] {
            let expected = format!("{document}[HERE]");
            assert_eq!(placed(document), (expected, Placement::AtEnd));
        }
    }

    #[test]
    fn a_library_without_a_head_tag_is_found() {
        let (text, placement) = placed("<script src=/x/lib-jitsi-meet.js></script><p>");
        assert_eq!(text, "[HERE]<script src=/x/lib-jitsi-meet.js></script><p>");
        assert_eq!(placement, Placement::BeforeLibrary);
    }

    #[test]
    fn what_only_looks_like_a_library_is_passed_over() {
        let library = "<script src=\"lib-jitsi-meet.js\"></script>";
        for wrong in [
            format!("<!-- {library} -->"),
            "<script>var x = '<script src=\"lib-jitsi-meet.js\">';</script>".to_owned(),
            format!("<style>{library}</style>"),
            format!("<title>{library}</title>"),
            format!("<noscript>{library}</noscript>"),
            format!("<template>{library}<template></template>{library}</template>"),
            "<link href=\"lib-jitsi-meet.js\">".to_owned(),
            "<script>'</head>'</script><!-- </head> -->".to_owned(),
            "<meta content='</head><script src=\"lib-jitsi-meet.js\">'>".to_owned(),
        ] {
            let (text, placement) = placed(&format!("<head>{wrong}{library}</head>"));
            assert_eq!(text, format!("<head>{wrong}[HERE]{library}</head>"));
            assert_eq!(placement, Placement::BeforeLibrary);
            let (text, placement) = placed(&format!("<head>{wrong}</head>{library}"));
            assert_eq!(text, format!("<head>{wrong}[HERE]</head>{library}"));
            assert_eq!(placement, Placement::BeforeHeadEnd);
        }
    }

    #[test]
    fn a_document_that_ends_inside_of_something_is_left_alone() {
        for document in [
            "",
            "<!-- open",
            "<script>open(",
            "<p title=\"open",
            "<p",
            "<style>",
            "<title>x",
            "<template><p>",
        ] {
            assert_eq!(
                placed(document),
                (document.to_owned(), Placement::Nowhere),
                "{document:?}"
            );
        }
    }

    #[test]
    fn a_tag_without_end_is_no_reason_to_grow() {
        let tag = format!("<script src=\"{}", "x".repeat(2 * MAX_MEMORY));
        let (text, placement) = placed(&tag);
        assert_eq!((text.len(), placement), (tag.len(), Placement::Nowhere));
        let halves = tag.as_bytes().split_at(MAX_MEMORY);
        let first: &[u8] = b"<p>";
        assert!(complete(&[first, halves.0, halves.1]).is_err());
    }

    #[test]
    fn what_comes_after_the_place_is_not_read() {
        // A tag that would be ambiguous, and one that would be too long.
        let behind = format!(
            "<select><xmp><script></xmp></select><p title=\"{}\">",
            "x".repeat(2 * MAX_MEMORY)
        );
        let (text, _) = placed(&format!("<head></head>{behind}"));
        assert_eq!(text, format!("<head>[HERE]</head>{behind}"));
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            document in prop_oneof![Just(JITSI.to_owned()), pieces()],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(document.len() + 1)).collect();
            cuts.extend([0, document.len()]);
            cuts.sort_unstable();
            let bytes = document.as_bytes();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let whole = complete(&[bytes]).unwrap();
            prop_assert_eq!(&whole.0.replace("[HERE]", ""), &document);
            prop_assert_eq!(complete(&chunks).unwrap(), whole);
        }
    }

    /// Documents of fragments that matter, in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "<head>",
            "</head>",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<script src='lib-jitsi-meet'>",
            "<p title=\"",
            "\">",
            "é<b",
            ">",
            "&amp;",
            "</",
            "<title>",
            "</title>",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// The shape of Jitsi's page once its web server has filled it in.
    const JITSI: &str = r#"<!DOCTYPE html>
<html><head><meta charset="utf-8"><base href="/" />
<link rel="preload" href="libs/lib-jitsi-meet.min.js?v=1" as="script">
<script>var config = {hosts: {domain: 'meet.jitsi'}}; // é </script>
<script>var interfaceConfig = {};</script>
<script src="libs/lib-jitsi-meet.min.js?v=1"></script>
<script src="libs/app.bundle.min.js?v=1"></script>
<title>Jitsi Meet</title></head>
<body><noscript aria-hidden="true"><p>JavaScript</p></noscript><div id="react"></div></body></html>
"#;
}
