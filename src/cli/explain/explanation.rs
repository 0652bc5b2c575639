//! The explanation of a decision, for people and for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{conditions::ConditionGroup, step::Step};
use crate::cli::CommandError;

/// The form of the explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExplanationForm {
    /// Lines, for people.
    Text,
    /// One JSON object, for programs.
    Json,
}

/// Why a visitor gets which answer in a room.
#[derive(Debug, Default, Serialize)]
pub(super) struct Explanation {
    /// The room's key.
    pub(super) room: String,
    /// The name as people read it, if it differs from the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) readable: Option<String>,
    /// `anonymous`, `guest` or `member`.
    pub(super) visitor: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shard: Option<ShardPlacement>,
    /// `None` if no rule matches the room.
    pub(super) rule: Option<DecidingRule>,
    /// The providers that a sign-in for the room can choose, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) providers: Vec<String>,
    /// The conditions on which the decision depends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<ConditionGroup>,
    /// The answer, and the answer after it for an anonymous visitor who enters as a guest.
    pub(super) steps: Vec<Step>,
    /// The claims of the token for Prosody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) claims: Option<Map<String, Value>>,
    /// The same with the token's head, as `token inspect` prints it.
    #[serde(skip)]
    pub(super) token: Option<String>,
}

/// The rule that decides.
#[derive(Debug, Serialize)]
pub(super) struct DecidingRule {
    /// From 1.
    pub(super) position: usize,
    /// The number of rules.
    pub(super) of: usize,
    /// The pattern for rooms.
    #[serde(rename = "match")]
    pub(super) pattern: String,
    /// The line of the file, or the environment variable.
    pub(super) location: String,
}

/// The shard that the configuration alone selects.
#[derive(Debug, Serialize)]
pub(super) struct ShardPlacement {
    pub(super) name: String,
    pub(super) ring: String,
}

// === impl Explanation ===

impl Explanation {
    pub(super) fn print(
        &self,
        form: ExplanationForm,
        output: &mut dyn Write,
    ) -> Result<(), CommandError> {
        match form {
            ExplanationForm::Text => self.print_text(output)?,
            ExplanationForm::Json => {
                let json = serde_json::to_string_pretty(self).map_err(anyhow::Error::from)?;
                writeln!(output, "{json}")?;
            }
        }
        Ok(())
    }

    fn print_text(&self, output: &mut dyn Write) -> io::Result<()> {
        match &self.readable {
            Some(readable) => writeln!(output, "room     {} ({readable})", self.room)?,
            None => writeln!(output, "room     {}", self.room)?,
        }
        if let Some(ShardPlacement { name, ring }) = &self.shard {
            writeln!(
                output,
                "shard    {name}, if the room is opened now (ring {ring})"
            )?;
        }
        match &self.rule {
            Some(rule) => writeln!(
                output,
                "rule     {} of {} (match \"{}\", {})",
                rule.position, rule.of, rule.pattern, rule.location
            )?,
            None => writeln!(output, "rule     none matches this room")?,
        }
        if !self.providers.is_empty() {
            writeln!(output, "sign-in  {}", self.providers.join(" or "))?;
        }
        for group in &self.conditions {
            writeln!(output, "  {group}")?;
        }
        let labels = ["answer", "then"];
        for (label, step) in labels.iter().zip(&self.steps) {
            writeln!(output, "{label:<8} {}", step.answer)?;
            if let Some(page) = step.page {
                writeln!(output, "page     {}", page.describe(step, &self.providers))?;
            }
        }
        match &self.token {
            Some(token) => write!(output, "token\n{token}"),
            None => Ok(()),
        }
    }
}
