//! The page that asks which of several providers people sign in with.

use askama::Template;

use super::{Frame, local_path, shorten};
use crate::{EmailForm, ProviderLink, texts};

/// Values of `choice.html`.
#[derive(Template)]
#[template(path = "choice.html", config = "askama.toml")]
pub(super) struct ChoiceView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Choice,
    providers: Vec<ProviderButton<'v>>,
    email: Option<EmailForm<'v>>,
}

struct ProviderButton<'v> {
    name: String,
    path: &'v str,
    is_last: bool,
}

// === impl ChoiceView ===

impl<'v> ChoiceView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        providers: &[ProviderLink<'v>],
        email: Option<EmailForm<'v>>,
    ) -> Self {
        let texts = &frame.texts.choice;
        let button = |provider: &ProviderLink<'v>| ProviderButton {
            name: shorten(provider.name),
            path: local_path(provider.path),
            is_last: provider.is_last,
        };
        Self {
            texts,
            providers: providers.iter().map(button).collect(),
            email: email.map(|form| EmailForm {
                action: local_path(form.action),
                ..form
            }),
            frame: frame.with_title(&texts.title),
        }
    }
}
