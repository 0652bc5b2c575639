-- Components that modules of a virtual host work on; Prosody loads them after the host.
--
-- Plays jitsi/jitsi-meet, `resources/prosody-plugins/util.lib.lua` of August 2026 (with lib-jitsi-meet v2183),
-- `process_host_module`, lines 628-644.

local function when_loaded(name, callback)
	local function run(host)
		if host == name then callback(module:context(name)); end
	end
	if prosody.hosts[name] then
		run(name);
	else
		-- After the handler that loads the component's modules.
		module:hook_global("host-activated", run, -100);
	end
end

local function room(name, address)
	local host = prosody.hosts[name];
	return host and host.modules.muc and host.modules.muc.get_room_from_jid(address);
end

return { when_loaded = when_loaded, room = room };
