-- Holds a conference request for a room that does not exist until an HTTP server has answered, and gives the room
-- what the answer says: a lobby, a number of occupants, an end.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_reservations.lua` of August 2026 (with lib-jitsi-meet
-- v2183), lines 84-122, 161-196, 254-479 and 537-695. Without passwords, conflicts and breakout rooms.

local datetime = require "util.datetime";
local http = require "net.http";
local jid = require "util.jid";
local json = require "cjson.safe";
local st = require "util.stanza";
local timer = require "util.timer";
local component = module:require "jitsi_component";

local prefix = module:get_option_string("reservations_api_prefix");
local headers = module:get_option("reservations_api_headers", {});
local timeout = module:get_option_number("reservations_api_timeout", 20);
local retries = module:get_option_number("reservations_api_retry_count", 3);
local retry_delay = module:get_option_number("reservations_api_retry_delay", 3);
local with_occupants = module:get_option_boolean("reservations_enable_max_occupants", false);
local with_lobby = module:get_option_boolean("reservations_enable_lobby_support", false);
local main_muc = module:get_option_string("main_muc");
local focus = "focus." .. module:get_option_string("muc_mapper_domain_base");

if not prefix then
	module:log("error", "reservations_api_prefix is missing");
	return;
end

local eviction_period = 60;
local failure_kept = 30;
local reservations = {};

local function ask(method, path, form, callback, left)
	local done = false;
	local function finish(...)
		if done then return; end
		done = true;
		if callback then callback(...); end
	end
	local options = { method = method, headers = headers, body = form and http.formencode(form) };
	http.request(prefix .. path, options, function (body, code)
		if done then return; end
		if (code == 0 or code >= 500) and left > 0 then
			done = true;
			timer.add_task(retry_delay, function () ask(method, path, form, callback, left - 1); end);
		else
			finish(body, code);
		end
	end);
	timer.add_task(timeout, function () finish(nil, 500, "Reservation lookup timed out"); end);
end

-- What an answer grants, or nil.
local function granted(body, room)
	local data = json.decode(body);
	local name = data and tostring(data.name):lower();
	local start, duration = data and datetime.parse(data.start_time), data and tonumber(data.duration);
	if name ~= jid.node(room) or not (data.id and data.mail_owner and start and duration) then return nil; end
	return {
		id = data.id,
		ends = start + duration,
		lobby = with_lobby and (data.lobby == true or data.lobby == "true"),
		occupants = with_occupants and tonumber(data.max_occupants) or nil,
	};
end

local function answer(event, reservation)
	local code, text = reservation.code, reservation.text;
	if not code and os.time() > reservation.ends then
		code, text = 419, "Reservation expired";
	end
	if not code then
		prosody.core_post_stanza(event.origin, event.stanza, false);
		return;
	end
	local reply = st.error_reply(event.stanza, "cancel", "service-unavailable", text);
	reply:tag("reservation-error", { xmlns = "http://jitsi.org/protocol/focus", ["error-code"] = tostring(code) });
	event.origin.send(reply);
end

local function decide(reservation, room, body, code, text)
	local grant = (code == 200 or code == 201) and granted(body, room);
	if grant then
		for key, value in pairs(grant) do reservation[key] = value; end
	else
		local refusal = json.decode(body or "");
		reservation.code = code == 200 and 500 or code;
		reservation.text = text or (refusal and refusal.message) or "Rejected by reservation server";
		reservation.ends = os.time() + failure_kept;
	end
	reservation.decided = true;
	local waiting = reservation.waiting;
	reservation.waiting = {};
	for _, event in ipairs(waiting) do answer(event, reservation); end
end

module:hook("pre-iq/host", function (event)
	local stanza = event.stanza;
	local request = stanza:get_child("conference", "http://jitsi.org/protocol/focus");
	if stanza.attr.to ~= focus or stanza.attr.type ~= "set" or not request then return; end
	local room = request.attr.room;
	if component.room(main_muc, room) then return; end
	local reservation = reservations[room];
	if reservation and reservation.decided then
		answer(event, reservation);
	elseif reservation then
		table.insert(reservation.waiting, event);
	else
		reservation = { waiting = { event } };
		reservations[room] = reservation;
		local form = {
			name = jid.node(room),
			start_time = os.date("!%Y-%m-%dT%H:%M:%S.000Z"),
			mail_owner = jid.bare(stanza.attr.from),
		};
		ask("POST", "/conference", form, function (...) decide(reservation, room, ...); end, retries);
	end
	return true;
end);

timer.add_task(eviction_period, function ()
	for address, reservation in pairs(reservations) do
		if reservation.ends and os.time() > reservation.ends then
			local room = component.room(main_muc, address);
			-- The destruction of the room forgets its reservation.
			if room then room:destroy(nil, "Scheduled conference duration exceeded."); end
			reservations[address] = nil;
		end
	end
	return eviction_period;
end);

component.when_loaded(main_muc, function (host)
	host:hook("muc-room-pre-create", function (event)
		local reservation = reservations[event.room.jid];
		if reservation and reservation.lobby then
			prosody.events.fire_event("create-persistent-lobby-room", { room = event.room });
		end
	end);
	host:hook("muc-room-created", function (event)
		local reservation = reservations[event.room.jid];
		if reservation and reservation.occupants then event.room._data.max_occupants = reservation.occupants; end
	end);
	host:hook("muc-room-destroyed", function (event)
		local reservation = reservations[event.room.jid];
		reservations[event.room.jid] = nil;
		if reservation and reservation.id then ask("DELETE", "/conference/" .. reservation.id, nil, nil, retries); end
	end, -1);
end);
