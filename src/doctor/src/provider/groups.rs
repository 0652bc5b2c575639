//! The directory of groups (`oidc.group_lookup`), as far as it can be read without a person.

use oidc::{GroupLookupError, OidcSettings, ProviderProbe};

use super::found;
use crate::{Finding, FindingKind};

/// Reads the directory with the gateway's own account.
pub(super) async fn examine(probe: &ProviderProbe, settings: &OidcSettings) -> Result<(), Finding> {
    match probe.read_groups().await {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(unreadable(settings, &error)),
    }
}

fn unreadable(settings: &OidcSettings, error: &GroupLookupError) -> Finding {
    let sent = format!(
        "a request for one group to the directory of {}",
        settings.issuer
    );
    let remedy = match error {
        GroupLookupError::TokenRefused(code) if code == "unauthorized_client" => {
            "give the service account the scope admin.directory.group.readonly by domain-wide delegation, by its \
             client id; or remove administrator, and give the account the role Groups Reader"
        }
        GroupLookupError::TokenRefused(_) => {
            "create a new key of the service account for oidc.group_lookup.key_file, and correct administrator"
        }
        GroupLookupError::Status(_) => {
            "enable the Admin SDK API in the account's project, and give the account the role Groups Reader"
        }
        _ => "check name resolution, firewalls and oidc.http_proxy, and oidc.group_lookup.url",
    };
    found(
        FindingKind::GroupDirectory,
        sent,
        observe::error_chain(error),
    )
    .with_remedy(
        "people are signed in without groups, so rules with group: are not met",
        remedy,
    )
}
