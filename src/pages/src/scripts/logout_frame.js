// Tells the page of the same site that this frame is in that the person is signed out.
if (window.parent !== window) window.parent.postMessage({ type: "logout-success" }, location.origin);
