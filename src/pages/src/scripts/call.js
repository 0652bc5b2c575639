// Embeds a meeting of 8x8 over the whole window.
{
  const LOAD_TIMEOUT_MS = 20_000;

  const call = document.getElementById("call");
  const { script: address, options, events } = call.dataset;
  const parts = ["frame", "loading", "failed", "over", "ended"];
  let api;
  const show = (shown) => {
    if (shown !== "frame") {
      api?.dispose();
      api = undefined;
    }
    for (const part of parts) {
      const element = document.getElementById(part);
      // Never hidden: the frame needs a layout while it loads.
      element.hidden = part !== shown && part !== "frame";
      if (part === shown && part !== "frame") element.focus();
    }
  };

  const embed = () => {
    clearTimeout(loadTimeout);
    try {
      api = new JitsiMeetExternalAPI(new URL(address).host, {
        ...JSON.parse(options),
        parentNode: document.getElementById("frame"),
        width: "100%",
        height: "100%",
      });
      // For screen readers.
      api.getIFrame().title = document.title;
      api.addListener("readyToClose", () => show("over"));
      show("frame");
    } catch (_) {
      show("failed");
    }
  };

  const script = document.createElement("script");
  const loadTimeout = setTimeout(() => {
    script.remove();
    show("failed");
  }, LOAD_TIMEOUT_MS);
  script.addEventListener("load", () => {
    if (script.isConnected) embed();
  });
  script.addEventListener("error", () => {
    clearTimeout(loadTimeout);
    show("failed");
  });
  script.src = address;
  document.head.append(script);

  // The gateway reports the end of the session, which 8x8 does not know.
  new EventSource(events).addEventListener("close", (event) => {
    event.target.close();
    show("ended");
  });
}
