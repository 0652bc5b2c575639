use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use model::clock::{ClockControl, Timestamp};
use serde_json::Value;

use super::*;
use crate::testing::{FREE_PORT, TestBrowser, TestResponse};

mod logout;

const CALLBACK: &str = "https://localhost:8443/_gateway/callback";
const SIGNED_OUT: &str = "https://localhost:8443/_gateway/signed-out";
const SECRET: &str = "it's a secret: 100%";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Setup {
    issuer: String,
    provider: Arc<DevProviderState>,
    clock_control: ClockControl,
    _stop: tokio_util::sync::DropGuard,
}

async fn start() -> Setup {
    start_with(DevAccount::demonstration()).await
}

async fn start_with(accounts: Vec<DevAccount>) -> Setup {
    let client = DevClient {
        id: "gateway".to_owned(),
        secret: Some(SECRET.to_owned().into()),
        redirect_uris: vec![CALLBACK.to_owned()],
        post_logout_redirect_uris: vec![SIGNED_OUT.to_owned()],
    };
    let settings = DevProviderSettings {
        clients: vec![client],
        accounts,
        refresh_tokens: false,
        pushed_requests: PushSupport::None,
    };
    let (clock, clock_control) = Clock::manual(Timestamp::from_unix(1_000_000));
    let provider = DevProvider::bind(FREE_PORT, settings, clock, Random::system())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let setup = Setup {
        issuer: provider.issuer().to_owned(),
        provider: provider.provider(),
        clock_control,
        _stop: stop.clone().drop_guard(),
    };
    tokio::spawn(provider.run(stop));
    setup
}

// === impl Setup ===

impl Setup {
    /// The URL of an authorization request. `changes` replace parameters; an empty value removes
    /// one.
    fn authorize(&self, changes: &[(&str, &str)]) -> String {
        let mut url = url::Url::parse(&format!("{}/authorize", self.issuer)).unwrap();
        let usual = [
            ("client_id", "gateway"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "s&t"),
            ("nonce", "n1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let unchanged = usual
            .iter()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let changes = changes.iter().filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().extend_pairs(unchanged.chain(changes));
        url.into()
    }

    /// A code for an account, without the page.
    async fn code(&self, browser: &mut TestBrowser, person: &str) -> String {
        let page = browser
            .get(&self.authorize(&[("login_hint", person)]))
            .await;
        page.parameter("code").unwrap()
    }

    async fn exchange(&self, code: &str, verifier: &str, secret: &str) -> TestResponse {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
            ("client_id", "gateway"),
            ("client_secret", secret),
        ];
        let url = format!("{}/token", self.issuer);
        TestBrowser::new().post(&url, &form).await
    }

    /// Verifies an ID token with the published keys and returns its claims.
    async fn claims(&self, token: &str) -> Value {
        let jwks = TestBrowser::new()
            .get(&format!("{}/jwks", self.issuer))
            .await;
        let jwks: JwkSet = serde_json::from_str(&jwks.body).unwrap();
        let head = jsonwebtoken::decode_header(token).unwrap();
        let jwk = jwks.find(&head.kid.unwrap()).unwrap();
        let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.set_audience(&["gateway"]);
        validation.set_issuer(&[&self.issuer]);
        // The provider's clock is in 1970.
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(jwk).unwrap();
        jsonwebtoken::decode(token, &key, &validation)
            .unwrap()
            .claims
    }
}

#[tokio::test]
async fn choosing_an_account_leads_to_its_claims() {
    let setup = start().await;
    let mut browser = TestBrowser::new();
    let page = browser.get(&setup.authorize(&[])).await;
    assert_eq!(page.status, StatusCode::OK);
    for name in ["Hanna Host", "Max Member", "Mia Member"] {
        assert!(page.body.contains(name), "{}", page.body);
    }
    let request = setup.authorize(&[]);
    let request = request.split_once('?').unwrap().1;
    let form = [("request", request), ("account", "hanna")];
    let page = browser
        .post(&format!("{}/sign-in", setup.issuer), &form)
        .await;
    assert!(page.location().as_str().starts_with(CALLBACK));
    assert_eq!(page.parameter("state").unwrap(), "s&t");
    assert_eq!(page.parameter("iss").unwrap(), setup.issuer);

    let code = page.parameter("code").unwrap();
    let tokens = setup.exchange(&code, VERIFIER, SECRET).await.json();
    let claims = setup.claims(tokens["id_token"].as_str().unwrap()).await;
    assert_eq!(claims["sub"], "hanna");
    assert_eq!(claims["nonce"], "n1");
    assert_eq!(claims["groups"], json!(["staff"]));
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["exp"], 1_000_600);
    assert!(claims["sid"].is_string());

    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let userinfo =
        Request::get(format!("{}/userinfo", setup.issuer)).header(header::AUTHORIZATION, bearer);
    let userinfo = browser.send(userinfo, "").await.json();
    assert_eq!(userinfo["name"], "Hanna Host");
}

#[tokio::test]
async fn the_scope_decides_which_claims_there_are() {
    let setup = start().await;
    let url = setup.authorize(&[("scope", "openid"), ("login_hint", "max"), ("nonce", "")]);
    let code = TestBrowser::new()
        .get(&url)
        .await
        .parameter("code")
        .unwrap();
    let tokens = setup.exchange(&code, VERIFIER, SECRET).await.json();
    let claims = setup.claims(tokens["id_token"].as_str().unwrap()).await;
    assert_eq!(claims["sub"], "max");
    assert!(claims.get("name").is_none() && claims.get("nonce").is_none());
}

#[tokio::test]
async fn a_code_is_valid_once_for_a_minute_and_for_its_verifier() {
    let setup = start().await;
    let mut browser = TestBrowser::new();
    let code = setup.code(&mut browser, "max").await;
    assert_eq!(
        setup.exchange(&code, VERIFIER, SECRET).await.status,
        StatusCode::OK
    );
    let refused = async |code: &str, verifier: &str| {
        let page = setup.exchange(code, verifier, SECRET).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert_eq!(page.json()["error"], "invalid_grant");
    };
    refused(&code, VERIFIER).await;
    let code = setup.code(&mut browser, "max").await;
    refused(&code, "another").await;
    refused(&code, VERIFIER).await;
    let code = setup.code(&mut browser, "max").await;
    setup.clock_control.advance(Duration::from_mins(1));
    refused(&code, VERIFIER).await;

    let page = setup.exchange("x", VERIFIER, "wrong").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(page.json()["error"], "invalid_client");
}

#[tokio::test]
async fn the_client_may_use_basic_authentication() {
    let setup = start().await;
    let code = setup.code(&mut TestBrowser::new(), "mia").await;
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let credentials = BASE64_STANDARD.encode(format!("gateway:{}", encode(SECRET)));
    let request = Request::post(format!("{}/token", setup.issuer))
        .header(header::AUTHORIZATION, format!("Basic {credentials}"));
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={}&code_verifier={VERIFIER}",
        encode(CALLBACK)
    );
    let page = TestBrowser::new().send(request, &form).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
}

#[tokio::test]
async fn a_public_client_needs_only_its_verifier() {
    let setup = start().await;
    setup.provider.register(DevClient {
        id: "public".to_owned(),
        secret: None,
        redirect_uris: vec![CALLBACK.to_owned()],
        post_logout_redirect_uris: Vec::new(),
    });
    let url = setup.authorize(&[("client_id", "public"), ("login_hint", "max")]);
    let code = TestBrowser::new()
        .get(&url)
        .await
        .parameter("code")
        .unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", "public"),
    ];
    let url = format!("{}/token", setup.issuer);
    let page = TestBrowser::new().post(&url, &form).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
}

#[tokio::test]
async fn a_session_replaces_the_page_unless_prompt_asks_for_it() {
    let setup = start().await;
    let mut browser = TestBrowser::new();
    let quiet = setup.authorize(&[("prompt", "none")]);
    let page = browser.get(&quiet).await;
    assert_eq!(page.parameter("error").unwrap(), "login_required");
    assert_eq!(page.parameter("state").unwrap(), "s&t");
    assert_eq!(page.parameter("iss").unwrap(), setup.issuer);

    setup.code(&mut browser, "hanna").await;
    assert!(browser.get(&quiet).await.parameter("code").is_some());
    let page = browser.get(&setup.authorize(&[])).await;
    assert!(page.parameter("code").is_some());
    let page = browser.get(&setup.authorize(&[("prompt", "login")])).await;
    assert_eq!(page.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_without_a_valid_redirect_uri_get_a_page() {
    let setup = start().await;
    for changes in [
        ("client_id", "other"),
        ("redirect_uri", "https://evil.example/"),
        (
            "redirect_uri",
            "https://localhost:8443/_gateway/callback/../x",
        ),
        ("redirect_uri", ""),
    ] {
        let page = TestBrowser::new().get(&setup.authorize(&[changes])).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{changes:?}");
        assert!(!page.headers.contains_key(header::LOCATION), "{changes:?}");
    }
    let twice = format!("{}&client_id=gateway", setup.authorize(&[]));
    assert_eq!(
        TestBrowser::new().get(&twice).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn invalid_requests_are_redirected_with_an_error() {
    let setup = start().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("request", "eyJ"), "request_not_supported"),
        (("prompt", "none login"), "invalid_request"),
    ] {
        let page = TestBrowser::new().get(&setup.authorize(&[change])).await;
        assert_eq!(
            page.parameter("error").as_deref(),
            Some(error),
            "{change:?}"
        );
        assert!(page.parameter("code").is_none());
    }
}

#[tokio::test]
async fn markup_in_names_is_escaped() {
    let name = "<script>alert(1)</script>\"'&";
    let setup = start_with(vec![DevAccount::new("\"><i>", name, &["<b>"])]).await;
    let page = TestBrowser::new()
        .get(&setup.authorize(&[("state", "\"><u>")]))
        .await;
    for markup in ["<script>", "<i>", "<b>", "<u>"] {
        assert!(!page.body.contains(markup), "{markup} in {}", page.body);
    }
    assert!(page.headers.contains_key(header::CONTENT_SECURITY_POLICY));
}

#[tokio::test]
async fn other_addresses_and_other_hosts_are_refused() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = DevProvider::bind(
        everywhere,
        DevProviderSettings::default(),
        Clock::system(),
        Random::system(),
    )
    .await;
    assert!(matches!(refused, Err(DevkitError::NotLoopback(_))));
    let setup = start().await;
    let rebound =
        Request::get(format!("{}/jwks", setup.issuer)).header(header::HOST, "evil.example");
    let page = TestBrowser::new().send(rebound, "").await;
    assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn discovery_names_existing_endpoints() {
    let setup = start().await;
    let url = format!("{}/.well-known/openid-configuration", setup.issuer);
    let document = TestBrowser::new().get(&url).await.json();
    assert_eq!(document["issuer"], setup.issuer.as_str());
    for endpoint in [
        "authorization_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "end_session_endpoint",
    ] {
        let page = TestBrowser::new()
            .get(document[endpoint].as_str().unwrap())
            .await;
        assert_ne!(page.status, StatusCode::NOT_FOUND, "{endpoint}");
    }
}
