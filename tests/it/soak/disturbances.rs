//! What changes in the deployment while people are in it.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use devkit::provider::DevProviderState;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, interval_at};

use super::{
    PEOPLE,
    person::{SoakContext, is_guest},
    replica::{Replica, Vitals},
};
use crate::support::{
    browser::{Browser, encode},
    certificate_directory::{CertificateDirectory, CertificatePair, replace},
    site::{CLIENT_ID, ORIGIN},
};

/// The replicas, with the certificates, rules and sessions that change while people use them.
pub(super) struct Disturbances {
    /// The process of the second one stays.
    pub(super) replicas: [Replica; 2],
    pub(super) context: Arc<SoakContext>,
    pub(super) provider: Arc<DevProviderState>,
    /// A browser that trusts all certificates.
    pub(super) browser: Browser,
    pub(super) config: PathBuf,
    pub(super) directory: CertificateDirectory,
    pub(super) pairs: [CertificatePair; 2],
    pub(super) changes: usize,
    pub(super) replacements: usize,
    pub(super) revocations: usize,
}

/// Memory and open files of the process that stays.
pub(super) struct Course {
    /// After a fifth of the time.
    pub(super) start: Vitals,
    pub(super) middle: Vitals,
    pub(super) end: Vitals,
}

// === impl Disturbances ===

impl Disturbances {
    /// Changes things for so long.
    pub(super) async fn run(&mut self, duration: Duration) -> Course {
        let original = fs::read_to_string(&self.config).unwrap();
        let closed = original.replacen("\"member\"", "\"group:staff\"", 1);
        assert_ne!(original, closed);
        let began = Instant::now();
        let every = |period: Duration| interval_at(began + period, period);
        let mut changes = every(CHANGE_EVERY);
        let mut replacements = every(REPLACE_EVERY.min(duration * 2 / 5));
        let mut revocations = every(REVOKE_EVERY);
        let (mut start, mut middle) = (None, None);
        while began.elapsed() < duration {
            tokio::select! {
                _ = changes.tick() => self.change([&closed, &original]).await,
                _ = replacements.tick() => self.replace().await,
                _ = revocations.tick() => self.revoke().await,
            }
            for (vitals, after) in [(&mut start, duration / 5), (&mut middle, duration / 2)] {
                if vitals.is_none() && began.elapsed() >= after {
                    *vitals = Some(self.replicas[1].vitals());
                }
            }
        }
        Course {
            start: start.unwrap(),
            middle: middle.unwrap(),
            end: self.replicas[1].vitals(),
        }
    }

    /// Replaces certificate and rules.
    async fn change(&mut self, rules: [&str; 2]) {
        let turn = self.changes % 2;
        self.directory.swap(&self.pairs[turn]);
        replace(&self.config, rules[turn]);
        let expectations = &self.context.expectations;
        expectations.rules_begin_to_change();
        for replica in &self.replicas {
            replica.reload().await;
        }
        expectations.rules_have_changed(turn == 0);
        self.changes += 1;
    }

    async fn replace(&mut self) {
        let expectations = &self.context.expectations;
        let at_end = || expectations.replica_is_replaced(0);
        self.replicas[0].replace(&self.config, at_end).await;
        self.replacements += 1;
    }

    /// Revokes a member, by an operator and by the provider in turn.
    async fn revoke(&mut self) {
        let person = self.revocations * STRIDE % PEOPLE;
        let turn = self.revocations % 2;
        self.revocations += 1;
        if is_guest(person) {
            return;
        }
        let subject = format!("person{person}");
        self.context.expectations.revocation_begins(person);
        if turn == 0 {
            self.replicas[self.revocations / 2 % 2]
                .revoke(&subject)
                .await;
        } else {
            self.log_out(&subject).await;
        }
        let expectations = &self.context.expectations;
        expectations.revocation_is_acknowledged(person);
    }

    /// Sends a logout token (OpenID Connect Back-Channel Logout 1.0 § 2.5).
    async fn log_out(&mut self, subject: &str) {
        let token = self.provider.logout_token(CLIENT_ID, Some(subject), None);
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        let url = format!("{ORIGIN}/_gateway/backchannel-logout")
            .parse()
            .unwrap();
        let body = Bytes::from(format!("logout_token={}", encode(&token)));
        let answer = self.browser.send(Method::POST, &url, headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
}

/// Certificates and rules.
const CHANGE_EVERY: Duration = Duration::from_secs(10);

/// At most; in a short run it is replaced twice as well.
const REPLACE_EVERY: Duration = Duration::from_mins(1);

const REVOKE_EVERY: Duration = Duration::from_secs(1);

/// Coprime to the number of people, so that each has a turn.
const STRIDE: usize = 7;
