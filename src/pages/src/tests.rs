//! Fixtures of the page tests, and checks of every page.

mod branding;
mod forms;
mod hostile;
mod languages;
mod policy;
mod refusals;
mod ways_out;

use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use model::{clock::Timestamp, policy::Refusal, room::RoomKey, session::ReturnTo};
use serde_json::json;
use url::Url;

use super::*;

fn pages() -> Pages {
    Pages::new(Brand::from_name("Meet <Example>"), Languages::default())
}

fn request(request_id: &str) -> PageRequest<'_> {
    PageRequest {
        accept_language: None,
        request_id,
    }
}

fn render(content: &Content<'_>) -> RenderedPage {
    pages().render(content, &request("01JD-7F3A"))
}

fn text(page: &RenderedPage) -> &str {
    std::str::from_utf8(&page.body).unwrap()
}

fn policy(page: &RenderedPage) -> &str {
    page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap()
}

fn room(name: &str) -> RoomKey {
    RoomKey::from_page(Some("acme"), name).unwrap().key
}

fn refused<'c>(room: &'c RoomKey, person: Option<&'c str>, denial: RefusalCause) -> Content<'c> {
    Content::Refused {
        room,
        person: person.map(member),
        denial,
        again: "/acme/Board%20Meeting",
        sign_in: Some("/_gateway/login?return_to=/acme/x&switch=1"),
    }
}

fn member(name: &str) -> PagePerson<'_> {
    PagePerson {
        name,
        is_member: true,
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
        page: Some("/Board%20Meeting"),
        action: "/_gateway/join",
        invite: Some(name),
        name: Some(name),
        problem,
        host: false,
        remember: Some(true),
    }
}

fn meeting<'c>(room: &'c RoomKey, url: &'c str) -> Content<'c> {
    let link = PageLink {
        url,
        expires: Timestamp::from_unix(1_795_255_200),
        uses: Some(3),
    };
    Content::Meeting {
        room,
        person: Some("Ada"),
        sign_in: Some("/_gateway/login?switch=1"),
        room_url: url,
        admits_guests: false,
        host_link: link,
        guest_link: Some(PageLink { uses: None, ..link }),
        calendar: CalendarForm {
            start: link.expires,
            minutes: 45,
            google: "https://calendar.google.com/calendar/render?action=TEMPLATE",
            outlook: "https://outlook.office.com/calendar/deeplink/compose?rru=addevent",
        },
    }
}

/// Runs the check on a page of each kind, with the name of the kind.
/// Two providers, of which the first was the last.
fn provider_links(name: &str) -> [ProviderLink<'_>; 2] {
    let link = |path, is_last| ProviderLink {
        name,
        path,
        is_last,
    };
    [
        link("/_gateway/login?return_to=%2Fx&provider=school", true),
        link("/_gateway/login?return_to=%2Fx&provider=firm", false),
    ]
}

fn email_form(unknown: Option<&str>) -> EmailForm<'_> {
    EmailForm {
        action: "/_gateway/login",
        field: "email",
        hidden: &[],
        unknown,
    }
}

fn every_page(check: impl Fn(&str, &Content<'_>, &RenderedPage)) {
    let provider = Url::parse(PROVIDER).unwrap();
    let return_to = ReturnTo::parse("/acme/Board%20Meeting?lang=de");
    let room = &room("Board%20Meeting");
    let script = Url::parse("https://8x8.vc/vpaas-magic-cookie-1/external_api.js").unwrap();
    let options = json!({"roomName": "x"});
    let providers = provider_links("Example School");
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
                person: Some(PagePerson {
                    name: "Ada",
                    is_member: false,
                }),
                awaited: Some("Grace"),
                sign_in: Some("/_gateway/login"),
                events: EVENTS,
            },
        ),
        (
            "choice",
            Content::ChooseProvider {
                providers: &providers,
                email: Some(email_form(None)),
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
                again: "/acme/Board%20Meeting",
            },
        ),
        (
            "signed_out",
            Content::SignedOut {
                sign_in: Some("/_gateway/login"),
                return_to: None,
            },
        ),
        (
            "guest_left",
            Content::GuestLeft {
                return_to: Some("/acme/Board%20Meeting"),
            },
        ),
        (
            "sign_out_not_kept",
            Content::SignOutNotKept {
                provider: Some("https://sso.example.org/logout"),
            },
        ),
        (
            "refused",
            refused(room, Some("Ada"), Refusal::NotAllowed { rule: 3 }.into()),
        ),
        (
            "not_yet",
            refused(
                room,
                None,
                RefusalCause::NotYet {
                    opens: Timestamp::from_unix(1_795_255_200),
                },
            ),
        ),
        (
            "step_up",
            Content::StepUp {
                room,
                person: Some("Ada"),
                required: "acr gold",
                sign_in: "/_gateway/login?return_to=/acme/x&switch=1",
            },
        ),
        (
            "link_refused",
            Content::LinkRefused {
                room,
                problem: LinkProblem::Expired,
                page: "/acme/Board%20Meeting",
            },
        ),
        (
            "embed_refused",
            Content::EmbedRefused {
                room,
                problem: EmbedProblem::SeveralRooms,
                reference: "room_pattern (room)",
                page: "/acme/Board%20Meeting",
            },
        ),
        (
            "failed",
            Content::SignInFailed {
                failure: SignInProblem::TooLarge,
                reference: "session_too_large",
                again: "/x",
            },
        ),
        (
            "unavailable",
            Content::Unavailable {
                component: Component::Jitsi,
                again: "/x",
            },
        ),
        ("not_found", Content::NotFound),
        (
            "bad_request",
            Content::BadRequest {
                problem: RequestProblem::Name(NameProblem::TooLong),
                reference: "room_too_long",
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
fn every_page_is_one_document_with_a_heading() {
    every_page(|name, _, page| {
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
    });
}

#[test]
fn every_page_has_its_header_fields() {
    every_page(|name, _, page| {
        assert_eq!(page.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(page.headers[CACHE_CONTROL], "no-store");
        assert_eq!(page.headers[CONTENT_LANGUAGE], "en");
        let referrer = if text(page).contains("method=\"post\"") {
            "strict-origin"
        } else {
            "no-referrer"
        };
        assert_eq!(page.headers[REFERRER_POLICY], referrer, "{name}");
        let unavailable = page.status == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(page.headers.contains_key(RETRY_AFTER), unavailable);
    });
}

#[test]
fn error_pages_show_the_request_id() {
    every_page(|name, _, page| {
        let shown = text(page).contains("01JD-7F3A");
        assert_eq!(shown, !page.status.is_success(), "{name}");
    });
}

#[test]
fn a_page_becomes_a_response() {
    let response = pages()
        .render(&Content::NotFound, &request("x"))
        .into_response();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
}

/// The text before, in and after the only element of this name.
fn element<'h>(html: &'h str, open: &str, close: &str) -> Option<(&'h str, &'h str, &'h str)> {
    let (before, rest) = html.split_once(open)?;
    let (inside, after) = rest.split_once(close).unwrap();
    Some((before, inside, after))
}

const PROVIDER: &str = "https://sso.test/auth?client_id=x&state=a%27b&q='%22>";
const EVENTS: &str = "/_gateway/events?room=acme/board%20meeting";
