//! Error conditions of XMPP.

use std::fmt;

use model::xml::Element;

use super::single_line;

/// Why a server refused a login or a stanza.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The defined condition, as `not-allowed`.
    pub(crate) condition: String,
    /// The text for humans; Jitsi's plugins put the reason here.
    pub(crate) text: String,
    /// The application-specific condition, as `room-does-not-exist` of Jitsi.
    pub(crate) marker: String,
}

// === impl Refusal ===

impl Refusal {
    /// Reads `<failure/>` of SASL (RFC 6120 § 6.4.5).
    pub(super) fn of_sasl(failure: &Element) -> Self {
        Self::of(failure)
    }

    /// Reads a stanza of type `error` (RFC 6120 § 8.3).
    pub(crate) fn of_stanza(stanza: &Element) -> Self {
        stanza.child("error").map(Self::of).unwrap_or_default()
    }

    fn of(error: &Element) -> Self {
        let mut names = error.children().map(Element::name);
        let mut conditions = names.by_ref().filter(|name| *name != "text");
        Self {
            condition: conditions.next().unwrap_or_default().to_owned(),
            marker: conditions.next().unwrap_or_default().to_owned(),
            text: error.child("text").map(Element::text).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}/> {:?}", self.condition, single_line(&self.text))?;
        if !self.marker.is_empty() {
            write!(f, " <{}/>", self.marker)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_text_and_marker_of_a_stanza_are_read() {
        let stanza = "<presence type='error'><error><not-allowed/><text>Room does not exist</text>\
                      <room-does-not-exist/></error></presence>";
        let refusal = Refusal::of_stanza(&Element::parse(stanza).unwrap());
        assert_eq!(
            refusal.to_string(),
            "<not-allowed/> \"Room does not exist\" <room-does-not-exist/>"
        );
        let failure = Element::parse("<failure><not-allowed/></failure>").unwrap();
        assert_eq!(
            Refusal::of_sasl(&failure).to_string(),
            "<not-allowed/> \"\""
        );
    }
}
