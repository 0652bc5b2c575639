//! Redirect targets after a sign-in: always a page of this site, never an open redirect.

use serde::{Deserialize, Serialize};

use crate::{path::CanonicalPath, query, room::RoomKey};

/// A path of this site with an optional query. It is parsed and rebuilt and never has an authority,
/// so it is safe in a redirect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReturnTo(String);

// === impl ReturnTo ===

impl ReturnTo {
    /// Parses a return path; any text that is not a path of Jitsi on this site becomes the start page.
    pub fn parse(text: &str) -> Self {
        Self::try_parse(text).unwrap_or_default()
    }

    /// The page of a room from the names in a Jitsi state.
    pub(super) fn of_room(tenant: Option<&str>, room: &str) -> Self {
        if room.contains(['/', '?']) {
            return Self::default();
        }
        match tenant.filter(|tenant| !tenant.is_empty()) {
            Some(tenant) => Self::parse(&format!("/{tenant}/{room}")),
            None => Self::parse(&format!("/{room}")),
        }
    }

    /// The page of a room, with the invitation link if there is one.
    pub fn of_link(room: &RoomKey, invite: Option<&str>) -> Self {
        let path = room.page_path();
        match invite {
            Some(invite) => Self::parse(&format!("{path}?invite={invite}")),
            None => Self::parse(&path),
        }
    }

    /// The room of the page, if it is a room's page.
    pub fn room(&self) -> Option<RoomKey> {
        let path = self.path().strip_prefix('/')?;
        let (tenant, segment) = match path.split_once('/') {
            Some((tenant, segment)) => (Some(tenant), segment),
            None => (None, path),
        };
        RoomKey::from_page(tenant, segment)
            .ok()
            .map(|page| page.key)
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    /// The text for a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn try_parse(text: &str) -> Option<Self> {
        if text.contains('#') {
            return None;
        }
        let (path, query) = text
            .split_once('?')
            .map_or((text, None), |(p, q)| (p, Some(q)));
        Self::of_path(&CanonicalPath::parse(path).ok()?, query)
    }

    /// The page that a request asked for: its canonical path with its query.
    pub fn of_request(path: &CanonicalPath, query: Option<&str>) -> Self {
        Self::of_path(path, query).unwrap_or_default()
    }

    fn of_path(path: &CanonicalPath, query: Option<&str>) -> Option<Self> {
        // A path of the gateway itself would loop through the sign-in or sign-out.
        if path.as_str().starts_with("/_gateway") {
            return None;
        }
        let path = path.as_str();
        let query = query.map(clean_query).filter(|query| !query.is_empty());
        let whole = query.map(|query| format!("{path}?{query}"));
        let target = whole
            .filter(|target| target.len() <= MAX_BYTES)
            .unwrap_or_else(|| path.to_owned());
        (target.len() <= MAX_BYTES).then_some(Self(target))
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

/// The query without tokens and without characters that a query may not contain.
fn clean_query(query: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`');
    let link = |pair: &&str| pair.starts_with("invite=");
    let rest = query::without_tokens(query);
    let pairs = query.split('&').filter(link).take(1).chain(rest.split('&'));
    pairs
        .filter(|pair| !pair.is_empty() && pair.chars().all(plain))
        .collect::<Vec<_>>()
        .join("&")
}

/// Longer than the path of any room, with its tenant, and short enough for a cookie. A longer query is left
/// out, which may be the link to a room with a very long name.
const MAX_BYTES: usize = 2000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rooms_are_kept() {
        for path in [
            "/",
            "/room",
            "/acme/Team%20Call",
            "/Caf%C3%A9",
            "/room?lang=de&x=1",
        ] {
            assert_eq!(ReturnTo::parse(path).as_str(), path);
        }
        assert_eq!(
            ReturnTo::parse("/room?jwt=x&a=1&%74oken=y").as_str(),
            "/room?a=1"
        );
    }

    #[test]
    fn jitsis_state_names_a_room_and_nothing_else() {
        let of = |json: &str| {
            crate::session::JitsiState::parse(json)
                .return_to
                .as_str()
                .to_owned()
        };
        assert_eq!(
            of(r#"{"room":"Team%20Call","roomSafe":"team%20call"}"#),
            "/Team%20Call"
        );
        assert_eq!(of(r#"{"roomSafe":"x","tenant":"acme"}"#), "/acme/x");
        for json in [
            "",
            "[]",
            "{}",
            r#"{"room":"/evil.test"}"#,
            r#"{"room":"x","tenant":"/evil"}"#,
            r#"{"room":"\\evil"}"#,
            r#"{"room":"x","tenant":"_gateway"}"#,
        ] {
            assert_eq!(of(json), "/", "{json}");
        }
    }

    #[test]
    fn targets_on_other_sites_become_the_start_page() {
        let nasty = [
            "",
            "evil.test",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/%5cevil.test",
            "https://evil.test",
            "https:evil.test",
            "/%09/evil.test",
            "/\t/evil.test",
            "/%0d%0aLocation:x",
            "/./\\evil",
            "/.//evil",
            "/..//evil",
            "/ /evil",
            "/%2f/evil",
            "/%2e%2e/%2fevil",
            "javascript:alert(1)",
            "/#x",
            "/a//b",
            "/_gateway/logout",
            "/%5f%67ateway/login",
            "@evil.test",
        ];
        for text in nasty {
            assert_eq!(ReturnTo::parse(text).as_str(), "/", "{text:?}");
        }
        assert_eq!(
            ReturnTo::parse(&format!("/{}", "a".repeat(3000))).as_str(),
            "/"
        );
        // A query that is too long is left out.
        let (room, invite) = ("x".repeat(1023), "t".repeat(1500));
        let long = ReturnTo::parse(&format!("/{room}?invite={invite}"));
        assert_eq!(long.as_str(), format!("/{room}"));
        // The limit applies to the encoded form, which the cookie stores.
        assert_eq!(
            ReturnTo::parse(&format!("/{}", "é".repeat(900))).as_str(),
            "/"
        );
    }

    proptest! {
        #[test]
        fn every_parsed_target_is_a_page_of_this_site(
            text in "[/\\\\a-z%0-9A-F.?&=#:@ _é-]{0,40}",
            room in "\\PC{0,20}",
        ) {
            let origin = url::Url::parse("https://meet.example.org/x/y?z").unwrap();
            for target in [ReturnTo::parse(&text), ReturnTo::of_room(None, &room), ReturnTo::of_room(Some(&text), &room)] {
                let url = origin.join(target.as_str()).unwrap();
                prop_assert_eq!(url.origin(), origin.origin(), "{:?}", target);
                prop_assert!(!url.path().starts_with("/_gateway"), "{:?}", target);
                prop_assert!(http::HeaderValue::try_from(target.as_str()).is_ok(), "{:?}", target);
                // Parsing is idempotent, as when the target is read from a cookie.
                prop_assert_eq!(ReturnTo::parse(target.as_str()), target);
            }
        }
    }
}
