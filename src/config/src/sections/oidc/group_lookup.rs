//! `[oidc.group_lookup]`: the directory that has the groups which the provider's tokens do not have.

use std::{path::Path, sync::Arc};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{super::Reported, parse_provider_url};
use crate::{diagnostics::Section, problem::Fault, secret::SecretReader, values::parse_url};
use model::identity::is_email;
use oidc::{GroupLookup, ServiceAccount};

/// The directory that has the groups which the provider's tokens do not have. It is asked at a sign-in and at a revalidation,
/// for people whose groups are missing, if a rule names groups. A sign-in succeeds while the directory fails.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]))]
pub(super) struct RawGroupLookup {
    /// Which directory: Microsoft Graph for people of Entra ID who are in too many groups
    /// ([Entra ID](providers/entra-id.md)), or that of a Google Workspace ([Google](providers/google.md)).
    #[schemars(example = &"microsoft_graph")]
    kind: Option<DirectoryKind>,
    /// The base URL of the directory. Default: that of the provider's metadata (`msgraph_host`), or Google's.
    #[schemars(example = "https://graph.microsoft.us")]
    url: Option<String>,
    /// Of `google_directory`: the file of the service account's key, as Google gives it.
    #[schemars(example = "config/google-directory.json")]
    key_file: Option<String>,
    /// Of `google_directory`: the administrator in whose name the service account reads, by domain-wide delegation; none for
    /// a service account that has a role itself.
    #[schemars(example = "groups-reader@example.org")]
    administrator: Option<String>,
}

/// Interfaces of directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum DirectoryKind {
    MicrosoftGraph,
    GoogleDirectory,
}

/// The keys of `[oidc]` that the directory depends on.
pub(super) struct LookupContext<'a> {
    pub(super) scopes: &'a [String],
    pub(super) allow_http: bool,
    pub(super) secrets: SecretReader,
}

// === impl RawGroupLookup ===

impl RawGroupLookup {
    pub(super) fn resolve(
        self,
        context: &LookupContext<'_>,
        section: &mut Section<'_>,
    ) -> Option<GroupLookup> {
        let url = match &self.url {
            None => Ok(None),
            Some(text) => {
                let url = section.keep("url", parse_directory_url(text, context.allow_http));
                url.map(Some).ok_or(Reported)
            }
        };
        match self.kind {
            None => {
                section.require("kind", "add for example kind = \"microsoft_graph\"");
                None
            }
            Some(DirectoryKind::MicrosoftGraph) => self.resolve_graph(url, context, section),
            Some(DirectoryKind::GoogleDirectory) => self.resolve_google(url, context, section),
        }
    }

    fn resolve_graph(
        self,
        url: Result<Option<Url>, Reported>,
        context: &LookupContext<'_>,
        section: &mut Section<'_>,
    ) -> Option<GroupLookup> {
        for (key, is_set) in [
            ("key_file", self.key_file.is_some()),
            ("administrator", self.administrator.is_some()),
        ] {
            if is_set {
                section.reject(key, "only of kind = \"google_directory\"", "remove it");
            }
        }
        if context.scopes.iter().all(|scope| is_of_openid(scope)) {
            section.reject(
                "kind",
                "no scope permits the person's access token to read groups at Microsoft Graph",
                "add \"User.Read\" to oidc.scopes",
            );
        }
        Some(GroupLookup::MicrosoftGraph { url: url.ok()? })
    }

    fn resolve_google(
        self,
        url: Result<Option<Url>, Reported>,
        context: &LookupContext<'_>,
        section: &mut Section<'_>,
    ) -> Option<GroupLookup> {
        let is_delegated = self.administrator.is_some();
        let administrator = section.parse("administrator", self.administrator, parse_administrator);
        if self.key_file.is_none() {
            let remedy = "add for example key_file = \"config/google-directory.json\"";
            section.require("key_file", remedy);
        }
        let account = section.parse("key_file", self.key_file, |file| {
            let text = context.secrets.read_text(Path::new(file))?;
            let account = ServiceAccount::from_json(
                &SecretString::from(text.as_str()),
                administrator.clone(),
            );
            let account = account.map_err(|error| {
                let remedy =
                    "create a key of the service account, and name the file that Google gives";
                Fault::new(format!("{file} is {error}"), remedy)
            })?;
            let endpoint = account.token_endpoint();
            parse_provider_url(endpoint.as_str(), context.allow_http).map_err(|_| {
                let what = format!("token_uri of {file} is not an https URL");
                Fault::new(what, "name the file as Google gives it")
            })?;
            Ok(account)
        })?;
        if is_delegated && administrator.is_none() {
            return None;
        }
        Some(GroupLookup::GoogleDirectory {
            url: url.ok()?.unwrap_or_else(GroupLookup::google),
            account: Arc::new(account),
        })
    }
}

/// Whether a scope is one of OpenID Connect, which permits nothing at Microsoft Graph.
fn is_of_openid(scope: &str) -> bool {
    matches!(scope, "openid" | "profile" | "email" | "offline_access")
}

fn parse_administrator(text: &str) -> Result<String, Fault> {
    if is_email(text) {
        Ok(text.to_owned())
    } else {
        let what = "not the e-mail address of an administrator";
        Err(Fault::new(what, "write it as groups-reader@example.org"))
    }
}

fn parse_directory_url(text: &str, allow_http: bool) -> Result<Url, Fault> {
    let form = "write it as https://graph.microsoft.us";
    let url = parse_url(text, form)?;
    match url.scheme() {
        _ if url.query().is_some() => Err(Fault::new("has a query", form)),
        "https" => Ok(url),
        "http" if allow_http => Ok(url),
        _ => Err(Fault::new(
            "not an https URL, so that an attacker on the network path could add groups",
            form,
        )),
    }
}
