use proptest::prelude::*;

use super::*;
use crate::route::{Route, Routed};

fn location(path: &str, upstream: LocationUpstream) -> SiteLocation {
    SiteLocation {
        path: LocationPath::parse(path).unwrap(),
        upstream,
        access: LocationAccess::Anybody,
        methods: vec![Method::GET],
        websocket: false,
        keep_authorization: false,
    }
}

fn server() -> LocationUpstream {
    LocationUpstream::Server(Authority::from_static("files:3000"))
}

fn locations() -> SiteLocations {
    SiteLocations::new(vec![
        location("/wiki/", server()),
        location("/wiki/pictures/", LocationUpstream::Web),
        location("/file-service/", server()),
        location("/_api/room-info", LocationUpstream::Web),
        location("/notes/", LocationUpstream::Web),
        location("/static/branding/", server()),
        location("/dial-in.json", LocationUpstream::Web),
        location("/socket.io/", server()),
    ])
}

/// The path of the location, with the tenant before it; else the route's label.
fn route(path: &str) -> String {
    match Route::classify(path, &locations()) {
        Ok(Routed {
            route: Route::Location { location, tenant },
            ..
        }) => {
            let tenant = tenant.map_or_else(String::new, |tenant| format!("{}:", tenant.as_str()));
            format!("{tenant}{}", location.path.as_str())
        }
        Ok(routed) => routed.route.label().as_str().to_owned(),
        Err(_) => "refused".to_owned(),
    }
}

#[test]
fn the_longest_path_decides_and_a_directory_is_its_name_as_well() {
    for (path, expected) in [
        ("/wiki", "/wiki/"),
        ("/wiki/", "/wiki/"),
        ("/wiki/a/b", "/wiki/"),
        ("/wiki/pictures/x.png", "/wiki/pictures/"),
        ("/wiki/pictures", "/wiki/pictures/"),
        ("/wiki/picturesque", "/wiki/"),
        ("/wikis", "room"),
        ("/wikis/x", "room"),
        ("/file-service/v1/documents", "/file-service/"),
        ("/notes/v1/x", "/notes/"),
        ("/_api/room-info", "/_api/room-info"),
        ("/dial-in.json", "/dial-in.json"),
        ("/static/branding/logo.svg", "/static/branding/"),
        ("/static/close.html", "asset"),
        ("/socket.io/", "/socket.io/"),
        ("/etherpad/p/x", "/etherpad/"),
    ] {
        assert_eq!(route(path), expected, "{path}");
    }
}

#[test]
fn an_exact_path_has_nothing_below_it_and_no_slash() {
    for path in ["/_api/room-info/", "/_api/room-info/x", "/_api/other"] {
        assert_eq!(route(path), "closed", "{path}");
    }
    assert_eq!(route("/dial-in.json/x"), "room");
}

#[test]
fn a_tenant_is_before_locations_of_the_web_server_only() {
    for (path, expected) in [
        ("/acme/notes/x", "acme:/notes/"),
        ("/acme/_api/room-info", "acme:/_api/room-info"),
        ("/acme/etherpad/p/x", "acme:/etherpad/"),
        ("/acme/wiki/x", "closed"),
        ("/acme/wiki", "closed"),
        ("/acme/file-service/x", "closed"),
        ("/a/b/notes/x", "closed"),
        ("/admin/notes/x", "closed"),
        ("/libs/notes/x", "asset"),
    ] {
        assert_eq!(route(path), expected, "{path}");
    }
}

#[test]
fn other_spellings_of_a_location_are_closed() {
    for path in [
        "/WIKI/a",
        "/Wiki",
        "/wik%69/a",
        "/wiki/%61",
        "/File-Service/v1/x",
        "/_API/room-info",
        "/_api/Room-Info",
        "/acme/Notes/x",
        "/Socket.IO/",
    ] {
        assert_eq!(route(path), "closed", "{path}");
    }
    for path in [
        "/wiki/../x",
        "/wiki//x",
        "/wiki/%2e%2e/x",
        "/wiki%2fx",
        "/./wiki/x",
        "/wiki/a\\b",
    ] {
        assert_eq!(route(path), "refused", "{path}");
    }
}

#[test]
fn nothing_below_a_location_leads_to_prosody_jicofo_or_a_bridge() {
    for directory in [
        "/wiki",
        "/notes",
        "/socket.io",
        "/etherpad",
        "/file-service",
        "/acme/notes",
    ] {
        for rest in [
            "http-bind",
            "x/http-bind",
            "HTTP-bind/",
            "http-bindX",
            "xmpp-websocket",
            "conference-request/v1",
            "colibri-ws/x",
            "colibri-relay-ws",
        ] {
            let path = format!("{directory}/{rest}");
            // The signalling of a tenant that has the name of a location is still signalling.
            let judged = ["bosh", "websocket", "conference_request"];
            let signalling = judged.contains(&&*route(&path));
            assert!(
                route(&path) == "closed" || (signalling && is_of_tenant(&path)),
                "{path}"
            );
        }
    }
    // Jitsi's web server recognizes these at any depth; another server has names of its own.
    for rest in ["room-size", "rooms", "admin/x", "_api/room-info", "metrics"] {
        assert_eq!(route(&format!("/notes/{rest}")), "closed", "{rest}");
        assert_eq!(route(&format!("/wiki/{rest}")), "/wiki/", "{rest}");
    }
}

fn is_of_tenant(path: &str) -> bool {
    let end = path.splitn(3, '/').nth(2);
    matches!(
        end,
        Some("http-bind" | "xmpp-websocket" | "conference-request/v1")
    )
}

#[test]
fn signalling_and_the_gateways_own_paths_precede_locations() {
    assert_eq!(route("/http-bind"), "bosh");
    assert_eq!(route("/xmpp-websocket"), "websocket");
    assert_eq!(route("/_gateway/login"), "endpoint");
    assert_eq!(route("/wiki/config.js"), "/wiki/");
}

#[test]
fn a_location_cannot_have_the_path_of_something_else() {
    use LocationPathError as E;
    for (path, expected) in [
        ("/", E::Root),
        ("wiki/", E::Path(PathError::NotAbsolute)),
        ("/wiki//x", E::Path(PathError::EmptySegment)),
        ("/wiki/../x", E::Path(PathError::DotSegment)),
        ("/wiki%2fx", E::Path(PathError::Character)),
        ("/w%69ki/", E::Spelling("/wiki/".to_owned())),
        ("/_gateway/", E::Gateway),
        ("/_Gateway/x", E::Gateway),
        ("/http-bind", E::Signalling),
        ("/x/http-bind/", E::Signalling),
        ("/HTTP-Bind", E::Signalling),
        ("/xmpp-websocket", E::Signalling),
        ("/conference-request/", E::ConferenceRequest),
        ("/colibri-ws/", E::Colibri),
        ("/colibri-relay-ws/", E::Colibri),
        ("/rooms", E::Administrative),
        ("/x/room-size", E::Administrative),
        ("/admin/", E::Administrative),
        ("/admin_api/x", E::Administrative),
        ("/metrics", E::Administrative),
        ("/room-info", E::Administrative),
        ("/x/_api/room-info", E::Administrative),
        ("/_api/", E::Administrative),
        ("/_api", E::Administrative),
        ("/_api/room-info/", E::Administrative),
        ("/config.js", E::Config),
        ("/acme/config.js", E::Config),
    ] {
        assert_eq!(LocationPath::parse(path), Err(expected), "{path}");
    }
    for path in [
        "/wiki/",
        "/_api/room-info",
        "/_api/public/",
        "/file-service/v1/",
        "/x.json",
    ] {
        assert!(LocationPath::parse(path).is_ok(), "{path}");
    }
    for own in of_jitsi() {
        let path = own.path.as_str();
        assert_eq!(LocationPath::parse(path).as_ref(), Ok(&own.path), "{path}");
    }
}

#[test]
fn a_configured_location_replaces_jitsis_own() {
    let locations = SiteLocations::new(vec![location("/Etherpad", server())]);
    let paths: Vec<_> = locations.iter().map(|it| it.path.as_str()).collect();
    assert!(!paths.contains(&"/etherpad/"), "{paths:?}");
    assert_eq!(paths.len(), 5, "{paths:?}");
}

#[test]
fn head_is_allowed_where_get_is() {
    let wiki = location("/wiki/", server());
    assert!(wiki.allows(&Method::GET) && wiki.allows(&Method::HEAD));
    assert!(!wiki.allows(&Method::POST));
    assert_eq!(wiki.allow(), "GET, HEAD");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// In any location, at any depth, in any case, with anything behind it.
    #[test]
    fn no_location_forwards_a_segment_of_prosody(
        before in prop::collection::vec(
            prop::sample::select(vec!["acme", "wiki", "notes", "socket.io", "file-service", "pictures", "x%20y"]),
            1..4,
        ),
        name in prop::sample::select([SIGNALLING, COLIBRI, &[CONFERENCE_REQUEST_DIRECTORY]].concat()),
        upper in prop::collection::vec(any::<bool>(), 32),
        after in prop::sample::select(vec!["", "/", "/x", "/v1/y"]),
    ) {
        let name: String = name
            .chars()
            .zip(upper)
            .map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c })
            .collect();
        let path = format!("/{}/{name}{after}", before.join("/"));
        if let Ok(Routed { route, .. }) = Route::classify(&path, &locations()) {
            prop_assert!(!matches!(route, Route::Location { .. }), "{} is {:?}", path, route);
        }
    }
}
