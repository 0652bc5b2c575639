//! Certificates from an authority. The tests with Pebble are ignored without it: `tests/acme/run`.

mod clock_jumps;
mod failed_renewals;
mod interruptions;
mod issuing;
mod refusals;
mod renewal;
