//! Methods and paths of the API.

use http::Method;
use model::room::{RoomError, RoomKey};
use observe::metrics::ApiOperation;

use super::ApiError;

/// The operation that a request names by method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiRoute {
    /// `POST meetings`.
    CreateMeeting,
    /// `POST links`.
    CreateLink,
    /// `DELETE links/{id}`.
    RevokeLink(String),
    /// `GET rooms/{room}`, `GET rooms/{tenant}/{room}`. A name that no room has is refused after the
    /// key was checked, as every other value.
    Room(Result<RoomKey, RoomError>),
    /// `GET openapi.json`; needs no key.
    OpenApi,
}

// === impl ApiRoute ===

impl ApiRoute {
    /// Parses method and path; the path is the part below `api/v1/`, percent-encoded.
    pub fn parse(method: &Method, path: &str) -> Result<Self, ApiError> {
        let segments: Vec<&str> = path.split('/').collect();
        let (allow, route) = match *segments.as_slice() {
            ["meetings"] => ("POST", Self::CreateMeeting),
            ["links"] => ("POST", Self::CreateLink),
            ["links", id] if !id.is_empty() => ("DELETE", Self::RevokeLink(id.to_owned())),
            ["rooms", room] if !room.is_empty() => (SAFE_METHODS, Self::room(None, room)),
            ["rooms", tenant, room] if !room.is_empty() => {
                (SAFE_METHODS, Self::room(Some(tenant), room))
            }
            ["openapi.json"] => (SAFE_METHODS, Self::OpenApi),
            _ => return Err(ApiError::NotFound),
        };
        if allow.split(", ").any(|allowed| method == allowed) {
            Ok(route)
        } else {
            Err(ApiError::MethodNotAllowed { allow })
        }
    }

    /// The label of metrics and the audit line.
    pub const fn operation(&self) -> ApiOperation {
        match self {
            Self::CreateMeeting => ApiOperation::CreateMeeting,
            Self::CreateLink => ApiOperation::CreateLink,
            Self::RevokeLink(_) => ApiOperation::RevokeLink,
            Self::Room(_) => ApiOperation::Room,
            Self::OpenApi => ApiOperation::Document,
        }
    }

    fn room(tenant: Option<&str>, room: &str) -> Self {
        Self::Room(RoomKey::from_page(tenant, room).map(|room| room.key))
    }
}

const SAFE_METHODS: &str = "GET, HEAD";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path: &str) -> Result<ApiRoute, ApiError> {
        ApiRoute::parse(&method.parse().unwrap(), path)
    }

    #[test]
    fn method_and_path_select_the_route() {
        let room = |text: &str| Ok(ApiRoute::Room(Ok(RoomKey::from_text(text).unwrap())));
        assert_eq!(parse("POST", "meetings"), Ok(ApiRoute::CreateMeeting));
        assert_eq!(parse("POST", "links"), Ok(ApiRoute::CreateLink));
        assert_eq!(
            parse("DELETE", "links/a"),
            Ok(ApiRoute::RevokeLink("a".to_owned()))
        );
        assert_eq!(parse("GET", "rooms/Caf%C3%A9"), room("café"));
        assert_eq!(parse("HEAD", "rooms/caf%25c3%25a9"), room("café"));
        assert_eq!(parse("GET", "rooms/acme/x"), room("acme/x"));
        assert_eq!(parse("GET", "openapi.json"), Ok(ApiRoute::OpenApi));
    }

    #[test]
    fn another_method_is_not_allowed() {
        for (method, path, allow) in [
            ("GET", "meetings", "POST"),
            ("PUT", "links", "POST"),
            ("GET", "links/a", "DELETE"),
            ("POST", "rooms/x", "GET, HEAD"),
            ("TRACE", "openapi.json", "GET, HEAD"),
        ] {
            let expected = Err(ApiError::MethodNotAllowed { allow });
            assert_eq!(parse(method, path), expected, "{path}");
        }
    }

    #[test]
    fn another_path_is_not_found() {
        for path in [
            "",
            "x",
            "meetings/",
            "rooms/",
            "rooms/a/b/c",
            "links/",
            "links/a/b",
        ] {
            assert_eq!(parse("GET", path), Err(ApiError::NotFound), "{path}");
        }
    }

    #[test]
    fn an_invalid_room_is_refused_after_the_key_was_checked() {
        assert_eq!(
            parse("GET", "rooms/%2A"),
            Ok(ApiRoute::Room(Err(RoomError::Reserved)))
        );
    }
}
