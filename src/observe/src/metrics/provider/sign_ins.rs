//! Counters of the sign-ins at a provider, and of the logouts that it sends.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::ProviderLabel;
use crate::metrics::{
    label_counters::PerLabel,
    labels::{LogoutOutcome, SignInReason},
};

/// The series of all providers.
#[derive(Clone, Debug, Default)]
pub(super) struct SignInFamilies {
    started: Family<ProviderLabel, Counter>,
    ended: Family<SignInLabels, Counter>,
    backchannel_logouts: Family<LogoutLabels, Counter>,
    frontchannel_logouts: Family<LogoutLabels, Counter>,
}

/// The counters of one provider. All series exist from the start, at zero, and no count takes a lock.
#[derive(Debug)]
pub(super) struct SignInCounters {
    pub(super) started: Counter,
    pub(super) ended: PerLabel<SignInReason, Counter, { SignInReason::ALL.len() }>,
    pub(super) backchannel_logouts: PerLogoutOutcome,
    pub(super) frontchannel_logouts: PerLogoutOutcome,
}

type PerLogoutOutcome = PerLabel<LogoutOutcome, Counter, { LogoutOutcome::ALL.len() }>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SignInLabels {
    #[prometheus(flatten)]
    provider: ProviderLabel,
    outcome: &'static str,
    reason: SignInReason,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LogoutLabels {
    #[prometheus(flatten)]
    provider: ProviderLabel,
    outcome: LogoutOutcome,
}

// === impl SignInFamilies ===

impl SignInFamilies {
    pub(super) fn of(&self, provider: &ProviderLabel) -> SignInCounters {
        let logouts = |family: &Family<LogoutLabels, Counter>| {
            PerLabel::of_each(|outcome| {
                family.get_or_create_owned(&LogoutLabels {
                    provider: provider.clone(),
                    outcome,
                })
            })
        };
        SignInCounters {
            started: self.started.get_or_create_owned(provider),
            ended: PerLabel::of_each(|reason: SignInReason| {
                self.ended.get_or_create_owned(&SignInLabels {
                    provider: provider.clone(),
                    outcome: reason.outcome(),
                    reason,
                })
            }),
            backchannel_logouts: logouts(&self.backchannel_logouts),
            frontchannel_logouts: logouts(&self.frontchannel_logouts),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "sign_ins_started",
            "Redirects to the OpenID provider",
            self.started.clone(),
        );
        registry.register(
            "sign_ins",
            "Completed and failed sign-ins by outcome and reason",
            self.ended.clone(),
        );
        registry.register(
            "backchannel_logouts",
            "Back-channel logout requests by outcome",
            self.backchannel_logouts.clone(),
        );
        registry.register(
            "frontchannel_logouts",
            "Front-channel logout requests by outcome",
            self.frontchannel_logouts.clone(),
        );
    }
}
