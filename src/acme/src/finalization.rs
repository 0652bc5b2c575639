//! The end of an order: the certificate is requested and downloaded (RFC 8555 § 7.4).

use std::time::Duration;

use instant_acme::{Error, Order, OrderStatus, RetryPolicy};
use tokio::time::sleep;
use tracing::debug;

use crate::order_error::{OrderError, is_of};

/// Requests the certificate of an order that is ready, and downloads it.
///
/// A request whose outcome is unknown is followed by a look at the same order: the authority may have issued the
/// certificate, and each further order counts against its limits.
pub(crate) async fn finalize(
    order: &mut Order,
    request: &[u8],
    patience: &RetryPolicy,
) -> Result<String, OrderError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let error = match attempt(order, request, patience).await {
            Ok(chain) => return Ok(chain),
            Err(error) => error,
        };
        let Some(pause) = pauses.next().filter(|_| !is_final(&error)) else {
            return Err(error.into());
        };
        debug!(%error, ?pause, "the order is continued");
        sleep(pause).await;
        // An order that cannot be read keeps its state, and the next attempt has the same error.
        let _ = order.refresh().await;
    }
}

async fn attempt(
    order: &mut Order,
    request: &[u8],
    patience: &RetryPolicy,
) -> Result<String, Error> {
    if order.state().status == OrderStatus::Ready {
        order.finalize_csr(request).await?;
    }
    order.poll_certificate(patience).await
}

/// Whether the same order cannot bring the certificate.
fn is_final(error: &Error) -> bool {
    match error {
        // The library gives up after three nonces. The others say that an earlier request was processed, or that this
        // one can be repeated.
        Error::Api(problem) => !["badNonce", "orderNotReady", "serverInternal"]
            .iter()
            .any(|kind| is_of(problem, kind)),
        // The first is that of an order which stays in progress, the second that of an invalid one.
        Error::Timeout(_) | Error::Str(_) => true,
        _ => false,
    }
}

/// An authority that restarts is back within them.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(25),
];
