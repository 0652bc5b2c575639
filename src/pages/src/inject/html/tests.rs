use proptest::prelude::*;
use serde_json::Map;

use super::{
    super::{Chunks, Injector, PageIdentity},
    scanner::MAX_MEMORY,
    *,
};

/// Injects into a page that arrives in these chunks; `[HERE]` stands for the script.
fn inject(chunks: &[&[u8]]) -> Result<(String, ScriptPlacement), UnsafeHtml> {
    let injector = Injector::new("https://meet.test", &Map::new());
    let script = injector.script.render(PageIdentity::Token("token"));
    let mut html = injector.html(&script);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&html.push(Bytes::copy_from_slice(chunk))?);
    }
    let (rest, placement) = html.finish()?;
    out.extend_from_slice(&rest);
    let element = String::from_utf8(script.element().to_vec()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.matches(&element).count() <= 1);
    Ok((text.replace(&element, "[HERE]"), placement))
}

/// Injects into a page that has arrived whole: at once, with the head known, and as one chunk of a stream.
fn inject_whole(document: &str) -> (String, ScriptPlacement) {
    let known = LastScannedHead::default();
    let scanned = complete(&known, document);
    assert_eq!(complete(&known, document), scanned, "{document:?}");
    assert_eq!(
        inject(&[document.as_bytes()]).unwrap(),
        scanned,
        "{document:?}"
    );
    scanned
}

/// Completes a page; `[HERE]` stands for the script.
fn complete(known: &LastScannedHead, document: &str) -> (String, ScriptPlacement) {
    let injector = Injector::new("https://meet.test", &Map::new());
    let script = injector.script.render(PageIdentity::Token("token"));
    let complete = |length: usize| {
        let mut page = Chunks::default();
        for chunk in document.as_bytes().chunks(length) {
            page.push(Bytes::copy_from_slice(chunk));
        }
        let (page, placement) = known.complete(page, &injector.selectors, &script);
        (String::from_utf8(page.to_vec()).unwrap(), placement)
    };
    let (text, placement) = complete(document.len().max(1));
    // The second time the head is known.
    for length in [1, 7, document.len().max(1)] {
        assert_eq!(
            complete(length),
            (text.clone(), placement),
            "{document:?} in chunks of {length}"
        );
    }
    let element = String::from_utf8(script.element().to_vec()).unwrap();
    (text.replace(&element, "[HERE]"), placement)
}

#[test]
fn a_known_head_decides_for_pages_that_begin_with_it_only() {
    let library = "<script src=\"libs/lib-jitsi-meet.js\">";
    let first = format!("<head><title>a</title>{library}</script></head>");
    for (page, expected) in [
        (
            format!("<head><title>a</title>{library}other"),
            format!("<head><title>a</title>[HERE]{library}other"),
        ),
        (
            format!("<head><title>b</title>{library}"),
            format!("<head><title>b</title>[HERE]{library}"),
        ),
        // Shorter, and equal up to within a tag.
        ("<head><title>a".to_owned(), "<head><title>a".to_owned()),
        (
            "<head><title>a</title><script src=\"libs/x.js\"></script></head>".to_owned(),
            "<head><title>a</title><script src=\"libs/x.js\"></script>[HERE]</head>".to_owned(),
        ),
        (
            "<head><title>a</title>".to_owned(),
            "<head><title>a</title>[HERE]".to_owned(),
        ),
        (
            format!("<!-- {first} --><head></head>"),
            format!("<!-- {first} --><head>[HERE]</head>"),
        ),
    ] {
        let known = LastScannedHead::default();
        complete(&known, &first);
        assert_eq!(complete(&known, &page).0, expected);
        // In the other order, too.
        let known = LastScannedHead::default();
        complete(&known, &page);
        assert_eq!(
            complete(&known, &first),
            complete(&LastScannedHead::default(), &first)
        );
    }
}

#[test]
fn script_is_inserted_before_the_library() {
    let (text, placement) = inject_whole(JITSI);
    assert_eq!(placement, ScriptPlacement::BeforeLibrary);
    assert_eq!(
        text,
        JITSI.replacen("<script src=\"libs/lib", "[HERE]<script src=\"libs/lib", 1)
    );
}

#[test]
fn script_is_inserted_before_the_head_end_without_a_library() {
    let (text, placement) = inject_whole("<html><head><title>x</title></head><body></body></html>");
    assert_eq!(placement, ScriptPlacement::BeforeHeadEnd);
    assert_eq!(
        text,
        "<html><head><title>x</title>[HERE]</head><body></body></html>"
    );
}

#[test]
fn script_is_appended_without_a_head() {
    for document in [
        "<p>x",
        "text",
        "<!doctype html><html><body></body></html>\n",
    ] {
        let expected = format!("{document}[HERE]");
        assert_eq!(inject_whole(document), (expected, ScriptPlacement::AtEnd));
    }
}

#[test]
fn library_is_found_without_a_head_tag() {
    let (text, placement) = inject_whole("<script src=/x/lib-jitsi-meet.js></script><p>");
    assert_eq!(text, "[HERE]<script src=/x/lib-jitsi-meet.js></script><p>");
    assert_eq!(placement, ScriptPlacement::BeforeLibrary);
}

#[test]
fn library_in_comments_text_and_templates_is_ignored() {
    let library = "<script src=\"lib-jitsi-meet.js\"></script>";
    for wrong in [
        format!("<!-- {library} -->"),
        "<script>var x = '<script src=\"lib-jitsi-meet.js\">';</script>".to_owned(),
        format!("<style>{library}</style>"),
        format!("<title>{library}</title>"),
        format!("<noscript>{library}</noscript>"),
        format!("<template>{library}<template></template>{library}</template>"),
        "<link href=\"lib-jitsi-meet.js\">".to_owned(),
        "<script>'</head>'</script><!-- </head> -->".to_owned(),
        "<meta content='</head><script src=\"lib-jitsi-meet.js\">'>".to_owned(),
    ] {
        let (text, placement) = inject_whole(&format!("<head>{wrong}{library}</head>"));
        assert_eq!(text, format!("<head>{wrong}[HERE]{library}</head>"));
        assert_eq!(placement, ScriptPlacement::BeforeLibrary);
        let (text, placement) = inject_whole(&format!("<head>{wrong}</head>{library}"));
        assert_eq!(text, format!("<head>{wrong}[HERE]</head>{library}"));
        assert_eq!(placement, ScriptPlacement::BeforeHeadEnd);
    }
}

#[test]
fn page_that_ends_inside_a_construct_stays_unchanged() {
    for document in [
        "",
        "<!-- open",
        "<script>open(",
        "<p title=\"open",
        "<p",
        "<style>",
        "<title>x",
        "<template><p>",
    ] {
        assert_eq!(
            inject_whole(document),
            (document.to_owned(), ScriptPlacement::Nowhere),
            "{document:?}"
        );
    }
}

#[test]
fn memory_for_an_incomplete_tag_is_bounded() {
    let tag = format!("<script src=\"{}", "x".repeat(2 * MAX_MEMORY));
    let (text, placement) = inject_whole(&tag);
    assert_eq!(
        (text.len(), placement),
        (tag.len(), ScriptPlacement::Nowhere)
    );
    let halves = tag.as_bytes().split_at(MAX_MEMORY);
    let first: &[u8] = b"<p>";
    assert!(inject(&[first, halves.0, halves.1]).is_err());
}

#[test]
fn bytes_after_the_place_are_not_parsed() {
    // Ambiguous markup, and a tag over the limit.
    let behind = format!(
        "<select><xmp><script></xmp></select><p title=\"{}\">",
        "x".repeat(2 * MAX_MEMORY)
    );
    let (text, _) = inject_whole(&format!("<head></head>{behind}"));
    assert_eq!(text, format!("<head>[HERE]</head>{behind}"));
}

#[test]
fn policies_of_the_page_allow_the_script() {
    let injector = Injector::new("https://meet.test", &Map::new());
    let hash = injector
        .script
        .render(PageIdentity::Token("token"))
        .csp_source();
    let library = "<script src=\"lib-jitsi-meet.js\"></script>";
    let tag = |policy: &str| {
        format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">")
    };
    for (before, after) in [
        (tag("script-src 'self'"), tag(&format!("script-src 'self' {hash}"))),
        (
            "<META content='default-src &#39;none&#39;; report-uri /r?a=1&amp;b=2' HTTP-EQUIV=content-security-policy />".to_owned(),
            tag(&format!("default-src {hash}; report-uri /r?a=1&amp;b=2")),
        ),
        // It blocks nothing, or is no policy of the page.
        (tag("script-src 'unsafe-inline'"), tag("script-src 'unsafe-inline'")),
        (tag("img-src *"), tag("img-src *")),
        (
            "<meta http-equiv=refresh content='script-src x'>".to_owned(),
            "<meta http-equiv=refresh content='script-src x'>".to_owned(),
        ),
        (
            format!("<template>{}</template>", tag("script-src a")),
            format!("<template>{}</template>", tag("script-src a")),
        ),
    ] {
        let page = format!("<head><title>x</title>{before}<p>{library}</head>");
        let expected = format!("<head><title>x</title>{after}<p>[HERE]{library}</head>");
        assert_eq!(inject_whole(&page).0, expected);
        let bytes: Vec<&[u8]> = page.as_bytes().chunks(1).collect();
        assert_eq!(inject(&bytes).unwrap().0, expected, "byte by byte");
    }
    // Behind the script it does not apply to it.
    let behind = format!("<head>{library}{}</head>", tag("script-src 'self'"));
    assert_eq!(
        inject_whole(&behind).0,
        behind.replace(library, &format!("[HERE]{library}"))
    );
}

#[test]
fn a_page_in_utf_16_stays_unchanged() {
    for (mark, to_bytes) in [
        (&[0xfe, 0xff], u16::to_be_bytes as fn(u16) -> [u8; 2]),
        (&[0xff, 0xfe], u16::to_le_bytes),
    ] {
        let text: Vec<u8> = "<head></head>".encode_utf16().flat_map(to_bytes).collect();
        let page = [&mark[..], &text].concat();
        for size in [1, 2, 3, page.len()] {
            let injector = Injector::new("https://meet.test", &Map::new());
            let mut html = injector.html(&injector.script.render(PageIdentity::Name(None)));
            let mut out = Vec::new();
            for chunk in page.chunks(size) {
                out.extend_from_slice(&html.push(Bytes::copy_from_slice(chunk)).unwrap());
            }
            let (rest, placement) = html.finish().unwrap();
            out.extend_from_slice(&rest);
            assert_eq!(
                (out, placement),
                (page.clone(), ScriptPlacement::Utf16),
                "{size}"
            );
        }
    }
}

proptest! {
    #[test]
    fn chunk_boundaries_make_no_difference(
        document in prop_oneof![Just(JITSI.to_owned()), pieces()],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(document.len() + 1)).collect();
        cuts.extend([0, document.len()]);
        cuts.sort_unstable();
        let bytes = document.as_bytes();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let whole = inject(&[bytes]).unwrap();
        prop_assert_eq!(&whole.0.replace("[HERE]", ""), &document);
        prop_assert_eq!(inject(&chunks).unwrap(), whole);
    }
}

/// Random sequences of relevant fragments.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<head>",
        "</head>",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<script src='lib-jitsi-meet'>",
        "<p title=\"",
        "\">",
        "é<b",
        ">",
        "&amp;",
        "</",
        "<title>",
        "</title>",
        "<meta http-equiv=content-security-policy content='img-src a'>",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Structure of Jitsi's page after SSI.
const JITSI: &str = r#"<!DOCTYPE html>
<html><head><meta charset="utf-8"><base href="/" />
<link rel="preload" href="libs/lib-jitsi-meet.min.js?v=1" as="script">
<script>var config = {hosts: {domain: 'meet.jitsi'}}; // é </script>
<script>var interfaceConfig = {};</script>
<script src="libs/lib-jitsi-meet.min.js?v=1"></script>
<script src="libs/app.bundle.min.js?v=1"></script>
<title>Jitsi Meet</title></head>
<body><noscript aria-hidden="true"><p>JavaScript</p></noscript><div id="react"></div></body></html>
"#;
