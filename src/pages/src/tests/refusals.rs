//! Pages of refusals.

use http::HeaderValue;

use super::*;

#[test]
fn a_refusal_shows_room_user_and_reason() {
    let room = room("Board%20Meeting");
    let content = refused(&room, Some("Ada"), Refusal::NotAllowed { rule: 3 }.into());
    let page = render(&content);
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    for fact in [
        "<dt>Room</dt><dd><bdi>acme/board meeting</bdi></dd>",
        "<dt>Signed in as</dt><dd><bdi>Ada</bdi></dd>",
        "<dt>Request ID</dt><dd><bdi>01JD-7F3A</bdi></dd>",
        "<p>Your account is not allowed to enter this room.</p>",
        "href=\"/_gateway/login?return_to=/acme/x&#38;switch=1\">Use another account</a>",
    ] {
        assert!(text(&page).contains(fact), "{fact}\n{}", text(&page));
    }
    // The order of the rules is for the log only.
    assert!(!text(&page).contains("<bdi>3</bdi>"), "{}", text(&page));
    let signed_out = render(&refused(&room, None, Refusal::NoRule.into()));
    assert!(
        !text(&signed_out).contains("Signed in as") && text(&signed_out).contains(">Sign in</a>")
    );
    let opens = Timestamp::from_unix(1_795_255_200);
    let early = render(&refused(&room, None, RefusalCause::NotYet { opens }));
    let time = "<time datetime=\"2026-11-21T10:00:00Z\">2026-11-21 10:00 UTC</time>";
    assert!(text(&early).contains(time) && text(&early).contains("href=\"/acme/Board%20Meeting\""));
}

#[test]
fn an_insufficient_sign_in_says_in_each_language_what_was_required() {
    let room = room("Board%20Meeting");
    let content = Content::StepUp {
        room: &room,
        person: Some("Ada"),
        required: "acr <gold>, max_age 900 s",
        sign_in: "/_gateway/login?return_to=/x&switch=1",
    };
    let mut seen = std::collections::HashSet::new();
    for language in [
        "en", "de", "fr", "es", "ar", "pt", "it", "nl", "pl", "tr", "uk", "ja", "zh-Hans",
    ] {
        let accept = HeaderValue::from_static(language);
        let request = PageRequest {
            accept_language: Some(&accept),
            request_id: "1",
        };
        let page = pages().render(&content, &request);
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        for part in [
            "acr &#60;gold&#62;, max_age 900 s",
            "href=\"/_gateway/login?return_to=/x&#38;switch=1\"",
            "href=\"/\"",
            "<bdi>Ada</bdi>",
        ] {
            assert!(text(&page).contains(part), "{part}\n{}", text(&page));
        }
        let paragraphs = text(&page).split("<p>").nth(1).unwrap().to_owned();
        assert!(seen.insert(paragraphs), "{language}");
    }
}

#[test]
fn each_reason_has_a_different_page() {
    let room = room("x");
    let denials = [
        Refusal::NoRule.into(),
        Refusal::Closed { rule: 1 }.into(),
        Refusal::NotAllowed { rule: 1 }.into(),
        RefusalCause::NotYet {
            opens: Timestamp::from_unix(0),
        },
        RefusalCause::Over,
        RefusalCause::Full,
        RefusalCause::NoGuests,
        RefusalCause::HostStarts,
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
        page: "/acme/X",
    });
    let names = [
        NameProblem::Empty,
        NameProblem::TooLong,
        NameProblem::Reserved,
        NameProblem::Characters,
        NameProblem::NotAllowed,
        NameProblem::Adapted,
        NameProblem::OtherSite,
        NameProblem::NoMeeting,
    ];
    let names = names.map(|problem| start("x", Some(problem)));
    let mut seen = std::collections::HashSet::new();
    for content in denials.iter().chain(&problems).chain(&names) {
        assert!(seen.insert(render(content).body), "{content:?}");
    }
}
