//! All pages, for review and tests in a browser.
//!
//! `cargo run --example gallery -- DIRECTORY [SCRIPT]` writes each page as `NAME.html` with its
//! status and head as `NAME.json` beside it: all variants in each language, and all with hostile
//! texts. `SCRIPT` is the address of the `external_api.js` that the page of a call loads.

use std::{env, fs, path::Path};

use anyhow::Context as _;
use http::HeaderValue;
use model::{clock::Timestamp, policy::Refusal, room::RoomKey, session::ReturnTo};
use pages::{
    Brand, BrandLink, CalendarForm, Component, Content, EmailForm, EmbedProblem, GuestForm,
    Languages, LinkProblem, Logo, NameProblem, PageLink, PagePerson, PageRequest, Pages,
    PopupOutcome, ProviderLink, RefusalCause, RenderedPage, RequestProblem, SignInProblem,
};
use serde_json::{Map, Value, json};
use url::Url;

/// Texts from users and other systems that pages contain.
struct Texts {
    room: RoomKey,
    person: &'static str,
    other: &'static str,
    /// Used where a path of this site is expected.
    path: &'static str,
    /// Used where a URL is expected.
    address: &'static str,
    reason: &'static str,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let directory = arguments.next().context("name a directory")?;
    let script = arguments.next().and_then(|text| text.into_string().ok());
    let script = script.map_or_else(|| Url::parse(SCRIPT), |text| Url::parse(&text))?;
    let directory = Path::new(&directory);
    let plain = Texts {
        room: RoomKey::from_text("acme/calm-otter-4821-k7qd3m2a")?,
        person: "Zoë Example",
        other: "Grace Example",
        path: "/_gateway/login?return_to=%2Facme%2Fcalm-otter-4821-k7qd3m2a",
        address: "https://meet.example.org/acme/calm-otter-4821-k7qd3m2a?invite=eyJhbGciOiJIUzI1NiJ9.eyJyIjoiYWNtZS9jYWxtLW90dGVyIn0.c2lnbmF0dXJl",
        reason: "room_pattern (room)",
    };
    for language in LANGUAGES {
        write_all(&directory.join(language), language, &plain, &script)?;
    }
    let hostile = Texts {
        room: RoomKey::from_page(None, HOSTILE_ROOM)?.key,
        person: HOSTILE,
        other: HOSTILE,
        path: "javascript:canary=1",
        address: "javascript:canary=1//\"'><script>canary=1</script>",
        reason: HOSTILE,
    };
    write_all(&directory.join("hostile"), "en", &hostile, &script)
}

fn write_all(to: &Path, language: &str, texts: &Texts, script: &Url) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let pages = Pages::new(brand(texts)?, Languages::default());
    let accept = HeaderValue::from_str(language)?;
    let request = PageRequest {
        accept_language: Some(&accept),
        request_id: if texts.person == HOSTILE {
            HOSTILE
        } else {
            "01JDB0T4M6"
        },
    };
    let save = |name: &str, content: &Content<'_>| {
        let page = pages.render(content, &request);
        fs::write(to.join(format!("{name}.json")), head(&page)?)?;
        fs::write(to.join(format!("{name}.html")), &page.body)?;
        Ok(())
    };
    for pages in [ways_in, ways_on, refusals, notices] {
        pages(texts, script, &save)?;
    }
    Ok(())
}

type Save<'s> = dyn Fn(&str, &Content<'_>) -> anyhow::Result<()> + 's;

fn ways_in(texts: &Texts, _: &Url, save: &Save<'_>) -> anyhow::Result<()> {
    let start = |person, may_create, problem: Option<NameProblem>| Content::Start {
        person,
        sign_in: Some(texts.path),
        may_create,
        joining: false,
        name: problem.map(|_| texts.other),
        problem,
    };
    let person = Some(texts.person);
    save("start", &start(person, true, None))?;
    save("start-signed-out", &start(None, false, None))?;
    save("start-guest", &start(person, false, None))?;
    for (name, problem) in NAME_PROBLEMS {
        save(
            &format!("start-{name}"),
            &start(person, true, Some(problem)),
        )?;
    }
    let page = texts.room.page_path();
    let guest = GuestForm {
        action: "/_gateway/join",
        page: Some(&page),
        invite: Some(texts.address),
        name: person,
        problem: None,
        host: false,
        remember: Some(true),
    };
    let join = |sign_in, guest| Content::Join {
        room: &texts.room,
        sign_in,
        guest,
    };
    let sign_in = Some(texts.path);
    save("join", &join(sign_in, Some(guest)))?;
    save("join-members", &join(sign_in, None))?;
    save(
        "join-guests",
        &join(
            None,
            Some(GuestForm {
                name: None,
                invite: None,
                ..guest
            }),
        ),
    )?;
    save(
        "join-host",
        &join(
            sign_in,
            Some(GuestForm {
                host: true,
                ..guest
            }),
        ),
    )?;
    let problem = Some(NameProblem::TooLong);
    save(
        "join-problem",
        &join(sign_in, Some(GuestForm { problem, ..guest })),
    )?;
    let wait = |is_member, awaited, sign_in| Content::Wait {
        room: &texts.room,
        person: named(texts, is_member),
        awaited,
        sign_in,
        events: "/_gateway/events?room=x",
    };
    save("wait", &wait(Some(false), Some(texts.other), sign_in))?;
    save("wait-member", &wait(Some(true), Some(texts.other), sign_in))?;
    save("wait-unknown", &wait(None, None, None))
}

/// The person, a member or a guest.
fn named(texts: &Texts, is_member: Option<bool>) -> Option<PagePerson<'static>> {
    is_member.map(|is_member| PagePerson {
        name: texts.person,
        is_member,
    })
}

fn ways_on(texts: &Texts, script: &Url, save: &Save<'_>) -> anyhow::Result<()> {
    let room = &texts.room;
    let link = |uses| PageLink {
        url: texts.address,
        expires: EXPIRES,
        uses,
    };
    let room_url = format!("https://meet.example.org{}", room.page_path());
    let meeting = |guest_link, admits_guests| Content::Meeting {
        room,
        person: Some(texts.person),
        sign_in: Some(texts.path),
        room_url: &room_url,
        admits_guests,
        host_link: link(Some(2)),
        guest_link,
        calendar: CalendarForm {
            start: EXPIRES,
            minutes: 60,
            google: "https://calendar.google.com/calendar/render?action=TEMPLATE",
            outlook: "https://outlook.office.com/calendar/deeplink/compose?rru=addevent",
        },
    };
    save("meeting", &meeting(Some(link(None)), false))?;
    save("meeting-guests", &meeting(Some(link(None)), true))?;
    save("meeting-members", &meeting(None, false))?;
    let provider = Url::parse("https://sso.example.org/auth?client_id=jitsi")?;
    let return_to = ReturnTo::parse(texts.path);
    let provider_link = |is_last| ProviderLink {
        name: texts.person,
        path: texts.path,
        is_last,
    };
    let hidden = [("return_to".to_owned(), texts.other.to_owned())];
    let providers = [provider_link(true), provider_link(false)];
    let first_time = [provider_link(false), provider_link(false)];
    let choice_of = |providers, unknown| Content::ChooseProvider {
        providers,
        email: Some(EmailForm {
            action: texts.path,
            field: "email",
            hidden: &hidden,
            unknown,
        }),
    };
    save("choice", &choice_of(&providers, None))?;
    save("choice-first", &choice_of(&first_time, None))?;
    save("choice-unknown", &choice_of(&providers, Some(texts.other)))?;
    save(
        "continue",
        &Content::Continue {
            provider: &provider,
            return_to: &return_to,
        },
    )?;
    let hostile = texts.person == HOSTILE;
    let open_app = |link| Content::OpenApp {
        room,
        link: if hostile { texts.address } else { link },
        browser: texts.path,
    };
    save(
        "open-app",
        &open_app("org.jitsi.meet://meet.example.org/x?jwt=a.b.c"),
    )?;
    save(
        "open-app-desktop",
        &open_app("jitsi-meet://meet.example.org/x?jwt=a.b.c"),
    )?;
    let options = json!({ "roomName": texts.other, "userInfo": { "displayName": texts.person } });
    save(
        "call",
        &Content::Call {
            room,
            script,
            options: &options,
            events: "/_gateway/events?room=x",
            again: texts.path,
        },
    )
}

fn refusals(texts: &Texts, _: &Url, save: &Save<'_>) -> anyhow::Result<()> {
    let (room, page) = (&texts.room, texts.path);
    for (name, denial) in [
        ("no-rule", Refusal::NoRule.into()),
        ("closed", Refusal::Closed { rule: 1 }.into()),
        ("not-allowed", Refusal::NotAllowed { rule: 3 }.into()),
        ("not-yet", RefusalCause::NotYet { opens: EXPIRES }),
        ("over", RefusalCause::Over),
        ("full", RefusalCause::Full),
        ("no-guests", RefusalCause::NoGuests),
        ("host-starts", RefusalCause::HostStarts),
    ] {
        let content = |person| Content::Refused {
            room,
            person,
            denial,
            again: texts.path,
            sign_in: Some(texts.path),
        };
        save(
            &format!("refused-{name}"),
            &content(named(texts, Some(true))),
        )?;
    }
    let signed_out = Content::Refused {
        room,
        person: None,
        denial: RefusalCause::NoGuests,
        again: texts.path,
        sign_in: Some(texts.path),
    };
    save("refused-signed-out", &signed_out)?;
    let step_up = Content::StepUp {
        room,
        person: Some(texts.person),
        required: "acr gold | silver, max_age 900 s",
        sign_in: texts.path,
    };
    save("refused-step-up", &step_up)?;
    for (name, problem) in [
        ("unreadable", LinkProblem::Unreadable),
        ("expired", LinkProblem::Expired),
        ("used-up", LinkProblem::UsedUp),
        ("revoked", LinkProblem::Revoked),
        ("other-room", LinkProblem::OtherRoom),
    ] {
        let content = Content::LinkRefused {
            room,
            problem,
            page,
        };
        save(&format!("link-{name}"), &content)?;
    }
    let reference = texts.reason;
    for (name, problem) in [
        ("over", EmbedProblem::Over),
        ("refused", EmbedProblem::Untrusted),
    ] {
        let content = Content::EmbedRefused {
            room,
            problem,
            reference,
            page,
        };
        save(&format!("embed-{name}"), &content)?;
    }
    Ok(())
}

fn notices(texts: &Texts, _: &Url, save: &Save<'_>) -> anyhow::Result<()> {
    let again = texts.path;
    let sign_in = Some(texts.path);
    let signed_out = |return_to| Content::SignedOut { sign_in, return_to };
    save("signed-out", &signed_out(None))?;
    let provider = Some("https://sso.example.org/logout");
    save("sign-out-not-kept", &Content::SignOutNotKept { provider })?;
    let return_to = Some(texts.path);
    save("signed-out-meeting", &signed_out(return_to))?;
    save("guest-left", &Content::GuestLeft { return_to })?;
    save("not-found", &Content::NotFound)?;
    save("logout-frame", &Content::LogoutFrame)?;
    let reference = texts.reason;
    let (named, own) = (texts.other, "meet.example.org");
    // The others have fewer parts.
    for (name, problem) in [
        ("name", RequestProblem::Name(NameProblem::TooLong)),
        ("other-host", RequestProblem::OtherHost { named, own }),
        ("not-host", RequestProblem::NotHost { room: texts.path }),
    ] {
        let content = Content::BadRequest { problem, reference };
        save(&format!("request-{name}"), &content)?;
    }
    for (name, failure) in [
        ("unknown", SignInProblem::Unknown),
        ("expired", SignInProblem::Expired),
        ("declined", SignInProblem::Declined),
        ("provider", SignInProblem::Provider),
        ("too-large", SignInProblem::TooLarge),
    ] {
        save(
            &format!("failed-{name}"),
            &Content::SignInFailed {
                failure,
                reference,
                again,
            },
        )?;
    }
    for (name, component) in [
        ("provider", Component::Provider),
        ("jitsi", Component::Jitsi),
        ("gateway", Component::Gateway),
    ] {
        save(
            &format!("unavailable-{name}"),
            &Content::Unavailable { component, again },
        )?;
    }
    let access_token = texts.person;
    let error = reference;
    for (name, outcome) in [
        ("popup", PopupOutcome::Success { access_token }),
        ("popup-failed", PopupOutcome::Failure { error }),
    ] {
        save(name, &Content::Popup { outcome })?;
    }
    Ok(())
}

fn brand(texts: &Texts) -> anyhow::Result<Brand> {
    if texts.person == HOSTILE {
        let logo =
            format!("<svg xmlns='http://www.w3.org/2000/svg' onload='canary=1'>{SVG_SCRIPT}</svg>");
        return Ok(Brand {
            logo: Some(Logo::parse(logo.as_bytes())?),
            ..Brand::from_name(HOSTILE)
        });
    }
    let link = |label: &str, url| -> anyhow::Result<BrandLink> {
        let label = label.to_owned();
        let url = Url::parse(url)?;
        Ok(BrandLink { label, url })
    };
    Ok(Brand {
        logo: Some(Logo::parse(LOGO.as_bytes())?),
        links: vec![
            link("Imprint", "https://www.example.org/imprint")?,
            link("Privacy", "https://www.example.org/privacy")?,
        ],
        ..Brand::from_name("Meet at Example")
    })
}

fn head(page: &RenderedPage) -> anyhow::Result<String> {
    let mut headers = Map::new();
    for (name, value) in &page.headers {
        headers.insert(name.to_string(), Value::from(value.to_str()?));
    }
    let head = json!({ "status": page.status.as_u16(), "headers": headers });
    Ok(format!("{head:#}\n"))
}

const NAME_PROBLEMS: [(&str, NameProblem); 8] = [
    ("empty", NameProblem::Empty),
    ("too-long", NameProblem::TooLong),
    ("reserved", NameProblem::Reserved),
    ("characters", NameProblem::Characters),
    ("not-allowed", NameProblem::NotAllowed),
    ("adapted", NameProblem::Adapted),
    ("other-site", NameProblem::OtherSite),
    ("no-meeting", NameProblem::NoMeeting),
];

const LANGUAGES: [&str; 13] = [
    "en", "de", "fr", "es", "ar", "pt", "it", "nl", "pl", "tr", "uk", "ja", "zh-Hans",
];

/// Tries to break out of every context that a text can be in.
const HOSTILE: &str = "\"'></bdi></textarea></title></style></script></noscript>\
    <script>canary=1</script><img src=/leak onerror=canary=1><svg onload=canary=1>\
    <style>*{display:none}</style><a href=javascript:canary=1>\u{202e}{{7*7}}${canary=1}\
    `;canary=1//\\u0027 javascript:canary=1 <!-- --!> ]]>";

/// A segment of a path, with every character that a room name can have.
const HOSTILE_ROOM: &str = "%3Cimg%20src%3Dx%20onerror%3Dcanary%3D1%3E%22%3E%3Cscript%3Ecanary%3D1%3C%26sol%3Bscript%3E%E2%80%AE%7B%7B7*7%7D%7D";

const SVG_SCRIPT: &str = "<script>parent.canary=1</script><image href='/leak'/>";

const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 40 40\"><circle cx=\"20\" \
    cy=\"20\" r=\"20\" fill=\"#1455b8\"/><path d=\"M10 14h13v12H10zm15 4 6-4v12l-6-4z\" \
    fill=\"#fff\"/></svg>";

const SCRIPT: &str = "https://8x8.vc/vpaas-magic-cookie-example/external_api.js";

/// 2026-11-21 10:00 UTC.
const EXPIRES: Timestamp = Timestamp::from_unix(1_795_255_200);
