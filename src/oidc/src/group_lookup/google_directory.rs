//! The groups of a Google Workspace by the Directory API of the Admin SDK (scope
//! `admin.directory.group.readonly`).

use http::StatusCode;
use model::{
    clock::Timestamp,
    jws::{ClaimsSet, text},
};
use serde::Deserialize;
use url::Url;

use super::{DirectoryApi, GroupLookupError, MAX_PAGES, NamedGroups, ServiceAccount};
use crate::http::Fetcher;

/// The response of `groups.list`; a person without groups has no `groups`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupPage {
    #[serde(default)]
    groups: Vec<DirectoryGroup>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct DirectoryGroup {
    email: String,
}

/// The response of `members.hasMember`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    is_member: bool,
}

/// The addresses of the groups that a person is in, as far as rules name them. `groups.list` has those that the
/// person was added to; for the others that a rule names, `members.hasMember` tells whether one of their groups is in
/// it.
pub(super) async fn groups(
    api: &DirectoryApi<'_>,
    subject: &str,
    named: &NamedGroups<'_>,
) -> Result<Vec<String>, GroupLookupError> {
    let mut groups = Vec::new();
    let mut page_token = None;
    for _ in 0..MAX_PAGES {
        let page = api
            .get::<GroupPage>(&list(api.base, subject, page_token.as_deref()))
            .await;
        // A person of another Workspace is unknown here, and may have been added to groups.
        let Some(page) = unless(&[StatusCode::NOT_FOUND], page)? else {
            break;
        };
        for group in &page.groups {
            named.add(&group.email, &mut groups);
        }
        page_token = page.next_page_token;
        if page_token.is_none() || named.are_all_in(&groups) {
            break;
        }
    }
    let others = named
        .literals
        .iter()
        .filter(|name| name.contains('@') && !groups.contains(name));
    let others: Vec<_> = others.take(MAX_NESTED).cloned().collect();
    for group in others {
        let url = at(api.base, &["groups", &group, "hasMember", subject]);
        let membership = api.get::<Membership>(&url).await;
        let membership = unless(NOT_A_MEMBER, membership)?;
        if membership.is_some_and(|membership| membership.is_member) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// `groups.list` of a person.
fn list(base: &Url, subject: &str, page_token: Option<&str>) -> Url {
    let mut url = at(base, &["groups"]);
    let mut query = url.query_pairs_mut();
    query
        .append_pair("userKey", subject)
        .append_pair("maxResults", MAX_RESULTS);
    if let Some(token) = page_token {
        query.append_pair("pageToken", token);
    }
    drop(query);
    url
}

/// A resource of the API.
fn at(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // The base is an http or https URL, which has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty()
            .extend(["admin", "directory", "v1"])
            .extend(segments);
    }
    url
}

/// Whether the account gets an access token, with which it may list groups.
pub(crate) async fn probe(
    base: &Url,
    account: &ServiceAccount,
    now: Timestamp,
    fetcher: &Fetcher,
) -> Result<(), GroupLookupError> {
    let bought = account.access_token(now, fetcher).await?;
    let api = DirectoryApi::new(base, &bought.token, fetcher)?;
    let mut url = at(base, &["groups"]);
    url.query_pairs_mut()
        .append_pair("customer", OWN_CUSTOMER)
        .append_pair("maxResults", "1");
    api.get::<GroupPage>(&url).await.map(drop)
}

/// Whether a person has an account of a Workspace; others have no groups.
pub(super) fn is_of_workspace(claims: &ClaimsSet) -> bool {
    text(claims, "hd").is_some_and(|domain| !domain.is_empty())
}

/// `None` for an answer of one of these statuses.
fn unless<T>(
    statuses: &[StatusCode],
    answer: Result<T, GroupLookupError>,
) -> Result<Option<T>, GroupLookupError> {
    match answer {
        Err(GroupLookupError::Status(status)) if statuses.contains(&status) => Ok(None),
        other => other.map(Some),
    }
}

/// `members.hasMember` of a group that does not exist, and of a person of another domain who was not added to it.
const NOT_A_MEMBER: &[StatusCode] = &[StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST];

/// The Workspace of the account that asks.
const OWN_CUSTOMER: &str = "my_customer";

/// The most that `groups.list` gives at once.
const MAX_RESULTS: &str = "200";

/// Each costs a request; rules rarely name more than some groups.
const MAX_NESTED: usize = 20;
