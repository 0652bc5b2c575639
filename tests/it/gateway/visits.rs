//! Limits of visits: duration, opening times, number of occupants.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use model::clock::{Clock, Timestamp};
use tokio_tungstenite::tungstenite::Message;

use super::{CREATE, revocation::closed_with, sid_of};
use crate::support::{
    browser::encode,
    logs::Logs,
    site::{ORIGIN, Site, SiteOptions},
};

#[tokio::test]
async fn a_visit_over_bosh_ends_after_the_lifetime_of_its_rule() {
    let site = Site::with(SiteOptions::default().rules(
        "[[room]]\nmatch = \"short\"\nenter = \"member\"\nlifetime = \"10m\"\n\
                [[room]]\nmatch = \"*\"\nenter = \"member\"\n",
    ));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    for (room, ends) in [("short", true), ("long", false)] {
        let query = format!("room={room}");
        let created = max.bosh(&query, CREATE).await.text();
        let sid = sid_of(&created).to_owned();
        site.clock_control.advance(Duration::from_mins(11));
        let terminate = format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}' type='terminate'/>"
        );
        let answer = max.bosh(&query, &terminate).await.text();
        let cut = answer.contains("policy-violation");
        assert_eq!(cut, ends, "{room}: {answer}");
    }
    // A new visit has the full lifetime.
    let again = max.bosh("room=short", CREATE).await.text();
    assert!(again.contains("sid="), "{again}");
    let metrics = site.metrics().await;
    assert!(
        metrics.contains("cuts_total{transport=\"bosh\",reason=\"expired\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn rooms_open_and_close_at_the_configured_times() {
    let opens = Timestamp::parse("2027-01-15T08:00Z").unwrap();
    let (clock, clock_control) = Clock::manual(opens.before(Duration::from_mins(1)));
    let site = Site::with(
        SiteOptions::default()
            .rules(
                "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n\
                opens = \"2027-01-15T08:00:00Z\"\ncloses = \"2027-01-15T09:00:00Z\"\n",
            )
            .clock(clock, clock_control),
    );
    let site = site.await.ready().await;
    let mut visitor = site.browser();
    let early = visitor.navigate("/x").await;
    assert_eq!(early.status, StatusCode::FORBIDDEN);
    assert!(early.text().contains("2027-01-15T08:00:00Z"), "{early:?}");
    assert!(
        visitor
            .bosh("room=x", CREATE)
            .await
            .text()
            .contains("policy-violation")
    );
    site.clock_control.advance(Duration::from_mins(1));
    // The page offers a sign-in and a form for the display name.
    let open = visitor.navigate("/x").await;
    assert_eq!(open.status, StatusCode::OK);
    assert!(open.text().contains("/_gateway/join"), "{open:?}");
    let stream = visitor.bosh("room=x", CREATE).await.text();
    let sid = sid_of(&stream).to_owned();
    site.clock_control.advance(Duration::from_hours(1));
    // An open stream continues, as over WebSocket.
    let terminate = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}' type='terminate'/>"
    );
    let terminate = visitor.bosh("room=x", &terminate).await.text();
    assert!(!terminate.contains("policy-violation"), "{terminate}");
    let over = visitor.navigate("/x").await;
    assert_eq!(over.status, StatusCode::FORBIDDEN);
    assert!(
        visitor
            .bosh("room=x", CREATE)
            .await
            .text()
            .contains("policy-violation")
    );
}

#[tokio::test]
async fn a_full_room_takes_moderators_only() {
    let site = Site::with(SiteOptions::default().rules(
        "[[room]]\nmatch = \"*\"\nenter = \"member\"\nmax_people = 1\n\
                moderators = [\"group:staff\"]\n",
    ));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut mia = site.signed_in("mia").await;
    let mut hanna = site.signed_in("hanna").await;
    let socket = max.socket("room=x").await.unwrap();
    site.wait_for("the room is full", async || {
        mia.navigate("/x").await.status == StatusCode::FORBIDDEN
    })
    .await;
    assert_eq!(
        mia.socket("room=x").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
    assert!(mia.socket("room=y").await.is_ok());
    // An occupant may reconnect, and a moderator is admitted.
    assert_eq!(max.navigate("/x").await.status, StatusCode::OK);
    assert!(max.socket("room=x").await.is_ok());
    assert!(hanna.socket("room=x").await.is_ok());
    drop(socket);
}

#[tokio::test]
async fn a_guest_before_a_full_room_is_told_so() {
    let site =
        Site::with(SiteOptions::default().rules(
            "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\nmax_people = 1\n",
        ));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let socket = max.socket("room=x").await.unwrap();
    let form = [("room", "x"), ("name", "Gerda")];
    let join = async || {
        let mut guest = site.browser();
        let posted = guest.submit("/_gateway/join", &form).await;
        match posted.status {
            StatusCode::SEE_OTHER => guest.navigate("/x").await,
            _ => posted,
        }
    };
    site.wait_for("the room is full", async || {
        join().await.status == StatusCode::FORBIDDEN
    })
    .await;
    let page = join().await;
    assert!(page.text().contains("This room is full"), "{}", page.text());
    assert!(
        !page.text().contains("/_gateway/join"),
        "the same form again"
    );
    drop(socket);
}

#[tokio::test]
async fn typed_addresses_lead_to_rooms_of_this_site_only() {
    let site = Site::start().await.ready().await;
    let mut visitor = site.browser();
    let mode = (
        HeaderName::from_static("sec-fetch-mode"),
        HeaderValue::from_static("navigate"),
    );
    let navigation = HeaderMap::from_iter([mode]);
    let mut target = async |typed: &str| {
        let mut url = url::Url::parse(&format!("{ORIGIN}/_gateway/go")).unwrap();
        url.query_pairs_mut().append_pair("room", typed);
        let answer = visitor
            .send(Method::GET, &url, navigation.clone(), Bytes::new())
            .await;
        answer
            .headers
            .get("location")
            .map(|location| location.to_str().unwrap().to_owned())
    };
    for (typed, leads) in [
        ("Team Call", Some("/Team%20Call")),
        ("Open-Plausch", Some("/Open-Plausch")),
        (
            " https://meet.example.org/Team%20Call?invite=abc#x ",
            Some("/Team%20Call?invite=abc"),
        ),
        (
            "https://meet.example.org//evil.example/x",
            Some("/evil.example/x"),
        ),
        ("https://meet.example.org.evil.example/x", None),
        ("https://evil.example/x", None),
        ("https://meet.example.org/_gateway/logout", None),
        (
            "https://meet.example.org/\\evil.example",
            Some("/evil.example"),
        ),
        ("//evil.example/x", Some("/evil_example/x")),
        // A name is shown first as it would be read.
        ("javascript:alert(1)", None),
        ("x@y", None),
        ("a/b/c", None),
        ("/a/b/c", Some("/b/c")),
        // Reserved paths are no room names.
        ("_gateway/logout", None),
        ("_gateway", None),
        ("config.js", None),
        ("_Gateway", None),
        ("Config.js", None),
        ("HTTP-Bind", None),
        ("http-bind", None),
        ("acme/xmpp-websocket", None),
        ("static/x", None),
        ("https://meet.example.org/robots.txt", None),
        ("", None),
    ] {
        assert_eq!(target(typed).await.as_deref(), leads, "{typed}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_room_of_this_site_is_explained() {
    let site = Site::start().await.ready().await;
    let mut visitor = site.browser();
    for (typed, shown, reason) in [
        ("x@y", "xy", "Rooms cannot have exactly this name."),
        ("a/b/c", "b/c", "Rooms cannot have exactly this name."),
        (
            "https://evil.example/x",
            "https://evil.example/x",
            "This link leads to another site.",
        ),
        (
            "https://meet.example.org/",
            "https://meet.example.org/",
            "This link does not lead to a meeting.",
        ),
    ] {
        let path = format!("/_gateway/go?room={}", encode(typed));
        let page = visitor.navigate(&path).await;
        let text = page.text();
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        assert!(text.contains(reason), "{typed}: {text}");
        assert!(
            text.contains(&format!("value=\"{shown}\"")),
            "{typed}: {text}"
        );
    }
}

#[tokio::test]
async fn occupants_of_an_overfull_room_keep_their_bosh_stream() {
    let site = Site::with(SiteOptions::default().rules(
        "[[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n\
                max_people = 2\nmoderators = [\"group:staff\"]\n",
    ));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut app = site.browser();
    let own = sid_of(&max.bosh("room=x", CREATE).await.text()).to_owned();
    let of_app = app.bosh_of_app("room=x", CREATE).await.text();
    let of_app = sid_of(&of_app).to_owned();
    let auth = |rid: u32, sid: &str| {
        format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' sid='{sid}'>\
             <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/></body>"
        )
    };
    let first = app.bosh_of_app("room=x", &auth(101, &of_app)).await.text();
    assert!(first.contains("success"), "{first}");
    let mut hanna = site.signed_in("hanna").await;
    let _moderator = hanna.socket("room=x").await.unwrap();
    let mut mia = site.signed_in("mia").await;
    site.wait_for("the room is full", async || {
        mia.navigate("/x").await.status == StatusCode::FORBIDDEN
    })
    .await;
    let late = mia.bosh("room=x", CREATE).await.text();
    assert!(late.contains("policy-violation"), "{late}");
    // Three occupants, with `max_people = 2`.
    let continued = max.bosh("room=x", &auth(101, &own)).await.text();
    assert!(continued.contains("success"), "{continued}");
    let terminate = |sid: &str| {
        format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='102' sid='{sid}' type='terminate'/>"
        )
    };
    let terminate = app.bosh_of_app("room=x", &terminate(&of_app)).await.text();
    assert!(!terminate.contains("policy-violation"), "{terminate}");
}

#[tokio::test]
async fn an_app_without_credentials_is_bound_by_the_guest_lifetime() {
    let logs = Logs::keep();
    let site = Site::with(SiteOptions::default().rules(
        "[guests]\nlifetime = \"1h\"\n\
                [[room]]\nmatch = \"*\"\nenter = \"guest\"\nstart = \"anyone\"\n",
    ));
    let site = site.await;
    let mut app = site.browser();
    let created = app.bosh_of_app("room=x", CREATE).await.text();
    let sid = sid_of(&created).to_owned();
    site.clock_control.advance(Duration::from_mins(61));
    let poll = format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='101' sid='{sid}'/>");
    let answer = app.bosh_of_app("room=x", &poll).await.text();
    assert!(answer.contains("policy-violation"), "{answer}");
    // Prosody's own BOSH id is a credential, so no log line may contain it.
    let (own, _) = sid.split_once('.').unwrap();
    let lines = logs.lines_with(own);
    let ours = |line: &&String| line.contains("audit");
    assert_eq!(lines.iter().find(ours), None);
}

#[tokio::test]
async fn reloaded_rules_disconnect_only_those_they_refuse() {
    let site =
        Site::with(SiteOptions::default().rules(
            "[[room]]\nmatch = \"*\"\nenter = [\"member\", \"guest\"]\nstart = \"anyone\"\n",
        ));
    let site = site.await.ready().await;
    let mut max = site.signed_in("max").await;
    let mut of_max = max.socket("room=x").await.unwrap();
    let mut guest = site.browser().socket("room=x").await.unwrap();
    site.reload(|configuration| {
        configuration["room"][0]["enter"] = "member".into();
    });
    assert_eq!(closed_with(&mut guest).await, 1008);
    let ping = Message::Ping(Bytes::from_static(b"?"));
    of_max.send(ping).await.unwrap();
    let pong = of_max.next().await.unwrap().unwrap();
    assert!(matches!(pong, Message::Pong(_)), "{pong:?}");
    let cut = "jitsi_auth_gateway_cuts_total{transport=\"websocket\",reason=\"rules\"} 1";
    site.wait_for("it is counted", async || site.metrics().await.contains(cut))
        .await;
}

#[tokio::test]
async fn the_name_of_a_room_stays_as_its_address_has_it() {
    let rules = "[[room]]\nmatch = \"*\"\nenter = \"guest\"\n";
    let site = Site::with(SiteOptions::default().rules(rules));
    let site = site.await.ready().await;
    let mut guest = site.browser();
    let form = guest.navigate("/Open-Plausch?x=1").await.text();
    let page = "name=\"page\" value=\"/Open-Plausch\"";
    assert!(form.contains(page), "{form}");
    assert!(form.contains("return_to=%2FOpen-Plausch"), "{form}");
    for (page, leads) in [
        ("/Open-Plausch", "/Open-Plausch"),
        // Of another room or another site, or no room's.
        ("/Other", "/open-plausch"),
        ("//evil.example/open-plausch", "/open-plausch"),
        ("https://evil.example/open-plausch", "/open-plausch"),
        ("/open-plausch?invite=x", "/open-plausch"),
        ("/_gateway/logout", "/open-plausch"),
        ("", "/open-plausch"),
    ] {
        let fields = [("room", "open-plausch"), ("page", page), ("name", "Gerda")];
        let joined = site.browser().submit("/_gateway/join", &fields).await;
        assert_eq!(joined.status, StatusCode::SEE_OTHER, "{joined:?}");
        assert_eq!(joined.headers["location"], leads, "{page}");
    }
}

#[tokio::test]
async fn the_page_of_a_signed_out_person_leads_back_to_rooms_only() {
    let site = Site::start().await.ready().await;
    for (query, leads) in [
        (
            "?return_to=%2Facme%2FCaf%25C3%25A9",
            Some("/acme/Caf%C3%A9"),
        ),
        ("?return_to=%2F%2Fevil.example", None),
        ("?return_to=https:%2F%2Fevil.example%2Fx", None),
        ("?return_to=%2F_gateway%2Flogout", None),
        ("?return_to=%2F", None),
        ("", None),
    ] {
        let page = site
            .browser()
            .navigate(&format!("/_gateway/signed-out{query}"))
            .await;
        assert_eq!(page.status, StatusCode::OK);
        let text = page.text();
        assert!(!text.contains("evil.example"), "{text}");
        assert_eq!(
            leads.is_some_and(|leads| text.contains(&format!("href=\"{leads}\""))),
            leads.is_some(),
            "{query}: {text}"
        );
        let again = leads.unwrap_or("/_gateway/login?return_to=%2F");
        let again = format!("<a class=\"button\" href=\"{again}\">Sign in again</a>");
        assert!(text.contains(&again), "{query}: {text}");
    }
}
