// Tells the page of the same site that opened this window how the sign-in ended.
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
