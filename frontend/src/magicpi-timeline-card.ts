import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { fetchCameras, fetchEvents, type Notice, signPath, subscribe, Thumbnails } from "./api";
import { localize } from "./localize";
import { daySpan, hour12, localDate, shiftDate, ticks, timeZone } from "./time";
import { lastStarting, type RowMoment } from "./timeline-row";
import type { Camera, CardConfig, HomeAssistant, RecordedEvent, Span } from "./types";

const SHORTEST_VIEW = 5 * 60_000;
const LIVE_TILE_INTERVAL = 10_000;
const SCRUB_DELAY = 150;

type Stage =
  | { kind: "live"; camera: string }
  | { kind: "clip"; event: RecordedEvent; offset: number; url: string | null }
  | { kind: "none" };

/** Whether a sample of time lies in a span. */
const within = (at: number, span: Span) => at >= span.start && at <= span.end;

/** A day of every camera on lines, with the clip or the live picture above them. */
class MagicPiTimelineCard extends LitElement {
  static properties = {
    hass: { attribute: false },
    _config: { state: true },
    _cameras: { state: true },
    _date: { state: true },
    _view: { state: true },
    _events: { state: true },
    _stage: { state: true },
    _cursor: { state: true },
    _loading: { state: true },
    _error: { state: true },
    _tick: { state: true },
  };

  hass!: HomeAssistant;
  _config?: CardConfig;
  _cameras: Camera[] | null = null;
  _date = "";
  _view: Span = { start: 0, end: 1 };
  _events = new Map<string, RecordedEvent[]>();
  _stage: Stage = { kind: "none" };
  _cursor: number | null = null;
  _loading = false;
  _error: string | null = null;
  _tick = 0;

  private thumbnails = new Thumbnails();
  private unsubscribe: Promise<() => Promise<void>> | null = null;
  private load = 0;
  private timer: number | undefined;
  private clipRequest = 0;
  private scrub: number | undefined;
  private scrubbing = false;
  private wide = new ResizeObserver(() => this.requestUpdate());

  static getConfigForm() {
    const language = document.documentElement.lang;
    return {
      schema: [
        { name: "title", selector: { text: {} } },
        {
          name: "entities",
          selector: {
            entity: { multiple: true, filter: { domain: "camera", integration: "magicpi_nvr" } },
          },
        },
      ],
      computeLabel: (field: { name: "title" | "entities" }) => localize(language, field.name),
    };
  }

  static getStubConfig(): Partial<CardConfig> {
    return {};
  }

  setConfig(config: CardConfig): void {
    if (config.entities !== undefined && !Array.isArray(config.entities)) {
      throw new Error("entities must be a list of camera entities");
    }
    this._config = config;
    if (this._cameras) {
      void this.start();
    }
  }

  getCardSize(): number {
    return 8 + (this._cameras?.length ?? 1);
  }

  getGridOptions() {
    return { columns: 12, min_columns: 6 };
  }

  connectedCallback(): void {
    super.connectedCallback();
    this.wide.observe(this);
    this.timer = window.setInterval(() => {
      if (document.visibilityState === "visible") {
        this._tick++;
      }
    }, LIVE_TILE_INTERVAL);
    if (this.hass && this.hasUpdated) {
      void this.start();
    }
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.wide.disconnect();
    window.clearInterval(this.timer);
    window.clearTimeout(this.scrub);
    this.load++;
    void this.unsubscribe?.then((stop) => stop(), () => undefined);
    this.unsubscribe = null;
    this.thumbnails.clear();
  }

  protected firstUpdated(): void {
    void this.start();
  }

  protected willUpdate(changed: PropertyValues): void {
    if (changed.has("hass") && !this._date && this.hass) {
      this.goTo(localDate(Date.now(), timeZone(this.hass)));
    }
  }

  private text(key: Parameters<typeof localize>[1], values?: Record<string, string | number>): string {
    return localize(this.hass?.locale.language, key, values);
  }

  private get today(): string {
    return localDate(Date.now(), timeZone(this.hass));
  }

  private get day(): Span {
    return daySpan(this._date, timeZone(this.hass));
  }

  private formatTime = (at: number): string =>
    new Intl.DateTimeFormat(this.hass.locale.language, {
      timeZone: timeZone(this.hass),
      timeStyle: "medium",
      hour12: hour12(this.hass),
    }).format(at);

  private async start(): Promise<void> {
    try {
      const cameras = await this.fetchCameras();
      this._cameras = cameras;
      const first = cameras.find((camera) => camera.picture) ?? cameras[0];
      if (this._stage.kind === "none" && first) {
        this._stage = { kind: "live", camera: first.id };
      }
      this.unsubscribe ??= subscribe(this.hass, (notice) => this.noticed(notice));
      await this.unsubscribe;
      await this.reload();
    } catch (error) {
      this.failed(error);
    }
  }

  private async fetchCameras(): Promise<Camera[]> {
    const wanted = this._config?.entities;
    const cameras = await fetchCameras(this.hass);
    return wanted?.length
      ? wanted.flatMap((entity) => cameras.filter((camera) => camera.entity_id === entity))
      : cameras.sort((one, two) => one.name.localeCompare(two.name));
  }

  private failed(error: unknown): void {
    this._loading = false;
    this._error = (error as { message?: string }).message ?? String(error);
  }

  private goTo(date: string): void {
    this._date = date;
    this._view = this.day;
    this._cursor = null;
    if (this._cameras) {
      void this.reload();
    }
  }

  private async reload(): Promise<void> {
    const cameras = this._cameras;
    const load = ++this.load;
    this._error = null;
    if (!cameras?.length) {
      this._events = new Map();
      return;
    }
    this._loading = true;
    const found = new Map<string, RecordedEvent[]>(cameras.map((camera) => [camera.id, []]));
    try {
      const ids = cameras.map((camera) => camera.id);
      for await (const page of fetchEvents(this.hass, ids, this.day)) {
        if (load !== this.load) {
          return;
        }
        const news = new Map<string, RecordedEvent[]>();
        for (const event of page.reverse()) {
          const list = news.get(event.camera) ?? [];
          list.push(event);
          news.set(event.camera, list);
        }
        for (const [camera, list] of news) {
          found.set(camera, [...list, ...(found.get(camera) ?? [])]);
        }
        this._events = new Map(found);
        await this.updateComplete;
      }
      this._events = found;
      this._loading = false;
      this.dispatchEvent(new CustomEvent("magicpi-timeline-loaded", { bubbles: true, composed: true }));
    } catch (error) {
      if (load === this.load) {
        this.failed(error);
      }
    }
  }

  private noticed(notice: Notice): void {
    const { event } = notice;
    const list = this._events.get(event.camera);
    if (!list) {
      return;
    }
    const others = list.filter((known) => known.id !== event.id);
    if (notice.type !== "event_deleted" && within(notice.event.start, this.day)) {
      others.splice(lastStarting(others, notice.event.start) + 1, 0, notice.event);
    }
    this._events = new Map(this._events).set(event.camera, others);
    if (!this.camera(event.camera)?.picture) {
      // Its first picture came
      void this.fetchCameras().then((cameras) => {
        this._cameras = cameras;
      }, (error) => this.failed(error));
    }
  }

  private async play(event: RecordedEvent, at: number): Promise<void> {
    const offset = Math.max(0, Math.min(at, event.end) - event.start) / 1000;
    const request = ++this.clipRequest;
    this._cursor = at;
    if (this._stage.kind === "clip" && this._stage.event.id === event.id && this._stage.url) {
      this._stage = { ...this._stage, offset };
      this.seek(offset);
      if (!this.scrubbing) {
        void this.video?.play();
      }
      return;
    }
    this._stage = { kind: "clip", event, offset, url: null };
    try {
      const url = await signPath(this.hass, event.clip);
      if (request === this.clipRequest) {
        this._stage = { kind: "clip", event, offset, url };
      }
    } catch (error) {
      this.failed(error);
    }
  }

  private get video(): HTMLVideoElement | null {
    return this.renderRoot.querySelector("video");
  }

  private seek(offset: number): void {
    if (this.video) {
      this.video.currentTime = offset;
    }
  }

  private live(camera: string): void {
    this.clipRequest++;
    this._cursor = null;
    this._stage = { kind: "live", camera };
  }

  private rowPlay(event: CustomEvent<RowMoment>): void {
    const { camera, at, event: found } = event.detail;
    window.clearTimeout(this.scrub);
    this.scrubbing = false;
    const events = this._events.get(camera) ?? [];
    const target = found ?? events[lastStarting(events, at) + 1];
    if (target) {
      void this.play(target, Math.max(at, target.start));
      this.reveal(target.start);
    } else if (this._date === this.today) {
      this.live(camera);
    }
  }

  private rowScrub(event: CustomEvent<RowMoment>): void {
    const { at, event: found } = event.detail;
    this._cursor = at;
    window.clearTimeout(this.scrub);
    this.scrubbing = true;
    this.video?.pause();
    if (!found) {
      return;
    }
    if (this._stage.kind === "clip" && this._stage.event.id === found.id) {
      this.seek(Math.max(0, at - found.start) / 1000);
    } else {
      // Many clips lie below a moving finger: only where it stays one is opened.
      this.scrub = window.setTimeout(() => void this.play(found, at), SCRUB_DELAY);
    }
  }

  private rowZoom(event: CustomEvent<{ factor: number; around: number }>): void {
    this.zoom(event.detail.factor, event.detail.around);
  }

  private rowPause(): void {
    if (this.video?.paused) {
      void this.video.play();
    } else {
      this.video?.pause();
    }
  }

  private zoom(factor: number, around: number): void {
    const { start, end } = this._view;
    const { day } = this;
    const length = Math.min(day.end - day.start, Math.max(SHORTEST_VIEW, (end - start) * factor));
    const part = (around - start) / (end - start);
    const left = Math.min(day.end - length, Math.max(day.start, around - part * length));
    this._view = { start: left, end: left + length };
  }

  private zoomButton(factor: number): void {
    this.zoom(factor, this._cursor ?? (this._view.start + this._view.end) / 2);
  }

  private reveal(at: number): void {
    if (!within(at, this._view)) {
      const length = this._view.end - this._view.start;
      const left = Math.min(this.day.end - length, Math.max(this.day.start, at - length / 2));
      this._view = { start: left, end: left + length };
    }
  }

  private timeUpdate(): void {
    if (this._stage.kind === "clip" && this.video && !this.video.seeking) {
      this._cursor = this._stage.event.start + this.video.currentTime * 1000;
    }
  }

  private clipEnded(): void {
    if (this._stage.kind === "clip") {
      const { event } = this._stage;
      const events = this._events.get(event.camera) ?? [];
      const next = events[events.findIndex((known) => known.id === event.id) + 1];
      if (next && next.state !== "recording") {
        void this.play(next, next.start);
        this.reveal(next.start);
      }
    }
  }

  private picture(camera: Camera | undefined, stream: boolean): string | null {
    const state = camera?.entity_id ? this.hass.states[camera.entity_id] : undefined;
    const picture = state?.attributes.entity_picture;
    if (typeof picture !== "string" || !(camera?.picture || this.streams(camera))) {
      return null;
    }
    return this.hass.hassUrl(
      stream ? picture.replace("/camera_proxy/", "/camera_proxy_stream/") : `${picture}&t=${this._tick}`,
    );
  }

  private streams(camera: Camera | undefined): boolean {
    const state = camera?.entity_id ? this.hass.states[camera.entity_id]?.state : undefined;
    return state === "streaming" || state === "recording";
  }

  protected render() {
    if (!this.hass || !this._config) {
      return nothing;
    }
    const cameras = this._cameras;
    return html`
      <ha-card .header=${this._config.title}>
        <div class="body">
          ${this.renderStage()} ${this.renderBar()}
          ${cameras?.length === 0 ? html`<p class="hint">${this.text("no_cameras")}</p>` : nothing}
          <div
            class="rows"
            @row-play=${this.rowPlay}
            @row-scrub=${this.rowScrub}
            @row-zoom=${this.rowZoom}
            @row-pause=${this.rowPause}
          >
            ${repeat(cameras ?? [], (camera) => camera.id, (camera) => this.renderRow(camera))}
            ${cameras?.length ? this.renderAxis() : nothing}
          </div>
          ${cameras ? html`<p class="hint" role="status">${this.status()}</p>` : nothing}
        </div>
      </ha-card>
    `;
  }

  private status(): string {
    if (this._error) {
      return this.text("failed", { error: this._error });
    }
    if (this._loading || !this._cameras) {
      return this.text("loading");
    }
    const count = [...this._events.values()].reduce((sum, list) => sum + list.length, 0);
    return count > 1
      ? this.text("events", { count })
      : this.text(count ? "event" : "no_events");
  }

  private camera(id: string): Camera | undefined {
    return this._cameras?.find((camera) => camera.id === id);
  }

  private renderStage() {
    const stage = this._stage;
    if (stage.kind === "clip") {
      const name = this.camera(stage.event.camera)?.name ?? "";
      return html`<div class="stage">
        ${
          stage.url
            ? html`<video
                src=${stage.url}
                aria-label="${name}, ${this.formatTime(stage.event.start)}"
                controls
                ?autoplay=${!this.scrubbing}
                preload="auto"
                muted
                playsinline
                @loadedmetadata=${() => this.seek(stage.offset)}
                @timeupdate=${this.timeUpdate}
                @ended=${this.clipEnded}
                @error=${() => {
                  this._error = this.text("clip_failed");
                }}
              ></video>`
            : nothing
        }
        <span class="caption">${name} · ${this.formatTime(stage.event.start)}</span>
      </div>`;
    }
    if (stage.kind === "live") {
      const camera = this.camera(stage.camera);
      const name = camera?.name ?? "";
      const source = this.picture(camera, true);
      const live = this.streams(camera);
      const said = live ? "live" : source ? "asleep" : "no_picture";
      return html`<div class="stage">
        ${source ? html`<img src=${source} alt=${this.text("live_of", { camera: name })} />` : nothing}
        <span class="caption">
          ${name} · ${this.text(said)} ${live ? html`<i class="dot"></i>` : nothing}
        </span>
      </div>`;
    }
    // Until the rows are there nothing stands below, where it would be pushed away.
    const said = this._cameras ? this.text("no_event_here") : this.status();
    return html`<div class="stage"><span class="caption">${said}</span></div>`;
  }

  private renderBar() {
    const { today } = this;
    return html`<div class="bar">
      <button aria-label=${this.text("previous_day")} @click=${() => this.goTo(shiftDate(this._date, -1))}>
        ‹
      </button>
      <input
        type="date"
        aria-label=${this.text("day")}
        .value=${this._date}
        max=${today}
        @change=${(event: Event) => {
          const { value } = event.target as HTMLInputElement;
          if (value) {
            this.goTo(value);
          }
        }}
      />
      <button
        aria-label=${this.text("next_day")}
        ?disabled=${this._date >= today}
        @click=${() => this.goTo(shiftDate(this._date, 1))}
      >
        ›
      </button>
      <button class="wide" @click=${() => this.goTo(today)}>${this.text("today")}</button>
      <span class="grow"></span>
      <button aria-label=${this.text("zoom_out")} @click=${() => this.zoomButton(2)}>−</button>
      <button aria-label=${this.text("zoom_in")} @click=${() => this.zoomButton(0.5)}>+</button>
    </div>`;
  }

  private renderRow(camera: Camera) {
    const stage = this._stage;
    const here = stage.kind === "clip" && stage.event.camera === camera.id;
    const tile = this.picture(camera, false);
    return html`<div class="row">
      <span class="name">${camera.name}</span>
      <magicpi-timeline-row
        .hass=${this.hass}
        .camera=${camera}
        .events=${this._events.get(camera.id) ?? []}
        .span=${this._view}
        .cursor=${this._cursor}
        .selected=${here ? stage.event.id : null}
        .thumbnails=${this.thumbnails}
        .formatTime=${this.formatTime}
      ></magicpi-timeline-row>
      <button
        class="tile ${stage.kind === "live" && stage.camera === camera.id ? "on" : ""}"
        aria-label=${this.text("live_of", { camera: camera.name })}
        @click=${() => this.live(camera.id)}
      >
        ${tile ? html`<img src=${tile} alt="" />` : nothing}
      </button>
    </div>`;
  }

  private renderAxis() {
    const zone = timeZone(this.hass);
    const length = this._view.end - this._view.start;
    const most = this.clientWidth < 500 ? 5 : 12;
    const format = new Intl.DateTimeFormat(this.hass.locale.language, {
      timeZone: zone,
      hour: "numeric",
      minute: "2-digit",
      hour12: hour12(this.hass),
    });
    return html`<div class="row axis" aria-hidden="true">
      <div class="marks">
        ${ticks(this._view, zone, most).map((at) => {
          const part = (at - this._view.start) / length;
          const edge = part < 0.02 ? "first" : part > 0.98 ? "last" : "";
          return html`<span class=${edge} style="left:${part * 100}%">${format.format(at)}</span>`;
        })}
      </div>
    </div>`;
  }

  static styles = css`
    ha-card {
      overflow: visible;
      /* Rows may be narrower than the page: names go above them on a phone. */
      container-type: inline-size;
    }
    .body {
      padding: 12px;
    }
    .stage {
      position: relative;
      width: 100%;
      aspect-ratio: 4 / 3;
      max-height: 60vh;
      border-radius: 8px;
      overflow: hidden;
      background: #000;
    }
    .stage img,
    .stage video {
      position: absolute;
      inset: 0;
      width: 100%;
      height: 100%;
      object-fit: contain;
    }
    .caption {
      position: absolute;
      top: 8px;
      left: 8px;
      padding: 2px 8px;
      border-radius: 10px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 13px;
      pointer-events: none;
    }
    .dot {
      display: inline-block;
      width: 8px;
      height: 8px;
      border-radius: 4px;
      background: #f44336;
    }
    .bar {
      display: flex;
      gap: 6px;
      align-items: center;
      margin: 10px 0;
    }
    .grow {
      flex: 1;
    }
    button,
    input {
      font: inherit;
      height: 40px;
      min-width: 40px;
      box-sizing: border-box;
      border: 1px solid var(--divider-color, #ccc);
      border-radius: 8px;
      background: var(--card-background-color, #fff);
      color: var(--primary-text-color, #111);
      color-scheme: light dark;
    }
    button {
      cursor: pointer;
      padding: 0 8px;
    }
    button:disabled {
      opacity: 0.4;
      cursor: default;
    }
    .row {
      display: grid;
      grid-template-columns: 110px 1fr 58px;
      gap: 8px;
      align-items: center;
      margin-bottom: 8px;
    }
    .name {
      overflow: hidden;
      text-overflow: ellipsis;
      white-space: nowrap;
      color: var(--primary-text-color, #111);
    }
    .tile {
      padding: 0;
      height: 44px;
      width: 58px;
      overflow: hidden;
      background: #000;
    }
    .tile.on {
      border: 2px solid var(--primary-color, #03a9f4);
    }
    .tile img {
      width: 100%;
      height: 100%;
      object-fit: cover;
      display: block;
    }
    .axis {
      margin: 0;
      height: 18px;
    }
    .marks {
      grid-column: 2;
      position: relative;
      height: 18px;
      overflow: hidden;
    }
    .marks span {
      position: absolute;
      transform: translateX(-50%);
      font-size: 11px;
      color: var(--secondary-text-color, #555);
      white-space: nowrap;
    }
    .marks .first {
      transform: none;
    }
    .marks .last {
      transform: translateX(-100%);
    }
    .hint {
      margin: 6px 0 0;
      min-height: 20px;
      color: var(--secondary-text-color, #555);
    }
    @container (max-width: 500px) {
      .row {
        grid-template-columns: 1fr 58px;
      }
      .row .name {
        grid-column: 1 / -1;
        margin-bottom: -6px;
      }
      .marks {
        grid-column: 1;
      }
      .wide {
        display: none;
      }
    }
  `;
}

customElements.define("magicpi-timeline-card", MagicPiTimelineCard);

interface CustomCards {
  customCards?: { type: string; name: string; description: string; preview: boolean }[];
}

((window as CustomCards).customCards ??= []).push({
  type: "magicpi-timeline-card",
  name: localize(document.documentElement.lang, "name"),
  description: localize(document.documentElement.lang, "description"),
  preview: true,
});
