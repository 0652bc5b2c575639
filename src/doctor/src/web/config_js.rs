//! What Jitsi's `config.js` says of addresses, read without running it.
//!
//! Docker's file assigns (`config.bosh = '…' + subdir + 'http-bind'`), Debian's is one object with
//! server-side includes in its texts. Either way the texts of one expression are put together; what
//! a variable would add is a tenant's, and empty for everybody else.

/// Where clients are told to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) domain: Option<String>,
    pub(crate) muc: Option<String>,
    pub(crate) focus: Option<String>,
    pub(crate) bosh: Option<String>,
    pub(crate) websocket: Option<String>,
}

// === impl Told ===

impl Told {
    pub(super) fn read(script: &str) -> Self {
        let kept = script
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let script: String = kept.flat_map(|line| [line, "\n"]).collect();
        let value = |key: &str| value(&script, key).filter(|value| !value.is_empty());
        Self {
            domain: value("domain"),
            muc: value("muc"),
            focus: value("focus"),
            bosh: value("bosh"),
            websocket: value("websocket"),
        }
    }
}

/// The texts that are first assigned to the key.
fn value(script: &str, key: &str) -> Option<String> {
    script.match_indices(key).find_map(|(at, _)| {
        let before = script.get(..at)?.chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-')) {
            return None;
        }
        let rest = script.get(at + key.len()..)?;
        let rest = rest.trim_start_matches(['"', '\'']).trim_start();
        let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix('='))?;
        if rest.starts_with('=') {
            return None;
        }
        texts(rest.trim_start())
    })
}

/// The texts of an expression, put together; `None` if it has none.
fn texts(expression: &str) -> Option<String> {
    let mut texts = String::new();
    let mut any = false;
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        match first {
            '"' | '\'' | '`' => {
                let inside = rest.get(1..)?;
                let end = inside.find(first)?;
                texts.push_str(inside.get(..end)?);
                any = true;
                rest = inside.get(end + 1..)?;
            }
            ',' | ';' | '\n' | '}' | '{' => break,
            c => rest = rest.get(c.len_utf8()..)?,
        }
    }
    any.then(|| without_includes(&texts))
}

fn without_includes(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_assigns() {
        let script = "var config = {};\nconfig.hosts = {};\n\
             config.hosts.domain = 'meet.jitsi';\n// config.bosh = 'x';\n\
             config.hosts.muc = 'muc.' + subdomain + 'meet.jitsi';\n\
             config.bosh = 'https://meet.example.org/' + subdir + 'http-bind';\n";
        let told = Told::read(script);
        assert_eq!(told.domain.as_deref(), Some("meet.jitsi"));
        assert_eq!(told.muc.as_deref(), Some("muc.meet.jitsi"));
        assert_eq!(
            told.bosh.as_deref(),
            Some("https://meet.example.org/http-bind")
        );
        assert_eq!(told.websocket, None);
    }

    #[test]
    fn debian_writes_an_object_with_includes() {
        let script = "var config = { hosts: { domain: 'x.org',\n anonymousdomain: 'guest.x.org',\n\
             muc: 'conference.<!--# echo var=\"subdomain\" default=\"\" -->x.org' },\n\
             bosh: '//x.org/http-bind', }";
        let told = Told::read(script);
        assert_eq!(told.domain.as_deref(), Some("x.org"));
        // A double quote within single quotes is no end.
        assert_eq!(told.muc.as_deref(), Some("conference.x.org"));
        assert_eq!(told.bosh.as_deref(), Some("//x.org/http-bind"));
    }

    #[test]
    fn other_scripts_tell_nothing() {
        for script in [
            "",
            "muc",
            "muc:",
            "muc: '",
            "domain == 'x'",
            "xmuc: 'a'",
            "muc = f(x);",
        ] {
            assert_eq!(Told::read(script), Told::default(), "{script}");
        }
    }
}
