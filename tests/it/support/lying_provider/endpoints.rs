//! The endpoints of the provider, with their faults.

use std::{collections::HashMap, io};

use aws_lc_rs::digest::{self, SHA256};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, Core, Lie, SUBJECT, SigningKey, overlay};
use crate::support::answer::{
    Body, HTML, breaking_off, huge, json_answer, json_text, plain, redirect,
};

// === impl Core ===

impl Core {
    pub(super) fn description(&self, lie: Lie) -> Response<Body> {
        match lie {
            Lie::DiscoveryHtml => return plain(StatusCode::OK, HTML),
            Lie::DiscoveryMissing => return plain(StatusCode::NOT_FOUND, HTML),
            Lie::DiscoveryRedirect => return redirect(),
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
        overlay(&mut description, &self.mind().description);
        match lie {
            Lie::DiscoveryIssuerMismatch => {
                description["issuer"] = json!(format!("{}/", self.issuer));
            }
            Lie::DiscoveryWithoutTokenEndpoint => description["token_endpoint"] = Value::Null,
            Lie::DiscoveryKeysOnLinkLocalAddress => {
                description["jwks_uri"] = json!("http://169.254.169.254/latest/meta-data");
            }
            _ => {}
        }
        json_answer(StatusCode::OK, &description)
    }

    pub(super) fn key_set(&self, lie: Lie) -> Response<Body> {
        let mut keys: Vec<_> = self.mind().keys.iter().map(SigningKey::jwk).collect();
        match lie {
            Lie::JwksHtml => return plain(StatusCode::OK, HTML),
            Lie::JwksServerError => return plain(StatusCode::BAD_GATEWAY, HTML),
            Lie::JwksEmpty => keys.clear(),
            Lie::JwksSymmetric => keys = vec![json!({"kty": "oct", "k": "c2VjcmV0"})],
            Lie::KidAbsentMultipleJwks => {
                keys.push(SigningKey::new("key-2", Algorithm::RS256).jwk());
            }
            _ => {}
        }
        json_answer(StatusCode::OK, &json!({ "keys": keys }))
    }

    pub(super) async fn token(
        &self,
        lie: Lie,
        request: Request<Incoming>,
    ) -> io::Result<Response<Body>> {
        let refused = |status, error| Ok(json_answer(status, &json!({ "error": error })));
        match lie {
            Lie::TokenCodeRefused => return refused(StatusCode::BAD_REQUEST, "invalid_grant"),
            Lie::TokenClientRefused => return refused(StatusCode::UNAUTHORIZED, "invalid_client"),
            Lie::TokenScopeRefused => return refused(StatusCode::BAD_REQUEST, "invalid_scope"),
            Lie::TokenServerError => return refused(StatusCode::SERVICE_UNAVAILABLE, "down"),
            Lie::TokenHtml => return Ok(plain(StatusCode::OK, HTML)),
            Lie::TokenTruncated => return Ok(json_text(r#"{"access_token":"a","id_to"#)),
            Lie::TokenEmpty => return Ok(json_text("")),
            Lie::TokenHang => std::future::pending().await,
            Lie::TokenHuge => return Ok(huge()),
            Lie::TokenRedirect => return Ok(redirect()),
            Lie::TokenBreaksOff => return Ok(breaking_off()),
            Lie::TokenHangsUp => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => {}
        }
        let authorization = request.headers().get(header::AUTHORIZATION).cloned();
        let form = request.collect().await.unwrap().to_bytes();
        let form: HashMap<_, _> = form_urlencoded::parse(&form).into_owned().collect();
        // RFC 6749 § 2.3.1: both parts are form-encoded before they are joined.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let [id, secret]: [String; 2] = [CLIENT_ID, CLIENT_SECRET].map(encoded);
        let credentials = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        if authorization.is_none_or(|value| value != format!("Basic {credentials}")) {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let Some(asked) = self.mind().codes.remove(&form["code"]) else {
            return refused(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        let verifier = digest::digest(&SHA256, form["code_verifier"].as_bytes());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(verifier);
        if challenge != asked.challenge || form["redirect_uri"] != asked.redirect_uri {
            return refused(StatusCode::BAD_REQUEST, "invalid_grant");
        }
        let mut answer = json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300,
            "id_token": self.id_token(lie, &asked.nonce),
        });
        match lie {
            Lie::NoIdToken => answer["id_token"] = Value::Null,
            Lie::TokenOfOtherType => answer["token_type"] = json!("DPoP"),
            _ => {}
        }
        Ok(json_answer(StatusCode::OK, &answer))
    }

    pub(super) async fn userinfo(
        &self,
        lie: Lie,
        request: &Request<Incoming>,
    ) -> io::Result<Response<Body>> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        if authorization.is_none_or(|value| value != format!("Bearer {ACCESS_TOKEN}").as_str()) {
            return Ok(plain(StatusCode::UNAUTHORIZED, ""));
        }
        let mut claims = json!({ "sub": SUBJECT });
        overlay(&mut claims, &self.mind().userinfo);
        match lie {
            Lie::UserinfoInvalidSub => claims["sub"] = json!("somebody-else"),
            Lie::UserinfoMissingSub => overlay(&mut claims, &json!({ "sub": null })),
            Lie::UserinfoArray => claims = json!([claims]),
            Lie::UserinfoHtml => return Ok(plain(StatusCode::OK, HTML)),
            Lie::UserinfoRefused => return Ok(plain(StatusCode::FORBIDDEN, "")),
            Lie::UserinfoServerError => return Ok(plain(StatusCode::BAD_GATEWAY, HTML)),
            Lie::UserinfoHang => std::future::pending().await,
            Lie::UserinfoHuge => return Ok(huge()),
            Lie::UserinfoRedirect => return Ok(redirect()),
            _ => {}
        }
        Ok(json_answer(StatusCode::OK, &claims))
    }
}
