//! The request path.

mod live;
mod tunnel;
