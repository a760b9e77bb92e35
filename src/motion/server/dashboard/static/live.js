// News of the store, once a second. One tab of a browser has the stream and passes it on; a hidden tab has none.
const LATE_MS = 5000;
const CHANNEL = "motion-live";

export class Live {
  constructor() {
    this.now = null;
    this.heardAt = 0;
    this.history = [];
    this.listeners = new Set();
    this.source = null;
    this.giveUp = null;
    this.channel = "BroadcastChannel" in window ? new BroadcastChannel(CHANNEL) : null;
    if (this.channel) this.channel.onmessage = (event) => this.take(event.data);
  }

  start() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.leave() : this.join()));
    addEventListener("pagehide", () => this.leave());
    if (!document.hidden) this.join();
    setInterval(() => this.tell(), 1000);
  }

  /** Wait to be the one with the stream; where the browser cannot say whose turn it is, every tab has one. */
  join() {
    if (this.giveUp) return;
    if (!navigator.locks || !this.channel) {
      this.giveUp = () => {};
      this.open();
      return;
    }
    const left = new AbortController();
    let release = () => {};
    this.giveUp = () => {
      left.abort();
      release();
    };
    navigator.locks
      .request(CHANNEL, { signal: left.signal }, () => {
        this.open();
        return new Promise((resolve) => (release = resolve));
      })
      .catch(() => {});
  }

  leave() {
    this.giveUp?.();
    this.giveUp = null;
    this.source?.close();
    this.source = null;
  }

  open() {
    const source = new EventSource("/v1/live/events");
    this.source = source;
    source.addEventListener("live", (event) => {
      this.take(event.data);
      this.channel?.postMessage(event.data);
    });
    source.onerror = () => {
      // The browser asks again by itself, unless it was refused.
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        setTimeout(() => this.source === source && this.open(), 2000);
      }
    };
  }

  take(text) {
    if (document.hidden) return;
    this.now = JSON.parse(text);
    this.heardAt = performance.now();
    this.tell();
  }

  /** How many seconds ago there was news; null where there was none yet. */
  get age() {
    return this.heardAt ? (performance.now() - this.heardAt) / 1000 : null;
  }

  get isLate() {
    return this.age !== null && this.age * 1000 > LATE_MS;
  }

  tell() {
    for (const each of this.listeners) each(this.now);
  }

  follow(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
