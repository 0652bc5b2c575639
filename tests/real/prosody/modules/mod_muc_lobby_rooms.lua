-- A lobby for each room that asks for one: a room of its own, in which people without an affiliation wait. Only
-- owners see who waits; they invite people into the room, or kick them out of the lobby.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_muc_lobby_rooms.lua` of August 2026 (with
-- lib-jitsi-meet v2183), lines 170-307, 444-497, 565-656 and 700-754. Without what the tests do not need: a lobby
-- by a room's form, notices in the room, several invitations in one message.

local filters = require "util.filters";
local jid = require "util.jid";
local st = require "util.stanza";
local affiliations = module:require "muc/util".valid_affiliations;
local component = module:require "jitsi_component";

local muc_ns = "http://jabber.org/protocol/muc";
local jitsi_ns = "http://jitsi.org/jitmeet";
local main_muc = module:get_option_string("main_muc");
local lobby_muc = module:get_option_string("lobby_muc");
local admitted_domains = module:get_option_set("muc_lobby_whitelist", {});

if not main_muc or not lobby_muc then
	module:log("error", "main_muc or lobby_muc is missing");
	return;
end

local function is_owner(room, address)
	return room and room:get_affiliation(address) == "owner";
end

-- Whether a stanza from the lobby may reach a client.
local function may_pass(stanza)
	if stanza.name == "iq" then
		return stanza:get_child("query", "http://jabber.org/protocol/disco#info") ~= nil;
	end
	local lobby = component.room(lobby_muc, jid.bare(stanza.attr.from));
	if stanza.name == "message" then
		local sender = lobby and lobby:get_occupant_by_nick(stanza.attr.from);
		return sender and (is_owner(lobby, stanza.attr.to) or is_owner(lobby, sender.bare_jid));
	end
	local x = stanza:get_child("x", muc_ns .. "#user");
	if not x or not lobby or stanza.attr.type == "unavailable" then return true; end
	for status in x:childtags("status") do
		if status.attr.code == "110" then return true; end
	end
	local item = x:get_child("item");
	return is_owner(lobby, stanza.attr.to) and not is_owner(lobby, item and item.attr.jid);
end

filters.add_filter_hook(function (session)
	filters.add_filter(session, "stanzas/out", function (stanza)
		local from = stanza.attr and stanza.attr.from;
		if from and jid.host(from) == lobby_muc and not may_pass(stanza) then return nil; end
		return stanza;
	end, -1);
end);

component.when_loaded(lobby_muc, function ()
	module:add_identity("component", "lobbyrooms", lobby_muc);
	-- Roles in the lobby are those in the room.
	local lobby_methods = prosody.hosts[lobby_muc].modules.muc.room_mt;
	function lobby_methods.get_affiliation(lobby, address)
		local main = lobby.main_room_jid and component.room(main_muc, lobby.main_room_jid);
		return main and main:get_affiliation(address) or "none";
	end
end);

local function attach_lobby(room)
	local address = jid.node(room.jid) .. "@" .. lobby_muc;
	if component.room(lobby_muc, address) then return; end
	local lobby = prosody.hosts[lobby_muc].modules.muc.create_room(address);
	lobby:set_persistent(true);
	lobby.main_room_jid = room.jid;
	room._data.lobbyroom = address;
	room:save(true);
end

local function refuse(event, reply)
	event.origin.send(reply:tag("x", { xmlns = muc_ns }));
	return true;
end

local function hold_in_lobby(event)
	local room, occupant, stanza = event.room, event.occupant, event.stanza;
	local join = stanza:get_child("x", muc_ns);
	if not room:get_members_only() or not join or jid.resource(occupant.nick) == "focus" then return; end
	local from = jid.bare(stanza.attr.from);
	local affiliation = room:get_affiliation(from) or "none";
	local password = join:get_child_text("password", muc_ns);
	if admitted_domains:contains(jid.host(from)) or (password and password == room:get_password()) then
		if affiliation == "none" or affiliation == "member" then
			occupant.role = "participant";
			room:set_affiliation(true, from, "member");
			return;
		end
	end
	if (stanza:get_child_text("nick", "http://jabber.org/protocol/nick") or "") == "" then
		local reply = st.error_reply(stanza, "modify", "not-acceptable");
		return refuse(event, reply:tag("displayname-required", { xmlns = jitsi_ns, lobby = "true" }):up():up());
	end
	if affiliation == "none" then
		local reply = st.error_reply(stanza, "auth", "registration-required");
		return refuse(event, reply:tag("lobbyroom", { xmlns = jitsi_ns }):text(room._data.lobbyroom):up():up());
	end
end

component.when_loaded(main_muc, function (host)
	host:hook("muc-occupant-pre-join", hold_in_lobby, -4);
	host:hook("muc-room-destroyed", function (event)
		local address = event.room._data.lobbyroom;
		local lobby = address and component.room(lobby_muc, address);
		if not lobby then return; end
		lobby:set_persistent(false);
		lobby:destroy(nil, "Lobby room closed.");
		event.room._data.lobbyroom = nil;
	end, 1);
end);

module:hook_global("create-lobby-room", function (event)
	local room = event.room;
	for _, occupant in room:each_occupant() do
		if affiliations[room:get_affiliation(occupant.bare_jid) or "none"] < affiliations.member then
			room:set_affiliation(true, occupant.bare_jid, "member");
		end
	end
	room:set_members_only(true);
	attach_lobby(room);
end);
