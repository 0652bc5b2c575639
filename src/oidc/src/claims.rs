//! The user's identity from the provider's claims, reduced to the attributes that the room rules
//! and Jitsi use.
//!
//! Every claim is untrusted text: users edit their names, and some providers forward claims of
//! others. Values that are not plain text, or too long, are dropped.

use model::{
    identity::{
        Identity, is_email, is_plain, is_region, is_reserved_subject, parse_picture_url,
        sanitize_display_name,
    },
    jws::{self, ClaimsSet},
    policy::Policy,
    provider::MAX_ISSUED_ID_BYTES,
};
use serde_json::Value;

use crate::{AuthenticationError, ClaimPaths, OidcSettings};

/// Claims of the ID token, and of the userinfo for those that the ID token lacks.
#[derive(Clone, Copy)]
pub(crate) struct ClaimSources<'c> {
    pub(crate) id_token: &'c ClaimsSet,
    pub(crate) userinfo: Option<&'c ClaimsSet>,
    /// The groups by the provider's directory, in place of the claim.
    pub(crate) directory_groups: Option<&'c [String]>,
}

/// The identity that these claims of an ID token would yield. Verifies nothing: for `explain`,
/// which shows how the room rules evaluate a user.
pub fn identity_from_claims(
    claims: &ClaimsSet,
    settings: &OidcSettings,
    policy: &Policy,
) -> Result<Identity, AuthenticationError> {
    let sources = ClaimSources {
        id_token: claims,
        userinfo: None,
        directory_groups: None,
    };
    sources.identity(settings, policy)
}

// === impl ClaimSources ===

impl<'c> ClaimSources<'c> {
    /// The user's identity, with those groups and claims that a room rule names.
    pub(crate) fn identity(
        self,
        settings: &OidcSettings,
        policy: &Policy,
    ) -> Result<Identity, AuthenticationError> {
        let paths = &settings.claims;
        let subject = self
            .find(&paths.id)
            .and_then(scalar)
            .filter(|id| id.len() <= MAX_ISSUED_ID_BYTES && is_plain(id, MAX_ISSUED_ID_BYTES))
            .filter(|id| !is_reserved_subject(id))
            .ok_or(AuthenticationError::NoId)?;
        let qualify = |id: &str| {
            let qualified = settings.scope.qualify(id);
            qualified.ok_or(AuthenticationError::ForeignSubject)
        };
        let provider_subject = jws::text(self.id_token, "sub").filter(|sub| *sub != subject);
        let email = self.text(&paths.email).filter(|&email| is_email(email));
        let verified = settings.insecure_trust_unverified_email || self.is_email_verified(paths);
        Ok(Identity {
            provider_subject: provider_subject.map(qualify).transpose()?,
            subject: qualify(&subject)?,
            provider: settings.scope.provider().cloned(),
            name: self.name(paths),
            email: email.map(str::to_owned),
            email_verified: email.is_some() && verified,
            avatar: self.text(&paths.avatar).and_then(parse_picture_url),
            region: self.region(paths.region.as_deref()),
            groups: self.groups(&paths.groups, policy),
            claims: policy
                .claim_paths()
                .filter_map(|path| Some((path.to_owned(), values(self.find(path)?))))
                .filter(|(_, values)| !values.is_empty())
                .collect(),
        })
    }

    /// Whether a claim that the configuration or a room rule names is missing.
    pub(crate) fn needs_userinfo(self, paths: &ClaimPaths, policy: &Policy) -> bool {
        let ClaimPaths {
            id,
            name,
            // They matter only if the name is missing, which asks for the userinfo already.
            name_fallbacks: _,
            email,
            email_verified,
            avatar,
            region,
            groups,
        } = paths;
        [id, name, email, email_verified, avatar]
            .into_iter()
            .chain(region)
            .chain(self.directory_groups.is_none().then_some(groups))
            .map(String::as_str)
            .chain(policy.claim_paths())
            .any(|path| self.find(path).is_none())
    }

    /// Whether all that rules and people see is here: the id, the name, the e-mail address, and the groups and claims
    /// of conditions.
    pub(crate) fn suffices(self, paths: &ClaimPaths, policy: &Policy) -> bool {
        let has_claim = policy.uses_groups() && self.directory_groups.is_none();
        let groups = has_claim.then_some(&paths.groups);
        let verified = policy.uses_email().then_some(&paths.email_verified);
        [&paths.id, &paths.name, &paths.email]
            .into_iter()
            .chain(groups)
            .chain(verified)
            .map(String::as_str)
            .chain(policy.claim_paths())
            .all(|path| self.find(path).is_some())
    }

    /// Claims that the room rules need and that the provider sends by reference only (distributed
    /// claims, OpenID Connect Core 1.0 § 5.6.2). Entra ID does this with the groups of a user who
    /// is in more than 200.
    pub(crate) fn distributed_claims<'p>(
        self,
        paths: &'p ClaimPaths,
        policy: &'p Policy,
    ) -> impl Iterator<Item = &'p str>
    where
        'c: 'p,
    {
        let names = self.id_token.get("_claim_names");
        let groups = self.directory_groups.is_none().then_some(&*paths.groups);
        groups
            .into_iter()
            .chain(policy.claim_paths())
            .filter(move |path| names.is_some_and(|names| names.get(path).is_some()))
            .filter(move |path| self.find(path).is_none())
    }

    /// The claims of conditions that are missing, or of a form without values, so that no condition on
    /// them is met. An empty list is a usable form.
    pub(crate) fn unusable_claims<'p>(
        self,
        paths: &'p ClaimPaths,
        policy: &'p Policy,
    ) -> impl Iterator<Item = &'p str>
    where
        'c: 'p,
    {
        let is_empty_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        let has_claim = policy.uses_groups() && self.directory_groups.is_none();
        let groups = has_claim.then_some(&*paths.groups);
        let groups = groups.into_iter().filter(move |path| {
            self.find(path).is_none_or(|value| {
                let is_object = value.as_object().is_some();
                group_names(value).is_empty() && !is_empty_list(value) && !is_object
            })
        });
        let claims = policy.claim_paths().filter(move |path| {
            self.find(path)
                .is_none_or(|value| values(value).is_empty() && !is_empty_list(value))
        });
        groups.chain(claims)
    }

    fn find(self, path: &str) -> Option<&'c Value> {
        find(self.id_token, path).or_else(|| find(self.userinfo?, path))
    }

    fn text(self, path: &str) -> Option<&'c str> {
        self.find(path).and_then(Value::as_str)
    }

    /// The display name: the first of the configured claims that has one. For the standard claim
    /// `name`, `given_name` and `family_name` together count next.
    fn name(self, paths: &ClaimPaths) -> Option<String> {
        let at = |path: &str| self.text(path).and_then(sanitize_display_name);
        at(&paths.name)
            .or_else(|| {
                let parts = [at("given_name"), at("family_name")];
                let full = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
                (paths.name == "name")
                    .then(|| sanitize_display_name(&full))
                    .flatten()
            })
            .or_else(|| paths.name_fallbacks.iter().find_map(|path| at(path)))
    }

    /// The region; the first of a list, as which some directories send every attribute.
    fn region(self, path: Option<&str>) -> Option<String> {
        let found = self.find(path?)?;
        let found = found.as_array().map_or(Some(found), |list| list.first())?;
        let region = found.as_str().filter(|text| is_region(text));
        region.map(str::to_owned)
    }

    fn groups(self, path: &str, policy: &Policy) -> Vec<String> {
        let all = match self.directory_groups {
            Some(groups) => groups.to_vec(),
            None => self.find(path).map(group_names).unwrap_or_default(),
        };
        let mut groups = Vec::new();
        for group in all.into_iter().take(MAX_VALUES) {
            if is_plain(&group, MAX_VALUE_CHARS)
                && policy.names_group(&group)
                && !groups.contains(&group)
            {
                groups.push(group);
            }
        }
        groups
    }

    /// Whether the provider verified the address that [`find`](Self::find) returns. The userinfo's
    /// `email_verified` counts only if the userinfo has that same address: it does not
    /// apply to another one in the ID token.
    fn is_email_verified(self, paths: &ClaimPaths) -> bool {
        let is_true = |value: &Value| match value {
            Value::Bool(verified) => *verified,
            // Some providers send booleans as strings or numbers; Entra ID's `xms_edov` has been
            // seen in all four forms.
            Value::String(text) => text.eq_ignore_ascii_case("true") || text == "1",
            Value::Number(number) => number.as_u64() == Some(1),
            _ => false,
        };
        if let Some(verified) = find(self.id_token, &paths.email_verified) {
            return find(self.id_token, &paths.email).is_some() && is_true(verified);
        }
        let Some(userinfo) = self.userinfo else {
            return false;
        };
        find(userinfo, &paths.email) == self.find(&paths.email)
            && find(userinfo, &paths.email_verified).is_some_and(is_true)
    }
}

/// The claim at a dotted path. Names may have dots themselves (Keycloak's
/// `resource_access.<client id>.roles`), so at each level the longest name that is there counts.
/// `null` counts as absent.
fn find<'c>(claims: &'c ClaimsSet, path: &str) -> Option<&'c Value> {
    let rest = || {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            let (name, rest) = (&path[..dot], &path[dot + 1..]);
            find(claims.get(name)?.as_object()?, rest)
        })
    };
    claims
        .get(path)
        .filter(|value| !value.is_null())
        .or_else(rest)
}

/// A string, number or boolean as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Groups from an array, from one string with spaces or commas, or from the names of an object's
/// non-empty members, which is how Zitadel sends roles (`{"staff": {"<org id>": "example.org"}}`).
fn group_names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(group_name).collect(),
        Value::String(text) => text
            .split([' ', ','])
            .filter(|name| !name.is_empty())
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

/// An element of a list of groups: a text, or an object with a name or an id (SCIM's `display` and
/// `value`, RFC 7643 § 4.1.2; the directories' `displayName`).
fn group_name(value: &Value) -> Option<String> {
    match value {
        Value::Object(group) => ["name", "display", "displayName", "value", "id"]
            .iter()
            .find_map(|member| group.get(*member).and_then(scalar)),
        other => scalar(other),
    }
}

/// The values that a `claim:` condition is compared with: the claim, or each element of an array.
fn values(value: &Value) -> Vec<String> {
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    elements
        .iter()
        .filter_map(scalar)
        .filter(|text| is_plain(text, MAX_VALUE_CHARS))
        .take(MAX_VALUES)
        .collect()
}

/// Distinguished names, which directories send as groups, are about this long.
const MAX_VALUE_CHARS: usize = 256;

/// Bounds the work of comparing groups with rules.
const MAX_VALUES: usize = 2000;

#[cfg(test)]
mod tests;
