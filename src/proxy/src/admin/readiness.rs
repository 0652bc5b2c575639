//! `/readyz`: whether a load balancer should send requests here, and faults for operators.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cluster::{journal::Journal, store::StoreState};
use http::{Response, StatusCode};
use http_body_util::Full;
use model::{clock::Timestamp, time_format::format_rfc3339};
use observe::metrics::{AcmeMetrics, ProbeVerdict};
use oidc::{ProviderStatus, RelyingParties, RelyingParty};
use serde_json::json;

use super::{AdminServer, JSON, shards, text};

// === impl AdminServer ===

impl AdminServer {
    /// Answers 503 only during a shutdown, and at the start while new connections wait for the
    /// store and the provider.
    ///
    /// A provider, store or Prosody that is down is a reason, but the status stays 200: all replicas
    /// share them, so a load balancer would remove every replica, and users would get its error page
    /// instead of the gateway's, which names the fault.
    pub(super) fn readiness(&self) -> Response<Full<Bytes>> {
        let draining = self.draining.is_cancelled();
        let starting = !draining && !self.opened.is_cancelled();
        let providers = Providers::of(self.relying_parties.as_ref());
        let store = self.store.state();
        let verdicts = self.probe.verdicts();

        let mut reasons = Vec::new();
        if draining {
            reasons.push("the gateway is stopping".to_owned());
        }
        if starting {
            reasons.push(
                "connections wait for the first answers of the store and the provider".to_owned(),
            );
        }
        reasons.extend(providers.reasons());
        let parties = self.relying_parties.iter().flat_map(RelyingParties::iter);
        reasons.extend(expired_clients(parties, self.clock.now()));
        if let StoreState::Unreachable { reason } = &store {
            reasons.push(format!("store: {reason}"));
        }
        if let Some(error) = self.journal.as_ref().and_then(Journal::failure) {
            reasons.push(format!("{error}; a restart forgets what is revoked now"));
        }
        for (backend, verdict) in &verdicts {
            match verdict {
                ProbeVerdict::Ok => {}
                ProbeVerdict::Open => {
                    reasons.push(format!("{backend}: Prosody admits clients without a token"));
                }
                _ => {
                    let reason = verdict.as_str();
                    reasons.push(format!("{backend}: login at Prosody fails ({reason})"));
                }
            }
        }
        for switch in &self.insecure_switches {
            reasons.push(format!("`{switch}` is on"));
        }
        if self.control.config.is_failing() {
            reasons.push("the last reload of the configuration failed; see the log".to_owned());
        }
        let certificate = self.control.certificate.as_ref();
        if certificate.is_some_and(|certificate| certificate.reloads.is_failing()) {
            reasons.push("the new certificate cannot be used; see the log".to_owned());
        }
        if let Some(certificate) = certificate {
            reasons.extend(expired(&certificate.not_after.values(), self.clock.now()));
        }
        let acme = self.control.acme.as_ref();
        if let Some(error) = acme.and_then(AcmeMetrics::last_error) {
            let metrics = acme.map(|acme| (acme.next_try.get(), acme.last_success.get()));
            let (next, last) = metrics.unwrap_or_default();
            reasons.push(format!(
                "no certificate was issued: {error}; next try at {}, last success {}",
                utc(next),
                if last == 0 {
                    "none".to_owned()
                } else {
                    utc(last)
                },
            ));
        }
        let placement = self.placement.as_ref();
        let view = placement.map(|placement| placement.shard_map());
        let shards = view
            .filter(|view| view.is_sharded())
            .map(|view| shards::readiness(&view));
        if let Some((_, unreachable)) = &shards {
            reasons.extend_from_slice(unreachable);
        }

        let (code, status) = match (draining, reasons.is_empty()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            (false, false) if starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            (false, true) => (StatusCode::OK, "ready"),
            (false, false) => (StatusCode::OK, "degraded"),
        };
        let backends: BTreeMap<_, _> = verdicts
            .iter()
            .map(|(backend, verdict)| (backend, verdict.as_str()))
            .collect();
        let mut body = json!({
            "status": status,
            "provider": providers.worst(),
            "store": store.as_str(),
            "backends": backends,
            "reasons": reasons,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(shards.map(|(shards, _)| ("shards".to_owned(), shards)));
            body.extend(
                providers
                    .by_id()
                    .map(|by_id| ("providers".to_owned(), by_id)),
            );
        }
        text(code, JSON, format!("{body}\n"))
    }
}

/// The certificates in use that have expired, by their first name.
fn expired(expiries: &[(String, u64)], now: Timestamp) -> Vec<String> {
    let over = expiries.iter().filter(|(_, end)| *end < now.as_unix());
    over.map(|(name, end)| {
        let end = format_rfc3339(*end);
        format!("the certificate for {name} expired at {end}; browsers refuse it")
    })
    .collect()
}

/// The OAuth clients whose certificate has expired, by their issuer.
fn expired_clients<'p>(
    parties: impl Iterator<Item = &'p Arc<RelyingParty>>,
    now: Timestamp,
) -> Vec<String> {
    let ends = parties.filter_map(|party| Some((party.issuer(), party.client_certificate_end()?)));
    let over = ends.filter(|(_, end)| *end < now);
    over.map(|(issuer, end)| {
        format!(
            "the certificate of the client at {issuer} expired at {end}; the provider refuses it"
        )
    })
    .collect()
}

/// The states of the providers.
struct Providers(Vec<(Option<String>, ProviderStatus)>);

// === impl Providers ===

impl Providers {
    fn of(parties: Option<&RelyingParties>) -> Self {
        let state = |party: &Arc<RelyingParty>| {
            let id = party.listed().map(|listed| listed.id.to_string());
            (id, party.status())
        };
        Self(
            parties
                .into_iter()
                .flat_map(RelyingParties::iter)
                .map(state)
                .collect(),
        )
    }

    /// The state of the only provider, or the worst: a person may need any of them.
    fn worst(&self) -> &'static str {
        let states = self.0.iter().map(|(_, status)| status);
        let worst = states.max_by_key(|status| match status {
            ProviderStatus::Ready => 0,
            ProviderStatus::Stale { .. } => 1,
            ProviderStatus::NeverReached { .. } => 2,
        });
        worst.map_or("none", ProviderStatus::as_str)
    }

    /// The state of each of several.
    fn by_id(&self) -> Option<serde_json::Value> {
        let states = self
            .0
            .iter()
            .map(|(id, status)| Some((id.clone()?, status.as_str())));
        let states = states.collect::<Option<BTreeMap<_, _>>>()?;
        (!states.is_empty()).then(|| json!(states))
    }

    fn reasons(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(id, status)| match (id, status) {
            (_, ProviderStatus::Ready) => None,
            (None, ProviderStatus::NeverReached { reason } | ProviderStatus::Stale { reason }) => {
                Some(format!("OpenID provider: {reason}"))
            }
            (
                Some(id),
                ProviderStatus::NeverReached { reason } | ProviderStatus::Stale { reason },
            ) => Some(format!("OpenID provider {id}: {reason}")),
        })
    }
}

/// A gauge of seconds since 1970 as a date.
fn utc(seconds: i64) -> String {
    format_rfc3339(u64::try_from(seconds).unwrap_or_default())
}
