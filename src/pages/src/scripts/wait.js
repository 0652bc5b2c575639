// Opens the meeting when the host comes.
{
  const AGAIN_MS = 15_000;
  const TONE_MS = 600;
  const SPREAD_MS = 300;

  const page = document.getElementById("wait");
  const { events, lost, open, title } = page.dataset;
  const status = page.querySelector("[role=status]");
  const waiting = status.textContent;
  const sound = document.getElementById("sound");
  sound.closest("p").hidden = false;
  // The fragment holds options of Jitsi's page; links do not have it by themselves.
  const way = page.querySelector('a[href^="/_gateway/login"]');
  way?.setAttribute("href", way.getAttribute("href") + location.hash);

  // Whatever people do here makes the page theirs to sound in; switching the sound on is one of it.
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

  // Keeps the fragment. A little apart, so that not everybody who waits comes at once.
  const again = (after) => setTimeout(() => location.reload(), after);
  const say = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };

  const stream = new EventSource(events);
  // Two things have this name: the connection, and the server's word that the meeting is open.
  stream.addEventListener("open", (event) => {
    if (!(event instanceof MessageEvent)) return say(waiting);
    stream.close();
    say(open);
    document.title = title;
    const rings = sound.checked && audio;
    if (rings) ring();
    again(rings ? TONE_MS : Math.random() * SPREAD_MS);
  });
  stream.addEventListener("error", () => {
    say(lost);
    // The browser tries again by itself, unless the answer was none.
    if (stream.readyState === EventSource.CLOSED) again(AGAIN_MS * (1 + Math.random()));
  });
}
