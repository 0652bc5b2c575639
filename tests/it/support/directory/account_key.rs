//! The key of a service account, with the file that Google gives.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use model::jws::KeySet;
use oidc::{GroupLookup, ServiceAccount};
use rcgen::KeyPair;
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use super::{Account, Directory};

/// An RSA key pair of [`EMAIL`].
pub(crate) struct AccountKey {
    pem: String,
    /// The key set of the public key.
    document: String,
}

// === impl AccountKey ===

impl AccountKey {
    pub(crate) fn generate() -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let pem = pair.serialize_pem();
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let jwk = Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap();
        let document = json!({ "keys": [jwk] }).to_string();
        Self { pem, document }
    }

    pub(crate) fn public(&self) -> KeySet {
        KeySet::parse(self.document.as_bytes()).unwrap()
    }

    /// A lookup at this directory by the account, in the name of an administrator.
    pub(crate) fn lookup(&self, directory: &Directory, administrator: Option<&str>) -> GroupLookup {
        let file = json!({
            "type": "service_account",
            "private_key_id": "key-1",
            "private_key": self.pem,
            "client_email": EMAIL,
            "token_uri": format!("{}/token", directory.url()),
        });
        let file = SecretString::from(file.to_string());
        let account = ServiceAccount::from_json(&file, administrator.map(str::to_owned));
        GroupLookup::GoogleDirectory {
            url: Url::parse(&directory.url()).unwrap(),
            account: Arc::new(account.unwrap()),
        }
    }
}

// === impl Account ===

impl Account {
    /// The account of this key.
    pub(crate) fn new(key: &AccountKey, administrator: Option<&str>) -> Self {
        Self {
            email: EMAIL.to_owned(),
            keys: key.public(),
            administrators: administrator.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// The account's address.
const EMAIL: &str = "meet@project.iam.gserviceaccount.com";
