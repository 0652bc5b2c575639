use proptest::prelude::*;
use serde_json::Map;

use super::{super::Completion, *};

fn complete(chunks: &[&[u8]]) -> Result<(String, Placement), CompletionError> {
    let completion = Completion::new("https://meet.test", &Map::new());
    let script = completion.script(crate::inject::Person::Token("token"));
    let mut completer = completion.html(&script);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&completer.push(Bytes::copy_from_slice(chunk))?);
    }
    let (rest, placement) = completer.finish()?;
    out.extend_from_slice(&rest);
    let element = String::from_utf8(script.element().to_vec()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.matches(&element).count() <= 1);
    Ok((text.replace(&element, "[HERE]"), placement))
}

fn placed(document: &str) -> (String, Placement) {
    complete(&[document.as_bytes()]).unwrap()
}

#[test]
fn the_script_stands_before_the_library() {
    let (text, placement) = placed(JITSI);
    assert_eq!(placement, Placement::BeforeLibrary);
    assert_eq!(
        text,
        JITSI.replacen("<script src=\"libs/lib", "[HERE]<script src=\"libs/lib", 1)
    );
}

#[test]
fn without_a_library_it_ends_the_head() {
    let (text, placement) = placed("<html><head><title>x</title></head><body></body></html>");
    assert_eq!(placement, Placement::BeforeHeadEnd);
    assert_eq!(
        text,
        "<html><head><title>x</title>[HERE]</head><body></body></html>"
    );
}

#[test]
fn without_a_head_it_ends_the_document() {
    for document in [
        "<p>x",
        "text",
        "<!doctype html><html><body></body></html>\n",
    ] {
        let expected = format!("{document}[HERE]");
        assert_eq!(placed(document), (expected, Placement::AtEnd));
    }
}

#[test]
fn a_library_without_a_head_tag_is_found() {
    let (text, placement) = placed("<script src=/x/lib-jitsi-meet.js></script><p>");
    assert_eq!(text, "[HERE]<script src=/x/lib-jitsi-meet.js></script><p>");
    assert_eq!(placement, Placement::BeforeLibrary);
}

#[test]
fn what_only_looks_like_a_library_is_passed_over() {
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
        let (text, placement) = placed(&format!("<head>{wrong}{library}</head>"));
        assert_eq!(text, format!("<head>{wrong}[HERE]{library}</head>"));
        assert_eq!(placement, Placement::BeforeLibrary);
        let (text, placement) = placed(&format!("<head>{wrong}</head>{library}"));
        assert_eq!(text, format!("<head>{wrong}[HERE]</head>{library}"));
        assert_eq!(placement, Placement::BeforeHeadEnd);
    }
}

#[test]
fn a_document_that_ends_inside_of_something_is_left_alone() {
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
            placed(document),
            (document.to_owned(), Placement::Nowhere),
            "{document:?}"
        );
    }
}

#[test]
fn a_tag_without_end_is_no_reason_to_grow() {
    let tag = format!("<script src=\"{}", "x".repeat(2 * MAX_MEMORY));
    let (text, placement) = placed(&tag);
    assert_eq!((text.len(), placement), (tag.len(), Placement::Nowhere));
    let halves = tag.as_bytes().split_at(MAX_MEMORY);
    let first: &[u8] = b"<p>";
    assert!(complete(&[first, halves.0, halves.1]).is_err());
}

#[test]
fn what_comes_after_the_place_is_not_read() {
    // A tag that would be ambiguous, and one that would be too long.
    let behind = format!(
        "<select><xmp><script></xmp></select><p title=\"{}\">",
        "x".repeat(2 * MAX_MEMORY)
    );
    let (text, _) = placed(&format!("<head></head>{behind}"));
    assert_eq!(text, format!("<head>[HERE]</head>{behind}"));
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        document in prop_oneof![Just(JITSI.to_owned()), pieces()],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(document.len() + 1)).collect();
        cuts.extend([0, document.len()]);
        cuts.sort_unstable();
        let bytes = document.as_bytes();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let whole = complete(&[bytes]).unwrap();
        prop_assert_eq!(&whole.0.replace("[HERE]", ""), &document);
        prop_assert_eq!(complete(&chunks).unwrap(), whole);
    }
}

/// Documents of fragments that matter, in any order.
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
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The shape of Jitsi's page once its web server has filled it in.
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
