// Reports the outcome of the sign-in to the opener of the same origin.
{
  const { token, error } = document.querySelector("main > .card").dataset;
  const message = token === undefined
    ? { type: "oauth-error", error }
    : { type: "oauth-success", accessToken: token };
  if (window.opener) {
    window.opener.postMessage(message, location.origin);
    window.close();
  }
}
