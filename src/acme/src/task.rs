//! The task that keeps a certificate valid.

use std::{sync::Arc, time::Duration};

use model::{
    clock::{Clock, Timestamp},
    random::Random,
};
use observe::{error_chain, metrics::AcmeMetrics};
use proxy::server::{ChallengeAnswers, PendingChallenges, ServerCertificates};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    account::{create_account, open_account, stored_account},
    authority_client::AuthorityClient,
    challenge::{SharedChallenge, pending},
    order::{IssuedCertificate, OrderContext},
    order_error::OrderError,
    renewal_info::suggested_window,
    schedule::{LONGEST_RETRY, RenewalWindow, renewal_time, retry_delay},
    settings::AcmeSettings,
    storage::{AcmeStorage, OrderLock, StoredCertificate},
};

/// Orders the certificate when there is none, and again in time. Runs on the control plane; no request waits
/// for it.
#[derive(Debug)]
pub struct AcmeTask {
    /// What to order.
    pub settings: AcmeSettings,
    /// Where it is kept.
    pub storage: AcmeStorage,
    /// The challenges that the listeners answer.
    pub answers: Arc<ChallengeAnswers>,
    /// The server's certificates, which are told of a new one.
    pub certificates: Arc<ServerCertificates>,
    /// What `/metrics` and `/readyz` show.
    pub metrics: AcmeMetrics,
    /// The clock of validity.
    pub clock: Clock,
    /// The source of jitter.
    pub random: Random,
}

/// What is remembered between two looks at the storage. Pauses are monotonic: the machine's clock can be set back.
#[derive(Default)]
struct Progress {
    failures: u32,
    not_before: Option<Instant>,
    /// The certificate that `window` and `jitter` are of.
    of: Option<CertificateDer<'static>>,
    window: Option<RenewalWindow>,
    ask_again: Option<Instant>,
    jitter: f64,
}

enum Attempt {
    Issued,
    /// Another replica has ordered the certificate meanwhile.
    Settled,
    /// Another replica is ordering it.
    Busy,
}

// === impl AcmeTask ===

impl AcmeTask {
    /// Runs until cancelled. An order under way is abandoned: the authority forgets it.
    pub async fn run(self, stop: CancellationToken) {
        let work = async { tokio::join!(self.keep_valid(), self.follow_challenges()) };
        let _ = stop.run_until_cancelled(work).await;
    }

    async fn keep_valid(&self) {
        let client = match AuthorityClient::new(&self.settings, self.clock.clone()) {
            Ok(client) => client,
            Err(error) => {
                self.metrics.failed(&error.to_string());
                warn!(error = error_chain(&error), "no certificate can be ordered");
                return;
            }
        };
        let mut progress = Progress::default();
        loop {
            let stored = self.usable();
            let due = self.due(&client, stored.as_ref(), &mut progress).await;
            let until_due = self.clock.until(due);
            if !until_due.is_zero() && progress.failures > 0 {
                // The clock was corrected, or another replica has renewed the certificate.
                progress.failures = 0;
                self.metrics.settled();
            }
            let pause = progress
                .not_before
                .map(|time| time.saturating_duration_since(Instant::now()));
            let wait = until_due.max(pause.unwrap_or_default());
            let next = self.clock.now().after(wait + ROUNDED_UP).as_unix();
            self.metrics
                .next_try
                .set(i64::try_from(next).unwrap_or(i64::MAX));
            if !wait.is_zero() {
                sleep(wait.min(self.settings.pacing.review)).await;
                continue;
            }
            match self.attempt(&client, stored).await {
                Ok(Attempt::Busy) => sleep(self.settings.pacing.sharing).await,
                Ok(attempt) => {
                    progress = Progress::default();
                    match attempt {
                        Attempt::Issued => self.metrics.succeeded(self.clock.now().as_unix()),
                        _ => self.metrics.settled(),
                    }
                    self.certificates.check_now();
                }
                Err(error) => self.failed(&error, &client, &mut progress),
            }
        }
    }

    fn failed(&self, error: &OrderError, client: &AuthorityClient, progress: &mut Progress) {
        progress.failures = progress.failures.saturating_add(1);
        let first = match error {
            // Each further order would bring a certificate that has expired, too.
            OrderError::Expired(_) => LONGEST_RETRY,
            _ => self.settings.pacing.first_retry,
        };
        let asked = client.take_retry_after();
        let delay = retry_delay(first, progress.failures, asked, self.jitter());
        let error = error_chain(error);
        self.metrics.failed(&error);
        progress.not_before = Some(Instant::now() + delay.max(ONE_SECOND));
        warn!(
            error, next_try = ?delay, failures = progress.failures,
            "no certificate was issued; the one in use stays"
        );
    }

    /// When the next order is due.
    async fn due(
        &self,
        client: &AuthorityClient,
        stored: Option<&StoredCertificate>,
        progress: &mut Progress,
    ) -> Timestamp {
        let Some(stored) = stored else {
            return self.clock.now();
        };
        if progress.of.as_ref() != Some(&stored.leaf) {
            *progress = Progress {
                failures: progress.failures,
                not_before: progress.not_before,
                of: Some(stored.leaf.clone()),
                jitter: self.jitter(),
                ..Progress::default()
            };
        }
        if progress.ask_again.is_none_or(|time| time <= Instant::now()) {
            let (window, pause) = self.window(client, stored).await;
            progress.window = window;
            progress.ask_again = Some(Instant::now() + pause);
        }
        renewal_time(stored.validity(), progress.window, progress.jitter)
    }

    async fn window(
        &self,
        client: &AuthorityClient,
        stored: &StoredCertificate,
    ) -> (Option<RenewalWindow>, Duration) {
        let asking = async {
            match stored_account(&self.settings, &self.storage, client).await? {
                Some(account) => Ok(suggested_window(&account, &stored.leaf).await?),
                None => Ok::<_, OrderError>(None),
            }
        };
        match asking.await {
            Ok(Some((window, pause))) => (Some(window), pause),
            Ok(None) => (None, WITHOUT_WINDOW),
            Err(error) => {
                let error = error_chain(&error);
                debug!(error, "the authority suggests no time of renewal");
                (None, self.settings.pacing.review)
            }
        }
    }

    /// The stored certificate, if it is the one that the settings ask for and still valid.
    fn usable(&self) -> Option<StoredCertificate> {
        let directory = self.settings.directory.as_str();
        let stored = self.storage.certificate()?;
        let is_valid = stored.validity().until > self.clock.now();
        (is_valid && stored.is_of(directory, &self.settings.names)).then_some(stored)
    }

    /// Orders a certificate in place of `due`, which was found in the storage.
    async fn attempt(
        &self,
        client: &AuthorityClient,
        due: Option<StoredCertificate>,
    ) -> Result<Attempt, OrderError> {
        let Some(lock) = self.storage.try_lock(self.clock.now())? else {
            debug!(
                owner = self.storage.lock_owner(),
                "another process orders the certificate"
            );
            return Ok(Attempt::Busy);
        };
        let stored = self.usable();
        if stored.is_some() && stored != due {
            return Ok(Attempt::Settled);
        }
        let order = self.order(client, stored, &lock);
        let issued = timeout(LONGEST_ORDER, order)
            .await
            .unwrap_or(Err(OrderError::Timeout(LONGEST_ORDER)))?;
        let directory = self.settings.directory.as_str();
        self.storage
            .write_certificate(directory, &issued.chain, &issued.key)?;
        info!(
            names = self.settings.names.join(", "),
            directory, "a certificate was issued"
        );
        // It is used all the same, because the clocks of clients are right.
        match self.storage.certificate() {
            Some(new) if new.validity().until <= self.clock.now() => {
                self.certificates.check_now();
                Err(OrderError::Expired(new.validity().until))
            }
            _ => Ok(Attempt::Issued),
        }
    }

    /// Orders a certificate while the lock is held.
    async fn order(
        &self,
        client: &AuthorityClient,
        stored: Option<StoredCertificate>,
        _lock: &OrderLock,
    ) -> Result<IssuedCertificate, OrderError> {
        let (settings, storage) = (&self.settings, &self.storage);
        let account = open_account(settings, storage, client).await?;
        // Only an authority that suggests renewals knows the field (RFC 9773 § 5).
        let replaced = match stored {
            Some(stored) => match suggested_window(&account, &stored.leaf).await {
                Ok(Some(_)) => Some(stored.leaf),
                _ => None,
            },
            None => None,
        };
        let context = OrderContext {
            settings,
            storage,
            answers: &self.answers,
            replaced,
        };
        info!(
            names = settings.names.join(", "),
            directory = settings.directory.as_str(),
            "ordering a certificate"
        );
        match context.run(&account).await {
            Err(error @ OrderError::Account(_)) => {
                warn!(%error, "the authority refuses the account; creating another");
                let account = create_account(settings, storage, client).await?;
                context.run(&account).await
            }
            outcome => outcome,
        }
    }

    /// Answers the challenges of the replica that is ordering.
    async fn follow_challenges(&self) {
        let mut known: Vec<SharedChallenge> = Vec::new();
        loop {
            sleep(self.settings.pacing.sharing).await;
            let challenges = self.storage.challenges();
            if challenges == known {
                continue;
            }
            match pending(&challenges, self.settings.challenge) {
                Ok(pending) => self.answers.replace(pending),
                Err(error) => {
                    self.answers.replace(PendingChallenges::default());
                    warn!(%error, "cannot answer a challenge");
                }
            }
            known = challenges;
        }
    }

    /// From 0 to below 1.
    fn jitter(&self) -> f64 {
        let [a, b] = self.random.bytes::<2>();
        f64::from(u16::from_be_bytes([a, b])) / 65_536.0
    }
}

const ONE_SECOND: Duration = Duration::from_secs(1);

/// Timestamps have whole seconds, and a part of one may have passed.
const ROUNDED_UP: Duration = Duration::from_nanos(999_999_999);

/// Longer than the patience with each step of an order.
const LONGEST_ORDER: Duration = Duration::from_mins(12);

/// An authority without renewal information rarely learns it.
const WITHOUT_WINDOW: Duration = Duration::from_hours(24);
