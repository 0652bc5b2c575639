-- A component that works on the room that its client is in, as those of polls, moderation, breakout rooms,
-- file sharing, metadata and lobbies do: none of them is told the room's address.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins` of August 2026 (with lib-jitsi-meet v2183):
-- `mod_jitsi_session.lua` lines 38-50 (query to session), `util.lib.lua` lines 147-158
-- (`get_room_by_name_and_subdomain`: the name as it is in the session, the MUC's node), and the callers
-- `mod_polls_component.lua` 141-157, `mod_av_moderation_component.lua` 196-215,
-- `mod_muc_breakout_rooms.lua` 302-330, `mod_filesharing_component.lua` 42-65,
-- `mod_room_metadata_component.lua` 503-511, `mod_muc_lobby_rooms.lua` 459-460.
--
-- An IQ gets the address of the room that was found, and whether the sender is an occupant of it.

local jid = require "util.jid";
local st = require "util.stanza";

local component = module:require("jitsi_component");
local base = module:get_option_string("muc_mapper_domain_base");
local prefix = module:get_option_string("muc_mapper_domain_prefix", "conference");
local muc = prefix .. "." .. base;
local xmlns = "urn:test:room-features";

local function address_of(name, tenant)
	if tenant and tenant ~= "" and tenant ~= base then
		return jid.join(("[%s]%s"):format(tenant, name), muc);
	end
	return jid.join(name, muc);
end

module:hook("iq/host", function (event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.type ~= "get" or not stanza:get_child("room", xmlns) then return; end
	local name, tenant = origin.jitsi_web_query_room, origin.jitsi_web_query_prefix;
	local room = name and component.room(muc, address_of(name, tenant));
	if not room then
		local text = ("no room for %s %s"):format(tostring(name), tostring(tenant));
		origin.send(st.error_reply(stanza, "cancel", "item-not-found", text));
		return true;
	end
	local occupant = room:get_occupant_by_real_jid(stanza.attr.from);
	origin.send(st.reply(stanza):tag("room", {
		xmlns = xmlns, jid = room.jid, occupant = tostring(occupant ~= nil), claim = origin.jitsi_meet_room,
	}));
	return true;
end);
