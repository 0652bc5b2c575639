//! A school signs in at the beginning of a lesson.

use std::time::{Duration, Instant};

use http::{StatusCode, header};
use model::clock::Clock;
use tokio::{task::JoinSet, time::interval};

use crate::support::{
    process::GatewayProcess,
    site::{ORIGIN, Site, SiteOptions},
};

const PEOPLE: u32 = 500;

/// The time in which they come.
const RUSH: Duration = Duration::from_secs(5);

/// The time of each of the provider's responses.
const LATENCY: Duration = Duration::from_millis(50);

/// What a sign-in waits for at the provider: its page, its token endpoint and its userinfo.
const RESPONSES: u32 = 3;

/// The default timeout: the provider shares its processor with 500 browsers.
const RULES: &str = "[oidc]\ntimeout = \"10s\"\n[[room]]\nmatch = \"*\"\nenter = \"member\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures times: a step of tests/run of its own"]
async fn five_hundred_people_sign_in_within_five_seconds_at_one_worker() {
    let (_, control) = Clock::manual(Clock::system().now());
    let options = SiteOptions::default()
        .refresh_tokens()
        .rules(RULES)
        .listen("workers = 1")
        .clock(Clock::system(), control);
    let site = Site::with(options).await.ready().await;
    let config = site.file("gateway.toml");
    let process = tokio::task::spawn_blocking(move || GatewayProcess::start(&config));
    let process = process.await.unwrap();
    let address = process.https.unwrap();
    site.wait_for("the process knows the provider", async || {
        let page = site.browser().at(address).navigate("/x").await;
        page.status == StatusCode::OK
    })
    .await;
    let before = process.usage().ticks;
    site.provider.set_latency(LATENCY);

    let began = Instant::now();
    let mut arrivals = interval(RUSH / PEOPLE);
    let mut people = JoinSet::new();
    for _ in 0..PEOPLE {
        arrivals.tick().await;
        let mut browser = site.browser().at(address);
        people.spawn(async move {
            let began = Instant::now();
            let mut url = browser.begin("/x").await;
            url.query_pairs_mut().append_pair("login_hint", "max");
            // The provider's page, and the callback.
            for _ in 0..2 {
                let page = browser.load(&url).await;
                let location = page.headers.get(header::LOCATION);
                let location = location.unwrap_or_else(|| panic!("{}", page.text()));
                url = url.join(location.to_str().unwrap()).unwrap();
            }
            assert_eq!(url.as_str(), format!("{ORIGIN}/x"));
            assert!(browser.cookie("__Host-gateway-session").is_some());
            began.elapsed()
        });
    }
    let mut times = people.join_all().await;
    let took = began.elapsed();
    times.sort_unstable();
    let provider = LATENCY * RESPONSES;
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].saturating_sub(provider);
    let ticks = process.usage().ticks - before;
    println!(
        "{PEOPLE} people signed in within {took:?} at one worker, beyond the provider's {provider:?}: \
         median {:?}, p99 {:?}, longest {:?}; {ticks} hundredths of a second of processor time",
        at(50),
        at(99),
        at(100),
    );
}
