//! Faults of Redis while people sign in, meet, are revalidated and sign out at two replicas.
//!
//! | fault | operations | `/readyz`, `store_ready` | sign-out | revalidation | data |
//! |---|---|---|---|---|---|
//! | killed | `unreachable` | degraded, 0 | 503, in effect here | tried again | lost |
//! | stopped | `timeout`, then `unreachable` | degraded, 0 | 503, in effect here | tried again | kept |
//! | full | `refused`, then `unreachable` | degraded, 0 | 503, in effect here | tried again | kept |
//! | rubbish | `unreachable` | degraded, 0 | 503, in effect here | tried again | lost |
//! | flushed | `ok` | ready, 1 | everywhere | no grant | lost |
//! | restarted | `ok` after a moment | ready, 1 | everywhere | no grant | lost |
//!
//! In each row people sign in and enter meetings, no cookie is deleted and no socket closes; afterwards a
//! sign-out counts at every replica.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode};
use rustix::process::Signal;

use super::{
    restarts::send_made_up_credentials,
    revalidation::{DUE, counted, is_open},
    revocation::closed_with,
};
use crate::support::{
    browser::{Browser, encode},
    redis_server::{RedisServer, RubbishServer},
    site::{CLIENT_ID, ORIGIN, Site, SiteOptions},
};

/// What happens to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
    Full,
    Rubbish,
    Flushed,
    Restarted,
}

const SESSION: &str = "__Host-gateway-session";

// === impl Fault ===

impl Fault {
    /// What `/readyz` names meanwhile; `None` if the server works again before anything is asked of it.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Killed => Some("refuses connections"),
            Self::Stopped => Some("does not answer"),
            Self::Full => Some("has no memory left"),
            // Depends on the bytes.
            Self::Rubbish => Some("store: "),
            Self::Flushed | Self::Restarted => None,
        }
    }

    fn loses_data(self) -> bool {
        !matches!(self, Self::Stopped | Self::Full)
    }

    async fn begin(self, redis: &mut RedisServer) -> Option<RubbishServer> {
        match self {
            Self::Killed => redis.kill(),
            Self::Stopped => redis.signal(Signal::STOP),
            Self::Full => {
                let set = redis.command("CONFIG SET maxmemory 1");
                assert_eq!(set.as_deref(), Some("+OK"));
            }
            Self::Rubbish => {
                redis.kill();
                return Some(RubbishServer::start(redis.address()).await);
            }
            Self::Flushed => {
                assert_eq!(redis.command("FLUSHALL").as_deref(), Some("+OK"));
            }
            Self::Restarted => {
                redis.kill();
                redis.launch();
            }
        }
        None
    }

    fn end(self, redis: &mut RedisServer) {
        match self {
            Self::Killed | Self::Rubbish => redis.launch(),
            Self::Stopped => redis.signal(Signal::CONT),
            Self::Full => {
                let set = redis.command("CONFIG SET maxmemory 0");
                assert_eq!(set.as_deref(), Some("+OK"));
            }
            Self::Flushed | Self::Restarted => {}
        }
    }
}

async fn site(redis: &RedisServer) -> Site {
    let rules = format!(
        "[store]\nkind = \"redis\"\nurl = \"{}\"\nconnect_timeout = \"1s\"\ntimeout = \"1s\"\n\
         [[room]]\nmatch = \"*\"\nenter = \"member\"\n",
        redis.url()
    );
    let options = SiteOptions::default().refresh_tokens().rules(&rules);
    Site::with(options).await.ready().await
}

/// Waits until `/readyz` names a state of the store, and compares the gauge.
async fn store_is(site: &Site, state: &str) {
    site.wait_for(state, async || site.readiness().await.1["store"] == state)
        .await;
    let gauge = format!(
        "jitsi_auth_gateway_store_ready {}\n",
        u8::from(state == "ready")
    );
    let metrics = site.metrics().await;
    assert!(metrics.contains(&gauge), "{state}: {metrics}");
}

/// The number of revalidations with a result.
async fn revalidated(site: &Site, result: &str) -> u64 {
    let series = format!("jitsi_auth_gateway_session_revalidations_total{{result=\"{result}\"}} ");
    let metrics = site.metrics().await;
    let sample = metrics.lines().find_map(|line| line.strip_prefix(&series));
    sample.map_or(0, |count| count.parse().unwrap())
}

/// Whether a person enters a meeting and gets its page at a replica.
async fn is_in(site: &Site, browser: &Browser) -> bool {
    let mut browser = site.again(browser);
    let page = browser.navigate("/x").await;
    assert_eq!(page.status, StatusCode::OK);
    let is_page = page.url.path() == "/x";
    assert_eq!(browser.socket("room=x").await.is_ok(), is_page);
    is_page
}

async fn endure(fault: Fault) {
    let mut redis = RedisServer::start();
    let one = site(&redis).await;
    let two = one.replica().await;
    for replica in [&one, &two] {
        store_is(replica, "ready").await;
    }
    let mut max = one.signed_in("max").await;
    let mut of_max = max.socket("room=x").await.unwrap();
    let mut mia = two.signed_in("mia").await;
    let mut of_mia = mia.socket("room=x").await.unwrap();
    one.clock_control.advance(DUE);
    for replica in [&one, &two] {
        counted(replica, "unchanged", 1).await;
    }
    let mut hanna = one.browser();
    let begun = hanna.begin("/x").await;

    let rubbish = fault.begin(&mut redis).await;

    // A sign-in under way ends at the other replica.
    let began = Instant::now();
    hanna = two.again(&hanna);
    let page = hanna.finish("hanna", &begun).await;
    let signing_in = began.elapsed();
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.url.path(), "/x");
    // Meetings go on, and begin.
    for (site, browser) in [(&one, &hanna), (&two, &max)] {
        assert!(is_in(site, browser).await);
    }
    // The provider is asked again, or later.
    let refreshed = match fault.reason() {
        Some(_) => "failed",
        None => "no_grant",
    };
    one.clock_control.advance(DUE);
    one.wait_for(refreshed, async || revalidated(&one, refreshed).await > 0)
        .await;
    // A sign-out counts here at once.
    let saved = mia.clone();
    let left = mia.navigate("/_gateway/logout").await;
    assert_eq!(closed_with(&mut of_mia).await, 1008);
    assert!(!is_in(&two, &saved).await);
    if let Some(reason) = fault.reason() {
        assert_eq!(left.status, StatusCode::SERVICE_UNAVAILABLE);
        for replica in [&one, &two] {
            store_is(replica, "unreachable").await;
            // The first failure is that of the connection which was open: "closed the connection".
            replica
                .wait_for(reason, async || {
                    let (status, body) = replica.readiness().await;
                    assert_eq!(status, StatusCode::OK);
                    assert_eq!(body["status"], "degraded");
                    body["reasons"].to_string().contains(reason)
                })
                .await;
        }
        assert!(
            is_in(&one, &saved).await,
            "this replica does not know it yet"
        );
    } else {
        assert_eq!(left.status, StatusCode::OK);
    }

    if let Some(rubbish) = rubbish {
        rubbish.stop().await;
    }
    fault.end(&mut redis);
    for replica in [&one, &two] {
        store_is(replica, "ready").await;
    }
    one.wait_for("the sign-out counts everywhere", async || {
        one.again(&saved).socket("room=x").await.is_err()
    })
    .await;
    for replica in [&one, &two] {
        for person in [&max, &hanna] {
            assert!(is_in(replica, person).await);
        }
        assert!(!is_in(replica, &saved).await);
    }
    assert!(is_open(&mut of_max).await);
    for person in [&max, &hanna] {
        assert!(person.cookie(SESSION).is_some());
    }
    if !fault.loses_data() {
        // Either replica may ask.
        let asked = async || {
            let (one, two) = (&one, &two);
            revalidated(one, "unchanged").await + revalidated(two, "unchanged").await
        };
        let before = asked().await;
        one.clock_control.advance(DUE);
        one.wait_for("the provider is asked again", async || {
            asked().await > before
        })
        .await;
    }
    assert!(is_open(&mut of_max).await);
    println!("{fault:?}: the sign-in took {signing_in:?}, revalidation: {refreshed}");
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_killed_store_ends_no_session() {
    endure(Fault::Killed).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_stopped_store_ends_no_session() {
    endure(Fault::Stopped).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_full_store_ends_no_session() {
    endure(Fault::Full).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_store_that_answers_rubbish_ends_no_session() {
    endure(Fault::Rubbish).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_flushed_store_ends_no_session() {
    endure(Fault::Flushed).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_restarted_store_ends_no_session() {
    endure(Fault::Restarted).await;
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_new_replica_accepts_no_connection_before_it_has_read_the_revocations() {
    let redis = RedisServer::start();
    let one = site(&redis).await;
    store_is(&one, "ready").await;
    let mut max = one.signed_in("max").await;
    let mia = one.signed_in("mia").await;
    let saved = max.clone();
    max.navigate("/_gateway/logout").await;

    redis.signal(Signal::STOP);
    let two = one.replica().await;
    let (status, body) = two.readiness().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["status"], "starting", "{body}");
    assert!(two.metrics().await.contains("jitsi_auth_gateway_ready 0\n"));
    // The connection waits.
    let mut thief = two.again(&saved);
    let page = tokio::spawn(async move { thief.navigate("/x").await });
    redis.signal(Signal::CONT);
    assert_eq!(page.await.unwrap().url.path(), "/_gateway/login");
    assert!(is_in(&two, &mia).await);
    let (status, _) = two.readiness().await;
    assert_eq!(status, StatusCode::OK);
    assert!(two.metrics().await.contains("jitsi_auth_gateway_ready 1\n"));
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_new_replica_opens_without_a_store_that_stays_away() {
    let mut redis = RedisServer::start();
    let one = site(&redis).await;
    store_is(&one, "ready").await;
    let mut max = one.signed_in("max").await;
    let mia = one.signed_in("mia").await;
    let saved = max.clone();
    max.navigate("/_gateway/logout").await;

    redis.kill();
    let two = one.replica().await;
    assert!(is_in(&two, &mia).await);
    let (status, body) = two.readiness().await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["status"], "degraded", "{body}");
    // As docs/operations.md says.
    assert!(is_in(&two, &saved).await);
    redis.launch();
    two.wait_for("the sign-out counts", async || {
        two.again(&saved).socket("room=x").await.is_err()
    })
    .await;
    assert!(!is_in(&two, &saved).await);
    assert!(is_in(&two, &mia).await);
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn a_logout_token_is_accepted_by_one_replica_only() {
    let redis = RedisServer::start();
    let one = site(&redis).await;
    let two = one.replica().await;
    for replica in [&one, &two] {
        store_is(replica, "ready").await;
    }
    let send = async |site: &Site, token: &str| {
        let url = format!("{ORIGIN}/_gateway/backchannel-logout")
            .parse()
            .unwrap();
        let body = format!("logout_token={}", encode(token)).into();
        let mut provider = site.browser();
        let answer = provider.send(Method::POST, &url, HeaderMap::new(), body);
        answer.await.status
    };
    let token = one.provider.logout_token(CLIENT_ID, Some("max"), None);
    assert_eq!(send(&one, &token).await, StatusCode::OK);
    one.clock_control.advance(Duration::from_secs(2));
    let max = one.signed_in("max").await;
    for replica in [&two, &one] {
        assert_eq!(send(replica, &token).await, StatusCode::BAD_REQUEST);
    }
    assert!(is_in(&two, &max).await);
    let another = one.provider.logout_token(CLIENT_ID, Some("max"), None);
    assert_eq!(send(&two, &another).await, StatusCode::OK);
    assert!(!is_in(&two, &max).await);
}

#[tokio::test]
#[ignore = "needs a redis-server, named by GATEWAY_TEST_REDIS"]
async fn made_up_credentials_add_nothing_to_the_store() {
    let redis = RedisServer::start();
    let site = site(&redis).await;
    store_is(&site, "ready").await;
    let mut max = site.signed_in("max").await;
    let own = max.cookie(SESSION).unwrap().to_owned();
    max.navigate("/_gateway/logout").await;
    // What the sign-out removes, and the entry of a live replica.
    site.wait_for("the grant is removed", async || {
        redis.command("KEYS *session-grant*").as_deref() == Some("*0")
    })
    .await;
    let entries = redis.command("DBSIZE").unwrap();
    send_made_up_credentials(&site, &own, 2_000).await;
    assert_eq!(redis.command("DBSIZE").unwrap(), entries);
}
