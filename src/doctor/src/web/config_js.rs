//! The addresses in Jitsi's `config.js`, read without running it.
//!
//! Docker's file consists of assignments (`config.bosh = '…' + subdir + 'http-bind'`), Debian's is
//! one object with server-side includes in its string literals. In both, the literals of one
//! expression are joined; variables in it stand for the tenant, and are empty without one.

/// The addresses that clients connect to. An absent or empty setting is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigJs {
    pub(crate) domain: Option<String>,
    pub(crate) muc: Option<String>,
    pub(crate) focus: Option<String>,
    pub(crate) anonymous_domain: Option<String>,
    pub(crate) hidden_domain: Option<String>,
    pub(crate) bosh: Option<String>,
    pub(crate) websocket: Option<String>,
    /// The services beside the meetings, with their keys.
    pub(crate) services: Vec<(&'static str, String)>,
    pub(crate) conference_request: Option<String>,
}

// === impl ConfigJs ===

impl ConfigJs {
    pub(super) fn parse(script: &str) -> Self {
        let kept = script
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let script: String = kept.flat_map(|line| [line, "\n"]).collect();
        let value = |key: &str| value(&script, key).filter(|value| !value.is_empty());
        Self {
            domain: value("domain"),
            muc: value("muc"),
            focus: value("focus"),
            anonymous_domain: value("anonymousdomain"),
            hidden_domain: value("hiddenDomain"),
            bosh: value("bosh"),
            websocket: value("websocket"),
            services: SERVICES
                .iter()
                .filter_map(|key| Some((*key, value(key)?)))
                .collect(),
            conference_request: value("conferenceRequestUrl"),
        }
    }
}

/// The joined literals of the first assignment to the key.
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
        literals(rest.trim_start())
    })
}

/// The joined literals of an expression; `None` if it has none.
fn literals(expression: &str) -> Option<String> {
    let mut joined = String::new();
    let mut any = false;
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        match first {
            '"' | '\'' | '`' => {
                let inside = rest.get(1..)?;
                let end = inside.find(first)?;
                joined.push_str(inside.get(..end)?);
                any = true;
                rest = inside.get(end + 1..)?;
            }
            ',' | ';' | '\n' | '}' | '{' => break,
            c => rest = rest.get(c.len_utf8()..)?,
        }
    }
    any.then(|| without_includes(&joined))
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

/// The addresses of notes, whiteboard, file sharing (`fileSharing.apiUrl`), dial-in and statistics (jitsi-meet
/// `config.js`).
const SERVICES: &[&str] = &[
    "etherpad_base",
    "collabServerBaseUrl",
    "apiUrl",
    "dialInNumbersUrl",
    "dialInConfCodeUrl",
    "rtcstatsEndpoint",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_of_docker_are_read() {
        let script = "var config = {};\nconfig.hosts = {};\n\
                      config.hosts.domain = 'meet.jitsi';\n// config.bosh = 'x';\n\
                      config.hosts.muc = 'muc.' + subdomain + 'meet.jitsi';\n\
                      config.bosh = 'https://meet.example.org/' + subdir + 'http-bind';\n";
        let config = ConfigJs::parse(script);
        assert_eq!(config.domain.as_deref(), Some("meet.jitsi"));
        assert_eq!(config.muc.as_deref(), Some("muc.meet.jitsi"));
        assert_eq!(
            config.bosh.as_deref(),
            Some("https://meet.example.org/http-bind")
        );
        assert_eq!(config.websocket, None);
        assert_eq!(config.services, []);
    }

    #[test]
    fn an_object_of_debian_with_includes_is_read() {
        let script = "var config = { hosts: { domain: 'x.org',\n anonymousdomain: 'guest.x.org',\n\
                      muc: 'conference.<!--# echo var=\"subdomain\" default=\"\" -->x.org' },\n\
                      bosh: '//x.org/http-bind', }";
        let config = ConfigJs::parse(script);
        assert_eq!(config.domain.as_deref(), Some("x.org"));
        assert_eq!(config.anonymous_domain.as_deref(), Some("guest.x.org"));
        assert_eq!(config.hidden_domain, None);
        // The double quotes within single quotes do not end the literal.
        assert_eq!(config.muc.as_deref(), Some("conference.x.org"));
        assert_eq!(config.bosh.as_deref(), Some("//x.org/http-bind"));
    }

    #[test]
    fn services_beside_the_meetings_are_read() {
        let script = "config.etherpad_base = 'https://x.org/etherpad/p/';\n\
                      // config.dialInNumbersUrl = 'https://x.org/numbers';\n\
                      config.fileSharing = { enabled: true, apiUrl: '/file-service/v1/documents' };";
        let services = ConfigJs::parse(script).services;
        assert_eq!(
            services,
            [
                ("etherpad_base", "https://x.org/etherpad/p/".to_owned()),
                ("apiUrl", "/file-service/v1/documents".to_owned()),
            ]
        );
    }

    #[test]
    fn scripts_without_literals_have_no_addresses() {
        for script in [
            "",
            "muc",
            "muc:",
            "muc: '",
            "domain == 'x'",
            "xmuc: 'a'",
            "muc = f(x);",
        ] {
            assert_eq!(ConfigJs::parse(script), ConfigJs::default(), "{script}");
        }
    }
}
