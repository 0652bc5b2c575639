//! The settings of Jitsi that the gateway needs.

use std::fmt::Write as _;

use askama::Template;

use super::rendered;
use crate::{Deployment, quoted::Quoted};

#[derive(Template)]
#[template(path = "prosody.lua", escape = "none")]
struct ProsodySettings<'d> {
    page: &'d str,
    host: &'d str,
    quoted_host: Quoted<'d>,
    quoted_muc: Quoted<'d>,
    app_id: Quoted<'d>,
    app_secret: Quoted<'d>,
}

// === impl Deployment ===

impl Deployment {
    /// Lines for docker-jitsi-meet's `.env`: those that it does not have already. Compose takes the
    /// last assignment of a variable, so they can be appended.
    pub(super) fn docker_settings(&self, app_secret: &str) -> String {
        let mut text = String::from(
            "# Settings of docker-jitsi-meet for jitsi-auth-gateway. Append them to its .env: the last\n\
             # assignment of a variable counts. docs/compose.md explains each.\n",
        );
        for (name, value) in self.wanted_variables(app_secret) {
            match self.jitsi.get(name) {
                Some(found) if found == value => {}
                Some(_) if SECRET_VARIABLES.contains(&name) => {
                    push_line(&mut text, name, &value, "");
                }
                Some(found) => push_line(&mut text, name, &value, &format!("  # was {found}")),
                None => push_line(&mut text, name, &value, ""),
            }
        }
        text
    }

    /// What `.env` has and what it should have, where they differ, for the printed steps. Secrets are
    /// not among them.
    pub(super) fn changed_variables(&self) -> Vec<String> {
        let wanted = self.wanted_variables("");
        let named = wanted
            .into_iter()
            .filter(|(name, _)| !SECRET_VARIABLES.contains(name));
        named
            .filter_map(|(name, value)| {
                let found = self.jitsi.get(name)?;
                (found != value).then(|| format!("{name}={value}  (now {found})"))
            })
            .collect()
    }

    fn wanted_variables(&self, app_secret: &str) -> Vec<(&'static str, String)> {
        let app_id = self.app_id();
        let hidden = self.jitsi.get("XMPP_HIDDEN_DOMAIN").unwrap_or(
            // XMPP_RECORDER_DOMAIN is its name in older releases.
            self.jitsi
                .get("XMPP_RECORDER_DOMAIN")
                .unwrap_or("hidden.meet.jitsi"),
        );
        let muc_modules = match self.jitsi.get("XMPP_MUC_MODULES") {
            Some(own) if own.split(',').any(|name| name.trim() == AFFILIATION) => own.to_owned(),
            Some(own) => format!("{own},{AFFILIATION}"),
            None => AFFILIATION.to_owned(),
        };
        let mut wanted: Vec<(&'static str, String)> = FIXED
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        wanted.extend([
            ("PUBLIC_URL", self.public_url.origin().to_owned()),
            ("JWT_APP_ID", app_id.to_owned()),
            ("JWT_APP_SECRET", app_secret.to_owned()),
            ("JWT_ACCEPTED_ISSUERS", app_id.to_owned()),
            ("XMPP_MUC_MODULES", muc_modules),
            (
                "XMPP_MUC_CONFIGURATION",
                format!("token_verification_allowlist = {{ \"{hidden}\" }}"),
            ),
        ]);
        // Without it Prosody takes all clients for one; an own value may be narrower.
        if self.jitsi.get(TRUSTED_PROXIES).is_none() {
            wanted.push((TRUSTED_PROXIES, DOCKER_NETWORKS.to_owned()));
        }
        wanted
    }

    /// The settings of Prosody on Debian.
    pub(super) fn prosody_settings(&self, app_secret: &str) -> String {
        let host = self.xmpp_domain();
        rendered(&ProsodySettings {
            page: self.platform.page(),
            host: &host,
            quoted_host: Quoted(&host),
            quoted_muc: Quoted(&format!("conference.{host}")),
            app_id: Quoted(self.app_id()),
            app_secret: Quoted(app_secret),
        })
    }
}

/// Values with spaces or quotes are in single quotes, as Compose reads them literally.
fn push_line(text: &mut String, name: &str, value: &str, comment: &str) {
    let quote = if value.contains([' ', '"', '#', '$']) {
        "'"
    } else {
        ""
    };
    // Infallible: a String.
    let _ = writeln!(text, "{name}={quote}{value}{quote}{comment}");
}

const AFFILIATION: &str = "token_affiliation";

const TRUSTED_PROXIES: &str = "PROSODY_TRUSTED_PROXIES";

/// Docker's own networks, from which only the gateway reaches Prosody.
const DOCKER_NETWORKS: &str = "172.16.0.0/12,192.168.0.0/16";

const SECRET_VARIABLES: &[&str] = &["JWT_APP_SECRET"];

/// Values that are the same in every deployment; docs/compose.md has the reason of each.
const FIXED: &[(&str, &str)] = &[
    // Takes Jitsi's own web server off the network: it forwards /http-bind past the gateway.
    ("HTTP_PORT", "127.0.0.1:8000"),
    ("HTTPS_PORT", "127.0.0.1:8443"),
    ("DISABLE_HTTPS", "1"),
    ("ENABLE_HTTP_REDIRECT", "0"),
    ("ENABLE_LETSENCRYPT", "0"),
    ("ENABLE_XMPP_WEBSOCKET", "1"),
    // The gateway does not route the bridge's WebSockets.
    ("JVB_PREFER_SCTP", "1"),
    ("ENABLE_AUTH", "1"),
    ("AUTH_TYPE", "jwt"),
    ("JWT_ACCEPTED_AUDIENCES", "jitsi"),
    ("JWT_ALLOW_EMPTY", "0"),
    ("JWT_ENABLE_DOMAIN_VERIFICATION", "true"),
    ("ENABLE_GUESTS", "0"),
    ("JICOFO_ENABLE_AUTH", "0"),
    ("ENABLE_AUTO_OWNER", "0"),
];
