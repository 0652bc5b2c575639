//! `[reservation]`: where Prosody asks before it opens a room.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    problem::Section,
    secret::{RawSecret, SecretReader},
    values::address,
};
use proxy::reservation::ReservationSettings;

/// Where Prosody's `mod_reservations` asks before it opens a room, so that it enforces what rules
/// say of a room's duration, size and lobby. Off unless `listen` is there.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawReservation {
    /// Address and port; `reservations_api_prefix` in Prosody is `http://` and these. Keep it
    /// private.
    #[schemars(example = "127.0.0.1:9091")]
    listen: Option<String>,
    /// What Prosody has to send as bearer token, by its `reservations_api_headers`; unless set,
    /// whoever reaches the address is answered. Better kept in `secret_file`.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretString>,
    /// The file of the secret.
    #[schemars(example = "config/reservation.secret")]
    secret_file: Option<String>,
}

// === impl RawReservation ===

impl RawReservation {
    /// Whether Prosody is to be answered.
    pub(super) fn is_on(&self) -> bool {
        self.listen.is_some()
    }

    /// `None` if Prosody is not to be answered; or if something is wrong, of which the report then
    /// has a problem.
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<ReservationSettings> {
        let raw = RawSecret {
            inline: self.secret,
            file: self.secret_file,
        };
        if self.listen.is_none() && !raw.is_absent() && !section.is_settled("listen") {
            let remedy = "add for example listen = \"127.0.0.1:9091\"";
            section.reject("listen", "missing", remedy);
        }
        let secret = secrets.read(section, "secret", raw);
        let listen = section.keep("listen", address(&self.listen?))?;
        Some(ReservationSettings { listen, secret })
    }
}
