import { css, html, LitElement, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { fetchLatest, type Notice } from "./api";
import { now } from "./clock";
import { Feed } from "./feed";
import { CHECK_IN, CONTINUOUS, NOTHING_SEEN } from "./filters";
import { merged } from "./store";
import { formatsOf } from "./time";
import type { Camera, CardConfig, HomeAssistant, RecordedEvent } from "./types";
import { facts } from "./words";

const RETRY = 5_000;
const ASKED = 60;

interface ClipsConfig extends CardConfig {
  limit?: number;
}

/** The latest clips, newest first; one that is chosen plays in the timeline of the same view. */
class MagicPiClipsCard extends LitElement {
  static properties = {
    _config: { state: true },
    _events: { state: true },
    _urls: { state: true },
  };

  _config?: ClipsConfig;
  /** Ascending by start. */
  _events: readonly RecordedEvent[] | null = null;
  _urls = new Map<string, string | null>();

  private _hass?: HomeAssistant;
  private feed?: Feed;
  private release: (() => void) | null = null;
  private timer: number | undefined;
  private run = 0;

  setConfig(config: ClipsConfig): void {
    this._config = config;
  }

  set hass(hass: HomeAssistant) {
    const first = !this._hass;
    this._hass = hass;
    this.feed ??= Feed.of(hass);
    this.feed.update(hass);
    if (first) {
      this.attach();
      this.requestUpdate();
    }
  }

  getCardSize(): number {
    return 4;
  }

  getGridOptions() {
    return { columns: "full" };
  }

  connectedCallback(): void {
    super.connectedCallback();
    this.attach();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearTimeout(this.timer);
    this.run++;
    this.feed?.removeEventListener("changed", this.changed);
    this.feed?.removeEventListener("tick", this.changed);
    this.feed?.removeEventListener("ready", this.load);
    this.feed?.removeEventListener("notice", this.noticed);
    this.release?.();
    this.release = null;
  }

  private attach(): void {
    if (this.feed && !this.release && this.isConnected) {
      this.feed.addEventListener("changed", this.changed);
      this.feed.addEventListener("tick", this.changed);
      this.feed.addEventListener("ready", this.load);
      this.feed.addEventListener("notice", this.noticed);
      this.release = this.feed.use();
      void this.load();
    }
  }

  private changed = (): void => this.requestUpdate();

  private get cameras(): Camera[] {
    const wanted = this._config?.entities;
    return (this.feed?.cameras ?? []).filter(
      (camera) => !wanted?.length || (camera.entity_id && wanted.includes(camera.entity_id)),
    );
  }

  private load = async (): Promise<void> => {
    const run = ++this.run;
    window.clearTimeout(this.timer);
    if (!this.feed!.live) {
      return;
    }
    try {
      const ids = this.cameras.map((camera) => camera.id);
      const events = ids.length ? await fetchLatest(this._hass!, ids, ASKED) : [];
      if (run === this.run) {
        this._events = merged([], events);
      }
    } catch {
      if (run === this.run) {
        this.timer = window.setTimeout(() => void this.load(), RETRY);
      }
    }
  };

  private noticed = (event: Event): void => {
    const notice = (event as CustomEvent<Notice>).detail;
    if (!this._events || !this.cameras.some((camera) => camera.id === notice.event.camera)) {
      return;
    }
    const others = this._events.filter((known) => known.id !== notice.event.id);
    this._events =
      notice.type === "event_deleted" ? others : merged(others, [notice.event]).slice(-2 * ASKED);
  };

  private get shown(): RecordedEvent[] {
    return (this._events ?? [])
      .filter(
        (event) =>
          this.feed!.camera(event.camera) !== undefined &&
          event.state !== "recording" &&
          event.verdict !== NOTHING_SEEN &&
          event.reason !== CONTINUOUS &&
          event.reason !== CHECK_IN,
      )
      .slice(-(this._config?.limit ?? 8))
      .reverse();
  }

  private play(event: RecordedEvent): void {
    const ask = new CustomEvent("magicpi-play", { detail: event, cancelable: true });
    // Without a timeline here, the media browser has it
    if (window.dispatchEvent(ask)) {
      history.pushState(null, "", "/media-browser/browser/app%2Cmedia-source%3A%2F%2Fmagicpi_nvr");
      window.dispatchEvent(new CustomEvent("location-changed", { detail: { replace: false } }));
    }
  }

  private picture(event: RecordedEvent): string | null {
    if (event.thumbnail && !this._urls.has(event.id)) {
      this._urls.set(event.id, null);
      void this.feed!.thumbnails.get(this._hass!, event.thumbnail).then((url) => {
        this._urls = new Map(this._urls).set(event.id, url);
      });
    }
    return this._urls.get(event.id) ?? null;
  }

  protected render() {
    const { feed } = this;
    if (!feed?.texts) {
      return nothing;
    }
    if (!this._events) {
      return html`<ha-card .header=${this._config!.title}><p>${feed.texts.get("loading")}</p></ha-card>`;
    }
    const formats = formatsOf(this._hass!);
    const events = this.shown;
    for (const id of this._urls.keys()) {
      if (!events.some((event) => event.id === id)) {
        this._urls.delete(id);
      }
    }
    return html`<ha-card .header=${this._config!.title}>
      ${events.length ? nothing : html`<p>${feed.texts.get("no_clips")}</p>`}
      <div class="clips" ?hidden=${!events.length}>
        ${repeat(
          events,
          (event) => event.id,
          (event) => {
            const url = this.picture(event);
            return html`<button class=${feed.seen.has(event) ? "seen" : ""} @click=${() => this.play(event)}>
              ${url ? html`<img src=${url} alt="" />` : html`<div class="blank"></div>`}
              <b>${formats.relative(event.start, now())} · ${feed.camera(event.camera)?.name ?? ""}</b>
              <span>${[formats.time(event.start), ...facts(event, feed.texts!)].join(" · ")}</span>
            </button>`;
          },
        )}
      </div>
    </ha-card>`;
  }

  static styles = css`
    .clips {
      display: grid;
      grid-template-columns: repeat(auto-fill, minmax(140px, 1fr));
      gap: 12px;
      padding: 12px;
    }
    .clips[hidden] {
      display: none;
    }
    p {
      margin: 0;
      padding: 12px;
      color: var(--secondary-text-color, #555);
    }
    button {
      display: block;
      padding: 0;
      border: none;
      background: none;
      font: inherit;
      font-size: 13px;
      text-align: start;
      color: var(--primary-text-color, #111);
      cursor: pointer;
      overflow-wrap: anywhere;
    }
    button:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
      outline-offset: 2px;
    }
    img,
    .blank {
      display: block;
      width: 100%;
      aspect-ratio: 4 / 3;
      object-fit: cover;
      border-radius: 8px;
      background: #000;
    }
    .seen img {
      opacity: 0.6;
    }
    b,
    span {
      display: block;
      font-weight: 500;
    }
    span {
      font-weight: 400;
      color: var(--secondary-text-color, #555);
    }
  `;
}

customElements.define("magicpi-clips-card", MagicPiClipsCard);
