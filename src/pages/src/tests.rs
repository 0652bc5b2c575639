mod hostile;

use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::json;
use url::Url;

use super::*;
use model::{clock::Timestamp, policy::Refusal, room::RoomKey, session::ReturnTo};

const PROVIDER: &str = "https://sso.test/auth?client_id=x&state=a%27b&q='%22>";
const EVENTS: &str = "/_gateway/events?room=acme/board%20meeting";

fn pages() -> Pages {
    Pages::new(Brand::of_name("Meet <Example>"), Languages::default())
}

fn asked(request_id: &str) -> Asked<'_> {
    Asked {
        accept_language: None,
        request_id,
    }
}

fn render(content: &Content<'_>) -> Page {
    pages().render(content, &asked("01JD-7F3A"))
}

fn text(page: &Page) -> &str {
    std::str::from_utf8(&page.body).unwrap()
}

fn policy(page: &Page) -> &str {
    page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap()
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_page(Some("acme"), name).unwrap().key
}

fn refused<'c>(room: &'c RoomKey, person: Option<&'c str>, denial: Denial) -> Content<'c> {
    Content::Refused {
        room,
        person,
        denial,
        sign_in: Some("/_gateway/login?return_to=/acme/x&switch=1"),
    }
}

fn start(name: &str, problem: Option<NameProblem>) -> Content<'_> {
    Content::Start {
        person: Some(name),
        sign_in: Some("/_gateway/login"),
        may_create: true,
        joining: false,
        name: Some(name),
        problem,
    }
}

fn guest(name: &str, problem: Option<NameProblem>) -> GuestForm<'_> {
    GuestForm {
        action: "/_gateway/join",
        invite: Some(name),
        name: Some(name),
        problem,
        host: false,
    }
}

fn meeting<'c>(room: &'c RoomKey, url: &'c str) -> Content<'c> {
    let link = Link {
        url,
        expires: Timestamp::from_unix(1_795_255_200),
        uses: Some(3),
    };
    Content::Meeting {
        room,
        room_url: url,
        host_link: link,
        guest_link: Some(Link { uses: None, ..link }),
        calendar: Calendar {
            start: link.expires,
            minutes: 45,
            google: "https://calendar.google.com/calendar/render?action=TEMPLATE",
            outlook: "https://outlook.office.com/calendar/deeplink/compose?rru=addevent",
        },
    }
}

/// Every kind of page, by a name for it.
fn every_page(check: impl Fn(&str, &Content<'_>, &Page)) {
    let provider = Url::parse(PROVIDER).unwrap();
    let return_to = ReturnTo::parse("/acme/Board%20Meeting?lang=de");
    let room = &room("Board%20Meeting");
    let script = Url::parse("https://8x8.vc/vpaas-magic-cookie-1/external_api.js").unwrap();
    let options = json!({"roomName": "x"});
    let contents = [
        ("start", start("Ada", None)),
        ("meeting", meeting(room, "https://meet.test/acme/x")),
        (
            "join",
            Content::Join {
                room,
                sign_in: Some("/_gateway/login"),
                guest: Some(guest("Ada", None)),
            },
        ),
        (
            "wait",
            Content::Wait {
                room,
                person: Some("Ada"),
                awaited: Some("Grace"),
                sign_in: Some("/_gateway/login"),
                events: EVENTS,
            },
        ),
        (
            "continue",
            Content::Continue {
                provider: &provider,
                return_to: &return_to,
            },
        ),
        (
            "open_app",
            Content::OpenApp {
                room,
                link: "org.jitsi.meet://meet.test/x",
                browser: "/acme/x",
            },
        ),
        (
            "call",
            Content::Call {
                room,
                script: &script,
                options: &options,
                events: EVENTS,
            },
        ),
        ("signed_out", Content::SignedOut),
        (
            "refused",
            refused(room, Some("Ada"), Refusal::NotAllowed { rule: 3 }.into()),
        ),
        (
            "not_yet",
            refused(
                room,
                None,
                Denial::NotYet {
                    opens: Timestamp::from_unix(1_795_255_200),
                },
            ),
        ),
        (
            "link_refused",
            Content::LinkRefused {
                room,
                problem: LinkProblem::Expired,
            },
        ),
        (
            "embed_refused",
            Content::EmbedRefused {
                room,
                reason: "the room is *",
            },
        ),
        (
            "failed",
            Content::SignInFailed {
                failure: SignInFailure::TooLarge,
                again: "/x",
            },
        ),
        (
            "unavailable",
            Content::Unavailable {
                part: Part::Jitsi,
                again: "/x",
            },
        ),
        ("not_found", Content::NotFound),
        (
            "bad_request",
            Content::BadRequest {
                reason: Some("the room name is too long"),
            },
        ),
        (
            "popup",
            Content::Popup {
                outcome: PopupOutcome::Success { access_token: "a" },
            },
        ),
        ("logout_frame", Content::LogoutFrame),
    ];
    for (name, content) in contents {
        check(name, &content, &render(&content));
    }
}

#[test]
fn every_page_is_whole_and_allows_what_it_has() {
    every_page(|name, content, page| {
        let html = text(page);
        for once in [
            "<!doctype html>",
            "<html lang=\"en\" dir=\"ltr\">",
            "<h1",
            "<main",
            "</html>",
        ] {
            assert_eq!(html.matches(once).count(), 1, "{name}: {once}");
        }
        assert!(
            !html.contains("<h1></h1>") && !html.contains("<p></p>"),
            "{name}"
        );
        assert!(html.contains("Meet &#60;Example&#62;"), "{name}");
        let (before, style, after) = element(html, "<style>", "</style>").unwrap();
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
        for running in [
            "<script",
            " src=",
            "<link",
            " style=",
            "<iframe",
            "javascript:",
        ] {
            assert!(!markup.contains(running), "{name}: {running}");
        }
        let handler = markup.split(" on").skip(1).any(|rest| {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            rest.starts_with('=')
        });
        assert!(!handler, "{name}");
        let policy = policy(page);
        let style = csp_hash(style.as_bytes());
        assert!(policy.starts_with(&format!("default-src 'none'; style-src {style}; ")));
        assert_eq!(script.is_some(), content.script().is_some(), "{name}");
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
        assert_eq!(page.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(page.headers[CACHE_CONTROL], "no-store");
        assert_eq!(page.headers[CONTENT_LANGUAGE], "en");
        let posts = html.contains("method=\"post\"");
        let referrer = if posts {
            "strict-origin"
        } else {
            "no-referrer"
        };
        assert_eq!(page.headers[REFERRER_POLICY], referrer, "{name}");
        let unavailable = page.status == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(page.headers.contains_key(RETRY_AFTER), unavailable);
        let named = html.contains("01JD-7F3A");
        assert_eq!(named, !page.status.is_success(), "{name}");
    });
}

/// What is before, in and after the only element.
fn element<'h>(html: &'h str, open: &str, close: &str) -> Option<(&'h str, &'h str, &'h str)> {
    let (before, rest) = html.split_once(open)?;
    let (inside, after) = rest.split_once(close).unwrap();
    Some((before, inside, after))
}

#[test]
fn the_way_to_the_provider_works_with_and_without_a_script() {
    every_page(|name, _, page| {
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
            format!("href=\"{provider}\">Continue to sign in</a>"),
        ] {
            assert!(html.contains(&way), "{way}\n{html}");
        }
    });
}

#[test]
fn a_refusal_says_who_what_and_why() {
    let room = room("Board%20Meeting");
    let content = refused(&room, Some("Ada"), Refusal::NotAllowed { rule: 3 }.into());
    let page = render(&content);
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    for fact in [
        "<dt>Room</dt><dd><bdi>acme/board meeting</bdi></dd>",
        "<dt>Signed in as</dt><dd><bdi>Ada</bdi></dd>",
        "<dt>Rule</dt><dd><bdi>3</bdi></dd>",
        "<dt>Request id</dt><dd><bdi>01JD-7F3A</bdi></dd>",
        "<p>Your account is not among those that may enter.</p>",
        "href=\"/_gateway/login?return_to=/acme/x&#38;switch=1\">Sign in as somebody else</a>",
    ] {
        assert!(text(&page).contains(fact), "{fact}\n{}", text(&page));
    }
    let nobody = render(&refused(&room, None, Refusal::NoRule.into()));
    assert!(!text(&nobody).contains("Signed in as") && text(&nobody).contains(">Sign in</a>"));
    let opens = Timestamp::from_unix(1_795_255_200);
    let early = render(&refused(&room, None, Denial::NotYet { opens }));
    let time = "<time datetime=\"2026-11-21T10:00:00Z\">2026-11-21 10:00 UTC</time>";
    assert!(text(&early).contains(time) && text(&early).contains("href=\"/acme/board%20meeting\""));
}

#[test]
fn every_reason_has_its_own_words() {
    let room = room("x");
    let denials = [
        Refusal::NoRule.into(),
        Refusal::Closed { rule: 1 }.into(),
        Refusal::NotAllowed { rule: 1 }.into(),
        Denial::NotYet {
            opens: Timestamp::from_unix(0),
        },
        Denial::Over,
        Denial::Full,
        Denial::NoGuests,
        Denial::HostStarts,
    ];
    let denials = denials.map(|denial| refused(&room, None, denial));
    let problems = [
        LinkProblem::Unreadable,
        LinkProblem::Expired,
        LinkProblem::UsedUp,
        LinkProblem::Revoked,
        LinkProblem::OtherRoom,
    ];
    let problems = problems.map(|problem| Content::LinkRefused {
        room: &room,
        problem,
    });
    let names = [
        NameProblem::Empty,
        NameProblem::TooLong,
        NameProblem::Reserved,
        NameProblem::Characters,
        NameProblem::Taken,
    ];
    let names = names.map(|problem| start("x", Some(problem)));
    let mut seen = std::collections::HashSet::new();
    for content in denials.iter().chain(&problems).chain(&names) {
        assert!(seen.insert(render(content).body), "{content:?}");
    }
}

#[test]
fn what_is_wrong_with_a_name_stands_at_its_field() {
    let problem = Some(NameProblem::Taken);
    let form = Content::Join {
        room: &room("x"),
        sign_in: None,
        guest: Some(guest("Bob \"x", problem)),
    };
    for content in [start("Bob \"x", problem), form] {
        let page = render(&content);
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        for part in [
            "<p class=\"wrong\" id=\"name-problem\">This name is taken. Please choose another.</p>",
            " value=\"Bob &#34;x\" aria-invalid=\"true\"",
            "aria-describedby=\"name-problem",
        ] {
            assert!(text(&page).contains(part), "{part}\n{}", text(&page));
        }
    }
}

#[test]
fn a_meeting_tells_how_long_its_links_live() {
    let page = render(&meeting(&room("x"), "https://meet.test/x?a&b"));
    let html = text(&page);
    assert_eq!(html.matches(">2026-11-21 10:00 UTC</time>").count(), 2);
    assert_eq!(
        html.matches("<dt>People who can use it</dt><dd>3</dd>")
            .count(),
        1
    );
    assert!(html.contains("value=\"2026-11-21T10:00\"") && html.contains("value=\"acme/x\""));
    assert_eq!(
        html.matches("value=\"https://meet.test/x?a&#38;b\"")
            .count(),
        3
    );
}

#[test]
fn people_read_their_own_language() {
    let hebrew = "language = 'he'\ndirection = 'rtl'\n[not_found]\ntitle = 'אין כאן כלום'";
    let languages = Languages::new(vec![Texts::read(hebrew).unwrap()], &[]).unwrap();
    let pages = Pages::new(Brand::of_name("Meet"), languages);
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

#[test]
fn a_brand_is_on_every_page() {
    let brand = Brand {
        logo: Some(Logo::of(b"<svg/>").unwrap()),
        accent: Some("#7a1f5c".parse().unwrap()),
        links: vec![BrandLink {
            label: "Imprint & more".to_owned(),
            url: Url::parse("https://example.org/imprint?a&b").unwrap(),
        }],
        ..Brand::of_name("Example")
    };
    let page = Pages::new(brand, Languages::default()).render(&Content::NotFound, &asked("x"));
    for part in [
        "<img src=\"data:image/svg+xml;base64,",
        "<bdi>Example</bdi>",
        "--accent: #7a1f5c;",
        "<a href=\"https://example.org/imprint?a&#38;b\"><bdi>Imprint &#38; more</bdi></a>",
    ] {
        assert!(text(&page).contains(part), "{part}\n{}", text(&page));
    }
    assert!(policy(&page).contains("; img-src data:; "));
    let (_, style, _) = element(text(&page), "<style>", "</style>").unwrap();
    assert!(policy(&page).contains(&csp_hash(style.as_bytes())));
}

#[test]
fn only_named_sites_show_a_page_in_a_frame() {
    let page = render(&Content::NotFound).framed_by("https://odoo.test https://moodle.test");
    let ancestors = "; frame-ancestors 'self' https://odoo.test https://moodle.test; base-uri";
    assert!(policy(&page).contains(ancestors), "{}", policy(&page));
}
