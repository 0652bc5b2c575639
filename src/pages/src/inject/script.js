(token, name) => {
  "use strict";

  const optionsOf = (hash) => (hash.length > 1 ? hash.slice(1).split("&") : []);

  const show = (search, options) => {
    const hash = options.length > 0 ? "#" + options.join("&") : "";
    // With the origin, because a path that begins with two slashes would name another host.
    const address = location.origin + location.pathname + search + hash;
    try {
      if (address !== location.href) {
        history.replaceState(history.state, "", address);
      }
    } catch (_) {
      // Browsers limit how often the address may change; the page works without it.
    }
  };

  // Signing in leaves the page, and the fragment is what no server can bring back.
  const savedHash = () => {
    try {
      const text = sessionStorage.getItem("gateway.fragment");
      sessionStorage.removeItem("gateway.fragment");
      const saved = JSON.parse(text);
      return saved.path === location.pathname && saved.hash.startsWith("#") ? saved.hash : "";
    } catch (_) {
      return "";
    }
  };

  const isJwt = (option) => option.split("=")[0] === "jwt";

  // One that an earlier sign-in left behind; tokens of others are signed.
  const isDisplayToken = (option) => {
    try {
      const jwt = isJwt(option) && JSON.parse(decodeURIComponent(option.slice(4)));
      const head = jwt.split(".")[0].replace(/-/g, "+").replace(/_/g, "/");
      return JSON.parse(atob(head)).alg === "none";
    } catch (_) {
      return false;
    }
  };

  const saved = savedHash();
  const options = optionsOf(location.hash.length > 1 ? location.hash : saved);

  if (options.some((o) => /^config\.(iAmRecorder|iAmSipGateway)=true$/.test(o))) {
    show(location.search, options);
    return false;
  }
  if (token === null) {
    const kept = options.filter((o) => !isDisplayToken(o));
    const isName = (o) => /^userInfo\.displayName=/.test(o);
    const named = "userInfo.displayName=" + encodeURIComponent(JSON.stringify(name));
    show(location.search, name === null ? kept : kept.filter((o) => !isName(o)).concat(named));
    return true;
  }

  const added = "jwt=" + encodeURIComponent(JSON.stringify(token));
  const pairs = location.search.slice(1).split("&");
  const query = pairs.filter((pair) => !/^(jwt|token)(=|$)/.test(pair)).join("&");
  show(query && "?" + query, options.filter((o) => !isJwt(o)).concat(added));

  // Once the app has read the token, it need not be in every copied address.
  const deadline = Date.now() + 30000;
  const timer = setInterval(() => {
    let read = false;
    try {
      read = window.APP.store.getState()["features/base/jwt"].jwt === token;
    } catch (_) {
      // The app has not started yet.
    }
    if (read) {
      show(location.search, optionsOf(location.hash).filter((o) => o !== added));
    }
    if (read || Date.now() >= deadline) {
      clearInterval(timer);
    }
  }, 200);
  return true;
}
