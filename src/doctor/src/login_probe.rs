//! The login probe, which runs beside the gateway: it logs in at each Prosody, with a valid token
//! and without a token, and closes the session.
//!
//! It opens no room and no occupant sees it. The results are metrics and part of `/readyz`.

use std::time::Duration;

use futures_util::future::join_all;
use http::uri::Authority;
use model::{clock::Clock, policy::Role, random::Random, token};
use observe::metrics::{ProbeMetrics, ProbeVerdict};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    client::{BoshError, BoshSession, Endpoint, XmppServer},
    test_tokens::TestTokens,
};

/// A Prosody to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedBackend {
    /// The value of the metrics' label `backend`.
    pub name: String,
    /// Prosody's HTTP endpoint.
    pub xmpp: Authority,
    /// Its XMPP domain.
    pub domain: String,
}

/// The part of the configuration that the probe uses; a reload may replace it.
#[derive(Clone, Debug)]
pub struct LoginProbeSettings {
    /// One per shard.
    pub backends: Vec<ProbedBackend>,
    /// The gateway's own settings for tokens.
    pub token: token::TokenSettings,
}

/// The periodic task.
#[derive(Debug)]
pub struct LoginProber {
    /// The mean time between two rounds; each pause differs by up to a tenth.
    pub every: Duration,
    /// The latest settings.
    pub settings: watch::Receiver<LoginProbeSettings>,
    /// Receives the verdicts.
    pub metrics: ProbeMetrics,
    /// For tokens, and for the time of a verdict.
    pub clock: Clock,
    /// For tokens, request ids and pauses.
    pub random: Random,
}

// === impl LoginProber ===

impl LoginProber {
    /// Probes until `stopped` is cancelled.
    pub async fn run(self, stopped: CancellationToken) {
        let probing = async {
            loop {
                self.round().await;
                sleep(self.pause()).await;
            }
        };
        stopped.run_until_cancelled(probing).await;
    }

    async fn round(&self) {
        let settings = self.settings.borrow().clone();
        let is_known = |name: &str| settings.backends.iter().any(|backend| backend.name == name);
        self.metrics.retain(is_known);
        let probing = settings.backends.iter().map(|backend| async {
            let began = Instant::now();
            let probed = timeout(ROUND_TIMEOUT, self.probe(backend, &settings.token));
            let verdict = probed.await.unwrap_or(ProbeVerdict::NoAnswer);
            self.record(backend, verdict, began.elapsed());
        });
        join_all(probing).await;
    }

    /// Updates the metrics, and logs if the verdict changed.
    fn record(
        &self,
        ProbedBackend { name, xmpp, .. }: &ProbedBackend,
        verdict: ProbeVerdict,
        took: Duration,
    ) {
        let before = self.metrics.record(name, verdict, took, self.clock.now());
        let reason = verdict.as_str();
        match (before, verdict) {
            (before, now) if before == Some(now) => {}
            (None, ProbeVerdict::Ok) => {}
            (_, ProbeVerdict::Ok) => info!(backend = name, "logins at Prosody work again"),
            (_, ProbeVerdict::Open) => warn!(
                backend = name, %xmpp,
                "Prosody accepts logins without a token; run the doctor"
            ),
            _ => warn!(
                backend = name, %xmpp, reason,
                "logins at Prosody fail; run the doctor"
            ),
        }
    }

    /// Logs in without a token first: an open Prosody is worse than one that is down.
    async fn probe(
        &self,
        backend: &ProbedBackend,
        settings: &token::TokenSettings,
    ) -> ProbeVerdict {
        let server = XmppServer::prosody(Endpoint::plain(&backend.xmpp), &backend.domain);
        match self.log_in(&server, None).await {
            ProbeVerdict::Ok => return ProbeVerdict::Open,
            ProbeVerdict::Refused => {}
            other => return other,
        }
        let tokens = TestTokens::new(settings, self.clock.clone(), self.random.clone());
        let token = tokens.and_then(|tokens| tokens.valid(&tokens.room(), Role::Participant));
        match token {
            Ok(token) => self.log_in(&server, Some(&token)).await,
            // Users cannot log in either if no token can be signed.
            Err(_) => ProbeVerdict::Refused,
        }
    }

    async fn log_in(&self, server: &XmppServer, token: Option<&str>) -> ProbeVerdict {
        let mut session = match BoshSession::open(server, token, &self.random).await {
            Ok(session) => session,
            Err(error) => return verdict(&error),
        };
        let result = session.log_in().await;
        session.close().await;
        match result {
            Ok(Ok(())) => ProbeVerdict::Ok,
            Ok(Err(_)) => ProbeVerdict::Refused,
            Err(error) => verdict(&error),
        }
    }

    /// Random, so that the probes of replicas that started together drift apart.
    fn pause(&self) -> Duration {
        let [spread] = self.random.bytes();
        self.every * 9 / 10 + self.every / 5 * u32::from(spread) / 255
    }
}

fn verdict(error: &BoshError) -> ProbeVerdict {
    match error {
        BoshError::Http(_) => ProbeVerdict::Unreachable,
        BoshError::NotBosh(_) | BoshError::Terminated(_) => ProbeVerdict::NoSession,
        BoshError::Timeout(_) => ProbeVerdict::NoAnswer,
    }
}

/// Longer than a login for which Prosody has to fetch a key.
const ROUND_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn prober(xmpp: Authority) -> LoginProber {
        let settings = LoginProbeSettings {
            backends: vec![ProbedBackend {
                name: "main".to_owned(),
                xmpp,
                domain: "meet.jitsi".to_owned(),
            }],
            token: token::TokenSettings {
                issuer: "gateway".to_owned(),
                audience: "jitsi".to_owned(),
                subject: "meet.jitsi".to_owned(),
                lifetime: Duration::from_mins(2),
                claims: token::PersonalClaims::ALL,
                signing: token::SigningSettings::Secret {
                    algorithm: jsonwebtoken::Algorithm::HS256,
                    secret: "0123456789abcdef0123456789abcdef".to_owned().into(),
                },
            },
        };
        LoginProber {
            every: Duration::from_mins(1),
            settings: watch::Sender::new(settings).subscribe(),
            metrics: ProbeMetrics::default(),
            clock: Clock::system(),
            random: Random::system(),
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let prober = prober(address.parse().unwrap());
        prober.round().await;
        assert_eq!(
            prober.metrics.verdicts().get("main"),
            Some(&ProbeVerdict::Unreachable)
        );
    }

    /// Returns the response body for a request, head and body.
    type Script = fn(&str) -> &'static str;

    /// Starts a BOSH server that responds to every request by the script.
    async fn scripted(script: impl Fn(&str) -> &'static str + Send + 'static) -> Authority {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"</body>") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let body = script(std::str::from_utf8(&request).unwrap());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let response = head + body;
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        address.parse().unwrap()
    }

    const ACCEPTS: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='s'>\
                           <features/><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></body>";
    const REFUSES: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='s'>\
        <features/><failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-allowed/></failure></body>";
    const TERMINATES: &str = "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' \
                              condition='internal-server-error'/>";

    fn by_token(request: &str) -> &'static str {
        if request.contains("authorization: Bearer ey") {
            ACCEPTS
        } else {
            REFUSES
        }
    }

    #[tokio::test]
    async fn each_behaviour_of_prosody_has_its_verdict() {
        let cases: [(Script, ProbeVerdict); 5] = [
            (by_token, ProbeVerdict::Ok),
            (|_| ACCEPTS, ProbeVerdict::Open),
            (|_| REFUSES, ProbeVerdict::Refused),
            (|_| TERMINATES, ProbeVerdict::NoSession),
            (|_| "<html>It works!</html>", ProbeVerdict::NoSession),
        ];
        for (script, expected) in cases {
            let prober = prober(scripted(script).await);
            prober.round().await;
            assert_eq!(prober.metrics.verdicts().get("main"), Some(&expected));
        }
    }

    const NOTHING: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='s'/>";

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_polls_at_once_with_nothing_gets_few() {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let server = scripted(move |_| {
            let before = counted.fetch_add(1, Ordering::Relaxed);
            assert!(before < 1000, "the probe spins");
            NOTHING
        });
        let prober = prober(server.await);
        prober.round().await;
        let verdicts = prober.metrics.verdicts();
        assert_eq!(verdicts.get("main"), Some(&ProbeVerdict::NoAnswer));
        // A creation, seven seconds for the features, seven for the reply to the login, and the end.
        let requests = requests.load(Ordering::Relaxed);
        assert!((4..=24).contains(&requests), "{requests}");
    }

    #[test]
    fn pauses_differ_by_a_tenth_at_most() {
        let prober = prober("127.0.0.1:1".parse().unwrap());
        for _ in 0..100 {
            let pause = prober.pause();
            assert!(
                (Duration::from_secs(54)..=Duration::from_secs(66)).contains(&pause),
                "{pause:?}"
            );
        }
    }
}
