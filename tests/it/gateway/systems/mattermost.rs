//! Mattermost's plugin Jitsi, after `mattermost-community/mattermost-plugin-jitsi` at 7c00320 (June
//! 2025), release 2.1.0: `server/plugin.go`, lines 85 to 106 (claims), 160 to 191 (the token that the
//! web client asks for in its user's name) and 280 to 298 (the token of the link in the channel, which
//! names nobody). The token is written by `cristalhq/jwt` 2.0.0 (`claims.go`, `audience.go`: one
//! audience is a text) and Go's JSON library.

use std::time::Duration;

use super::{Made, System, compact, json::text};

pub(super) const MATTERMOST: System = System {
    page: "mattermost.md",
    app_id: "mattermost",
    rooms: ["CalmOttersSingLoudly", "BraveRiversTurnSlowly"],
    lifetime: Duration::from_mins(30),
    has_roles: false,
    token,
};

pub(super) fn token(made: &Made<'_>) -> String {
    let (app_id, room) = (text(made.app_id), text(made.room));
    let (avatar, name, email, id) = match made.user {
        Some(user) => (
            "https://chat.example.org/api/v4/users/kq1x8b6mstd3pg5u7e9rj2wnhc/image?_=0",
            user.name,
            user.email,
            "kq1x8b6mstd3pg5u7e9rj2wnhc",
        ),
        None => ("", "", "", ""),
    };
    let (name, email, id) = (text(name), text(email), text(id));
    let exp = made.now + 1800;
    let payload = format!(
        r#"{{"aud":{app_id},"iss":{app_id},"sub":"meet.example.org","exp":{exp},"context":{{"user":{{"avatar":"{avatar}","name":{name},"email":{email},"id":{id}}},"group":""}},"room":{room}}}"#
    );
    compact(r#"{"alg":"HS256","typ":"JWT"}"#, &payload, made.secret)
}
