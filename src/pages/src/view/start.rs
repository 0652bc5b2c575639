//! The start page.

use askama::Template;

use super::{Frame, local_path, name_problem, shorten};
use crate::{NameProblem, Texts, texts};

/// Values of `start.html`.
#[derive(Template)]
#[template(path = "start.html", config = "askama.toml")]
pub(super) struct StartView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Start,
    person: Option<String>,
    sign_in: Option<&'v str>,
    may_create: bool,
    /// Whether to join is all that one can do here.
    joins_only: bool,
    forms: StartForms<'v>,
}

/// The two forms of the page.
#[derive(Default)]
pub(super) struct StartForms<'v> {
    create: NameField<'v>,
    join: NameField<'v>,
}

/// A text field with its rejected input.
#[derive(Default)]
struct NameField<'v> {
    text: Option<String>,
    problem: Option<&'v str>,
}

// === impl StartView ===

impl<'v> StartView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        person: Option<&'v str>,
        sign_in: Option<&'v str>,
        may_create: bool,
        forms: StartForms<'v>,
    ) -> Self {
        let texts = &frame.texts.start;
        let may_sign_in = person.is_none() && sign_in.is_some();
        let title = if may_create || may_sign_in {
            &texts.title
        } else {
            &texts.join_title
        };
        Self {
            texts,
            joins_only: !may_create && !may_sign_in,
            person: person.map(shorten),
            sign_in: sign_in.map(local_path),
            may_create,
            forms,
            frame: frame.with_title(title),
        }
    }
}

// === impl StartForms ===

impl<'v> StartForms<'v> {
    /// Returns the rejected input to the form that it came from.
    pub(super) fn new(
        name: Option<&'v str>,
        problem: Option<NameProblem>,
        joining: bool,
        texts: &'v Texts,
    ) -> Self {
        let field = NameField {
            text: name.map(shorten),
            problem: problem.map(|problem| name_problem(problem, texts)),
        };
        if joining {
            Self {
                join: field,
                ..Self::default()
            }
        } else {
            Self {
                create: field,
                ..Self::default()
            }
        }
    }
}
