//! Pushed authorization requests (RFC 9126): the parameters go from the gateway to the provider, and the browser carries
//! only a reference to them.

use http::{HeaderValue, Method, Request, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::{
    AuthenticationError, ClientAuth, OidcSettings, OidcSetupError,
    discovery::ProviderMetadata,
    http::{Endpoint, Fetcher, basic, to_uri},
};

/// Whether authorization requests are pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushPolicy {
    /// They are not.
    Never,
    /// If the provider has an endpoint for it. When that fails, the parameters go through the browser, unless the provider
    /// requires pushed requests.
    #[default]
    Offered,
    /// Always.
    Required,
}

/// Pushes the authorization requests of one client to one provider.
pub(crate) struct PushedRequests {
    endpoint: Url,
    /// `authorization_endpoint`, which may have a query.
    authorization: Url,
    client_id: String,
    authentication: PushAuthentication,
    pub(crate) is_required: bool,
}

/// The part of the client authentication that is the same in each request (RFC 6749 § 2.3.1).
enum PushAuthentication {
    /// The `Authorization` field.
    Basic(HeaderValue),
    /// `client_secret` of the form.
    Post(SecretString),
    /// None: the client is public, or the caller adds an assertion.
    None,
}

/// RFC 9126 § 2.2. `expires_in` is not used: the browser follows the reference at once.
#[derive(Deserialize)]
struct PushResponse {
    request_uri: String,
}

/// RFC 9126 § 2.3.
#[derive(Deserialize)]
struct PushError {
    error: String,
}

// === impl PushedRequests ===

impl PushedRequests {
    /// `None` if requests are not pushed.
    ///
    /// # Errors
    ///
    /// If they have to be pushed, and the provider has no endpoint for it.
    pub(crate) fn new(
        settings: &OidcSettings,
        metadata: &ProviderMetadata,
    ) -> Result<Option<Self>, OidcSetupError> {
        let endpoint = match (settings.push, &metadata.push_endpoint) {
            (PushPolicy::Never, _) | (PushPolicy::Offered, None) => return Ok(None),
            (PushPolicy::Required, None) => return Err(OidcSetupError::NoPushEndpoint),
            (PushPolicy::Offered | PushPolicy::Required, Some(endpoint)) => endpoint,
        };
        let is_required = endpoint.is_required || settings.push == PushPolicy::Required;
        Ok(Some(Self {
            endpoint: endpoint.url.clone(),
            authorization: metadata.authorization.clone(),
            client_id: settings.client_id.clone(),
            authentication: PushAuthentication::of(settings),
            is_required,
        }))
    }

    /// Pushes a request, and gives the address with the reference to it.
    ///
    /// # Errors
    ///
    /// If the provider cannot be asked or refuses.
    pub(crate) async fn push(
        &self,
        request: &Url,
        assertion: impl Iterator<Item = (&'static str, String)>,
        fetcher: &Fetcher,
    ) -> Result<Url, AuthenticationError> {
        let pushed = self.request(request, assertion);
        let response = fetcher.fetch(Endpoint::PushedRequest, pushed).await;
        let response = response.map_err(AuthenticationError::PushEndpoint)?;
        let body = response.body();
        if response.status() != StatusCode::CREATED && response.status() != StatusCode::OK {
            let error = serde_json::from_slice::<PushError>(body);
            return Err(error.map_or(AuthenticationError::RequestRefused, |body| {
                AuthenticationError::from_push_error(&body.error)
            }));
        }
        let reference: PushResponse =
            serde_json::from_slice(body).map_err(|_| AuthenticationError::RequestRefused)?;
        let mut address = self.authorization.clone();
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("request_uri", &reference.request_uri);
        Ok(address)
    }

    /// The request with the parameters of an authorization request.
    fn request(
        &self,
        request: &Url,
        assertion: impl Iterator<Item = (&'static str, String)>,
    ) -> Request<Vec<u8>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        // Those of the endpoint itself stay in its address.
        let own = self.authorization.query_pairs().count();
        form.extend_pairs(request.query_pairs().skip(own));
        form.extend_pairs(assertion);
        let mut pushed = Request::new(Vec::new());
        let headers = pushed.headers_mut();
        match &self.authentication {
            PushAuthentication::Basic(value) => {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
            PushAuthentication::Post(secret) => {
                form.append_pair("client_secret", secret.expose_secret());
            }
            PushAuthentication::None => {}
        }
        headers.insert(header::CONTENT_TYPE, FORM);
        headers.insert(header::ACCEPT, JSON);
        *pushed.method_mut() = Method::POST;
        *pushed.uri_mut() = to_uri(&self.endpoint);
        *pushed.body_mut() = form.finish().into_bytes();
        pushed
    }
}

// === impl PushAuthentication ===

impl PushAuthentication {
    fn of(settings: &OidcSettings) -> Self {
        match (&settings.client_auth, &settings.client_secret) {
            (ClientAuth::Key(_), _) | (_, None) => Self::None,
            (ClientAuth::Post, Some(secret)) => Self::Post(secret.clone()),
            (ClientAuth::Basic, Some(secret)) => {
                // RFC 6749 § 2.3.1.
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let [user, password] = [&settings.client_id, secret.expose_secret()].map(encode);
                Self::Basic(basic(user.as_bytes(), password.as_bytes()))
            }
        }
    }
}

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
