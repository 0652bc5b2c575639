//! The OpenAPI 3.1 document of the API, with schemas generated from the types.

use model::route::API_PREFIX;
use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    transform::transform_subschemas,
};
use serde_json::{Map, Value, json};

use super::{LinkAnswer, LinkRequest, MeetingAnswer, MeetingRequest, ProblemDetails, RoomAnswer};

/// Generates the OpenAPI document.
pub fn openapi() -> Value {
    // The same type may have two schemas: a field with a default is optional in a request, and always
    // present in an answer.
    let mut requests = generator(Contract::Deserialize);
    let mut answers = generator(Contract::Serialize);
    let meeting = body::<MeetingRequest>(&mut requests);
    let link = body::<LinkRequest>(&mut requests);
    let new_meeting = content::<MeetingAnswer>(&mut answers);
    let new_link = content::<LinkAnswer>(&mut answers);
    let room = content::<RoomAnswer>(&mut answers);
    let problem = answers.subschema_for::<ProblemDetails>();
    let mut schemas = Map::new();
    schemas.extend(requests.take_definitions(true));
    schemas.extend(answers.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "jitsi-auth-gateway",
            "version": "1",
            "description": "Creates meetings and links for other systems. Each system has its own \
                keys, which are valid for its own rooms only.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": API_PREFIX.trim_end_matches('/') }],
        "security": [{ "key": [] }],
        "paths": {
            "/meetings": { "post": {
                "operationId": "createMeeting",
                "summary": "Create a meeting",
                "description": "The gateway stores neither meetings nor links, so they cannot be listed. To move or \
                    rename a meeting, create another and revoke the links of the first; to cancel it, revoke them.",
                "parameters": [{ "$ref": "#/components/parameters/IdempotencyKey" }],
                "requestBody": meeting,
                "responses": creation(&replayable("The meeting", &new_meeting, &json!({
                    "RevokeHostLink": link_to("revokeLink", "id", "host_link_id"),
                }))),
            } },
            "/links": { "post": {
                "operationId": "createLink",
                "summary": "Create a link to a room",
                "parameters": [{ "$ref": "#/components/parameters/IdempotencyKey" }],
                "requestBody": link,
                "responses": creation(&replayable("The link", &new_link, &json!({
                    "RevokeLink": link_to("revokeLink", "id", "id"),
                }))),
            } },
            "/links/{id}": { "delete": {
                "operationId": "revokeLink",
                "summary": "Revoke a link",
                "description": "The link is no longer valid, and sessions that began with it end.",
                "parameters": [path_parameter("id", "The id of the link", &json!({
                    "type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "maxLength": 64,
                }))],
                "responses": responses("204", &json!({ "description": "The link is revoked" }), &[
                    "400", "401", "404", "429",
                ]),
            } },
            "/rooms/{room}": { "get": {
                "operationId": "room",
                "summary": "Get the state of a room",
                "parameters": [room_parameter()],
                "responses": responses("200", &answer("The room", &room), READ_PROBLEMS),
            } },
            "/rooms/{tenant}/{room}": { "get": {
                "operationId": "roomOfTenant",
                "summary": "Get the state of a room of a tenant",
                "parameters": [
                    path_parameter("tenant", "The tenant of the room", &json!({
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
                        "maxLength": 63,
                    })),
                    room_parameter(),
                ],
                "responses": responses("200", &answer("The room", &room), READ_PROBLEMS),
            } },
            "/openapi.json": { "get": {
                "operationId": "document",
                "summary": "Get this document",
                "security": [],
                "responses": { "200": answer("OpenAPI 3.1", &json!({
                    "application/json": { "schema": { "type": "object" } },
                })) },
            } },
        },
        "components": {
            "securitySchemes": { "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key from `[[integration.api_key]]`.",
            } },
            "parameters": { "IdempotencyKey": {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A key that the client chooses. A repeated request with the same key \
                    within a day gets the same answer and has no further effect.",
                "schema": { "type": "string", "pattern": "^[!-~]+$", "maxLength": 255 },
            } },
            "responses": { "Problem": {
                "description": "What went wrong (RFC 9457)",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": schemas,
        },
    })
}

fn generator(contract: Contract) -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.contract = contract;
        })
        .with_transform(join_lines)
        .into_generator()
}

fn body<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({ "required": true, "content": content::<T>(generator) })
}

fn content<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({ "application/json": { "schema": generator.subschema_for::<T>() } })
}

fn answer(description: &str, content: &Value) -> Value {
    json!({ "description": description, "content": content })
}

/// A response that may repeat an earlier one, by `Idempotency-Key`.
fn replayable(description: &str, content: &Value, links: &Value) -> Value {
    json!({
        "description": description,
        "headers": { "Idempotency-Replayed": {
            "description": "`true` if this repeats an earlier answer",
            "schema": { "type": "string", "const": "true" },
        } },
        "content": content,
        "links": links,
    })
}

/// An OpenAPI link: an operation whose parameter is a field of the response.
fn link_to(operation: &str, parameter: &str, field: &str) -> Value {
    json!({
        "operationId": operation,
        "parameters": { parameter: format!("$response.body#/{field}") },
    })
}

/// The responses of an operation that creates something.
fn creation(success: &Value) -> Value {
    let problems = [
        "400", "401", "403", "408", "413", "415", "422", "429", "503",
    ];
    responses("201", success, &problems)
}

/// The response of success, and the statuses with problem details.
fn responses(status: &str, success: &Value, problems: &[&str]) -> Value {
    let mut all = Map::new();
    all.insert(status.to_owned(), success.clone());
    for status in problems {
        let mut problem = json!({ "$ref": "#/components/responses/Problem" });
        let headers = match *status {
            "401" => Some(("WWW-Authenticate", "The authentication scheme")),
            "429" => Some(("Retry-After", "Seconds until a request is allowed")),
            _ => None,
        };
        if let Some((name, description)) = headers {
            problem = json!({
                "description": "What went wrong (RFC 9457)",
                "headers": { name: { "description": description, "schema": { "type": "string" } } },
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" },
                } },
            });
        }
        all.insert((*status).to_owned(), problem);
    }
    Value::Object(all)
}

fn path_parameter(name: &str, description: &str, schema: &Value) -> Value {
    json!({
        "name": name, "in": "path", "required": true,
        "description": description, "schema": schema,
    })
}

fn room_parameter() -> Value {
    path_parameter(
        "room",
        "The name of the room, as in the URL of its page",
        // No path segment contains these characters, percent-encoded or not.
        &json!({ "type": "string", "pattern": r"^[^/\\\u0000-\u001f\u007f]+$", "maxLength": 1023 }),
    )
}

/// Joins the lines of descriptions, which are wrapped as doc comments.
fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text
            .replace("\n\n", "\0")
            .replace('\n', " ")
            .replace('\0', "\n\n");
    }
    transform_subschemas(&mut join_lines, schema);
}

const READ_PROBLEMS: &[&str] = &["400", "401", "403", "404", "422", "429"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_agree_with_the_types() {
        let document = openapi();
        let schema = |name: &str| &document["components"]["schemas"][name];
        assert_eq!(schema("MeetingRequest")["additionalProperties"], false);
        assert_eq!(schema("MeetingRequest")["required"], json!(["owner"]));
        let required = schema("MeetingAnswer")["required"].as_array().unwrap();
        assert!(!required.contains(&json!("guest_url")));
    }

    #[test]
    fn references_resolve() {
        let document = openapi();
        let text = document.to_string();
        for (_, rest) in text
            .match_indices("\"$ref\":\"#/")
            .map(|(at, _)| text.split_at(at))
        {
            let pointer = rest.split('"').nth(3).unwrap().trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        assert!(!text.contains("$defs"));
    }
}
