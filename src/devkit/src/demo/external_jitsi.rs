//! The Jitsi behind the demonstration's gateway.

use std::net::SocketAddr;

use model::random::Random;
use secrecy::SecretString;
use url::Url;

/// A Jitsi that runs already: its addresses, and what its Prosody accepts.
#[derive(Clone, Debug)]
pub struct ExternalJitsi {
    /// The web server.
    pub web: Url,
    /// Prosody's HTTP server.
    pub xmpp: Url,
    /// The XMPP domain.
    pub xmpp_domain: String,
    /// The `iss` of the tokens that Prosody accepts.
    pub app_id: String,
    /// The secret of their signatures.
    pub app_secret: SecretString,
}

// === impl ExternalJitsi ===

impl ExternalJitsi {
    /// The stand-in at this address, with a new secret.
    pub(super) fn stand_in(address: SocketAddr, random: &Random) -> Self {
        // Infallible: a socket address is a valid authority.
        let url: Url = format!("http://{address}")
            .parse()
            .expect("an address is an authority");
        Self {
            web: url.clone(),
            xmpp: url,
            xmpp_domain: XMPP_DOMAIN.to_owned(),
            app_id: "demonstration".to_owned(),
            app_secret: random.text::<32>().into(),
        }
    }
}

/// Names below `localhost` resolve to loopback addresses (RFC 6761 § 6.3).
const XMPP_DOMAIN: &str = "meet.localhost";
