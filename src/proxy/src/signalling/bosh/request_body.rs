//! Reads the bodies of BOSH requests.

use bytes::Bytes;
use hyper::body::Body;

use crate::{
    body::{self, Unread},
    limits::{ByteBudget, TakenBytes},
    server::ClientBody,
};

/// Reads a whole body of at most so many bytes.
///
/// It is kept until its request is answered, since the request may have to be sent again; its memory is taken from
/// the budget while the second part lives.
pub(super) async fn read_within(
    budget: &ByteBudget,
    body: ClientBody,
    most: usize,
) -> Result<(Bytes, TakenBytes), Unread> {
    let announced = body.size_hint().upper();
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    let expected = announced.unwrap_or(most).min(most);
    let mut taken = budget.take(expected).ok_or(Unread::Busy)?;
    let body = body::whole(body, most).await?;
    taken.resize(body.len());
    Ok((body, taken))
}
