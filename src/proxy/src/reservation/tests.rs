use std::net::Ipv4Addr;

use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use model::clock::Timestamp;

use super::*;

/// A reservation server, and a client in the place of Prosody.
struct ProsodyClient {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    stop: ListenerStop,
    serving: tokio::task::JoinHandle<io::Result<()>>,
}

impl ProsodyClient {
    fn start(secret: Option<&str>) -> Self {
        let listener = BoundListener::bind_tcp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.address.tcp().unwrap();
        let (clock, _) = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let terms = |room: &RoomKey| RoomTerms {
            allowed: room.node() != "closed",
            duration: Some(Duration::from_hours(1)),
            max_people: room.tenant().is_some().then_some(5),
            lobby: false,
        };
        let server = ReservationServer::new(secret.map(SecretString::from), clock, terms);
        let stop = ListenerStop::default();
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            address,
            stop: stop.clone(),
            serving: tokio::spawn(Arc::new(server).serve(listener, stop)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        secret: Option<&str>,
        body: &str,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(secret) = secret {
            request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
        }
        let body = Full::from(body.to_owned());
        let answer = self
            .client
            .request(request.body(body).unwrap())
            .await
            .unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn request(&self, name: &str) -> (StatusCode, Value) {
        let form = format!(
            "name={name}&start_time=2027-01-15T08%3A00%3A00.000Z&mail_owner=u%40meet.jitsi"
        );
        self.send(Method::POST, "/conference", None, &form).await
    }
}

#[tokio::test]
async fn a_room_is_reserved_looked_up_and_deleted() {
    let prosody = ProsodyClient::start(None);
    let (status, answer) = prosody.request("%5Bacme%5Dteam").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["name"], "[acme]team");
    assert_eq!(answer["mail_owner"], "u@meet.jitsi");
    assert_eq!(answer["start_time"], "2027-01-15T08:00:00.000Z");
    assert_eq!(
        (&answer["duration"], &answer["max_occupants"]),
        (&json!(3600), &json!(5))
    );
    let path = format!("/conference/{}", answer["id"].as_str().unwrap());
    let found = prosody.send(Method::GET, &path, None, "").await;
    assert_eq!(found, (StatusCode::OK, answer));
    let deleted = prosody.send(Method::DELETE, &path, None, "").await;
    assert_eq!(deleted, (StatusCode::NO_CONTENT, Value::Null));
}

#[tokio::test]
async fn a_closed_room_is_refused_with_a_message() {
    let (status, answer) = ProsodyClient::start(None).request("closed").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer, json!({"message": "this room cannot be opened now"}));
}

#[tokio::test]
async fn requests_outside_the_protocol_are_rejected() {
    let prosody = ProsodyClient::start(None);
    let long = format!("name={}", "a".repeat(100_000));
    for (method, path, body, expected) in [
        (Method::POST, "/conference", "", StatusCode::BAD_REQUEST),
        (
            Method::POST,
            "/conference",
            "name=a%2Fb",
            StatusCode::BAD_REQUEST,
        ),
        (Method::POST, "/conference", &long, StatusCode::BAD_REQUEST),
        (
            Method::GET,
            "/conference",
            "",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::PUT,
            "/conference",
            "",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::GET, "/conference/x", "", StatusCode::NOT_FOUND),
        (Method::DELETE, "/conference/x", "", StatusCode::NOT_FOUND),
        (Method::POST, "/", "", StatusCode::NOT_FOUND),
    ] {
        let (status, answer) = prosody.send(method.clone(), path, None, body).await;
        assert_eq!(status, expected, "{method} {path}");
        assert!(answer["message"].is_string(), "{method} {path}");
    }
}

#[tokio::test]
async fn a_configured_secret_is_required() {
    let prosody = ProsodyClient::start(Some("s3cret"));
    let status = async |secret| {
        let (status, _) = prosody
            .send(Method::POST, "/conference", secret, "name=team")
            .await;
        status
    };
    assert_eq!(status(None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(Some("s3cre")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(Some("s3cret")).await, StatusCode::OK);
}

#[tokio::test]
async fn cancellation_ends_the_server() {
    let prosody = ProsodyClient::start(None);
    assert_eq!(prosody.request("team").await.0, StatusCode::OK);
    prosody.stop.closes.cancel();
    prosody.serving.await.unwrap().unwrap();
}
