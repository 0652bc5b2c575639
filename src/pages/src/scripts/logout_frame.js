// Reports the sign-out to the embedding page of the same origin.
if (window.parent !== window) window.parent.postMessage({ type: "logout-success" }, location.origin);
