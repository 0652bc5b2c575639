//! Visits in the audit log: each line of entering has one of leaving.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde_json::Value;

/// Person, session, room, transport, and the request of a WebSocket. A BOSH session has many requests.
type Visit = [String; 5];

/// Counts of the audit lines of visits.
#[derive(Debug, Default)]
pub(super) struct AuditTrail {
    /// Lines of entering, and of leaving.
    visits: BTreeMap<Visit, [usize; 2]>,
    /// Lines by event, and by `how` or `reason`.
    lines: BTreeMap<String, usize>,
}

// === impl AuditTrail ===

impl AuditTrail {
    /// Reads the file that all replicas append to.
    pub(super) fn read(path: &Path) -> Self {
        let mut trail = Self::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            trail.add(&serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
        }
        trail
    }

    fn add(&mut self, line: &Value) {
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let event = text("event");
        let (side, detail) = match &*event {
            "admitted" | "continued" => (Some(0), String::new()),
            "left" => (Some(1), text("how")),
            "cut" => (Some(1), text("reason")),
            _ => (None, String::new()),
        };
        if let Some(side) = side {
            let mut visit = ["subject", "session", "room", "transport", "request"].map(text);
            if visit[3] == "bosh" {
                visit[4].clear();
            }
            self.visits.entry(visit).or_default()[side] += 1;
        }
        let label = format!("{event} {detail}").trim().to_owned();
        *self.lines.entry(label).or_default() += 1;
    }

    /// The visits with more lines of one side than of the other: entering, then leaving.
    pub(super) fn unbalanced(&self) -> Vec<(&Visit, [usize; 2])> {
        let visits = self.visits.iter().map(|(visit, counts)| (visit, *counts));
        visits
            .filter(|(_, [entered, left])| entered != left)
            .collect()
    }
}

impl fmt::Display for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |side: usize| {
            self.visits
                .values()
                .map(|counts| counts[side])
                .sum::<usize>()
        };
        let (entered, left) = (sum(0), sum(1));
        write!(
            f,
            "{entered} of entering, {left} of leaving; {:?}",
            self.lines
        )
    }
}
