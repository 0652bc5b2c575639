//! An OpenID provider with one configurable fault.

mod endpoints;
mod id_token;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::Algorithm;
use model::{clock::Clock, jws::KeySet};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use url::{Url, form_urlencoded};

use super::{
    answer::{Body, plain},
    provider_fault::ProviderFault,
    signing_key::SigningKey,
};

/// A running provider on loopback.
pub(crate) struct FaultyProvider {
    pub(crate) address: SocketAddr,
    core: Arc<Core>,
    _task: AbortOnDropHandle<()>,
}

/// The initial state of a provider.
pub(crate) struct Builder {
    issuer: Option<String>,
    tls: Option<TlsAcceptor>,
    algorithm: Algorithm,
    clock: Clock,
}

/// The current behaviour; tests change it while the provider runs.
pub(crate) struct Behaviour {
    pub(crate) fault: ProviderFault,
    /// The signing keys; the first signs, all are published.
    pub(crate) keys: Vec<SigningKey>,
    /// Merged over the claims of the ID token; `null` removes a claim.
    pub(crate) id_token: Value,
    /// The claims of userinfo beside `sub`.
    pub(crate) userinfo: Value,
    /// Merged over the token response.
    pub(crate) token_response: Value,
    /// If set, the userinfo is a signed token: the header's changes.
    pub(crate) signed_userinfo: Option<Value>,
    /// Merged over the metadata.
    pub(crate) description: Value,
    /// The public keys of a client that authenticates by assertions; none for one with a secret.
    pub(crate) client_keys: Option<Arc<KeySet>>,
    /// The DER certificate by whose thumbprint the provider finds the key, as Entra ID does.
    pub(crate) client_certificate: Option<Arc<[u8]>>,
    /// The `jti` of the assertions that were accepted.
    assertions: HashSet<String>,
    /// The number of requests per endpoint.
    pub(crate) requests: HashMap<String, usize>,
    codes: HashMap<String, PendingAuthorization>,
}

struct Core {
    issuer: String,
    clock: Clock,
    behaviour: Mutex<Behaviour>,
}

/// The authorization request of a code.
struct PendingAuthorization {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

// === impl FaultyProvider ===

impl FaultyProvider {
    pub(crate) fn builder(clock: &Clock) -> Builder {
        Builder {
            issuer: None,
            tls: None,
            algorithm: Algorithm::RS256,
            clock: clock.clone(),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.core.issuer
    }

    pub(crate) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.core.behaviour()
    }

    /// The number of requests to an endpoint.
    pub(crate) fn request_count(&self, endpoint: &str) -> usize {
        self.behaviour()
            .requests
            .get(endpoint)
            .copied()
            .unwrap_or_default()
    }

    /// Answers an authorization URL with the query of the callback.
    pub(crate) fn authorize(&self, address: &Url) -> String {
        let parameters: HashMap<_, _> = address.query_pairs().into_owned().collect();
        assert_eq!(parameters["response_type"], "code");
        assert_eq!(parameters["client_id"], CLIENT_ID);
        assert_eq!(parameters["code_challenge_method"], "S256");
        assert!(
            parameters["scope"]
                .split(' ')
                .any(|scope| scope == "openid")
        );
        let mut behaviour = self.behaviour();
        let code = format!("code-{}", behaviour.codes.len());
        let pending = PendingAuthorization {
            nonce: parameters["nonce"].clone(),
            challenge: parameters["code_challenge"].clone(),
            redirect_uri: parameters["redirect_uri"].clone(),
        };
        behaviour.codes.insert(code.clone(), pending);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", &parameters["state"]);
        match behaviour.fault {
            ProviderFault::AnswerIssMissing => {}
            ProviderFault::AnswerIssInvalid => {
                query.append_pair("iss", "https://other.example");
            }
            _ => {
                query.append_pair("iss", &self.core.issuer);
            }
        }
        let error = match behaviour.fault {
            ProviderFault::AnswerAccessDenied => "access_denied",
            ProviderFault::AnswerLoginRequired => "login_required",
            ProviderFault::AnswerServerError => "server_error",
            ProviderFault::AnswerInvalidRequest => "invalid_request",
            _ => return query.append_pair("code", &code).finish(),
        };
        query.append_pair("error", error).finish()
    }

    /// A logout token with changes to its claims and header.
    pub(crate) fn logout_token(&self, head: &Value, claims: &Value) -> String {
        let now = self.core.clock.now().as_unix();
        let mut honest = json!({
            "iss": self.core.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120,
            "jti": format!("logout-{now}"), "sub": SUBJECT, "sid": "session-1",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        overlay(&mut honest, claims);
        let key = self.behaviour().keys[0].clone();
        let mut honest_head = key.head();
        honest_head["typ"] = json!("logout+jwt");
        overlay(&mut honest_head, head);
        key.sign(&honest_head, &honest)
    }
}

// === impl Builder ===

impl Builder {
    /// Sets the issuer, independently of the address.
    pub(crate) fn issuer(self, issuer: &str) -> Self {
        let issuer = Some(issuer.to_owned());
        Self { issuer, ..self }
    }

    pub(crate) fn tls(self, tls: TlsAcceptor) -> Self {
        let tls = Some(tls);
        Self { tls, ..self }
    }

    pub(crate) fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    pub(crate) async fn start(self, fault: ProviderFault) -> FaultyProvider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let behaviour = Behaviour {
            fault,
            keys: vec![SigningKey::new("key-1", self.algorithm)],
            id_token: json!({}),
            userinfo: json!({ "name": "Zoë" }),
            token_response: json!({}),
            signed_userinfo: None,
            description: json!({}),
            client_keys: None,
            client_certificate: None,
            assertions: HashSet::new(),
            requests: HashMap::new(),
            codes: HashMap::new(),
        };
        let own = || format!("{scheme}://{address}/realms/main");
        let core = Arc::new(Core {
            issuer: self.issuer.unwrap_or_else(own),
            clock: self.clock,
            behaviour: Mutex::new(behaviour),
        });
        let task = tokio::spawn(accept(listener, self.tls, Arc::clone(&core)));
        FaultyProvider {
            address,
            core,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

// === impl Core ===

impl Core {
    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let path = request.uri().path().to_owned();
        let endpoint = path.rsplit('/').next().unwrap_or_default().to_owned();
        let fault = {
            let mut behaviour = self.behaviour();
            *behaviour.requests.entry(endpoint.clone()).or_default() += 1;
            behaviour.fault
        };
        if fault == ProviderFault::Down {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        match &*endpoint {
            "openid-configuration" => Ok(self.description(fault)),
            "jwks" => Ok(self.key_set(fault)),
            "token" => self.token(fault, request).await,
            "userinfo" => self.userinfo(fault, &request).await,
            _ => Ok(plain(StatusCode::NOT_FOUND, "")),
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, core: Arc<Core>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, core) = (tls.clone(), Arc::clone(&core));
        tokio::spawn(async move {
            match tls {
                None => serve(socket, core).await,
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        serve(socket, core).await;
                    }
                }
            }
        });
    }
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin, core: Arc<Core>) {
    let service = service_fn(|request| Arc::clone(&core).answer(request));
    // Some faults break the connection on purpose.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// Merges changes into an object; `null` removes a member.
fn overlay(object: &mut Value, changes: &Value) {
    let object = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// The registered client.
pub(crate) const CLIENT_ID: &str = "jitsi";
pub(crate) const CLIENT_SECRET: &str = "correct horse: battery&staple";

/// The subject of every sign-in.
pub(crate) const SUBJECT: &str = "248289761001";

/// The refresh token of every sign-in; it can be used again.
pub(crate) const REFRESH_TOKEN: &str = "refresh-token-of-zoe";

pub(crate) const ACCESS_TOKEN: &str = "access-token-of-zoe";
