//! From what a page is about to what its template shows.

mod notice;

use askama::Template;

use self::notice::NoticeView;
use super::{
    Brand, Calendar, Content, GuestForm, NameProblem, Texts,
    moment::Moment,
    script::{self, Script},
    texts,
};
use model::room::RoomKey;

/// What all pages have in common.
pub(super) struct Frame<'v> {
    pub(super) texts: &'v Texts,
    pub(super) brand: &'v Brand,
    pub(super) style: &'v str,
    pub(super) request_id: &'v str,
    /// The script at the page's end.
    script: Option<&'static Script>,
    title: String,
}

#[derive(Template)]
#[template(path = "start.html", config = "askama.toml")]
struct StartView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Start,
    person: Option<String>,
    sign_in: Option<&'v str>,
    may_create: bool,
    creating: Typed<'v>,
    joining: Typed<'v>,
}

/// What a field begins with.
#[derive(Default)]
struct Typed<'v> {
    text: Option<String>,
    problem: Option<&'v str>,
}

#[derive(Template)]
#[template(path = "meeting.html", config = "askama.toml")]
struct MeetingView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Meeting,
    room: String,
    key: String,
    room_url: &'v str,
    host_link: LinkView<'v>,
    guest_link: Option<LinkView<'v>>,
    calendar: Calendar<'v>,
    start: Moment,
}

struct LinkView<'v> {
    url: &'v str,
    expires: Moment,
    uses: Option<u32>,
}

#[derive(Template)]
#[template(path = "join.html", config = "askama.toml")]
struct JoinView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Join,
    room: String,
    key: String,
    sign_in: Option<&'v str>,
    guest: Option<GuestForm<'v>>,
    problem: Option<&'v str>,
}

#[derive(Template)]
#[template(path = "wait.html", config = "askama.toml")]
struct WaitView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Wait,
    room: String,
    person: Option<String>,
    awaited: Option<String>,
    sign_in: Option<&'v str>,
    events: &'v str,
}

#[derive(Template)]
#[template(path = "continue.html", config = "askama.toml")]
struct ContinueView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Leaving,
    provider: &'v str,
    path: &'v str,
    /// Stands in the head, so that nobody sees a page that they leave at once.
    script: &'static Script,
}

#[derive(Template)]
#[template(path = "open_app.html", config = "askama.toml")]
struct OpenAppView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::OpenApp,
    room: String,
    link: &'v str,
    browser: &'v str,
}

#[derive(Template)]
#[template(path = "call.html", config = "askama.toml")]
struct CallView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Call,
    room: String,
    script: &'v str,
    options: String,
    events: &'v str,
    again: String,
    parts: [CallPart<'v>; 3],
}

/// What is shown instead of the meeting.
struct CallPart<'v> {
    id: &'static str,
    title: &'v str,
    text: Option<&'v str>,
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
        }
    }

    /// The page about the content.
    pub(super) fn render(mut self, content: &Content<'v>) -> askama::Result<String> {
        let texts = self.texts;
        self.script = content.script();
        match *content {
            Content::Start {
                person,
                sign_in,
                may_create,
                name,
                joining,
                problem,
            } => {
                let typed = Typed {
                    text: name.map(shorten),
                    problem: problem.map(|problem| problem.text(texts)),
                };
                let (creating, joining) = if joining {
                    (Typed::default(), typed)
                } else {
                    (typed, Typed::default())
                };
                StartView {
                    texts: &texts.start,
                    person: person.map(shorten),
                    sign_in: sign_in.map(local),
                    may_create,
                    creating,
                    joining,
                    frame: self.titled(&texts.start.title),
                }
                .render()
            }
            Content::Meeting {
                room,
                room_url,
                host_link,
                guest_link,
                calendar,
            } => MeetingView {
                texts: &texts.meeting,
                room: room_name(room),
                key: room.to_string(),
                room_url,
                host_link: host_link.into(),
                guest_link: guest_link.map(Into::into),
                calendar,
                start: Moment::of(calendar.start),
                frame: self.titled(&texts.meeting.title),
            }
            .render(),
            Content::Join {
                room,
                sign_in,
                guest,
            } => JoinView {
                texts: &texts.join,
                room: room_name(room),
                key: room.to_string(),
                sign_in: sign_in.map(local),
                problem: guest
                    .and_then(|guest| guest.problem)
                    .map(|problem| problem.text(texts)),
                guest: guest.map(|guest| GuestForm {
                    action: local(guest.action),
                    ..guest
                }),
                frame: self.titled(&texts.join.title),
            }
            .render(),
            Content::Wait {
                room,
                person,
                awaited,
                sign_in,
                events,
            } => WaitView {
                texts: &texts.wait,
                room: room_name(room),
                person: person.map(shorten),
                awaited: awaited.map(shorten),
                sign_in: sign_in.map(local),
                events: local(events),
                frame: self.titled(&texts.wait.title),
            }
            .render(),
            Content::Continue {
                provider,
                return_to,
            } => ContinueView {
                texts: &texts.leaving,
                provider: provider.as_str(),
                path: return_to.as_str(),
                script: &script::CONTINUE,
                frame: Frame {
                    script: None,
                    ..self.titled(&texts.leaving.title)
                },
            }
            .render(),
            Content::OpenApp {
                room,
                link,
                browser,
            } => OpenAppView {
                texts: &texts.open_app,
                room: room_name(room),
                link,
                browser: local(browser),
                frame: self.titled(&texts.open_app.title),
            }
            .render(),
            Content::Call {
                room,
                script,
                options,
                events,
            } => CallView {
                texts: &texts.call,
                room: room_name(room),
                script: script.as_str(),
                options: options.to_string(),
                events: local(events),
                again: room.page_path(),
                parts: call_parts(&texts.call),
                frame: self.titled(&room_name(room)),
            }
            .render(),
            _ => NoticeView::new(self, content).render(),
        }
    }

    fn titled(self, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..self
        }
    }
}

// === impl LinkView ===

impl<'v> From<super::Link<'v>> for LinkView<'v> {
    fn from(link: super::Link<'v>) -> Self {
        Self {
            url: link.url,
            expires: Moment::of(link.expires),
            uses: link.uses,
        }
    }
}

// === impl NameProblem ===

impl NameProblem {
    fn text(self, texts: &Texts) -> &str {
        let names = &texts.names;
        match self {
            Self::Empty => &names.empty,
            Self::TooLong => &names.too_long,
            Self::Reserved => &names.reserved,
            Self::Characters => &names.characters,
            Self::Taken => &names.taken,
        }
    }
}

fn call_parts(call: &texts::Call) -> [CallPart<'_>; 3] {
    let part = |id, title, text| CallPart { id, title, text };
    [
        part("failed", &*call.failed_title, Some(&*call.failed_text)),
        part("over", &*call.over_title, None),
        part("ended", &*call.ended_title, Some(&*call.ended_text)),
    ]
}

/// The room as people read it, with its tenant.
fn room_name(room: &RoomKey) -> String {
    let tenant = room.tenant().map(|tenant| format!("{}/", tenant.as_str()));
    shorten(&(tenant.unwrap_or_default() + &room.readable()))
}

/// The target if it is a path of this site, else the start page.
fn local(target: &str) -> &str {
    let outside = target.starts_with("//") || target.contains(['\\', '\t', '\r', '\n']);
    if target.starts_with('/') && !outside {
        target
    } else {
        "/"
    }
}

/// The text, cut to what a page can show.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A name or address that somebody could still read.
const MAX_CHARS: usize = 300;
