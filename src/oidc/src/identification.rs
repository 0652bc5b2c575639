//! Who a person is: the claims of a verified ID token, with the groups of the provider's directory and the userinfo where
//! claims are missing.

use std::sync::{Arc, PoisonError};

use model::{
    identity::VerifiedIdentity,
    jws::{ClaimsSet, Jws, text},
    policy::Policy,
};
use observe::error_chain;
use secrecy::SecretString;
use tracing::warn;
use url::Url;

use crate::{
    AuthenticationError, RelyingParty,
    claims::ClaimSources,
    group_lookup::Member,
    provider_cache::{ProviderSnapshot, TokenSource},
    userinfo::{self, Userinfo},
};

/// Whether a person may be identified while a further source of claims fails: the userinfo endpoint, or the directory of
/// groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceOutage {
    /// If the ID token suffices without the userinfo; without the groups, or with those of an earlier answer.
    Tolerated,
    /// An identity that is known is not replaced by a part of it.
    Refused,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// The identity of the claims of a verified ID token, of the directory of groups, and of the userinfo where claims
    /// are missing.
    pub(crate) async fn identify(
        &self,
        provider: &Arc<ProviderSnapshot>,
        claims: &ClaimsSet,
        access_token: &SecretString,
        outage: SourceOutage,
        policy: &Policy,
    ) -> Result<VerifiedIdentity, AuthenticationError> {
        let subject = text(claims, "sub").ok_or(AuthenticationError::NoSubject)?;
        let paths = &self.settings.claims;
        let member = Member {
            claims,
            access_token,
        };
        let directory_groups = self
            .directory_groups(provider, member, outage, policy)
            .await?;
        let without_userinfo = ClaimSources {
            id_token: claims,
            userinfo: None,
            directory_groups: directory_groups.as_deref(),
        };
        let userinfo = match &provider.metadata.userinfo {
            Some(url) if without_userinfo.needs_userinfo(paths, policy) => {
                match self.userinfo(provider, url, access_token).await {
                    Ok(claims) => {
                        userinfo::check_subject(&claims, subject)?;
                        Some(claims)
                    }
                    Err(error)
                        if outage == SourceOutage::Tolerated
                            && error.is_userinfo_outage()
                            && without_userinfo.suffices(paths, policy) =>
                    {
                        let reason = error.as_str();
                        warn!(
                            provider = self.provider_id(),
                            reason, "a person is signed in without the userinfo, which failed"
                        );
                        None
                    }
                    Err(error) => return Err(error),
                }
            }
            _ => None,
        };
        let sources = ClaimSources {
            userinfo: userinfo.as_ref(),
            ..without_userinfo
        };
        for claim in sources.distributed_claims(paths, policy) {
            warn!(
                provider = self.provider_id(),
                claim, "provider sends a claim by reference only; rules treat it as missing"
            );
        }
        for claim in sources.unusable_claims(paths, policy) {
            let mut reported = self
                .reported_claims
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if reported.insert(claim.to_owned()) {
                warn!(
                    provider = self.provider_id(),
                    claim,
                    "a claim that rules name is missing or has no usable form; its conditions are not met. Reported once"
                );
            }
        }
        let identity = sources.identity(&self.settings, policy)?;
        Ok(VerifiedIdentity::by_provider(identity))
    }

    /// The groups by the provider's directory; `None` without one, or if it has nothing to say of this person.
    async fn directory_groups(
        &self,
        provider: &ProviderSnapshot,
        member: Member<'_>,
        outage: SourceOutage,
        policy: &Policy,
    ) -> Result<Option<Vec<String>>, AuthenticationError> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        let claim = &self.settings.claims.groups;
        let (metadata, fetcher) = (&provider.metadata, &self.provider.fetcher);
        let answer = directory
            .groups(member, claim, policy, outage, metadata, fetcher)
            .await;
        match answer {
            Err(error) if outage == SourceOutage::Tolerated => {
                warn!(
                    provider = self.provider_id(),
                    error = error_chain(&error),
                    "a person is signed in without groups, as the directory does not tell them"
                );
                Ok(None)
            }
            answer => answer.map_err(AuthenticationError::GroupLookup),
        }
    }

    /// The claims of the userinfo endpoint; a signed response is verified first.
    async fn userinfo(
        &self,
        provider: &Arc<ProviderSnapshot>,
        url: &Url,
        access_token: &SecretString,
    ) -> Result<ClaimsSet, AuthenticationError> {
        let token = match userinfo::fetch(&self.provider.fetcher, url, access_token).await? {
            Userinfo::Claims(claims) => return Ok(claims),
            Userinfo::Signed(token) => token,
        };
        let signature = AuthenticationError::UserinfoToken;
        let jws = Jws::parse(&token, &self.algorithms).map_err(signature)?;
        let claims: ClaimsSet = self
            .provider
            .verify(provider, &jws, TokenSource::TokenEndpoint)
            .await
            .map_err(signature)?;
        // § 5.3.2: `iss` and `aud` should be there; the request was for this client's token, so
        // their absence is harmless.
        let validation = self.claims_validation();
        if claims.contains_key("iss") {
            validation.check_issuer(&claims).map_err(signature)?;
        }
        if claims.contains_key("aud") {
            validation.check_audience(&claims).map_err(signature)?;
        }
        Ok(claims)
    }
}
