//! Which of Jitsi's files are the same for everybody.

use super::names::{LOCATION_DIRECTORIES, PUBLIC_DIRECTORIES, is_public_file};
use crate::path::CanonicalPath;

/// Whether a path of Jitsi's web server names a static file: scripts, styles, pictures, fonts, sounds and
/// texts. Pages, the service worker and keep-alive addresses are none.
///
/// The first known directory decides, as in the routes: what stands before it are tenants.
pub fn is_static_file(path: &CanonicalPath) -> bool {
    let mut segments = path.segments();
    let directory = segments.find(|segment| {
        PUBLIC_DIRECTORIES.contains(segment) || LOCATION_DIRECTORIES.contains(segment)
    });
    let name = path.segments().last().unwrap_or_default();
    let is_file = !name.is_empty() && !name.to_ascii_lowercase().ends_with(".html");
    is_file
        && match directory {
            // `find` left what is below the directory.
            Some(directory) => STATIC_DIRECTORIES.contains(&directory) && segments.next().is_some(),
            None => is_public_file(name) && !CHANGING_FILES.contains(&name),
        }
}

/// Whether a version in the address (`?v=`) stands for the contents of a static file: an operator edits
/// `interface_config.js` without a new version of Jitsi.
pub fn is_versioned_file(path: &str) -> bool {
    !path.ends_with("/interface_config.js")
}

/// The public directories without those whose files programs change: `.well-known` and `_load-test`.
const STATIC_DIRECTORIES: &[&str] = &["libs", "css", "static", "images", "fonts", "lang", "sounds"];

/// Browsers have to see a new service worker at once, and the keep-alive address renews sessions.
const CHANGING_FILES: &[&str] = &["pwa-worker.js", "_unlock"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Route, SiteLocations};

    #[test]
    fn static_files_are_assets_and_nothing_else_is_one() {
        let locations = SiteLocations::default();
        for (raw, is_static) in [
            ("/libs/app.bundle.min.js", true),
            ("/acme/libs/app.bundle.min.js", true),
            ("/a/b/libs/x/y.js", true),
            ("/css/all.css", true),
            ("/images/watermark.svg", true),
            ("/sounds/ring.mp3", true),
            ("/lang/main-de.json", true),
            ("/favicon.ico", true),
            ("/external_api.js", true),
            ("/interface_config.js", true),
            ("/static/close.html", false),
            ("/static/close.HTML", false),
            ("/libs/", false),
            ("/libs", false),
            ("/room/x.css", false),
            ("/acme/room/x.css", false),
            ("/libs.css", false),
            ("/config.js", false),
            ("/acme/config.js", false),
            ("/acme/tea/config.js", false),
            ("/", false),
            ("/_unlock", false),
            ("/acme/_unlock", false),
            ("/pwa-worker.js", false),
            ("/.well-known/libs/x.js", false),
            ("/_load-test/libs/x.js", false),
            ("/_gateway/x.js", false),
            ("/_gateway/libs/x.js", false),
            ("/_Gateway/libs/x.js", false),
            ("/etherpad/libs/x.js", false),
            ("/transcripts/libs/x.js", false),
            ("/acme/transcripts/libs/x.js", false),
            ("/socket.io/libs/x.js", false),
            ("/http-bind/libs/x.js", false),
            ("/libs/http-bind", false),
            ("/libs/_gateway/x.js", true),
        ] {
            let Ok(routed) = Route::classify(raw, &locations) else {
                panic!("{raw} has no route");
            };
            let found = routed.route == Route::Asset && is_static_file(&routed.path);
            assert_eq!(found, is_static, "{raw}: {:?}", routed.route);
        }
    }
}
