//! The order of an examination: which checks run, and which results they pass to each other.
//!
//! Jitsi's side (web server, Prosody, rooms), the public address, the store and the provider are
//! examined concurrently. Logins through the public address come last, because they compare with
//! the results of both sides.

use std::time::Duration;

use config::{Config, JitsiConfig};
use model::{
    clock::Clock,
    random::Random,
    token::{self, SignerError, SigningSettings},
};

use super::{
    Check, DoctorOptions, DoctorReport, Finding, FindingKind, TrustAnchors, bridges,
    client::{Endpoint, XmppServer},
    clocks::ClockOffsets,
    end_to_end::EndToEndChecks,
    locations,
    options::{PUBLIC_LOGIN_NEEDS, Progress},
    prosody::{ProsodyChecks, TokenSigning},
    provider,
    public_address::PublicAddressChecks,
    rooms::{OtherEntrants, RoomChecks},
    store,
    test_tokens::TestTokens,
    web,
    xmpp_domains::{DomainChecks, GuestDomain},
};

/// Why nothing could be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// `[token]` has no usable key.
    #[error("no token can be signed with [token]")]
    Token(#[from] SignerError),
    /// The TLS library refuses its settings or the trust anchors.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// The parts of an examination that all checks share.
struct Examination<'e> {
    config: &'e Config,
    options: &'e DoctorOptions<'e>,
    progress: Progress<'e>,
    clock: &'e Clock,
    random: &'e Random,
}

/// Examines the deployment of a configuration, with the system's trust anchors.
pub async fn examine(
    config: &Config,
    options: &DoctorOptions<'_>,
    clock: &Clock,
    random: &Random,
) -> Result<DoctorReport, DoctorError> {
    let trust = TrustAnchors::of_system()?;
    Box::pin(examine_trusting(config, options, &trust, clock, random)).await
}

/// Examines the deployment of a configuration. `trust` verifies the certificate of the public
/// address.
pub async fn examine_trusting(
    config: &Config,
    options: &DoctorOptions<'_>,
    trust: &TrustAnchors,
    clock: &Clock,
    random: &Random,
) -> Result<DoctorReport, DoctorError> {
    let examination = Examination {
        config,
        options,
        progress: Progress::new(options),
        clock,
        random,
    };
    examination.run(trust).await
}

// === impl Examination ===

impl Examination<'_> {
    async fn run(&self, trust: &TrustAnchors) -> Result<DoctorReport, DoctorError> {
        let outside = async {
            let mut report = DoctorReport::default();
            self.public_address(trust, &mut report).await;
            store::examine(
                &self.config.store,
                &self.progress,
                self.clock,
                self.random,
                &mut report,
            )
            .await;
            let offsets = self.provider(&mut report).await;
            (report, offsets)
        };
        let (jitsi, (outside, provider_offsets)) = tokio::join!(self.jitsi(), outside);
        let (mut report, prosody_offsets) = jitsi?;
        report.append(outside);
        self.public_login(trust, &mut report).await;
        self.clocks(&[prosody_offsets, provider_offsets], &mut report);
        Ok(report.sorted().limited_to(&self.options.selection))
    }

    /// Checks of the public address: C2, P1, P2, K1.
    async fn public_address(&self, trust: &TrustAnchors, report: &mut DoctorReport) {
        let selection = &self.options.selection;
        if !selection.has_any(Check::Certificate.with_dependents())
            && !self.progress.wants_public_login()
        {
            return;
        }
        let jitsi = self.config.jitsi();
        let kids = match jitsi.map(|jitsi| &jitsi.token.signing) {
            Some(SigningSettings::Keys { keys, .. }) => {
                keys.iter().map(|key| key.kid.clone()).collect()
            }
            _ => Vec::new(),
        };
        let tls = self.config.server.tls.as_ref();
        let checks = PublicAddressChecks {
            public_url: &self.config.public_url,
            trust,
            now: self.clock.now(),
            certificate_files: tls
                .iter()
                .flat_map(|tls| &tls.certificates)
                .map(|files| files.certificate.as_path())
                .collect(),
            has_acme: self.config.acme.is_some(),
            kids,
            xmpp_domain: jitsi.map_or("", |jitsi| &jitsi.upstream.xmpp_domain),
            progress: &self.progress,
        };
        checks.run(report).await;
    }

    /// Checks of each OpenID provider: C4, C5, C6. Returns the offsets of their clocks.
    async fn provider(&self, report: &mut DoctorReport) -> ClockOffsets {
        let mut offsets = ClockOffsets::new(self.clock.clone());
        let checks = Check::Provider.with_dependents().chain([Check::Clocks]);
        if !self.options.selection.has_any(checks) {
            return offsets;
        }
        if self.config.oidc.is_empty() {
            report.skip(Check::Provider.with_dependents(), "there is no [oidc]");
        }
        for settings in &self.config.oidc {
            let (clock, random) = (self.clock, self.random);
            let mut own = DoctorReport::default();
            let progress = &self.progress;
            let policy = &self.config.policy;
            let sources = (clock, random);
            provider::examine(settings, policy, sources, progress, &mut own, &mut offsets).await;
            report.append(match &settings.listed {
                Some(listed) => own.for_provider(listed.id.as_str()),
                None => own,
            });
        }
        offsets
    }

    /// Checks of Jitsi's web servers, Prosody and rooms, for each shard.
    async fn jitsi(&self) -> Result<(DoctorReport, ClockOffsets), DoctorError> {
        let mut report = DoctorReport::default();
        let mut offsets = ClockOffsets::new(self.clock.clone());
        let is_selected = self.options.selection.has_any(jitsi_checks());
        let Some(jitsi) = self.config.jitsi().filter(|_| is_selected) else {
            report.skip(jitsi_checks(), "meetings are at 8x8, or not selected");
            return Ok((report, offsets));
        };
        self.logged_tokens(&jitsi.token, &mut report);
        match &self.options.jicofo {
            Some(jicofo) if self.progress.begins(Check::Bridges) => {
                bridges::examine(jicofo, &mut report).await;
            }
            _ => report.skip([Check::Bridges], "--jicofo sets the address to query"),
        }
        for (shard, upstream) in jitsi.active_upstreams() {
            let jitsi = JitsiConfig {
                upstream,
                ..jitsi.clone()
            };
            let shard_report = Box::pin(self.shard(&jitsi, &mut offsets)).await?;
            report.append(match shard {
                Some(shard) => shard_report.for_shard(shard.as_str()),
                None => shard_report,
            });
        }
        Ok((report, offsets))
    }

    /// Checks of one web server, its Prosody and its rooms.
    async fn shard(
        &self,
        JitsiConfig {
            upstream,
            token,
            verifies_domains,
            ..
        }: &JitsiConfig,
        offsets: &mut ClockOffsets,
    ) -> Result<DoctorReport, DoctorError> {
        let mut report = DoctorReport::default();
        let domain = &upstream.xmpp_domain;
        let config_js = web::examine(
            &Endpoint::plain(&upstream.web),
            &self.config.public_url,
            (domain, upstream.jicofo.as_ref()),
            &self.progress,
            &mut report,
        )
        .await
        .unwrap_or_default();
        let locations = &self.config.locations;
        let public_url = &self.config.public_url;
        locations::examine(
            locations,
            &config_js,
            public_url,
            &self.progress,
            &mut report,
        )
        .await;
        let tokens = TestTokens::new(token, self.clock.clone(), self.random.clone())?;
        let prosody = ProsodyChecks {
            server: XmppServer::prosody(Endpoint::plain(&upstream.xmpp), domain),
            tokens: &tokens,
            signing: TokenSigning::from(&token.signing),
            websocket_advertised: config_js.websocket.is_some(),
            random: self.random,
            progress: &self.progress,
        };
        let logs_in = prosody.run(&mut report, offsets).await;
        let muc = config_js
            .muc
            .clone()
            .unwrap_or_else(|| format!("muc.{domain}"));
        let guests = if report.has_passed(Check::BoshAffinity) {
            let domains = DomainChecks {
                prosody: &prosody,
                config: self.config,
                config_js: &config_js,
                muc: &muc,
                progress: &self.progress,
            };
            domains.run(&mut report).await
        } else {
            GuestDomain::Unusable
        };
        report.remove_consequence(
            FindingKind::ConfigDomain,
            &[FindingKind::BoshHost, FindingKind::SessionDomain],
        );
        let mut rooms = Check::RoomCreation.with_dependents();
        if !rooms.any(|check| self.options.selection.has(check)) {
            return Ok(report);
        }
        if logs_in {
            let rooms = RoomChecks {
                prosody: &prosody,
                muc,
                focus: config_js.focus.unwrap_or_else(|| format!("focus.{domain}")),
                policy: &self.config.policy,
                clock: self.clock,
                entrants: OtherEntrants {
                    guests,
                    verifies_domains: *verifies_domains,
                    recorder: self.options.recorder.as_ref(),
                    recorder_domains: &self.config.recorder_domains,
                },
                progress: &self.progress,
            };
            rooms.run(self.options.deep, &mut report).await;
        } else {
            let rooms = Check::RoomCreation.with_dependents();
            report.skip(rooms, "a valid token does not log in");
        }
        Ok(report)
    }

    /// L1: Prosody's plugins log the whole token when they refuse it.
    fn logged_tokens(&self, token: &token::TokenSettings, report: &mut DoctorReport) {
        if !self.progress.begins(Check::LoggedTokens) {
            return;
        }
        if token.lifetime <= LONG_LIFETIME {
            report.pass(Check::LoggedTokens);
            return;
        }
        let lifetime = model::time_format::format_duration(token.lifetime);
        report.advise(
            Finding::advice(FindingKind::TokenLifetime)
                .with_exchange("nothing: token.lifetime is read", lifetime.clone())
                .with_remedy(
                    "Prosody's plugins log the whole token when they refuse it, and it stays valid \
                     for that long",
                    "shorten token.lifetime (2m is enough: Prosody verifies a token when its \
                     connection opens), and protect Prosody's log",
                ),
        );
    }

    /// Checks of logins through the public address, if both sides are in order.
    async fn public_login(&self, trust: &TrustAnchors, report: &mut DoctorReport) {
        if !self.progress.wants_public_login() {
            return;
        }
        let failed = PUBLIC_LOGIN_NEEDS
            .into_iter()
            .find(|check| !report.has_passed(*check));
        if let Some(check) = failed {
            let checks = Check::PublicLogin.with_dependents();
            report.skip(checks, &format!("{check} did not pass"));
            return;
        }
        let checks = EndToEndChecks {
            config: self.config,
            trust,
            clock: self.clock,
            random: self.random,
            progress: &self.progress,
            idle: self.options.idle,
        };
        checks.run(report).await;
    }

    /// C3: the clocks of Prosody and the provider, by the `Date` of their responses.
    fn clocks(&self, offsets: &[ClockOffsets; 2], report: &mut DoctorReport) {
        if !self.progress.begins(Check::Clocks) {
            return;
        }
        let token_lifetime = self.config.jitsi().map(|jitsi| jitsi.token.lifetime);
        let token_lifetime = token_lifetime.unwrap_or_default();
        let leeway = self
            .config
            .oidc
            .iter()
            .map(|settings| settings.leeway)
            .min();
        let leeway = leeway.unwrap_or_default();
        let mut known = false;
        for findings in offsets
            .iter()
            .filter_map(|offsets| offsets.evaluate(token_lifetime, leeway))
        {
            known = true;
            for finding in findings {
                // The clock explains why Prosody refuses tokens.
                if finding.kind == FindingKind::ProsodyClock {
                    report.remove_findings(FindingKind::TokenClock);
                }
                report.fail(finding);
            }
        }
        if known {
            report.pass(Check::Clocks);
        } else {
            report.skip([Check::Clocks], "no response had a Date");
        }
    }
}

/// The checks that need a self-hosted Jitsi; C3 is one, as it compares Prosody's clock.
fn jitsi_checks() -> impl Iterator<Item = Check> {
    Check::WebPage
        .with_dependents()
        .chain(Check::BoshEndpoint.with_dependents())
        .chain([
            Check::Locations,
            Check::Bridges,
            Check::LoggedTokens,
            Check::Clocks,
        ])
}

/// Long enough to misuse a token that was read in a log.
const LONG_LIFETIME: Duration = Duration::from_mins(15);
