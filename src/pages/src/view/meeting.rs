//! The page with the links of a meeting.

use askama::Template;
use model::room::RoomKey;

use super::{Frame, room_name};
use crate::{CalendarForm, PageLink, html_time::HtmlTime, texts};

/// Values of `meeting.html`.
#[derive(Template)]
#[template(path = "meeting.html", config = "askama.toml")]
pub(super) struct MeetingView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Meeting,
    room: String,
    key: String,
    links: MeetingLinks<'v>,
    calendar: CalendarForm<'v>,
    start: HtmlTime,
}

/// The links of a meeting: one to invite with, and the others.
pub(super) struct MeetingLinks<'v> {
    room_url: &'v str,
    /// Admits guests; without one, the room's URL is the link to invite with.
    invitation: Option<LinkView<'v>>,
    /// Whether the room's URL is a link of its own: it does not do the same as the invitation.
    has_public_link: bool,
    host: LinkView<'v>,
}

/// Values of `link.html` and `lifetime.html`.
struct LinkView<'v> {
    url: &'v str,
    expires: HtmlTime,
    uses: Option<u32>,
}

// === impl MeetingLinks ===

impl<'v> MeetingLinks<'v> {
    pub(super) fn new(
        room_url: &'v str,
        admits_guests: bool,
        guest_link: Option<PageLink<'v>>,
        host_link: PageLink<'v>,
    ) -> Self {
        Self {
            room_url,
            has_public_link: guest_link.is_some() && !admits_guests,
            invitation: guest_link.map(Into::into),
            host: host_link.into(),
        }
    }
}

// === impl MeetingView ===

impl<'v> MeetingView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        room: &RoomKey,
        links: MeetingLinks<'v>,
        calendar: CalendarForm<'v>,
    ) -> Self {
        let texts = &frame.texts.meeting;
        Self {
            texts,
            room: room_name(room),
            key: room.to_string(),
            links,
            calendar,
            start: HtmlTime::new(calendar.start),
            frame: frame.with_title(&texts.title),
        }
    }
}

// === impl LinkView ===

impl<'v> From<PageLink<'v>> for LinkView<'v> {
    fn from(link: PageLink<'v>) -> Self {
        Self {
            url: link.url,
            expires: HtmlTime::new(link.expires),
            uses: link.uses,
        }
    }
}
