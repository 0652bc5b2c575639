//! sRGB colours and their contrast (WCAG 2.2).

use std::{fmt, str::FromStr};

/// An opaque colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    red: u8,
    green: u8,
    blue: u8,
}

/// The text is not of the form `#1455b8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a colour")]
pub struct ColourError;

// === impl Colour ===

impl Colour {
    pub(super) const WHITE: Self = Self::new(0xff, 0xff, 0xff);
    /// Background of cards in the dark scheme: `--card` of `style.css`.
    pub(super) const DARK_CARD: Self = Self::new(0x1a, 0x21, 0x2b);
    /// Text on bright colours.
    const INK: Self = Self::new(0x0b, 0x12, 0x1c);

    const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Contrast ratio from 1 to 21 (WCAG 2.2, "contrast ratio").
    fn contrast(self, other: Self) -> f64 {
        let (this, other) = (self.luminance(), other.luminance());
        (this.max(other) + 0.05) / (this.min(other) + 0.05)
    }

    /// Contrast with the background of cards, in the light or the dark scheme. It is lower than on
    /// any other background of the scheme.
    pub fn contrast_on_cards(self, dark: bool) -> f64 {
        self.contrast(if dark { Self::DARK_CARD } else { Self::WHITE })
    }

    /// Colour of text on this colour: white or near black, by the higher contrast.
    pub(super) fn text_on(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::INK) {
            Self::WHITE
        } else {
            Self::INK
        }
    }

    /// The colour, brightened until it has [`MIN_CONTRAST`] in the dark scheme.
    pub(super) fn brightened(self) -> Self {
        (0..=STEPS)
            .map(|step| self.towards_white(step))
            .find(|colour| colour.contrast_on_cards(true) >= MIN_CONTRAST)
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

/// Parses `#1455b8`, and none of the other forms of CSS.
impl FromStr for Colour {
    type Err = ColourError;

    fn from_str(text: &str) -> Result<Self, ColourError> {
        let digits = text.strip_prefix('#').ok_or(ColourError)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits.len() != 6 || !hexadecimal {
            return Err(ColourError);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| ColourError)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self::new(red, green, blue))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// Least contrast of text with its background (WCAG 2.2 § 1.4.3).
pub const MIN_CONTRAST: f64 = 4.5;

/// Steps of [`Colour::brightened`]: finer than the eye distinguishes.
const STEPS: u16 = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn colour(text: &str) -> Colour {
        text.parse().unwrap()
    }

    #[test]
    fn contrast_matches_known_values() {
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
    fn only_six_hexadecimal_digits_are_parsed() {
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
            assert_eq!(text.parse::<Colour>(), Err(ColourError), "{text}");
        }
    }

    #[test]
    fn dark_card_matches_the_style_sheet() {
        let dark = crate::STYLE
            .split("prefers-color-scheme: dark")
            .nth(1)
            .unwrap();
        assert!(dark.contains(&format!("--card: {};", Colour::DARK_CARD)));
    }

    proptest! {
        #[test]
        fn every_colour_gets_readable_text_and_a_readable_bright_variant(red: u8, green: u8, blue: u8) {
            let colour = Colour::new(red, green, blue);
            prop_assert!(colour.contrast(colour.text_on()) >= 4.0);
            let bright = colour.brightened();
            prop_assert!(bright.contrast_on_cards(true) >= MIN_CONTRAST);
            prop_assert!(bright.contrast(bright.text_on()) >= MIN_CONTRAST);
        }

        #[test]
        fn an_accent_readable_on_white_has_white_text(red: u8, green: u8, blue: u8) {
            let colour = Colour::new(red, green, blue);
            if colour.contrast_on_cards(false) >= MIN_CONTRAST {
                prop_assert_eq!(colour.text_on(), Colour::WHITE);
            }
        }
    }
}
