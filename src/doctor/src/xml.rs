//! What servers say in XMPP, read without believing that it is well-formed.

use roxmltree::{Document, Node, ParsingOptions};

/// An element, copied out of its document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    text: String,
    pub(super) children: Vec<Element>,
}

// === impl Element ===

impl Element {
    /// Reads one document.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let options = ParsingOptions {
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).ok()?;
        Some(Self::of(document.root_element(), 0))
    }

    fn of(node: Node<'_, '_>, depth: usize) -> Self {
        let children = node.children().filter(Node::is_element);
        Self {
            name: node.tag_name().name().to_owned(),
            attributes: node
                .attributes()
                .map(|own| (own.name().to_owned(), own.value().to_owned()))
                .collect(),
            text: node.text().unwrap_or_default().to_owned(),
            children: if depth < MAX_DEPTH {
                children.map(|child| Self::of(child, depth + 1)).collect()
            } else {
                Vec::new()
            },
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let (_, value) = attributes.find(|(own, _)| own == name)?;
        Some(value)
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// This element, or one in it, of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

/// For text that stands in an attribute or between tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('\'', "&apos;")
        .replace('"', "&quot;")
}

/// Presences and features have some dozens.
const MAX_NODES: u32 = 4096;

/// Deeper than anything that XMPP nests.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_name_whatever_their_prefix() {
        let text = "<body xmlns='b' xmlns:stream='s' sid='1'><stream:features><mechanisms xmlns='m'>\
                    <mechanism>ANONYMOUS</mechanism></mechanisms></stream:features></body>";
        let body = Element::parse(text).unwrap();
        assert_eq!(body.attribute("sid"), Some("1"));
        assert_eq!(body.find("mechanism").unwrap().text(), "ANONYMOUS");
        assert!(body.child("mechanism").is_none() && body.child("features").is_some());
    }

    #[test]
    fn what_is_not_xml_is_nothing() {
        for text in [
            "",
            "It works!",
            "<!DOCTYPE html><p>",
            "<a><b></a>",
            "<x:y/>",
        ] {
            assert!(Element::parse(text).is_none(), "{text}");
        }
        let deep = format!("{}{}", "<a>".repeat(9000), "</a>".repeat(9000));
        let _ = Element::parse(&deep);
        assert_eq!(escaped("<a b='\"&'/>"), "&lt;a b=&apos;&quot;&amp;&apos;/>");
    }
}
