//! Content security policies, and that the pages need no more than they allow.

use super::*;

#[test]
fn every_page_has_no_style_script_or_resource_beyond_its_policy() {
    every_page(|name, content, page| {
        let (before, style, after) = element(text(page), "<style>", "</style>").unwrap();
        let markup = before.to_owned() + after;
        let (script, markup) = match element(&markup, "<script", "</script>") {
            Some((before, script, after)) => {
                let (_, script) = script.split_once('>').unwrap();
                (
                    Some(csp_hash(script.as_bytes())),
                    format!("{before}{after}"),
                )
            }
            None => (None, markup),
        };
        assert_eq!(script.is_some(), content.script().is_some(), "{name}");
        assert_inert(name, &markup);

        let policy = policy(page);
        let style = csp_hash(style.as_bytes());
        assert!(policy.starts_with(&format!("default-src 'none'; style-src {style}; ")));
        let script = script.unwrap_or("'none'".to_owned());
        let more = if name == "call" {
            " https://8x8.vc"
        } else {
            ""
        };
        assert!(
            policy.contains(&format!("script-src {script}{more};")),
            "{name}: {policy}"
        );
    });
}

#[test]
fn policies_allow_connections_and_frames_only_where_needed() {
    every_page(|name, _, page| {
        let policy = policy(page);
        let connects = matches!(name, "wait" | "call");
        assert_eq!(policy.contains("connect-src 'self';"), connects, "{name}");
        assert_eq!(policy.contains("frame-src https://8x8.vc;"), name == "call");
        assert!(!policy.contains("img-src"));
        let ancestors = if name == "logout_frame" {
            "'self'"
        } else {
            "'none'"
        };
        let end = format!("form-action 'self'; frame-ancestors {ancestors}; base-uri 'none'");
        assert!(policy.ends_with(&end), "{name}: {policy}");
    });
}

#[test]
fn only_named_sites_may_show_a_page_in_a_frame() {
    let page =
        render(&Content::NotFound).with_frame_ancestors("https://odoo.test https://moodle.test");
    let ancestors = "; frame-ancestors 'self' https://odoo.test https://moodle.test; base-uri";
    assert!(policy(&page).contains(ancestors), "{}", policy(&page));
}

/// HTTP/2 and HTTP/3 forbid a blank at either end of a field value (RFC 9113 § 8.2.1).
#[test]
fn no_header_of_a_page_begins_or_ends_with_a_blank() {
    every_page(|name, content, page| {
        let framed = [
            "",
            "https://odoo.test",
            "https://odoo.test https://moodle.test",
        ]
        .map(|sites| render(content).with_frame_ancestors(sites));
        for (field, value) in framed.iter().chain([page]).flat_map(|page| &page.headers) {
            let value = value.as_bytes();
            assert_eq!(value, value.trim_ascii(), "{name}: {field}");
        }
    });
}

#[test]
fn without_sites_only_the_own_origin_may_show_a_page_in_a_frame() {
    let page = render(&Content::NotFound).with_frame_ancestors("");
    let ancestors = "; frame-ancestors 'self'; base-uri 'none'";
    assert!(policy(&page).ends_with(ancestors), "{}", policy(&page));
}

/// Markup that runs or loads nothing: the one link names the end of the page, which browsers wait for before they paint.
fn assert_inert(name: &str, markup: &str) {
    let end = r##"<link rel="expect" href="#end" blocking="render">"##;
    assert_eq!(markup.matches(end).count(), 1, "{name}");
    assert_eq!(markup.matches(r#" id="end""#).count(), 1, "{name}");
    let markup = markup.replace(end, "");
    for active in [
        "<script",
        " src=",
        "<link",
        " style=",
        "<iframe",
        "javascript:",
    ] {
        assert!(!markup.contains(active), "{name}: {active}");
    }
    let has_handler = markup.split(" on").skip(1).any(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        rest.starts_with('=')
    });
    assert!(!has_handler, "{name}");
}
