//! Odoo's module O-Meet, after `abeleyasu/my-odoo-modules` at c1f0bd8 (January 2026), release 1.1.0:
//! `jitsi_meet_ui/models/jitsi_meeting.py`, lines 16 (room) and 87 to 117 (token);
//! `jitsi_meet_ui/controllers/main.py`, lines 15 to 28 (name, address and role). The token is written
//! by `PyJWT` 2 (`jpadilla/pyjwt` 2.12.1, `jwt/api_jws.py`, lines 157 to 176): a sorted header, claims
//! in their order, no spaces, ASCII.

use std::time::Duration;

use super::{Made, System, compact, json::ascii};

pub(super) const O_MEET: System = System {
    page: "odoo.md",
    app_id: "odoo",
    rooms: ["meet-6de9324805", "meet-0b1c2d3e4f"],
    lifetime: Duration::from_hours(2),
    has_roles: true,
    token,
};

pub(super) fn token(made: &Made<'_>) -> String {
    let app_id = ascii(made.app_id);
    let room = ascii(made.room);
    let (name, email) = made
        .user
        .map_or(("Guest", ""), |user| (user.name, user.email));
    let (name, email) = (ascii(name), ascii(email));
    let moderator = made.moderator;
    let (exp, nbf) = (made.now + 7200, made.now - 10);
    let payload = format!(
        r#"{{"iss":{app_id},"aud":{app_id},"exp":{exp},"nbf":{nbf},"sub":"meet.example.org","room":{room},"context":{{"user":{{"name":{name},"email":{email},"moderator":"{moderator}"}}}}}}"#
    );
    compact(r#"{"alg":"HS256","typ":"JWT"}"#, &payload, made.secret)
}
