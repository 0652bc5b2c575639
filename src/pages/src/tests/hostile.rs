//! Hostile texts and URLs.

use super::*;

#[test]
fn hostile_texts_are_escaped() {
    let hostile = "</bdi></style></script><script>alert(1)</script><img src=x onerror=a>\"' \u{202e}&lt;{{7*7}}";
    let escaped = "&#60;/bdi&#62;&#60;/style&#62;&#60;/script&#62;&#60;script&#62;alert(1)\
                   &#60;/script&#62;&#60;img src=x onerror=a&#62;&#34;&#39; \u{202e}&#38;lt;{{7*7}}";
    // Room names cannot contain angle brackets or quotes, but `&` and `%`.
    let room = &room("%26lt;b%26%2522");
    let options = json!({ "userInfo": { "displayName": hostile } });
    let script = Url::parse("https://8x8.vc/</script>").unwrap();
    let named = Pages::new(Brand::from_name(hostile), Languages::default());
    let pages = [
        named.render(&Content::NotFound, &request("x")),
        render(&refused(room, Some(hostile), Refusal::NoRule.into())),
        render(&Content::BadRequest {
            problem: RequestProblem::OtherHost {
                named: hostile,
                own: "meet.test",
            },
            reference: "host_other",
        }),
        render(&Content::EmbedRefused {
            room,
            problem: EmbedProblem::Unreadable,
            reference: hostile,
            page: hostile,
        }),
        render(&start(hostile, None)),
        render(&meeting(room, hostile)),
        render(&Content::Join {
            room,
            sign_in: Some(hostile),
            guest: Some(guest(hostile, None)),
        }),
        render(&Content::Wait {
            room,
            person: Some(member(hostile)),
            awaited: Some(hostile),
            sign_in: None,
            events: hostile,
        }),
        render(&Content::Call {
            room,
            script: &script,
            options: &options,
            events: EVENTS,
            again: hostile,
        }),
        render(&Content::Popup {
            outcome: PopupOutcome::Failure { error: hostile },
        }),
        render(&Content::ChooseProvider {
            providers: &provider_links(hostile),
            email: None,
        }),
        render(&Content::ChooseProvider {
            providers: &[],
            email: Some(EmailForm {
                hidden: &[(hostile.to_owned(), hostile.to_owned())],
                ..email_form(Some(hostile))
            }),
        }),
    ];
    for page in &pages {
        let html = text(page);
        let json = escaped.replace("&#34;", "\\&#34;");
        assert!(html.contains(escaped) || html.contains(&json), "{html}");
        assert!(!html.contains("<img") && !html.contains("<script>alert"));
        assert!(html.matches("<script").count() <= 1);
    }
}

#[test]
fn targets_on_other_sites_are_replaced_by_the_start_page() {
    for again in [
        "//evil.test",
        "/\\evil.test",
        "https://evil.test",
        "javascript:alert(1)",
        "",
        "/\t/evil.test",
        "\n//evil.test",
    ] {
        let failure = SignInProblem::Expired;
        let reference = "expired";
        let content = Content::SignInFailed {
            failure,
            reference,
            again,
        };
        let page = pages().render(&content, &request("x"));
        assert!(
            text(&page).contains("href=\"/\">Try again</a>"),
            "{again:?}"
        );
    }
}

#[test]
fn a_provider_url_with_another_scheme_is_not_opened() {
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
        let page = render(&content);
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!text(&page).contains(address) && !text(&page).contains("<script"));
    }
}

#[test]
fn a_deep_link_with_another_scheme_is_not_opened() {
    let content = Content::OpenApp {
        room: &room("x"),
        link: "javascript:alert(1)",
        browser: "/acme/x",
    };
    let page = render(&content);
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!text(&page).contains("javascript:") && text(&page).contains("href=\"/acme/x\""));
}

#[test]
fn long_texts_are_cut() {
    let long = "é".repeat(100_000);
    let content = Content::BadRequest {
        problem: RequestProblem::Other,
        reference: &long,
    };
    let page = pages().render(&content, &request(&long));
    assert!(page.body.len() < 20_000);
    assert!(text(&page).contains("é…</bdi>"));
}
