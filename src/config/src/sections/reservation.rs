//! `[reservation]`: the endpoint for Prosody's `mod_reservations`.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    secret::{RawSecret, SecretReader},
    values::parse_socket_address,
};
use proxy::reservation::ReservationSettings;

/// The endpoint for Prosody's `mod_reservations`, which asks it before it creates a room and then
/// enforces the duration, size and lobby of the room's rule. Disabled unless `listen` is set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawReservation {
    /// Address and port. Prosody's `reservations_api_prefix` is `http://` followed by this address.
    /// Keep it private.
    #[schemars(example = "127.0.0.1:9091")]
    listen: Option<String>,
    /// The bearer token that Prosody has to send, set in its `reservations_api_headers`. Without it
    /// every request is answered. Preferably in `secret_file`.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretString>,
    /// The file of the secret.
    #[schemars(example = "config/reservation.secret")]
    secret_file: Option<String>,
}

// === impl RawReservation ===

impl RawReservation {
    /// Whether the endpoint is enabled.
    pub(super) fn is_enabled(&self) -> bool {
        self.listen.is_some()
    }

    /// `None` if the endpoint is disabled or a problem was reported.
    pub(super) fn resolve(
        self,
        secrets: SecretReader,
        section: &mut Section<'_>,
    ) -> Option<ReservationSettings> {
        let raw = RawSecret {
            inline: self.secret,
            file: self.secret_file,
        };
        if self.listen.is_none() && !raw.is_absent() {
            section.require("listen", "add for example listen = \"127.0.0.1:9091\"");
        }
        let secret = secrets.read(section, "secret", raw);
        let listen = section.parse("listen", self.listen, parse_socket_address)?;
        Some(ReservationSettings { listen, secret })
    }
}
