//! The same request with the same `Idempotency-Key` is answered once
//! (draft-ietf-httpapi-idempotency-key-header), on any replica.

use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{JSON, Written, to_json};
use crate::{
    Body,
    api::ApiError,
    respond::plain,
    store_client::{StoreCallError, StoreClient},
};
use cluster::store::PutOutcome;
use model::seal::Sealer;

/// The answers that were given to requests with a key.
#[derive(Debug)]
pub(crate) struct IdempotentAnswers {
    pub(crate) sealer: Sealer,
    pub(crate) store: StoreClient,
}

/// A stored answer, sealed because it holds links.
#[derive(Serialize, Deserialize)]
struct Kept {
    v: u8,
    request: String,
    answer: String,
}

// === impl IdempotentAnswers ===

impl IdempotentAnswers {
    /// Gives the answer, or the one that was given before to the same request with the same key.
    /// Making links changes nothing, so the one of two that comes second is simply dropped.
    pub(super) async fn answer_once(
        &self,
        written: &Written<'_>,
        answer: &impl Serialize,
    ) -> Result<Response<Body>, ApiError> {
        let text = to_json(answer);
        let Some(key) = &written.key else {
            return Ok(plain(StatusCode::CREATED, JSON, text));
        };
        let integration = written.caller.integration.id();
        let key = format!(
            "api:{integration}:{}:{}",
            written.operation.as_str(),
            hash(key.as_str().as_bytes())
        );
        let request = hash(&written.body);
        let kept = to_json(&Kept {
            v: 1,
            request: request.clone(),
            answer: self.sealer.seal(text.as_bytes()),
        });
        match self.store.put_if_absent(key, kept, ANSWERS_KEPT).await {
            Ok(PutOutcome::Stored) => Ok(plain(StatusCode::CREATED, JSON, text)),
            Ok(PutOutcome::Existing(before)) => self.answer_again(&before, &request),
            Err(StoreCallError::Abandoned) => Err(ApiError::StoreUnavailable),
            Err(StoreCallError::Failed(error)) => {
                warn!(%error, "an idempotency key cannot be looked up");
                Err(ApiError::StoreUnavailable)
            }
        }
    }

    fn answer_again(&self, kept: &str, request: &str) -> Result<Response<Body>, ApiError> {
        let kept: Kept = serde_json::from_str(kept).map_err(|_| ApiError::StoreUnavailable)?;
        if kept.request != request {
            return Err(ApiError::IdempotencyKeyReused);
        }
        // It does not open when its key is gone meanwhile.
        let text = self.sealer.open(&kept.answer);
        let text = text.ok_or(ApiError::StoreUnavailable)?.to_vec();
        let mut answer = plain(StatusCode::CREATED, JSON, text);
        answer
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(answer)
    }
}

fn hash(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, bytes))
}

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// For as long as anybody tries a request again.
const ANSWERS_KEPT: Duration = Duration::from_hours(24);
