//! `[log]`: log format, filter and files.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault};
use observe::logs::{LogFilter, LogFormat, LogSettings};

/// Log format, filter and files. Logs go to standard error.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    /// `text` for reading, `json` for one JSON object per line.
    format: LogFormat,
    /// The lowest level that is logged: `error`, `warn`, `info`, `debug` or `trace`; or directives
    /// such as `info,oidc=debug`.
    level: String,
    /// Whether each request is logged.
    access: bool,
    /// A file for audit events, one JSON object per line: appended to, and reopened on SIGHUP; or
    /// `/dev/stdout`. Default: audit events go to standard error with the other logs.
    #[schemars(example = "/var/log/jitsi-auth-gateway/audit.json")]
    audit_file: Option<PathBuf>,
}

// === impl RawLog ===

impl RawLog {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<LogSettings> {
        let filter = self.level.parse::<LogFilter>().map_err(|error| {
            let remedy = "write error, warn, info, debug or trace, or target=level";
            Fault::new(error.to_string(), remedy)
        });
        let audit_file = match self.audit_file {
            Some(path) if path.as_os_str().is_empty() || path.is_dir() => {
                Err(Fault::new("not a file", "name a file, or remove the key"))
            }
            path => Ok(path),
        };
        let filter = section.keep("level", filter);
        let audit_file = section.keep("audit_file", audit_file);
        Some(LogSettings {
            format: self.format,
            filter: filter?,
            access: self.access,
            audit_file: audit_file?,
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
