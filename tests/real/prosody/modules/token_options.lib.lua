-- Whether a domain has the options without which Jitsi's token plugins do not start (jitsi-meet of
-- August 2026, resources/prosody-plugins/token/util.lib.lua, lines 109 to 118). An empty app id is one.

local function complete(domain)
	if not domain:get_option_string("app_id") then
		module:log("error", "'app_id' must not be empty");
		return false;
	end
	if not domain:get_option_string("app_secret") and not domain:get_option_string("asap_key_server") then
		module:log("error", "'app_secret' or 'asap_key_server' must be specified");
		return false;
	end
	return true;
end

return { complete = complete };
