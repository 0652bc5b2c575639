-- SASL ANONYMOUS for sessions with a valid token. The token is read when the BOSH session or
-- the WebSocket is created, and verified at SASL.

local formdecode = require "util.http".formdecode;

if not module:require("token_options").complete(module) then return; end
local check = module:require("jwt_check").new({
	secret = module:get_option_string("app_secret");
	key_server = module:get_option_string("asap_key_server");
	algorithm = module:get_option_string("signature_algorithm");
	allow_empty = module:get_option_boolean("allow_empty_token", false);
	issuers = module:get_option_array("asap_accepted_issuers", { module:get_option_string("app_id") });
	audiences = module:get_option_array("asap_accepted_audiences", { "*" });
});
local region_header = module:get_option_string("region_header_name", "x_proxy_region");

-- Stores the request's parameters in the session, unverified.
local function read_request(event)
	local session, request = event.session, event.request;
	local query = request.url.query and formdecode(request.url.query) or {};
	if type(query) ~= "table" then query = {}; end
	local authorization = request.headers.authorization;
	session.auth_token = query.token or (authorization and authorization:sub(8)) or nil;
	session.previd = query.previd;
	session.customusername = query.customusername;
	session.jitsi_web_query_room = query.room;
	session.jitsi_web_query_prefix = query.prefix or "";
	session.user_region = request.headers[region_header];
end
module:hook_global("bosh-session", read_request, 1);
module:hook_global("websocket-session", read_request, 1);

module:provides("auth", module:require("anonymous_provider")(check));
