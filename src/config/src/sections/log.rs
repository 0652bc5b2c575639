//! `[log]`: what is logged, and how.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::problem::{Fault, Section};
use observe::logs::{LogFilter, LogFormat, LogSettings};

/// What is logged, and how. Logs go to standard error.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    /// For people, or one JSON object a line for machines.
    format: LogFormat,
    /// The least severe level to log, `error`, `warn`, `info`, `debug` or `trace`; or directives
    /// such as `info,oidc=debug`.
    level: String,
    /// Whether to write one line for each request.
    access: bool,
    /// The file for audit lines, one JSON object per line, appended to and reopened on SIGHUP; or
    /// `/dev/stdout`. Standard error if not set.
    #[schemars(example = "/var/log/jitsi-auth-gateway/audit.json")]
    audit_file: Option<PathBuf>,
}

// === impl RawLog ===

impl RawLog {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<LogSettings> {
        let filter = self.level.parse::<LogFilter>().map_err(|error| {
            Fault::new(
                error.to_string(),
                "write error, warn, info, debug or trace, or target=level",
            )
        });
        let audit_file = match self.audit_file {
            Some(path) if path.as_os_str().is_empty() || path.is_dir() => {
                Err(Fault::new("not a file", "name a file, or remove the key"))
            }
            path => Ok(path),
        };
        Some(LogSettings {
            format: self.format,
            filter: section.keep("level", filter)?,
            access: self.access,
            audit_file: section.keep("audit_file", audit_file)?,
        })
    }
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            access: true,
            audit_file: None,
        }
    }
}
