//! Requests for invitation links; the holder of a link enters its room as a host or a guest.

use std::time::Duration;

use model::{clock::Timestamp, integration::Integration, random::Random, room::RoomKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiError, ApiTime,
    fields::{check_email, check_expiry, check_text},
};

/// The body of a request for a link.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// The room, as `name` or `tenant/name`.
    #[schemars(length(min = 1, max = 4096), example = &"school-7b")]
    pub room: String,
    /// The role of the holder.
    pub role: LinkRole,
    /// The display name of the holder, if the link is for one person.
    #[schemars(length(min = 1, max = 128), example = &"Mia")]
    pub name: Option<String>,
    /// The e-mail address of the holder, if the link is for one person.
    #[schemars(email, length(max = 254), example = &"mia@example.org")]
    pub email: Option<String>,
    /// The lifetime of the link in seconds; one day if neither this nor `expires_at` is given.
    #[schemars(range(min = 60, max = 31_536_000), example = &3600)]
    pub ttl_seconds: Option<u32>,
    /// When the link expires, at most a year ahead; with `ttl_seconds`, the earlier of the two.
    pub expires_at: Option<ApiTime>,
    /// How often the link can be used; unlimited if absent.
    #[schemars(range(min = 1, max = 10_000), example = &1)]
    pub uses: Option<u32>,
}

/// The role of the holder of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LinkRole {
    /// Moderator; may start the meeting.
    Host,
    /// Participant without an account.
    Guest,
}

/// A created link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkAnswer {
    /// The id of the link, for its revocation.
    pub id: String,
    /// The URL for the holder.
    #[schemars(url)]
    pub url: String,
    /// When the link expires.
    pub expires_at: ApiTime,
}

/// A checked [`LinkRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// The room; one of the integration.
    pub room: RoomKey,
    /// Whether the holder is a host.
    pub host: bool,
    /// The display name of the holder.
    pub name: Option<String>,
    /// The e-mail address of the holder.
    pub email: Option<String>,
    /// When the link expires.
    pub expires: Timestamp,
    /// How often the link can be used; `None` is unlimited.
    pub uses: Option<u32>,
}

// === impl LinkRequest ===

impl LinkRequest {
    /// Checks all values; the room has to be one of the integration.
    pub fn check(self, integration: &Integration, now: Timestamp) -> Result<NewLink, ApiError> {
        let room = parse_room(&self.room)?;
        if !integration.has_room(&room) {
            return Err(ApiError::room_not_owned(integration));
        }
        if let Some(address) = &self.email {
            check_email(address, "/email")?;
        }
        let lifetime = self
            .ttl_seconds
            .map(|seconds| Duration::from_secs(seconds.into()));
        if lifetime.is_some_and(|lifetime| !(MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime)) {
            let detail = "not between a minute and a year";
            return Err(ApiError::invalid("/ttl_seconds", detail));
        }
        let expires_at = self.expires_at.map(|ApiTime(time)| time);
        if let Some(time) = expires_at {
            check_expiry(time, "/expires_at", now)?;
        }
        let expires = [expires_at, lifetime.map(|lifetime| now.after(lifetime))]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| now.after(DEFAULT_LIFETIME));
        if self
            .uses
            .is_some_and(|uses| !(1..=MAX_USES).contains(&uses))
        {
            return Err(ApiError::invalid("/uses", "not between 1 and 10000"));
        }
        Ok(NewLink {
            room,
            host: self.role == LinkRole::Host,
            name: check_text(self.name, "/name", 128)?,
            email: self.email,
            expires,
            uses: self.uses,
        })
    }
}

fn parse_room(text: &str) -> Result<RoomKey, ApiError> {
    if text.len() > MAX_ROOM_BYTES {
        return Err(ApiError::invalid("/room", "too long"));
    }
    RoomKey::from_text(text).map_err(|error| ApiError::invalid("/room", error.to_string()))
}

/// Above that of any room's name, however it is encoded.
const MAX_ROOM_BYTES: usize = 4096;

/// Draws an id for a link of this integration, `<integration>.<random>`; the prefix keeps other
/// integrations from revoking the link.
pub fn new_link_id(integration: &Integration, random: &Random) -> String {
    format!("{}{SEPARATOR}{}", integration.id(), random.text::<12>())
}

/// Whether the id is that of a link of this integration.
pub fn owns_link_id(integration: &Integration, id: &str) -> bool {
    let random = id
        .strip_prefix(integration.id())
        .and_then(|rest| rest.strip_prefix(SEPARATOR));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    random.is_some_and(|random| random.len() == 16 && random.chars().all(plain))
}

/// Occurs in neither the id of an integration nor the random part.
const SEPARATOR: char = '.';

const DEFAULT_LIFETIME: Duration = Duration::from_hours(24);

/// A shorter one expires before its recipient opens it.
const MIN_LIFETIME: Duration = Duration::from_mins(1);

/// A year; below the time for which revocations are kept.
pub(super) const MAX_LIFETIME: Duration = Duration::from_hours(365 * 24);

const MAX_USES: u32 = 10_000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{
        parse_body,
        tests::{NOW, integrations, pointer, school},
    };

    fn check(body: &Value) -> Result<NewLink, ApiError> {
        let integrations = integrations(&["school-*"]);
        parse_body::<LinkRequest>(body.to_string().as_bytes())?.check(school(&integrations), NOW)
    }

    #[test]
    fn a_link_without_options_lasts_a_day() {
        let link = check(&json!({"room": "School-7b", "role": "guest"})).unwrap();
        assert_eq!(link.room, RoomKey::from_text("school-7b").unwrap());
        assert_eq!(link.expires, NOW.after(Duration::from_hours(24)));
        assert!(!link.host && link.uses.is_none());
    }

    #[test]
    fn the_earlier_expiry_counts() {
        let body = json!({"room": "school-7b", "role": "host", "ttl_seconds": 60,
            "expires_at": "2027-01-16T08:00:00Z"});
        let link = check(&body).unwrap();
        assert!(link.host);
        assert_eq!(link.expires, NOW.after(Duration::from_mins(1)));
    }

    #[test]
    fn a_room_of_another_integration_is_refused() {
        let error = check(&json!({"room": "board", "role": "guest"})).unwrap_err();
        assert_eq!(error.as_str(), "room_foreign");
        let detail = "the room is not one of this integration, which has school-*";
        assert_eq!(error.to_string(), detail);
    }

    #[test]
    fn the_error_points_at_the_invalid_field() {
        let cases = [
            (json!({"role": "guest"}), "/room"),
            (json!({"room": "", "role": "guest"}), "/room"),
            (json!({"room": "a b/c", "role": "guest"}), "/room"),
            (json!({"room": "*".repeat(513), "role": "guest"}), "/room"),
            (json!({"room": "school-1", "role": "owner"}), "/role"),
            (
                json!({"room": "school-1", "role": "guest", "uses": 0}),
                "/uses",
            ),
            (
                json!({"room": "school-1", "role": "guest", "uses": 10_001}),
                "/uses",
            ),
            (
                json!({"room": "school-1", "role": "guest", "ttl_seconds": 59}),
                "/ttl_seconds",
            ),
            (
                json!({"room": "school-1", "role": "guest", "expires_at": "1969-12-31T00:00:00Z"}),
                "/expires_at",
            ),
            (
                json!({"room": "school-1", "role": "guest", "email": "x"}),
                "/email",
            ),
            (
                json!({"room": "school-1", "role": "guest", "name": "a\u{7}"}),
                "/name",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(pointer(check(&body)), expected, "{body}");
        }
    }

    #[test]
    fn an_integration_owns_the_ids_that_it_drew() {
        let integrations = integrations(&["school-*"]);
        let id = new_link_id(school(&integrations), &Random::system());
        assert!(owns_link_id(school(&integrations), &id));
        for id in [
            "",
            "school",
            "school.",
            "shop.AAAAAAAAAAAAAAAA",
            "schools.AAAAAAAAAAAAAAAA",
            "school.AAAAAAAAAAAAAAA",
            "school.AAAAAAAAAAAAAAA%",
            "AAAAAAAAAAAAAAAA",
        ] {
            assert!(!owns_link_id(school(&integrations), id), "{id}");
        }
    }
}
