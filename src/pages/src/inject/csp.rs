//! Content security policies of the upstream: they have to allow the script that is put in.

use http::HeaderValue;

use super::Script;

/// The policies of one header with the script allowed in each that would stop it.
///
/// A header that is not text is left as it is; browsers do not read it either.
pub(super) fn allow(header: HeaderValue, script: &Script) -> HeaderValue {
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

fn allow_in_policy(policy: &str, source: &str) -> String {
    let governing = GOVERNING.iter().find_map(|name| {
        policy.split(';').position(|directive| {
            let own = directive.split_ascii_whitespace().next();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
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

/// Whether any inline script runs: `'unsafe-inline'` counts only where no hash, nonce or
/// `'strict-dynamic'` is (CSP Level 3 § 6.7.3.2). Adding a hash would then forbid the others.
fn allows_inline(directive: &str) -> bool {
    let sources = || {
        directive
            .split_ascii_whitespace()
            .skip(1)
            .map(str::to_ascii_lowercase)
    };
    let overruled = sources().any(|source| {
        source == "'strict-dynamic'"
            || ["'nonce-", "'sha256-", "'sha384-", "'sha512-"]
                .iter()
                .any(|prefix| source.starts_with(prefix))
    });
    !overruled && sources().any(|source| source == "'unsafe-inline'")
}

/// The directive with one more source; `'none'` means nothing beside another.
fn add(directive: &str, source: &str) -> String {
    let indent = directive.len() - directive.trim_ascii_start().len();
    let (space, rest) = directive.split_at(indent);
    let mut kept: Vec<&str> = rest
        .split_ascii_whitespace()
        .filter(|own| !own.eq_ignore_ascii_case("'none'"))
        .collect();
    kept.push(source);
    format!("{space}{}", kept.join(" "))
}

/// The first that a policy has decides on inline scripts (CSP Level 3 § 6.8.3).
const GOVERNING: [&str; 3] = ["script-src-elem", "script-src", "default-src"];

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: &str) -> String {
        allow_in_policy(policy, "'H'")
    }

    #[test]
    fn the_directive_that_governs_is_widened() {
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
            // Of two the first counts.
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
    fn what_allows_the_script_already_is_left_alone() {
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
