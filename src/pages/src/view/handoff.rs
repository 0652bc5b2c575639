//! The pages that leave the site: to the provider, and to the mobile app.

use askama::Template;
use model::{room::RoomKey, session::ReturnTo};
use url::Url;

use super::{Frame, local_path, room_name};
use crate::{
    page_script::{self, PageScript},
    texts,
};

/// Values of `continue.html`.
#[derive(Template)]
#[template(path = "continue.html", config = "askama.toml")]
pub(super) struct ContinueView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Leaving,
    provider: &'v str,
    path: &'v str,
    /// In the head, so that the browser leaves before it displays the page.
    script: &'static PageScript,
}

/// Values of `open_app.html`.
#[derive(Template)]
#[template(path = "open_app.html", config = "askama.toml")]
pub(super) struct OpenAppView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::OpenApp,
    room: String,
    link: &'v str,
    browser: &'v str,
}

// === impl ContinueView ===

impl<'v> ContinueView<'v> {
    pub(super) fn new(frame: Frame<'v>, provider: &'v Url, return_to: &'v ReturnTo) -> Self {
        let texts = &frame.texts.leaving;
        Self {
            texts,
            provider: provider.as_str(),
            path: return_to.as_str(),
            script: &page_script::CONTINUE,
            frame: Frame {
                script: None,
                ..frame.with_title(&texts.title)
            },
        }
    }
}

// === impl OpenAppView ===

impl<'v> OpenAppView<'v> {
    pub(super) fn new(frame: Frame<'v>, room: &RoomKey, link: &'v str, browser: &'v str) -> Self {
        let texts = &frame.texts.open_app;
        Self {
            texts,
            room: room_name(room),
            link,
            browser: local_path(browser),
            frame: frame.with_title(&texts.title),
        }
    }
}
