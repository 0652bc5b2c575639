//! Content codings and `Accept-Encoding` (RFC 9110 § 12.5.3).

use http::{HeaderMap, header};

/// A content coding of stored bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// No coding.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br` (RFC 7932).
    Brotli,
}

/// The codings that a client accepts, each with its weight in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedCodings {
    identity: u16,
    gzip: u16,
    brotli: u16,
}

// === impl ContentCoding ===

impl ContentCoding {
    /// The coding of a name.
    pub fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| name.trim().eq_ignore_ascii_case(known);
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("br") {
            Some(Self::Brotli)
        } else if is("identity") {
            Some(Self::Identity)
        } else {
            None
        }
    }

    /// The name in header fields.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }
}

// === impl AcceptedCodings ===

impl AcceptedCodings {
    /// Reads all `Accept-Encoding` fields. Without one, only bodies without a coding are accepted:
    /// clients that do not name a coding rarely decode one.
    pub fn of(headers: &HeaderMap) -> Self {
        let (mut identity, mut gzip, mut brotli, mut any) = (None, None, None, None);
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
        let texts = lines.filter_map(|line| line.to_str().ok());
        for element in texts.flat_map(|text| text.split(',')) {
            let (name, weight) = match element.split_once(';') {
                Some((name, parameters)) => (name, weight(parameters)),
                None => (element, FULL),
            };
            // Of a repeated coding the last counts.
            match ContentCoding::parse(name) {
                Some(ContentCoding::Identity) => identity = Some(weight),
                Some(ContentCoding::Gzip) => gzip = Some(weight),
                Some(ContentCoding::Brotli) => brotli = Some(weight),
                None if name.trim() == "*" => any = Some(weight),
                None => {}
            }
        }
        Self {
            // Acceptable unless excluded, but less so than any coding that is named.
            identity: identity.unwrap_or(u16::from(any != Some(0))),
            gzip: gzip.or(any).unwrap_or(0),
            brotli: brotli.or(any).unwrap_or(0),
        }
    }

    /// The weight of a coding; zero if it is not acceptable.
    pub const fn weight(self, coding: ContentCoding) -> u16 {
        match coding {
            ContentCoding::Identity => self.identity,
            ContentCoding::Gzip => self.gzip,
            ContentCoding::Brotli => self.brotli,
        }
    }

    /// The coding to ask the web server for.
    pub const fn to_ask(self) -> ContentCoding {
        if self.gzip > 0 && self.gzip >= self.identity {
            ContentCoding::Gzip
        } else {
            ContentCoding::Identity
        }
    }
}

/// The value of `q`, in thousandths (RFC 9110 § 12.4.2); zero if it is malformed.
fn weight(parameters: &str) -> u16 {
    let Some((name, value)) = parameters.split_once('=') else {
        return 0;
    };
    if !name.trim().eq_ignore_ascii_case("q") {
        return 0;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    // `5` is five tenths, so the digits are filled up to three.
    let thousandths = format!("{fraction:0<3}").parse();
    match (whole, thousandths) {
        ("0", Ok(thousandths)) if is_fraction => thousandths,
        ("1", Ok(0)) if is_fraction => FULL,
        _ => 0,
    }
}

/// The weight of a coding that is named without one.
const FULL: u16 = 1000;
