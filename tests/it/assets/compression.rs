//! Files in brotli.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::{Client, SCRIPT, gauge, site};
use crate::support::{asset_server::Script, browser::Page, site::Site};

const BROWSER: &str = "accept-encoding: gzip, deflate, br, zstd";

/// Lines that compress to a third or so.
fn text() -> String {
    let lines = (0..160u32).map(|line| {
        let number = line.wrapping_mul(2_654_435_761);
        format!("let line{line} = {number:x};")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn zip(plain: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain.as_bytes()).unwrap();
    encoder.finish().unwrap().into()
}

fn decompress(brotli: &[u8]) -> String {
    let mut plain = String::new();
    let mut decoder = brotli::Decompressor::new(brotli, 4096);
    decoder.read_to_string(&mut plain).unwrap();
    plain
}

/// Asks until the file comes in brotli.
async fn in_brotli(site: &Site, client: &mut Client, target: &str) -> Page {
    let mut found = client.get_with(target, &[BROWSER]).await;
    site.wait_for("the file is compressed", async || {
        found = client.get_with(target, &[BROWSER]).await;
        found
            .headers
            .get("content-encoding")
            .is_some_and(|coding| coding == "br")
    })
    .await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_are_asked_for_again_come_in_brotli() {
    let lived = ["cache-control: max-age=600", "etag: \"a\""];
    let zipped = [
        lived[0],
        lived[1],
        "content-encoding: gzip",
        "vary: Accept-Encoding",
    ];
    for (target, script) in [
        ("/libs/plain.js?v=1", Script::new(&lived).body(text())),
        (
            "/libs/zipped.js?v=1",
            Script::new(&zipped).body(zip(&text())),
        ),
    ] {
        // A site for each: the compressor pauses after a file.
        let (site, server) = site("").await;
        let mut client = Client::of(&site);
        server.script(target.split('?').next().unwrap(), script);
        let first = client.get_with(target, &[BROWSER]).await;
        assert_eq!(first.headers["vary"], "accept-encoding", "{target}");
        assert_ne!(
            first
                .headers
                .get("content-encoding")
                .map(http::HeaderValue::as_bytes),
            Some(&b"br"[..])
        );
        let stored = gauge(&site, "bytes").await;
        let page = in_brotli(&site, &mut client, target).await;
        assert_eq!(decompress(&page.body), text(), "{target}");
        assert_eq!(page.headers["vary"], "accept-encoding", "{target}");
        assert_eq!(page.headers["etag"], "W/\"a\"", "{target}");
        let added = gauge(&site, "bytes").await - stored;
        assert_eq!(added, page.body.len() as u64, "its memory counts, {target}");
        // What other clients accept. The web server gave the one file in gzip and the other as it is.
        let own = target.contains("zipped").then_some("gzip");
        for (line, coding) in [
            ("accept-encoding: gzip;q=0.5, br;q=0.5", Some("br")),
            ("accept-encoding: *", Some("br")),
            ("accept-encoding: gzip;q=1, br;q=0.5", own.or(Some("br"))),
            ("accept-encoding: gzip, br;q=0", own),
            ("accept-encoding: gzip", own),
        ] {
            let other = client.get_with(target, &[line]).await;
            let found = other.headers.get("content-encoding");
            let found = found.map(|coding| coding.to_str().unwrap());
            assert_eq!(found, coding, "{target} {line}");
        }
        // Conditions and ranges are those of the coding.
        let known = client
            .get_with(target, &[BROWSER, "if-none-match: W/\"a\""])
            .await;
        assert_eq!(
            (known.status.as_u16(), known.body.len()),
            (304, 0),
            "{target}"
        );
        let part = client
            .get_with(target, &[BROWSER, "range: bytes=2-5"])
            .await;
        assert_eq!(
            (part.status.as_u16(), &part.body[..]),
            (206, &page.body[2..6]),
            "{target}"
        );
        let of_other = [BROWSER, "range: bytes=2-5", "if-range: \"a\""];
        let whole = client.get_with(target, &of_other).await;
        assert_eq!(
            (whole.status.as_u16(), whole.body.len()),
            (200, page.body.len()),
            "{target}"
        );
        // It outlives a validation.
        site.clock_control
            .advance(std::time::Duration::from_secs(601));
        let again = client.get_with(target, &[BROWSER]).await;
        assert_eq!(again.headers["content-encoding"], "br", "{target}");
        assert_eq!(again.headers["age"], "0", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_files_keep_their_coding() {
    let (site, server) = site("").await;
    let mut client = Client::of(&site);
    let lived = "cache-control: max-age=600";
    let files = [
        (
            "/images/a.png",
            Script::new(&[lived, "content-type: image/png"]).body(text()),
        ),
        (
            "/libs/a.wasm",
            Script::new(&[lived, "content-type: application/wasm"]).body(text()),
        ),
        (
            "/libs/kept.js",
            Script::new(&["cache-control: max-age=600, no-transform"]).body(text()),
        ),
        (
            "/libs/small.js",
            Script::new(&[lived]).body("x".repeat(1000)),
        ),
        (
            "/libs/broken.js",
            Script::new(&[lived, "content-encoding: gzip"]).body(text()),
        ),
    ];
    for (path, script) in files {
        server.script(path, script);
        for _ in 0..4 {
            client.get_with(&format!("{path}?v=1"), &[BROWSER]).await;
        }
    }
    // The queue is in order: when this file is compressed, the others were seen.
    server.script(
        "/libs/app.bundle.min.js",
        Script::new(&[lived]).body(text()),
    );
    in_brotli(&site, &mut client, SCRIPT).await;
    for path in [
        "/images/a.png",
        "/libs/a.wasm",
        "/libs/kept.js",
        "/libs/small.js",
        "/libs/broken.js",
    ] {
        let page = client.get_with(&format!("{path}?v=1"), &[BROWSER]).await;
        let coding = page
            .headers
            .get("content-encoding")
            .map(|it| it.to_str().unwrap());
        assert_ne!(coding, Some("br"), "{path}");
    }
}
