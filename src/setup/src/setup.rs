//! Files, values and next steps that follow from the answers.

mod jitsi_settings;
mod steps;

use std::path::Path;

use askama::Template;
use base64::{Engine, prelude::BASE64_STANDARD};
use model::random::Random;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{
    Deployment, NewFile, Platform,
    quoted::{Quoted, quoted_list},
};

/// What a deployment is set up with.
#[derive(Debug)]
pub struct Setup {
    /// The files to write.
    pub files: Vec<NewFile>,
    /// `gateway.toml`, also where it is no file of its own.
    pub gateway_toml: String,
    /// Names and values for the registration at the provider.
    pub registration: Vec<(&'static str, String)>,
    /// What is to be changed at Jitsi: sentences, or lines of a file.
    pub jitsi: Vec<String>,
    /// Commands, in their order.
    pub commands: Vec<String>,
    /// What `check` has to know of the files that the gateway sees elsewhere: variables of the
    /// environment, and paths relative to the directory.
    pub check_paths: Vec<(&'static str, String)>,
}

/// The directory of a set-up, and the account that owns it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The absolute path.
    pub directory: String,
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

#[derive(Template)]
#[template(path = "gateway.toml", escape = "none")]
struct GatewayToml<'d> {
    page: &'d str,
    public_url: Quoted<'d>,
    http: &'d str,
    https: &'d str,
    certificates: &'d str,
    web: &'d str,
    xmpp: &'d str,
    xmpp_domain: Quoted<'d>,
    provider_title: &'d str,
    provider_page: &'d str,
    issuer: Quoted<'d>,
    plain_http: bool,
    client_id: Quoted<'d>,
    client_auth: Option<&'d str>,
    scopes: Option<&'d str>,
    claims: &'d [String],
    secrets: &'d str,
    session_key_file: &'d str,
    app_secret_file: &'d str,
    client_secret_file: &'d str,
    app_id: Quoted<'d>,
    domain_verification: bool,
    state: &'d str,
    enter: String,
    enter_description: &'d str,
    further: Vec<String>,
    moderators: &'d str,
}

#[derive(Template)]
#[template(path = "values.yaml", escape = "none")]
struct HelmValues<'d> {
    page: &'d str,
    public_url: Quoted<'d>,
    web: &'d str,
    xmpp: &'d str,
    xmpp_domain: Quoted<'d>,
    provider_title: &'d str,
    provider_page: &'d str,
    issuer: Quoted<'d>,
    plain_http: bool,
    client_id: Quoted<'d>,
    client_auth: Option<&'d str>,
    scopes: Option<&'d str>,
    claims: Vec<(&'d str, &'d str)>,
    app_id: Quoted<'d>,
    domain_verification: bool,
    enter: String,
    enter_description: &'d str,
    further: Vec<(&'d str, &'d str)>,
    moderators: &'d str,
}

#[derive(Template)]
#[template(path = "compose.gateway.yaml", escape = "none")]
struct ComposeOverride<'d> {
    directory: &'d str,
    version: &'d str,
    uid: u32,
    gid: u32,
}

/// New secrets, or those that Jitsi has.
struct Secrets {
    session_key: Zeroizing<String>,
    app_secret: SecretString,
}

// === impl Deployment ===

impl Deployment {
    /// Composes files, values and steps. New secrets come from `random`.
    pub fn compose(&self, target: &Target, random: &Random) -> Setup {
        let secrets = Secrets {
            session_key: Zeroizing::new(BASE64_STANDARD.encode(random.bytes::<32>())),
            app_secret: self
                .jitsi
                .app_secret()
                .unwrap_or_else(|| SecretString::from(hex(&random.bytes::<32>()))),
        };
        let gateway_toml = self.gateway_toml();
        Setup {
            files: self.files(target, &gateway_toml, &secrets),
            gateway_toml,
            registration: self.registration(),
            jitsi: self.jitsi_steps(),
            commands: self.commands(target),
            check_paths: self.check_paths(),
        }
    }

    /// The app id that Prosody has, or is to have.
    fn app_id(&self) -> &str {
        self.jitsi.get("JWT_APP_ID").unwrap_or("gateway")
    }

    fn host(&self) -> &str {
        self.public_url.authority().host()
    }

    fn xmpp_domain(&self) -> String {
        let own = self.jitsi.get("XMPP_DOMAIN").map(ToOwned::to_owned);
        own.unwrap_or_else(|| self.platform.xmpp_domain(self.host()))
    }

    /// Whether the settings that are printed switch domain verification on at Prosody. With Debian's
    /// packages it is the operator's choice, because a recorder has to be exempt first.
    fn domain_verification(&self) -> bool {
        self.platform == Platform::Docker
    }

    fn gateway_toml(&self) -> String {
        let addresses = self.platform.addresses();
        let [session_key_file, app_secret_file, client_secret_file] = self.platform.secret_files();
        let template = GatewayToml {
            page: self.platform.page(),
            public_url: Quoted(self.public_url.origin()),
            http: addresses.http,
            https: addresses.https,
            certificates: addresses.certificates,
            web: addresses.web,
            xmpp: addresses.xmpp,
            xmpp_domain: Quoted(&self.xmpp_domain()),
            provider_title: self.provider.title(),
            provider_page: &self.provider.page(),
            issuer: Quoted(&self.issuer),
            plain_http: self.issuer.starts_with("http://"),
            client_id: Quoted(&self.client_id),
            client_auth: self.provider.client_auth(),
            scopes: self.provider.scopes(),
            claims: &self.provider.claims(self.public_url.origin()),
            secrets: addresses.secrets,
            session_key_file,
            app_secret_file,
            client_secret_file,
            app_id: Quoted(self.app_id()),
            domain_verification: self.domain_verification(),
            state: addresses.state,
            enter: self.entry.rule(self.workspace.as_deref()),
            enter_description: self.entry.description(),
            further: self.entry.further(self.workspace.as_deref()),
            moderators: &self.moderator_list(),
        };
        rendered(&template)
    }

    fn helm_values(&self) -> String {
        let further = self.entry.further(self.workspace.as_deref());
        let claims = self.provider.claims(self.public_url.origin());
        let addresses = self.platform.addresses();
        let template = HelmValues {
            page: self.platform.page(),
            public_url: Quoted(self.public_url.origin()),
            web: addresses.web,
            xmpp: addresses.xmpp,
            xmpp_domain: Quoted(&self.xmpp_domain()),
            provider_title: self.provider.title(),
            provider_page: &self.provider.page(),
            issuer: Quoted(&self.issuer),
            plain_http: self.issuer.starts_with("http://"),
            client_id: Quoted(&self.client_id),
            client_auth: self.provider.client_auth(),
            scopes: self.provider.scopes(),
            claims: assignments(&claims),
            app_id: Quoted(self.app_id()),
            domain_verification: self.domain_verification(),
            enter: self.entry.rule(self.workspace.as_deref()),
            enter_description: self.entry.description(),
            further: assignments(&further),
            moderators: &self.moderator_list(),
        };
        rendered(&template)
    }

    /// Empty without conditions.
    fn moderator_list(&self) -> String {
        match &*self.moderators {
            [] => String::new(),
            conditions => quoted_list(conditions),
        }
    }

    fn files(&self, target: &Target, gateway_toml: &str, secrets: &Secrets) -> Vec<NewFile> {
        let [session_key, app_secret, client_secret] = self.secret_paths();
        let public = |path, purpose, text: String| new_file(path, purpose, false, text);
        let secret = |path, purpose, text: &str| {
            // `kubectl create secret` takes a line break as part of the value.
            let end = if self.platform == Platform::Kubernetes {
                ""
            } else {
                "\n"
            };
            new_file(path, purpose, true, format!("{text}{end}"))
        };
        let app_secret_text = secrets.app_secret.expose_secret();
        let mut files = vec![
            secret(
                session_key,
                "encrypts the session cookies",
                &secrets.session_key,
            ),
            secret(
                app_secret,
                "signs tokens; Prosody has the same",
                app_secret_text,
            ),
        ];
        if let Some(text) = &self.client_secret {
            let purpose = "the client secret at the provider";
            files.push(secret(client_secret, purpose, text.expose_secret()));
        }
        let toml = || public("gateway.toml", "the configuration", gateway_toml.to_owned());
        match self.platform {
            Platform::Docker => {
                let compose = ComposeOverride {
                    directory: &target.directory,
                    version: env!("CARGO_PKG_VERSION"),
                    uid: target.uid,
                    gid: target.gid,
                };
                files.insert(0, toml());
                let purpose = "the gateway as a service of docker-jitsi-meet";
                files.push(public("compose.gateway.yaml", purpose, rendered(&compose)));
                // Docker would create the directory as root.
                let purpose = "keeps the directory of what is revoked out of Git";
                files.push(public("state/.gitignore", purpose, "*\n".to_owned()));
                let text = self.docker_settings(app_secret_text);
                files.push(new_file("jitsi.env", "lines for Jitsi's .env", true, text));
            }
            Platform::Debian => {
                files.insert(0, toml());
                let text = self.prosody_settings(app_secret_text);
                files.push(new_file("prosody.lua", "settings for Prosody", true, text));
            }
            Platform::Kubernetes => {
                files.insert(
                    0,
                    public("values.yaml", "the chart's values", self.helm_values()),
                );
            }
        }
        files
    }

    /// Session key, Prosody's secret and client secret, relative to the directory.
    fn secret_paths(&self) -> [&'static str; 3] {
        match self.platform {
            Platform::Docker => [
                "secrets/session.key",
                "secrets/prosody.secret",
                "secrets/oidc.secret",
            ],
            Platform::Debian => ["session.key", "prosody.secret", "oidc.secret"],
            Platform::Kubernetes => [
                "secrets/session-key",
                "secrets/app-secret",
                "secrets/client-secret",
            ],
        }
    }

    fn check_paths(&self) -> Vec<(&'static str, String)> {
        let [session_key, app_secret, client_secret] = self.secret_paths();
        let mut paths = vec![
            ("GATEWAY__SESSION__KEY_FILE", session_key.to_owned()),
            ("GATEWAY__TOKEN__SECRET_FILE", app_secret.to_owned()),
            (
                "GATEWAY__OIDC__CLIENT_SECRET_FILE",
                client_secret.to_owned(),
            ),
        ];
        let certificates = match self.platform {
            Platform::Docker => "certs/",
            Platform::Debian => "",
            Platform::Kubernetes => return paths,
        };
        paths.push((
            "GATEWAY__TLS__CERTIFICATE",
            format!("{certificates}tls.crt"),
        ));
        paths.push(("GATEWAY__TLS__KEY", format!("{certificates}tls.key")));
        paths
    }
}

fn new_file(path: &'static str, purpose: &'static str, is_secret: bool, text: String) -> NewFile {
    NewFile {
        path: Path::new(path),
        purpose,
        is_secret,
        contents: Zeroizing::new(text),
    }
}

fn rendered(template: &impl Template) -> String {
    // Infallible: the templates have no fallible filter, and a String takes all text.
    let text = template.render().expect("a template of texts renders");
    // Templates are read without the line break at their end.
    text + "\n"
}

/// Lines `name = value` as pairs, without the comment behind a value.
fn assignments<T: AsRef<str>>(lines: &[T]) -> Vec<(&str, &str)> {
    let pairs = lines
        .iter()
        .filter_map(|line| line.as_ref().split_once(" = "));
    pairs
        .map(|(name, value)| (name, value.split("  ").next().unwrap_or(value)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Infallible: a String.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
