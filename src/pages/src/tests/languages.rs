//! The pages of refusals in each language.

use std::collections::HashSet;

use toml::{Table, Value};

use super::*;

/// The texts of a language.
fn texts_of(language: &str) -> HashSet<String> {
    let path = format!("{}/src/texts/{language}.toml", env!("CARGO_MANIFEST_DIR"));
    let file: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let sections = file.into_iter().filter_map(|(_, section)| match section {
        Value::Table(section) => Some(section),
        _ => None,
    });
    sections
        .flat_map(|section| section.into_iter().map(|(_, text)| text))
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// The texts between the tags of the page's main part.
fn shown(html: &str) -> Vec<&str> {
    let (_, main, _) = element(html, "<main>", "</main>").unwrap();
    main.split('<')
        .filter_map(|piece| piece.split_once('>'))
        .map(|(_, text)| text.trim())
        .filter(|text| !text.is_empty())
        .collect()
}

/// The links of the page's main part that look like buttons.
fn buttons(html: &str) -> Vec<&str> {
    let (_, main, _) = element(html, "<main>", "</main>").unwrap();
    main.split("<a class=\"button")
        .skip(1)
        .map(|rest| element(rest, "href=\"", "\"").unwrap().1)
        .collect()
}

/// All contents that refuse.
fn refusals(room: &RoomKey) -> Vec<Content<'_>> {
    let opens = Timestamp::from_unix(1_795_255_200);
    let (page, reference) = ("/acme/Board%20Meeting", REFERENCE);
    let denials = [
        Refusal::NoRule.into(),
        Refusal::Closed { rule: 1 }.into(),
        Refusal::NotAllowed { rule: 1 }.into(),
        RefusalCause::NotYet { opens },
        RefusalCause::Over,
        RefusalCause::Full,
        RefusalCause::NoGuests,
        RefusalCause::HostStarts,
    ];
    let mut contents = vec![Content::NotFound];
    for denial in denials {
        contents.extend([None, Some("Ada")].map(|person| refused(room, person, denial)));
    }
    let links = [
        LinkProblem::Unreadable,
        LinkProblem::Expired,
        LinkProblem::UsedUp,
        LinkProblem::Revoked,
        LinkProblem::OtherRoom,
    ];
    contents.extend(links.map(|problem| Content::LinkRefused {
        room,
        problem,
        page,
    }));
    let embedded = [
        EmbedProblem::Over,
        EmbedProblem::TooEarly,
        EmbedProblem::LongLived,
        EmbedProblem::Untrusted,
        EmbedProblem::OtherRoom,
        EmbedProblem::SeveralRooms,
        EmbedProblem::ForeignRoom,
        EmbedProblem::Unreadable,
    ];
    contents.extend(embedded.map(|problem| Content::EmbedRefused {
        room,
        problem,
        reference,
        page,
    }));
    let failures = [
        SignInProblem::Unknown,
        SignInProblem::Expired,
        SignInProblem::Declined,
        SignInProblem::Provider,
        SignInProblem::TooLarge,
    ];
    contents.extend(failures.map(|failure| Content::SignInFailed {
        failure,
        reference,
        again: page,
    }));
    let components = [Component::Provider, Component::Jitsi, Component::Gateway];
    contents.extend(components.map(|component| Content::Unavailable {
        component,
        again: page,
    }));
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
    let problems = names.map(RequestProblem::Name).into_iter().chain([
        RequestProblem::Address,
        RequestProblem::OtherHost {
            named: "10.0.0.1",
            own: "meet.test",
        },
        RequestProblem::Insecure,
        RequestProblem::Method,
        RequestProblem::Form,
        RequestProblem::OtherSite,
        RequestProblem::SignIn {
            sign_in: Some("/_gateway/login"),
        },
        RequestProblem::NotInRoom,
        RequestProblem::NotHost { room: page },
        RequestProblem::TooMany { again: page },
        RequestProblem::Other,
    ]);
    contents.extend(problems.map(|problem| Content::BadRequest { problem, reference }));
    contents
}

#[test]
fn every_refusal_is_in_the_language_of_its_reader_and_leads_on() {
    let room = &room("Board%20Meeting");
    let data = [
        "acme/board meeting",
        "Ada",
        "01JD-7F3A",
        "2026-11-21 10:00 UTC",
        REFERENCE,
        "10.0.0.1",
        "meet.test",
    ];
    let with_provider = pages();
    for pages in [with_provider.clone(), with_provider.without_sign_in()] {
        for language in LANGUAGES {
            let texts = texts_of(language);
            let accept_language = Some(&HeaderValue::from_static(language));
            for content in refusals(room) {
                let request = PageRequest {
                    accept_language,
                    request_id: "01JD-7F3A",
                };
                let page = pages.render(&content, &request);
                let direction = if language == "ar" { "rtl" } else { "ltr" };
                let root = format!("<html lang=\"{language}\" dir=\"{direction}\">");
                assert!(text(&page).contains(&root), "{root}");
                let case = format!("{content:?} in {language}: {}", text(&page));
                for shown in shown(text(&page)) {
                    let shown = shown.replace("&#39;", "'").replace("&#34;", "\"");
                    assert!(
                        texts.contains(&shown) || data.contains(&&*shown),
                        "{shown:?} in {case}"
                    );
                }
                let (buttons, paragraphs) = (buttons(text(&page)), text(&page).matches("<p>"));
                let leads_on = buttons.iter().any(|target| *target != "/");
                assert!(!buttons.is_empty(), "no way on in {case}");
                // What happened, and what to do: a sentence, or a button with a name.
                assert!(
                    paragraphs.count() >= 2 || leads_on || is_plain(&content),
                    "{case}"
                );
            }
        }
    }
}

/// Whether one sentence says what happened by what to do.
fn is_plain(content: &Content<'_>) -> bool {
    matches!(
        content,
        Content::BadRequest {
            problem: RequestProblem::Address | RequestProblem::SignIn { .. },
            ..
        }
    )
}

const LANGUAGES: [&str; 13] = [
    "en", "de", "fr", "es", "ar", "pt", "it", "nl", "pl", "tr", "uk", "ja", "zh-Hans",
];
const REFERENCE: &str = "room_pattern (room)";
