//! Ways out of a page: home, and the account.

use super::*;

/// Whether the name of the site is a link to the start page.
fn leads_home(page: &RenderedPage) -> bool {
    let (_, site, _) = element(text(page), "<p class=\"site\">", "</p>").unwrap();
    site.starts_with("<a href=\"/\">")
}

#[test]
fn the_name_of_the_site_leads_to_the_start_page() {
    let room = room("Board%20Meeting");
    let refusal = refused(&room, None, RefusalCause::Full);
    assert!(leads_home(&render(&refusal)));
    assert!(leads_home(&render(&Content::NotFound)));
    assert!(leads_home(&render(&start("Ada", None))));
    // At another host the start page is not that of this site, and popups and frames close.
    let other_host = RequestProblem::OtherHost {
        named: "10.0.0.1",
        own: "meet.test",
    };
    for content in [
        Content::BadRequest {
            problem: other_host,
            reference: "x",
        },
        Content::LogoutFrame,
        Content::Popup {
            outcome: PopupOutcome::Failure { error: "x" },
        },
    ] {
        assert!(!leads_home(&render(&content)), "{content:?}");
    }
}

#[test]
fn a_waiting_member_can_sign_out() {
    let room = room("Board%20Meeting");
    let wait = |member| Content::Wait {
        room: &room,
        person: Some("Ada"),
        awaited: None,
        sign_in: Some("/_gateway/login"),
        member,
        events: "/_gateway/events",
    };
    let (member, guest) = (render(&wait(true)), render(&wait(false)));
    let sign_out = "<a href=\"/_gateway/logout\">Sign out</a>";
    assert!(text(&member).contains(sign_out), "{}", text(&member));
    assert!(text(&member).contains("Signed in as <strong><bdi>Ada</bdi></strong>"));
    assert!(!text(&guest).contains(sign_out), "{}", text(&guest));
}

#[test]
fn a_start_page_without_the_right_to_start_is_about_joining() {
    let start = |may_create, sign_in| Content::Start {
        person: None,
        sign_in,
        may_create,
        joining: false,
        name: None,
        problem: None,
    };
    for (may_create, sign_in, title) in [
        (false, None, "<h1>Join a meeting</h1>"),
        (
            false,
            Some("/_gateway/login"),
            "<h1>Start or join a meeting</h1>",
        ),
        (true, None, "<h1>Start or join a meeting</h1>"),
    ] {
        let page = render(&start(may_create, sign_in));
        assert!(text(&page).contains(title), "{}", text(&page));
    }
}

#[test]
fn a_meeting_that_did_not_load_is_tried_again() {
    let room = room("x");
    let script = Url::parse("https://8x8.vc/external_api.js").unwrap();
    let call = Content::Call {
        room: &room,
        script: &script,
        options: &json!({}),
        events: "/_gateway/events",
        again: "/x",
    };
    let page = render(&call);
    let (_, failed, rest) = element(text(&page), "id=\"failed\"", "</div>").unwrap();
    assert!(failed.contains(">Try again</a>"), "{failed}");
    assert!(rest.contains(">Return to the meeting</a>"), "{rest}");
}
