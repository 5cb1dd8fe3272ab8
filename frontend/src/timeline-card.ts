import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { fetchZones, type Notice } from "./api";
import { type Choices, renderChips } from "./chips";
import { now } from "./clock";
import { loadDateInput } from "./date-picker";
import { Feed } from "./feed";
import { CHECK_IN, CONTINUOUS, FilteredLists, type Filters, NO_FILTERS, NOTHING_SEEN, type Shown } from "./filters";
import { pickerName, type Texts } from "./localize";
import { inherit, leave } from "./resume";
import type { Stage, StageMemory, StageSource } from "./stage";
import { EventStore, lastStarting } from "./store";
import { controls } from "./styles";
import { DAY, daySpan, type Formats, formatsOf, HOUR, localDate, localInstant, readClock, shiftDate, ticks } from "./time";
import type { RowMoment } from "./timeline-row";
import type { ZoneEditor } from "./zone-editor";
import type { Camera, CardConfig, HomeAssistant, RecordedEvent, Span, Zone } from "./types";
import { labels as labelsOf } from "./words";
import { fixed, length, moved, panned, recent, revealed, type Viewport, within, zoomed } from "./viewport";

const SCRUB_DELAY = 150;
const LOAD_DELAY = 200;
const COMPACT_FROM = 5;
const MOST_AT_ONCE = 4;
const NEAR = 15_000;
const KEPT = 2 * DAY;
const LABELS = 12;

type Mode = "recent" | "day" | "week";

/** What a card that is made again goes on with. */
interface Memory {
  mode: Mode;
  port: Viewport;
  source: StageSource;
  cursor: number | null;
  filters: Filters;
  unfolded: boolean;
  editing: string | null;
  stage: StageMemory | null;
  zones: Zone[] | null;
}

/** The cameras on lines, with the clip or the live picture above them. */
class MagicPiTimelineCard extends LitElement {
  static properties = {
    _config: { state: true },
    _mode: { state: true },
    _port: { state: true },
    _source: { state: true },
    _cursor: { state: true },
    _filters: { state: true },
    _unfolded: { state: true },
    _zones: { state: true },
    _editing: { state: true },
    _now: { state: true },
    _dateInput: { state: true },
  };

  _config?: CardConfig;
  _mode: Mode = "recent";
  _port: Viewport = recent(now());
  _source: StageSource = { kind: "none" };
  _cursor: number | null = null;
  _filters: Filters = NO_FILTERS;
  _unfolded = false;
  /** Whether the integration knows zones. */
  _zones = false;
  _editing: string | null = null;
  _now = now();
  _dateInput = false;
  /** How often the card was rendered. */
  renders = 0;

  private _hass?: HomeAssistant;
  private feed?: Feed;
  private release: (() => void) | null = null;
  private store?: EventStore;
  private readonly filtered = new FilteredLists();
  private shown: Shown[] = [];
  private minimapLists: (readonly RecordedEvent[])[] = [];
  private scrub: number | undefined;
  private loadTimer: number | undefined;
  private scrubbing = false;
  private from = 0;
  private inherited: Memory | null = null;
  private width = new ResizeObserver(() => this.requestUpdate());

  static getConfigForm() {
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
      computeLabel: (field: { name: "title" | "entities" }) => pickerName(`form_${field.name}`),
    };
  }

  static getStubConfig(): Partial<CardConfig> {
    return {};
  }

  set hass(hass: HomeAssistant) {
    const before = this._hass;
    this._hass = hass;
    this.feed ??= Feed.of(hass);
    this.feed.update(hass);
    if (!before) {
      this.attach();
      this.requestUpdate();
    }
  }

  get hass(): HomeAssistant {
    return this._hass!;
  }

  setConfig(config: CardConfig): void {
    if (config.entities !== undefined && !Array.isArray(config.entities)) {
      throw new Error("entities must be a list of camera entities");
    }
    this._config = config;
    this.follow();
  }

  getCardSize(): number {
    return 8 + this.cameras.length;
  }

  getGridOptions() {
    return { columns: "full", min_columns: 6 };
  }

  connectedCallback(): void {
    super.connectedCallback();
    this.width.observe(this);
    this.attach();
    void loadDateInput().then((there) => {
      this._dateInput = there;
    });
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.width.disconnect();
    window.clearTimeout(this.scrub);
    window.clearTimeout(this.loadTimer);
    if (this.store && this.feed!.wasLost) {
      leave(this.place, this.memory);
    }
    this.store?.stop();
    this.feed?.removeEventListener("changed", this.changed);
    this.feed?.removeEventListener("ready", this.ready);
    this.feed?.removeEventListener("notice", this.noticed);
    this.feed?.removeEventListener("tick", this.tick);
    window.removeEventListener("magicpi-play", this.asked);
    this.release?.();
    this.release = null;
  }

  private attach(): void {
    const { feed } = this;
    if (!feed || this.release || !this.isConnected) {
      return;
    }
    if (!this.store) {
      inherit<Memory>(this.place, (memory) => this.goOn(memory));
    }
    this.store ??= new EventStore(
      feed,
      () => this.requestUpdate(),
      () => {
        this.settle();
        void this.updateComplete.then(() =>
          this.dispatchEvent(new CustomEvent("magicpi-timeline-loaded", { bubbles: true, composed: true })),
        );
      },
    );
    feed.addEventListener("changed", this.changed);
    feed.addEventListener("ready", this.ready);
    feed.addEventListener("notice", this.noticed);
    feed.addEventListener("tick", this.tick);
    window.addEventListener("magicpi-play", this.asked);
    this.tick();
    this.release = feed.use();
    if (feed.live) {
      this.ready();
    }
  }

  /** Which card this is, to the one that takes its place. */
  private get place(): string {
    return location.pathname + JSON.stringify(this._config);
  }

  private get memory(): Memory {
    const editor = this.renderRoot.querySelector<ZoneEditor>("magicpi-zone-editor");
    return {
      mode: this._mode,
      port: this._port,
      source: this._source,
      cursor: this._cursor,
      filters: this._filters,
      unfolded: this._unfolded,
      editing: this._editing,
      stage: this.stage?.memory ?? null,
      zones: editor?.memory ?? null,
    };
  }

  private goOn(memory: Memory): void {
    [this._mode, this._port, this._source] = [memory.mode, memory.port, memory.source];
    [this._cursor, this._filters] = [memory.cursor, memory.filters];
    [this._unfolded, this._editing] = [memory.unfolded, memory.editing];
    this.from = memory.cursor ?? 0;
    this.inherited = memory;
    this.store?.want(this.wanted());
  }

  private changed = (): void => {
    this.follow();
    this.requestUpdate();
  };

  private ready = (): void => {
    this.tick();
    this.follow();
    this.store!.want(this.wanted());
    this.store!.refresh();
    const first = this.cameras[0];
    if (first && this.hass.user?.is_admin) {
      void fetchZones(this.hass, first.id).then(
        (zones) => {
          this._zones = zones !== null;
        },
        () => undefined,
      );
    }
  };

  private noticed = (event: Event): void => {
    const notice = (event as CustomEvent<Notice>).detail;
    this.store!.noticed(notice);
    if ("event" in this._source && this._source.event.id === notice.event.id) {
      this.reopen(notice.type === "event_deleted" ? null : notice.event);
    }
  };

  /** Take what is open as it is now; null = it is gone. */
  private reopen(event: RecordedEvent | null): void {
    if (!event) {
      this.stopClip();
    } else if (this._source.kind === "clip") {
      this._source = { kind: "clip", event };
    } else if (this._source.kind === "group") {
      this._source = { ...this._source, event };
    }
  }

  /** What is open may have changed or gone while no news came. */
  private settle(): void {
    const open = "event" in this._source ? this._source.event : null;
    const known = open && this.store!.find(open.id);
    if (open && known !== open && (known || this.store!.covers(open))) {
      this.reopen(known ?? null);
    }
  }

  private tick = (): void => {
    const at = now();
    const port = moved(this._port, at, this.clientWidth);
    if (port !== this._port) {
      this._port = port;
      this.store?.trim(port.base.start - KEPT);
    }
    if (Math.floor(at / 60_000) !== Math.floor(this._now / 60_000) || Math.abs(at - this._now) > 60_000) {
      this._now = at;
    }
  };

  /** Another card asks to play an event here. */
  private asked = (event: Event): void => {
    const asked = (event as CustomEvent<RecordedEvent>).detail;
    if (!event.defaultPrevented && this.cameras.some((camera) => camera.id === asked.camera)) {
      event.preventDefault();
      this.play(asked, asked.start);
      this.scrollIntoView({ block: "start", behavior: "smooth" });
    }
  };

  /** Let the store hold what the cameras of the configuration have. */
  private follow(): void {
    this.store?.setCameras(this.cameras.map((camera) => camera.id));
    if (this._source.kind === "none" || (this._source.kind === "live" && !this.camera(this._source.camera))) {
      const first = this.cameras.find((camera) => camera.picture) ?? this.cameras[0];
      if (first) {
        this._source = { kind: "live", camera: first.id };
      }
    }
  }

  private get cameras(): Camera[] {
    const wanted = this._config?.entities;
    const cameras = this.feed?.cameras ?? [];
    return wanted?.length
      ? wanted.flatMap((entity) => cameras.filter((camera) => camera.entity_id === entity))
      : cameras;
  }

  private camera(id: string): Camera | undefined {
    return this.cameras.find((camera) => camera.id === id);
  }

  private get formats(): Formats {
    return formatsOf(this.hass);
  }

  private get texts(): Texts {
    return this.feed!.texts!;
  }

  private get latest(): number {
    return now();
  }

  get _view(): Span {
    return this._port.view;
  }

  set _view(view: Span) {
    this._port = { ...this._port, view };
  }

  private wanted(): Span {
    const { base } = this._port;
    return { start: base.start, end: this._port.follow ? Infinity : base.end };
  }

  private setPort(port: Viewport): void {
    if (port === this._port) {
      return;
    }
    const before = this._port.base;
    this._port = port;
    if (before.start !== port.base.start || before.end !== port.base.end) {
      window.clearTimeout(this.loadTimer);
      this.loadTimer = window.setTimeout(() => this.store?.want(this.wanted()), LOAD_DELAY);
    }
  }

  private show(mode: Mode, date?: string): void {
    const { zone } = this.formats;
    const at = now();
    this._mode = mode;
    const today = localDate(at, zone);
    const day = date && date < today ? date : today;
    if (mode === "recent") {
      this._port = recent(at);
    } else if (mode === "day") {
      this._port = fixed(daySpan(day, zone));
    } else {
      this._port = day === today ? recent(at, 7 * DAY) : fixed(daySpan(shiftDate(day, -6), zone, 7));
    }
    this._cursor = null;
    this.store?.want(this.wanted());
  }

  private get date(): string {
    const { base, follow } = this._port;
    return localDate(follow ? now() : base.end - 1, this.formats.zone);
  }

  private goTo(date: string): void {
    this.show(this._mode === "week" ? "week" : "day", date);
  }

  /** Go to a time of the day that is shown. */
  private jump(time: number): void {
    const at = localInstant(this.date, time, this.formats.zone);
    this.setPort(revealed(this._port, at, this.latest));
    const next = this.neighbor(at - 1, 1);
    if (next && next.start - at < 600_000) {
      this.play(next, next.start);
    } else {
      this._cursor = at;
    }
  }

  private shownOf(camera: Camera): Shown {
    return this.filtered.get(camera.id, this.store?.lists.get(camera.id), this._filters, this.feed!.seen);
  }

  /** The next event of any camera after an instant, or the one before it. */
  private neighbor(at: number, by: number, except?: string): RecordedEvent | null {
    let best: RecordedEvent | null = null;
    for (const camera of this.cameras) {
      const { events } = this.shownOf(camera);
      let index = by > 0 ? lastStarting(events, at) + 1 : lastStarting(events, at);
      while (events[index] && (events[index].id === except || events[index].state === "recording")) {
        index += by;
      }
      const event = events[index];
      if (event && (!best || (by > 0 ? event.start < best.start : event.start > best.start))) {
        best = event;
      }
    }
    return best;
  }

  private async step(by: number): Promise<void> {
    const open = "event" in this._source ? this._source.event : null;
    const at = open?.start ?? this._cursor ?? now();
    let next = this.neighbor(at, by, open?.id);
    if (!next && this._port.base.start > 0 && by < 0 && !this.store!.loading) {
      // What is loaded ends here: one base further
      const { base } = this._port;
      this.setPort(panned(this._port, -length(base), this.latest));
      window.clearTimeout(this.loadTimer);
      this.store!.want(this.wanted());
      await new Promise((done) => this.addEventListener("magicpi-timeline-loaded", done, { once: true }));
      next = this.neighbor(at, by, open?.id);
    }
    if (next) {
      this.play(next, next.start);
    }
  }

  private get stage(): Stage | null {
    return this.renderRoot.querySelector("magicpi-stage");
  }

  private play(event: RecordedEvent, at: number): void {
    this.from = at;
    this._cursor = at;
    this.feed!.seen.add(this.hass, [event]);
    if ("event" in this._source && this._source.event.id === event.id) {
      this.stage?.seek(at);
      if (!this.scrubbing) {
        this.stage?.play();
      }
    } else {
      this._source = { kind: "clip", event };
    }
    this.setPort(revealed(this._port, at, this.latest));
  }

  private live(camera: string): void {
    this._cursor = null;
    this._source = { kind: "live", camera };
  }

  private stopClip(): void {
    if ("event" in this._source) {
      this.live(this._source.event.camera);
    }
  }

  /** The clips of other cameras at the moment of the one that is open. */
  private simultaneous(event: RecordedEvent): RecordedEvent[] {
    const found = [event];
    for (const camera of this.cameras) {
      if (camera.id !== event.camera && found.length < MOST_AT_ONCE) {
        const other = (this.store?.lists.get(camera.id) ?? []).findLast(
          (one) =>
            one.reason !== CONTINUOUS && one.start <= event.end + NEAR && one.end >= event.start - NEAR,
        );
        if (other) {
          found.push(other);
        }
      }
    }
    return found;
  }

  private group(): void {
    if (this._source.kind === "group") {
      this._source = { kind: "clip", event: this._source.event };
    } else if (this._source.kind === "clip") {
      const { event } = this._source;
      this.from = this._cursor ?? event.start;
      this._source = { kind: "group", event, events: this.simultaneous(event) };
    }
  }

  private rowPlay(event: CustomEvent<RowMoment>): void {
    const { camera, at, event: found } = event.detail;
    window.clearTimeout(this.scrub);
    this.scrubbing = false;
    const { events } = this.shownOf(this.camera(camera)!);
    const target = found ?? events[lastStarting(events, at) + 1];
    if (target) {
      this.play(target, Math.max(at, target.start));
    } else {
      this.live(camera);
    }
  }

  private rowScrub(event: CustomEvent<RowMoment>): void {
    const { at, event: found } = event.detail;
    this._cursor = at;
    window.clearTimeout(this.scrub);
    this.scrubbing = true;
    this.stage?.pause();
    if (!found) {
      return;
    }
    if ("event" in this._source && this._source.event.id === found.id) {
      this.stage?.seek(at);
    } else {
      // Many clips lie below a moving finger: only where it stays one is opened.
      this.scrub = window.setTimeout(() => this.play(found, at), SCRUB_DELAY);
    }
  }

  private zoom(factor: number, around: number): void {
    this.setPort(zoomed(this._port, factor, around));
  }

  private zoomButton(factor: number): void {
    const { view } = this._port;
    const inside = this._cursor !== null && within(this._cursor, view);
    this.zoom(factor, inside ? this._cursor! : (view.start + view.end) / 2);
  }

  private ended(): void {
    if (this._source.kind === "clip") {
      const { event } = this._source;
      const camera = this.camera(event.camera);
      const { events } = camera ? this.shownOf(camera) : { events: [] };
      const next = events[events.findIndex((known) => known.id === event.id) + 1];
      if (next && next.state !== "recording") {
        this.play(next, next.start);
      }
    }
  }

  protected shouldUpdate(changed: PropertyValues): boolean {
    // Requests without a changed property come from the feed and the store
    return Boolean(this._config) && (changed.size === 0 || Boolean(this.feed));
  }

  protected updated(): void {
    if (this.feed?.texts) {
      this.inherited = null;
    }
  }

  protected render() {
    this.renders++;
    const { feed } = this;
    if (!feed?.texts) {
      return html`<ha-card><div class="body"><div class="blank"></div></div></ha-card>`;
    }
    const { texts, cameras } = this;
    if (this._editing && this.camera(this._editing)) {
      return html`<ha-card .header=${this._config!.title}>
        <div class="body">
          <magicpi-zone-editor
            .feed=${feed}
            .camera=${this.camera(this._editing)}
            .texts=${texts}
            .inherited=${this.inherited?.zones ?? null}
            @zones-close=${() => {
              this._editing = null;
            }}
          ></magicpi-zone-editor>
        </div>
      </ha-card>`;
    }
    return html`
      <ha-card .header=${this._config!.title}>
        <div class="body">
          ${this.renderStage()} ${this.renderBar()}
          ${renderChips(this._filters, this.choices(), texts, (filters) => {
            this._filters = filters;
          })}
          ${
            feed.cameras && !cameras.length
              ? html`<p class="hint">${texts.get(feed.cameras.length ? "no_camera" : "no_cameras")}</p>`
              : nothing
          }
          ${cameras.length ? this.renderRows() : nothing}
          ${feed.cameras ? html`<p class="hint" role="status">${this.status()}</p>` : nothing}
        </div>
      </ha-card>
    `;
  }

  private renderStage() {
    const source = this._source;
    const event = "event" in source ? source.event : null;
    const camera = source.kind === "live" ? this.camera(source.camera) : undefined;
    const info = camera
      ? JSON.stringify([this.feed!.info(camera), this.feed!.picture(camera), camera])
      : event && JSON.stringify(this.camera(event.camera));
    return html`<magicpi-stage
      .feed=${this.feed}
      .inherited=${this.inherited?.stage ?? null}
      .from=${this.from}
      .scrubbing=${this.scrubbing}
      .source=${source}
      .texts=${this.texts}
      .formats=${this.formats}
      .info=${info}
      .now=${this._now}
      .canGroup=${event !== null && this.simultaneous(event).length > 1}
      .canZones=${this._zones}
      @stage-time=${(time: CustomEvent<{ at: number }>) => {
        this._cursor = time.detail.at;
      }}
      @stage-ended=${this.ended}
      @stage-step=${(step: CustomEvent<{ by: number }>) => void this.step(step.detail.by)}
      @stage-group=${this.group}
      @stage-close=${this.stopClip}
      @stage-zones=${() => {
        this._editing = camera?.id ?? null;
      }}
    ></magicpi-stage>`;
  }

  private choices(): Choices {
    const labels = new Map<string, number>();
    const zones = new Map<string, number>();
    const reasons = new Set<string>();
    let [nothingSeen, continuous] = [false, false];
    for (const list of this.store!.lists.values()) {
      for (const event of list) {
        for (const label of labelsOf(event)) {
          labels.set(label, (labels.get(label) ?? 0) + 1);
        }
        for (const zone of event.zones ?? []) {
          zones.set(zone, (zones.get(zone) ?? 0) + 1);
        }
        nothingSeen ||= event.verdict === NOTHING_SEEN;
        if (event.reason === CONTINUOUS) {
          continuous = true;
        } else if (event.reason !== CHECK_IN) {
          reasons.add(event.reason);
        }
      }
    }
    const common = (names: Map<string, number>, chosen: readonly string[]) => {
      const most = [...names].sort(([, one], [, two]) => two - one).slice(0, LABELS);
      return [...new Set([...most.map(([name]) => name), ...chosen])].sort();
    };
    return {
      cameras: this.cameras,
      labels: common(labels, this._filters.labels),
      zones: common(zones, this._filters.zones),
      reasons: [...new Set([...reasons, ...this._filters.reasons])].sort(),
      nothingSeen,
      continuous,
    };
  }

  private status(): string {
    const { texts, formats } = this;
    const { store, feed } = this;
    if (!feed!.live) {
      return texts.get("waiting");
    }
    if (store!.error) {
      return texts.get("failed", { error: store!.error });
    }
    if (store!.loading || !feed!.cameras) {
      return texts.get("loading");
    }
    const count = this.shown.reduce((sum, { events }) => sum + this.inBase(events), 0);
    return count ? texts.count("events", count, formats) : texts.get("no_events");
  }

  /** How many events of a list are in the stretch that is shown. */
  private inBase(events: readonly RecordedEvent[]): number {
    const { base, follow } = this._port;
    const end = follow ? Infinity : base.end;
    let first = lastStarting(events, base.start);
    while (first >= 0 && events[first].end >= base.start) {
      first--;
    }
    return Math.max(0, lastStarting(events, end) - first);
  }

  private renderBar() {
    const { texts, date, formats } = this;
    const today = localDate(now(), formats.zone);
    const picked = (value: string | undefined) => {
      if (value && /^\d{4}-\d{2}-\d{2}/.test(value)) {
        this.goTo(value.slice(0, 10));
      }
    };
    const mode = (name: Mode, label: string) => html`<button
      class=${this._mode === name ? "on" : ""}
      aria-pressed=${this._mode === name}
      @click=${() => this.show(name, name === "recent" ? undefined : date)}
    >
      ${label}
    </button>`;
    const by = this._mode === "week" ? 7 : 1;
    return html`<div class="bar">
      <span class="modes" role="group" aria-label=${texts.get("span")}>
        ${mode("recent", texts.get("recent"))} ${mode("day", texts.get("day"))} ${mode("week", texts.get("week"))}
      </span>
      <span class="dates">
        <button
          class="icon"
          aria-label=${texts.get("previous_day")}
          @click=${() => this.goTo(shiftDate(date, this._mode === "recent" ? -1 : -by))}
        >
          <ha-icon icon="mdi:chevron-left"></ha-icon>
        </button>
        ${
          this._dateInput
            ? html`<ha-date-input
                .label=${texts.get("date")}
                .locale=${this.hass.locale}
                .value=${date}
                .max=${today}
                @value-changed=${(event: CustomEvent<{ value?: string }>) => {
                  event.stopPropagation();
                  if (event.detail.value !== date) {
                    picked(event.detail.value);
                  }
                }}
              ></ha-date-input>`
            : html`<input
                type="date"
                aria-label=${texts.get("date")}
                .value=${date}
                max=${today}
                @change=${(event: Event) => picked((event.target as HTMLInputElement).value)}
              />`
        }
        <button
          class="icon"
          aria-label=${texts.get("next_day")}
          ?disabled=${date >= today}
          @click=${() => this.goTo(shiftDate(date, by))}
        >
          <ha-icon icon="mdi:chevron-right"></ha-icon>
        </button>
      </span>
      <input
        class="jump"
        autocomplete="off"
        placeholder=${formats.clock(localInstant(date, 12 * HOUR, formats.zone))}
        aria-label=${texts.get("jump")}
        title=${texts.get("jump")}
        @change=${(event: Event) => {
          const input = event.target as HTMLInputElement;
          const at = readClock(input.value);
          input.ariaInvalid = String(at === null && input.value.trim() !== "");
          if (at !== null) {
            this.jump(at);
          }
        }}
      />
      <span class="grow"></span>
      <span class="zooms">
      <button class="icon" aria-label=${texts.get("zoom_out")} @click=${() => this.zoomButton(2)}>
        <ha-icon icon="mdi:magnify-minus-outline"></ha-icon>
      </button>
      <button class="icon" aria-label=${texts.get("zoom_in")} @click=${() => this.zoomButton(0.5)}>
        <ha-icon icon="mdi:magnify-plus-outline"></ha-icon>
      </button>
      </span>
    </div>`;
  }

  private renderRows() {
    const all = this.cameras.filter(
      (camera) => !this._filters.cameras.length || this._filters.cameras.includes(camera.id),
    );
    this.shown = all.map((camera) => this.shownOf(camera));
    const compact = all.length >= COMPACT_FROM;
    const filled = all.filter((_, index) => this.inBase(this.shown[index].events) > 0);
    // While events are loading, rows would come and go
    const folds = compact && !this._unfolded && !this.store!.loading && filled.length < all.length;
    const lists = this.shown.map(({ events }) => events);
    if (lists.length !== this.minimapLists.length || lists.some((list, at) => list !== this.minimapLists[at])) {
      this.minimapLists = lists;
    }
    const theme = JSON.stringify(this.hass.themes?.darkMode) + (this.hass.themes?.theme ?? "");
    return html`<div
      class="rows ${compact ? "compact" : ""}"
      @row-play=${this.rowPlay}
      @row-scrub=${this.rowScrub}
      @row-zoom=${(event: CustomEvent<{ factor: number; around: number }>) =>
        this.zoom(event.detail.factor, event.detail.around)}
      @row-pan=${(event: CustomEvent<{ by: number }>) =>
        this.setPort(panned(this._port, event.detail.by, this.latest))}
      @row-pause=${() => this.stage?.toggle()}
    >
      ${this.renderLines()}
      ${repeat(
        folds ? filled : all,
        (camera) => camera.id,
        (camera) => this.renderRow(camera, compact, theme),
      )}
      ${this.renderAxis()}
      <div class="row map">
        <magicpi-minimap
          .lists=${this.minimapLists}
          .base=${this._port.base}
          .view=${this._port.view}
          .theme=${theme}
        ></magicpi-minimap>
      </div>
      ${
        compact && filled.length < all.length
          ? html`<button
              class="fold"
              aria-expanded=${this._unfolded}
              @click=${() => {
                this._unfolded = !this._unfolded;
              }}
            >
              ${
                this._unfolded
                  ? this.texts.get("fold")
                  : this.texts.count("unfold", all.length - filled.length, this.formats)
              }
            </button>`
          : nothing
      }
    </div>`;
  }

  /** Where the card stands and where now is: over all rows, so that they are not drawn for it. */
  private renderLines() {
    const { view } = this._port;
    const line = (at: number | null, name: string) =>
      at !== null && within(at, view)
        ? html`<i class=${name} style="transform:translateX(${((at - view.start) / length(view)) * 100}%)"></i>`
        : nothing;
    return html`<div class="row lines" aria-hidden="true">
      <div class="over">${line(now(), "now")} ${line(this._cursor, "cursor")}</div>
    </div>`;
  }

  private renderRow(camera: Camera, compact: boolean, theme: string) {
    const source = this._source;
    const here = "event" in source && source.event.camera === camera.id;
    const { events, bands } = this.shownOf(camera);
    const picture = compact ? null : this.feed!.picture(camera);
    return html`<div class="row">
      <span class="name" title=${camera.name}>${camera.name}</span>
      <magicpi-timeline-row
        .feed=${this.feed}
        .camera=${camera.id}
        .name=${camera.name}
        .events=${events}
        .bands=${bands}
        .span=${this._port.view}
        .cursor=${this._cursor}
        .selected=${here ? source.event.id : null}
        .formats=${this.formats}
        .texts=${this.texts}
        .seenVersion=${this.feed!.seen.version}
        .theme=${theme}
      ></magicpi-timeline-row>
      <button
        class="tile ${source.kind === "live" && source.camera === camera.id ? "on" : ""}"
        aria-label=${this.texts.get("live_of", { camera: camera.name })}
        @click=${() => this.live(camera.id)}
      >
        ${
          compact
            ? html`<ha-icon icon="mdi:cctv"></ha-icon>`
            : picture
              ? html`<img src=${picture.url} alt="" />`
              : nothing
        }
      </button>
    </div>`;
  }

  private renderAxis() {
    const { formats } = this;
    const { view } = this._port;
    const most = this.clientWidth < 500 ? 4 : 12;
    const marks = ticks(view, formats.zone, most);
    const days = length(view) > 2 * DAY;
    return html`<div class="row axis" aria-hidden="true">
      <div class="marks">
        ${repeat(marks, (at) => at, (at) => {
          const part = (at - view.start) / length(view);
          const edge = part < 0.03 ? "first" : part > 0.97 ? "last" : "";
          return html`<span class=${edge} style="left:${part * 100}%">
            ${days ? formats.weekday(at) : formats.clock(at)}
          </span>`;
        })}
      </div>
    </div>`;
  }

  static styles = [
    controls,
    css`
      :host {
        display: block;
        /* What scrolls here stays below the bar of Home Assistant's page. */
        scroll-margin-top: calc(var(--header-height, 56px) + 8px);
      }
      ha-card {
        overflow: visible;
        /* Rows may be narrower than the page: names go above them on a phone. */
        container-type: inline-size;
      }
      .body {
        padding: 12px;
      }
      .blank {
        aspect-ratio: 4 / 3;
        max-height: 52vh;
        border-radius: 8px;
        background: #000;
      }
      .bar,
      .chips {
        display: flex;
        gap: 6px;
        align-items: center;
        margin: 8px 0;
      }
      .bar {
        flex-wrap: wrap;
      }
      .modes,
      .dates {
        display: flex;
        align-items: center;
      }
      .dates {
        /* The date field comes a moment later. */
        min-width: 236px;
        height: 56px;
        justify-content: space-between;
      }
      .modes button {
        border-radius: 0;
        margin-inline-start: -1px;
      }
      .modes button:first-child {
        border-start-start-radius: 10px;
        border-end-start-radius: 10px;
      }
      .modes button:last-child {
        border-start-end-radius: 10px;
        border-end-end-radius: 10px;
      }
      ha-date-input {
        width: 156px;
        /* Its label is too faint on a dark field. */
        --secondary-text-color: var(--primary-text-color);
      }
      .jump {
        width: 88px;
        padding: 0 12px;
      }
      .jump[aria-invalid="true"] {
        border-color: var(--error-color, #db4437);
      }
      .grow {
        flex: 1;
      }
      .chips {
        overflow-x: auto;
        scrollbar-width: thin;
        padding: 2px;
      }
      .chip {
        flex: none;
        border-radius: 20px;
        padding: 0 12px;
      }
      .rows {
        position: relative;
        --row-height: 44px;
      }
      .rows.compact {
        --row-height: 24px;
      }
      .row {
        display: grid;
        grid-template-columns: 110px 1fr 58px;
        gap: 8px;
        align-items: center;
        margin-bottom: 8px;
      }
      .compact .row {
        margin-bottom: 4px;
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
        color: #fff;
      }
      .compact .tile {
        height: 24px;
        min-height: 24px;
        background: none;
        border-color: transparent;
        color: var(--secondary-text-color, #555);
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
      .lines {
        position: absolute;
        inset: 0;
        margin: 0;
        pointer-events: none;
        z-index: 2;
      }
      .over,
      .marks,
      .map magicpi-minimap {
        grid-column: 2;
      }
      .over {
        position: relative;
        height: 100%;
        overflow: clip;
        direction: ltr;
      }
      .over i {
        /* As wide as the row, so that a share of itself is a share of the row. */
        position: absolute;
        inset: 0;
        border-left: 2px solid var(--primary-text-color, #111);
      }
      .over .now {
        border-left: 1px solid var(--error-color, #db4437);
      }
      .marks {
        position: relative;
        height: 18px;
        overflow: hidden;
        direction: ltr;
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
      .map {
        margin: 2px 0 0;
      }
      .fold {
        margin-top: 8px;
        border: none;
        background: none;
        color: var(--secondary-text-color, #555);
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
          /* The lines for now and for the clip pass behind it. */
          position: relative;
          z-index: 3;
          grid-column: 1 / -1;
          justify-self: start;
          max-width: 100%;
          margin-bottom: -6px;
          background: var(--card-background-color, #fff);
        }
        .compact .row {
          grid-template-columns: 72px 1fr 40px;
        }
        .compact .row .name {
          grid-column: 1;
          justify-self: stretch;
          margin: 0;
          font-size: 12px;
        }
        .compact .tile {
          width: 40px;
        }
        .zooms {
          order: 1;
        }
        .dates,
        .jump {
          order: 2;
        }
        .over,
        .marks,
        .map magicpi-minimap {
          grid-column: 1;
        }
        .compact :is(.over, .marks, magicpi-minimap) {
          grid-column: 2;
        }
      }
    `,
  ];
}

customElements.define("magicpi-timeline-card", MagicPiTimelineCard);
