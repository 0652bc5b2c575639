//! The endpoints of the provider, with their faults.

use std::{collections::HashMap, io, sync::Arc};

use aws_lc_rs::digest::{self, SHA256};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jsonwebtoken::Algorithm;
use model::{
    clock::Timestamp,
    jws::{Jws, KeySet},
};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, Core, ProviderFault, REFRESH_TOKEN, SUBJECT,
    SigningKey, overlay,
};
use crate::support::answer::{
    Body, HTML, breaking_off, huge, json_answer, json_text, plain, redirect,
};

// === impl Core ===

impl Core {
    pub(super) fn description(&self, fault: ProviderFault) -> Response<Body> {
        match fault {
            ProviderFault::DiscoveryHtml => return plain(StatusCode::OK, HTML),
            ProviderFault::DiscoveryMissing => return plain(StatusCode::NOT_FOUND, HTML),
            ProviderFault::DiscoveryRedirect => return redirect(),
            _ => {}
        }
        let at = |endpoint: &str| format!("{}/{endpoint}", self.issuer);
        let mut description = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"),
            "jwks_uri": at("jwks"),
            "end_session_endpoint": at("end"),
            "authorization_response_iss_parameter_supported": true,
        });
        overlay(&mut description, &self.behaviour().description);
        match fault {
            ProviderFault::DiscoveryIssuerMismatch => {
                description["issuer"] = json!(format!("{}/", self.issuer));
            }
            ProviderFault::DiscoveryWithoutTokenEndpoint => {
                description["token_endpoint"] = Value::Null;
            }
            ProviderFault::DiscoveryKeysOnLinkLocalAddress => {
                description["jwks_uri"] = json!("http://169.254.169.254/latest/meta-data");
            }
            _ => {}
        }
        json_answer(StatusCode::OK, &description)
    }

    pub(super) fn key_set(&self, fault: ProviderFault) -> Response<Body> {
        let mut keys: Vec<_> = self.behaviour().keys.iter().map(SigningKey::jwk).collect();
        match fault {
            ProviderFault::JwksHtml => return plain(StatusCode::OK, HTML),
            ProviderFault::JwksServerError => return plain(StatusCode::BAD_GATEWAY, HTML),
            ProviderFault::JwksEmpty => keys.clear(),
            ProviderFault::JwksSymmetric => keys = vec![json!({"kty": "oct", "k": "c2VjcmV0"})],
            ProviderFault::KidAbsentMultipleJwks => {
                keys.push(SigningKey::new("key-2", Algorithm::RS256).jwk());
            }
            _ => {}
        }
        json_answer(StatusCode::OK, &json!({ "keys": keys }))
    }

    pub(super) async fn token(
        &self,
        fault: ProviderFault,
        request: Request<Incoming>,
    ) -> io::Result<Response<Body>> {
        let refused = |status, error| Ok(json_answer(status, &json!({ "error": error })));
        match fault {
            ProviderFault::TokenCodeRefused => {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            }
            ProviderFault::TokenClientRefused => {
                return refused(StatusCode::UNAUTHORIZED, "invalid_client");
            }
            ProviderFault::TokenScopeRefused => {
                return refused(StatusCode::BAD_REQUEST, "invalid_scope");
            }
            ProviderFault::TokenServerError => {
                return refused(StatusCode::SERVICE_UNAVAILABLE, "down");
            }
            ProviderFault::TokenHtml => return Ok(plain(StatusCode::OK, HTML)),
            ProviderFault::TokenTruncated => return Ok(json_text(r#"{"access_token":"a","id_to"#)),
            ProviderFault::TokenEmpty => return Ok(json_text("")),
            ProviderFault::TokenHang => std::future::pending().await,
            ProviderFault::TokenHuge => return Ok(huge()),
            ProviderFault::TokenRedirect => return Ok(redirect()),
            ProviderFault::TokenBreaksOff => return Ok(breaking_off()),
            ProviderFault::TokenHangsUp => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => {}
        }
        let authorization = request.headers().get(header::AUTHORIZATION).cloned();
        let form = request.collect().await.unwrap().to_bytes();
        let form: HashMap<_, _> = form_urlencoded::parse(&form).into_owned().collect();
        // RFC 6749 § 2.3.1: both parts are form-encoded before they are joined.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let [id, secret]: [String; 2] = [CLIENT_ID, CLIENT_SECRET].map(encoded);
        let credentials = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        // The lock is not held while an assertion is checked, which takes it.
        let client_keys = self.behaviour().client_keys.clone();
        let is_client = match client_keys {
            None => authorization.is_some_and(|value| value == format!("Basic {credentials}")),
            Some(keys) => authorization.is_none() && self.is_assertion_of_client(&form, &keys),
        };
        if !is_client {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        if form["grant_type"] == "refresh_token" {
            if form["refresh_token"] != REFRESH_TOKEN {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            }
            // OpenID Connect Core 1.0 § 12.2: no nonce.
            let id_token = self.id_token(fault, None);
            let answer = json!({
                "access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": id_token,
            });
            return Ok(json_answer(StatusCode::OK, &answer));
        }
        let Some(pending) = self.behaviour().codes.remove(&form["code"]) else {
            return refused(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        let verifier = digest::digest(&SHA256, form["code_verifier"].as_bytes());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(verifier);
        if challenge != pending.challenge || form["redirect_uri"] != pending.redirect_uri {
            return refused(StatusCode::BAD_REQUEST, "invalid_grant");
        }
        let mut answer = json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300,
            "id_token": self.id_token(fault, Some(&pending.nonce)),
        });
        match fault {
            ProviderFault::NoIdToken => answer["id_token"] = Value::Null,
            ProviderFault::TokenOfOtherType => answer["token_type"] = json!("DPoP"),
            _ => {}
        }
        for (name, value) in self.behaviour().token_response.as_object().unwrap() {
            answer[name] = value.clone();
        }
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// RFC 7523 § 3, with the issuer as the only audience, as Keycloak 26 checks it
    /// (`JWTClientAuthenticator`, `AbstractJWTClientValidator`): signature, `iss` and `sub`, audience, times, and
    /// each `jti` once. With a certificate as Entra ID documents it ("Microsoft identity platform application
    /// authentication certificate credentials"): PS256, `x5t#S256`, and the token endpoint as audience.
    fn is_assertion_of_client(&self, form: &HashMap<String, String>, keys: &KeySet) -> bool {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let Some(assertion) = form.get("client_assertion") else {
            return false;
        };
        let certificate = self.behaviour().client_certificate.clone();
        let (algorithms, audience): (&[_], _) = match &certificate {
            None => (&[Algorithm::RS256, Algorithm::ES256], self.issuer.clone()),
            Some(_) => (&[Algorithm::PS256], format!("{}/token", self.issuer)),
        };
        let Ok(jws) = Jws::parse(assertion, algorithms) else {
            return false;
        };
        let thumbprint =
            |der: Arc<[u8]>| BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, &der));
        let named = jsonwebtoken::decode_header(assertion).map(|header| header.x5t_s256);
        if certificate.is_some() && named.ok().flatten() != certificate.map(thumbprint) {
            return false;
        }
        let Ok(claims) = keys.open::<Value>(&jws) else {
            return false;
        };
        let now = self.clock.now();
        let time = |name: &str| claims[name].as_u64().map(Timestamp::from_unix);
        let id = claims["jti"].as_str().unwrap_or_default().to_owned();
        form.get("client_assertion_type").map(String::as_str) == Some(kind)
            && form.get("client_id").is_none_or(|id| id == CLIENT_ID)
            && !form.contains_key("client_secret")
            && claims["iss"] == CLIENT_ID
            && claims["sub"] == CLIENT_ID
            && claims["aud"] == audience
            && time("iat").is_some_and(|iat| iat <= now)
            && time("exp").is_some_and(|exp| exp > now)
            && !id.is_empty()
            && self.behaviour().assertions.insert(id)
    }

    pub(super) async fn userinfo(
        &self,
        fault: ProviderFault,
        request: &Request<Incoming>,
    ) -> io::Result<Response<Body>> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        if authorization.is_none_or(|value| value != format!("Bearer {ACCESS_TOKEN}").as_str()) {
            return Ok(plain(StatusCode::UNAUTHORIZED, ""));
        }
        let mut claims = json!({ "sub": SUBJECT });
        overlay(&mut claims, &self.behaviour().userinfo);
        match fault {
            ProviderFault::UserinfoInvalidSub => claims["sub"] = json!("somebody-else"),
            ProviderFault::UserinfoMissingSub => overlay(&mut claims, &json!({ "sub": null })),
            ProviderFault::UserinfoArray => claims = json!([claims]),
            ProviderFault::UserinfoHtml => return Ok(plain(StatusCode::OK, HTML)),
            ProviderFault::UserinfoRefused => return Ok(plain(StatusCode::FORBIDDEN, "")),
            ProviderFault::UserinfoServerError => return Ok(plain(StatusCode::BAD_GATEWAY, HTML)),
            ProviderFault::UserinfoHang => std::future::pending().await,
            ProviderFault::UserinfoHuge => return Ok(huge()),
            ProviderFault::UserinfoRedirect => return Ok(redirect()),
            _ => {}
        }
        let behaviour = self.behaviour();
        if let Some(head) = &behaviour.signed_userinfo {
            let key = &behaviour.keys[0];
            let mut honest_head = key.head();
            overlay(&mut honest_head, head);
            let mut answer = plain(StatusCode::OK, &key.sign(&honest_head, &claims));
            let token = HeaderValue::from_static("application/jwt; charset=utf-8");
            answer.headers_mut().insert(header::CONTENT_TYPE, token);
            return Ok(answer);
        }
        Ok(json_answer(StatusCode::OK, &claims))
    }
}
