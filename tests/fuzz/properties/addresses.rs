//! Addresses: paths, queries and rooms.

use model::{
    path::CanonicalPath,
    query::{self, PageQuery, SignallingQuery},
    room::{RoomKey, Tenant},
    route::{Route, SiteLocations},
};

/// A canonical path is its own canonical form, has no form that servers resolve, and the same route.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(raw) = std::str::from_utf8(bytes) else {
        return;
    };
    let locations = SiteLocations::default();
    let routed = Route::classify(raw, &locations);
    let Ok(path) = CanonicalPath::parse(raw) else {
        return;
    };
    let text = path.as_str();
    let again = CanonicalPath::parse(text).expect("a canonical path is a path");
    assert_eq!(again.as_str(), text);
    assert!(!again.was_respelled());
    assert_eq!(path.was_respelled(), raw != text);
    assert!(text.starts_with('/') && !text.contains("//") && !text.contains('\\'));
    assert!(
        text.bytes().all(|byte| (b'!'..0x7f).contains(&byte)),
        "{text}"
    );
    assert!(
        text.split('/')
            .all(|segment| segment != "." && segment != "..")
    );
    // The path that was matched is the path that is forwarded.
    let routed = routed.expect("a path with a canonical form has a route");
    assert_eq!(routed.path.as_str(), text);
}

/// What Prosody gets names the room that was decided on, and nothing that splits a request.
pub(crate) fn signalling_query(bytes: &[u8]) {
    let Ok(raw) = std::str::from_utf8(bytes) else {
        return;
    };
    let tenant = Tenant::parse("acme").ok();
    for tenant in [None, tenant] {
        let Ok(parsed) = SignallingQuery::parse(tenant.clone(), raw) else {
            continue;
        };
        let forwarded = parsed.forwarded.with_room(&parsed.room);
        assert!(
            forwarded.bytes().all(|byte| byte.is_ascii_graphic()),
            "{forwarded}"
        );
        assert!(!forwarded.contains('#'), "{forwarded}");
        let again = SignallingQuery::parse(tenant, &forwarded).expect("a forwarded query");
        assert!(again.room == parsed.room, "{forwarded}");
        assert_eq!(again.forwarded.with_room(&again.room), forwarded);
        assert!(again.token.is_none(), "{forwarded}");
    }
}

/// The rest of a page's query has no credential, and none appears when it is read again.
pub(crate) fn page_query(bytes: &[u8]) {
    let Ok(raw) = std::str::from_utf8(bytes) else {
        return;
    };
    let rest = PageQuery::parse(raw).rest;
    let again = PageQuery::parse(&rest);
    assert!(again.jwt.is_none() && again.invite.is_none(), "{rest}");
    assert_eq!(again.rest, rest);
    let logged = query::without_tokens(raw);
    assert_eq!(query::without_tokens(&logged), logged);
}

/// A room has an address, and the address, the query and the stored text lead back to the room.
pub(crate) fn room(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(room) = RoomKey::from_text(text) else {
        return;
    };
    let tenant = room.tenant().cloned();
    let queried = RoomKey::from_query(tenant, room.node());
    assert_eq!(queried.as_ref().ok(), Some(&room), "{text:?}");
    let address = room.page_path();
    let path = CanonicalPath::parse(&address).expect("a room's address is a path");
    let mut segments: Vec<_> = path.segments().collect();
    let name = segments.pop().unwrap_or_default();
    let page = RoomKey::from_page(segments.pop(), name).expect("a room's address has a room");
    assert_eq!(page.key, room, "{text:?} {address}");
}
