//! A parser of the Markdown subset that the documents use.

use std::{
    fmt::Write as _,
    fs,
    path::{Component, Path, PathBuf},
};

/// A parsed page.
pub(crate) struct Page {
    /// Relative to the repository's root.
    pub(crate) path: String,
    pub(crate) links: Vec<Link>,
    pub(crate) anchors: Vec<String>,
    pub(crate) blocks: Vec<Block>,
    /// Lines outside blocks, with their numbers.
    prose: Vec<(usize, String)>,
}

pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) target: String,
}

/// A fenced block.
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    /// The HTML comments directly before the block.
    pub(crate) markers: Vec<String>,
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All pages of the repository.
pub(crate) fn pages() -> Vec<Page> {
    let mut files = Vec::new();
    for folder in [
        "",
        "docs",
        "docs/integrations",
        "docs/providers",
        "certs",
        "benches",
        "benches/compare",
        "benches/instructions",
        "benches/memory",
        "tests/real",
        "tests/docs",
        "tests",
    ] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|file| Page::read(file)).collect()
}

// === impl Page ===

impl Page {
    fn read(file: &Path) -> Self {
        let path = file.strip_prefix(root()).unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        let mut page = Self {
            path: path.to_owned(),
            links: Vec::new(),
            anchors: Vec::new(),
            blocks: Vec::new(),
            prose: Vec::new(),
        };
        let mut markers: Vec<String> = Vec::new();
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            let bare = line.trim_start();
            if let Some(language) = bare.strip_prefix("```") {
                let indent = line.len() - bare.len();
                let inside: Vec<&str> = lines
                    .by_ref()
                    .map(|(_, line)| line)
                    .take_while(|line| line.trim() != "```")
                    .map(|line| line.get(indent..).unwrap_or_default())
                    .collect();
                page.blocks.push(Block {
                    line: number,
                    language: language.trim().to_owned(),
                    text: inside.join("\n") + "\n",
                    markers: std::mem::take(&mut markers),
                });
                continue;
            }
            let comment = bare
                .strip_prefix("<!-- ")
                .and_then(|rest| rest.strip_suffix(" -->"));
            if let Some(comment) = comment {
                markers.push(comment.to_owned());
                continue;
            }
            if !bare.is_empty() {
                markers.clear();
            }
            let level = line.chars().take_while(|c| *c == '#').count();
            if (1..=6).contains(&level) && line[level..].starts_with(' ') {
                page.anchors.push(anchor(&line[level + 1..]));
            }
            page.prose.push((number, line.to_owned()));
        }
        page.links = page.find_links();
        page
    }

    /// Path and anchor of a link into the repository; `None` for external links.
    pub(crate) fn local_target(&self, link: &Link) -> Option<(String, Option<String>)> {
        if link.target.contains("://") || link.target.starts_with("mailto:") {
            return None;
        }
        let (path, anchor) = match link.target.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (&*link.target, None),
        };
        if path.is_empty() {
            return Some((self.path.clone(), anchor));
        }
        let folder = Path::new(&self.path).parent().unwrap();
        let mut plain = PathBuf::new();
        for part in folder.join(path).components() {
            match part {
                Component::ParentDir => assert!(plain.pop(), "{}: {}", self.path, link.target),
                part => plain.push(part),
            }
        }
        Some((plain.to_str().unwrap().to_owned(), anchor))
    }

    /// The inline code spans of the running text, with their lines.
    pub(crate) fn code_words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| {
            let words = line.split('`').skip(1).step_by(2);
            words.map(move |word| (*number, word))
        })
    }

    fn find_links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        // A link's text may span two lines.
        let mut text = String::new();
        for (number, line) in &self.prose {
            writeln!(text, "{line}\u{0}{number}").unwrap();
        }
        for (at, _) in text.match_indices("](") {
            let Some((target, _)) = text[at + 2..].split_once(')') else {
                continue;
            };
            let begin = text[..at].rfind(" [").max(text[..at].rfind("\n["));
            let begin = begin
                .max(text[..at].rfind("(["))
                .map_or(0, |begin| begin + 2);
            let number = text[at..]
                .split_once('\u{0}')
                .and_then(|(_, rest)| rest.split_once('\n'))
                .map_or(0, |(number, _)| number.parse().unwrap_or_default());
            let shown: String = text[begin..at].chars().filter(|c| *c != '\u{0}').collect();
            links.push(Link {
                line: number,
                text: shown,
                target: target.split(' ').next().unwrap_or_default().to_owned(),
            });
        }
        links
    }
}

/// The anchor of a heading, as forges compute it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
        _ => None,
    });
    kept.collect()
}

#[test]
fn markdown_pages_are_parsed() {
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let file = folder.path().join("page.md");
    let text = "# `[[a.b_c]]`: x\n\nSee [`name`](../x.rs) and [two\nlines](#ab_c-x).\n\n\
                <!-- run -->\n  ```console\n  $ a\n    b\n  ```\n`k.v` and `w`\n";
    fs::write(&file, text).unwrap();
    let page = Page::read(&file);
    assert_eq!(page.anchors, ["ab_c-x"]);
    let links: Vec<_> = page.links.iter().map(|l| (&*l.text, &*l.target)).collect();
    assert_eq!(links[0], ("`name`", "../x.rs"));
    assert_eq!(links[1].1, "#ab_c-x");
    assert_eq!(page.blocks[0].text, "$ a\n  b\n");
    assert_eq!(page.blocks[0].markers, ["run"]);
    let words: Vec<_> = page.code_words().map(|(_, word)| word).collect();
    assert_eq!(words, ["[[a.b_c]]", "name", "k.v", "w"]);
}
