//! The provider's answer as the browser brings it: the query of `/_gateway/callback`.

use secrecy::SecretString;
use url::form_urlencoded;

/// What the browser brought back from the provider. Nothing in it is believed before
/// [`RelyingParty::finish`](super::RelyingParty::finish) has looked at it.
#[derive(Clone, Debug)]
pub struct Callback {
    state: String,
    pub(super) outcome: Outcome,
    pub(super) issuer: Option<String>,
    description: Option<String>,
}

/// Why a query is no provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// The query, or a parameter in it, is longer than any provider makes it.
    #[error("the answer is too long")]
    TooLong,
    /// A parameter of the protocol is there twice (RFC 6749 § 3.1).
    #[error("the answer has the parameter {0} twice")]
    Duplicate(&'static str),
    /// There is no `state`, so it belongs to no sign-in.
    #[error("the answer has no state")]
    NoState,
    /// There is neither a `code` nor an `error`.
    #[error("the answer has neither code nor error")]
    Neither,
    /// There is both a `code` and an `error`.
    #[error("the answer has both code and error")]
    Both,
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Code(SecretString),
    Error(String),
}

/// Takes a parameter once.
#[derive(Default)]
struct Once(Option<String>);

// === impl Callback ===

impl Callback {
    /// Reads the query of the callback's URL (OpenID Connect Core 1.0 § 3.1.2.5 and § 3.1.2.6).
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(CallbackError::TooLong);
        }
        let [mut state, mut code, mut error] = [const { Once(None) }; 3];
        let [mut issuer, mut description] = [const { Once(None) }; 2];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => state.take("state", &value, MAX_STATE_BYTES)?,
                "code" => code.take("code", &value, MAX_CODE_BYTES)?,
                "error" => error.take("error", &value, MAX_ERROR_BYTES)?,
                "iss" => issuer.take("iss", &value, MAX_ISSUER_BYTES)?,
                "error_description" => {
                    description.take("error_description", &value, MAX_QUERY_BYTES)?;
                }
                _ => {}
            }
        }
        let filled = |once: Once| once.0.filter(|value| !value.is_empty());
        let outcome = match (filled(code), filled(error)) {
            (Some(code), None) => Outcome::Code(code.into()),
            (None, Some(error)) => Outcome::Error(error),
            (None, None) => return Err(CallbackError::Neither),
            (Some(_), Some(_)) => return Err(CallbackError::Both),
        };
        Ok(Self {
            state: filled(state).ok_or(CallbackError::NoState)?,
            outcome,
            // An empty one stays: it is a wrong issuer, not a missing one.
            issuer: issuer.0,
            description: filled(description),
        })
    }

    /// By which the sign-in under way is found.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// What the provider says about an error, for logs and never for pages: whoever makes up the
    /// link writes this text.
    pub fn description(&self) -> Option<String> {
        let shown = |c: &char| !c.is_control();
        let text = self.description.as_deref()?;
        Some(text.chars().filter(shown).take(MAX_SHOWN).collect())
    }
}

// === impl CallbackError ===

impl CallbackError {
    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "callback_too_long",
            Self::Duplicate(_) => "callback_duplicate",
            Self::NoState => "callback_without_state",
            Self::Neither => "callback_without_code",
            Self::Both => "callback_contradictory",
        }
    }
}

// === impl Once ===

impl Once {
    fn take(&mut self, name: &'static str, value: &str, max: usize) -> Result<(), CallbackError> {
        if self.0.is_some() {
            return Err(CallbackError::Duplicate(name));
        }
        if value.len() > max {
            return Err(CallbackError::TooLong);
        }
        self.0 = Some(value.to_owned());
        Ok(())
    }
}

/// Codes are the long part: some providers put a sealed session of 2 KiB into them.
const MAX_QUERY_BYTES: usize = 8 * 1024;
const MAX_CODE_BYTES: usize = 6 * 1024;
const MAX_ISSUER_BYTES: usize = 1024;

/// Our own states have 31 bytes.
const MAX_STATE_BYTES: usize = 128;

/// The longest registered error name has 30 bytes.
const MAX_ERROR_BYTES: usize = 128;

/// Enough of a description to look it up.
const MAX_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn refused(query: &str) -> CallbackError {
        Callback::parse(query).unwrap_err()
    }

    #[test]
    fn an_answer_with_a_code() {
        let query = "code=a%2Bb&state=s.t&session_state=x&session_state=y&iss=https%3A%2F%2Fsso";
        let callback = Callback::parse(query).unwrap();
        assert_eq!(callback.state(), "s.t");
        assert_eq!(callback.issuer.as_deref(), Some("https://sso"));
        let Outcome::Code(code) = &callback.outcome else {
            unreachable!()
        };
        assert_eq!(code.expose_secret(), "a+b");
        assert!(!format!("{callback:?}").contains("a+b"));
    }

    #[test]
    fn an_answer_with_an_error() {
        let query = "error=access_denied&error_description=no%0A%1b[31m+way&state=s";
        let callback = Callback::parse(query).unwrap();
        assert!(matches!(&callback.outcome, Outcome::Error(error) if error == "access_denied"));
        assert_eq!(callback.description().as_deref(), Some("no[31m way"));
    }

    #[test]
    fn parameters_of_the_protocol_come_once() {
        for name in ["code", "state", "iss", "error", "error_description"] {
            let query = format!("code=1&state=2&{name}=x&{name}=x");
            assert_eq!(
                refused(&query).as_str(),
                "callback_duplicate",
                "{name} twice"
            );
        }
        assert_eq!(
            refused("state=1&%73tate=1&code=1"),
            CallbackError::Duplicate("state")
        );
    }

    #[test]
    fn incomplete_and_oversized_answers_are_refused() {
        assert_eq!(refused("code=x"), CallbackError::NoState);
        assert_eq!(refused("code=x&state="), CallbackError::NoState);
        assert_eq!(refused("state=x"), CallbackError::Neither);
        assert_eq!(refused(""), CallbackError::Neither);
        assert_eq!(refused("state=x&code="), CallbackError::Neither);
        assert_eq!(refused("state=x&code=1&error=2"), CallbackError::Both);
        let long = format!("code=x&state={}", "s".repeat(200));
        assert_eq!(refused(&long), CallbackError::TooLong);
        assert_eq!(refused(&"&".repeat(10_000)), CallbackError::TooLong);
    }
}
