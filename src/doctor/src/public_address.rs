//! Checks of the public address: its certificate, whether it leads to the gateway, and whether
//! Prosody is reachable past the gateway.

use std::{fmt::Write as _, path::Path, time::Duration};

use aws_lc_rs::digest;
use config::PublicUrl;
use http::{Request, StatusCode, header};
use model::{
    clock::Timestamp,
    xml::{Element, Escaped},
};
use proxy::server::CertificateFields;
use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    Check, DoctorReport, Finding, FindingKind, TrustAnchors,
    certificate::PresentedChain,
    client::{Endpoint, HttpError, HttpResponse},
    options::Progress,
    reachability::PUBLIC,
};

/// The checks C2, K1, P1 and P2.
pub(super) struct PublicAddressChecks<'p> {
    pub(super) public_url: &'p PublicUrl,
    pub(super) trust: &'p TrustAnchors,
    pub(super) now: Timestamp,
    /// The gateway's certificate files; none if another server terminates TLS.
    pub(super) certificate_files: Vec<&'p Path>,
    /// Whether the gateway orders a certificate from an authority.
    pub(super) has_acme: bool,
    /// The key ids that the gateway publishes; empty with a shared secret.
    pub(super) kids: Vec<String>,
    pub(super) xmpp_domain: &'p str,
    pub(super) progress: &'p Progress<'p>,
}

// === impl PublicAddressChecks ===

impl PublicAddressChecks<'_> {
    /// Runs the checks in the order of their prerequisites.
    pub(super) async fn run(&self, report: &mut DoctorReport) {
        let authority = self.public_url.authority();
        let Ok(config) = self.trust.client_config() else {
            let checks = Check::Certificate.with_dependents();
            report.skip(checks, "TLS cannot be set up");
            return;
        };
        let endpoint = Endpoint::tls(authority, config);
        self.progress.begins(Check::Certificate);
        let certificate = match self.trust.capture(&endpoint, authority.host()).await {
            Ok(chain) => self.certificate(&chain),
            Err(error) => Err(PUBLIC.unreached(Check::Certificate, "a TLS handshake", &error)),
        };
        let verified = certificate
            .as_ref()
            .err()
            .is_none_or(|finding| VERIFIED.contains(&finding.kind));
        report.record(Check::Certificate, certificate);
        if !verified {
            report.skip_dependents(Check::Certificate);
            return;
        }
        self.progress.begins(Check::PublicAddress);
        let jwks = self.get(&endpoint, JWKS).await;
        if !report.record(
            Check::PublicAddress,
            evaluate_jwks(&self.sent(JWKS), jwks.as_ref()),
        ) {
            report.skip_dependents(Check::PublicAddress);
            return;
        }
        self.keys(&endpoint, report).await;
        if self.progress.needs(Check::Bypass) {
            self.progress.begins(Check::Bypass);
            self.bypass(&endpoint, report).await;
        }
    }

    fn certificate(&self, chain: &PresentedChain) -> Result<(), Finding> {
        let host = self.public_url.authority().host();
        let sent = format!("a TLS handshake with {}", self.public_url);
        let now = Duration::from_secs(self.now.as_unix());
        let found =
            |kind, error: &Error| Finding::error(kind).with_exchange(&*sent, in_words(error));
        if let Err(error) = self.trust.verify(chain, host, now) {
            return Err(match &error {
                Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ) => found(FindingKind::CertificateExpired, &error).with_remedy(
                    "the certificate has expired",
                    "renew it, and check that tls.certificate names the new file; a Secret mounted \
                     by subPath is never updated",
                ),
                Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ) => found(FindingKind::CertificateName, &error).with_remedy(
                    "the certificate is for another name",
                    "use one whose subject alternative names contain the host of public_url",
                ),
                _ if is_provisional(&chain.leaf, self.has_acme) => {
                    found(FindingKind::CertificateUnissued, &error).with_remedy(
                        "the authority of tls.acme has not issued a certificate; a self-signed one is \
                         presented until then",
                        "/readyz and the log line \"no certificate was issued\" have the authority's reason; \
                         docs/certificates.md lists them",
                    )
                }
                _ => found(FindingKind::CertificateTrust, &error).with_remedy(
                    "no authority that this machine trusts issued the certificate, so browsers \
                     warn",
                    "append the intermediate certificates to tls.certificate; for a private \
                     authority, set SSL_CERT_FILE for this command",
                ),
            });
        }
        if let Err(error) = self.trust.verify(chain, host, now + SOON) {
            return Err(Finding::warning(FindingKind::CertificateEndsSoon)
                .with_exchange(sent, in_words(&error))
                .with_remedy(
                    format!(
                        "the certificate expires within {} days",
                        SOON.as_secs() / 86400
                    ),
                    "renew it now, and find out why the automatic renewal failed",
                ));
        }
        self.compare_with_file(chain, sent)
    }

    fn compare_with_file(&self, chain: &PresentedChain, sent: String) -> Result<(), Finding> {
        let files = self.certificate_files.iter();
        let mut on_disk = files.filter_map(|file| CertificateDer::from_pem_file(file).ok());
        // Without a file that can be read there is nothing to compare with.
        let Some(first) = on_disk.next() else {
            return Ok(());
        };
        if first == chain.leaf || on_disk.any(|leaf| leaf == chain.leaf) {
            return Ok(());
        }
        Err(Finding::warning(FindingKind::CertificateStale)
            .with_exchange(sent, "another certificate than those of [tls]")
            .with_remedy(
                "the gateway has not reloaded the file, or a proxy before it terminates TLS",
                "look for the reload in the gateway's log; mount the Secret's directory, not a \
                 subPath",
            ))
    }

    /// K1: each public key at the URL that Prosody derives from its id (`asap_key_server`).
    async fn keys(&self, endpoint: &Endpoint, report: &mut DoctorReport) {
        if self.kids.is_empty() {
            report.skip(
                [Check::PublicKeys],
                "tokens are signed with a shared secret",
            );
            return;
        }
        self.progress.begins(Check::PublicKeys);
        for kid in &self.kids {
            let hash = digest::digest(&digest::SHA256, kid.as_bytes());
            let mut name = String::new();
            for byte in hash.as_ref() {
                // Infallible: a `String` accepts all that is written.
                let _ = write!(name, "{byte:02x}");
            }
            let path = format!("/_gateway/asap/{name}.pem");
            let response = self.get(endpoint, &path).await;
            let result = evaluate_key(&self.sent(&path), kid, response.as_ref());
            if !report.record(Check::PublicKeys, result) {
                return;
            }
        }
    }

    /// P2: the gateway refuses a BOSH session without cookie, token and room; Prosody would open
    /// it. No room is named, since the policy may admit everyone to one, but never without its
    /// name.
    async fn bypass(&self, endpoint: &Endpoint, report: &mut DoctorReport) {
        let body = format!(
            "<body rid='1000' xmlns='http://jabber.org/protocol/httpbind' to='{}' ver='1.6' \
             wait='1' hold='1' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>",
            Escaped(self.xmpp_domain)
        );
        let request = Request::post("/http-bind")
            .header(header::HOST, self.public_url.authority().as_str())
            .header(header::ORIGIN, self.public_url.origin())
            .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(body)
            // Infallible: the authority of a URL is a header value.
            .expect("an authority is a header value");
        match endpoint.send(request).await {
            Ok(response) => {
                report.record(Check::Bypass, evaluate_bypass(&response));
            }
            Err(error) => report.skip([Check::Bypass], &error.to_string()),
        }
    }

    async fn get(&self, endpoint: &Endpoint, path: &str) -> Result<HttpResponse, HttpError> {
        let request = Request::get(path)
            .header(header::HOST, self.public_url.authority().as_str())
            .body(String::new())
            // Infallible: the authority of a URL is a header value.
            .expect("an authority is a header value");
        endpoint.send(request).await
    }

    fn sent(&self, path: &str) -> String {
        format!("GET {}{path}", self.public_url)
    }
}

/// Formats the time of expiry, which rustls gives in seconds.
fn in_words(error: &Error) -> String {
    let until = match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => not_after,
        other => return other.to_string(),
    };
    format!(
        "a certificate that is valid until {}",
        model::time_format::format_rfc3339(until.as_secs())
    )
}

fn evaluate_jwks(sent: &str, response: Result<&HttpResponse, &HttpError>) -> Result<(), Finding> {
    let response = response.map_err(|error| PUBLIC.unreached(Check::PublicAddress, sent, error))?;
    if response.status == StatusCode::OK && response.text().starts_with("{\"keys\":") {
        return Ok(());
    }
    Err(Finding::error(FindingKind::PublicAddressElsewhere)
        .with_exchange(sent, response.summary())
        .with_remedy(
            "the public address does not lead to the gateway",
            "point DNS, the balancer or the Ingress of the web container \
             (web.ingress.enabled=false in jitsi-helm) at the gateway, for all \
             paths; check public_url",
        ))
}

fn evaluate_key(
    sent: &str,
    kid: &str,
    response: Result<&HttpResponse, &HttpError>,
) -> Result<(), Finding> {
    let response = response.map_err(|error| PUBLIC.unreached(Check::PublicKeys, sent, error))?;
    if response.status == StatusCode::OK
        && response.text().starts_with("-----BEGIN PUBLIC KEY-----")
    {
        return Ok(());
    }
    Err(Finding::error(FindingKind::KeyUnpublished)
        .with_exchange(sent, response.summary())
        .with_remedy(
            format!(
                "Prosody cannot fetch the public key {kid:?}, so it refuses the gateway's tokens"
            ),
            "the running gateway has other keys than this configuration: reload every \
             replica (SIGHUP); then set JWT_ASAP_KEYSERVER=<public_url>/_gateway/asap in \
             .env (asap_key_server in prosody.cfg.lua)",
        ))
}

fn evaluate_bypass(response: &HttpResponse) -> Result<(), Finding> {
    let body = Element::parse(&response.text()).ok();
    let session = body
        .filter(|body| body.name() == "body" && body.attribute("type") != Some("terminate"))
        .and_then(|body| body.attribute("sid").map(str::to_owned));
    if session.is_none() {
        return Ok(());
    }
    Err(Finding::danger(FindingKind::BypassOpen)
        .with_exchange(
            "POST /http-bind at the public address, without cookie, token and room",
            "a session with Prosody",
        )
        .with_remedy(
            "clients reach Prosody past the gateway and its rules",
            "send all paths of the public address to the gateway, and none to the web container or \
             Prosody; let only the gateway reach port 5280 (NetworkPolicy, or no published port)",
        ))
}

/// Whether the gateway presents the certificate in place of one that it orders.
fn is_provisional(leaf: &CertificateDer<'_>, has_acme: bool) -> bool {
    has_acme && CertificateFields::of(leaf).is_some_and(|fields| fields.is_self_issued)
}

/// Findings about a certificate that is valid today.
const VERIFIED: [FindingKind; 2] = [
    FindingKind::CertificateEndsSoon,
    FindingKind::CertificateStale,
];

const JWKS: &str = "/_gateway/jwks.json";

/// Leaves time to repair the renewal; ACME clients renew 30 days ahead.
const SOON: Duration = Duration::from_hours(14 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: StatusCode, body: &str) -> HttpResponse {
        HttpResponse {
            status,
            body: body.to_owned().into(),
            ..HttpResponse::default()
        }
    }

    #[test]
    fn a_self_signed_certificate_is_provisional_where_an_authority_issues_another() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["meet.example.org".to_owned()]).unwrap();
        let own = params.self_signed(&key).unwrap();
        let mut authority = rcgen::CertificateParams::default();
        let name = (rcgen::DnType::CommonName, "Private CA");
        authority.distinguished_name.push(name.0, name.1);
        let issuer = rcgen::Issuer::new(authority, rcgen::KeyPair::generate().unwrap());
        let issued = params.signed_by(&key, &issuer).unwrap();
        for (leaf, has_acme, expected) in [
            (own.der(), true, true),
            (own.der(), false, false),
            (issued.der(), true, false),
        ] {
            assert_eq!(is_provisional(leaf, has_acme), expected);
        }
    }

    #[test]
    fn the_gateway_is_recognized_by_its_key_set() {
        assert!(evaluate_jwks("", Ok(&response(StatusCode::OK, "{\"keys\":[]}"))).is_ok());
        let other = response(StatusCode::OK, "<!DOCTYPE html>Jitsi Meet");
        assert_eq!(
            evaluate_jwks("", Ok(&other)).unwrap_err().id(),
            "P1.elsewhere"
        );
        let refused = HttpError::Refused("x:1".to_owned());
        assert_eq!(
            evaluate_jwks("", Err(&refused)).unwrap_err().id(),
            "P1.refused"
        );
        let absent = response(StatusCode::NOT_FOUND, "");
        assert_eq!(
            evaluate_key("", "k", Ok(&absent)).unwrap_err().id(),
            "K1.unpublished"
        );
    }

    #[test]
    fn a_session_without_credentials_is_a_danger() {
        let session = response(StatusCode::OK, "<body xmlns='b' sid='1'/>");
        assert_eq!(evaluate_bypass(&session).unwrap_err().id(), "P2.bypass");
        for text in [
            "<body xmlns='b' type='terminate' sid='1'/>",
            "",
            "sign in first",
        ] {
            assert!(
                evaluate_bypass(&response(StatusCode::OK, text)).is_ok(),
                "{text}"
            );
        }
    }
}
