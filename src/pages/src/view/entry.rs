//! The pages in front of a room: entry as a guest, and waiting for the host.

use askama::Template;
use model::room::RoomKey;

use super::{Frame, local_path, name_problem, room_name, shorten};
use crate::{GuestForm, PagePerson, texts};

/// Values of `join.html`.
#[derive(Template)]
#[template(path = "join.html", config = "askama.toml")]
pub(super) struct JoinView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Join,
    room: String,
    key: String,
    sign_in: Option<&'v str>,
    guest: Option<GuestForm<'v>>,
    problem: Option<&'v str>,
    /// Whether the field for the name is all that the page is about.
    is_only_form: bool,
}

/// Values of `wait.html`.
#[derive(Template)]
#[template(path = "wait.html", config = "askama.toml")]
pub(super) struct WaitView<'v> {
    frame: Frame<'v>,
    texts: &'v texts::Wait,
    room: String,
    /// Name of a waiting guest.
    guest: Option<String>,
    awaited: Option<String>,
    sign_in: Option<&'v str>,
    /// Whether the waiting user is signed in, with an account that is no host.
    is_member: bool,
    events: &'v str,
}

// === impl JoinView ===

impl<'v> JoinView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        room: &RoomKey,
        sign_in: Option<&'v str>,
        guest: Option<GuestForm<'v>>,
    ) -> Self {
        let texts = &frame.texts.join;
        let problem = guest.and_then(|guest| guest.problem);
        Self {
            texts,
            room: room_name(room),
            key: room.to_string(),
            sign_in: sign_in.map(local_path),
            problem: problem.map(|problem| name_problem(problem, frame.texts)),
            is_only_form: sign_in.is_none(),
            guest: guest.map(|guest| GuestForm {
                action: local_path(guest.action),
                ..guest
            }),
            frame: frame.with_title(&texts.title),
        }
    }
}

// === impl WaitView ===

impl<'v> WaitView<'v> {
    pub(super) fn new(
        frame: Frame<'v>,
        room: &RoomKey,
        person: Option<PagePerson<'v>>,
        awaited: Option<&'v str>,
        sign_in: Option<&'v str>,
        events: &'v str,
    ) -> Self {
        let texts = &frame.texts.wait;
        let is_member = person.is_some_and(|person| person.is_member);
        Self {
            texts,
            room: room_name(room),
            guest: person
                .filter(|_| !is_member)
                .map(|person| shorten(person.name)),
            awaited: awaited.map(shorten),
            sign_in: sign_in.map(local_path),
            is_member,
            events: local_path(events),
            frame: frame.with_title(&texts.title),
        }
    }
}
