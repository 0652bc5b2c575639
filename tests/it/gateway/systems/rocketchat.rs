//! Rocket.Chat's app Jitsi, after `RocketChat/Apps.Jitsi` at 4ccf479 (January 2024), release 2.1.1:
//! `src/videoConfProvider.ts`, lines 72 to 76 (room) and 133 to 171 (token; the creator moderates, by a
//! claim at the top), and the defaults in `src/settings.ts`. The token is written by `JSON.stringify`
//! and `jsrsasign`.

use std::time::Duration;

use super::{Made, System, compact, json::text};

pub(super) const ROCKET_CHAT: System = System {
    page: "rocketchat.md",
    app_id: "rocketchat",
    rooms: [
        "RocketChat65f1c0ffee65f1c0ffee65f1",
        "RocketChat65f1c0ffee65f1c0ffee65f2",
    ],
    lifetime: Duration::from_hours(1),
    has_roles: true,
    token,
};

pub(super) fn token(made: &Made<'_>) -> String {
    let (app_id, room) = (text(made.app_id), text(made.room));
    let (now, exp) = (made.now, made.now + 3600);
    let context = match made.user {
        Some(user) => format!(
            r#"{{"user":{{"name":{},"avatar":"https://chat.example.org/avatar/anne","email":"user_rocketchat4711@rocket.chat"}}}}"#,
            text(user.name),
        ),
        None => r#""""#.to_owned(),
    };
    let moderator = if made.moderator {
        r#","moderator":true"#
    } else {
        ""
    };
    let payload = format!(
        r#"{{"iss":{app_id},"sub":"meet.example.org","iat":{now},"nbf":{now},"exp":{exp},"aud":"RocketChat","room":{room},"context":{context}{moderator}}}"#
    );
    compact(r#"{"typ":"JWT","alg":"HS256"}"#, &payload, made.secret)
}
