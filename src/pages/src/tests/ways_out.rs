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

/// The line about the account in the head of a page.
fn account(page: &RenderedPage) -> Option<&str> {
    let (_, line, _) = element(text(page), "<nav class=\"account\"", "</nav>")?;
    Some(line)
}

#[test]
fn members_can_sign_out_and_switch_the_account_before_a_room_and_at_their_meeting() {
    let room = room("Board%20Meeting");
    let sign_in = "/_gateway/login?return_to=/acme/x&switch=1";
    let person = |is_member| {
        Some(PagePerson {
            name: "Ada",
            is_member,
        })
    };
    let wait = |is_member| Content::Wait {
        room: &room,
        person: person(is_member),
        awaited: None,
        sign_in: Some(sign_in),
        events: "/_gateway/events",
    };
    let refusal = |is_member| Content::Refused {
        room: &room,
        person: person(is_member),
        denial: RefusalCause::Full,
        again: "/x",
        sign_in: Some(sign_in),
    };
    let step_up = Content::StepUp {
        room: &room,
        person: Some("Ada"),
        required: "acr gold",
        sign_in,
    };
    let mut meeting = meeting(&room, "https://meet.test/x");
    if let Content::Meeting { sign_in: path, .. } = &mut meeting {
        *path = Some(sign_in);
    }
    for content in [wait(true), refusal(true), step_up, meeting] {
        let page = render(&content);
        let line = account(&page).unwrap_or_else(|| panic!("{content:?}"));
        for part in [
            "Signed in as <strong><bdi>Ada</bdi></strong>",
            "<a href=\"/_gateway/login?return_to=/acme/x&#38;switch=1\">Use another account</a>",
            "<a href=\"/_gateway/logout\">Sign out</a>",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    for content in [wait(false), refusal(false)] {
        let page = render(&content);
        assert_eq!(account(&page), None, "{content:?}");
        assert!(text(&page).contains("<dt>Your name</dt><dd><bdi>Ada</bdi></dd>"));
    }
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
    let site = "<p class=\"site\"><a href=\"/\"><bdi>Meet &#60;Example&#62;</bdi></a></p>";
    assert!(failed.contains(site), "{failed}");
    assert!(rest.contains(">Return to the meeting</a>"), "{rest}");
}

/// The links that look like buttons, each with whether it is emphasized.
fn buttons(page: &RenderedPage) -> Vec<(bool, &str, &str)> {
    let (_, main, _) = element(text(page), "<main>", "</main>").unwrap();
    let links = main.split("<a class=\"button").skip(1);
    links
        .map(|rest| {
            let (class, target, rest) = element(rest, "\" href=\"", "\">").unwrap();
            let (label, _) = rest.split_once("</a>").unwrap();
            (class.is_empty(), target, label)
        })
        .collect()
}

#[test]
fn after_a_sign_out_the_obvious_action_is_to_sign_in_again() {
    let home = (false, "/", "Go to the start page");
    let signed_out = |sign_in, return_to| Content::SignedOut { sign_in, return_to };
    let login = Some("/_gateway/login");
    for (content, first) in [
        (
            signed_out(login, None),
            (true, "/_gateway/login", "Sign in again"),
        ),
        (
            signed_out(Some("/x"), Some("/x")),
            (true, "/x", "Sign in again"),
        ),
    ] {
        assert_eq!(buttons(&render(&content)), [first, home]);
    }
    // Without a provider, no page leads to a sign-in.
    let without = pages().without_sign_in();
    let page = |content: &Content<'_>| without.render(content, &request("x"));
    let back = page(&signed_out(Some("/x"), Some("/x")));
    assert_eq!(
        buttons(&back),
        [(true, "/x", "Return to the meeting"), home]
    );
    let start = (true, "/", "Go to the start page");
    assert_eq!(buttons(&page(&signed_out(login, None))), [start]);
}

#[test]
fn a_guest_who_left_is_not_asked_to_sign_in_again() {
    let left = |return_to| render(&Content::GuestLeft { return_to });
    let back = left(Some("/x"));
    assert!(text(&back).contains("<h1>You have left the meeting</h1>"));
    let home = (false, "/", "Go to the start page");
    assert_eq!(
        buttons(&back),
        [(true, "/x", "Return to the meeting"), home]
    );
    assert_eq!(buttons(&left(None)), [(true, "/", "Go to the start page")]);
}

#[test]
fn before_a_room_opens_no_action_is_obvious() {
    let room = room("x");
    let opens = Timestamp::from_unix(1_795_255_200);
    let early = render(&refused(&room, None, RefusalCause::NotYet { opens }));
    let early = buttons(&early);
    assert!(
        early.iter().all(|(is_obvious, ..)| !is_obvious),
        "{early:?}"
    );
    assert_eq!(early[0], (false, "/acme/Board%20Meeting", "Try again"));
    let full = render(&refused(&room, None, RefusalCause::Full));
    assert!(buttons(&full)[0].0);
}
