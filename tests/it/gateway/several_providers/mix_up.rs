//! Mix-up attacks (RFC 9700 § 4.4): no code of one provider reaches another's token endpoint.

use http::StatusCode;

use super::{FOR_MEMBERS, Provider, Rig, begin, has_session};
use crate::support::logs::Logs;

/// How many requests the token endpoint of a provider got.
async fn token_requests(rig: &Rig, provider: &Provider) -> usize {
    let metrics = rig.site.metrics().await;
    let start = format!(
        "jitsi_auth_gateway_provider_requests_total{{provider=\"{}\",request=\"tokens\"",
        provider.id
    );
    let ours = metrics.lines().filter(|line| line.starts_with(&start));
    let counts = ours.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
    counts.sum()
}

/// The value of a parameter of a query.
fn value(query: &str, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(other, _)| other == name)
        .unwrap()
        .1
        .into_owned()
}

#[tokio::test]
async fn a_response_of_one_provider_is_refused_at_the_address_of_the_other() {
    let logs = Logs::keep();
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut browser = rig.site.browser();
    let url = begin(&mut browser, &rig.school, "/room").await;
    let answer = rig.school.answer(&mut browser, &url).await;
    for address in ["callback/firm", "callback", "callback/other"] {
        let page = browser
            .navigate(&format!("/_gateway/{address}?{answer}"))
            .await;
        assert!(!page.status.is_success(), "{address} {page:?}");
        assert!(!has_session(&mut browser).await, "{address}");
    }
    assert_eq!(token_requests(&rig, &rig.firm).await, 0);
    assert_eq!(token_requests(&rig, &rig.school).await, 0);
    let refused = logs.lines_with("reason=\"answer_at_other_provider\"");
    assert!(!refused.is_empty());
    // Nothing is used up: the response counts where it belongs.
    let page = browser
        .navigate(&format!("/_gateway/callback/school?{answer}"))
        .await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/room"));
    assert_eq!(token_requests(&rig, &rig.school).await, 1);
}

#[tokio::test]
async fn a_code_and_an_issuer_of_one_provider_are_refused_in_a_sign_in_with_the_other() {
    let rig = Rig::start(FOR_MEMBERS).await;
    let mut browser = rig.site.browser();
    let of_school = begin(&mut browser, &rig.school, "/school").await;
    let of_school = rig.school.answer(&mut browser, &of_school).await;
    let of_firm = begin(&mut browser, &rig.firm, "/firm").await;
    let of_firm = rig.firm.answer(&mut browser, &of_firm).await;
    let query = |state: &str, code: &str, issuer: Option<&str>| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", &value(state, "state"));
        query.append_pair("code", &value(code, "code"));
        query.extend_pairs(issuer.map(|issuer| ("iss", issuer)));
        query.finish()
    };
    let (school, firm) = (rig.school.issuer.as_str(), rig.firm.issuer.as_str());
    for (address, query) in [
        // The states are swapped.
        ("callback/firm", query(&of_school, &of_firm, Some(firm))),
        ("callback/school", query(&of_firm, &of_school, Some(school))),
        // The provider's own state, with the code that the other issued, and its `iss`.
        ("callback/firm", query(&of_firm, &of_school, Some(school))),
        // The provider announces `iss`, so that a response without it is refused, too.
        ("callback/firm", query(&of_firm, &of_school, None)),
    ] {
        let page = browser
            .navigate(&format!("/_gateway/{address}?{query}"))
            .await;
        assert!(!page.status.is_success(), "{address} {query} {page:?}");
        assert!(!has_session(&mut browser).await, "{address} {query}");
    }
    // The last two used up the state of the sign-in with the firm, but sent it no code.
    assert_eq!(token_requests(&rig, &rig.firm).await, 0);
    let page = browser
        .navigate(&format!("/_gateway/callback/school?{of_school}"))
        .await;
    assert_eq!((page.status, page.url.path()), (StatusCode::OK, "/school"));
}
