//! Jitsi's web server and the pages in its place: room pages, `config.js`, files.

pub(crate) mod assets;
pub(crate) mod embedding;
pub(crate) mod jaas_page;
pub(crate) mod room_page;
