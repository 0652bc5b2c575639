//! Nextcloud's app Jitsi, after `nextcloud/jitsi` at 72b29b6 (July 2026), release 0.19.0:
//! `lib/Controller/RoomController.php`, lines 71 and 72 (room) and 107 to 149 (token, also for people
//! without an account). The token is written by `adhocore/php-jwt` 1.1.2 (`src/JWT.php`, lines 125 to
//! 139 and 253): ASCII, slashes as they are.

use std::time::Duration;

use super::{Made, System, compact, json::ascii};

pub(super) const NEXTCLOUD: System = System {
    page: "nextcloud.md",
    app_id: "nextcloud",
    rooms: [
        "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b",
        "6fa459ea-ee8a-4ca4-894e-db77e160355e",
    ],
    lifetime: Duration::from_hours(12),
    has_roles: false,
    token,
};

fn token(made: &Made<'_>) -> String {
    let (app_id, room) = (ascii(made.app_id), ascii(made.room));
    let name = made.user.map_or("null".to_owned(), |user| ascii(user.name));
    let exp = made.now + 43200;
    let payload = format!(
        r#"{{"context":{{"user":{{"name":{name}}}}},"aud":{app_id},"iss":{app_id},"sub":"*","room":{room},"exp":{exp}}}"#
    );
    compact(r#"{"typ":"JWT","alg":"HS256"}"#, &payload, made.secret)
}
