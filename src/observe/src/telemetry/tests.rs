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

static ALONE: Mutex<()> = Mutex::new(());

fn logged(format: Format, filter: &str, access: bool) -> String {
    let settings = Settings {
        format,
        filter: filter.parse().unwrap(),
        access,
        audit_file: None,
    };
    // What tracing remembers of an event is shared by all subscribers of the process.
    let _alone = ALONE.lock().unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = Logs::open(&settings).unwrap();
    let dispatch = logs.dispatch(&settings, move || writer.clone(), false);
    dispatcher::with_default(&dispatch, || {
        debug!("fine detail");
        info!(room = "x\u{1b}[2J\ny", "plain news");
        info!(target: ACCESS_TARGET, "one request");
        info!(target: AUDIT_TARGET, "one person");
    });
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn requests_are_logged_by_their_own_switch() {
    let quiet = logged(Format::Text, "warn", true);
    assert!(quiet.contains("one request") && !quiet.contains("plain news"));
    assert!(quiet.contains("one person"));
    let loud = logged(Format::Text, "debug", false);
    assert!(loud.contains("fine detail") && !loud.contains("one request"));
}

#[test]
fn every_event_is_one_line_without_control_characters() {
    let text = logged(Format::Text, "info", false);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let json = logged(Format::Json, "info", false);
    let event: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(event["message"], "plain news");
    assert_eq!(event["room"], "x\u{1b}[2J\ny");
}

#[test]
fn the_http_2_library_never_tells_addresses() {
    for filter in ["trace", "debug,h2=trace"] {
        let settings = Settings {
            format: Format::Text,
            filter: filter.parse().unwrap(),
            access: true,
            audit_file: None,
        };
        let filter = settings.filter().to_string();
        assert!(
            filter.contains("h2=info") && !filter.contains("h2=trace"),
            "{filter}"
        );
    }
}

#[test]
fn words_that_are_no_level_are_refused() {
    for good in ["info", "WARN", "off", "info,hyper=warn", "a::b=debug,error"] {
        assert!(good.parse::<Filter>().is_ok(), "{good}");
    }
    for bad in ["", "infoo", "info,", "hyper=loud", "3", "a=1"] {
        assert!(bad.parse::<Filter>().is_err(), "{bad}");
    }
}

#[test]
fn audit_lines_go_to_their_file_and_on_in_a_new_one_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.json");
    let settings = Settings {
        format: Format::Text,
        filter: "warn".parse().unwrap(),
        access: true,
        audit_file: Some(path.clone()),
    };
    let _alone = ALONE.lock().unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = Logs::open(&settings).unwrap();
    let dispatch = logs.dispatch(&settings, move || writer.clone(), false);
    let moved = directory.path().join("audit.json.1");
    dispatcher::with_default(&dispatch, || {
        info!(target: AUDIT_TARGET, event = "first", name = "x\ny");
        info!(target: ACCESS_TARGET, "one request");
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
        others.contains("one request") && !others.contains("first"),
        "{others}"
    );
}

#[test]
fn an_audit_file_that_cannot_be_opened_is_named() {
    let settings = Settings {
        format: Format::Text,
        filter: "warn".parse().unwrap(),
        access: true,
        audit_file: Some("/nowhere/audit.json".into()),
    };
    let error = Logs::open(&settings).unwrap_err().to_string();
    assert_eq!(error, "cannot open the audit file /nowhere/audit.json");
}
