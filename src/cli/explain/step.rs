//! One answer of the policy, and the page that the visitor gets for it.

use model::{
    policy::{Admission, Refusal, Rule, StartRule},
    time_format::format_rfc3339,
};
use observe::metrics::AdmissionReason;
use serde::Serialize;

use super::conditions::starting;

/// One answer of the policy.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// As in the metric of admissions: `admitted`, `waits`, `asked` or `refused`.
    outcome: &'static str,
    /// The reason, as in the metric.
    reason: &'static str,
    /// The people who end the waiting: `host`, `member` or `condition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'static str>,
    /// The answer in words.
    pub(super) answer: String,
    /// The page that the visitor gets; none if the next answer follows at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<VisitorPage>,
}

/// A page that answers the request for a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VisitorPage {
    /// Jitsi's page.
    Meeting,
    /// The page that becomes the meeting when the room opens.
    Waiting,
    /// The page that asks a guest for a name.
    EntryForm,
    /// The provider's page, or that of the choice between several.
    SignIn,
    /// The page that names the reason of a refusal.
    Refusal,
}

// === impl Step ===

impl Step {
    pub(super) fn of(admission: &Admission<'_>, rule: Option<&Rule>) -> Self {
        let reason = AdmissionReason::from(admission);
        Self {
            outcome: reason.outcome(),
            reason: reason.as_str(),
            waits_for: matches!(admission, Admission::Wait(_))
                .then(|| rule.map(|rule| waits_for(&rule.start)))
                .flatten(),
            answer: describe(admission, rule),
            page: page(admission),
        }
    }
}

// === impl VisitorPage ===

impl VisitorPage {
    /// The page in words; `providers` are those that a sign-in can choose.
    pub(super) fn describe(self, step: &Step, providers: &[String]) -> String {
        match self {
            Self::Meeting => "meeting".to_owned(),
            Self::Waiting => match step.waits_for {
                Some("host") => "waiting page, which becomes the meeting when a host enters",
                _ => "waiting page, which becomes the meeting when the room is opened",
            }
            .to_owned(),
            Self::EntryForm => {
                "entry form, which asks for a name and offers the sign-in".to_owned()
            }
            Self::SignIn if providers.len() > 1 => {
                let all = providers.join(" or ");
                format!("choice of the provider ({all}), whose sign-in returns to the room")
            }
            Self::SignIn => "sign-in of the provider, which returns to the room".to_owned(),
            Self::Refusal => format!("refusal, with the reason {}", step.reason),
        }
    }
}

fn page(admission: &Admission<'_>) -> Option<VisitorPage> {
    Some(match admission {
        Admission::Admit(_) => VisitorPage::Meeting,
        Admission::Wait(_) => VisitorPage::Waiting,
        Admission::SignIn | Admission::StepUp(_) => VisitorPage::SignIn,
        Admission::Guest { ask: true } => VisitorPage::EntryForm,
        Admission::Guest { ask: false } => return None,
        Admission::Refuse(_) => VisitorPage::Refusal,
    })
}

fn waits_for(start: &StartRule) -> &'static str {
    match start {
        StartRule::Hosts => "host",
        StartRule::Where(_) => "condition",
        StartRule::Members | StartRule::Anyone => "member",
    }
}

fn describe(admission: &Admission<'_>, rule: Option<&Rule>) -> String {
    match admission {
        Admission::Admit(grant) => format!("enters as {} ({grant})", grant.role().as_str()),
        Admission::Wait(waiting) => match rule.map(|rule| &rule.start) {
            Some(start @ StartRule::Where(_)) => {
                format!("waits for one of {}", starting(start).join(" or "))
            }
            _ if waiting.for_host => "waits for a host".to_owned(),
            _ => "waits until a member opens the room".to_owned(),
        },
        Admission::SignIn => "has to sign in".to_owned(),
        Admission::StepUp(step_up) => {
            format!(
                "has to sign in more strongly or anew: {}",
                step_up.requirement
            )
        }
        Admission::Guest { ask: true } => "may enter as a guest, with a name".to_owned(),
        Admission::Guest { ask: false } => "may enter as a guest, without a name".to_owned(),
        Admission::Refuse(Refusal::NotYet { rule, opens }) => {
            let time = format_rfc3339(opens.as_unix());
            format!("refused: rule {rule} opens this room at {time}")
        }
        Admission::Refuse(Refusal::Over { rule, closed }) => {
            let time = format_rfc3339(closed.as_unix());
            format!("refused: rule {rule} closed this room at {time}")
        }
        Admission::Refuse(refusal) => format!("refused: {refusal}"),
    }
}
