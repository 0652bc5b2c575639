//! The description of the API, as OpenAPI 3.1 has it; generated, so that it is what the code does.

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    transform::transform_subschemas,
};
use serde_json::{Map, Value, json};

use super::{LinkAnswer, LinkRequest, MeetingAnswer, MeetingRequest, Problem, RoomAnswer};
use model::route::API_PREFIX;

/// The description of the API.
pub fn document() -> Value {
    let mut asked = generator(Contract::Deserialize);
    let mut answered = generator(Contract::Serialize);
    // Schemas are named first, and collected when all are.
    let meeting = body::<MeetingRequest>(&mut asked);
    let link = body::<LinkRequest>(&mut asked);
    let new_meeting = content::<MeetingAnswer>(&mut answered);
    let new_link = content::<LinkAnswer>(&mut answered);
    let room = content::<RoomAnswer>(&mut answered);
    let problem = answered.subschema_for::<Problem>();
    let mut schemas = Map::new();
    schemas.extend(asked.take_definitions(true));
    schemas.extend(answered.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "jitsi-auth-gateway",
            "version": "1",
            "description": "Meetings and links for systems that plan them. Each system has keys of \
                its own and reaches its own rooms only.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": API_PREFIX.trim_end_matches('/') }],
        "security": [{ "key": [] }],
        "paths": {
            "/meetings": { "post": {
                "operationId": "createMeeting",
                "summary": "Create a meeting",
                "parameters": [{ "$ref": "#/components/parameters/IdempotencyKey" }],
                "requestBody": meeting,
                "responses": writing(&replayable("The meeting", &new_meeting, &json!({
                    "RevokeHostLink": link_to("revokeLink", "id", "host_link_id"),
                }))),
            } },
            "/links": { "post": {
                "operationId": "createLink",
                "summary": "Make a link into a room",
                "parameters": [{ "$ref": "#/components/parameters/IdempotencyKey" }],
                "requestBody": link,
                "responses": writing(&replayable("The link", &new_link, &json!({
                    "RevokeLink": link_to("revokeLink", "id", "id"),
                }))),
            } },
            "/links/{id}": { "delete": {
                "operationId": "revokeLink",
                "summary": "Revoke a link",
                "description": "Nobody enters by it any more, and who did is put out.",
                "parameters": [path_parameter("id", "The link's name", &json!({
                    "type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "maxLength": 64,
                }))],
                "responses": responses("204", &json!({ "description": "It is revoked" }), &[
                    "400", "401", "404", "429",
                ]),
            } },
            "/rooms/{room}": { "get": {
                "operationId": "room",
                "summary": "How a room is",
                "parameters": [room_parameter()],
                "responses": responses("200", &answer("The room", &room), READING),
            } },
            "/rooms/{tenant}/{room}": { "get": {
                "operationId": "roomOfTenant",
                "summary": "How a room of a tenant is",
                "parameters": [
                    path_parameter("tenant", "The room's tenant", &json!({
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
                        "maxLength": 63,
                    })),
                    room_parameter(),
                ],
                "responses": responses("200", &answer("The room", &room), READING),
            } },
            "/openapi.json": { "get": {
                "operationId": "document",
                "summary": "This description",
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
                "description": "Any text of the client's. The same request with the same key within \
                    a day gets the same answer and does nothing again.",
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
        .with_transform(unwrapped)
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

/// An answer that may have been given before.
fn replayable(description: &str, content: &Value, links: &Value) -> Value {
    json!({
        "description": description,
        "headers": { "Idempotency-Replayed": {
            "description": "`true` if this was answered before",
            "schema": { "type": "string", "const": "true" },
        } },
        "content": content,
        "links": links,
    })
}

/// What can be asked next, with a field of the answer.
fn link_to(operation: &str, parameter: &str, field: &str) -> Value {
    json!({
        "operationId": operation,
        "parameters": { parameter: format!("$response.body#/{field}") },
    })
}

fn writing(done: &Value) -> Value {
    let refused = [
        "400", "401", "403", "408", "413", "415", "422", "429", "503",
    ];
    responses("201", done, &refused)
}

/// The good answer, and the problems that there may be.
fn responses(status: &str, done: &Value, refused: &[&str]) -> Value {
    let mut all = Map::new();
    all.insert(status.to_owned(), done.clone());
    for status in refused {
        let mut problem = json!({ "$ref": "#/components/responses/Problem" });
        let headers = match *status {
            "401" => Some(("WWW-Authenticate", "What a key is shown with")),
            "429" => Some(("Retry-After", "Seconds until the next request")),
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
        "The room's name, as in the address of its page",
        // No slash, no backslash, no control characters: no path has them, in any spelling.
        &json!({ "type": "string", "pattern": r"^[^/\\\u0000-\u001f\u007f]+$", "maxLength": 512 }),
    )
}

/// Doc comments are wrapped; readers wrap for themselves.
fn unwrapped(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text
            .replace("\n\n", "\0")
            .replace('\n', " ")
            .replace('\0', "\n\n");
    }
    transform_subschemas(&mut unwrapped, schema);
}

const READING: &[&str] = &["400", "401", "403", "404", "422", "429"];
