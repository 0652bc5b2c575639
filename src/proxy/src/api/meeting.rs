//! Requests for meetings: a room whose name encodes its owner, and links to it.

use std::time::Duration;

use model::{
    clock::Timestamp,
    identity::{is_plain, is_reserved_subject},
    integration::Integration,
    owner::{OwnerTags, RoomOwner},
    provider::MAX_SUBJECT_BYTES,
    random::Random,
    room::{RoomError, RoomKey, Tenant},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{
    ApiError, ApiTime,
    fields::{check_email, check_expiry, check_text},
};

/// The body of a request for a meeting.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeetingRequest {
    /// The host, who signs in; the holder of the host link is a host, too.
    pub owner: MeetingOwner,
    /// The readable part of the room name; random words if absent.
    #[schemars(length(min = 1, max = 80), example = &"school-parents-7b")]
    pub slug: Option<String>,
    /// The tenant of the room.
    #[schemars(length(min = 1, max = 63), example = &"acme")]
    pub tenant: Option<String>,
    /// When the links become valid; immediately if absent.
    pub not_before: Option<ApiTime>,
    /// When the links expire, at most a year ahead; a week after they become valid if absent.
    pub expires_at: Option<ApiTime>,
    /// Whether to create a guest link.
    #[serde(default)]
    pub guests: bool,
    /// The title of the calendar entry.
    #[schemars(length(min = 1, max = 200), example = &"Parents' evening 7b")]
    pub title: Option<String>,
    /// The duration of the calendar entry in minutes; 60 if absent.
    #[schemars(range(min = 5, max = 1440), example = &60)]
    pub minutes: Option<u32>,
}

/// The owner of a meeting, by one of two claims.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "Owner", rename_all = "lowercase", deny_unknown_fields)]
pub enum MeetingOwner {
    /// The user with this verified e-mail address.
    Email(#[schemars(email, length(max = 254), example = &"hanna@example.org")] String),
    /// The user with this `sub` claim.
    Subject(
        #[schemars(length(min = 1, max = MAX_SUBJECT_BYTES), example = &"248289761001")] String,
    ),
}

/// A created meeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeetingAnswer {
    /// The canonical name of the room.
    pub room: String,
    /// The URL of the room, for all participants.
    #[schemars(url)]
    pub url: String,
    /// The host link: makes its holder a host.
    #[schemars(url)]
    pub host_url: String,
    /// The id of the host link, for its revocation.
    pub host_link_id: String,
    /// The guest link: admits its holder without an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", url)]
    pub guest_url: Option<String>,
    /// The id of the guest link, for its revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub guest_link_id: Option<String>,
    /// The URL of a calendar entry (iCalendar) for the meeting, with the plain address of the room: for
    /// a request with the key, and for the owner, who is sent to sign in.
    #[schemars(url)]
    pub ics_url: String,
    /// When the links expire.
    pub expires_at: ApiTime,
}

/// A checked [`MeetingRequest`]; its fields have the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMeeting {
    /// The host.
    pub owner: MeetingOwner,
    /// The readable part of the room name.
    pub slug: Option<String>,
    /// The tenant of the room.
    pub tenant: Option<Tenant>,
    /// When the links become valid.
    pub not_before: Option<Timestamp>,
    /// When the links expire.
    pub expires_at: Timestamp,
    /// Whether to create a guest link.
    pub guests: bool,
    /// The title of the calendar entry.
    pub title: Option<String>,
    /// The duration of the calendar entry in minutes.
    pub minutes: u32,
}

/// The fields of an owner, so that an error names them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an owner")]
struct OwnerFields {
    email: Option<String>,
    subject: Option<String>,
}

// === impl MeetingOwner ===

impl<'de> Deserialize<'de> for MeetingOwner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = OwnerFields::deserialize(deserializer)?;
        match (fields.email, fields.subject) {
            (Some(email), None) => Ok(Self::Email(email)),
            (None, Some(subject)) => Ok(Self::Subject(subject)),
            _ => Err(D::Error::custom("write one of email and subject")),
        }
    }
}

// === impl MeetingRequest ===

impl MeetingRequest {
    /// Checks all values.
    pub fn check(self, now: Timestamp) -> Result<NewMeeting, ApiError> {
        match &self.owner {
            MeetingOwner::Email(address) => check_email(address, "/owner/email")?,
            MeetingOwner::Subject(subject)
                if subject.len() <= MAX_SUBJECT_BYTES
                    && is_plain(subject, MAX_SUBJECT_BYTES)
                    && !is_reserved_subject(subject) => {}
            MeetingOwner::Subject(_) => {
                let detail = "not a subject that a provider can issue";
                return Err(ApiError::invalid("/owner/subject", detail));
            }
        }
        let tenant = self
            .tenant
            .as_deref()
            .map(Tenant::parse)
            .transpose()
            .map_err(|error| ApiError::invalid("/tenant", error.to_string()))?;
        let not_before = self.not_before.map(|ApiTime(time)| time);
        let expires_at = match self.expires_at {
            Some(ApiTime(time)) => time,
            None => not_before.unwrap_or(now).max(now).after(DEFAULT_LIFETIME),
        };
        check_expiry(expires_at, "/expires_at", now)?;
        if not_before.is_some_and(|begin| begin >= expires_at) {
            return Err(ApiError::invalid("/not_before", "not before expires_at"));
        }
        let minutes = self.minutes.unwrap_or(60);
        if !(5..=1440).contains(&minutes) {
            return Err(ApiError::invalid("/minutes", "not between 5 and 1440"));
        }
        Ok(NewMeeting {
            owner: self.owner,
            slug: check_text(self.slug, "/slug", 80)?,
            tenant,
            not_before,
            expires_at,
            guests: self.guests,
            title: check_text(self.title, "/title", 200)?,
            minutes,
        })
    }
}

// === impl NewMeeting ===

impl NewMeeting {
    /// Names a room that encodes the owner and is one of the integration's rooms.
    ///
    /// Without a slug, random words are tried behind each prefix of the integration's rooms; a slug
    /// outside its rooms is an error.
    pub fn room(
        &self,
        owners: &OwnerTags,
        integration: &Integration,
        random: &Random,
    ) -> Result<RoomKey, ApiError> {
        let owner = match &self.owner {
            MeetingOwner::Email(address) => RoomOwner::Email(address),
            MeetingOwner::Subject(subject) => RoomOwner::Subject(subject),
        };
        let name = |slug: Option<&str>| owners.name(self.tenant.as_ref(), slug, &owner, random);
        let room = name(self.slug.as_deref())
            .map_err(|error: RoomError| ApiError::invalid("/slug", error.to_string()))?;
        if integration.has_room(&room) {
            return Ok(room);
        }
        if self.slug.is_some() {
            return Err(ApiError::room_not_owned(integration));
        }
        let (words, _) = room.node().rsplit_once('-').unwrap_or_default();
        integration
            .room_prefixes()
            .filter_map(|prefix| name(Some(&format!("{prefix}{words}"))).ok())
            .find(|room| integration.has_room(room))
            .ok_or_else(|| ApiError::room_not_owned(integration))
    }
}

/// The lifetime of links without `expires_at`.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use model::{
        provider::{MAX_ISSUED_ID_BYTES, SubjectScope},
        seal::{Keyring, Purpose},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{
        parse_body,
        tests::{NOW, integrations, pointer, school},
    };

    fn check(body: &Value) -> Result<NewMeeting, ApiError> {
        parse_body::<MeetingRequest>(body.to_string().as_bytes())?.check(NOW)
    }

    fn with(field: &str, value: Value) -> Value {
        let mut body = json!({ "owner": {"email": "hanna@example.org"} });
        body[field] = value;
        body
    }

    #[test]
    fn only_the_owner_is_required() {
        let meeting = check(&json!({"owner": {"email": "hanna@example.org"}})).unwrap();
        assert_eq!(meeting.expires_at, NOW.after(Duration::from_hours(7 * 24)));
        assert_eq!((meeting.minutes, meeting.guests), (60, false));
        assert_eq!((meeting.not_before, meeting.tenant), (None, None));
        assert_eq!(pointer(check(&json!({}))), "/owner");
    }

    #[test]
    fn the_error_points_at_the_invalid_field() {
        let cases = [
            (json!({"owner": {"email": "nobody"}}), "/owner/email"),
            (
                json!({"owner": {"email": "a@b@example.org"}}),
                "/owner/email",
            ),
            (json!({"owner": {"subject": ""}}), "/owner/subject"),
            (json!({"owner": {"subject": "a\nb"}}), "/owner/subject"),
            (
                json!({"owner": {"subject": "integration:school:7"}}),
                "/owner/subject",
            ),
            (json!({"owner": {"phone": "1"}}), "/owner/phone"),
            (json!({"owner": "hanna@example.org"}), "/owner"),
            (with("slug", json!("")), "/slug"),
            (with("slug", json!(" ")), "/slug"),
            (with("slug", json!("x".repeat(81))), "/slug"),
            (with("tenant", json!("a b")), "/tenant"),
            (with("title", json!("a\u{202e}b")), "/title"),
            (with("minutes", json!(4)), "/minutes"),
            (with("minutes", json!(1441)), "/minutes"),
            (with("minutes", json!("60")), "/minutes"),
            (with("guests", json!("yes")), "/guests"),
            (with("not_before", json!("tomorrow")), "/not_before"),
            (with("expires_at", json!("2027-01-15")), "/expires_at"),
            (
                with("expires_at", json!("2027-01-15T08:00:00Z")),
                "/expires_at",
            ),
            (
                with("expires_at", json!("2028-01-16T08:00:00Z")),
                "/expires_at",
            ),
            (with("lobby", json!(true)), "/lobby"),
        ];
        for (body, expected) in cases {
            assert_eq!(pointer(check(&body)), expected, "{body}");
        }
    }

    #[test]
    fn an_owner_has_the_longest_subject_of_a_person() {
        let scope = SubjectScope::of("longest-id-of-school".parse().unwrap());
        let longest = scope.qualify(&"x".repeat(MAX_ISSUED_ID_BYTES)).unwrap();
        assert_eq!(longest.len(), MAX_SUBJECT_BYTES);
        let owned_by = |subject: String| check(&json!({"owner": {"subject": subject}}));
        let owner = owned_by(longest.clone()).unwrap().owner;
        assert_eq!(owner, MeetingOwner::Subject(longest.clone()));
        assert_eq!(pointer(owned_by(longest + "x")), "/owner/subject");
        // The limit is of bytes.
        let letters = MAX_SUBJECT_BYTES / "ü".len();
        assert!(owned_by("ü".repeat(letters)).is_ok());
        assert_eq!(pointer(owned_by("ü".repeat(letters + 1))), "/owner/subject");
    }

    #[test]
    fn links_become_valid_before_they_expire() {
        let mut body = with("expires_at", json!("2027-01-16T08:00:00Z"));
        body["not_before"] = json!("2027-01-16T10:00:00+01:00");
        assert_eq!(pointer(check(&body)), "/not_before");
        body["not_before"] = json!("2027-01-16T08:59:00+01:00");
        assert!(check(&body).is_ok());
    }

    #[test]
    fn the_room_belongs_to_the_integration() {
        let owners = OwnerTags::new(Keyring::single([7; 32]).tagger(Purpose::Owner));
        let random = Random::predictable(1);
        let room = |patterns: &[&str], slug: Option<&str>| {
            let body = json!({"owner": {"subject": "4711"}, "slug": slug, "tenant": "acme"});
            let integrations = integrations(patterns);
            let room = check(&body)
                .unwrap()
                .room(&owners, school(&integrations), &random);
            room.map(|room| room.to_string())
        };
        let with_slug = room(&["school-*"], Some("School 7b")).unwrap();
        assert!(with_slug.starts_with("acme/school-7b-"), "{with_slug}");
        let drawn = room(&["aula", "school-*"], None).unwrap();
        assert!(drawn.starts_with("acme/school-"), "{drawn}");

        for (patterns, slug) in [("school-*", Some("board")), ("aula", None)] {
            let refused = room(&[patterns], slug).unwrap_err();
            assert_eq!(refused.as_str(), "room_foreign", "{patterns}");
        }
        assert_eq!(pointer(room(&["school-*"], Some("?!"))), "/slug");
    }
}
