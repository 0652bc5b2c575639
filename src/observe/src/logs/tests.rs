use std::sync::{Arc, Mutex};

use tracing::{debug, info};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `tracing` caches per process which call sites are enabled, so tests with subscribers run one at a time.
static SUBSCRIBER: Mutex<()> = Mutex::new(());

fn logged(format: LogFormat, filter: &str, access: bool) -> String {
    let settings = LogSettings {
        format,
        filter: filter.parse().unwrap(),
        access,
        audit_file: None,
    };
    let _serial = SUBSCRIBER.lock().unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = Logs::open(&settings).unwrap();
    let dispatch = logs.dispatch(&settings, move || writer.clone(), false, None);
    dispatcher::with_default(&dispatch, || {
        debug!("a debug line");
        info!(room = "x\u{1b}[2J\ny", "an info line");
        info!(target: ACCESS_TARGET, "an access line");
        info!(target: AUDIT_TARGET, "an audit line");
    });
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn access_lines_depend_on_their_switch_and_not_on_the_level() {
    let quiet = logged(LogFormat::Text, "warn", true);
    assert!(quiet.contains("an access line") && !quiet.contains("an info line"));
    assert!(quiet.contains("an audit line"));
    let loud = logged(LogFormat::Text, "debug", false);
    assert!(loud.contains("a debug line") && !loud.contains("an access line"));
}

#[test]
fn every_event_is_one_line_without_control_characters() {
    let text = logged(LogFormat::Text, "info", false);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let json = logged(LogFormat::Json, "info", false);
    let event: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(event["message"], "an info line");
    assert_eq!(event["room"], "x\u{1b}[2J\ny");
}

#[test]
fn h2_is_limited_to_info_whatever_the_filter() {
    for filter in ["trace", "debug,h2=trace"] {
        let settings = LogSettings {
            format: LogFormat::Text,
            filter: filter.parse().unwrap(),
            access: true,
            audit_file: None,
        };
        let filter = settings.filter(false).to_string();
        assert!(
            filter.contains("h2=info") && !filter.contains("h2=trace"),
            "{filter}"
        );
    }
}

#[test]
fn filters_without_a_valid_level_are_refused() {
    for good in ["info", "WARN", "off", "info,hyper=warn", "a::b=debug,error"] {
        assert!(good.parse::<LogFilter>().is_ok(), "{good}");
    }
    for bad in ["", "infoo", "info,", "hyper=loud", "3", "a=1"] {
        assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
    }
}

#[test]
fn audit_lines_go_to_their_file_and_after_reopen_to_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.json");
    let settings = LogSettings {
        format: LogFormat::Text,
        filter: "warn".parse().unwrap(),
        access: true,
        audit_file: Some(path.clone()),
    };
    let _serial = SUBSCRIBER.lock().unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = Logs::open(&settings).unwrap();
    let dispatch = logs.dispatch(&settings, move || writer.clone(), false, None);
    let moved = directory.path().join("audit.json.1");
    dispatcher::with_default(&dispatch, || {
        info!(target: AUDIT_TARGET, event = "first", name = "x\ny");
        info!(target: ACCESS_TARGET, "an access line");
        std::fs::rename(&path, &moved).unwrap();
        info!(target: AUDIT_TARGET, event = "second");
        logs.reopen();
        info!(target: AUDIT_TARGET, event = "third");
    });
    let events = |path: &std::path::Path| -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let event = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        let lines = text.lines().map(event);
        lines
            .map(|line| line["event"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(events(&moved), ["first", "second"]);
    assert_eq!(events(&path), ["third"]);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
    assert_eq!(mode & 0o137, 0, "{mode:o}");
    let others = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        others.contains("an access line") && !others.contains("first"),
        "{others}"
    );
}

#[test]
fn an_audit_file_that_cannot_be_opened_is_an_error_with_its_path() {
    let settings = LogSettings {
        format: LogFormat::Text,
        filter: "warn".parse().unwrap(),
        access: true,
        audit_file: Some("/nowhere/audit.json".into()),
    };
    let error = Logs::open(&settings).unwrap_err().to_string();
    assert_eq!(error, "cannot open the audit file /nowhere/audit.json");
}

#[test]
fn fields_of_a_text_line_can_be_split() {
    let settings = LogSettings {
        format: LogFormat::Text,
        filter: "info".parse().unwrap(),
        access: true,
        audit_file: None,
    };
    let _serial = SUBSCRIBER.lock().unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = Logs::open(&settings).unwrap();
    let dispatch = logs.dispatch(&settings, move || writer.clone(), false, None);
    dispatcher::with_default(&dispatch, || {
        let reason = "rule 4 lets other people in";
        let (room, by) = ("board", "rule 1, moderator by group:staff");
        let hostile = "a\u{1b}[2J";
        info!(target: AUDIT_TARGET, event = "refused", %hostile, %room, %by, reason = %reason, error = ?Some(1), n = 7, "a line");
    });
    let line = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let fields = "a line event=\"refused\" hostile=\"a\\u{1b}[2J\" room=board by=\"rule 1, moderator by group:staff\" \
                  reason=\"rule 4 lets other people in\" error=Some(1) n=7\n";
    assert!(line.ends_with(fields), "{line}");
}

#[test]
fn variables_of_the_terminal_forbid_colours() {
    for (no_colour, terminal, expected) in [
        (None, None, true),
        (None, Some("xterm-256color"), true),
        (Some(""), Some("xterm"), true),
        (Some("1"), Some("xterm"), false),
        (None, Some("dumb"), false),
    ] {
        let permitted = permits_colour(no_colour.map(Into::into), terminal.map(Into::into));
        assert_eq!(permitted, expected, "{no_colour:?} {terminal:?}");
    }
}
