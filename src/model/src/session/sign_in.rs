//! Sign-ins in progress: one cookie each, so that tabs do not overwrite each other's state.

use std::time::Duration;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::{
    App, RequestCookies, ReturnTo,
    cookies::{CookieBudget, StoredCookie},
    expire, set,
};
use crate::{
    clock::{Clock, Timestamp},
    provider::ProviderId,
    random::Random,
    seal::{Keyring, Purpose, Sealer},
};

/// A sign-in in progress: the state between the redirect to the provider and its response, bound to
/// the browser that began it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The `state` parameter; its first characters name the cookie.
    #[serde(rename = "s")]
    pub state: String,
    /// The `nonce` that the ID token has to repeat.
    #[serde(rename = "n")]
    pub nonce: String,
    /// The PKCE code verifier (RFC 7636 § 4.1).
    #[serde(rename = "v")]
    pub verifier: String,
    /// The page to return to afterwards.
    #[serde(rename = "r")]
    pub return_to: ReturnTo,
    /// The step after the sign-in.
    #[serde(rename = "t", default, skip_serializing_if = "Afterwards::is_page")]
    pub then: Afterwards,
    /// The provider that the browser was sent to ([`SubjectScope::provider`]); a response of any other
    /// is refused (RFC 9700 § 4.4.2).
    ///
    /// [`SubjectScope::provider`]: crate::provider::SubjectScope::provider
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// The id of the requirement that the provider is asked for.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Whether it renews a session, without a page of the provider.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub renews: bool,
    #[serde(rename = "b")]
    began: Timestamp,
    /// It is complete: only the page is of use, to who goes back to the callback.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    done: bool,
}

/// The destination of a person who has signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Afterwards {
    /// The page to return to, in the same window.
    #[default]
    Page,
    /// The app that opened the browser for the sign-in.
    App {
        /// The platform of the app.
        app: App,
        /// The options for the fragment of the app's address.
        options: String,
    },
    /// The popup window that Jitsi's page opened for the sign-in.
    Popup,
}

/// Stores and finds the cookies of sign-ins in progress.
#[derive(Debug)]
pub struct SignInCookies {
    sealer: Sealer,
    clock: Clock,
}

/// Why the provider's response matches no sign-in of this browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The browser has no cookie for this `state`: the sign-in began in another browser, took too
    /// long, or was completed before.
    #[error("this browser has no sign-in under way with this state")]
    Unknown,
    /// The cookie exists, but is older than the time limit of a sign-in.
    #[error("the sign-in took too long")]
    Expired,
}

// === impl SignIn ===

impl SignIn {
    /// Begins a sign-in that leads back to `return_to`.
    pub fn begin(return_to: ReturnTo, then: Afterwards, random: &Random, clock: &Clock) -> Self {
        Self {
            state: format!("{}.{}", random.text::<6>(), random.text::<16>()),
            nonce: random.text::<16>(),
            verifier: random.text::<32>(),
            return_to,
            then,
            provider: None,
            asked: None,
            renews: false,
            began: clock.now(),
            done: false,
        }
    }
}

impl Afterwards {
    fn is_page(&self) -> bool {
        *self == Self::Page
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("return_to", &self.return_to)
            .finish_non_exhaustive()
    }
}

// === impl SignInCookies ===

impl SignInCookies {
    /// Creates the sign-in cookies of the deployment at `origin`.
    pub fn new(keyring: &Keyring, origin: &str, clock: Clock) -> Self {
        Self {
            sealer: keyring.sealer(Purpose::SignIn, origin),
            clock,
        }
    }

    /// The `Set-Cookie` headers that store a sign-in and delete the oldest ones that exceed the
    /// budget.
    pub fn remember(&self, sign_in: &SignIn, jar: RequestCookies<'_>) -> Vec<HeaderValue> {
        let plain = serde_json::to_vec(sign_in).unwrap_or_default();
        let (name, sealed) = (cookie_name(&sign_in.state), self.sealer.seal(&plain));
        let others = jar.with_prefix(PREFIX).map(|(name, value)| {
            let began = self.open(value).map(|old| old.began);
            StoredCookie::new(name, value, began)
        });
        let gone = SIGN_IN_BUDGET.evicted(name.len() + sealed.len(), others.collect());
        let own = set(&name, &sealed, KEPT);
        std::iter::once(own)
            .chain(gone.into_iter().map(expire))
            .collect()
    }

    /// Finds the sign-in of a `state`.
    ///
    /// # Errors
    ///
    /// [`SignInError`].
    pub fn find(&self, state: &str, jar: RequestCookies<'_>) -> Result<SignIn, SignInError> {
        let sign_in = self.stored(state, jar).ok_or(SignInError::Unknown)?;
        if sign_in.done {
            return Err(SignInError::Unknown);
        }
        if self.clock.now().since(sign_in.began) > LIFETIME {
            return Err(SignInError::Expired);
        }
        Ok(sign_in)
    }

    /// The `Set-Cookie` header of a complete sign-in: of its cookie only the page stays, for a while.
    pub fn complete(&self, sign_in: &SignIn) -> HeaderValue {
        let done = SignIn {
            nonce: String::new(),
            verifier: String::new(),
            then: Afterwards::Page,
            done: true,
            ..sign_in.clone()
        };
        let plain = serde_json::to_vec(&done).unwrap_or_default();
        let name = cookie_name(&done.state);
        set(&name, &self.sealer.seal(&plain), DONE_LIFETIME)
    }

    /// The page that a sign-in leads to, also if it is complete or took too long.
    pub fn page(&self, state: &str, jar: RequestCookies<'_>) -> Option<ReturnTo> {
        let sign_in = self.stored(state, jar)?;
        Some(sign_in.return_to)
    }

    fn stored(&self, state: &str, jar: RequestCookies<'_>) -> Option<SignIn> {
        let sign_in = self.open(jar.value(&cookie_name(state))?)?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            sign_in.state.as_bytes(),
            state.as_bytes(),
        );
        same.is_ok().then_some(sign_in)
    }

    fn open(&self, sealed: &str) -> Option<SignIn> {
        serde_json::from_slice(&self.sealer.open(sealed)?).ok()
    }
}

/// The name of the cookie for a state, safe for any text that an attacker sends as `state`.
fn cookie_name(state: &str) -> String {
    let flow = state.split('.').next().unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    PREFIX
        .chars()
        .chain(flow.chars().filter(plain).take(8))
        .collect()
}

const PREFIX: &str = "__Host-gateway-signin-";

/// Time enough for a second factor or a password reset at the provider.
const LIFETIME: Duration = Duration::from_mins(15);

/// A callback later than [`LIFETIME`] leads to the room, where the person can sign in again.
const KEPT: Duration = Duration::from_hours(2);

/// People go back to a callback soon after it, or never.
const DONE_LIFETIME: Duration = Duration::from_mins(5);

/// Twelve sign-ins in parallel exceed any real use, and fit if their addresses are short. Without a limit, a page of
/// another site could fill the head by opening one long address after another: a session and six passes have to fit
/// beside them into the 8 KiB that nginx reads of a field by default.
const SIGN_IN_BUDGET: CookieBudget = CookieBudget {
    cookies: 12,
    bytes: 4 * 1024,
};

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    /// The cookies of a browser after these responses.
    fn browser(answers: &[HeaderValue]) -> HeaderMap {
        let mut kept: Vec<(String, String)> = Vec::new();
        for answer in answers {
            let cookie = cookie::Cookie::parse(answer.to_str().unwrap().to_owned()).unwrap();
            kept.retain(|(name, _)| name != cookie.name());
            if cookie.max_age() != Some(time::Duration::ZERO) {
                kept.push((cookie.name().to_owned(), cookie.value().to_owned()));
            }
        }
        let line = kept
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect::<Vec<_>>()
            .join("; ");
        [(header::COOKIE, HeaderValue::try_from(line).unwrap())]
            .into_iter()
            .collect()
    }

    fn cookies(clock: &Clock) -> SignInCookies {
        SignInCookies::new(
            &Keyring::single([5; 32]),
            "https://meet.example.org",
            clock.clone(),
        )
    }

    #[test]
    fn parallel_sign_ins_keep_separate_cookies() {
        let (clock, _) = Clock::manual(Timestamp::from_unix(50));
        let cookies = cookies(&clock);
        let random = Random::system();
        let tabs: Vec<_> = (0..10)
            .map(|n| {
                SignIn::begin(
                    ReturnTo::parse(&format!("/room{n}")),
                    Afterwards::Page,
                    &random,
                    &clock,
                )
            })
            .collect();
        let none = HeaderMap::new();
        let answers: Vec<_> = tabs
            .iter()
            .flat_map(|tab| cookies.remember(tab, RequestCookies::new(&none)))
            .collect();
        let headers = browser(&answers);
        assert!(headers[header::COOKIE].len() <= 4 * 1024);
        for tab in tabs.iter().rev() {
            assert_eq!(
                cookies
                    .find(&tab.state, RequestCookies::new(&headers))
                    .unwrap(),
                *tab
            );
        }
    }

    #[test]
    fn the_oldest_sign_in_is_evicted() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(50));
        let cookies = cookies(&clock);
        let mut answers = Vec::new();
        let mut tabs = Vec::new();
        for _ in 0..=SIGN_IN_BUDGET.cookies {
            let tab = SignIn::begin(
                ReturnTo::default(),
                Afterwards::Page,
                &Random::system(),
                &clock,
            );
            let headers = browser(&answers);
            answers.extend(cookies.remember(&tab, RequestCookies::new(&headers)));
            tabs.push(tab);
            hand.advance(Duration::from_secs(1));
        }
        let headers = browser(&answers);
        let jar = RequestCookies::new(&headers);
        assert_eq!(cookies.find(&tabs[0].state, jar), Err(SignInError::Unknown));
        assert!(
            tabs[1..]
                .iter()
                .all(|tab| cookies.find(&tab.state, jar).is_ok())
        );
    }

    #[test]
    fn long_return_addresses_stay_within_the_cookie_budget() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(50));
        let cookies = cookies(&clock);
        let mut answers = Vec::new();
        for n in 0..2 * SIGN_IN_BUDGET.cookies {
            let target = ReturnTo::parse(&format!("/{n}{}", "a".repeat(1900)));
            let tab = SignIn::begin(target, Afterwards::Page, &Random::system(), &clock);
            let headers = browser(&answers);
            let jar = RequestCookies::new(&headers);
            answers.extend(cookies.remember(&tab, jar));
            let headers = browser(&answers);
            // Every request carries all of them, beside a session and the cookies of other
            // applications.
            assert!(headers[header::COOKIE].len() <= 4 * 1024, "{n}");
            assert!(
                cookies
                    .find(&tab.state, RequestCookies::new(&headers))
                    .is_ok()
            );
            hand.advance(Duration::from_secs(1));
        }
    }

    #[test]
    fn a_state_of_another_browser_or_an_old_one_is_refused() {
        let (clock, hand) = Clock::manual(Timestamp::from_unix(50));
        let cookies = cookies(&clock);
        let mine = SignIn::begin(
            ReturnTo::default(),
            Afterwards::Page,
            &Random::system(),
            &clock,
        );
        let none = HeaderMap::new();
        let headers = browser(&cookies.remember(&mine, RequestCookies::new(&none)));
        let jar = RequestCookies::new(&headers);
        let twisted = format!("{}x", mine.state);
        for state in [
            "",
            ".",
            "x.y",
            &twisted,
            mine.state.split('.').next().unwrap(),
        ] {
            assert_eq!(
                cookies.find(state, jar),
                Err(SignInError::Unknown),
                "{state}"
            );
        }
        assert_eq!(cookies.page(&twisted, jar), None);
        hand.advance(LIFETIME + Duration::from_secs(1));
        assert_eq!(cookies.find(&mine.state, jar), Err(SignInError::Expired));
        assert_eq!(cookies.page(&mine.state, jar), Some(mine.return_to));
    }
}
