use cluster::store::MemoryStore;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use model::{
    integration::{Bearer, Integrations},
    seal::Purpose,
};
use observe::metrics::ApiOperation;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::runtime::Handle;

use super::*;
use crate::{
    api::IdempotencyKey,
    store_client::StoreClient,
    testing::{Deployment, ORIGIN, api_key, key, two_integrations},
};

fn api(deployment: &Deployment) -> IntegrationApi {
    IntegrationApi {
        authorizer: Arc::clone(&deployment.authorizer),
        invitations: Arc::new(deployment.invitations()),
        answers: IdempotentAnswers {
            sealer: deployment.keyring.sealer(Purpose::ApiAnswer, ORIGIN),
            store: StoreClient::new(Arc::new(MemoryStore::new()), Handle::current()),
        },
        origin: ORIGIN.to_owned(),
        random: Random::system(),
        locations: SiteLocations::default(),
    }
}

/// A call of the integration `school`.
fn call<'i>(
    integrations: &'i Integrations,
    operation: ApiOperation,
    key: Option<&'static str>,
    body: &serde_json::Value,
) -> Written<'i> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        headers.insert("idempotency-key", HeaderValue::from_static(key));
    }
    Written {
        caller: caller(integrations, "school"),
        operation,
        key: IdempotencyKey::from_headers(&headers).unwrap(),
        body: body.to_string().into(),
    }
}

fn caller<'i>(integrations: &'i Integrations, id: &str) -> Caller<'i> {
    let bearer = Bearer::parse(&format!("Bearer {}", api_key(id))).unwrap();
    integrations.caller(&bearer).unwrap()
}

async fn read<T: DeserializeOwned>(answer: Response<Body>) -> T {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Opens the link of an address.
fn open(api: &IntegrationApi, url: &str, room: &RoomKey) -> Option<InvitationLink> {
    let (_, token) = url.split_once("?invite=").unwrap();
    api.invitations.open(token, room).ok()
}

#[tokio::test]
async fn a_meeting_has_working_links_until_its_integration_revokes_them() {
    let deployment = Deployment::new();
    let (api, integrations) = (api(&deployment), two_integrations());
    let now = deployment.clock.now();
    let body = json!({ "owner": { "subject": "ann" }, "slug": "school-7b", "guests": true });
    let written = call(&integrations, ApiOperation::CreateMeeting, None, &body);
    let (answer, about) = api.create_meeting(&written, now).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let meeting: MeetingAnswer = read(answer).await;
    assert_eq!(meeting.room, about);
    let room = key(&meeting.room);
    let guest_url = meeting.guest_url.unwrap();
    for (url, id, host) in [
        (&meeting.host_url, &meeting.host_link_id, true),
        (&guest_url, &meeting.guest_link_id.unwrap(), false),
    ] {
        let link = open(&api, url, &room).unwrap();
        assert_eq!((&link.id, link.host), (id, host));
        let foreign = api.revoke_link(caller(&integrations, "club").integration, id);
        assert_eq!(foreign.await.err(), Some(ApiError::LinkNotOwned));
        assert!(open(&api, url, &room).is_some());
        let own = api
            .revoke_link(written.caller.integration, id)
            .await
            .unwrap();
        assert_eq!(own.status(), StatusCode::NO_CONTENT);
        assert!(open(&api, url, &room).is_none());
    }
}

#[tokio::test]
async fn the_same_call_with_the_same_key_gets_the_same_answer() {
    let deployment = Deployment::new();
    let (api, integrations) = (api(&deployment), two_integrations());
    let now = deployment.clock.now();
    let body = |name: &str| json!({ "room": "school-7b", "role": "guest", "name": name });
    let mut ids = Vec::new();
    for (key, name, replayed) in [
        (Some("k1"), "Ann", false),
        (Some("k1"), "Ann", true),
        (Some("k2"), "Ann", false),
        (None, "Ann", false),
    ] {
        let written = call(&integrations, ApiOperation::CreateLink, key, &body(name));
        let (answer, about) = api.create_link(&written, now).await.unwrap();
        assert_eq!(about, "school-7b");
        let header = answer.headers().contains_key("idempotency-replayed");
        assert_eq!(header, replayed, "{key:?}");
        ids.push(read::<LinkAnswer>(answer).await.id);
    }
    assert_eq!(ids[0], ids[1]);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let other = call(
        &integrations,
        ApiOperation::CreateLink,
        Some("k1"),
        &body("Bob"),
    );
    let reused = api.create_link(&other, now).await;
    assert_eq!(reused.err(), Some(ApiError::IdempotencyKeyReused));
}

#[tokio::test]
async fn an_integration_sees_its_own_rooms_only() {
    let deployment = Deployment::new();
    let (api, integrations) = (api(&deployment), two_integrations());
    let school = caller(&integrations, "school").integration;
    let expected = RoomAnswer {
        room: "school-7b".to_owned(),
        open: false,
        host_present: false,
        people: 0,
    };
    let answer = api.room(school, &key("school-7b")).unwrap();
    assert_eq!(read::<RoomAnswer>(answer).await, expected);
    let foreign = api.room(school, &key("club-x"));
    let code = foreign.err().map(|error| error.as_str());
    assert_eq!(code, Some("room_foreign"));
}
