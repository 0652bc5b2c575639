//! The authorization response: the query of `/_gateway/callback`.

use secrecy::SecretString;
use url::form_urlencoded;

/// A parsed authorization response (OpenID Connect Core 1.0 § 3.1.2.5 and § 3.1.2.6).
///
/// Anyone can send one. [`RelyingParty::finish`](crate::RelyingParty::finish) checks it.
#[derive(Clone, Debug)]
pub struct Callback {
    state: String,
    pub(crate) outcome: CallbackOutcome,
    pub(crate) issuer: Option<String>,
    description: Option<String>,
}

/// Why a query is not an authorization response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// The query or one of its parameters exceeds its limit.
    #[error("the authorization response is too long")]
    TooLong,
    /// A parameter of the protocol is repeated (RFC 6749 § 3.1).
    #[error("the authorization response repeats the parameter {0}")]
    Duplicate(&'static str),
    /// No `state`, so the sign-in cannot be found.
    #[error("the authorization response has no state")]
    NoState,
    /// Neither `code` nor `error`.
    #[error("the authorization response has neither code nor error")]
    Neither,
    /// Both `code` and `error`.
    #[error("the authorization response has both code and error")]
    Both,
}

#[derive(Clone, Debug)]
pub(crate) enum CallbackOutcome {
    Code(SecretString),
    Error(String),
}

/// A parameter that must not be repeated.
#[derive(Default)]
struct SingleParameter(Option<String>);

// === impl Callback ===

impl Callback {
    /// Parses the query of the callback URL. Unknown parameters are ignored and may repeat.
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(CallbackError::TooLong);
        }
        let [mut state, mut code, mut error] = [const { SingleParameter(None) }; 3];
        let [mut issuer, mut description] = [const { SingleParameter(None) }; 2];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => state.set("state", &value, MAX_STATE_BYTES)?,
                "code" => code.set("code", &value, MAX_CODE_BYTES)?,
                "error" => error.set("error", &value, MAX_ERROR_BYTES)?,
                "iss" => issuer.set("iss", &value, MAX_ISSUER_BYTES)?,
                "error_description" => {
                    description.set("error_description", &value, MAX_QUERY_BYTES)?;
                }
                _ => {}
            }
        }
        let non_empty = |parameter: SingleParameter| parameter.0.filter(|value| !value.is_empty());
        let outcome = match (non_empty(code), non_empty(error)) {
            (Some(code), None) => CallbackOutcome::Code(code.into()),
            (None, Some(error)) => CallbackOutcome::Error(error),
            (None, None) => return Err(CallbackError::Neither),
            (Some(_), Some(_)) => return Err(CallbackError::Both),
        };
        Ok(Self {
            state: non_empty(state).ok_or(CallbackError::NoState)?,
            outcome,
            // An empty `iss` is kept: it is a wrong issuer, not a missing one.
            issuer: issuer.0,
            description: non_empty(description),
        })
    }

    /// `state`, which identifies the pending sign-in.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// `error_description` without control characters, cut to 200 characters. For logs only, never
    /// for pages: anyone can craft a callback link with any text.
    pub fn description(&self) -> Option<String> {
        let is_printable = |c: &char| !c.is_control();
        let text = self.description.as_deref()?;
        let text = text.chars().filter(is_printable);
        Some(text.take(MAX_DESCRIPTION_CHARS).collect())
    }
}

// === impl CallbackError ===

impl CallbackError {
    /// Value for logs and metrics; stable.
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

// === impl SingleParameter ===

impl SingleParameter {
    fn set(&mut self, name: &'static str, value: &str, max: usize) -> Result<(), CallbackError> {
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

/// Dominated by the code: some providers put an encrypted session of 2 KiB into it.
const MAX_QUERY_BYTES: usize = 8 * 1024;
const MAX_CODE_BYTES: usize = 6 * 1024;
const MAX_ISSUER_BYTES: usize = 1024;

/// The gateway's states have 31 bytes.
const MAX_STATE_BYTES: usize = 128;

/// The longest registered error name has 30 bytes.
const MAX_ERROR_BYTES: usize = 128;

/// Limit of a description in the log.
const MAX_DESCRIPTION_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn refused(query: &str) -> CallbackError {
        Callback::parse(query).unwrap_err()
    }

    #[test]
    fn response_with_a_code_is_parsed() {
        let query = "code=a%2Bb&state=s.t&session_state=x&session_state=y&iss=https%3A%2F%2Fsso";
        let callback = Callback::parse(query).unwrap();
        assert_eq!(callback.state(), "s.t");
        assert_eq!(callback.issuer.as_deref(), Some("https://sso"));
        let CallbackOutcome::Code(code) = &callback.outcome else {
            unreachable!()
        };
        assert_eq!(code.expose_secret(), "a+b");
        assert!(!format!("{callback:?}").contains("a+b"));
    }

    #[test]
    fn response_with_an_error_is_parsed() {
        let query = "error=access_denied&error_description=no%0A%1b[31m+consent&state=s";
        let callback = Callback::parse(query).unwrap();
        assert!(
            matches!(&callback.outcome, CallbackOutcome::Error(error) if error == "access_denied")
        );
        assert_eq!(callback.description().as_deref(), Some("no[31m consent"));
    }

    #[test]
    fn repeated_protocol_parameters_are_refused() {
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
    fn incomplete_and_oversized_responses_are_refused() {
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
