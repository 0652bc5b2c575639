//! The texts of remedies, read from the sources of this crate.

use std::{fs, iter::Peekable, path::Path, str::Chars};

/// Docker reads its settings from `.env`; Debian's packages have them in these files.
const DEBIAN_FILES: [&str; 5] = [
    "prosody.cfg.lua",
    "jicofo.conf",
    "jvb.conf",
    "jibri.conf",
    "Debian's config.js",
];

#[test]
fn a_remedy_that_names_the_file_of_docker_names_that_of_debian_too() {
    let mut texts = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut texts,
    );
    let remedies = texts.into_iter().filter(|(_, text)| text.contains(".env"));
    let remedies: Vec<_> = remedies.collect();
    assert!(remedies.len() > 40, "{remedies:#?}");
    let incomplete = remedies.iter().filter(|(_, text)| {
        let mut files = DEBIAN_FILES.iter();
        !files.any(|file| text.contains(file)) && !text.contains("/etc/jitsi/")
    });
    let incomplete: Vec<_> = incomplete.collect();
    assert!(incomplete.is_empty(), "{incomplete:#?}");
}

#[test]
fn string_literals_are_found_between_comments_and_characters() {
    let source = r#"let a = '"'; // "no"
        f("one \"two\" \
           three", '\'', "four");"#;
    assert_eq!(literals(source), [r#"one "two" three"#, "four"]);
}

/// The string literals of all sources below a directory, with their files; without tests.
fn collect(directory: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, texts);
        } else if !path.ends_with("tests.rs") {
            let source = fs::read_to_string(&path).unwrap();
            // An inline test module is the last item of its file.
            let code = source.split("mod tests {").next().unwrap_or_default();
            let file = path.display().to_string();
            texts.extend(literals(code).into_iter().map(|text| (file.clone(), text)));
        }
    }
}

/// The string literals of a source, unescaped; raw strings are not among them.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => {
                rest.by_ref().find(|c| *c == '\n');
            }
            '\'' => skip_character(&mut rest),
            '"' => found.push(literal(&mut rest)),
            _ => {}
        }
    }
    found
}

/// Skips a character literal; a lifetime has no quote at its end.
fn skip_character(rest: &mut Peekable<Chars<'_>>) {
    let mut ahead = rest.clone();
    let is_escape = ahead.next() == Some('\\');
    if is_escape {
        ahead.next();
    }
    if ahead.next() == Some('\'') {
        *rest = ahead;
    }
}

fn literal(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => match rest.next() {
                Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                Some(escaped) => text.push(escaped),
                None => break,
            },
            _ => text.push(c),
        }
    }
    text
}
