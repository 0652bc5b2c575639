//! Additional parameters of the authorization request, which an operator chooses: hints such as
//! `kc_idp_hint`, `domain_hint` or `login_hint`.

use std::collections::BTreeMap;

/// Parameters that are added to an authorization request. None of them is one that the sign-in itself
/// depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationParameters(BTreeMap<String, String>);

/// Why a parameter cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationParameterError {
    /// The gateway sets it for each sign-in.
    #[error("the gateway sets this parameter itself; remove it")]
    Reserved,
    /// An option of its own sets it.
    #[error("not set here; write {0} instead")]
    HasOption(&'static str),
    /// Not a parameter name (RFC 6749 § 8.2).
    #[error("not a name of a parameter; write letters, digits, '_', '-' and '.', at most 64")]
    Name,
    /// Empty, too long, or with control characters.
    #[error("empty, too long, or with a control character; write 1 to 1024 printable characters")]
    Value,
}

// === impl AuthorizationParameters ===

impl AuthorizationParameters {
    /// Adds a parameter, or replaces it.
    ///
    /// # Errors
    ///
    /// [`AuthorizationParameterError`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), AuthorizationParameterError> {
        check_name(name)?;
        let is_printable = !value.is_empty() && !value.chars().any(char::is_control);
        if !is_printable || value.len() > MAX_VALUE_BYTES {
            return Err(AuthorizationParameterError::Value);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The names and values, with those of `other` in place of those of the same name.
    pub fn overridden_by<'p>(
        &'p self,
        other: Option<&'p Self>,
    ) -> impl Iterator<Item = (&'p str, &'p str)> {
        let replaced = move |name: &str| other.is_some_and(|other| other.0.contains_key(name));
        let own = self.0.iter().filter(move |(name, _)| !replaced(name));
        let others = other.into_iter().flat_map(|other| &other.0);
        own.chain(others)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Names are compared without case, as some providers do.
fn check_name(name: &str) -> Result<(), AuthorizationParameterError> {
    let is_name_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_name_byte) {
        return Err(AuthorizationParameterError::Name);
    }
    let is = |other: &str| other.eq_ignore_ascii_case(name);
    if RESERVED.iter().any(|reserved| is(reserved)) {
        return Err(AuthorizationParameterError::Reserved);
    }
    match WITH_OPTION.iter().find(|(other, _)| is(other)) {
        Some((_, option)) => Err(AuthorizationParameterError::HasOption(option)),
        None => Ok(()),
    }
}

/// What binds the request to the client, the browser and the response: OpenID Connect Core 1.0
/// § 3.1.2.1 and § 6, RFC 6749 § 4.1, RFC 7636, RFC 7521 § 4.2, RFC 9101, RFC 9126, RFC 9449 § 10.
const RESERVED: &[&str] = &[
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "nonce",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "dpop_jkt",
    "grant_type",
    "id_token_hint",
    "iss",
    "prompt",
    "registration",
    "request",
    "request_uri",
];

/// Parameters that options set, which checks of the response belong to.
const WITH_OPTION: &[(&str, &str)] = &[
    ("scope", "oidc.scopes"),
    ("acr_values", "require.acr of a [[room]]"),
    ("max_age", "require.max_age of a [[room]]"),
];

/// Far longer than any parameter's name.
const MAX_NAME_BYTES: usize = 64;

/// The address of the authorization request has to fit into what providers accept, about 8 KiB.
const MAX_VALUE_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_the_sign_in_depends_on_are_refused() {
        let mut parameters = AuthorizationParameters::default();
        for name in RESERVED.iter().copied().chain(["STATE", "Redirect_Uri"]) {
            let refused = Err(AuthorizationParameterError::Reserved);
            assert_eq!(parameters.set(name, "x"), refused, "{name}");
        }
        for (name, option) in WITH_OPTION {
            let refused = Err(AuthorizationParameterError::HasOption(option));
            assert_eq!(parameters.set(name, "x"), refused, "{name}");
        }
        for name in ["", "a b", "a&b", "ä", "a=b", "a[]", &"n".repeat(65)] {
            let refused = Err(AuthorizationParameterError::Name);
            assert_eq!(parameters.set(name, "x"), refused, "{name}");
        }
        for value in ["", "a\nb", "\0", &"v".repeat(1025)] {
            let refused = Err(AuthorizationParameterError::Value);
            assert_eq!(parameters.set("hd", value), refused, "{value:?}");
        }
        assert!(parameters.is_empty());
        for name in ["kc_idp_hint", "domain_hint", "hd", "audience", "login_hint"] {
            assert_eq!(parameters.set(name, "Zoë & co"), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_parameters_of_a_room_replace_the_general_ones() {
        let mut general = AuthorizationParameters::default();
        general.set("hd", "example.org").unwrap();
        general.set("kc_idp_hint", "google").unwrap();
        let mut room = AuthorizationParameters::default();
        room.set("kc_idp_hint", "github").unwrap();
        let all: Vec<_> = general.overridden_by(Some(&room)).collect();
        assert_eq!(all, [("hd", "example.org"), ("kc_idp_hint", "github")]);
        assert_eq!(general.overridden_by(None).count(), 2);
    }
}
