// A beat a second by server-sent events. Where they cannot be had, the page asks instead; while nobody looks, it rests.

const START_MILLISECONDS = 1000; // late, so that tools which wait for a quiet network see a finished page
const ASK_MILLISECONDS = 3000;
const SILENCE_MILLISECONDS = 12000;
const REFRESH_BEATS = 5; // ages grow even where nothing changes

const TITLES = {
  live: "This page follows what happens, within about a second.",
  asking: "No stream could be had: this page asks every few seconds.",
  still: "This page shows how it stood when it was loaded.",
  lost: "The server or its store does not answer: what is shown may be old.",
};
const WORDS = { live: "live", asking: "asking", still: "not live", lost: "not live" };

export function stayLive(onBeat) {
  const badge = document.getElementById("pulse");
  const timers = { ask: null, silence: null };
  let stream = null;
  let version = null;
  let beats = 0;

  const show = (state) => {
    if (badge.dataset.state === state) return;
    badge.dataset.state = state;
    badge.textContent = WORDS[state];
    badge.title = TITLES[state];
  };

  const take = (beat, state) => {
    show(state);
    onBeat(beat);
    document.body.dispatchEvent(new Event("treadle:beat"));
    beats += 1;
    if (beat.version !== version || beats % REFRESH_BEATS === 0) {
      document.body.dispatchEvent(new Event("treadle:change"));
    }
    version = beat.version;
  };

  const watchSilence = () => {
    clearTimeout(timers.silence);
    timers.silence = setTimeout(() => show("lost"), SILENCE_MILLISECONDS);
  };

  const ask = async () => {
    clearTimeout(timers.ask);
    try {
      const answer = await fetch("/admin/ui/pulse");
      if (!answer.ok) throw new Error(String(answer.status));
      take(await answer.json(), "asking");
    } catch {
      show("lost");
    }
    if (stream === null && !document.hidden) timers.ask = setTimeout(ask, ASK_MILLISECONDS);
  };

  const open = () => {
    if (stream !== null || document.hidden) return;
    clearTimeout(timers.ask);
    stream = new EventSource("/admin/ui/live");
    watchSilence();
    stream.onmessage = (event) => {
      watchSilence();
      take(JSON.parse(event.data), "live");
    };
    stream.addEventListener("lost", () => {
      watchSilence();
      show("lost");
    });
    stream.onerror = () => {
      show("lost");
      if (stream?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      close();
      ask();
    };
  };

  const close = () => {
    stream?.close();
    stream = null;
    clearTimeout(timers.ask);
    clearTimeout(timers.silence);
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      show("still");
    } else {
      version = null;
      open();
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  setTimeout(open, START_MILLISECONDS);
}
