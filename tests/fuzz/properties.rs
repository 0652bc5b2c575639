//! What has to hold for any bytes. The fuzz targets call these functions, and so does `cargo test`, with the
//! stored seeds and with changes of them (`tests/it/fuzz.rs`).

use std::{fs, path::Path, sync::LazyLock};

use bytes::Bytes;
use config::Environment;
use futures_util::FutureExt as _;
use http::{Response, header};
use http_body_util::{BodyExt as _, Full};
use jsonwebtoken::Algorithm;
use model::{
    bosh::StartTag,
    jws::Jws,
    path::CanonicalPath,
    query::{self, PageQuery, SignallingQuery},
    room::{RoomKey, Tenant},
    route::{Route, SiteLocations},
    seal::{Keyring, Purpose},
    xml::Element,
};
use pages::inject::{Injector, PageIdentity};
use serde_json::Map;

/// The directory of its seeds, a property, and how many times longer than others it takes.
pub(crate) type Target = (&'static str, fn(&[u8]), usize);

pub(crate) const TARGETS: &[Target] = &[
    ("path", path, 1),
    ("query", signalling_query, 1),
    ("page_query", page_query, 1),
    ("room", room, 1),
    ("cookie", cookie, 1),
    ("token", token, 1),
    ("start_tag", start_tag, 1),
    ("xml", xml, 1),
    ("page", page, 10),
    ("config", configuration, 50),
];

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

/// What was sealed opens, and only as it was sealed.
pub(crate) fn cookie(bytes: &[u8]) {
    let keyring = Keyring::single([7; 32]);
    let sealer = keyring.sealer(Purpose::Session, "https://meet.example.org");
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(sealer.open(text).is_none(), "{text}");
    }
    let sealed = sealer.seal(bytes);
    let opened = sealer.open(&sealed).expect("what was sealed opens");
    assert_eq!(&opened[..], bytes);
    let other = keyring.sealer(Purpose::Pass, "https://meet.example.org");
    assert!(other.open(&sealed).is_none());
    let at = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % sealed.len();
    let mut changed = sealed.into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap_or_default();
    // The last character has bits that stand for nothing.
    if at + 1 < changed.len() {
        assert!(sealer.open(&changed).is_none(), "{at}");
    }
}

/// A token that is read has three parts and an algorithm that is permitted.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let allowed = [Algorithm::RS256, Algorithm::ES256];
    if let Ok(jws) = Jws::parse(text, &allowed) {
        assert_eq!(text.split('.').count(), 3, "{text}");
        assert!(allowed.contains(&jws.algorithm()));
    }
}

/// The id of a session is text of the body, and what follows the start tag changes nothing.
pub(crate) fn start_tag(bytes: &[u8]) {
    let Ok(tag) = StartTag::parse(bytes) else {
        return;
    };
    let end = bytes.iter().position(|byte| *byte == b'>');
    assert!(end.is_some(), "a tag that does not end");
    if let Some(sid) = tag.sid(bytes) {
        assert!(
            !sid.contains(['<', '&', '"', '\'']) || !sid.contains('&'),
            "{sid}"
        );
    }
    let longer = [bytes, b"<x/>"].concat();
    if let Ok(again) = StartTag::parse(&longer) {
        assert_eq!(again.sid(&longer), tag.sid(bytes));
        assert_eq!(
            (again.rid(), again.terminates()),
            (tag.rid(), tag.terminates())
        );
    }
}

/// No text makes the reader of stanzas panic.
pub(crate) fn xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(element) = Element::parse(text) {
        assert!(!element.name().is_empty());
        assert!(element.children().all(|child| !child.name().is_empty()));
    }
}

static INJECTOR: LazyLock<Injector> =
    LazyLock::new(|| Injector::new("https://meet.example.org", &Map::new()));

/// A page keeps all of its bytes; the script is one piece between them.
pub(crate) fn page(bytes: &[u8]) {
    // The tags of policies are the one thing that changes.
    let lower = bytes.to_ascii_lowercase();
    if lower.windows(4).any(|window| window == b"meta") {
        return;
    }
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(bytes)));
    let html = header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    let response = INJECTOR.inject_page(response, PageIdentity::Name(Some("</script>")));
    let collected = response.into_body().collect().now_or_never();
    let Some(Ok(collected)) = collected else {
        return;
    };
    let sent = collected.to_bytes();
    let before = sent.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let behind = sent.iter().rev().zip(bytes.iter().rev());
    let behind = behind.take_while(|(a, b)| a == b).count();
    assert!(before + behind >= bytes.len(), "{}", sent.escape_ascii());
}

/// No file makes the reader of the configuration panic, and a problem says where it is.
pub(crate) fn configuration(bytes: &[u8]) {
    let name = format!("gateway-fuzz-{}.toml", std::process::id());
    let file = std::env::temp_dir().join(name);
    if fs::write(&file, bytes).is_err() {
        return;
    }
    if let Err(problems) = config::load(Path::new(&file), &Environment::default()) {
        assert!(!problems.to_string().is_empty());
    }
    let _: Result<_, _> = fs::remove_file(&file);
}
