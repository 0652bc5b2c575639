//! Prosody from the outside: its BOSH address, its sessions, how one logs in there.

mod address;
mod login;
mod refusals;
pub(super) mod websocket;

use http::{Request, header};

pub(super) use self::login::Signing;
use super::{
    Check, Finding, Report, Watch,
    bosh::{BoshError, Session, Target},
    clocks::Dates,
    reach::PROSODY,
    tokens::Tokens,
};
use model::{policy::Role, random::Random};

/// What is examined, and with what.
pub(super) struct Examination<'e> {
    pub(super) target: Target,
    pub(super) tokens: &'e Tokens,
    pub(super) signing: Signing,
    /// Whether `config.js` names a WebSocket, so that there should be one.
    pub(super) websocket_wanted: bool,
    pub(super) random: &'e Random,
    pub(super) watch: &'e Watch<'e>,
}

// === impl Examination ===

impl Examination<'_> {
    /// Everything up to logging in. Whether going on makes sense: a good token logs in.
    pub(super) async fn run(&self, report: &mut Report, dates: &mut Dates) -> bool {
        if !self.address(report, dates).await {
            report.skip(AFTER_B1, "B1 failed");
            return false;
        }
        let Some(open) = self.session(report).await else {
            report.skip(AFTER_B2, "there is no BOSH session to go on with");
            return false;
        };
        if self.watch.begins(Check::B4)
            && !report.settle(Check::B4, address::mechanisms(open.features.as_ref()))
        {
            open.close().await;
            report.skip(AFTER_B4, "B4 failed");
            return false;
        }
        if !self.bad_tokens(report, open).await {
            report.skip(
                &[Check::A1, Check::S1],
                "A3 failed: tokens are not looked at",
            );
            return false;
        }
        let good = self.good_token(report).await;
        if good {
            self.websocket(report).await;
        } else {
            report.skip(&[Check::S1], "A1 failed");
        }
        good
    }

    async fn address(&self, report: &mut Report, dates: &mut Dates) -> bool {
        self.watch.begins(Check::B1);
        let request = Request::get("/http-bind")
            .header(header::HOST, self.target.domain.as_str())
            .body(String::new())
            .expect("a domain from the configuration is a host");
        let sent = address::sent(&self.target);
        let result = match self.target.wire.send(request).await {
            Ok(answer) => {
                dates.note(super::clocks::Neighbour::Prosody, &answer.headers);
                address::judged(&self.target.domain, &sent, &answer)
            }
            Err(error) => Err(PROSODY.unreached(Check::B1, &sent, &error)),
        };
        report.settle(Check::B1, result)
    }

    /// Opens a session without a token, and asks for it over several connections.
    async fn session(&self, report: &mut Report) -> Option<Session> {
        self.watch.begins(Check::B2);
        let mut session = match self.open(None).await {
            Ok(session) => {
                report.pass(Check::B2);
                session
            }
            Err(error) => {
                report.find(address::no_session(&self.target, &error));
                return None;
            }
        };
        self.watch.begins(Check::B3);
        for _ in 0..RETURNS {
            if let Err(error) = session.return_to().await {
                report.find(address::lost_session(&error));
                return None;
            }
        }
        report.pass(Check::B3);
        Some(session)
    }

    /// A new session with a token.
    pub(super) async fn open(&self, token: Option<&str>) -> Result<Session, BoshError> {
        // Far from 0 and from 2^53 (XEP-0124 § 7).
        let first = u64::from(u32::from_be_bytes(self.random.bytes()));
        Session::open(&self.target, token, first).await
    }

    /// Tries what must not log in; `without` is a session without a token. Whether tokens are looked
    /// at.
    async fn bad_tokens(&self, report: &mut Report, without: Session) -> bool {
        let room = self.tokens.room();
        let mut outcomes = Vec::new();
        for bad in login::BAD {
            if !self.watch.begins(bad.check) {
                continue;
            }
            let token = match bad.check {
                Check::A2 => None,
                Check::A3 => self.tokens.by_other_key(&room).ok(),
                Check::A4 => self.tokens.expired(&room).ok(),
                Check::A5 => Some(self.tokens.unsigned(&room)),
                Check::A6 => self.tokens.of_other_issuer(&room).ok(),
                _ => self.tokens.for_other_audience(&room).ok(),
            };
            let result = match self.open(token.as_deref()).await {
                Ok(mut session) => {
                    let result = session.log_in().await;
                    session.close().await;
                    result
                }
                Err(error) => Err(error),
            };
            outcomes.push((bad, result));
        }
        without.close().await;
        login::judge_bad(report, outcomes)
    }

    async fn good_token(&self, report: &mut Report) -> bool {
        if !self.watch.wants(Check::A1) {
            return true;
        }
        self.watch.begins(Check::A1);
        let room = self.tokens.room();
        let token = match self.tokens.good(&room, Role::Participant) {
            Ok(token) => token,
            Err(error) => {
                report.find(
                    Finding::error(Check::A1, "key")
                        .saw("nothing: no token could be signed", error.to_string())
                        .so(
                            "the key in [token] cannot sign",
                            "replace it, and tell Prosody",
                        ),
                );
                return false;
            }
        };
        let result = match self.open(Some(&token)).await {
            Ok(mut session) => {
                let result = session.log_in().await;
                session.close().await;
                result
            }
            Err(error) => Err(error),
        };
        let result = match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(refusals::of_good_token(&refusal, &self.signing)),
            Err(error) => Err(refusals::no_answer(&error)),
        };
        report.settle(Check::A1, result)
    }

    async fn websocket(&self, report: &mut Report) {
        if !self.watch.begins(Check::S1) {
            return;
        }
        let room = self.tokens.room();
        let Ok(token) = self.tokens.good(&room, Role::Participant) else {
            return;
        };
        let result = websocket::log_in(&self.target, Some(&token)).await;
        match websocket::judged(result.map(drop), self.websocket_wanted) {
            Some(result) => {
                report.settle(Check::S1, result);
            }
            None => report.skip(&[Check::S1], "config.js names no WebSocket"),
        }
    }
}

/// As many as show two servers behind any balancer that takes turns, and most that draw lots.
const RETURNS: usize = 3;

const AFTER_B1: &[Check] = &[
    Check::B2,
    Check::B3,
    Check::B4,
    Check::A1,
    Check::A2,
    Check::A3,
    Check::A4,
    Check::A5,
    Check::A6,
    Check::A7,
    Check::S1,
];

const AFTER_B2: &[Check] = &[
    Check::B4,
    Check::A1,
    Check::A2,
    Check::A3,
    Check::A4,
    Check::A5,
    Check::A6,
    Check::A7,
    Check::S1,
];

const AFTER_B4: &[Check] = &[
    Check::A1,
    Check::A2,
    Check::A3,
    Check::A4,
    Check::A5,
    Check::A6,
    Check::A7,
    Check::S1,
];
