//! Checks of Prosody's BOSH endpoint, its sessions, and the tokens that log in there.

use http::{Request, header};
use model::{
    policy::Role,
    random::Random,
    token::{SignerError, SigningSettings},
};

use super::{
    Check, DoctorReport, Finding, FindingKind,
    client::{BoshError, BoshSession, Refusal, XmppServer, XmppSocket},
    clocks::{ClockOffsets, ClockSource},
    options::Progress,
    reachability::PROSODY,
    test_tokens::TestTokens,
};

mod bad_tokens;
mod bosh;
mod refusals;
mod websocket;

/// The checks B1 to B4, A1 to A7 and S1 of one Prosody.
pub(super) struct ProsodyChecks<'p> {
    pub(super) server: XmppServer,
    pub(super) tokens: &'p TestTokens,
    pub(super) signing: TokenSigning,
    /// Whether `config.js` names a WebSocket.
    pub(super) websocket_advertised: bool,
    pub(super) random: &'p Random,
    pub(super) progress: &'p Progress<'p>,
}

/// How the gateway signs tokens, for remedies.
#[derive(Clone, Debug)]
pub(super) enum TokenSigning {
    Secret(jsonwebtoken::Algorithm),
    Key {
        algorithm: jsonwebtoken::Algorithm,
        kid: String,
    },
}

/// The result of a login: accepted, refused, or not answered.
type LoginResult = Result<Result<(), Refusal>, BoshError>;

// === impl TokenSigning ===

impl From<&SigningSettings> for TokenSigning {
    fn from(settings: &SigningSettings) -> Self {
        match settings {
            SigningSettings::Secret { algorithm, .. } => Self::Secret(*algorithm),
            SigningSettings::Keys { algorithm, keys } => Self::Key {
                algorithm: *algorithm,
                kid: keys.first().map(|key| key.kid.clone()).unwrap_or_default(),
            },
        }
    }
}

// === impl ProsodyChecks ===

impl ProsodyChecks<'_> {
    /// Runs the checks. Returns whether a valid token logs in, so that rooms can be examined.
    pub(super) async fn run(&self, report: &mut DoctorReport, offsets: &mut ClockOffsets) -> bool {
        if !self.endpoint(report, offsets).await {
            report.skip_dependents(Check::BoshEndpoint);
            return false;
        }
        let Some(session) = self.session(report).await else {
            let dependents = Check::BoshSession.dependents();
            report.skip(dependents, "there is no BOSH session to continue with");
            return false;
        };
        if self.progress.begins(Check::SaslMechanisms) {
            let result = bosh::evaluate_mechanisms(session.features.as_ref());
            if !report.record(Check::SaslMechanisms, result) {
                session.close().await;
                report.skip_dependents(Check::SaslMechanisms);
                return false;
            }
        }
        session.close().await;
        if !self.bad_tokens(report).await {
            let dependents = Check::ForgedToken.dependents();
            report.skip(dependents, bad_tokens::NOT_VERIFIED);
            return false;
        }
        let accepted = self.valid_token(report).await;
        if accepted {
            self.websocket(report).await;
        } else {
            report.skip([Check::WebSocket], "A1 failed");
        }
        accepted
    }

    async fn endpoint(&self, report: &mut DoctorReport, offsets: &mut ClockOffsets) -> bool {
        self.progress.begins(Check::BoshEndpoint);
        let request = Request::get("/http-bind")
            .header(header::HOST, self.server.domain.as_str())
            .body(String::new())
            // Infallible: the configuration accepts domains only.
            .expect("a domain is a header value");
        let sent = format!(
            "GET http://{}/http-bind with Host: {}",
            self.server.endpoint.address(),
            self.server.domain
        );
        let result = match self.server.endpoint.send(request).await {
            Ok(response) => {
                offsets.add(ClockSource::Prosody, &response.headers);
                bosh::evaluate_endpoint(&self.server.domain, &sent, &response)
            }
            Err(error) => Err(PROSODY.unreached(Check::BoshEndpoint, &sent, &error)),
        };
        report.record(Check::BoshEndpoint, result)
    }

    /// Opens a session without a token, and continues it over several connections.
    async fn session(&self, report: &mut DoctorReport) -> Option<BoshSession> {
        self.progress.begins(Check::BoshSession);
        let mut session = match self.open(None).await {
            Ok(session) => {
                report.pass(Check::BoshSession);
                session
            }
            Err(error) => {
                report.fail(bosh::open_failed(&self.server, &error));
                return None;
            }
        };
        self.progress.begins(Check::BoshAffinity);
        for _ in 0..ROUND_TRIPS {
            if let Err(error) = session.round_trip().await {
                report.fail(bosh::session_lost(&error));
                return None;
            }
        }
        report.pass(Check::BoshAffinity);
        Some(session)
    }

    /// Opens a session, with a token if there is one.
    pub(super) async fn open(&self, token: Option<&str>) -> Result<BoshSession, BoshError> {
        BoshSession::open(&self.server, token, self.random).await
    }

    async fn log_in(&self, token: Option<&str>) -> LoginResult {
        let mut session = self.open(token).await?;
        let result = session.log_in().await;
        session.close().await;
        result
    }

    /// Tries tokens that must not log in. Returns whether Prosody verifies tokens at all.
    async fn bad_tokens(&self, report: &mut DoctorReport) -> bool {
        let room = self.tokens.room();
        let mut results = Vec::new();
        for bad in bad_tokens::BAD_TOKENS {
            if !self.progress.begins(bad.check()) {
                continue;
            }
            let token = match bad.check() {
                Check::MissingToken => None,
                Check::ForgedToken => self.tokens.forged(&room).ok(),
                Check::ExpiredToken => self.tokens.expired(&room).ok(),
                Check::UnsignedToken => Some(self.tokens.unsigned(&room)),
                Check::ForeignIssuer => self.tokens.of_foreign_issuer(&room).ok(),
                _ => self.tokens.for_foreign_audience(&room).ok(),
            };
            results.push((bad, self.log_in(token.as_deref()).await));
        }
        bad_tokens::evaluate(report, results)
    }

    async fn valid_token(&self, report: &mut DoctorReport) -> bool {
        if !self.progress.needs(Check::ValidToken) {
            return true;
        }
        self.progress.begins(Check::ValidToken);
        let room = self.tokens.room();
        let result = match self.tokens.valid(&room, Role::Participant) {
            Ok(token) => match self.log_in(Some(&token)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(refusal)) => Err(refusals::valid_token_refused(&refusal, &self.signing)),
                Err(error) => Err(refusals::valid_token_unanswered(&error)),
            },
            Err(error) => Err(unusable_key(&error)),
        };
        report.record(Check::ValidToken, result)
    }

    async fn websocket(&self, report: &mut DoctorReport) {
        if !self.progress.begins(Check::WebSocket) {
            return;
        }
        let room = self.tokens.room();
        let Ok(token) = self.tokens.valid(&room, Role::Participant) else {
            return;
        };
        let result = XmppSocket::log_in(&self.server, Some(&token)).await;
        match websocket::evaluate(result.map(drop), self.websocket_advertised) {
            Some(result) => {
                report.record(Check::WebSocket, result);
            }
            None => report.skip([Check::WebSocket], "config.js names no WebSocket"),
        }
    }
}

fn unusable_key(error: &SignerError) -> Finding {
    Finding::error(FindingKind::TokenKey)
        .with_exchange("nothing: no token could be signed", error.to_string())
        .with_remedy(
            "the key in [token] cannot sign",
            "replace the key here and in Prosody's configuration",
        )
}

/// Enough to reach a second server behind a round-robin balancer, and behind most that choose at
/// random.
const ROUND_TRIPS: usize = 3;
