-- Records the received bytes, the HTTP requests that Prosody parsed from them, and the BOSH and
-- WebSocket sessions that they created. GET /test-probe returns the record, POST
-- /test-probe/reset clears it. GET /test-probe/bosh?<rid> returns whether a BOSH request of that id
-- is in the record, which may be long. None of these is recorded.

module:set_global();

local array = require "util.array";
local base64 = require "util.encodings".base64;
local json = require "util.json";
local server = require "net.http.server";
local time_now = require "util.time".now;

local control = "^/test%-probe";
local bytes_kept = 64 * 1024;
local record, connections = {}, 0;

local function forget()
	record = {
		requests = array(),
		sessions = array(),
		errors = array(),
		streams = {},
		bosh_ids = {},
	};
end
forget();

local function plain_headers(headers)
	local copy = {};
	for name, value in pairs(headers) do copy[(name:gsub("_", "-"))] = value; end
	return copy;
end

local function note_bytes(connection, data)
	local stream = record.streams[connection];
	if not stream then
		stream = {};
		record.streams[connection] = stream;
	end
	if #table.concat(stream) < bytes_kept then stream[#stream + 1] = data; end
end

local function note_request(connection, request)
	local rid = (request.body or ""):match("%srid=[\"']([^\"']*)");
	if rid then record.bosh_ids[rid] = true; end
	record.requests[#record.requests + 1] = {
		at = time_now(),
		connection = connection,
		method = request.method,
		path = request.url.path,
		query = request.url.query or "",
		headers = plain_headers(request.headers),
		bodyLength = #(request.body or ""),
		body64 = base64.encode((request.body or ""):sub(1, 4096)),
	};
end

-- The HTTP server creates one parser per connection, by an upvalue of its `onconnect`.
-- Replacing it records every request, also those without a route.
local function wrap(new_parser)
	return function (on_request, on_error, ...)
		connections = connections + 1;
		local connection, controls = tostring(connections), false;
		local parser = new_parser(function (request)
			if (request.url.path or ""):find(control) then
				controls = true;
				record.streams[connection] = nil;
			elseif not request.partial then
				note_request(connection, request);
			end
			return on_request(request);
		end, function (problem)
			record.errors[#record.errors + 1] = { connection = connection, error = tostring(problem) };
			return on_error(problem);
		end, ...);
		local feed = parser.feed;
		function parser.feed(self, data)
			if data and not controls then note_bytes(connection, data); end
			return feed(self, data);
		end
		return parser;
	end;
end

local function replace_upvalue(func, name, make)
	for index = 1, 255 do
		local found, value = debug.getupvalue(func, index);
		if not found then break; end
		if found == name then
			debug.setupvalue(func, index, make(value));
			return;
		end
	end
	error("no upvalue " .. name);
end
replace_upvalue(server.listener.onconnect, "parser_new", wrap);

local function note_session(kind)
	return function (event)
		local session, request = event.session, event.request;
		record.sessions[#record.sessions + 1] = {
			at = time_now(),
			kind = kind,
			method = request.method,
			path = request.url.path,
			query = request.url.query or "",
			headers = plain_headers(request.headers),
			ip = request.ip,
			sessionIp = session.ip,
			token = session.auth_token,
			room = session.jitsi_web_query_room,
			prefix = session.jitsi_web_query_prefix,
			previd = session.previd,
			customusername = session.customusername,
			region = session.user_region,
		};
	end;
end
module:hook("bosh-session", note_session("bosh"), -1);
module:hook("websocket-session", note_session("websocket"), -1);

local function tell(event)
	local streams = array();
	for connection, parts in pairs(record.streams) do
		streams[#streams + 1] = { connection = connection, bytes64 = base64.encode(table.concat(parts)) };
	end
	event.response.headers.content_type = "application/json";
	return json.encode({
		requests = record.requests, sessions = record.sessions, errors = record.errors, streams = streams,
	});
end

local function reset(event)
	forget();
	event.response.headers.content_type = "application/json";
	return "{}";
end

local function tell_bosh_request(event)
	event.response.headers.content_type = "application/json";
	return json.encode(record.bosh_ids[event.request.url.query] == true);
end

-- A host's HTTP app would answer to one host name; these answer to any.
server.add_handler("GET /test-probe", tell);
server.add_handler("GET /test-probe/bosh", tell_bosh_request);
server.add_handler("POST /test-probe/reset", reset);
