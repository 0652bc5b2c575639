use std::path::Path;

use url::Url;

use super::*;
use crate::{policy::Refusal, room::RoomKey, session::ReturnTo};

const PROVIDER: &str = "https://sso.test/auth?client_id=x&state=a%27b&q='%22>";

fn pages() -> Pages {
    Pages::new("Meet <Example>", Languages::default())
}

fn asked(request_id: &str) -> Asked<'_> {
    Asked {
        accept_language: None,
        request_id,
    }
}

fn text(page: &Page) -> &str {
    std::str::from_utf8(&page.body).unwrap()
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_page(Some("acme"), name).unwrap().key
}

fn refused<'c>(room: &'c RoomKey, person: Option<&'c str>, refusal: Refusal) -> Content<'c> {
    Content::Refused {
        room,
        person,
        denial: refusal.into(),
        sign_in: "/_gateway/login?return_to=/acme/x&switch=1",
    }
}

/// Every kind of page, by a name for it.
fn every_page(check: impl Fn(&str, &Page)) {
    let provider = Url::parse(PROVIDER).unwrap();
    let return_to = ReturnTo::parse("/acme/Board%20Meeting?lang=de");
    let room = room("Board%20Meeting");
    let failures = [
        SignInFailure::Unknown,
        SignInFailure::Expired,
        SignInFailure::Declined,
        SignInFailure::Provider,
        SignInFailure::TooLarge,
    ];
    let mut contents = vec![
        (
            "continue".to_owned(),
            Content::Continue {
                provider: &provider,
                return_to: &return_to,
            },
        ),
        ("signed_out".to_owned(), Content::SignedOut),
        ("not_found".to_owned(), Content::NotFound),
        (
            "bad_request".to_owned(),
            Content::BadRequest {
                reason: Some("the room name is too long"),
            },
        ),
        (
            "refused".to_owned(),
            refused(
                &room,
                Some("Ada Lovelace (ada@example.org)"),
                Refusal::NotAllowed { rule: 3 },
            ),
        ),
        (
            "refused_closed".to_owned(),
            refused(&room, None, Refusal::Closed { rule: 1 }),
        ),
        (
            "refused_no_rule".to_owned(),
            refused(&room, None, Refusal::NoRule),
        ),
    ];
    for failure in failures {
        let again = "/_gateway/login?return_to=/x";
        let content = Content::SignInFailed { failure, again };
        contents.push((format!("failed_{failure:?}").to_lowercase(), content));
    }
    for part in [Part::Provider, Part::Jitsi, Part::Gateway] {
        let content = Content::Unavailable { part, again: "/x" };
        contents.push((format!("unavailable_{part:?}").to_lowercase(), content));
    }
    for (name, content) in contents {
        check(&name, &pages().render(&content, &asked("01JD-7F3A")));
    }
}

#[test]
fn every_page_is_whole_and_allows_what_it_has() {
    every_page(|name, page| {
        let html = text(page);
        for once in [
            "<!doctype html>",
            "<html lang=\"en\" dir=\"ltr\">",
            "<h1>",
            "</html>",
        ] {
            assert_eq!(html.matches(once).count(), 1, "{name}: {once}");
        }
        assert!(
            !html.contains("<h1></h1>") && !html.contains("<p></p>"),
            "{name}"
        );
        assert!(html.contains("Meet &#60;Example&#62;"), "{name}");
        let (head, rest) = html.split_once("<style>").unwrap();
        let markup = head.to_owned() + rest.split_once("</style>").unwrap().1;
        for loading in [" src=", "<link", " style=", " onload=", "<form", "<iframe"] {
            assert!(!markup.contains(loading), "{name}: {loading}");
        }
        let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let between = |open: &str, close: &str| {
            let rest = &html[html.find(open)? + open.len()..];
            let rest = rest.strip_prefix('>').unwrap_or(rest);
            Some(csp_hash(&rest.as_bytes()[..rest.find(close)?]))
        };
        let style = between("<style", "</style>").unwrap();
        assert!(policy.starts_with("default-src 'none'; "));
        assert!(policy.contains(&format!("style-src {style};")), "{name}");
        let has_script = html.contains("<script");
        assert_eq!(has_script, name == "continue");
        assert_eq!(policy.contains("script-src 'none';"), !has_script);
        assert!(policy.ends_with("form-action 'self'; frame-ancestors 'none'; base-uri 'none'"));
        assert_eq!(page.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(page.headers[REFERRER_POLICY], "no-referrer");
        assert_eq!(page.headers[CACHE_CONTROL], "no-store");
        assert_eq!(page.headers[CONTENT_LANGUAGE], "en");
        assert_eq!(
            page.headers.contains_key(RETRY_AFTER),
            page.status == StatusCode::SERVICE_UNAVAILABLE
        );
        let named = html.contains("01JD-7F3A");
        assert_eq!(named, !matches!(name, "continue" | "signed_out"), "{name}");
    });
}

#[test]
fn the_way_to_the_provider_works_with_and_without_a_script() {
    every_page(|name, page| {
        if name != "continue" {
            return;
        }
        let html = text(page);
        let provider = "https://sso.test/auth?client_id=x&#38;state=a%27b&#38;q=%27%22%3E";
        for way in [
            format!(
                "<script data-provider=\"{provider}\" data-path=\"/acme/Board%20Meeting?lang=de\">"
            ),
            format!(
                "<noscript><meta http-equiv=\"refresh\" content=\"0; url={provider}\"></noscript>"
            ),
            format!("<a href=\"{provider}\">Continue to sign in</a>"),
        ] {
            assert!(html.contains(&way), "{way}\n{html}");
        }
        let script = html.split("?lang=de\">").nth(1).unwrap();
        let script = script.split("</script>").next().unwrap();
        let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains(&format!("script-src {};", csp_hash(script.as_bytes()))));
        // `tests/page/continue.test.mjs` runs it as it is.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages/continue.js");
        assert_eq!(script, std::fs::read_to_string(source).unwrap());
    });
}

#[test]
fn a_refusal_says_who_what_and_why() {
    let room = room("Board%20Meeting");
    let content = refused(&room, Some("Ada"), Refusal::NotAllowed { rule: 3 });
    let page = pages().render(&content, &asked("id-1"));
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    for fact in [
        "<dt>Room</dt><dd><bdi>acme/board meeting</bdi></dd>",
        "<dt>Signed in as</dt><dd><bdi>Ada</bdi></dd>",
        "<dt>Rule</dt><dd><bdi>3</bdi></dd>",
        "<dt>Request id</dt><dd><bdi>id-1</bdi></dd>",
        "<p>Your account is not among those that may enter.</p>",
        "<a href=\"/_gateway/login?return_to=/acme/x&#38;switch=1\">Sign in as somebody else</a>",
    ] {
        assert!(text(&page).contains(fact), "{fact}\n{}", text(&page));
    }
    let nobody = pages().render(&refused(&room, None, Refusal::NoRule), &asked("id-1"));
    assert!(!text(&nobody).contains("Signed in as") && text(&nobody).contains(">Sign in</a>"));
}

#[test]
fn hostile_texts_are_shown_and_nothing_else() {
    let hostile = "</bdi></style></script><script>alert(1)</script><img src=x onerror=a>\"' \u{202e}&lt;{{7*7}}";
    let escaped = "&#60;/bdi&#62;&#60;/style&#62;&#60;/script&#62;&#60;script&#62;alert(1)\
                   &#60;/script&#62;&#60;img src=x onerror=a&#62;&#34;&#39; \u{202e}&#38;lt;{{7*7}}";
    // Rooms cannot have angle brackets or quotes, but an ampersand and what is left of a tag.
    let room = room("%26lt;b%26%2522");
    let refused = pages().render(
        &refused(&room, Some(hostile), Refusal::NoRule),
        &asked(hostile),
    );
    let bad = Content::BadRequest {
        reason: Some(hostile),
    };
    let bad = pages().render(&bad, &asked(hostile));
    let named = Pages::new(hostile, Languages::default()).render(&Content::NotFound, &asked("x"));
    for page in [&refused, &bad, &named] {
        assert_eq!(text(page).matches(escaped).count(), 2);
        assert!(!text(page).contains("<script") && !text(page).contains("<img"));
    }
}

#[test]
fn links_lead_nowhere_else() {
    for again in [
        "//evil.test",
        "/\\evil.test",
        "https://evil.test",
        "javascript:alert(1)",
        "",
        "/\t/evil.test",
        "\n//evil.test",
    ] {
        let failure = SignInFailure::Expired;
        let content = Content::SignInFailed { failure, again };
        let page = pages().render(&content, &asked("x"));
        assert!(
            text(&page).contains("<a href=\"/\">Try again</a>"),
            "{again:?}"
        );
    }
}

#[test]
fn a_provider_whose_address_would_run_is_not_opened() {
    let return_to = ReturnTo::parse("/x");
    for address in [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
    ] {
        let provider = Url::parse(address).unwrap();
        let content = Content::Continue {
            provider: &provider,
            return_to: &return_to,
        };
        let page = pages().render(&content, &asked("x"));
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!text(&page).contains(address) && !text(&page).contains("<script"));
    }
}

#[test]
fn texts_without_end_are_cut() {
    let long = "é".repeat(100_000);
    let content = Content::BadRequest {
        reason: Some(&long),
    };
    let page = pages().render(&content, &asked(&long));
    assert!(page.body.len() < 10_000);
    assert!(text(&page).contains("é…</bdi>"));
}

#[test]
fn people_read_their_own_language() {
    let hebrew = Texts {
        language: "he".into(),
        direction: Direction::Rtl,
        not_found_title: "אין כאן כלום".into(),
        ..Texts::default()
    };
    let pages = Pages::new("Meet", Languages::new(vec![Texts::default(), hebrew]));
    let accept = HeaderValue::from_static("he-IL, en;q=0.5");
    let asked = Asked {
        accept_language: Some(&accept),
        request_id: "x",
    };
    let page = pages.render(&Content::NotFound, &asked);
    assert!(text(&page).contains("<html lang=\"he\" dir=\"rtl\">"));
    assert!(text(&page).contains("<h1>אין כאן כלום</h1>"));
    assert_eq!(page.headers[CONTENT_LANGUAGE], "he");
}

#[test]
fn a_page_becomes_an_answer() {
    let answer = pages()
        .render(&Content::NotFound, &asked("x"))
        .into_response();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
}

/// `PAGES_TO=/some/directory cargo test --lib pages_to_look_at` writes all pages there.
#[test]
fn pages_to_look_at() {
    if let Some(directory) = std::env::var_os("PAGES_TO") {
        every_page(|name, page| {
            let path = Path::new(&directory).join(format!("{name}.html"));
            std::fs::write(path, &page.body).unwrap();
        });
    }
}
