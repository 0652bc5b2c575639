//! Entra ID's groups by Microsoft Graph (`/me/transitiveMemberOf`, delegated permission `User.Read`).

use model::jws::ClaimsSet;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{DirectoryApi, GroupLookupError, MAX_PAGES, NamedGroups};

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

/// The ids of the groups that the person is in, also by other groups, as far as rules name them.
pub(super) async fn groups(
    api: &DirectoryApi<'_>,
    named: &NamedGroups<'_>,
) -> Result<Vec<String>, GroupLookupError> {
    let mut groups = Vec::new();
    let mut next = Some(first_page(api.base));
    for _ in 0..MAX_PAGES {
        let Some(url) = next else { break };
        let page: Page = api.get(&url).await?;
        for object in page.value {
            named.add(&object.id, &mut groups);
        }
        if named.are_all_in(&groups) {
            break;
        }
        next = page.next;
        if next
            .as_ref()
            .is_some_and(|next| next.origin() != api.base.origin())
        {
            return Err(GroupLookupError::OtherServer);
        }
    }
    Ok(groups)
}

fn first_page(base: &Url) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    url.set_path(&format!("{path}/v1.0/me/transitiveMemberOf"));
    url.set_query(Some(QUERY));
    url
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
