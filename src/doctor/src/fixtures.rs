//! Fixtures for tests.

use std::time::Duration;

use oidc::{ClaimPaths, ClientAuth, OidcSettings};
use url::Url;

pub(super) fn oidc_settings() -> OidcSettings {
    let path = str::to_owned;
    OidcSettings {
        listed: None,
        scope: model::provider::SubjectScope::default(),
        issuer: path("https://sso.example.org"),
        internal_url: None,
        client_id: path("jitsi"),
        client_secret: None,
        other_audiences: Vec::new(),
        client_auth: ClientAuth::Basic,
        scopes: vec![path("openid")],
        parameters: model::authorization_parameters::AuthorizationParameters::default(),
        claims: ClaimPaths {
            id: path("sub"),
            name: path("name"),
            name_fallbacks: vec!["preferred_username".to_owned(), "nickname".to_owned()],
            email: path("email"),
            email_verified: path("email_verified"),
            avatar: path("picture"),
            region: None,
            groups: path("groups"),
        },
        algorithms: Vec::new(),
        ca_pem: None,
        http_proxy: None,
        timeout: Duration::from_secs(10),
        leeway: Duration::from_mins(1),
        revalidate: None,
        push: oidc::PushPolicy::Never,
        form_post: false,
        silent_renewal: false,
        group_lookup: None,
        redirect_uri: Url::parse("https://meet.example.org/_gateway/callback").unwrap(),
        signed_out_uri: Url::parse("https://meet.example.org/").unwrap(),
        insecure_trust_unverified_email: false,
    }
}
