//! Content security policies of the upstream, in headers and in the page, extended by the injected script.

use http::HeaderValue;

use super::InjectedScript;

/// Allows the script in each policy of one header that would block it.
///
/// A header that is not text stays unchanged; browsers ignore it.
pub(super) fn allow_script(header: HeaderValue, script: &InjectedScript) -> HeaderValue {
    let Ok(text) = header.to_str() else {
        return header;
    };
    let source = script.csp_source();
    // A comma separates policies, of which each has to allow the script (CSP Level 3 § 2.2.2).
    let policies: Vec<String> = text
        .split(',')
        .map(|policy| allow_in_policy(policy, &source))
        .collect();
    HeaderValue::from_str(&policies.join(",")).unwrap_or(header)
}

/// The tag for a policy of the page that allows the script; `None` if the policy does so already, or is
/// not plain text. `content` is its attribute as it is written, with character references.
pub(super) fn meta_tag_with_script(content: &str, script: &InjectedScript) -> Option<String> {
    let policy = unescape(content);
    let allowing = allow_in_policy(&policy, &script.csp_source());
    (allowing != policy && policy.is_ascii()).then(|| {
        let content = allowing.replace('&', "&amp;").replace('"', "&quot;");
        format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{content}\">")
    })
}

/// Replaces the character references that a policy needs within quotes.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (reference, character) in [
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&apos;", "'"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(reference, character);
    }
    plain
}

fn allow_in_policy(policy: &str, source: &str) -> String {
    let governing = GOVERNING.iter().find_map(|name| {
        policy.split(';').position(|directive| {
            let first = directive.split_ascii_whitespace().next();
            first.is_some_and(|first| first.eq_ignore_ascii_case(name))
        })
    });
    let directives: Vec<String> = policy
        .split(';')
        .enumerate()
        .map(|(position, directive)| {
            if governing == Some(position) && !allows_inline(directive) {
                add(directive, source)
            } else {
                directive.to_owned()
            }
        })
        .collect();
    directives.join(";")
}

/// Whether the directive allows every inline script. Such a directive must stay unchanged: a hash
/// would disable `'unsafe-inline'` for the page's own scripts, as do nonces and `'strict-dynamic'`
/// (CSP Level 3 § 6.7.3.2).
fn allows_inline(directive: &str) -> bool {
    let sources = || {
        directive
            .split_ascii_whitespace()
            .skip(1)
            .map(str::to_ascii_lowercase)
    };
    let is_overridden = sources().any(|source| {
        source == "'strict-dynamic'"
            || ["'nonce-", "'sha256-", "'sha384-", "'sha512-"]
                .iter()
                .any(|prefix| source.starts_with(prefix))
    });
    !is_overridden && sources().any(|source| source == "'unsafe-inline'")
}

/// The directive with one more source, without `'none'`, which is invalid beside another.
fn add(directive: &str, source: &str) -> String {
    let indent = directive.len() - directive.trim_ascii_start().len();
    let (space, rest) = directive.split_at(indent);
    let mut kept: Vec<&str> = rest
        .split_ascii_whitespace()
        .filter(|source| !source.eq_ignore_ascii_case("'none'"))
        .collect();
    kept.push(source);
    format!("{space}{}", kept.join(" "))
}

/// Directives for inline scripts; the first of these that a policy has applies (CSP Level 3
/// § 6.8.3).
const GOVERNING: [&str; 3] = ["script-src-elem", "script-src", "default-src"];

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: &str) -> String {
        allow_in_policy(policy, "'H'")
    }

    #[test]
    fn source_is_added_to_the_directive_that_applies_to_inline_scripts() {
        for (before, after) in [
            (
                "script-src 'self'; img-src *",
                "script-src 'self' 'H'; img-src *",
            ),
            ("default-src 'self'", "default-src 'self' 'H'"),
            (
                "default-src 'none'; Script-Src a",
                "default-src 'none'; Script-Src a 'H'",
            ),
            (
                "script-src a; script-src-elem 'none'",
                "script-src a; script-src-elem 'H'",
            ),
            // Of a repeated directive, the first applies.
            (
                "script-src a; script-src b",
                "script-src a 'H'; script-src b",
            ),
            ("script-src", "script-src 'H'"),
            (
                "script-src 'unsafe-inline' 'nonce-x'",
                "script-src 'unsafe-inline' 'nonce-x' 'H'",
            ),
        ] {
            assert_eq!(allowed(before), after);
        }
    }

    #[test]
    fn policies_that_allow_inline_scripts_stay_unchanged() {
        for policy in [
            "",
            "img-src *; frame-ancestors 'none'",
            "script-src 'self' 'unsafe-inline'",
            "default-src a 'Unsafe-Inline';script-src-attr 'none'",
            "upgrade-insecure-requests;",
        ] {
            assert_eq!(allowed(policy), policy);
        }
    }
}
