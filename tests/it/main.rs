//! Integration tests: the whole program on loopback sockets, with honest and hostile peers. Tests
//! wait for conditions with a timeout; there are no fixed sleeps.

// `cfg(test)` is always true here; written out, it tells clippy that helpers are test code as well.
#[cfg(test)]
mod acme;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod assets;
#[cfg(test)]
mod config;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod support;
#[cfg(feature = "otel")]
#[cfg(test)]
mod traces;
