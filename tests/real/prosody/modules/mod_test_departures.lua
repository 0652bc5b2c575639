-- Notes when occupants leave a room of this MUC component. GET /test-probe/left?<nick> returns the last time in seconds,
-- or null: a test that is itself short of time sees a departure late.

local jid = require "util.jid";
local json = require "util.json";
local server = require "net.http.server";
local time_now = require "util.time".now;

local left = {};

module:hook("muc-occupant-left", function (event)
	left[jid.resource(event.nick)] = time_now();
end);

server.add_handler("GET /test-probe/left", function (event)
	event.response.headers.content_type = "application/json";
	return json.encode(left[event.request.url.query] or json.null);
end);
