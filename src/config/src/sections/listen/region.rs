//! `listen.region` and `listen.region_header`.

use http::{HeaderName, HeaderValue};

use crate::{diagnostics::Section, problem::Fault, sections::Reported};
use model::identity::is_region;
use proxy::upstream::RegionSettings;

/// Resolves the keys; a header counts only from trusted proxies.
pub(super) fn resolve(
    region: Option<&str>,
    header: Option<&str>,
    has_proxies: bool,
    section: &mut Section<'_>,
) -> Option<RegionSettings> {
    if header.is_some() && !has_proxies {
        let remedy = "add trusted_proxies with the networks of the proxies that set it";
        section.reject("region_header", "requires trusted_proxies", remedy);
    }
    let default = optional("region", region, parse_region, section);
    let header = optional("region_header", header, parse_header, section);
    Some(RegionSettings {
        header: header.ok()?,
        default: default.ok()?,
    })
}

fn optional<T>(
    key: &str,
    text: Option<&str>,
    parse: fn(&str) -> Result<T, Fault>,
    section: &mut Section<'_>,
) -> Result<Option<T>, Reported> {
    text.map(|text| section.keep(key, parse(text)).ok_or(Reported))
        .transpose()
}

fn parse_region(text: &str) -> Result<HeaderValue, Fault> {
    let value = HeaderValue::from_str(text).ok();
    value.filter(|_| is_region(text)).ok_or_else(|| {
        let remedy = "write 1 to 63 letters, digits, dots, dashes or underscores";
        Fault::new(format!("{text:?} is not the name of a region"), remedy)
    })
}

fn parse_header(text: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        let remedy = "write the name alone, as X-Client-Region";
        Fault::new(format!("{text:?} is not the name of a header"), remedy)
    })
}
