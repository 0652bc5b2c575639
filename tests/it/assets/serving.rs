//! Which responses are stored, and what clients get of them.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Client, SCRIPT, gauge, outcomes, site};
use crate::support::{asset_server::Script, logs::Logs};

/// The site's clock: 2027-01-15 08:00:00.
const DATE: &str = "date: Fri, 15 Jan 2027 08:00:00 GMT";

#[tokio::test]
async fn a_fresh_file_is_fetched_once() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let lived = ["cache-control: max-age=600, public", "etag: \"a\""];
    server.script("/libs/app.bundle.min.js", Script::new(&lived));
    let first = client.get(SCRIPT).await;
    site.clock_control.advance(Duration::from_secs(90));
    let again = client.get(SCRIPT).await;
    assert_eq!(server.count(), 1);
    for (page, age) in [(&first, "0"), (&again, "90")] {
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.text(), "let answer = 42;");
        assert_eq!(page.headers["age"], age);
        assert_eq!(page.headers["etag"], "\"a\"");
        assert_eq!(page.headers["cache-control"], "max-age=600, public");
        assert_eq!(page.headers["content-type"], "text/javascript");
        assert_eq!(page.headers["content-length"], "16");
    }
    let head = client.send(Method::HEAD, SCRIPT, &[], "").await;
    assert_eq!(head.headers["content-length"], "16");
    assert!(head.body.is_empty());
    assert_eq!(server.count(), 1, "HEAD is answered by the stored GET");
    assert_eq!(outcomes(&site).await, ["hit 2", "miss 1"]);
    assert_eq!(gauge(&site, "entries").await, 1);
    // The clock passes the lifetime, and the server confirms the file.
    site.clock_control.advance(Duration::from_secs(510));
    assert_eq!(client.get(SCRIPT).await.headers["age"], "0");
    let received = server.take_received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].headers["if-none-match"], "\"a\"");
    assert_eq!(client.get(SCRIPT).await.text(), "let answer = 42;");
    assert_eq!(server.count(), 0);
    assert_eq!(outcomes(&site).await, ["hit 3", "miss 1", "revalidated 1"]);
}

/// Jitsi's page has other addresses than those of rooms, at which a frame of another site could show it.
#[tokio::test]
async fn pages_among_the_files_show_in_frames_of_permitted_sites_only() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let public = "cache-control: max-age=600, public";
    for (path, fields, is_page) in [
        ("/index.html", &["content-type: text/html"][..], true),
        (
            "/static/close3.html",
            &["content-type: Text/HTML; charset=utf-8", public],
            true,
        ),
        (
            "/static/x",
            &["content-type: application/xhtml+xml", public],
            true,
        ),
        ("/libs/app.bundle.min.js", &[public], false),
        ("/images/logo.svg", &["content-type: image/svg+xml"], false),
    ] {
        server.script(path, Script::new(fields));
        // The second one may come from the cache.
        for _ in 0..2 {
            let page = client.get(path).await;
            let policy = page.headers.get("content-security-policy");
            let policy = policy.map(|policy| policy.to_str().unwrap());
            assert_eq!(
                policy,
                is_page.then_some("frame-ancestors 'self'"),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn files_without_permission_are_fetched_each_time() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let day = "last-modified: Thu, 14 Jan 2027 08:00:00 GMT";
    // Fields, query, and how often the web server is asked for three requests.
    for (number, (fields, query, asked)) in [
        (&["cache-control: max-age=60"][..], "?v=1", 1),
        (&["cache-control: s-maxage=60"], "?v=1", 1),
        (&["expires: Fri, 15 Jan 2027 09:00:00 GMT", DATE], "?v=1", 1),
        (&[day, DATE], "?v=1", 1),
        // Without a version: the first response says that the second may be stored.
        (&["cache-control: max-age=60"], "", 2),
        (&["expires: Fri, 15 Jan 2027 09:00:00 GMT", DATE], "?x=1", 2),
        (&[day, DATE], "", 3),
        (&[day, DATE], "?v=", 3),
        (&["etag: \"a\""], "", 3),
        // Asked for with a version, and then forwarded: one more.
        (&["etag: \"a\""], "?v=1", 4),
        (&["cache-control: no-store"], "?v=1", 4),
        (&["cache-control: max-age=60, private"], "?v=1", 4),
        (&["cache-control: max-age=60", "set-cookie: a=1"], "?v=1", 4),
        (&["cache-control: max-age=60", "vary: origin"], "?v=1", 4),
        (&["cache-control: max-age=60", "vary: *"], "?v=1", 4),
        (&["cache-control: max-age=60, s-maxage=0"], "?v=1", 4),
        (&["cache-control: max-age=60", "age: 60"], "?v=1", 4),
        (
            &["cache-control: max-age=60", "content-type: text/html"],
            "?v=1",
            4,
        ),
        (&["expires: 0", DATE], "?v=1", 4),
        (&["cache-control: no-cache"], "", 3),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/libs/{number}.js");
        server.script(&path, Script::new(fields));
        for _ in 0..3 {
            let page = client.get(&format!("{path}{query}")).await;
            assert_eq!(page.status, StatusCode::OK, "{fields:?}");
            assert_eq!(page.text(), "let answer = 42;", "{fields:?}");
        }
        assert_eq!(server.take_received().len(), asked, "{fields:?} {query}");
    }
    // An operator edits it: a version does not count, a lifetime does.
    for (fields, asked) in [(&[day, DATE][..], 3), (&["cache-control: max-age=60"], 2)] {
        server.script("/interface_config.js", Script::new(fields));
        for _ in 0..3 {
            client.get("/interface_config.js?v=1").await;
        }
        assert_eq!(server.take_received().len(), asked, "{fields:?}");
    }
    for status in [404, 500, 301, 203] {
        let path = format!("/libs/{status}.js");
        let lived = Script::new(&["cache-control: max-age=60"]).status(status);
        server.script(&path, lived);
        for _ in 0..2 {
            let page = client.get(&format!("{path}?v=1")).await;
            assert_eq!(page.status.as_u16(), status);
        }
        assert_eq!(server.take_received().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn conditions_and_ranges_are_answered_from_the_cache() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let modified = "last-modified: Fri, 15 Jan 2027 07:00:00 GMT";
    let fields = ["cache-control: max-age=600", "etag: \"a\"", modified, DATE];
    let file = Script::new(&fields).body("0123456789");
    server.script("/sounds/ring.mp3", file);
    let sound = "/sounds/ring.mp3?v=1";
    client.get(sound).await;
    for (fields, status, body, range) in [
        (&["if-none-match: \"a\""][..], 304, "", None),
        (&["if-none-match: \"b\""], 200, "0123456789", None),
        (
            &["if-modified-since: Fri, 15 Jan 2027 07:00:00 GMT"],
            304,
            "",
            None,
        ),
        (
            &["if-modified-since: Fri, 15 Jan 2027 06:00:00 GMT"],
            200,
            "0123456789",
            None,
        ),
        (&["range: bytes=2-4"], 206, "234", Some("bytes 2-4/10")),
        (&["range: bytes=-2"], 206, "89", Some("bytes 8-9/10")),
        (&["range: bytes=20-"], 416, "", Some("bytes */10")),
        (&["range: bytes=0-1,4-5"], 200, "0123456789", None),
        (
            &["range: bytes=2-4", "if-range: \"a\""],
            206,
            "234",
            Some("bytes 2-4/10"),
        ),
        (
            &["range: bytes=2-4", "if-range: \"b\""],
            200,
            "0123456789",
            None,
        ),
        (&["range: bytes=2-4", "if-none-match: \"a\""], 304, "", None),
    ] {
        let page = client.get_with(sound, fields).await;
        assert_eq!(page.status.as_u16(), status, "{fields:?}");
        assert_eq!(page.text(), body, "{fields:?}");
        let found = page.headers.get("content-range");
        let found = found.map(|range| range.to_str().unwrap());
        assert_eq!(found, range, "{fields:?}");
        assert_eq!(page.headers["etag"], "\"a\"", "{fields:?}");
    }
    let head = client.send(Method::HEAD, sound, &["range: bytes=2-4"], "");
    let head = head.await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-length"]),
        (200, &"10".parse().unwrap())
    );
    assert_eq!(server.take_received().len(), 1);
}

#[tokio::test]
async fn clients_may_ask_past_the_cache_and_only_for_the_cache() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let only = client
        .get_with(SCRIPT, &["cache-control: only-if-cached"])
        .await;
    assert_eq!(
        (only.status, server.count()),
        (StatusCode::GATEWAY_TIMEOUT, 0)
    );
    client.get(SCRIPT).await;
    site.clock_control.advance(Duration::from_secs(30));
    server.take_received();
    for (field, asked) in [
        ("cache-control: only-if-cached", 0),
        ("cache-control: max-age=30", 0),
        ("cache-control: max-age=29", 1),
        ("cache-control: max-age=0", 1),
        ("cache-control: no-cache", 1),
        ("cache-control: no-store", 1),
        ("cache-control: min-fresh=571", 1),
        ("pragma: no-cache", 1),
        ("if-match: \"a\"", 1),
        ("authorization: Bearer x", 1),
    ] {
        let page = client.get_with(SCRIPT, &[field]).await;
        assert_eq!(page.status, StatusCode::OK, "{field}");
        assert_eq!(server.take_received().len(), asked, "{field}");
    }
    assert_eq!(client.get(SCRIPT).await.headers["age"], "30");
}

#[tokio::test]
async fn a_stale_file_replaces_an_error_only_if_it_says_so() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    for (name, lived, status) in [
        ("a", "cache-control: max-age=10, stale-if-error=60", 200),
        ("b", "cache-control: max-age=10", 503),
        (
            "c",
            "cache-control: max-age=10, stale-if-error=60, must-revalidate",
            503,
        ),
    ] {
        let (path, target) = (format!("/libs/{name}.js"), format!("/libs/{name}.js?v=1"));
        server.script(&path, Script::new(&[lived, "etag: \"a\""]));
        assert_eq!(client.get(&target).await.status, StatusCode::OK);
        site.clock_control.advance(Duration::from_secs(20));
        server.script(&path, Script::new(&["etag: \"x\""]).status(503));
        for _ in 0..2 {
            let page = client.get(&target).await;
            assert_eq!(page.status.as_u16(), status, "{lived}");
        }
        // The server is back, with another file.
        site.clock_control.advance(Duration::from_secs(5));
        server.script(&path, Script::new(&[lived, "etag: \"b\""]).body("new"));
        assert_eq!(client.get(&target).await.text(), "new", "{lived}");
        assert_eq!(client.get(&target).await.headers["age"], "0", "{lived}");
    }
    // A file that may no longer be stored leaves the cache.
    server.script(
        "/libs/a.js",
        Script::new(&["cache-control: no-store"]).body("mine"),
    );
    site.clock_control.advance(Duration::from_secs(20));
    server.take_received();
    for _ in 0..3 {
        assert_eq!(client.get("/libs/a.js?v=1").await.text(), "mine");
    }
    assert_eq!(server.take_received().len(), 4);
}

#[tokio::test]
async fn gzip_is_stored_apart_and_named_by_vary() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let fields = [
        "cache-control: max-age=600",
        "etag: \"a\"",
        "content-encoding: gzip",
    ];
    server.script(
        "/libs/app.bundle.min.js",
        Script::new(&fields).body("zipped"),
    );
    for line in [
        "accept-encoding: gzip, deflate",
        "accept-encoding: x-gzip;q=0.5",
    ] {
        let page = client.get_with(SCRIPT, &[line]).await;
        assert_eq!(page.headers["content-encoding"], "gzip");
        assert_eq!(page.headers["vary"], "accept-encoding");
        // Not the tag of the file without a coding.
        assert_eq!(page.headers["etag"], "W/\"a\"");
    }
    let received = server.take_received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].headers["accept-encoding"], "gzip");
    // A client without gzip gets no gzip of the cache, whatever the web server does.
    server.script(
        "/libs/app.bundle.min.js",
        Script::new(&fields[..2]).body("plain"),
    );
    for line in [
        "accept-encoding: gzip;q=0",
        "x: y",
        "accept-encoding: identity",
    ] {
        assert_eq!(
            client.get_with(SCRIPT, &[line]).await.text(),
            "plain",
            "{line}"
        );
    }
    let received = server.take_received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn the_cache_can_be_disabled() {
    for section in [
        "[cache]\nenabled = false",
        "[cache]\nsize = 0",
        "[cache]\nsize = \"0\"",
    ] {
        let (site, server) = site(section).await;
        let mut client = Client::of(&site);
        client.get(SCRIPT).await;
        assert!(!client.get(SCRIPT).await.headers.contains_key("age"));
        assert_eq!(server.count(), 2, "{section}");
        assert_eq!(outcomes(&site).await, [""; 0]);
        let purged = site.order("/cache/purge", "{}", &[]).await;
        assert_eq!(purged, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn access_lines_name_the_outcome() {
    let logs = Logs::keep();
    let (site, server) = site("[log]\naccess = true").await;
    let mut client = Client::of(&site);
    let path = "/libs/logged.js";
    server.script(
        path,
        Script::new(&["cache-control: max-age=60", "etag: \"a\""]),
    );
    let target = format!("{path}?v=1");
    client.get(&target).await;
    client.get(&target).await;
    site.clock_control.advance(Duration::from_mins(1));
    client.get(&target).await;
    client.get_with(&target, &["cache-control: no-cache"]).await;
    let lines = || logs.lines_with(&format!("path=\"{path}\""));
    site.wait_for("the lines are written", async || lines().len() == 4)
        .await;
    for (line, outcome) in lines().iter().zip(["miss", "hit", "revalidated", "bypass"]) {
        assert!(line.contains(&format!("cache=\"{outcome}\"")), "{line}");
    }
}
