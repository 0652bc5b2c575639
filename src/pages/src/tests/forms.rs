//! Forms and links of the pages.

use super::*;

#[test]
fn a_rejected_name_is_explained_at_its_field() {
    let problem = Some(NameProblem::NotAllowed);
    let form = Content::Join {
        room: &room("x"),
        sign_in: None,
        guest: Some(guest("Bob \"x", problem)),
    };
    for content in [start("Bob \"x", problem), form] {
        let page = render(&content);
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        for part in [
            "<p class=\"wrong\" id=\"name-problem\">Meetings with this name cannot be started here. Please choose another name.</p>",
            " value=\"Bob &#34;x\" aria-invalid=\"true\"",
            "aria-describedby=\"name-problem",
        ] {
            assert!(text(&page).contains(part), "{part}\n{}", text(&page));
        }
    }
}

#[test]
fn a_field_that_is_all_that_a_page_is_about_has_the_focus() {
    let room = room("x");
    let join = |sign_in| Content::Join {
        room: &room,
        sign_in,
        guest: Some(guest("Ada", None)),
    };
    let start = |sign_in| Content::Start {
        person: None,
        sign_in,
        may_create: false,
        name: None,
        joining: false,
        problem: None,
    };
    for (content, focused) in [
        (join(None), true),
        (join(Some("/_gateway/login")), false),
        (start(None), true),
        (start(Some("/_gateway/login")), false),
    ] {
        let page = render(&content);
        let fields = text(&page).matches(" autofocus").count();
        assert_eq!(fields, usize::from(focused), "{content:?}");
    }
}

#[test]
fn the_name_is_remembered_only_where_the_browser_can_and_the_guest_wants() {
    let room = room("x");
    for (remember, boxes, checked) in [(None, 0, 0), (Some(true), 1, 1), (Some(false), 1, 0)] {
        let guest = GuestForm {
            remember,
            ..guest("Ada", None)
        };
        let page = render(&Content::Join {
            room: &room,
            sign_in: None,
            guest: Some(guest),
        });
        let html = text(&page);
        assert_eq!(html.matches("name=\"remember\"").count(), boxes, "{html}");
        assert_eq!(html.matches(" checked").count(), checked, "{html}");
    }
}

#[test]
fn a_meeting_has_one_link_to_invite_with_and_the_others_behind_it() {
    let room = room("x");
    let (room_url, guest_url, host_url) = (
        "https://meet.test/x",
        "https://meet.test/x?invite=guest",
        "https://meet.test/x?invite=host",
    );
    let page_of = |admits_guests: bool, has_guest_link: bool| {
        let mut content = meeting(&room, room_url);
        if let Content::Meeting {
            admits_guests: admits,
            host_link,
            guest_link,
            ..
        } = &mut content
        {
            *admits = admits_guests;
            host_link.url = host_url;
            *guest_link = has_guest_link.then_some(PageLink {
                url: guest_url,
                ..*host_link
            });
        }
        text(&render(&content)).to_owned()
    };
    let fields = |html: &str| {
        let values = html.split("class=\"address\"").skip(1);
        values
            .map(|rest| element(rest, "value=\"", "\"").unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    let anyone = "Anyone with this link can join without an account.";
    for (admits_guests, has_guest_link, first, behind, for_guests) in [
        (true, true, guest_url, vec![host_url], true),
        (false, true, guest_url, vec![room_url, host_url], true),
        (false, false, room_url, vec![host_url], false),
    ] {
        let html = page_of(admits_guests, has_guest_link);
        let (before, more) = html.split_once("<details>").unwrap();
        assert_eq!(fields(before), [first], "{html}");
        assert_eq!(fields(more), behind, "{html}");
        assert_eq!(before.contains(anyone), for_guests, "{html}");
    }
}

#[test]
fn a_meeting_shows_expiry_and_maximum_users_of_its_links() {
    let page = render(&meeting(&room("x"), "https://meet.test/x?a&b"));
    let html = text(&page);
    assert_eq!(html.matches(">2026-11-21 10:00 UTC</time>").count(), 2);
    assert_eq!(
        html.matches("<dt>Maximum number of people</dt><dd>3</dd>")
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
fn the_redirect_to_the_provider_works_with_and_without_javascript() {
    every_page(|name, _, page| {
        if name != "continue" {
            return;
        }
        let html = text(page);
        let provider = "https://sso.test/auth?client_id=x&#38;state=a%27b&#38;q=%27%22%3E";
        for redirect in [
            format!(
                "<script data-provider=\"{provider}\" data-path=\"/acme/Board%20Meeting?lang=de\">"
            ),
            format!(
                "<noscript><meta http-equiv=\"refresh\" content=\"0; url={provider}\"></noscript>"
            ),
            format!("href=\"{provider}\">Continue to sign in</a>"),
        ] {
            assert!(html.contains(&redirect), "{redirect}\n{html}");
        }
    });
}

#[test]
fn a_waiting_account_that_is_no_host_is_told_so_and_may_use_another() {
    let room = room("x");
    let wait = |is_member| {
        let page = render(&Content::Wait {
            room: &room,
            person: Some(PagePerson {
                name: "Max",
                is_member,
            }),
            awaited: None,
            sign_in: Some("/_gateway/login"),
            events: EVENTS,
        });
        text(&page).to_owned()
    };
    let told = "You are signed in, but not as a host of this meeting.";
    let (guest, member) = (wait(false), wait(true));
    assert!(guest.contains(">I am the host</a>") && !guest.contains(told));
    assert!(member.contains(told) && member.contains(">Use another account</a>"));
    assert!(!member.contains("I am the host"), "{member}");
}

#[test]
fn providers_are_links_of_which_the_last_one_is_suggested() {
    let providers = provider_links("Example School");
    let choice = |providers: &[ProviderLink<'_>], unknown| {
        let content = Content::ChooseProvider {
            providers,
            email: Some(email_form(unknown)),
        };
        let page = render(&content);
        (page.status, text(&page).to_owned())
    };
    let (status, html) = choice(&providers, None);
    assert_eq!(status, StatusCode::OK);
    for part in [
        "<a class=\"button\" href=\"/_gateway/login?return_to=%2Fx&#38;provider=school\" aria-describedby=\"last\">",
        "<a class=\"button quiet\" href=\"/_gateway/login?return_to=%2Fx&#38;provider=firm\">",
        "<form method=\"get\" action=\"/_gateway/login\">",
        "<label for=\"email\">",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert_eq!(html.matches("id=\"last\"").count(), 1);
    let equal = providers.map(|link| ProviderLink {
        is_last: false,
        ..link
    });
    // None of them is more obvious than the others.
    assert!(!choice(&equal, None).1.contains("class=\"button\" href"));
    let (status, html) = choice(&providers, Some("ann@x"));
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        html.contains("value=\"ann@x\" aria-invalid=\"true\" aria-describedby=\"email-problem\"")
    );
}
