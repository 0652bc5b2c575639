// Opens the meeting once the event stream reports that it is open.
{
  const RETRY_MS = 15_000;
  const TONE_MS = 600;
  const SPREAD_MS = 300;

  const page = document.getElementById("wait");
  const { events, lost, open, title } = page.dataset;
  const status = page.querySelector("[role=status]");
  const waiting = status.textContent;
  const sound = document.getElementById("sound");
  // Adds the fragment, which holds options of Jitsi's page.
  for (const signIn of document.querySelectorAll('a[href^="/_gateway/login"]')) {
    signIn.setAttribute("href", signIn.getAttribute("href") + location.hash);
  }

  // Browsers allow sound after a user action; the click on the checkbox is one.
  let audio;
  sound.addEventListener("change", () => {
    if (sound.checked) audio ??= new AudioContext();
  });
  const ring = () => {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    tone.frequency.value = 660;
    volume.gain.setValueAtTime(0.2, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + TONE_MS / 1000);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + TONE_MS / 1000);
  };

  // A reload keeps the fragment. The delay is random, so that not all waiting users load Jitsi at once.
  const reload = (after) => setTimeout(() => location.reload(), after);
  const showStatus = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };

  const stream = new EventSource(events);
  // `open` is fired by the connection, and by the server's event that the meeting is open.
  stream.addEventListener("open", (event) => {
    if (!(event instanceof MessageEvent)) return showStatus(waiting);
    stream.close();
    showStatus(open);
    document.title = title;
    const rings = sound.checked && audio;
    if (rings) ring();
    reload(rings ? TONE_MS : Math.random() * SPREAD_MS);
  });
  stream.addEventListener("error", () => {
    showStatus(lost);
    // The browser reconnects by itself, except after an error response.
    if (stream.readyState === EventSource.CLOSED) reload(RETRY_MS * (1 + Math.random()));
  });
}
