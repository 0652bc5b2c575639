//! Which of several providers a sign-in goes to.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response};
use model::{
    provider::ProviderId,
    session::{self, PROVIDER_COOKIE, RequestCookies, Session},
};
use oidc::{ListedProvider, RelyingParties, RelyingParty};
use pages::{Content, EmailForm, ProviderLink};

use super::{
    LoginError,
    query::{EMAIL, LoginQuery, PROVIDER, without_choice},
};
use crate::{
    Body, Worker,
    respond::{self, Responder},
    server::ClientBody,
};

/// The provider of a sign-in, or the question for it.
pub(super) enum ProviderChoice<'p> {
    Made {
        party: &'p Arc<RelyingParty>,
        /// The e-mail address that the person typed.
        address: Option<String>,
    },
    Open(OpenChoice<'p>),
}

/// A question that the person has to answer.
pub(super) struct OpenChoice<'p> {
    /// At least two.
    candidates: Vec<&'p ListedProvider>,
    /// The typed e-mail address, of which no candidate has the domain.
    unknown: Option<String>,
}

// === impl ProviderChoice ===

impl<'p> ProviderChoice<'p> {
    /// Chooses among the providers that the room's rule permits (all, if it names none); with a session,
    /// that of the session.
    ///
    /// # Errors
    ///
    /// [`LoginError::ProviderUnavailable`] if a reloaded rule names only providers that a restart adds.
    pub(super) fn of(
        parties: &'p RelyingParties,
        wanted: &LoginQuery,
        permitted: &[ProviderId],
        session: Option<&Session>,
    ) -> Result<Self, LoginError> {
        let made = |party| Self::Made {
            party,
            address: None,
        };
        if let Some(only) = parties.only() {
            return Ok(made(only));
        }
        let candidates: Vec<(&Arc<RelyingParty>, &ListedProvider)> = parties
            .iter()
            .filter_map(|party| Some((party, party.listed()?)))
            .filter(|(_, listed)| permitted.is_empty() || permitted.contains(&listed.id))
            .collect();
        let of_session = candidates.iter().find(|(party, _)| {
            session.is_some_and(|it| it.identity().provider.as_ref() == party.scope().provider())
        });
        let chosen = candidates
            .iter()
            .find(|(_, listed)| wanted.provider.as_ref() == Some(&listed.id));
        if let Some((party, _)) = of_session.or(chosen) {
            return Ok(made(party));
        }
        match &candidates[..] {
            [] => return Err(LoginError::ProviderUnavailable),
            [(only, _)] => return Ok(made(only)),
            _ => {}
        }
        let typed = wanted.email.as_deref();
        let by_address = candidates
            .iter()
            .find(|(_, listed)| typed.is_some_and(|address| listed.has_address(address)));
        Ok(match by_address {
            Some((party, _)) => Self::Made {
                party,
                address: wanted.email.clone(),
            },
            None => Self::Open(OpenChoice {
                candidates: candidates.into_iter().map(|(_, listed)| listed).collect(),
                unknown: wanted.email.clone(),
            }),
        })
    }
}

/// The page that asks which provider. The one of the last sign-in comes first.
pub(super) fn choice_page(
    worker: &Worker,
    request: &Request<ClientBody>,
    responder: &Responder,
    choice: &OpenChoice<'_>,
) -> Response<Body> {
    let query = without_choice(request.uri().query().unwrap_or_default());
    let link = |listed: &ListedProvider| {
        let mut parameters = url::form_urlencoded::Serializer::new(String::new());
        parameters.extend_pairs(&query);
        parameters.append_pair(PROVIDER, listed.id.as_str());
        format!("{LOGIN_PATH}?{}", parameters.finish())
    };
    let last = RequestCookies::new(request.headers()).value(PROVIDER_COOKIE);
    let is_last = |listed: &ListedProvider| last == Some(listed.id.as_str());
    let mut candidates = choice.candidates.clone();
    candidates.sort_by_key(|listed| !is_last(listed));
    let paths: Vec<String> = candidates.iter().map(|listed| link(listed)).collect();
    let providers: Vec<ProviderLink<'_>> = candidates
        .iter()
        .zip(&paths)
        .map(|(listed, path)| ProviderLink {
            name: &listed.name,
            path,
            is_last: is_last(listed),
        })
        .collect();
    let has_domains = |listed: &&ListedProvider| !listed.email_domains.is_empty();
    let email = candidates.iter().any(has_domains).then_some(EmailForm {
        action: LOGIN_PATH,
        field: EMAIL,
        hidden: &query,
        unknown: choice.unknown.as_deref(),
    });
    let content = Content::ChooseProvider {
        providers: &providers,
        email,
    };
    respond::page(&worker.state.pages, &content, responder)
}

/// The cookie of the provider that the person signed in with.
pub(super) fn remember(provider: &ListedProvider) -> HeaderValue {
    session::set(PROVIDER_COOKIE, provider.id.as_str(), REMEMBERED)
}

const LOGIN_PATH: &str = "/_gateway/login";

/// The most that browsers keep a cookie (RFC 6265bis § 5.5); each sign-in begins it anew.
const REMEMBERED: Duration = Duration::from_hours(400 * 24);
