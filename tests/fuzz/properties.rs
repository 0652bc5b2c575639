//! What has to hold for any bytes. The fuzz targets call these functions, and so does `cargo test`, with the
//! stored seeds and with changes of them (`tests/it/fuzz.rs`).

use std::{fs, path::Path};

use config::Environment;

#[path = "properties/addresses.rs"]
mod addresses;
#[path = "properties/credentials.rs"]
mod credentials;
#[path = "properties/pages.rs"]
mod pages;
#[path = "properties/traffic.rs"]
mod traffic;

pub(crate) use self::{
    addresses::{page_query, path, room, signalling_query},
    credentials::{cookie, discovery, key_set, session, token},
    pages::{page, page_chunks},
    traffic::{client_frames, proxy_header, start_tag, xml},
};

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
    ("page_chunks", page_chunks, 10),
    ("session", session, 1),
    ("proxy_header", proxy_header, 1),
    ("client_frames", client_frames, 1),
    ("discovery", discovery, 2),
    ("key_set", key_set, 2),
    ("config", configuration, 50),
];

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
