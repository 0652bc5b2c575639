(token, name) => {
  "use strict";

  const optionsOf = (hash) => (hash.length > 1 ? hash.slice(1).split("&") : []);

  const show = (search, options) => {
    const hash = options.length > 0 ? "#" + options.join("&") : "";
    // With the origin: a path that starts with two slashes would name another host.
    const address = location.origin + location.pathname + search + hash;
    try {
      if (address !== location.href) {
        history.replaceState(history.state, "", address);
      }
    } catch (_) {
      // Browsers limit the rate of changes; the page works without this one.
    }
  };

  // The sign-in leaves the page; `continue.js` saved the fragment, which no redirect returns.
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

  // A display token of an earlier sign-in (`alg` is `none`); other systems' tokens are signed.
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

  // Who is signed out elsewhere, or put out by an operator, is told at once: Jitsi would try for 20 s to
  // resume the stream, and then blame the network (lib-jitsi-meet modules/xmpp/ResumeTask.ts). A page that
  // is being left already, such as by "log out", goes where it goes. Jitsi logs out in a hidden frame where
  // the sign-in is one, and waits for its message; leaving would end the frame before the provider has
  // signed the person out.
  const ENDED = "signed-out";
  let leaving = false;
  addEventListener("beforeunload", () => {
    leaving = true;
    // The person may stay after all.
    setTimeout(() => { leaving = false; }, 10000);
  });
  const signsOut = () => document.querySelector("iframe[src*='/_gateway/logout']") !== null;
  const leave = () => {
    if (!leaving && window === window.top && !signsOut()) {
      location.replace("/_gateway/signed-out?return_to=" + encodeURIComponent(location.pathname));
    }
  };
  const isPath = (url, path) => String(url).split("?")[0].endsWith(path);
  window.WebSocket = new Proxy(window.WebSocket, {
    construct(target, args) {
      const socket = Reflect.construct(target, args);
      if (isPath(args[0], "/xmpp-websocket")) {
        socket.addEventListener("close", ({ reason }) => reason === ENDED && leave());
      }
      return socket;
    },
  });
  const { open } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (...args) {
    if (isPath(args[1], "/http-bind")) {
      this.addEventListener("load", () => this.getResponseHeader("x-gateway-ended") === ENDED && leave());
    }
    return open.apply(this, args);
  };

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

  // Jitsi offers "log out" to people with an e-mail address only, unless it has a login name already
  // (jitsi-meet react/features/base/conference/middleware.any.ts, `_connectionEstablished`).
  const nameLogin = ({ dispatch, getState }) => {
    const { email, id, name } = getState()["features/base/jwt"].user || {};
    if (!email && id && !/^guest:/.test(id)) {
      dispatch({ type: "AUTH_STATUS_CHANGED", authEnabled: true, authLogin: name || id });
    }
  };

  // Removes the token from the URL once the app has read it, so that users do not copy it.
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
      nameLogin(window.APP.store);
    }
    if (read || Date.now() >= deadline) {
      clearInterval(timer);
    }
  }, 200);
  return true;
}
