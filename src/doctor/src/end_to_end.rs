//! Logins through the public address, as browsers make them, by a test user that the gateway
//! admits.
//!
//! They run after a successful login directly at Prosody, so a failure has its cause in the gateway
//! or in a hop before it. The same login at the gateway's own listener distinguishes the two.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use config::Config;
use http::{HeaderName, HeaderValue, Request, header};
use model::{clock::Clock, identity::Identity, policy::Role, random::Random};

use self::{
    idle::IdleChecks,
    verdicts::{LargestHead, ListenerLogin},
};
use super::{
    Check, DoctorReport, TestUsers, TrustAnchors,
    client::{BoshError, BoshSession, Endpoint, HttpError, HttpResponse, XmppServer},
    options::Progress,
    test_tokens::TestTokens,
    test_users,
};

mod idle;
mod verdicts;

/// The checks S4, S6, R3, S2 and S3.
pub(super) struct EndToEndChecks<'e> {
    pub(super) config: &'e Config,
    pub(super) trust: &'e TrustAnchors,
    pub(super) clock: &'e Clock,
    pub(super) random: &'e Random,
    pub(super) progress: &'e Progress<'e>,
    /// For how long connections are idle in S2 and S3, which are skipped without it.
    pub(super) idle: Option<Duration>,
}

/// Servers and tokens for S6.
struct ForgedRequests<'f> {
    /// The gateway, with the test user's token.
    gateway: &'f XmppServer,
    /// The gateway, with `prosody_token` instead.
    with_prosody_token: XmppServer,
    /// The gateway, without a token.
    without_token: XmppServer,
    /// A token for Prosody, which the gateway must not accept from clients.
    prosody_token: &'f str,
}

// === impl EndToEndChecks ===

impl EndToEndChecks<'_> {
    /// Runs the checks.
    pub(super) async fn run(&self, report: &mut DoctorReport) {
        let all = || Check::PublicLogin.with_dependents();
        let (Some(jitsi), Ok(tls)) = (self.config.jitsi(), self.trust.client_config()) else {
            report.skip(all(), "meetings are at 8x8");
            return;
        };
        let Ok(tokens) = TestTokens::new(&jitsi.token, self.clock.clone(), self.random.clone())
        else {
            report.skip(all(), "no token can be signed");
            return;
        };
        let (room, user) = (tokens.room(), test_user());
        if !test_users::is_admitted(self.config, &room, &user, self.clock) {
            report.skip(all(), "the rules admit no test user to a test room");
            return;
        }
        let users = TestUsers::new(self.config, self.clock.clone(), self.random.clone());
        let lifetime = LIFETIME + self.idle.unwrap_or_default() * 2;
        let invited = users.invite(&room, Role::Moderator, &user, lifetime);
        let public_url = &self.config.public_url;
        let endpoint = Endpoint::tls(public_url.authority(), tls);
        let domain = &jitsi.upstream.xmpp_domain;
        let server = |token: &str| {
            XmppServer::gateway(endpoint.clone(), domain, public_url, room.node(), token)
        };
        let gateway = server(invited.as_str());
        if !self.public_login(&gateway, report).await {
            report.skip_dependents(Check::PublicLogin);
            return;
        }
        if self.progress.begins(Check::ForgedRequest) {
            let prosody_token = tokens.valid(&room, Role::Moderator).unwrap_or_default();
            let requests = ForgedRequests {
                gateway: &gateway,
                with_prosody_token: server(&prosody_token),
                without_token: server(""),
                prosody_token: &prosody_token,
            };
            self.forged_requests(&requests, report).await;
        }
        if self.progress.begins(Check::HeadSize) {
            let page = format!("{}?jwt={}", room.page_path(), invited.as_str());
            let largest = self.largest_head(&endpoint, &[&page, LOGIN_PATH]).await;
            report.record(Check::HeadSize, verdicts::head_size(&largest));
        }
        match self.idle {
            Some(idle) => {
                let checks = IdleChecks {
                    server: &gateway,
                    idle,
                    progress: self.progress,
                    random: self.random,
                };
                checks.run(report).await;
            }
            None => report.skip(
                [Check::IdleWebSocket, Check::IdleBosh],
                "they take minutes; --slow runs them",
            ),
        }
    }

    /// S4: returns whether the test user logs in.
    async fn public_login(&self, gateway: &XmppServer, report: &mut DoctorReport) -> bool {
        self.progress.begins(Check::PublicLogin);
        let Err(error) = self.log_in(gateway, None).await else {
            report.pass(Check::PublicLogin);
            return true;
        };
        let listener = self.log_in_at_listener(gateway).await;
        report.fail(verdicts::public_login_failed(&error, &listener));
        false
    }

    /// Repeats the login at the gateway's own listener, if it runs on this machine.
    async fn log_in_at_listener(&self, gateway: &XmppServer) -> ListenerLogin {
        let server = &self.config.server;
        // A Unix socket accepts requests of a proxy only.
        let listener = match (server.https, server.http_port()) {
            (Some(address), _) => Some((address, gateway.endpoint.clone())),
            (None, Some(address)) => {
                let plain = Endpoint::plain(self.config.public_url.authority());
                Some((address, plain))
            }
            (None, None) => None,
        };
        let Some((address, endpoint)) = listener else {
            return ListenerLogin::Unknown;
        };
        let endpoint = endpoint.at(loopback_if_unspecified(address));
        let jwks = self.get(&endpoint, JWKS_PATH).await;
        // On another machine, another server may listen at this port.
        if !jwks.is_ok_and(|response| response.text().starts_with("{\"keys\":")) {
            return ListenerLogin::Unknown;
        }
        match self.log_in(&gateway.clone().via(endpoint), None).await {
            Ok(()) => ListenerLogin::Accepted(address),
            // The plain listener accepts requests of trusted proxies only.
            Err(error) if verdicts::is_misdirected(&error) => ListenerLogin::Unknown,
            Err(error) => ListenerLogin::Failed(address, error),
        }
    }

    /// S6: the gateway does not accept tokens for Prosody, and forged headers do not change a
    /// login.
    async fn forged_requests(&self, requests: &ForgedRequests<'_>, report: &mut DoctorReport) {
        let bearer = HeaderValue::try_from(format!("Bearer {}", requests.prosody_token)).ok();
        // If the rules admit anonymous visitors, an accepted token proves nothing.
        let accepted = self
            .log_in(&requests.with_prosody_token, bearer)
            .await
            .is_ok()
            && self.log_in(&requests.without_token, None).await.is_err();
        if accepted {
            report.fail(verdicts::prosody_token_accepted());
            return;
        }
        let mut forged = requests.gateway.clone().with_query(FORGED_QUERY);
        for (name, value) in FORGED_HEADERS {
            let name = HeaderName::from_static(name);
            forged.headers.insert(name, HeaderValue::from_static(value));
        }
        let bearer = HeaderValue::from_static(FORGED_BEARER);
        let result = self.log_in(&forged, Some(bearer)).await;
        let result = result.map_err(|error| verdicts::forged_header_honoured(&error));
        report.record(Check::ForgedRequest, result);
    }

    async fn log_in(
        &self,
        server: &XmppServer,
        authorization: Option<HeaderValue>,
    ) -> Result<(), BoshError> {
        let mut server = server.clone();
        if let Some(mut value) = authorization {
            value.set_sensitive(true);
            server.headers.insert(header::AUTHORIZATION, value);
        }
        let mut session = BoshSession::open(&server, None, self.random).await?;
        let result = session.log_in().await;
        session.close().await;
        result?.map_err(|refusal| BoshError::Terminated(refusal.to_string()))
    }

    /// The largest response head of several pages.
    async fn largest_head(&self, endpoint: &Endpoint, paths: &[&str]) -> LargestHead {
        let mut largest = LargestHead::default();
        for path in paths {
            let Ok(response) = self.get(endpoint, path).await else {
                continue;
            };
            let bytes = response.head_bytes();
            if bytes.total > largest.bytes.total {
                // The query may contain a token.
                let path = path.split('?').next().unwrap_or_default().to_owned();
                largest = LargestHead { path, bytes };
            }
        }
        largest
    }

    /// Requests a page as a browser navigates to it.
    async fn get(&self, endpoint: &Endpoint, path: &str) -> Result<HttpResponse, HttpError> {
        let request = Request::get(path)
            .header(header::HOST, self.config.public_url.authority().as_str())
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .body(String::new());
        let request = request.map_err(|_| HttpError::Name(path.to_owned()))?;
        endpoint.send(request).await
    }
}

/// The address at which a listener is reached from its own machine.
fn loopback_if_unspecified(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

fn test_user() -> Identity {
    Identity {
        subject: "gateway-doctor".to_owned(),
        name: Some("Gateway doctor".to_owned()),
        ..Identity::default()
    }
}

const JWKS_PATH: &str = "/_gateway/jwks.json";

const LOGIN_PATH: &str = "/_gateway/login";

/// Longer than all checks, except for the idle time of S2 and S3.
const LIFETIME: Duration = Duration::from_mins(5);

/// The tenant that Prosody would read.
const FORGED_QUERY: &str = "&prefix=elsewhere";

const FORGED_BEARER: &str = "Bearer forged";

/// Headers that Prosody's modules or proxies read.
const FORGED_HEADERS: [(&str, &str); 3] = [
    ("x-proxy-region", "elsewhere"),
    ("x-jitsi-shard", "elsewhere"),
    ("x-forwarded-host", "elsewhere.example.org"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_on_all_addresses_are_reached_by_loopback() {
        let at = |text: &str| loopback_if_unspecified(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:8443"), "127.0.0.1:8443");
        assert_eq!(at("[::]:8443"), "[::1]:8443");
        assert_eq!(at("10.0.0.7:8443"), "10.0.0.7:8443");
    }
}
