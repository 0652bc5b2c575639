//! One order: names, challenges, certificate (RFC 8555 § 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use proxy::server::{CertificateFields, ChallengeAnswers};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use tokio::time::sleep;
use tracing::debug;
use zeroize::Zeroizing;

use crate::{
    challenge::{PublishedChallenges, SharedChallenge},
    finalization::finalize,
    order_error::OrderError,
    renewal_info::certificate_id,
    settings::{AcmeSettings, ChallengeKind},
    storage::AcmeStorage,
};

/// The issued certificate and its key, as PEM.
pub(crate) struct IssuedCertificate {
    pub(crate) chain: String,
    pub(crate) key: Zeroizing<String>,
}

/// What an order needs beside an account.
pub(crate) struct OrderContext<'o> {
    pub(crate) settings: &'o AcmeSettings,
    pub(crate) storage: &'o AcmeStorage,
    pub(crate) answers: &'o ChallengeAnswers,
    /// The certificate that is replaced, if the authority knows it.
    pub(crate) replaced: Option<CertificateDer<'static>>,
}

// === impl OrderContext ===

impl OrderContext<'_> {
    /// Orders a certificate.
    pub(crate) async fn run(&self, account: &Account) -> Result<IssuedCertificate, OrderError> {
        let mut order = self.place(account).await?;
        // An order may be ready at once: authorizations are valid for some time.
        let _published = self.answer_challenges(&mut order).await?;
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => {}
            // The order's own error says less than that of the challenge.
            Ok(_) | Err(instant_acme::Error::Api(_)) => {
                return Err(self.reason(&mut order).await);
            }
            Err(error) => return Err(error.into()),
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.settings.names.as_slice())?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?;
        let chain = finalize(&mut order, request.der(), &PATIENCE).await?;
        let issued = IssuedCertificate {
            chain,
            key: Zeroizing::new(key.serialize_pem()),
        };
        issued.check(&self.settings.names)?;
        Ok(issued)
    }

    async fn place(&self, account: &Account) -> Result<Order, OrderError> {
        let names = self.settings.names.iter();
        let identifiers: Vec<_> = names.cloned().map(Identifier::Dns).collect();
        let new = || {
            let new = NewOrder::new(&identifiers);
            match &self.settings.profile {
                Some(profile) => new.profile(profile),
                None => new,
            }
        };
        if let Some(id) = self.replaced.as_ref().and_then(|leaf| certificate_id(leaf)) {
            match account.new_order(&new().replaces(id)).await {
                Err(error) => {
                    let error = OrderError::of_new_order(error);
                    // It was replaced already, or is another account's.
                    let kinds = ["alreadyReplaced", "malformed", "unauthorized"];
                    let is_about_it = kinds.iter().any(|kind| error.is(kind));
                    if !is_about_it && !matches!(error, OrderError::Exchange(_)) {
                        return Err(error);
                    }
                    debug!(%error, "an order that names the replaced certificate is refused");
                }
                Ok(order) => return Ok(order),
            }
        }
        let placed = account.new_order(&new()).await;
        placed.map_err(OrderError::of_new_order)
    }

    async fn answer_challenges(
        &self,
        order: &mut Order,
    ) -> Result<PublishedChallenges<'_>, OrderError> {
        let kind = self.settings.challenge;
        let mut challenges = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            let challenge = authorization.challenge(kind.challenge_type());
            let challenge = challenge.ok_or(OrderError::NoChallenge(kind.as_str()))?;
            challenges.push(SharedChallenge {
                name,
                token: challenge.token.clone(),
                key_authorization: challenge.key_authorization().as_str().to_owned(),
            });
        }
        let published =
            PublishedChallenges::publish(&challenges, kind, self.answers, self.storage)?;
        if challenges.is_empty() {
            return Ok(published);
        }
        // The authority may reach another replica, which reads the challenges periodically.
        sleep(2 * self.settings.pacing.sharing).await;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            if let Some(mut challenge) = authorization.challenge(kind.challenge_type()) {
                challenge.set_ready().await?;
            }
        }
        Ok(published)
    }

    /// Why an order became invalid: the first challenge that failed.
    async fn reason(&self, order: &mut Order) -> OrderError {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let name = authorization.identifier().to_string();
            let Ok(state) = authorization.refresh().await else {
                continue;
            };
            let failed = state
                .challenges
                .iter()
                .find(|challenge| challenge.status == ChallengeStatus::Invalid);
            if let Some(error) = failed.and_then(|challenge| challenge.error.as_ref()) {
                let detail = error.detail.as_deref().unwrap_or("no reason");
                return OrderError::Unverified {
                    name,
                    detail: detail.to_owned(),
                };
            }
        }
        OrderError::Unverified {
            name: self.settings.names.join(", "),
            detail: "no reason".to_owned(),
        }
    }
}

// === impl IssuedCertificate ===

impl IssuedCertificate {
    /// What cannot be used must not replace a working certificate.
    fn check(&self, names: &[String]) -> Result<(), OrderError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| OrderError::Certificate("it is not PEM"))?;
        let fields = chain.first().and_then(|leaf| CertificateFields::of(leaf));
        let fields = fields.ok_or(OrderError::Certificate("it is malformed"))?;
        if !names.iter().all(|name| fields.is_for(name)) {
            return Err(OrderError::Certificate("a name is missing"));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|_| OrderError::Certificate("its key is malformed"))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|_| OrderError::Certificate("it is for another key"))?;
        Ok(())
    }
}

// === impl ChallengeKind ===

impl ChallengeKind {
    fn challenge_type(self) -> ChallengeType {
        match self {
            Self::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Self::Http01 => ChallengeType::Http01,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// Authorities verify within seconds, from several places of the world; a busy one takes minutes.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_mins(5));
