-- The address focus.<domain>: forwards conference requests to the focus user that sent its
-- presence, and the answers to the requester.

local jid = require "util.jid";
local st = require "util.stanza";
local new_id = require "util.id".short;

local focus_user = module:get_option_string("focus_user");
local focus_address;
local waiting = {};

module:hook("presence/host", function (event)
	local from, kind = event.stanza.attr.from, event.stanza.attr.type;
	if jid.bare(from) ~= focus_user then return true; end
	focus_address = kind ~= "unavailable" and from or nil;
	module:log("info", "focus is at %s", focus_address);
	return true;
end);

local function ask_focus(event)
	local stanza = event.stanza;
	if not stanza:get_child("conference", "http://jitsi.org/protocol/focus") then return; end
	if not focus_address then
		event.origin.send(st.error_reply(stanza, "wait", "service-unavailable", "There is no focus"));
		return true;
	end
	local key = new_id();
	waiting[key] = { from = stanza.attr.from, to = stanza.attr.to, id = stanza.attr.id };
	local request = st.clone(stanza);
	request.attr.from, request.attr.to, request.attr.id = module.host, focus_address, key;
	module:send(request);
	return true;
end

local function hand_back(event)
	local stanza = event.stanza;
	local asked = waiting[stanza.attr.id];
	if not asked or jid.bare(stanza.attr.from) ~= focus_user then return; end
	waiting[stanza.attr.id] = nil;
	local reply = st.clone(stanza);
	reply.attr.from, reply.attr.to, reply.attr.id = asked.to, asked.from, asked.id;
	module:send(reply);
	return true;
end

module:hook("iq/host", function (event)
	local kind = event.stanza.attr.type;
	if kind == "result" or kind == "error" then return hand_back(event); end
	if kind == "set" then return ask_focus(event); end
end);
