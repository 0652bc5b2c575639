//! The account at the authority.

use instant_acme::{Account, ExternalAccountKey, NewAccount};
use secrecy::ExposeSecret;
use tracing::info;

use crate::{
    authority_client::AuthorityClient,
    order_error::OrderError,
    settings::{AcmeSettings, ExternalAccount},
    storage::{AcmeStorage, StoredAccount},
};

/// The stored account, or a new one if there is none at this authority.
pub(crate) async fn open_account(
    settings: &AcmeSettings,
    storage: &AcmeStorage,
    client: &AuthorityClient,
) -> Result<Account, OrderError> {
    match stored_account(settings, storage, client).await? {
        Some(account) => Ok(account),
        None => create_account(settings, storage, client).await,
    }
}

/// The stored account at this authority.
pub(crate) async fn stored_account(
    settings: &AcmeSettings,
    storage: &AcmeStorage,
    client: &AuthorityClient,
) -> Result<Option<Account>, OrderError> {
    let external = external_id(settings);
    let stored = storage.account().filter(|stored| {
        stored.directory == settings.directory.as_str()
            && stored.external_account.as_deref() == external
    });
    let Some(stored) = stored else {
        return Ok(None);
    };
    let builder = Account::builder_with_http(Box::new(client.clone()));
    Ok(Some(builder.from_credentials(stored.credentials).await?))
}

/// Creates an account and stores it before it is used: authorities limit how many may be created.
pub(crate) async fn create_account(
    settings: &AcmeSettings,
    storage: &AcmeStorage,
    client: &AuthorityClient,
) -> Result<Account, OrderError> {
    let contact: Vec<_> = settings.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        // `accept_terms` is checked with the configuration.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let external = settings.external_account.as_ref().map(|external| {
        let ExternalAccount { id, key } = external;
        ExternalAccountKey::new(id.clone(), key.expose_secret())
    });
    let directory = settings.directory.as_str();
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let (account, credentials) = builder
        .create(&new, directory.to_owned(), external.as_ref())
        .await?;
    storage.write_account(&StoredAccount {
        directory: directory.to_owned(),
        external_account: external_id(settings).map(ToOwned::to_owned),
        credentials,
    })?;
    info!(directory, account = account.id(), "created an ACME account");
    Ok(account)
}

fn external_id(settings: &AcmeSettings) -> Option<&str> {
    let external = settings.external_account.as_ref();
    external.map(|external| external.id.as_str())
}
