-- Turns the role in the token into a MUC affiliation: owner, or member. Whoever has no affiliation yet gets none
-- from a room with a lobby.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_token_affiliation.lua` of August 2026 (with
-- lib-jitsi-meet v2183), lines 28-86.

local is_admin = require "core.usermanager".is_admin;

local muc_ns = "http://jabber.org/protocol/muc";
local owner_words = { owner = true, moderator = true, teacher = true };

local function affiliation_of(user)
	user = type(user) == "table" and user or {};
	if owner_words[user.affiliation] or user.moderator == true or user.moderator == "true" then
		return "owner";
	end
	return "member";
end

-- Whether the lobby is to decide, which runs later (-4).
local function is_left_to_lobby(room, occupant, stanza)
	if not room:get_members_only() then return false; end
	if (room:get_affiliation(occupant.bare_jid) or "none") ~= "none" then return false; end
	local join = stanza:get_child("x", muc_ns);
	local password = join and join:get_child_text("password", muc_ns);
	return not password or password ~= room:get_password();
end

module:hook("muc-occupant-pre-join", function (event)
	local room, occupant = event.room, event.occupant;
	if not event.origin.auth_token or is_admin(occupant.bare_jid, module.host) then return; end
	if is_left_to_lobby(room, occupant, event.stanza) then return; end
	local affiliation = affiliation_of(event.origin.jitsi_meet_context_user);
	room:set_affiliation(true, occupant.bare_jid, affiliation);
	if affiliation == "owner" then occupant.role = "moderator"; end
end, -3.5);
