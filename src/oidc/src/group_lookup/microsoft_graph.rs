//! Entra ID's groups by Microsoft Graph (`/me/transitiveMemberOf`, delegated permission `User.Read`).

use http::HeaderValue;
use model::jws::ClaimsSet;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{GroupLookupError, MAX_PAGES, NamedGroups, bearer, json};
use crate::http::Fetcher;

/// The API, with the access token of one person.
pub(super) struct MicrosoftGraph<'a> {
    base: &'a Url,
    bearer: HeaderValue,
    fetcher: &'a Fetcher,
}

/// A page of directory objects. With `User.Read` alone, objects have nothing but their id and type.
#[derive(Deserialize)]
struct Page {
    value: Vec<DirectoryObject>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<Url>,
}

#[derive(Deserialize)]
struct DirectoryObject {
    id: String,
}

// === impl MicrosoftGraph ===

impl<'a> MicrosoftGraph<'a> {
    pub(super) fn new(
        base: &'a Url,
        access_token: &SecretString,
        fetcher: &'a Fetcher,
    ) -> Result<Self, GroupLookupError> {
        Ok(Self {
            base,
            bearer: bearer(access_token)?,
            fetcher,
        })
    }

    /// The ids of the groups that the person is in, also by other groups, as far as rules name them.
    pub(super) async fn groups(
        &self,
        named: &NamedGroups<'_>,
    ) -> Result<Vec<String>, GroupLookupError> {
        let mut groups = Vec::new();
        let mut next = Some(self.first_page());
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { break };
            let page: Page = json(&url, &self.bearer, self.fetcher).await?;
            for object in page.value {
                named.add(&object.id, &mut groups);
            }
            if named.are_all_in(&groups) {
                break;
            }
            next = page.next;
            if next.as_ref().is_some_and(|next| !self.is_own(next)) {
                return Err(GroupLookupError::OtherServer);
            }
        }
        Ok(groups)
    }

    fn first_page(&self) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/v1.0/me/transitiveMemberOf"));
        url.set_query(Some(QUERY));
        url
    }

    fn is_own(&self, page: &Url) -> bool {
        page.origin() == self.base.origin()
    }
}

/// Whether the ID token says that the person has groups which do not fit into it: by reference to another source
/// (OpenID Connect Core 1.0 § 5.6.2), or as Entra writes it where there is no room even for that.
pub(super) fn is_overage(claims: &ClaimsSet, groups_claim: &str) -> bool {
    let is_here = claims
        .get(groups_claim)
        .is_some_and(|value| !value.is_null());
    let is_elsewhere = claims
        .get("_claim_names")
        .is_some_and(|names| names.get(groups_claim).is_some());
    !is_here && (is_elsewhere || claims.get("hasgroups") == Some(&Value::Bool(true)))
}

/// The largest page that Graph gives.
const QUERY: &str = "$select=id&$top=999";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_overage_is_read_in_each_of_its_forms() {
        for (claims, expected) in [
            (json!({"_claim_names": {"groups": "src1"}}), true),
            (json!({"hasgroups": true}), true),
            (
                json!({"groups": null, "_claim_names": {"groups": "src1"}}),
                true,
            ),
            (
                json!({"groups": [], "_claim_names": {"groups": "src1"}}),
                false,
            ),
            (json!({"groups": ["a"], "hasgroups": true}), false),
            (json!({"_claim_names": {"address": "src1"}}), false),
            (json!({"_claim_names": "groups"}), false),
            (json!({"hasgroups": "true"}), false),
            (json!({"hasgroups": false}), false),
            (json!({}), false),
        ] {
            let set: ClaimsSet = serde_json::from_value(claims.clone()).unwrap();
            assert_eq!(is_overage(&set, "groups"), expected, "{claims}");
        }
    }
}
