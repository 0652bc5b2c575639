{
  const { provider, path } = document.currentScript.dataset;
  const key = "gateway.fragment";
  try {
    const page = new URL(path, location.origin).pathname;
    if (location.hash.length > 1) {
      sessionStorage.setItem(key, JSON.stringify({ path: page, hash: location.hash }));
    } else if (JSON.parse(sessionStorage.getItem(key) || "{}").path !== page) {
      sessionStorage.removeItem(key);
    }
  } catch (_) {
    // Without session storage the fragment is lost, but the sign-in works.
  }
  location.replace(provider);
}
