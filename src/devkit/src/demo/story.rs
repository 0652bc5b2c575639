//! Audit lines as sentences with the names of people.

use std::{collections::BTreeMap, fmt, io::Write, sync::Arc};

use observe::logs::AUDIT_TARGET;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context};

use crate::{meeting::DevMeetingState, provider::DevAccount};

/// A log layer that writes one sentence per audit line.
#[derive(Debug)]
pub struct Story<W> {
    accounts: Vec<DevAccount>,
    meeting: Option<Arc<DevMeetingState>>,
    writer: W,
}

/// The fields of an audit line.
#[derive(Default)]
struct AuditFields(BTreeMap<&'static str, String>);

// === impl Story ===

impl<W> Story<W> {
    pub(super) const fn new(
        accounts: Vec<DevAccount>,
        meeting: Option<Arc<DevMeetingState>>,
        writer: W,
    ) -> Self {
        Self {
            accounts,
            meeting,
            writer,
        }
    }

    /// The display name of a subject: of an account, or in the latest token of a guest.
    fn name(&self, subject: &str) -> String {
        let account = self.accounts.iter().find(|one| one.id == subject);
        let account = account.map(|account| account.name.clone());
        let in_token = || self.meeting.as_ref()?.display_name(subject);
        account
            .or_else(in_token)
            .unwrap_or_else(|| "Someone without an account".to_owned())
    }

    fn sentence(&self, fields: &AuditFields) -> String {
        let field = |name: &str| fields.0.get(name).map_or("", |value| &**value);
        let (name, room) = (self.name(field("subject")), field("room"));
        match field("event") {
            "signed_in" => format!("{name} signed in"),
            "signed_out" => format!("{name} signed out"),
            "admitted" => {
                let by = Some(field("by")).filter(|by| !by.is_empty());
                let by = by.map_or_else(String::new, |by| format!(", {by}"));
                format!("{name} entered {room} as {}{by}", field("role"))
            }
            "continued" => format!("{name} is back in {room}"),
            "left" => format!("{name} left {room}"),
            "cut" => format!(
                "{name} was put out of {room}: {}",
                field("reason").replace('_', " ")
            ),
            "refused" => format!("{name} was refused at {room}: {}", field("reason")),
            "token_accepted" => {
                format!(
                    "the system {} sent somebody to {room}",
                    field("integration")
                )
            }
            "token_refused" => format!("a link to {room} was refused: {}", field("error")),
            "invited" => format!("a link to {room} was used"),
            "operator_revoked" => "an operator ended sessions".to_owned(),
            other => {
                let fields = fields.0.iter().filter(|(name, _)| **name != "event");
                let fields = fields.map(|(name, value)| format!("{name} {value}"));
                let fields = fields.collect::<Vec<_>>().join(", ");
                format!("{}: {fields}", other.replace('_', " "))
            }
        }
    }
}

impl<S, W> Layer<S> for Story<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != AUDIT_TARGET {
            return;
        }
        let mut fields = AuditFields::default();
        event.record(&mut fields);
        // Names are from outside, and terminals obey control characters.
        let sentence = self.sentence(&fields).replace(char::is_control, "\u{fffd}");
        // A closed standard error is no reason to stop.
        let _ = writeln!(self.writer.make_writer(), "  {sentence}");
    }
}

// === impl AuditFields ===

impl Visit for AuditFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::{info, subscriber::with_default};
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(log: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let accounts = DevAccount::demonstration();
        let story = Story::new(accounts, None, move || writer.clone());
        with_default(Registry::default().with(story), log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| line.trim_start().to_owned())
            .collect()
    }

    #[test]
    fn audit_lines_are_sentences_with_the_names_of_people() {
        let lines = told(|| {
            let by = tracing::field::display("rule 3");
            info!(target: AUDIT_TARGET, event = "admitted", room = "team", role = "participant", by, subject = "max");
            info!(target: AUDIT_TARGET, event = "refused", room = "board", reason = "rule 1 lets other people in", subject = "max");
            info!(target: AUDIT_TARGET, event = "cut", reason = "sign_out", room = "team", subject = "hanna");
            info!(target: AUDIT_TARGET, event = "signed_in", subject = "guest:x");
            info!(target: "requests", path = "/team", "a request");
        });
        assert_eq!(
            lines,
            [
                "Max Member entered team as participant, rule 3",
                "Max Member was refused at board: rule 1 lets other people in",
                "Hanna Host was put out of team: sign out",
                "Someone without an account signed in",
            ]
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let lines = told(|| info!(target: AUDIT_TARGET, event = "left", room = "a\u{1b}[2J\nb"));
        assert_eq!(
            lines,
            ["Someone without an account left a\u{fffd}[2J\u{fffd}b"]
        );
    }
}
