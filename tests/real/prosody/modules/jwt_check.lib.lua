-- The JWT checks of Jitsi's token plugin, in the same order and with the same messages.
--
-- `new(options)` returns a function that takes a session and returns
-- `true`, or `nil, condition, text` for the SASL failure.

local async = require "util.async";
local base64 = require "util.encodings".base64;
local hashes = require "util.hashes";
local http = require "net.http";
local json = require "cjson.safe";
local digest = require "openssl.digest";
local hmac = require "openssl.hmac";
local pkey = require "openssl.pkey";

local function from_base64url(text)
	if text:find("[^%w_-]") then return nil; end
	local padding = ("="):rep(-#text % 4);
	return base64.decode((text:gsub("-", "+"):gsub("_", "/")) .. padding);
end

local function decode_object(segment)
	local raw = from_base64url(segment);
	local value = raw and json.decode(raw);
	return type(value) == "table" and value or nil;
end

local function signature_holds(alg, key, signed, signature)
	local family, bits = alg:match("^([HR]S)(%d+)$");
	if family == "HS" then
		local expected = hmac.new(key, "sha" .. bits):final(signed);
		return hashes.equals(expected, signature);
	end
	local loaded, public = pcall(pkey.new, key);
	if not loaded then return false; end
	local sum = digest.new("sha" .. bits);
	sum:update(signed);
	local ran, holds = pcall(public.verify, public, signature, sum);
	return ran and holds;
end

local function listed(list, value)
	for _, entry in ipairs(list) do
		if entry == "*" or entry == value then return true; end
	end
	return false;
end

-- The token itself: form, header, signature, times. Returns the claims.
local function verify(token, alg, key, now)
	local head, body, signature = token:match("^([^.]+)%.([^.]+)%.([^.]+)$");
	if not head then return nil, "Invalid token"; end
	local header = decode_object(head);
	if not header then return nil, "Invalid header"; end
	local claims = decode_object(body);
	if not claims then return nil, "Invalid body"; end
	local raw_signature = from_base64url(signature);
	if header.typ ~= "JWT" then return nil, "Invalid typ"; end
	if header.alg ~= alg then return nil, "Invalid or incorrect alg"; end
	if not raw_signature or not signature_holds(alg, key, head .. "." .. body, raw_signature) then
		return nil, "Invalid signature";
	end
	local exp, nbf, iat = claims.exp, claims.nbf, claims.iat;
	if exp ~= nil and type(exp) ~= "number" then return nil, "exp must be number"; end
	if nbf ~= nil and type(nbf) ~= "number" then return nil, "nbf must be number"; end
	if exp and now >= exp then
		local lifetime = type(iat) == "number" and (", valid for:%s sec"):format(exp - iat) or "";
		return nil, ("Not acceptable by exp (%s sec since expired%s)"):format(now - exp, lifetime);
	end
	if nbf and now < nbf then return nil, "Not acceptable by nbf"; end
	return claims;
end

-- A key server publishes <base>/<sha256 hex of kid>.pem. Responses are cached for ever.
local function key_fetcher(base)
	local cache = {};
	local function fetch(url)
		local wait, done = async.waiter();
		local found;
		http.request(url, nil, function (body, code)
			if code == 200 then found = body; end
			done();
		end);
		wait();
		return found;
	end
	return function (kid)
		for _ = 1, 3 do
			if cache[kid] then break; end
			cache[kid] = fetch(("%s/%s.pem"):format(base, hashes.sha256(kid, true)));
		end
		return cache[kid];
	end
end

-- With a key server the header is read once before the key is known.
local function key_by_header(token, fetch)
	local head = token:match("^([^.]+)%.");
	if not head then return nil, "Invalid token"; end
	local header = decode_object(head);
	if not header then return nil, "bad token format"; end
	if header.kid == nil then return nil, "'kid' claim is missing"; end
	if header.alg == nil then return nil, "'alg' claim is missing"; end
	if tostring(header.alg):sub(1, 2) ~= "RS" then return nil, "'kid' claim only support with RS family"; end
	local key = fetch(tostring(header.kid));
	if not key then return nil, "could not obtain public key"; end
	return key;
end

local function new(options)
	local fetch = options.key_server and key_fetcher(options.key_server);
	local alg = options.algorithm or (fetch and "RS256" or "HS256");

	return function (session)
		local token = session.auth_token;
		if token == nil then
			if options.allow_empty then return true; end
			return nil, "not-allowed", "token required";
		end
		local key, problem = options.secret, nil;
		if fetch then
			key, problem = key_by_header(token, fetch);
		end
		if not key then
			return nil, "not-allowed", problem or "signature verification key is missing";
		end
		local claims;
		claims, problem = verify(token, alg, key, os.time());
		if not claims then return nil, "not-allowed", problem; end

		if claims.iss == nil then return nil, "not-allowed", "'iss' claim is missing"; end
		if not listed(options.issuers, claims.iss) then return nil, "not-allowed", "invalid 'iss' claim"; end
		if claims.aud == nil then return nil, "not-allowed", "'aud' claim is missing"; end
		if not listed(options.audiences, claims.aud) then return nil, "not-allowed", "invalid 'aud' claim"; end
		if claims.room == nil then return nil, "not-authorized", "room claim is missing"; end
		if claims.sub == nil then return nil, "not-authorized", "sub claim is missing"; end

		session.jitsi_meet_room = claims.room;
		session.jitsi_meet_domain = claims.sub;
		if claims.context ~= nil then
			-- A `null` context raises an error here and the client gets no answer, as upstream.
			session.jitsi_meet_context_user = claims.context.user;
			session.jitsi_meet_context_features = claims.context.features;
		end
		return true;
	end;
end

return { new = new };
