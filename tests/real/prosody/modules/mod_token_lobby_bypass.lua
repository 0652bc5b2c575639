-- Makes the holder of a token with `context.user.lobby_bypass` a member of a room with a lobby.
--
-- Plays jitsi-contrib/prosody-plugins, `token_lobby_bypass/mod_token_lobby_bypass.lua` of v20260523, lines 14-53,
-- which Jitsi's container image of Prosody has in `/prosody-plugins-contrib`.

local affiliations = module:require "muc/util".valid_affiliations;

module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, origin = event.room, event.occupant, event.origin;
	local user = origin.auth_token and origin.jitsi_meet_context_user;
	if not room._data.lobbyroom or not user or user.lobby_bypass ~= true then return; end
	occupant.role = "participant";
	local current = room:get_affiliation(occupant.bare_jid) or "none";
	if affiliations[current] < affiliations.member then
		room:set_affiliation(true, occupant.bare_jid, "member");
	end
end, -3);
