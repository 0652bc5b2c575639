//! Conversion of a page's content to the values of its template.

mod account;
mod call;
mod choice;
mod entry;
mod handoff;
mod meeting;
mod notice;
mod start;

use askama::Template;
use model::room::RoomKey;

use self::{
    account::AccountView,
    call::CallView,
    choice::ChoiceView,
    entry::{JoinView, WaitView},
    handoff::{ContinueView, OpenAppView},
    meeting::{MeetingLinks, MeetingView},
    notice::NoticeView,
    start::{StartForms, StartView},
};
use crate::{Brand, Content, NameProblem, RequestProblem, Texts, page_script::PageScript};

/// The parts that all pages share (`base.html`).
pub(super) struct Frame<'v> {
    pub(super) texts: &'v Texts,
    pub(super) brand: &'v Brand,
    pub(super) style: &'v str,
    pub(super) request_id: &'v str,
    /// Script at the end of the body.
    script: Option<&'static PageScript>,
    title: String,
    /// Whether the name of the site is a link to the start page.
    leads_home: bool,
    /// The line about the signed-in account.
    account: Option<AccountView<'v>>,
}

// === impl Frame ===

impl<'v> Frame<'v> {
    pub(super) fn new(
        texts: &'v Texts,
        brand: &'v Brand,
        style: &'v str,
        request_id: &'v str,
    ) -> Self {
        Self {
            texts,
            brand,
            style,
            request_id,
            script: None,
            title: String::new(),
            leads_home: true,
            account: None,
        }
    }

    /// The HTML document.
    pub(super) fn render(mut self, content: &Content<'v>) -> askama::Result<String> {
        self.script = content.script();
        self.account = AccountView::of(content);
        // At another host `/` is not the start page, and popups and hidden frames close.
        self.leads_home = !matches!(
            content,
            Content::Popup { .. }
                | Content::LogoutFrame
                | Content::BadRequest {
                    problem: RequestProblem::OtherHost { .. },
                    ..
                }
        );
        match *content {
            Content::Start {
                person,
                sign_in,
                may_create,
                name,
                joining,
                problem,
            } => {
                let forms = StartForms::new(name, problem, joining, self.texts);
                StartView::new(self, person, sign_in, may_create, forms).render()
            }
            Content::Meeting {
                room,
                room_url,
                admits_guests,
                host_link,
                guest_link,
                calendar,
                ..
            } => {
                let links = MeetingLinks::new(room_url, admits_guests, guest_link, host_link);
                MeetingView::new(self, room, links, calendar).render()
            }
            Content::Join {
                room,
                sign_in,
                guest,
            } => JoinView::new(self, room, sign_in, guest).render(),
            Content::Wait {
                room,
                person,
                awaited,
                sign_in,
                events,
            } => WaitView::new(self, room, person, awaited, sign_in, events).render(),
            Content::ChooseProvider { providers, email } => {
                ChoiceView::new(self, providers, email).render()
            }
            Content::Continue {
                provider,
                return_to,
            } => ContinueView::new(self, provider, return_to).render(),
            Content::OpenApp {
                room,
                link,
                browser,
            } => OpenAppView::new(self, room, link, browser).render(),
            Content::Call {
                room,
                script,
                options,
                events,
                again,
            } => CallView::new(self, room, script, options, events, again).render(),
            _ => NoticeView::new(self, content).render(),
        }
    }

    fn with_title(self, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..self
        }
    }
}

/// Display name of the room, with its tenant.
fn room_name(room: &RoomKey) -> String {
    let tenant = room.tenant().map(|tenant| format!("{}/", tenant.as_str()));
    shorten(&(tenant.unwrap_or_default() + &room.readable()))
}

fn name_problem(problem: NameProblem, texts: &Texts) -> &str {
    let names = &texts.names;
    match problem {
        NameProblem::Empty => &names.empty,
        NameProblem::TooLong => &names.too_long,
        NameProblem::Reserved => &names.reserved,
        NameProblem::Characters => &names.characters,
        NameProblem::NotAllowed => &names.not_allowed,
        NameProblem::Adapted => &names.adapted,
        NameProblem::OtherSite => &names.other_site,
        NameProblem::NoMeeting => &names.no_meeting,
    }
}

/// The target if it is a path on this site, else `/`.
///
/// Browsers treat `\` as `/` and drop tabs and line breaks (URL Standard § 4.4), so `/\host` and
/// `/<tab>/host` are URLs of another host.
fn local_path(target: &str) -> &str {
    let is_foreign = target.starts_with("//") || target.contains(['\\', '\t', '\r', '\n']);
    if target.starts_with('/') && !is_foreign {
        target
    } else {
        "/"
    }
}

/// The text, truncated to [`MAX_CHARS`].
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Limit of one text from outside; room names and display names are shorter.
const MAX_CHARS: usize = 300;
