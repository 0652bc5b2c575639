//! XML elements as XMPP exchanges them: parsed by `roxmltree`, written with the namespaces they
//! need.
//!
//! [`Element::parse`] reads the elements of peers. It accepts the subset of XML that XMPP allows
//! (RFC 6120 § 11.1: no comments, processing instructions, document types or custom entities) and
//! bounds depth and size. Names are resolved: an element is identified by its local name and its
//! namespace, never by a prefix.

mod complexity;

use std::fmt::{self, Write as _};

use roxmltree::{Document, Error, Node, ParsingOptions};

use self::complexity::check_complexity;

/// An element, its attributes and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: String,
    namespace: String,
    /// Set for the few names that clients expect with a prefix, such as `stream:features`.
    prefix: Option<String>,
    attributes: Vec<Attribute>,
    content: Vec<Content>,
}

/// Text that is escaped when it is written: for attribute values and for content.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'t>(pub &'t str);

/// Why a text is not an element that XMPP allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The text is not one well-formed element.
    #[error("not well-formed XML")]
    Malformed,
    /// Comments, processing instructions and document types (RFC 6120 § 11.1).
    #[error("XML that XMPP forbids")]
    Forbidden,
    /// More nodes, levels, attributes or namespaces than any stanza or answer has.
    #[error("XML with too many elements, attributes or namespaces, or with too deep a nesting")]
    TooComplex,
}

/// `prefix` and `namespace` are empty for an attribute without a prefix (Namespaces in XML § 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    prefix: String,
    namespace: String,
    name: String,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Element(Element),
    Text(String),
}

// === impl Element ===

impl Element {
    /// An element whose namespace is written as the default namespace.
    pub fn new(name: &str, namespace: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            prefix: None,
            attributes: Vec::new(),
            content: Vec::new(),
        }
    }

    /// An element that is written with a prefix, which it declares.
    pub fn prefixed(prefix: &str, name: &str, namespace: &str) -> Self {
        Self {
            prefix: Some(prefix.to_owned()),
            ..Self::new(name, namespace)
        }
    }

    /// Parses exactly one element, in time proportional to the length of the text.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        check_complexity(text)?;
        let options = ParsingOptions {
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options)?;
        if document
            .descendants()
            .any(|node| node.is_comment() || node.is_pi())
        {
            return Err(XmlError::Forbidden);
        }
        Self::from_node(document.root_element(), 1)
    }

    /// Copies a node; `depth` counts from 1 at the root.
    fn from_node(node: Node<'_, '_>, depth: usize) -> Result<Self, XmlError> {
        if depth > MAX_DEPTH {
            return Err(XmlError::TooComplex);
        }
        let name = node.tag_name();
        let mut element = Self::new(name.name(), name.namespace().unwrap_or_default());
        // Prefixes of the peer are dropped; new ones cannot collide, as each has its own number.
        element.attributes = (0..)
            .zip(node.attributes())
            .map(|(index, source)| Attribute {
                prefix: match source.namespace() {
                    None => String::new(),
                    Some(XML) => "xml".to_owned(),
                    Some(_) => format!("ns{index}"),
                },
                namespace: source.namespace().unwrap_or_default().to_owned(),
                name: source.name().to_owned(),
                value: source.value().to_owned(),
            })
            .collect();
        for child in node.children() {
            if child.is_element() {
                let child = Self::from_node(child, depth + 1)?;
                element.content.push(Content::Element(child));
            } else if let Some(text) = child.text() {
                element.content.push(Content::Text(text.to_owned()));
            }
        }
        Ok(element)
    }

    /// Adds an attribute without a prefix, or `xml:lang`.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        match name.strip_prefix("xml:") {
            Some(name) => self.with_prefixed("xml", XML, name, value),
            None => self.with_prefixed("", "", name, value),
        }
    }

    /// Adds an attribute of a namespace, as `xmpp:version` of BOSH.
    #[must_use]
    pub fn with_prefixed(mut self, prefix: &str, namespace: &str, name: &str, value: &str) -> Self {
        self.attributes.push(Attribute {
            prefix: prefix.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// Appends a child.
    #[must_use]
    pub fn with_child(mut self, child: Self) -> Self {
        self.content.push(Content::Element(child));
        self
    }

    /// Appends children.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.content
            .extend(children.into_iter().map(Content::Element));
        self
    }

    /// Appends text, unescaped.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.content.push(Content::Text(text.to_owned()));
        self
    }

    /// The local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace; empty for none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Compares local name and namespace.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The value of an attribute without a prefix.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_of("", name)
    }

    /// The value of an attribute of a namespace.
    pub fn attribute_of(&self, namespace: &str, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|attribute| attribute.name == name && attribute.namespace == namespace)
            .map(|attribute| attribute.value.as_str())
    }

    /// Whether no attribute has another name than these, or a namespace. Declarations of namespaces are
    /// no attributes.
    pub fn has_only_attributes(&self, names: &[&str]) -> bool {
        let mut attributes = self.attributes.iter();
        attributes.all(|own| own.namespace.is_empty() && names.contains(&&*own.name))
    }

    /// The child elements, in order.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|content| match content {
            Content::Element(element) => Some(element),
            Content::Text(_) => None,
        })
    }

    /// The first child of this local name, in any namespace.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children().find(|child| child.name == name)
    }

    /// The first element of this local name, in document order; may be the element itself.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children().find_map(|child| child.find(name))
    }

    /// The text directly in the element, unescaped and put together.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|content| match content {
            Content::Element(_) => None,
            Content::Text(text) => Some(text.as_str()),
        });
        texts.collect()
    }

    /// Writes the element; `default` is the default namespace around it.
    fn write(&self, f: &mut fmt::Formatter<'_>, default: &str) -> fmt::Result {
        let (prefix, colon) = match &self.prefix {
            Some(prefix) => (prefix.as_str(), ":"),
            None => ("", ""),
        };
        write!(f, "<{prefix}{colon}{}", self.name)?;
        let default = if self.prefix.is_some() {
            write!(f, " xmlns:{prefix}='{}'", Escaped(&self.namespace))?;
            default
        } else {
            if self.namespace != default {
                write!(f, " xmlns='{}'", Escaped(&self.namespace))?;
            }
            &self.namespace
        };
        self.write_attributes(f)?;
        if self.content.is_empty() {
            return f.write_str("/>");
        }
        f.write_char('>')?;
        for content in &self.content {
            match content {
                Content::Element(element) => element.write(f, default)?,
                Content::Text(text) => write!(f, "{}", Escaped(text))?,
            }
        }
        write!(f, "</{prefix}{colon}{}>", self.name)
    }

    fn write_attributes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The prefix `xml` is declared in every document.
        let mut declared = vec!["xml"];
        for Attribute {
            prefix,
            namespace,
            name,
            value,
        } in &self.attributes
        {
            if prefix.is_empty() {
                write!(f, " {name}='{}'", Escaped(value))?;
                continue;
            }
            if !declared.contains(&prefix.as_str()) {
                write!(f, " xmlns:{prefix}='{}'", Escaped(namespace))?;
                declared.push(prefix);
            }
            write!(f, " {prefix}:{name}='{}'", Escaped(value))?;
        }
        Ok(())
    }
}

/// The element as a document of its own: its namespace is always declared.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

// === impl Escaped ===

/// Parsers normalise line breaks and, in attributes, tabs (XML 1.0 § 2.11, § 3.3.3), so these are
/// written as character references. Characters that XML does not allow become U+FFFD.
impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '\'' => f.write_str("&apos;")?,
                '"' => f.write_str("&quot;")?,
                '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(character))?,
                ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => {
                    f.write_char(character)?;
                }
                _ => f.write_char(char::REPLACEMENT_CHARACTER)?,
            }
        }
        Ok(())
    }
}

// === impl XmlError ===

impl From<Error> for XmlError {
    fn from(error: Error) -> Self {
        match error {
            Error::DtdDetected => Self::Forbidden,
            Error::NodesLimitReached
            | Error::AttributesLimitReached
            | Error::NamespacesLimitReached => Self::TooComplex,
            _ => Self::Malformed,
        }
    }
}

/// The namespace of `xml:lang` (Namespaces in XML § 3).
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A BOSH body may bundle many stanzas, each with some dozens of elements and texts.
const MAX_NODES: u32 = 4096;

/// Jitsi's presences have four levels. Copying, writing and dropping recurse once per level.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests;
