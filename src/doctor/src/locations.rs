//! W4: the servers of `[[location]]`, and services in Jitsi's `config.js` whose path no location has.

use config::PublicUrl;
use model::route::{LocationUpstream, Route, SiteLocation, SiteLocations};
use url::Url;

use super::{
    Check, DoctorReport, Finding, FindingKind, client::Endpoint, options::Progress,
    reachability::LOCATION, web::ConfigJs,
};

/// Connects to each server, and looks each service of `config.js` up.
pub(super) async fn examine(
    configured: &[SiteLocation],
    config_js: &ConfigJs,
    public_url: &PublicUrl,
    progress: &Progress<'_>,
    report: &mut DoctorReport,
) {
    if !progress.begins(Check::Locations) {
        return;
    }
    let mut findings = Vec::new();
    for location in configured {
        if let LocationUpstream::Server(server) = &location.upstream {
            let endpoint = Endpoint::plain(server);
            if let Err(error) = endpoint.connect().await {
                let path = location.path.as_str();
                let sent = format!("a connection to http://{}, for {path}", endpoint.address());
                findings.push(LOCATION.unreached(Check::Locations, &sent, &error));
            }
        }
    }
    let locations = SiteLocations::new(configured.to_vec());
    for (key, address) in &config_js.services {
        findings.extend(missing(key, address, public_url.origin(), &locations));
    }
    if findings.is_empty() {
        report.pass(Check::Locations);
    }
    for finding in findings {
        report.fail(finding);
    }
}

/// The finding if the address is one of this host that the gateway does not forward.
fn missing(key: &str, address: &str, origin: &str, locations: &SiteLocations) -> Option<Finding> {
    let base = Url::parse(origin).ok()?;
    let url = base.join(address).ok()?;
    let is_own = url.host_str() == base.host_str()
        && url.port_or_known_default() == base.port_or_known_default();
    // The address of the whiteboard is that of the site; its client adds the path.
    if !is_own || url.path() == "/" {
        return None;
    }
    let route = Route::classify(url.path(), locations).ok()?.route;
    if matches!(route, Route::Location { .. } | Route::Asset) {
        return None;
    }
    let path = url.path();
    let finding = Finding::error(FindingKind::LocationMissing)
        .with_exchange("GET /config.js", format!("{key} = {address:?}"))
        .with_remedy(
            format!("clients ask this host for {path}, which is no location, so that the service is unreachable"),
            format!(
                "write [[location]] with path = {path:?} (or its directory) and who = \"in-a-room\"; \
                 docs/beside-a-meeting.md has the rows of Jitsi's services"
            ),
        );
    Some(finding)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use model::route::{LocationAccess, LocationPath};

    use super::*;

    #[test]
    fn a_service_of_this_host_needs_a_location() {
        let origin = "https://meet.example.org";
        let files = SiteLocation {
            path: LocationPath::parse("/file-service/").unwrap(),
            upstream: LocationUpstream::Web,
            access: LocationAccess::InRoom,
            methods: vec![Method::GET],
            websocket: false,
            keep_authorization: true,
        };
        let configured = SiteLocations::new(vec![files]);
        for (address, without, with) in [
            (
                "https://meet.example.org/file-service/v1/documents",
                true,
                false,
            ),
            ("/file-service/v1/documents", true, false),
            ("https://meet.example.org:443/conferenceMapper", true, true),
            ("https://api.example.org/conferenceMapper", false, false),
            ("https://meet.example.org/etherpad/p/", false, false),
            ("https://meet.example.org/static/numbers.json", false, false),
            ("https://meet.example.org", false, false),
        ] {
            let found =
                |locations: &SiteLocations| missing("apiUrl", address, origin, locations).is_some();
            assert_eq!(found(&SiteLocations::default()), without, "{address}");
            assert_eq!(found(&configured), with, "{address}");
        }
    }
}
