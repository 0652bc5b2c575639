// A stand-in for Jitsi's `external_api.js`: a frame with the URL of a room, with the token in query
// and fragment, and all options in the fragment.
(() => {
  "use strict";

  const parts = (group, values) => Object.entries(values)
    .map(([name, value]) => `${group}.${name}=${encodeURIComponent(JSON.stringify(value))}`);

  function address(domain, { roomName, jwt, configOverwrite = {}, interfaceConfigOverwrite = {}, userInfo = {} }) {
    const url = new URL(`https://${domain}/${roomName}`);
    if (jwt) url.searchParams.append("jwt", jwt);
    url.hash = [
      ...(jwt ? [`jwt=${encodeURIComponent(JSON.stringify(jwt))}`] : []),
      ...parts("config", configOverwrite),
      ...parts("interfaceConfig", interfaceConfigOverwrite),
      ...parts("userInfo", userInfo),
    ].join("&");
    return url.href;
  }

  window.JitsiMeetExternalAPI = class {
    #frame = document.createElement("iframe");

    constructor(domain, { parentNode, width = "100%", height = "100%", ...options }) {
      this.#frame.allow = "autoplay; camera; clipboard-write; display-capture; microphone; screen-wake-lock";
      this.#frame.allowFullscreen = true;
      this.#frame.src = address(domain, options);
      Object.assign(this.#frame.style, { width, height, border: "0" });
      parentNode.append(this.#frame);
    }

    addListener() {}

    addEventListener() {}

    executeCommand() {}

    getIFrame() {
      return this.#frame;
    }

    dispose() {
      this.#frame.remove();
    }
  };
})();
