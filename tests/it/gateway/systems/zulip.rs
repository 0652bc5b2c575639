//! Zulip, after the pull request `zulip/zulip#38590` (March to June 2026, not released): its
//! description (rooms: the topic as a slug, with a random suffix; one token for each who joins) and
//! its review (the role is `affiliation` in `context.user`, or `moderator` there), and
//! `zerver/lib/jitsi` of that branch (app id and secret are settings of the server). The code that
//! writes the claims was not available: their order and the lifetime are assumptions, the
//! form is that of `PyJWT`, which the description names.

use std::time::Duration;

use super::{Made, System, compact, json::ascii};

pub(super) const ZULIP: System = System {
    page: "zulip.md",
    app_id: "zulip",
    rooms: ["weekly-planning-k3f8q1", "lunch-p0a7zm"],
    lifetime: Duration::from_hours(1),
    has_roles: true,
    token,
};

fn token(made: &Made<'_>) -> String {
    let (app_id, room) = (ascii(made.app_id), ascii(made.room));
    let user = made.user.unwrap();
    let (name, email) = (ascii(user.name), ascii(user.email));
    let affiliation = if made.moderator { "owner" } else { "member" };
    let exp = made.now + 3600;
    let payload = format!(
        r#"{{"aud":"jitsi","iss":{app_id},"sub":"meet.example.org","room":{room},"exp":{exp},"context":{{"user":{{"id":"11","name":{name},"email":{email},"affiliation":"{affiliation}"}}}}}}"#
    );
    compact(r#"{"alg":"HS256","typ":"JWT"}"#, &payload, made.secret)
}
