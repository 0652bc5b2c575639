//! What remains to be done by a person.

use super::Target;
use crate::{Deployment, Platform};

// === impl Deployment ===

impl Deployment {
    /// What the registration at the provider needs.
    pub(super) fn registration(&self) -> Vec<(&'static str, String)> {
        let at = |path: &str| self.public_url.join(path).to_string();
        let mut rows = vec![
            ("page", self.provider.page()),
            ("client", "confidential, authorization code flow".to_owned()),
            ("client id", self.client_id.clone()),
            ("redirect URI", at("/_gateway/callback")),
        ];
        if self.provider.has_post_logout_uri() {
            rows.push(("post-logout redirect URI", at("/_gateway/signed-out")));
        }
        if self.provider.has_back_channel_logout() {
            rows.push((
                "back-channel logout URI",
                at("/_gateway/backchannel-logout"),
            ));
        }
        rows.extend(
            self.provider
                .further()
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        rows.push(("groups", self.provider.groups().to_owned()));
        rows
    }

    pub(super) fn jitsi_steps(&self) -> Vec<String> {
        match self.platform {
            Platform::Docker => {
                let mut steps = vec![
                    "jitsi.env has the lines for docker-jitsi-meet's .env".to_owned(),
                    "images before stable-11146 (August 2026) listen on port 80: write web = \"http://web:80\" in \
                     gateway.toml for them"
                        .to_owned(),
                    CERTIFICATE.to_owned(),
                ];
                steps.extend(self.changed_variables());
                steps
            }
            Platform::Debian => vec![
                "prosody.lua has the settings for Prosody".to_owned(),
                "docs/debian.md has those for Jicofo and nginx, which moves to 127.0.0.1:8000"
                    .to_owned(),
                CERTIFICATE.to_owned(),
            ],
            Platform::Kubernetes => vec![
                "Prosody needs JWT_APP_SECRET from secrets/app-secret; Prosody and Jicofo need the variables in \
                 deploy/helm/examples/jitsi-helm.yaml"
                    .to_owned(),
                "values.yaml has guesses: the image, the names of Jitsi's Services, the network of \
                 the proxy"
                    .to_owned(),
            ],
        }
    }

    pub(super) fn commands(&self, target: &Target) -> Vec<String> {
        let Target { directory, .. } = target;
        let version = env!("CARGO_PKG_VERSION");
        let mut commands = Vec::new();
        let [_, _, client_secret] = self.secret_paths();
        if self.client_secret.is_none() {
            commands.push(format!(
                "(umask 077; cat >{directory}/{client_secret})   # the client secret, then Ctrl-D"
            ));
        }
        match self.platform {
            Platform::Docker => {
                let compose = format!(
                    "docker compose --file docker-compose.yml --file {directory}/compose.gateway.yaml"
                );
                commands.extend([
                    format!(
                        "docker build --file deploy/Dockerfile --tag jitsi-auth-gateway:{version} . \
                         # in a clone of jitsi-auth-gateway"
                    ),
                    "cp .env env.before   # in the directory of docker-jitsi-meet, as the way back".to_owned(),
                    format!("cat {directory}/jitsi.env >>.env"),
                    format!("{compose} up --detach"),
                    format!(
                        "{compose} exec gateway /jitsi-auth-gateway doctor --config \
                         /etc/gateway/gateway.toml"
                    ),
                ]);
            }
            Platform::Debian => commands.extend([
                format!(
                    "cd {directory} && sudo install -m 0640 -g jitsi-auth-gateway gateway.toml \
                     session.key prosody.secret oidc.secret tls.crt tls.key /etc/jitsi-auth-gateway/"
                ),
                "cd /etc/jitsi-auth-gateway && sudo -u jitsi-auth-gateway jitsi-auth-gateway check \
                 --config gateway.toml"
                    .to_owned(),
                "sudo systemctl enable --now jitsi-auth-gateway   # when nginx has left ports 80 and 443"
                    .to_owned(),
                "sudo -u jitsi-auth-gateway jitsi-auth-gateway doctor --config gateway.toml".to_owned(),
            ]),
            Platform::Kubernetes => commands.extend([
                format!(
                    "kubectl --namespace meet create secret generic jitsi-auth-gateway \
                     --from-file={directory}/secrets"
                ),
                format!(
                    "helm --namespace meet install gateway deploy/helm/jitsi-auth-gateway --values \
                     {directory}/values.yaml"
                ),
                "helm --namespace meet test gateway --logs".to_owned(),
            ]),
        }
        commands
    }
}

/// The web server of Jitsi, which renewed the certificate, no longer terminates TLS.
const CERTIFICATE: &str = "the gateway terminates TLS: give it the certificate of Jitsi's web server as tls.crt and \
                           tls.key, or write [tls.acme] (docs/certificates.md)";
