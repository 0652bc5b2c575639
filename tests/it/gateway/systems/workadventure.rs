//! `WorkAdventure`, after `workadventure/workadventure` at f03bc68 (August 2026), release 1.33.3:
//! `back/src/Services/SocketManager.ts`, lines 760 to 823 (token), `libs/shared-utils/src/Jitsi/slugify.ts`
//! (room: a hash of the map, and the name in the map). The token is written by `jose` 6 and
//! `JSON.stringify`. The id is a number of the person on that map, which later people get as well.

use std::time::Duration;

use super::{Made, System, compact, json::text};

pub(super) const WORK_ADVENTURE: System = System {
    page: "workadventure.md",
    app_id: "workadventure",
    rooms: ["ypd9s6-meetingroom", "ypd9s6-kitchen"],
    lifetime: Duration::from_hours(24),
    has_roles: true,
    token,
};

pub(super) fn token(made: &Made<'_>) -> String {
    let (app_id, room) = (text(made.app_id), text(made.room));
    let name = text(made.user.unwrap().name);
    let admin = made.moderator;
    let exp = made.now + 86400;
    let payload = format!(
        r#"{{"context":{{"user":{{"id":2,"name":{name},"moderator":{admin}}},"features":{{"livestreaming":{admin},"recording":{admin}}}}},"sub":"meet.example.org","room":{room},"moderator":{admin},"aud":"jitsi","exp":{exp},"iss":{app_id}}}"#
    );
    compact(r#"{"alg":"HS256","typ":"JWT"}"#, &payload, made.secret)
}
