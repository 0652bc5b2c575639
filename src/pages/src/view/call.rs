//! The page of a meeting at 8x8.

use askama::Template;
use model::room::RoomKey;
use serde_json::Value;
use url::Url;

use super::{Frame, local_path, room_name};
use crate::{Texts, texts};

/// Values of `call.html`.
#[derive(Template)]
#[template(path = "call.html", config = "askama.toml")]
pub(super) struct CallView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Call,
    room: String,
    script: &'v str,
    options: String,
    events: &'v str,
    again: &'v str,
    overlays: [Overlay<'v>; 3],
}

/// A message that replaces the meeting; `call.js` shows one of them by its id.
struct Overlay<'v> {
    id: &'static str,
    title: &'v str,
    text: Option<&'v str>,
    /// The label of the button that loads the page again.
    again: &'v str,
}

// === impl CallView ===

impl<'v> CallView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        room: &RoomKey,
        script: &'v Url,
        options: &Value,
        events: &'v str,
        again: &'v str,
    ) -> Self {
        let texts = &frame.texts.call;
        Self {
            texts,
            room: room_name(room),
            script: script.as_str(),
            options: options.to_string(),
            events: local_path(events),
            again: local_path(again),
            overlays: overlays(frame.texts),
            frame: frame.with_title(&room_name(room)),
        }
    }
}

fn overlays(texts: &Texts) -> [Overlay<'_>; 3] {
    let (call, again) = (&texts.call, &*texts.call.again);
    let overlay = |id, title, text, again| Overlay {
        id,
        title,
        text,
        again,
    };
    let failed = Some(&*call.failed_text);
    [
        overlay("failed", &*call.failed_title, failed, &*texts.words.again),
        overlay("over", &*call.over_title, None, again),
        overlay("ended", &*call.ended_title, Some(&*call.ended_text), again),
    ]
}
