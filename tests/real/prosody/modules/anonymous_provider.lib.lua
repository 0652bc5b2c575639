-- An authentication provider with SASL ANONYMOUS. `check` decides on a session: it returns true, or
-- false with the condition and text of the failure.

local new_sasl = require "util.sasl".new;

local host = module.host;
local name_of_lost_stream = module:require("lost_stream");

local function unsupported()
	return nil, "There are no passwords here";
end

return function (check)
	local provider = {
		test_password = unsupported;
		get_password = unsupported;
		set_password = unsupported;
		create_user = unsupported;
		user_exists = unsupported;
	};

	function provider.get_sasl_handler(session)
		local handler = new_sasl(host, { anonymous = function () return true; end });
		local anonymous = handler.process;
		function handler:process(message)
			local ok, condition, text = check(session);
			if not ok then
				session.auth_token = nil;
				return "failure", condition, text;
			end
			local status = anonymous(self, message);
			self.username = name_of_lost_stream(session.previd) or self.username;
			return status;
		end
		function handler:clean_clone()
			return provider.get_sasl_handler(session);
		end
		return handler;
	end

	function provider.users()
		return next, prosody.hosts[host].sessions, nil;
	end

	return provider;
end
