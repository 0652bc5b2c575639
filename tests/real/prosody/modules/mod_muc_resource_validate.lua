-- Refuses nicks other than ASCII letters, digits and underscores, and changes of a nick.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_muc_resource_validate.lua` of August 2026 (with
-- lib-jitsi-meet v2183), lines 64-130, without `anonymous_strict`, which docker-jitsi-meet leaves off.

local jid = require "util.jid";
local st = require "util.stanza";

local function refuse(event, text)
	event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed", text));
	return true;
end

module:hook("muc-occupant-pre-join", function (event)
	local nick = jid.resource(event.stanza.attr.to) or "";
	if not nick:match("^%w[%w_]*$") then return refuse(event, "Invalid resource"); end
end, 11);

module:hook("muc-occupant-pre-change", function (event)
	local before = event.orig_occupant;
	if before and jid.resource(before.nick) ~= jid.resource(event.stanza.attr.to) then
		return refuse(event, "Nick changes are not allowed");
	end
end, 11);
