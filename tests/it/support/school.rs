//! The integration `school`, which creates links with the API.

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    browser::Page,
    site::{ORIGIN, Site},
};

/// Guests may enter any room, hosts open it; the integration creates links to its own rooms.
pub(crate) const RULES: &str = r#"
[[room]]
match = "*"
enter = "guest"
start = "host"
[[integration]]
id = "school"
rooms = ["school-*"]
[[integration.api_key]]
id = "main"
key = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b"
"#;

const KEY: &str = "0f9d2b7c5e1a4836b0f9d2b7c5e1a4836b0f9d2b";

/// A link that the API created.
pub(crate) struct Link {
    pub(crate) id: String,
    /// Path and query of its URL.
    pub(crate) path: String,
}

// === impl Link ===

impl Link {
    /// Creates a link to the room `school-7b` for a role.
    pub(crate) async fn make(site: &Site, role: &str, mut request: Value) -> Self {
        request["room"] = json!("school-7b");
        request["role"] = json!(role);
        let answer = ask(site, Method::POST, "links", &request).await.text();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let url = answer["url"].as_str().unwrap_or_else(|| panic!("{answer}"));
        Self {
            id: answer["id"].as_str().unwrap().to_owned(),
            path: url.strip_prefix(ORIGIN).unwrap().to_owned(),
        }
    }

    pub(crate) async fn revoke(&self, site: &Site) {
        assert_eq!(self.delete(site).await, http::StatusCode::NO_CONTENT);
    }

    /// Asks the API to revoke the link; gives the status of the answer.
    pub(crate) async fn delete(&self, site: &Site) -> http::StatusCode {
        let path = format!("links/{}", self.id);
        ask(site, Method::DELETE, &path, &Value::Null).await.status
    }
}

async fn ask(site: &Site, method: Method, path: &str, body: &Value) -> Page {
    let url = Url::parse(&format!("{ORIGIN}/_gateway/api/v1/{path}")).unwrap();
    let key = HeaderValue::try_from(format!("Bearer {KEY}")).unwrap();
    let json = HeaderValue::from_static("application/json");
    let headers = [(header::AUTHORIZATION, key), (header::CONTENT_TYPE, json)];
    let headers = HeaderMap::from_iter(headers);
    let body = body.to_string().into();
    site.browser().send(method, &url, headers, body).await
}
