//! Colours, and whether people can tell them apart.

use std::{fmt, str::FromStr};

/// An opaque colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    red: u8,
    green: u8,
    blue: u8,
}

/// A text that is not a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a colour")]
pub struct NotAColour;

// === impl Colour ===

impl Colour {
    pub(super) const WHITE: Self = Self::new(0xff, 0xff, 0xff);
    /// The ground of cards in the dark scheme; `style.css` has it as `--card`.
    pub(super) const DARK_CARD: Self = Self::new(0x1a, 0x21, 0x2b);
    /// What is written on bright colours.
    const INK: Self = Self::new(0x0b, 0x12, 0x1c);

    const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// The contrast ratio of the two, from 1 to 21 (WCAG 2.2, "contrast ratio").
    pub fn contrast(self, other: Self) -> f64 {
        let (own, other) = (self.luminance(), other.luminance());
        (own.max(other) + 0.05) / (own.min(other) + 0.05)
    }

    /// The contrast where it is least: in the light scheme the colour is read on white cards, in
    /// the dark one on dark cards.
    pub fn contrast_on_cards(self, dark: bool) -> f64 {
        self.contrast(if dark { Self::DARK_CARD } else { Self::WHITE })
    }

    /// White or ink, whichever is read better on this colour.
    pub(super) fn text_on(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::INK) {
            Self::WHITE
        } else {
            Self::INK
        }
    }

    /// The colour, as much brighter as it has to be in the dark scheme.
    pub(super) fn brightened(self) -> Self {
        (0..=STEPS)
            .map(|step| self.towards_white(step))
            .find(|colour| colour.contrast_on_cards(true) >= LEAST_CONTRAST)
            .unwrap_or(Self::WHITE)
    }

    fn towards_white(self, step: u16) -> Self {
        let mix = |channel: u8| {
            let rest = u16::from(u8::MAX - channel);
            channel.saturating_add(u8::try_from(rest * step / STEPS).unwrap_or(u8::MAX))
        };
        Self::new(mix(self.red), mix(self.green), mix(self.blue))
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }
}

/// `#1455b8`, and no other of CSS's many ways.
impl FromStr for Colour {
    type Err = NotAColour;

    fn from_str(text: &str) -> Result<Self, NotAColour> {
        let digits = text.strip_prefix('#').ok_or(NotAColour)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits.len() != 6 || !hexadecimal {
            return Err(NotAColour);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| NotAColour)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self::new(red, green, blue))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// What text needs against its ground (WCAG 2.2 § 1.4.3).
pub const LEAST_CONTRAST: f64 = 4.5;

/// Fine enough that nobody sees a difference to the least change.
const STEPS: u16 = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn colour(text: &str) -> Colour {
        text.parse().unwrap()
    }

    #[test]
    fn contrasts_are_those_of_the_standard() {
        for (one, other, expected) in [
            ("#000000", "#ffffff", 21.0),
            ("#ffffff", "#ffffff", 1.0),
            ("#767676", "#ffffff", 4.54),
            ("#777777", "#ffffff", 4.48),
            ("#0000ff", "#ffffff", 8.59),
        ] {
            let contrast = colour(one).contrast(colour(other));
            assert!(
                (contrast - expected).abs() < 0.01,
                "{one} {other}: {contrast}"
            );
        }
    }

    #[test]
    fn colours_have_one_spelling() {
        assert_eq!(colour("#1455B8").to_string(), "#1455b8");
        for text in [
            "",
            "#fff",
            "1455b8",
            "#1455bg",
            "red",
            "#1455b8;}",
            "#+455b8",
            "#é45b8",
        ] {
            assert_eq!(text.parse::<Colour>(), Err(NotAColour), "{text}");
        }
    }

    #[test]
    fn the_dark_card_is_that_of_the_style() {
        let dark = crate::STYLE
            .split("prefers-color-scheme: dark")
            .nth(1)
            .unwrap();
        assert!(dark.contains(&format!("--card: {};", Colour::DARK_CARD)));
    }

    proptest! {
        #[test]
        fn every_colour_can_be_written_on_and_read_in_the_dark(red: u8, green: u8, blue: u8) {
            let colour = Colour::new(red, green, blue);
            prop_assert!(colour.contrast(colour.text_on()) >= 4.0);
            let bright = colour.brightened();
            prop_assert!(bright.contrast_on_cards(true) >= LEAST_CONTRAST);
            prop_assert!(bright.contrast(bright.text_on()) >= LEAST_CONTRAST);
        }

        #[test]
        fn an_accent_that_is_read_on_white_can_be_written_on(red: u8, green: u8, blue: u8) {
            let colour = Colour::new(red, green, blue);
            if colour.contrast_on_cards(false) >= LEAST_CONTRAST {
                prop_assert_eq!(colour.text_on(), Colour::WHITE);
            }
        }
    }
}
