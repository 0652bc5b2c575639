//! Bounds on what the parser needs more than linear time for.
//!
//! `roxmltree` compares each attribute of an element with the others, and the namespaces in scope with each other at each
//! element that declares one (0.21 `parse.rs`, `resolve_attributes` and `resolve_namespaces`). Within the size limits of
//! messages, a text of many would occupy a worker for minutes. One pass over the markup, which resolves nothing, finds
//! such texts before they are parsed.

use super::{MAX_DEPTH, XmlError};

/// Scans the markup of a text that may be malformed. The scan ends where the parser would, at the latest.
struct MarkupScanner<'t> {
    rest: &'t str,
    /// For each open element: how many declarations of namespaces it and those around it have.
    open: Vec<usize>,
}

/// A start tag.
struct Tag {
    declarations: usize,
    is_empty: bool,
}

/// Checks that a text can be parsed in linear time.
pub(super) fn check_complexity(text: &str) -> Result<(), XmlError> {
    let mut scanner = MarkupScanner {
        rest: text,
        open: Vec::new(),
    };
    while scanner.next_markup()?.is_some() {}
    Ok(())
}

// === impl MarkupScanner ===

impl MarkupScanner<'_> {
    /// Passes over the next markup; `None` at the end, or at an error, which is left to the parser.
    fn next_markup(&mut self) -> Result<Option<()>, XmlError> {
        let Some((_, markup)) = self.rest.split_once('<') else {
            return Ok(None);
        };
        self.rest = markup;
        if markup.starts_with("![CDATA[") {
            return Ok(self.skip_behind("]]>"));
        }
        if markup.starts_with('!') {
            // A comment or a document type.
            return Err(XmlError::Forbidden);
        }
        if markup.starts_with('?') {
            return Ok(self.skip_behind("?>"));
        }
        if markup.starts_with('/') {
            self.open.pop();
            return Ok(self.skip_behind(">"));
        }
        let Some(tag) = self.skip_tag()? else {
            return Ok(None);
        };
        let in_scope = self.open.last().copied().unwrap_or_default() + tag.declarations;
        if in_scope > MAX_NAMESPACES_IN_SCOPE || self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooComplex);
        }
        if !tag.is_empty {
            self.open.push(in_scope);
        }
        Ok(Some(()))
    }

    fn skip_behind(&mut self, end: &str) -> Option<()> {
        let (_, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(())
    }

    /// Passes over the rest of a start tag; `None` if it does not end.
    fn skip_tag(&mut self) -> Result<Option<Tag>, XmlError> {
        let (mut attributes, mut declarations) = (0, 0);
        loop {
            let Some(at) = self.rest.find(['>', '<', '\'', '"']) else {
                return Ok(None);
            };
            let (name, rest) = self.rest.split_at(at);
            let Some((delimiter, rest)) = rest.split_at_checked(1) else {
                return Ok(None);
            };
            self.rest = rest;
            match delimiter {
                ">" => {
                    return Ok(Some(Tag {
                        declarations,
                        is_empty: name.ends_with('/'),
                    }));
                }
                "<" => return Ok(None),
                quote => {
                    attributes += 1;
                    declarations += usize::from(name.contains("xmlns"));
                    if attributes > MAX_ATTRIBUTES {
                        return Err(XmlError::TooComplex);
                    }
                    if self.skip_behind(quote).is_none() {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// The candidates of Jitsi's transports have fourteen.
const MAX_ATTRIBUTES: usize = 64;

/// Each level of a stanza usually declares one.
const MAX_NAMESPACES_IN_SCOPE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Element;

    fn attributes(count: usize) -> String {
        let each: Vec<_> = (0..count).map(|n| format!(" a{n}='>'")).collect();
        each.concat()
    }

    fn declarations(from: usize, count: usize) -> String {
        let numbers = from..from + count;
        let each: Vec<_> = numbers.map(|n| format!(" xmlns:a{n}=\"'\"")).collect();
        each.concat()
    }

    /// Nested elements that declare so many namespaces each.
    fn nested(levels: usize, each: usize) -> String {
        let starts: Vec<_> = (0..levels)
            .map(|level| format!("<a{}>", declarations(level * each, each)))
            .collect();
        starts.concat() + &"</a>".repeat(levels)
    }

    #[test]
    fn texts_that_take_more_than_linear_time_are_refused() {
        let beside = |count: usize| {
            let children = format!("<b{}/>", declarations(0, 20)).repeat(count);
            format!("<a>{children}</a>")
        };
        for (name, most, above) in [
            (
                "attributes",
                format!("<a{}/>", attributes(MAX_ATTRIBUTES)),
                format!("<a{}/>", attributes(MAX_ATTRIBUTES + 1)),
            ),
            (
                "behind the declaration",
                format!("<?xml version='1.0'?><a{}/>", attributes(MAX_ATTRIBUTES)),
                format!(
                    "<?xml version='1.0'?><a{}/>",
                    attributes(MAX_ATTRIBUTES + 1)
                ),
            ),
            (
                "behind a section",
                format!("<a><![CDATA[\"<c]]><b{}/></a>", attributes(MAX_ATTRIBUTES)),
                format!(
                    "<a><![CDATA[\"<c]]><b{}/></a>",
                    attributes(MAX_ATTRIBUTES + 1)
                ),
            ),
            (
                "behind text",
                format!("<a>\"'><b{}/></a>", attributes(MAX_ATTRIBUTES)),
                format!("<a>\"'><b{}/></a>", attributes(MAX_ATTRIBUTES + 1)),
            ),
            ("namespaces in scope", nested(16, 2), nested(16, 3)),
            (
                "namespaces of siblings",
                beside(200),
                format!("<a{}>{}</a>", declarations(20, 13), beside(1)),
            ),
        ] {
            assert!(Element::parse(&most).is_ok(), "{name}");
            // The parser alone takes it.
            assert!(roxmltree::Document::parse(&above).is_ok(), "{name}");
            let refused = Element::parse(&above).err();
            assert_eq!(refused, Some(XmlError::TooComplex), "{name}");
        }
    }

    #[test]
    fn the_scan_ends_where_the_parser_ends() {
        let many = attributes(MAX_ATTRIBUTES + 1);
        for text in [
            format!("<a b='<c{many}/>"),
            format!("<a <c{many}/>"),
            format!("<a>]]<![CDATA[<c{many}/>"),
            format!("<?xml <c{many}/>"),
            "<a b='".to_owned(),
            "<a".to_owned(),
            "<".to_owned(),
        ] {
            assert_eq!(Element::parse(&text), Err(XmlError::Malformed), "{text}");
        }
    }
}
