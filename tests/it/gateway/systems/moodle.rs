//! Moodle's activity `mod_jitsi`, after `SergioComeron/moodle-mod_jitsi` at 3e04023 (July 2026), release
//! 5.3.0: `classes/local/session.php`, lines 89 to 135 (token), `classes/local/room.php`, lines 58 to
//! 108 (room: course, number and name of the activity, without the dots between). The token is
//! written by PHP's `json_encode` with `JSON_UNESCAPED_SLASHES`: ASCII.

use std::time::Duration;

use super::{Made, System, compact, json::ascii};

pub(super) const MOODLE: System = System {
    page: "moodle.md",
    app_id: "moodle",
    rooms: ["math7b12weekly-hour", "bio7b13weekly-hour"],
    lifetime: Duration::from_hours(24),
    has_roles: true,
    token,
};

fn token(made: &Made<'_>) -> String {
    let (app_id, room) = (ascii(made.app_id), ascii(made.room));
    let user = made.user.unwrap();
    let (name, email) = (ascii(user.name), ascii(user.email));
    let moderator = made.moderator;
    let affiliation = if moderator { "owner" } else { "member" };
    let exp = made.now + 86400;
    let payload = format!(
        r#"{{"context":{{"user":{{"affiliation":"{affiliation}","avatar":"https://moodle.example.org/user/pix.php/4/f1.jpg","name":{name},"email":{email},"id":"","moderator":{moderator}}},"group":""}},"aud":"jitsi","iss":{app_id},"sub":"meet.example.org","room":{room},"exp":{exp},"moderator":{moderator}}}"#
    );
    let header = r#"{"kid":"jitsi/custom_key_name","typ":"JWT","alg":"HS256"}"#;
    compact(header, &payload, made.secret)
}
