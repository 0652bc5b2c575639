//! The public address as people meet it: its certificate, and that it leads to the gateway and not
//! past it.

use std::{path::Path, time::Duration};

use http::{Request, StatusCode, header};
use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    Check, Finding, Report, Watch,
    certificate::{Shown, Trust},
    reach::PUBLIC,
    wire::{Answer, Wire, WireError},
    xml::Element,
};
use config::PublicUrl;
use model::{clock::Timestamp, digest::sha256_hex};

/// What is examined, and with what.
pub(super) struct Door<'d> {
    pub(super) public_url: &'d PublicUrl,
    pub(super) trust: &'d Trust,
    pub(super) now: Timestamp,
    /// The certificate that the gateway reads, if it ends TLS itself.
    pub(super) certificate_file: Option<&'d Path>,
    /// The ids of the keys that we publish.
    pub(super) kids: Vec<String>,
    pub(super) xmpp_domain: &'d str,
    pub(super) watch: &'d Watch<'d>,
}

// === impl Door ===

impl Door<'_> {
    pub(super) async fn examine(&self, report: &mut Report) {
        let authority = self.public_url.authority();
        let Ok(config) = self.trust.config() else {
            report.skip(DOOR, "TLS cannot be set up here");
            return;
        };
        let wire = Wire::tls(authority, config);
        self.watch.begins(Check::C2);
        let certificate = match self.trust.look(&wire, authority.host()).await {
            Ok(shown) => self.certificate(&shown),
            Err(error) => Err(PUBLIC.unreached(Check::C2, "a TLS handshake", &error)),
        };
        let unsafe_to_talk = certificate
            .as_ref()
            .is_err_and(|own| own.id != "C2.soon" && own.id != "C2.stale");
        report.settle(Check::C2, certificate);
        if unsafe_to_talk {
            report.skip(&[Check::K1, Check::P1, Check::P2], "C2 failed");
            return;
        }
        self.watch.begins(Check::P1);
        let jwks = self.get(&wire, JWKS).await;
        if !report.settle(Check::P1, ours(&self.sent(JWKS), jwks.as_ref())) {
            report.skip(&[Check::K1, Check::P2], "P1 failed");
            return;
        }
        self.keys(&wire, report).await;
        if self.watch.wants(Check::P2) {
            self.watch.begins(Check::P2);
            self.past_the_gateway(&wire, report).await;
        }
    }

    fn certificate(&self, shown: &Shown) -> Result<(), Finding> {
        let host = self.public_url.authority().host();
        let sent = format!("a TLS handshake with {}", self.public_url);
        let now = Duration::from_secs(self.now.as_unix());
        let found =
            |what, error: &Error| Finding::error(Check::C2, what).saw(&*sent, in_words(error));
        if let Err(error) = self.trust.judge(shown, host, now) {
            return Err(match &error {
                Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ) => found("expired", &error).so(
                    "the certificate has expired",
                    "renew it, and see that tls.certificate names the new file; a Secret mounted by \
                     subPath is never updated",
                ),
                Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ) => found("name", &error).so(
                    "the certificate is for another name",
                    "get one whose subject alternative names have the host of public_url",
                ),
                _ => found("trust", &error).so(
                    "nobody whom this machine trusts vouches for the certificate, so browsers warn",
                    "put the intermediate certificates behind it in tls.certificate, or, if it is \
                     your own authority's, name that in SSL_CERT_FILE for this command",
                ),
            });
        }
        if let Err(error) = self.trust.judge(shown, host, now + SOON) {
            return Err(Finding::warning(Check::C2, "soon")
                .saw(sent, in_words(&error))
                .so(
                    format!(
                        "the certificate ends within {} days",
                        SOON.as_secs() / 86400
                    ),
                    "renew it now, and find out why that did not happen by itself",
                ));
        }
        self.as_on_disk(shown, sent)
    }

    fn as_on_disk(&self, shown: &Shown, sent: String) -> Result<(), Finding> {
        let on_disk = self
            .certificate_file
            .and_then(|file| CertificateDer::from_pem_file(file).ok());
        if on_disk.is_none_or(|leaf| leaf == shown.leaf) {
            return Ok(());
        }
        Err(Finding::warning(Check::C2, "stale")
            .saw(sent, "another certificate than the one in tls.certificate")
            .so(
                "the gateway has not taken up the new file, or something else ends TLS before it",
                "look at the gateway's log for the reload; mount the Secret's directory, not a \
                 subPath",
            ))
    }

    /// The public keys, as Prosody asks for them.
    async fn keys(&self, wire: &Wire, report: &mut Report) {
        if self.kids.is_empty() {
            report.skip(&[Check::K1], "tokens are signed with a shared secret");
            return;
        }
        self.watch.begins(Check::K1);
        for kid in &self.kids {
            let path = format!("/_gateway/asap/{}.pem", sha256_hex(kid.as_bytes()));
            let answer = self.get(wire, &path).await;
            let result = key(&self.sent(&path), kid, answer.as_ref());
            if !report.settle(Check::K1, result) {
                return;
            }
        }
    }

    /// Nobody without a session of ours gets one at Prosody. No token is sent: a session is enough.
    /// No room is named, either: rules may let everybody into one, but the gateway wants to know
    /// which, and Prosody does not.
    async fn past_the_gateway(&self, wire: &Wire, report: &mut Report) {
        let body = format!(
            "<body rid='1000' xmlns='http://jabber.org/protocol/httpbind' to='{}' ver='1.6' \
             wait='1' hold='1' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>",
            super::xml::escaped(self.xmpp_domain)
        );
        let request = Request::post("/http-bind")
            .header(header::HOST, self.public_url.authority().as_str())
            .header(header::ORIGIN, self.public_url.origin())
            .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(body)
            .expect("the public address is a host");
        match wire.send(request).await {
            Ok(answer) => {
                report.settle(Check::P2, closed(&answer));
            }
            Err(error) => report.skip(&[Check::P2], &error.to_string()),
        }
    }

    async fn get(&self, wire: &Wire, path: &str) -> Result<Answer, WireError> {
        let request = Request::get(path)
            .header(header::HOST, self.public_url.authority().as_str())
            .body(String::new())
            .expect("the public address is a host");
        wire.send(request).await
    }

    fn sent(&self, path: &str) -> String {
        format!("GET {}{path}", self.public_url)
    }
}

/// The library tells times in seconds.
fn in_words(error: &Error) -> String {
    let until = match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => not_after,
        other => return other.to_string(),
    };
    format!(
        "a certificate that is good until {}",
        model::time_format::format_rfc3339(until.as_secs())
    )
}

fn ours(sent: &str, answer: Result<&Answer, &WireError>) -> Result<(), Finding> {
    let answer = answer.map_err(|error| PUBLIC.unreached(Check::P1, sent, error))?;
    if answer.status == StatusCode::OK && answer.text().starts_with("{\"keys\":") {
        return Ok(());
    }
    Err(Finding::error(Check::P1, "elsewhere").saw(sent, answer.brief()).so(
        "the public address does not lead to the gateway",
        "point DNS, the balancer or the Ingress of the web container (web.ingress.enabled=false in \
         jitsi-helm) at the gateway, for all paths; and see that public_url is right",
    ))
}

fn key(sent: &str, kid: &str, answer: Result<&Answer, &WireError>) -> Result<(), Finding> {
    let answer = answer.map_err(|error| PUBLIC.unreached(Check::K1, sent, error))?;
    if answer.status == StatusCode::OK && answer.text().starts_with("-----BEGIN PUBLIC KEY-----") {
        return Ok(());
    }
    Err(Finding::error(Check::K1, "unpublished").saw(sent, answer.brief()).so(
        format!("Prosody cannot fetch the public key {kid:?}, so it refuses our tokens"),
        "the running gateway has other keys than this configuration: reload it (SIGHUP), on every \
         replica; then JWT_ASAP_KEYSERVER=<public_url>/_gateway/asap in .env",
    ))
}

fn closed(answer: &Answer) -> Result<(), Finding> {
    let body = Element::parse(&answer.text());
    let session = body
        .filter(|body| body.name == "body" && body.attribute("type") != Some("terminate"))
        .and_then(|body| body.attribute("sid").map(str::to_owned));
    if session.is_none() {
        return Ok(());
    }
    Err(Finding::danger(Check::P2, "bypass")
        .saw(
            "POST /http-bind at the public address, as nobody in particular",
            "a session with Prosody",
        )
        .so(
            "people reach Prosody past the gateway, which then decides nothing",
            "send all paths of the public address to the gateway, and none to the web container or \
             Prosody; let only the gateway reach port 5280 (NetworkPolicy, or no published port)",
        ))
}

/// What is examined here.
pub(super) const DOOR: &[Check] = &[Check::C2, Check::K1, Check::P1, Check::P2];

const JWKS: &str = "/_gateway/jwks.json";

/// Time enough to mend what should have renewed it; ACME clients renew 30 days ahead.
const SOON: Duration = Duration::from_hours(14 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, body: &str) -> Answer {
        Answer {
            status,
            body: body.to_owned().into(),
            ..Answer::default()
        }
    }

    #[test]
    fn the_gateway_is_known_by_its_keys() {
        assert!(ours("", Ok(&answer(StatusCode::OK, "{\"keys\":[]}"))).is_ok());
        let other = answer(StatusCode::OK, "<!DOCTYPE html>Jitsi Meet");
        assert_eq!(ours("", Ok(&other)).unwrap_err().id, "P1.elsewhere");
        let refused = WireError::Refused("x:1".to_owned());
        assert_eq!(ours("", Err(&refused)).unwrap_err().id, "P1.refused");
        let absent = answer(StatusCode::NOT_FOUND, "");
        assert_eq!(key("", "k", Ok(&absent)).unwrap_err().id, "K1.unpublished");
    }

    #[test]
    fn a_session_without_the_gateway_is_a_danger() {
        let session = answer(StatusCode::OK, "<body xmlns='b' sid='1'/>");
        assert_eq!(closed(&session).unwrap_err().id, "P2.bypass");
        for text in [
            "<body xmlns='b' type='terminate' sid='1'/>",
            "",
            "sign in first",
        ] {
            assert!(closed(&answer(StatusCode::OK, text)).is_ok(), "{text}");
        }
    }
}
