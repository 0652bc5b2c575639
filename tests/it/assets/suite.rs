//! The cases of a public suite for HTTP caches, played with the running gateway.
//!
//! The ids, and what each case is about, are those of <https://github.com/http-tests/cache-tests>, commit b55b8bd
//! (25 groups, 370 cases); the tables are our own. As there, a case that presupposes what a cache need not do
//! says nothing about a cache that does not do it.
//!
//! The gateway fetches a file by a request of its own; if it cannot store the response, it forwards that of
//! the client as well, which the suite's own client would take for a repetition. So what counts is the last request
//! that the web server received for a request of the client.

mod stage;
mod table;

use std::collections::BTreeSet;

use http::{Method, StatusCode};

use self::{
    stage::{Deviation, Stage},
    table::{Case, Departure, Kind},
};
use super::{Client, site_at};
use crate::support::{
    asset_server::Script,
    raw_upstream::{RawUpstream, Step},
};

const TABLES: [&str; 7] = [
    include_str!("suite/freshness.txt"),
    include_str!("suite/control.txt"),
    include_str!("suite/status.txt"),
    include_str!("suite/vary.txt"),
    include_str!("suite/conditional.txt"),
    include_str!("suite/headers.txt"),
    include_str!("suite/other.txt"),
];

/// Why cases are left out, and why this cache departs from others.
const REASONS: [(&str, &str); 15] = [
    ("cdn", "CDN-Cache-Control is for networks of caches"),
    ("coding", "a coding that was not asked for is not stored"),
    ("cookie", "what sets a cookie may concern one person"),
    (
        "credentials",
        "the response to a request with credentials is not stored, whatever it permits",
    ),
    (
        "date",
        "a date with a name in another case, or of another weekday, is none",
    ),
    ("interim", "interim responses end at the gateway"),
    (
        "method",
        "methods that change a file are refused at the paths that are cached",
    ),
    (
        "no-cache",
        "what may not be reused without validation is not stored",
    ),
    (
        "no-date",
        "a response without Last-Modified is sent again: its Date is not compared with the condition",
    ),
    (
        "part",
        "parts are not stored; ranges are cut from the whole",
    ),
    ("private", "the gateway is a shared cache"),
    (
        "revalidate",
        "stale-while-revalidate is not implemented: nothing stale is served while the server answers",
    ),
    ("status", "a status other than 200 is not stored"),
    (
        "understood",
        "no-store counts, whatever must-understand permits",
    ),
    (
        "vary",
        "what depends on other fields than Accept-Encoding is not stored",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    AsRequired,
    Optimal,
    Stricter,
    Different,
    Answered,
    LeftOut,
}

#[tokio::test]
async fn every_case_has_its_verdict() {
    let cases: Vec<_> = TABLES.iter().copied().flat_map(table::parse).collect();
    let ids: BTreeSet<_> = cases.iter().map(|case| &*case.id).collect();
    assert_eq!((cases.len(), ids.len()), (370, 370));
    let mut stage = Stage::new().await;
    let (mut verdicts, mut wrong) = (Vec::new(), Vec::new());
    for case in &cases {
        let reason = case.departure.as_ref().map(reason);
        if case.kind == Kind::LeftOut {
            verdicts.push(Verdict::LeftOut);
            continue;
        }
        let played = stage.play(case).await;
        match verdict(case, &played) {
            Some(verdict) => verdicts.push(verdict),
            None => wrong.push(format!("{}: {played:?}", case.id)),
        }
        if let (Some(reason), Err(deviation)) = (reason, &played) {
            println!("{}: {} ({reason})", case.id, deviation.text);
        }
    }
    let count = |which| verdicts.iter().filter(|it| **it == which).count();
    let counts = [
        count(Verdict::AsRequired),
        count(Verdict::Optimal),
        count(Verdict::Stricter),
        count(Verdict::Different),
        count(Verdict::Answered),
        count(Verdict::LeftOut),
    ];
    let [required, optimal, stricter, different, answered, left_out] = counts;
    println!(
        "{} cases: {required} as required, {optimal} optimal, {stricter} stricter, {different} named differences, \
         {answered} questions answered, {left_out} left out",
        cases.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(counts, [139, 35, 60, 1, 85, 50]);
}

/// The verdict on a case; none if the cache departs from it otherwise than its line says.
fn verdict(case: &Case, played: &Result<(), Deviation>) -> Option<Verdict> {
    match (case.kind, &case.departure, played) {
        (Kind::Required, None, Ok(())) => Some(Verdict::AsRequired),
        (Kind::Optimal, None, Ok(())) => Some(Verdict::Optimal),
        (Kind::Optimal, Some(Departure::Stricter(_)), Err(found)) if found.is_stricter => {
            Some(Verdict::Stricter)
        }
        (Kind::Required, Some(Departure::Stricter(_)), Err(found))
            if found.is_stricter && found.is_presupposed =>
        {
            Some(Verdict::Stricter)
        }
        (Kind::Optimal, Some(Departure::Different(_)), Err(found)) if !found.is_stricter => {
            Some(Verdict::Different)
        }
        (Kind::Check(answer), None, played) if played.is_ok() == answer => Some(Verdict::Answered),
        _ => None,
    }
}

fn reason(departure: &Departure) -> &'static str {
    let (Departure::Stricter(name) | Departure::Different(name)) = departure;
    let found = REASONS.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no reason {name}")).1
}

/// The cases that are left out with the reason `method`.
#[tokio::test]
async fn methods_that_change_a_file_reach_neither_the_web_server_nor_the_cache() {
    let Stage {
        server, mut client, ..
    } = Stage::new().await;
    server.script("/libs/a.js", Script::new(&["cache-control: max-age=3600"]));
    client.get("/libs/a.js?v=1").await;
    assert_eq!(server.take_received().len(), 1);
    for method in ["POST", "PUT", "DELETE", "M-SEARCH"] {
        let method: Method = method.parse().unwrap();
        let refused = client.send(method, "/libs/a.js?v=1", &[], "abc").await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(client.get("/libs/a.js?v=1").await.status, StatusCode::OK);
        assert_eq!(server.count(), 0);
    }
}

/// The cases that are left out with the reason `interim`.
#[tokio::test]
async fn nothing_of_interim_responses_is_stored() {
    let server = RawUpstream::start().await;
    let answer = "HTTP/1.1 102 Processing\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\nX-Early: 1\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nCache-Control: max-age=3600\r\nContent-Length: 2\r\n\r\nok";
    server.script("/css/all.css?v=1", &[Step::Write(answer.into())]);
    let site = site_at(server.url(), "", "").await;
    let mut client = Client::of(&site);
    for _ in 0..2 {
        let page = client.get("/css/all.css?v=1").await;
        assert_eq!((page.status, &*page.text()), (StatusCode::OK, "ok"));
        for name in ["link", "x-early"] {
            assert!(!page.headers.contains_key(name), "{name}");
        }
    }
    assert_eq!(server.connections_of("/css/all.css?v=1").len(), 1);
}
