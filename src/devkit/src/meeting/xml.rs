//! The subset of XML that XMPP allows (RFC 6120 § 11.1): no comments, no processing instructions,
//! no document types, and with them no entities but the five that everybody knows.
//!
//! Names with a prefix are kept as they are written; the default namespace is followed. Jitsi's
//! clients and Strophe write no stanza that needs more.

use std::fmt::{self, Write as _};

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    namespace: String,
    attributes: Vec<(String, String)>,
    children: Vec<Node>,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

/// Why a text is no stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum XmlError {
    #[error("the text is not well-formed XML")]
    Malformed,
    #[error("the text has XML that XMPP forbids")]
    Forbidden,
    #[error("the text is nested too deeply or has too many elements")]
    TooComplex,
}

struct Reader<'x> {
    rest: &'x str,
    elements: usize,
}

// === impl Element ===

impl Element {
    pub(super) fn new(name: &str, namespace: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Reads exactly one element.
    pub(super) fn parse(text: &str) -> Result<Self, XmlError> {
        let mut reader = Reader {
            rest: text.trim_ascii(),
            elements: 0,
        };
        let element = reader.element("", 0)?;
        if reader.rest.is_empty() {
            Ok(element)
        } else {
            Err(XmlError::Malformed)
        }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(super) fn containing(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    #[must_use]
    pub(super) fn containing_all(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children
            .extend(children.into_iter().map(Node::Element));
        self
    }

    #[must_use]
    pub(super) fn saying(mut self, text: &str) -> Self {
        self.children.push(Node::Text(text.to_owned()));
        self
    }

    pub(super) fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    #[cfg(test)]
    pub(super) fn child(&self, name: &str, namespace: &str) -> Option<&Self> {
        self.children().find(|child| child.is(name, namespace))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, outer: &str) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        if self.namespace != outer {
            write!(f, " xmlns='{}'", Escaped(&self.namespace))?;
        }
        for (name, value) in &self.attributes {
            write!(f, " {name}='{}'", Escaped(value))?;
        }
        if self.children.is_empty() {
            return f.write_str("/>");
        }
        f.write_char('>')?;
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(f, &self.namespace)?,
                Node::Text(text) => write!(f, "{}", Escaped(text))?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// As text that stands alone: the namespace is always written.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

// === impl Reader ===

impl<'x> Reader<'x> {
    fn element(&mut self, outer: &str, depth: usize) -> Result<Element, XmlError> {
        self.elements += 1;
        if depth >= MAX_DEPTH || self.elements > MAX_ELEMENTS {
            return Err(XmlError::TooComplex);
        }
        self.expect("<")?;
        if self.rest.starts_with(['!', '?']) {
            return Err(XmlError::Forbidden);
        }
        let name = self.name()?;
        let mut element = Element::new(name, outer);
        loop {
            let spaced = self.skip_space();
            if self.accept("/>") {
                return Ok(element);
            }
            if self.accept(">") {
                break;
            }
            if !spaced {
                return Err(XmlError::Malformed);
            }
            let (name, value) = self.attribute()?;
            if name == "xmlns" {
                element.namespace = value;
            } else if element.attribute(name).is_some() {
                return Err(XmlError::Malformed);
            } else {
                element.attributes.push((name.to_owned(), value));
            }
        }
        self.content(&mut element, depth)?;
        Ok(element)
    }

    fn content(&mut self, element: &mut Element, depth: usize) -> Result<(), XmlError> {
        loop {
            let text = self.until('<')?;
            if !text.is_empty() {
                element.children.push(Node::Text(unescape(text)?));
            }
            if self.accept("</") {
                self.expect(&element.name)?;
                self.skip_space();
                return self.expect(">");
            }
            let child = self.element(&element.namespace, depth + 1)?;
            element.children.push(Node::Element(child));
        }
    }

    fn attribute(&mut self) -> Result<(&'x str, String), XmlError> {
        let name = self.name()?;
        self.skip_space();
        self.expect("=")?;
        self.skip_space();
        let quote = if self.accept("'") { '\'' } else { '"' };
        if quote == '"' {
            self.expect("\"")?;
        }
        let value = self.until(quote)?;
        self.expect(quote.encode_utf8(&mut [0; 4]))?;
        if value.contains('<') {
            return Err(XmlError::Malformed);
        }
        Ok((name, unescape(value)?))
    }

    fn name(&mut self) -> Result<&'x str, XmlError> {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return Err(XmlError::Malformed);
        }
        self.rest = rest;
        Ok(name)
    }

    /// Everything before `end`, which has to come.
    fn until(&mut self, end: char) -> Result<&'x str, XmlError> {
        let at = self.rest.find(end).ok_or(XmlError::Malformed)?;
        let (before, rest) = self.rest.split_at(at);
        self.rest = rest;
        Ok(before)
    }

    fn skip_space(&mut self) -> bool {
        let rest = self.rest.trim_ascii_start();
        let skipped = rest.len() != self.rest.len();
        self.rest = rest;
        skipped
    }

    fn accept(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, text: &str) -> Result<(), XmlError> {
        if self.accept(text) {
            Ok(())
        } else {
            Err(XmlError::Malformed)
        }
    }
}

/// A text as it stands in an attribute or an element.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '\'' => f.write_str("&apos;")?,
                '"' => f.write_str("&quot;")?,
                character if is_allowed(character) => f.write_char(character)?,
                _ => f.write_char(char::REPLACEMENT_CHARACTER)?,
            }
        }
        Ok(())
    }
}

fn unescape(text: &str) -> Result<String, XmlError> {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('&');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (entity, rest) = part.split_once(';').ok_or(XmlError::Malformed)?;
        plain.push(character(entity)?);
        plain.push_str(rest);
    }
    if plain.chars().all(is_allowed) {
        Ok(plain)
    } else {
        Err(XmlError::Malformed)
    }
}

fn character(entity: &str) -> Result<char, XmlError> {
    let numbered = match (entity.strip_prefix("#x"), entity.strip_prefix('#')) {
        (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
        (None, Some(decimal)) => decimal.parse().ok(),
        (None, None) => None,
    };
    match entity {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => numbered.and_then(char::from_u32).ok_or(XmlError::Malformed),
    }
}

/// XML 1.0 § 2.2.
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        || character >= '\u{10000}'
}

/// Presences of Jitsi's client are four levels deep; parsing recurses once a level.
const MAX_DEPTH: usize = 16;

/// A BOSH body may bundle some stanzas of a dozen elements each.
const MAX_ELEMENTS: usize = 1024;

#[cfg(test)]
mod tests;
