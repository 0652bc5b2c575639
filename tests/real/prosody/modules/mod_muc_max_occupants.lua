-- Refuses occupants of a full room. The room's own limit counts before `muc_max_occupants`, without which the
-- module does nothing.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/mod_muc_max_occupants.lua` of August 2026 (with
-- lib-jitsi-meet v2183), lines 12-72.

local jid = require "util.jid";
local st = require "util.stanza";

local default_limit = module:get_option_number("muc_max_occupants", -1);
local uncounted = module:get_option_set("muc_access_whitelist", {});

if default_limit <= 0 then return; end

local function is_uncounted(bare)
	return uncounted:contains(bare) or uncounted:contains(jid.host(bare));
end

module:hook("muc-occupant-pre-join", function (event)
	local room, stanza = event.room, event.stanza;
	if is_uncounted(jid.bare(stanza.attr.from)) then return; end
	local free = room._data.max_occupants or default_limit;
	for _, occupant in room:each_occupant() do
		if not is_uncounted(occupant.bare_jid) then free = free - 1; end
	end
	if free <= 0 then
		event.origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
		return true;
	end
end, 10);
