//! Search for the script's place and for policies before it, by `lol_html` used as an offset finder.
//!
//! The rewriter's output is not used. Its handlers report source offsets, and the length of its
//! output is the number of input bytes that it has released, as nothing is rewritten.

use std::{
    borrow::Cow,
    mem,
    ops::Range,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use lol_html::{
    ElementContentHandlers, HandlerResult, MemorySettings, OutputSink, Selector,
    errors::RewritingError,
    send::{Element, HtmlRewriter, SendHandlerTypes, Settings},
};

/// Where the script is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inject) enum ScriptPlacement {
    /// Before the script element that loads `lib-jitsi-meet`.
    BeforeLibrary,
    /// Before `</head>`.
    BeforeHeadEnd,
    /// After the last byte.
    AtEnd,
    /// Not at all: the page is UTF-16.
    Utf16,
    /// Not at all: the page is empty, cannot be parsed, or ends inside a comment, tag or script.
    Nowhere,
}

/// Selectors of the elements of interest, parsed once per deployment.
pub(in crate::inject) struct Selectors {
    library: Selector,
    head: Selector,
    template: Selector,
    policy: Selector,
}

/// Scans a page that arrives in chunks.
pub(super) struct Scanner {
    rewriter: HtmlRewriter<'static, OutputCounter>,
    found: Arc<OnceLock<Position>>,
    policies: Arc<Mutex<Vec<MetaPolicy>>>,
    released: Arc<AtomicUsize>,
    received: usize,
}

/// A content security policy in the page (HTML § 4.2.5.3, "Content security policy state").
pub(super) struct MetaPolicy {
    /// The bytes of its tag, from the start of the page.
    pub(super) tag: Range<usize>,
    /// The attribute `content` as it is written.
    pub(super) content: String,
}

/// A place of the script.
#[derive(Clone, Copy)]
pub(super) struct Position {
    /// In bytes from the start of the page.
    pub(super) offset: usize,
    /// The end of the tag that determines it. Later bytes do not.
    pub(super) determined_by: usize,
    pub(super) placement: ScriptPlacement,
}

/// Counts the rewriter's output instead of keeping it.
struct OutputCounter(Arc<AtomicUsize>);

/// State that the handlers share. `Arc`, because the rewriter has to be `Send`; one thread at a
/// time uses it.
#[derive(Clone)]
struct Search {
    found: Arc<OnceLock<Position>>,
    policies: Arc<Mutex<Vec<MetaPolicy>>>,
    /// Number of open `<template>` elements, whose content is not part of the page.
    open_templates: Arc<AtomicUsize>,
}

type Handlers = ElementContentHandlers<'static, SendHandlerTypes>;

// === impl Selectors ===

impl Selectors {
    pub(in crate::inject) fn new() -> Self {
        // Infallible: the selectors are constants.
        let parse = |text: &str| text.parse().expect("selectors are well-formed");
        Self {
            library: parse(r#"script[src*="lib-jitsi-meet"]"#),
            head: parse("head"),
            template: parse("template"),
            policy: parse(r#"meta[http-equiv="content-security-policy" i][content]"#),
        }
    }
}

// === impl Scanner ===

impl Scanner {
    pub(super) fn new(selectors: &Selectors) -> Self {
        let search = Search {
            found: Arc::new(OnceLock::new()),
            policies: Arc::default(),
            open_templates: Arc::new(AtomicUsize::new(0)),
        };
        let released = Arc::new(AtomicUsize::new(0));
        let settings = Settings::new_send()
            .append_element_content_handler(on(
                &selectors.template,
                search.clone().count_templates(),
            ))
            .append_element_content_handler(on(
                &selectors.policy,
                search.clone().collect_policies(),
            ))
            .append_element_content_handler(on(&selectors.head, search.clone().find_head_end()))
            .append_element_content_handler(on(&selectors.library, search.clone().find_library()))
            .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY))
            // Refuses markup that browsers parse in context-dependent ways: a script inserted there
            // could end up inside text.
            .with_strict(true);
        Self {
            rewriter: HtmlRewriter::new(settings, OutputCounter(Arc::clone(&released))),
            found: search.found,
            policies: search.policies,
            released,
            received: 0,
        }
    }

    /// Scans the next chunk. The error also ends the scan once a place is [`found`](Self::found).
    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<(), RewritingError> {
        self.received += chunk.len();
        self.rewriter.write(chunk)
    }

    /// Whether a chunk was scanned.
    pub(super) fn has_begun(&self) -> bool {
        self.received > 0
    }

    /// The place, if the chunks so far have one.
    pub(super) fn found(&self) -> Option<Position> {
        self.found.get().copied()
    }

    /// The policies that were found since the last call, in their order.
    pub(super) fn take_policies(&mut self) -> Vec<MetaPolicy> {
        mem::take(&mut self.policies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Number of bytes before which no place can be found in later chunks.
    pub(super) fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }

    /// The end of the page, if a script there would run.
    ///
    /// Determined by a probe, a library script after the last byte: the tokenizer reports it unless
    /// the page ends inside a comment, a tag or another script.
    pub(super) fn finish(&mut self) -> Option<Position> {
        if self.received == 0 {
            return None;
        }
        // Finding the probe is an error of `write`, too.
        drop(self.rewriter.write(PROBE));
        let position = self.found()?;
        (position.placement == ScriptPlacement::BeforeLibrary && position.offset >= self.received)
            .then_some(Position {
                offset: self.received,
                determined_by: self.received,
                placement: ScriptPlacement::AtEnd,
            })
    }
}

// === impl OutputCounter ===

impl OutputSink for OutputCounter {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.fetch_add(chunk.len(), Ordering::Relaxed);
    }
}

// === impl Search ===

impl Search {
    fn count_templates(self) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + 'static {
        move |element| {
            self.open_templates.fetch_add(1, Ordering::Relaxed);
            let open_templates = Arc::clone(&self.open_templates);
            element.on_end_tag(Box::new(move |_| {
                open_templates.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }))?;
            Ok(())
        }
    }

    fn collect_policies(
        self,
    ) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + 'static {
        move |element| {
            if self.open_templates.load(Ordering::Relaxed) == 0
                && let Some(content) = element.get_attribute("content")
            {
                let tag = element.source_location().bytes();
                let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
                policies.push(MetaPolicy { tag, content });
            }
            Ok(())
        }
    }

    fn find_head_end(self) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + 'static {
        move |element| {
            let search = self.clone();
            element.on_end_tag(Box::new(move |tag| {
                search.stop_at(
                    tag.source_location().bytes(),
                    ScriptPlacement::BeforeHeadEnd,
                )
            }))?;
            Ok(())
        }
    }

    fn find_library(self) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + 'static {
        move |element| {
            self.stop_at(
                element.source_location().bytes(),
                ScriptPlacement::BeforeLibrary,
            )
        }
    }

    /// Records the first place outside templates. The error stops the tokenizer.
    fn stop_at(&self, tag: Range<usize>, placement: ScriptPlacement) -> HandlerResult {
        let position = Position {
            offset: tag.start,
            determined_by: tag.end,
            placement,
        };
        if self.open_templates.load(Ordering::Relaxed) > 0 || self.found.set(position).is_err() {
            return Ok(());
        }
        Err("found".into())
    }
}

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

/// An element that [`Selectors::library`] matches.
const PROBE: &[u8] = b"<script src=lib-jitsi-meet>";

/// Limit of one tag. Jitsi's longest is below 1 KiB; a `data:` URL of custom branding may be longer.
pub(super) const MAX_MEMORY: usize = 512 * 1024;
