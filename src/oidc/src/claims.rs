//! From claims to an identity: what the provider says of the person, cut down to what rules and
//! Jitsi use, and made harmless.

use serde_json::Value;

use super::{ClaimPaths, Settings, SignInFailure, id_token::MAX_SUBJECT_BYTES};
use model::{
    identity::{
        Identity, is_email, is_plain, is_reserved_subject, parse_picture_url, sanitize_display_name,
    },
    jws::{self, ClaimsSet},
    policy::Policy,
};

/// What the provider said: in the ID token, and beneath it in the userinfo.
#[derive(Clone, Copy)]
pub(super) struct Described<'c> {
    pub(super) id_token: &'c ClaimsSet,
    pub(super) userinfo: Option<&'c ClaimsSet>,
}

/// Whether the ID token leaves something open that the configuration or a rule asks about.
pub(super) fn leaves_open(claims: &ClaimsSet, paths: &ClaimPaths, policy: &Policy) -> bool {
    let ClaimPaths {
        id,
        name,
        email,
        email_verified,
        avatar,
        groups,
    } = paths;
    [id, name, email, email_verified, avatar, groups]
        .into_iter()
        .map(String::as_str)
        .chain(policy.claim_paths())
        .any(|path| find(claims, path).is_none())
}

/// The claims that rules ask about and the provider only says to keep elsewhere (OpenID Connect Core
/// § 5.6.2): as Entra ID does with the groups of somebody who is in many.
pub(super) fn elsewhere<'p>(
    described: Described<'p>,
    paths: &'p ClaimPaths,
    policy: &'p Policy,
) -> impl Iterator<Item = &'p str> {
    let names = described.id_token.get("_claim_names");
    std::iter::once(&*paths.groups)
        .chain(policy.claim_paths())
        .filter(move |path| names.is_some_and(|names| names.get(path).is_some()))
        .filter(move |path| described.find(path).is_none())
}

/// The person, as far as this deployment wants to know them.
pub(super) fn identity(
    described: Described<'_>,
    settings: &Settings,
    policy: &Policy,
) -> Result<Identity, SignInFailure> {
    let paths = &settings.claims;
    let subject = described
        .find(&paths.id)
        .and_then(scalar)
        .filter(|id| id.len() <= MAX_SUBJECT_BYTES && is_plain(id, MAX_SUBJECT_BYTES))
        .filter(|id| !is_reserved_subject(id))
        .ok_or(SignInFailure::NoId)?;
    let provider_subject = jws::text(described.id_token, "sub").filter(|sub| *sub != subject);
    let email = described
        .text(&paths.email)
        .filter(|&email| is_email(email));
    let verified = settings.insecure_trust_unverified_email || described.email_verified(paths);
    let groups = described.find(&paths.groups).map(many);
    let mut kept = Vec::new();
    for group in groups.into_iter().flatten().take(MAX_VALUES) {
        if is_plain(&group, MAX_VALUE_CHARS) && policy.names_group(&group) && !kept.contains(&group)
        {
            kept.push(group);
        }
    }
    let claims = policy.claim_paths().filter_map(|path| {
        let values = values(described.find(path)?);
        (!values.is_empty()).then(|| (path.to_owned(), values))
    });
    Ok(Identity {
        provider_subject: provider_subject.map(str::to_owned),
        subject,
        name: described.text(&paths.name).and_then(sanitize_display_name),
        email: email.map(str::to_owned),
        email_verified: email.is_some() && verified,
        avatar: described.text(&paths.avatar).and_then(parse_picture_url),
        groups: kept,
        claims: claims.collect(),
    })
}

// === impl Described ===

impl<'c> Described<'c> {
    fn find(self, path: &str) -> Option<&'c Value> {
        find(self.id_token, path).or_else(|| find(self.userinfo?, path))
    }

    fn text(self, path: &str) -> Option<&'c str> {
        self.find(path).and_then(Value::as_str)
    }

    /// Whether the provider vouches for the address that counts: what the userinfo says of another
    /// address than the ID token's is not about that one.
    fn email_verified(self, paths: &ClaimPaths) -> bool {
        let yes = |value: &Value| match value {
            Value::Bool(yes) => *yes,
            Value::String(text) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        if let Some(verified) = find(self.id_token, &paths.email_verified) {
            return find(self.id_token, &paths.email).is_some() && yes(verified);
        }
        let Some(userinfo) = self.userinfo else {
            return false;
        };
        find(userinfo, &paths.email) == self.find(&paths.email)
            && find(userinfo, &paths.email_verified).is_some_and(yes)
    }
}

/// The claim of this name, or else what the dotted path leads to; `null` is nothing.
fn find<'c>(claims: &'c ClaimsSet, path: &str) -> Option<&'c Value> {
    let whole = claims.get(path);
    let found = whole.or_else(|| {
        let mut steps = path.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    });
    found.filter(|value| !value.is_null())
}

/// A text, number or truth value as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Groups: the members of an array, the words of one text, or the names that an object has
/// something under, as Zitadel tells of roles (`{"staff": {"<organisation>": "example.org"}}`).
fn many(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(scalar).collect(),
        Value::String(text) => text
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        Value::Object(names) => names
            .iter()
            .filter(|(_, grants)| grants.as_object().is_some_and(|grants| !grants.is_empty()))
            .map(|(name, _)| name.clone())
            .collect(),
        _ => Vec::new(),
    }
}

/// What a rule on a claim is compared with: the value, or each of several.
fn values(value: &Value) -> Vec<String> {
    let several = match value {
        Value::Array(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    several
        .iter()
        .filter_map(scalar)
        .filter(|text| is_plain(text, MAX_VALUE_CHARS))
        .take(MAX_VALUES)
        .collect()
}

/// Directories allow distinguished names of about this length as groups.
const MAX_VALUE_CHARS: usize = 256;

/// More groups than any rule could want; also bounds the work of comparing.
const MAX_VALUES: usize = 2000;

#[cfg(test)]
mod tests;
