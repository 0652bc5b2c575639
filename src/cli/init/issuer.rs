//! A look at the discovery document of an issuer.

use std::time::Duration;

use model::{clock::Clock, random::Random};
use oidc::{
    ClaimPaths, ClientAuth, OidcSettings, OidcSetupError, ProviderProbe, ProviderProbeError,
};
use tokio::runtime::Builder;
use url::Url;

/// Fetches the discovery document. Returns the issuer, corrected by a slash at its end if only that
/// differs, and a remark for the person.
pub(super) fn look_up(issuer: String) -> (String, String) {
    let outcome = describe(&issuer);
    match outcome {
        Ok(true) => (
            issuer,
            "found it; a sign-out there can end meetings here".to_owned(),
        ),
        Ok(false) => (
            issuer,
            "found it; it announces no back-channel logout".to_owned(),
        ),
        Err(LookUpError::Probe(ProviderProbeError::Issuer { found }))
            if found.trim_end_matches('/') == issuer.trim_end_matches('/') =>
        {
            let remark = format!("found it; its document writes the issuer as {found}");
            (found, remark)
        }
        Err(error) => {
            let remark = format!(
                "warning: {error}. The gateway tries again while it runs; doctor examines it"
            );
            (issuer, remark)
        }
    }
}

/// Why there is no description of a provider.
#[derive(Debug, thiserror::Error)]
enum LookUpError {
    #[error(transparent)]
    Setup(#[from] OidcSetupError),
    #[error(transparent)]
    Probe(#[from] ProviderProbeError),
    #[error("no runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Whether the provider announces back-channel logout.
fn describe(issuer: &str) -> Result<bool, LookUpError> {
    let probe = ProviderProbe::new(&settings(issuer), Clock::system(), Random::system())?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let description = runtime.block_on(probe.describe())?;
    Ok(description.back_channel_logout)
}

/// Settings for a request without a client: nothing but the issuer matters.
fn settings(issuer: &str) -> OidcSettings {
    let unused = || Url::parse("https://localhost/").expect("a constant URL");
    OidcSettings {
        listed: None,
        scope: model::provider::SubjectScope::default(),
        issuer: issuer.to_owned(),
        internal_url: None,
        client_id: String::new(),
        other_audiences: Vec::new(),
        client_secret: None,
        client_auth: ClientAuth::Basic,
        scopes: vec!["openid".to_owned()],
        parameters: model::authorization_parameters::AuthorizationParameters::default(),
        claims: ClaimPaths {
            id: String::new(),
            name: String::new(),
            name_fallbacks: Vec::new(),
            email: String::new(),
            email_verified: String::new(),
            avatar: String::new(),
            groups: String::new(),
            region: None,
        },
        algorithms: ["RS256", "PS256", "ES256", "EdDSA"]
            .map(str::to_owned)
            .to_vec(),
        ca_pem: None,
        http_proxy: None,
        timeout: WITHIN,
        leeway: Duration::ZERO,
        redirect_uri: unused(),
        signed_out_uri: unused(),
        insecure_trust_unverified_email: false,
        revalidate: None,
        push: oidc::PushPolicy::Never,
        form_post: false,
        silent_renewal: false,
        group_lookup: None,
    }
}

/// A person waits for it.
const WITHIN: Duration = Duration::from_secs(5);
