//! `[apps]`: the native apps that a sign-in in the browser returns to.

use proxy::AppLinks;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{diagnostics::Section, problem::Fault};

/// The native apps that a sign-in in the browser returns to. The defaults are Jitsi's own apps; an app
/// of your own brand has other names, which also stand in Jitsi's `config.js`, in `deeplinking`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawApps {
    /// The URL scheme of the app for iOS: `deeplinking.ios.appScheme`.
    ios_scheme: String,
    /// The URL scheme of the app for Android: `deeplinking.android.appScheme`.
    android_scheme: String,
    /// The package of the app for Android: `deeplinking.android.appPackage`.
    android_package: String,
    /// The URL scheme of the app for desktops: `deeplinking.desktop.appScheme`.
    desktop_scheme: String,
}

// === impl RawApps ===

impl RawApps {
    pub(super) fn resolve(self, section: &mut Section<'_>) -> Option<AppLinks> {
        let ios_scheme = section.keep("ios_scheme", parse_scheme(&self.ios_scheme));
        let android_scheme = section.keep("android_scheme", parse_scheme(&self.android_scheme));
        let android_package = section.keep("android_package", parse_package(&self.android_package));
        let desktop_scheme = section.keep("desktop_scheme", parse_scheme(&self.desktop_scheme));
        Some(AppLinks {
            ios_scheme: ios_scheme?,
            android_scheme: android_scheme?,
            android_package: android_package?,
            desktop_scheme: desktop_scheme?,
        })
    }
}

impl Default for RawApps {
    fn default() -> Self {
        let AppLinks {
            ios_scheme,
            android_scheme,
            android_package,
            desktop_scheme,
        } = AppLinks::default();
        Self {
            ios_scheme,
            android_scheme,
            android_package,
            desktop_scheme,
        }
    }
}

/// Parses the scheme of an app's links. They carry a secret, so schemes of browsers are refused.
fn parse_scheme(text: &str) -> Result<String, Fault> {
    let scheme = text.to_ascii_lowercase();
    if text.len() <= MAX_NAME && pages::is_app_scheme(&scheme) {
        return Ok(scheme);
    }
    Err(Fault::new(
        format!("{text:?} is not the URL scheme of an app"),
        "write the scheme that the app registers, without `://`, as org.jitsi.meet",
    ))
}

/// Parses the application id of an Android app (Android `applicationId`: segments of letters, digits
/// and underscores, each beginning with a letter).
fn parse_package(text: &str) -> Result<String, Fault> {
    let is_segment = |segment: &str| {
        segment.starts_with(|c: char| c.is_ascii_alphabetic())
            && segment
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let valid = text.len() <= MAX_NAME && text.contains('.') && text.split('.').all(is_segment);
    valid.then(|| text.to_owned()).ok_or_else(|| {
        Fault::new(
            format!("{text:?} is not the name of an Android package"),
            "write the application id of the app, as org.jitsi.meet",
        )
    })
}

/// Longer than the longest name in use; it becomes a part of each link.
const MAX_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_schemes_and_packages_of_apps_are_taken() {
        for (text, valid) in [
            ("org.jitsi.meet", true),
            ("com-example+meet", true),
            ("Org.Example", true),
            ("", false),
            ("1app", false),
            ("org.jitsi.meet://", false),
            ("javascript", false),
            ("HTTPS", false),
            ("intent", false),
            ("org;package=evil", false),
        ] {
            assert_eq!(parse_scheme(text).is_ok(), valid, "{text}");
        }
        for (text, valid) in [
            ("org.jitsi.meet", true),
            ("com.example.Meet_2", true),
            ("meet", false),
            ("org..meet", false),
            ("org.2meet", false),
            ("org.meet;end", false),
        ] {
            assert_eq!(parse_package(text).is_ok(), valid, "{text}");
        }
    }
}
