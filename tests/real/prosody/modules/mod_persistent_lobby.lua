-- Keeps a room while somebody is in it or in its lobby, and destroys it when both are empty.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_persistent_lobby.lua`, lines 76-205, and
-- `mod_room_destroy.lua`, lines 4-14, of August 2026 (with lib-jitsi-meet v2183).

local component = module:require "jitsi_component";

local main_muc = module:get_option_string("main_muc");
local lobby_muc = module:get_option_string("lobby_muc");

if not main_muc or not lobby_muc then
	module:log("error", "main_muc or lobby_muc is missing");
	return;
end

local function destroy_if_empty(room)
	if not room or not room._data.persist_lobby or room.destroying or room:has_occupant() then return; end
	local lobby = room._data.lobbyroom and component.room(lobby_muc, room._data.lobbyroom);
	if lobby and lobby:has_occupant() then return; end
	room:set_persistent(false);
	room:destroy(nil, "main room and lobby now empty");
end

component.when_loaded(main_muc, function (host)
	host:hook("muc-occupant-left", function (event) destroy_if_empty(event.room); end);
end);

component.when_loaded(lobby_muc, function (host)
	host:hook("muc-occupant-left", function (event)
		local main = event.room.main_room_jid;
		if main and not event.room:has_occupant() then destroy_if_empty(component.room(main_muc, main)); end
	end);
end);

module:hook_global("create-persistent-lobby-room", function (event)
	prosody.events.fire_event("create-lobby-room", event);
	event.room._data.persist_lobby = true;
	event.room:set_persistent(true);
end);
