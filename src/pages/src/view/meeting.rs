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
    room_url: &'v str,
    host_link: LinkView<'v>,
    guest_link: Option<LinkView<'v>>,
    calendar: CalendarForm<'v>,
    start: HtmlTime,
}

/// Values of `link.html` and `lifetime.html`.
struct LinkView<'v> {
    url: &'v str,
    expires: HtmlTime,
    uses: Option<u32>,
}

// === impl MeetingView ===

impl<'v> MeetingView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        room: &RoomKey,
        room_url: &'v str,
        host_link: PageLink<'v>,
        guest_link: Option<PageLink<'v>>,
        calendar: CalendarForm<'v>,
    ) -> Self {
        let texts = &frame.texts.meeting;
        Self {
            texts,
            room: room_name(room),
            key: room.to_string(),
            room_url,
            host_link: host_link.into(),
            guest_link: guest_link.map(Into::into),
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
