//! `demo`: the demonstration, or one in front of a Jitsi that runs already.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use devkit::demo::ExternalJitsi;
use url::Url;

use super::CommandError;

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Stand in front of the Jitsi with this web server, as `http://127.0.0.1:8000`, instead of the simulated
    /// one. Its Prosody has to take tokens.
    #[arg(long, value_name = "URL", value_parser = parse_origin, requires = "app_secret_file")]
    jitsi: Option<Url>,
    /// The URL of its Prosody [default: port 5280 of the web server's host].
    #[arg(long, value_name = "URL", value_parser = parse_origin, requires = "jitsi")]
    xmpp: Option<Url>,
    /// Its XMPP domain.
    #[arg(
        long,
        value_name = "DOMAIN",
        requires = "jitsi",
        default_value = "meet.jitsi"
    )]
    xmpp_domain: String,
    /// Its `JWT_APP_ID`.
    #[arg(long, value_name = "ID", requires = "jitsi", default_value = "gateway")]
    app_id: String,
    /// A file with its `JWT_APP_SECRET`.
    #[arg(long, value_name = "FILE", requires = "jitsi")]
    app_secret_file: Option<PathBuf>,
}

// === impl DemoArguments ===

impl DemoArguments {
    /// The Jitsi of the options; `None` for the simulated one.
    pub(super) fn jitsi(self) -> Result<Option<ExternalJitsi>, CommandError> {
        let (Some(web), Some(file)) = (self.jitsi, self.app_secret_file) else {
            return Ok(None);
        };
        let secret = fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))
            .map_err(|error| CommandError::Usage(format!("{error:#}")))?;
        let xmpp = self.xmpp.unwrap_or_else(|| {
            let mut xmpp = web.clone();
            // Infallible: `parse_origin` requires a host.
            xmpp.set_port(Some(PROSODY_PORT))
                .expect("the URL has a host");
            xmpp
        });
        Ok(Some(ExternalJitsi {
            web,
            xmpp,
            xmpp_domain: self.xmpp_domain,
            app_id: self.app_id,
            app_secret: secret.trim().to_owned().into(),
        }))
    }
}

/// An `http` URL without a path.
fn parse_origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_origin = url.scheme() == "http" && url.path() == "/" && url.query().is_none();
    if is_origin && url.has_host() && url.username().is_empty() {
        Ok(url)
    } else {
        Err("not of the form http://HOST:PORT".to_owned())
    }
}

/// Prosody's HTTP port in Jitsi's packages and images.
const PROSODY_PORT: u16 = 5280;
