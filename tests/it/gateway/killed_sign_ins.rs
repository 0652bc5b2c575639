//! The process is killed at any moment of a sign-in: afterwards the person has a session that works, or none.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{StatusCode, header};
use model::{clock::Clock, random::Random};
use tokio::task::spawn_blocking;
use url::Url;

use crate::support::{
    browser::Browser,
    process::{GatewayProcess, request},
    site::{Site, SiteOptions},
};

const KILLS: usize = 30;
const SESSION: &str = "__Host-gateway-session";

/// A browser on its way through the redirects of a sign-in.
#[derive(Clone)]
struct Visit {
    browser: Browser,
    next: Url,
    /// The response to the last request was the page of the room.
    arrived: bool,
}

/// How people got to the room after the process was killed.
#[derive(Debug, Default)]
struct Outcomes {
    /// The sign-in was complete.
    complete: usize,
    /// The browser repeated the request that was interrupted.
    repeated: usize,
    /// The person signed in anew.
    anew: usize,
}

// === impl Visit ===

impl Visit {
    fn new(browser: Browser) -> Self {
        let login = "https://meet.example.org/_gateway/login?return_to=%2Fx";
        Self {
            browser,
            next: Url::parse(login).unwrap(),
            arrived: false,
        }
    }

    /// Loads the next page and goes on to where it leads.
    async fn step(&mut self) -> StatusCode {
        let page = self.browser.load(&self.next).await;
        if let Some(location) = page.headers.get(header::LOCATION) {
            self.next = self.next.join(location.to_str().unwrap()).unwrap();
        } else if page.text().contains("code_challenge") {
            self.next = page.authorization_url();
            self.next.query_pairs_mut().append_pair("login_hint", "max");
        } else {
            self.arrived = self.next.path() == "/x";
        }
        page.status
    }
}

/// Signs in; `progress` has the state after each response that came.
async fn sign_in(progress: Arc<Mutex<Visit>>) {
    let mut visit = progress.lock().unwrap().clone();
    while !visit.arrived {
        let status = visit.step().await;
        assert!(!status.is_client_error() && !status.is_server_error());
        *progress.lock().unwrap() = visit.clone();
    }
}

/// Starts the program, and waits until it knows the provider.
async fn start(site: &Site) -> GatewayProcess {
    let config = site.file("gateway.toml");
    let process = spawn_blocking(move || GatewayProcess::start(&config));
    let process = process.await.unwrap();
    let admin = process.admin;
    site.wait_for("the provider is known", async || {
        let answer = spawn_blocking(move || request(admin, "GET /readyz", "").unwrap());
        answer.await.unwrap().contains("\"provider\":\"ready\"")
    })
    .await;
    process
}

/// Whether the room's page and its WebSocket are open to a browser.
async fn is_in(browser: &mut Browser) -> bool {
    let page = browser.navigate("/x").await;
    let socket = browser.socket("room=x").await;
    assert_eq!(page.url.path() == "/x", socket.is_ok(), "half a session");
    socket.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes processor time for a while: a step of tests/run"]
async fn a_sign_in_whose_process_is_killed_leaves_a_whole_session_or_none() {
    let (_, control) = Clock::manual(Clock::system().now());
    let options = SiteOptions::default()
        .refresh_tokens()
        .clock(Clock::system(), control);
    let site = Site::with(options).await.ready().await;
    let seed = u64::from_be_bytes(Random::system().bytes());
    println!("seed {seed}");
    let random = Random::predictable(seed);

    let mut process = start(&site).await;
    // The time of a sign-in; the first is slower.
    let mut whole = Duration::ZERO;
    for _ in 0..2 {
        let began = Instant::now();
        let visit = Visit::new(site.browser().at(process.https.unwrap()));
        sign_in(Arc::new(Mutex::new(visit))).await;
        whole = began.elapsed();
    }
    let whole = u64::try_from(whole.as_micros()).unwrap();

    let mut outcomes = Outcomes::default();
    for _ in 0..KILLS {
        let visit = Visit::new(site.browser().at(process.https.unwrap()));
        let progress = Arc::new(Mutex::new(visit));
        let signing_in = tokio::spawn(sign_in(Arc::clone(&progress)));
        let moment = u64::from_be_bytes(random.bytes()) % whole;
        // The moment of the kill, and no wait for anything.
        tokio::time::sleep(Duration::from_micros(moment)).await;
        spawn_blocking(move || drop(process)).await.unwrap();
        // It ends, or fails for lack of a server.
        let _ = signing_in.await;
        process = start(&site).await;

        let Visit { browser, next, .. } = progress.lock().unwrap().clone();
        let mut browser = browser.at(process.https.unwrap());
        if browser.cookie(SESSION).is_some() {
            assert!(is_in(&mut browser).await, "the cookie opens nothing");
            outcomes.complete += 1;
            continue;
        }
        assert!(!is_in(&mut browser.clone()).await);
        // The request without a response, as the browser's reload sends it.
        let mut repeated = Visit {
            browser: browser.clone(),
            next,
            arrived: false,
        };
        let mut status = StatusCode::OK;
        while !repeated.arrived && !status.is_client_error() && !status.is_server_error() {
            status = repeated.step().await;
        }
        assert_eq!(repeated.arrived, repeated.browser.cookie(SESSION).is_some());
        if repeated.arrived {
            outcomes.repeated += 1;
            browser = repeated.browser;
        } else {
            let page = repeated.browser.sign_in("max", "/x").await;
            assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/x"));
            outcomes.anew += 1;
            browser = repeated.browser;
        }
        assert!(is_in(&mut browser).await);
    }
    println!("{KILLS} kills: {outcomes:?}, seed {seed}");
}
