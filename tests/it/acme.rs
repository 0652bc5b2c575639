//! Certificates from an authority. The tests with Pebble are ignored without it: `tests/acme/run`.

mod interruptions;
mod issuing;
mod refusals;
mod renewal;
