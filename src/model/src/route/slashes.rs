//! Slashes too many in a room's address, as systems write them that join a server's URL and a path:
//! `//room`, `/room/`. They lead to the room's one address, and to nothing else.

use super::{Route, Routed, SiteLocations};
use crate::{path::CanonicalPath, room::PageRoom};

/// The room of a path in which slashes are repeated.
///
/// Servers resolve such a path to different ones, so it is never forwarded and means no other route.
pub(super) fn room_of_repeated(raw_path: &str, locations: &SiteLocations) -> Option<Routed> {
    let mut single = String::with_capacity(raw_path.len());
    for c in raw_path.chars() {
        if c != '/' || !single.ends_with('/') {
            single.push(c);
        }
    }
    let Routed { route, path } = Route::classify(&single, locations).ok()?;
    let Route::Room(room) = route else {
        return None;
    };
    let route = Route::Room(respell(room, path.as_str()));
    Some(Routed { route, path })
}

/// The room of a path that ends with a slash, unless it is that of a directory. Jitsi's client would show
/// its welcome page there.
pub(super) fn room_before_trailing(path: &CanonicalPath) -> Option<Route> {
    let address = path.as_str().strip_suffix('/')?;
    let (_, name) = address.rsplit_once('/')?;
    if Route::of_directory(name).is_some() {
        return None;
    }
    match Route::of(&CanonicalPath::parse(address).ok()?) {
        Route::Room(room) => Some(Route::Room(respell(room, address))),
        refused @ Route::NoRoom(_) => Some(refused),
        _ => None,
    }
}

/// The room with the address to redirect to.
fn respell(room: PageRoom, address: &str) -> PageRoom {
    let respelled = room.respelled.or_else(|| Some(address.to_owned()));
    PageRoom { respelled, ..room }
}
