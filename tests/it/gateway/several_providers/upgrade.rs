//! From `[oidc]` to `[[oidc]]`: what the people of the first provider keep.

use http::{StatusCode, header};
use toml::{Table, Value};

use super::{FOR_MEMBERS, Provider, begin, has_session, manual_clock};
use crate::support::site::{ORIGIN, Site, SiteOptions};

/// Makes the `[oidc]` of a configuration one of two `[[oidc]]`.
fn make_list(configuration: &mut Table, keys: &str, other: &Provider) {
    let Some(Value::Table(mut first)) = configuration.remove("oidc") else {
        panic!("the configuration has [oidc]");
    };
    first.insert("id".to_owned(), "main".into());
    first.extend(keys.parse::<Table>().unwrap());
    let others: Table = other.table("").parse().unwrap();
    let Some(Value::Array(others)) = others.get("oidc") else {
        panic!("a list");
    };
    let all = [Value::Table(first)]
        .into_iter()
        .chain(others.iter().cloned());
    configuration.insert("oidc".to_owned(), Value::Array(all.collect()));
}

#[tokio::test]
async fn the_first_provider_keeps_sessions_meetings_and_addresses() {
    let (clock, control) = manual_clock();
    let firm = Provider::start("firm", &clock).await;
    let rules = FOR_MEMBERS.replace('*', "main") + FOR_MEMBERS;
    let options = SiteOptions::default().rules(&rules).clock(clock, control);
    let site = Site::with(options).await.ready().await;
    let mut max = site.signed_in("max").await;
    let made = max.submit("/_gateway/meetings", &[("name", "Plan")]).await;
    let meeting = made.headers[header::LOCATION].to_str().unwrap().to_owned();
    let mut late = site.browser();
    let under_way = late.begin("/late").await;

    let site = site
        .restart_with(|configuration| {
            make_list(configuration, "keeps_subjects = true", &firm);
            let rules = configuration["room"].as_array_mut().unwrap();
            let rule = rules[0].as_table_mut().unwrap();
            rule.insert("enter".to_owned(), "provider:main".into());
        })
        .await;
    let (mut max, mut late) = (site.again(&max), site.again(&late));
    assert!(has_session(&mut max).await);
    assert_eq!(max.navigate(&meeting).await.status, StatusCode::OK);
    assert!(max.socket("room=main").await.is_ok());
    // A sign-in that began before ends at the same address, and by the same person.
    assert_eq!(late.finish("max", &under_way).await.url.path(), "/late");
    assert_eq!(late.navigate(&meeting).await.status, StatusCode::OK);
    // The session goes back to the provider that it came from.
    let logout = format!("{ORIGIN}/_gateway/logout").parse().unwrap();
    let logout = max.load(&logout).await;
    let target = logout.headers[header::LOCATION].to_str().unwrap();
    assert!(target.starts_with(site.issuer()), "{target}");

    // The same `sub` of the provider that was added is another person.
    let mut other = site.browser();
    let mut url = begin(&mut other, &firm, "/x").await;
    url.query_pairs_mut().append_pair("login_hint", "max");
    assert_eq!(other.follow(url).await.status, StatusCode::OK);
    assert_eq!(other.navigate(&meeting).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        other.socket("room=main").await.unwrap_err(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn sessions_of_a_provider_that_is_gone_do_not_count() {
    let (clock, control) = manual_clock();
    let firm = Provider::start("firm", &clock).await;
    let options = SiteOptions::default().clock(clock, control);
    let site = Site::with(options).await.ready().await;
    let max = site.signed_in("max").await;
    let site = site
        .restart_with(|configuration| make_list(configuration, "", &firm))
        .await;
    // Its subjects are written in another way now.
    let mut max = site.again(&max);
    assert!(!has_session(&mut max).await);
    let mut clerk = site.browser();
    let mut url = begin(&mut clerk, &firm, "/x").await;
    url.query_pairs_mut().append_pair("login_hint", "max");
    clerk.follow(url).await;
    assert!(has_session(&mut clerk).await);
    let site = site
        .restart_with(|configuration| {
            configuration["oidc"].as_array_mut().unwrap().truncate(1);
        })
        .await;
    assert!(!has_session(&mut site.again(&clerk)).await);
}
