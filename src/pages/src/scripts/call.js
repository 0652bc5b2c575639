// A meeting at 8x8, in a frame that fills the window.
{
  const PATIENCE_MS = 20_000;

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
      // The frame has to be laid out while it loads.
      element.hidden = part !== shown && part !== "frame";
      if (part === shown && part !== "frame") element.focus();
    }
  };

  const begin = () => {
    clearTimeout(patience);
    try {
      api = new JitsiMeetExternalAPI(new URL(address).host, {
        ...JSON.parse(options),
        parentNode: document.getElementById("frame"),
        width: "100%",
        height: "100%",
      });
      // What readers of the screen say of the frame.
      api.getIFrame().title = document.title;
      api.addListener("readyToClose", () => show("over"));
      show("frame");
    } catch (_) {
      show("failed");
    }
  };

  document.querySelector("#loading .status").hidden = false;
  const script = document.createElement("script");
  const patience = setTimeout(() => {
    script.remove();
    show("failed");
  }, PATIENCE_MS);
  script.addEventListener("load", () => {
    if (script.isConnected) begin();
  });
  script.addEventListener("error", () => {
    clearTimeout(patience);
    show("failed");
  });
  script.src = address;
  document.head.append(script);

  // Says when the person's session is over: 8x8 knows nothing of it.
  new EventSource(events).addEventListener("close", (event) => {
    event.target.close();
    show("ended");
  });
}
