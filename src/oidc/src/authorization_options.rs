//! What one authorization request asks for beside a sign-in.

use std::time::Duration;

use model::authorization_parameters::AuthorizationParameters;
use url::Url;

use crate::Prompt;

/// The optional parameters of one authorization request (OpenID Connect Core 1.0 § 3.1.2.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorizationOptions<'o> {
    /// `prompt`.
    pub prompt: Option<Prompt>,
    /// `ui_locales`: the language of the gateway's page.
    pub ui_locales: Option<&'o str>,
    /// `login_hint`: the e-mail address that the person typed.
    pub login_hint: Option<&'o str>,
    /// `id_token_hint`: the ID token of the session that is renewed.
    pub id_token_hint: Option<&'o str>,
    /// `acr_values`: the wanted authentication context classes, the preferred first.
    pub acr_values: &'o [String],
    /// `max_age`: the longest time since the person was authenticated.
    pub max_age: Option<Duration>,
    /// Parameters of the room, in place of those of the same name in the settings.
    pub parameters: Option<&'o AuthorizationParameters>,
}

// === impl AuthorizationOptions ===

impl AuthorizationOptions<'_> {
    /// Adds all but `prompt` to the URL of an authorization request. A parameter that the URL has, from
    /// the provider's metadata, is not sent twice (RFC 6749 § 3.1).
    pub(crate) fn add_to(&self, url: &mut Url, general: &AuthorizationParameters) {
        let mut added: Vec<(&str, String)> = general
            .overridden_by(self.parameters)
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        if let Some(language) = self.ui_locales
            && !added.iter().any(|(name, _)| *name == UI_LOCALES)
        {
            added.push((UI_LOCALES, language.to_owned()));
        }
        if let Some(address) = self.login_hint
            && !added.iter().any(|(name, _)| *name == LOGIN_HINT)
        {
            added.push((LOGIN_HINT, address.to_owned()));
        }
        if let Some(hint) = self.id_token_hint {
            added.push(("id_token_hint", hint.to_owned()));
        }
        if !self.acr_values.is_empty() {
            added.push(("acr_values", self.acr_values.join(" ")));
        }
        if let Some(max_age) = self.max_age {
            added.push(("max_age", max_age.as_secs().to_string()));
        }
        let known: Vec<String> = url
            .query_pairs()
            .map(|(name, _)| name.into_owned())
            .collect();
        added.retain(|(name, _)| !known.iter().any(|known| known == name));
        if !added.is_empty() {
            url.query_pairs_mut().extend_pairs(added);
        }
    }
}

const UI_LOCALES: &str = "ui_locales";
const LOGIN_HINT: &str = "login_hint";
