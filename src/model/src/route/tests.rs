use proptest::prelude::*;

use super::*;

fn classify(path: &str) -> Result<Routed, PathError> {
    Route::classify(path, &SiteLocations::default())
}

fn label(path: &str) -> &'static str {
    classify(path).map_or("refused", |routed| routed.route.label().as_str())
}

#[test]
fn paths_of_jitsi_are_classified() {
    let cases = [
        ("/", "home"),
        ("/TeamCall", "room"),
        ("/acme/TeamCall", "room"),
        ("/Team%20Call", "room"),
        ("/a.b", "room"),
        ("/my.js", "room"),
        ("/config.js", "config"),
        ("/acme/config.js", "config"),
        ("/interface_config.js", "asset"),
        ("/libs/app.bundle.min.js", "asset"),
        ("/acme/libs/app.bundle.min.js", "asset"),
        ("/static/close.html", "asset"),
        ("/index.html", "asset"),
        ("/favicon.ico", "asset"),
        ("/_unlock", "asset"),
        ("/.well-known/assetlinks.json", "asset"),
        ("/acme/", "room"),
        ("/acme/TeamCall/", "room"),
        ("//TeamCall", "room"),
        ("/acme//TeamCall///", "room"),
        ("//libs/app.js", "refused"),
        ("/libs/", "asset"),
        ("//", "refused"),
        ("/http-bind", "bosh"),
        ("/acme/http-bind", "bosh"),
        ("/xmpp-websocket", "websocket"),
        ("/acme/xmpp-websocket", "websocket"),
        ("/transcripts/x", "location"),
        ("/etherpad/p/x", "location"),
        ("/socket.io/", "location"),
        ("/socket.io", "location"),
        ("/rtcstats-ws", "location"),
        ("/etherpads", "room"),
        ("/acme/transcripts/x", "location"),
        ("/conference-request/v1", "conference_request"),
        ("/acme/conference-request/v1", "conference_request"),
        ("/conference-request", "closed"),
        ("/conference-request/v1/", "closed"),
        ("/conference-request/v1/x", "closed"),
        ("/conference-request/v2", "closed"),
        ("/colibri-ws/default-id/x", "closed"),
        ("/_api/room-info", "closed"),
        ("/room-size", "closed"),
        ("/acme/kick-participant", "closed"),
        ("/_gateway/login", "own"),
        ("/_gateway/", "own"),
        ("/_gateway", "own"),
        ("/()", "no_room"),
        ("/bad tenant/x", "refused"),
        ("/b%20t/x", "no_room"),
    ];
    for (path, expected) in cases {
        assert_eq!(label(path), expected, "{path}");
    }
}

#[test]
fn other_spellings_of_protected_paths_reach_nothing() {
    let spellings = [
        "/%68ttp-bind",
        "/http%2dbind",
        "/http%2Dbind",
        "/http-bind/",
        "/HTTP-BIND",
        "/Http-Bind",
        "/xmpp%2Dwebsocket",
        "/xmpp-websocket/",
        "/XMPP-websocket",
        "/acme/%68ttp-bind",
        "/http-bind/x",
        "/acme/http-bind/",
        "/acme/http-bind/x",
        "/%5Fgateway/login",
        "/_gatewa%79/logout",
        "/transcript%73/x",
        "/acme/HTTP-bind",
        "/ETHERPAD/p/x",
        "/acme/Socket.io/",
        "/%65therpad/p/x",
        "/Etherpad",
    ];
    for path in spellings {
        let route = classify(path).unwrap().route;
        assert!(
            matches!(route, Route::Closed(Closed::Spelling)),
            "{path} is {route:?}"
        );
    }
    for path in [
        "//http-bind",
        "/http-bind//",
        "//acme/xmpp-websocket",
        "//_gateway/login",
        "/_gateway//login",
        "//config.js",
        "//metrics",
        "/acme//etherpad/p/x",
        "/a//../http-bind",
        "/a/../http-bind",
        "/./http-bind",
        "/%2fhttp-bind",
        "/http-bind%2f",
        "/http-bind#x",
        "/%2e%2e/http-bind",
        "/a\\..\\http-bind",
        "http-bind",
        "*",
    ] {
        assert_eq!(label(path), "refused", "{path}");
    }
}

#[test]
fn no_number_of_tenants_leads_around_a_protected_path() {
    // Jitsi's web server strips leading segments as tenants until it recognizes the rest.
    for path in [
        "/a/b/transcripts/x",
        "/a/b/c/transcripts/x",
        "/a/b/etherpad/p/x",
        "/a/b/socket.io/",
        "/a/b/http-bind",
        "/a/b/c/xmpp-websocket",
        "/a/b/c/HTTP-bind",
        "/a/b/conference-request/v1",
        "/a/b/_api/room-info",
        "/a/colibri-ws/default-id/x",
        "/a/b/room-size",
    ] {
        assert_eq!(label(path), "closed", "{path}");
    }
    for path in ["/a/b/libs/transcripts/x", "/a/b/index.html", "/a/b/libs/"] {
        assert_eq!(label(path), "asset", "{path}");
    }
    assert_eq!(label("/a/b/config.js"), "config");
}

#[test]
fn a_page_below_several_tenants_is_that_of_the_last() {
    let room = |path: &str| match classify(path).map(|routed| routed.route) {
        Ok(Route::Room(room)) => room,
        other => panic!("{other:?}"),
    };
    for (path, key, respelled) in [
        ("/b/c", "b/c", None),
        ("/a/b/c", "b/c", Some("/b/c")),
        (
            "/a/Acme/Team%20Call",
            "acme/team%20call",
            Some("/Acme/Team%20Call"),
        ),
        ("/a/b/Caf%25C3%25A9", "b/caf%c3%a9", Some("/b/Caf%C3%A9")),
        ("/x/y/z/b/c", "b/c", Some("/b/c")),
        ("/2026/11/28", "11/28", Some("/11/28")),
        ("/2026/11/28/", "11/28", Some("/11/28")),
        ("/b/c/", "b/c", Some("/b/c")),
        ("//b//c", "b/c", Some("/b/c")),
        ("///Team%20Call//", "team%20call", Some("/Team%20Call")),
        ("/caf%25c3%25a9/", "caf%c3%a9", Some("/caf%C3%A9")),
    ] {
        let room = room(path);
        assert_eq!(room.key.to_string(), key, "{path}");
        assert_eq!(room.respelled.as_deref(), respelled, "{path}");
    }
}

#[test]
fn what_a_web_server_takes_for_signalling_or_administration_is_never_forwarded() {
    for path in [
        "/socket.io/http-bind",
        "/etherpad/xmpp-websocket",
        "/acme/rtcstats-ws/http-bind",
        "/static/http-bind/x",
        "/a/b/http-bindX",
        "/acme/http-bind;/",
        "/acme/http-bindings",
        "/etherpad/conference-request/v1",
        "/socket.io/_api/room-info",
        "/transcripts/colibri-ws/x",
        "/etherpad/admin/x",
        "/etherpad/admin",
        "/libs/rooms",
        "/rooms/",
        "/metrics/",
        "/Kick-Participant/",
        "/ETHERPAD/p/x",
        "/acme/Socket.io/",
    ] {
        assert_eq!(label(path), "closed", "{path}");
    }
    // Rooms whose names are those of closed directories.
    for path in ["/admin", "/acme/about", "/v1"] {
        assert_eq!(label(path), "room", "{path}");
    }
}

#[test]
fn names_near_protected_ones_are_rooms_and_forwarded_as_such() {
    for path in ["/xhttp-bind", "/http-bin", "/room;http-bind"] {
        assert_eq!(label(path), "room", "{path}");
    }
}

#[test]
fn paths_of_the_gateway_are_classified() {
    let endpoint = |path: &str| match classify(path).map(|routed| routed.route) {
        Ok(Route::Endpoint(endpoint)) => endpoint,
        other => panic!("{other:?}"),
    };
    assert_eq!(endpoint("/_gateway/callback"), Endpoint::Callback(None));
    assert_eq!(
        endpoint("/_gateway/asap/ab.pem"),
        Endpoint::Asap("ab.pem".to_owned())
    );
    assert_eq!(endpoint("/_gateway/asap/a/b.pem"), Endpoint::Unknown);
    let school = || Some("school".parse().unwrap());
    for (path, expected) in [
        ("callback/school", Endpoint::Callback(school())),
        (
            "backchannel-logout/school",
            Endpoint::BackchannelLogout(school()),
        ),
        (
            "frontchannel-logout/school",
            Endpoint::FrontchannelLogout(school()),
        ),
        ("callback/", Endpoint::Unknown),
        ("callback/School", Endpoint::Unknown),
        ("callback/school/x", Endpoint::Unknown),
        ("login/school", Endpoint::Unknown),
    ] {
        assert_eq!(endpoint(&format!("/_gateway/{path}")), expected, "{path}");
    }
    assert_eq!(endpoint("/_Gateway/callback"), Endpoint::Unknown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// In any directory, at any depth, in any case, with anything behind it.
    #[test]
    fn no_path_with_a_segment_of_prosody_is_forwarded(
        before in prop::collection::vec(
            prop::sample::select(vec![
                "acme", "a.b", "libs", "static", "etherpad", "socket.io", "rtcstats-ws", "transcripts", ".well-known", "x%20y",
            ]),
            0..4,
        ),
        name in prop::sample::select([SIGNALLING, ADMINISTRATIVE, COLIBRI, &["conference-request"]].concat()),
        upper in prop::collection::vec(any::<bool>(), 32),
        after in prop::sample::select(vec!["", "/", "/x", "/v1/y", "//", "/."]),
    ) {
        let name: String = name
            .chars()
            .zip(upper)
            .map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c })
            .collect();
        let path = format!("/{}/{name}{after}", before.join("/")).replace("//", "/");
        if let Ok(Routed { route, .. }) = classify(&path) {
            let judged = matches!(
                route,
                Route::Closed(_) | Route::Signalling { .. } | Route::ConferenceRequest { .. }
            );
            prop_assert!(judged, "{} is {:?}", path, route);
        }
    }

    #[test]
    fn a_protected_route_is_reached_by_its_own_spelling_only(path in "/[a-zA-Z%0-9/._-]{0,24}") {
        if let Ok(Routed { route: Route::ConferenceRequest { .. }, .. }) = classify(&path) {
            prop_assert!(path.ends_with(CONFERENCE_REQUEST) && !path.contains('%'));
        }
        if let Ok(Routed { route: Route::Signalling { .. }, .. }) = classify(&path) {
            prop_assert!(path.ends_with("/http-bind") || path.ends_with("/xmpp-websocket"));
            prop_assert!(!path.contains('%') && !path.contains("//"));
        }
    }
}
