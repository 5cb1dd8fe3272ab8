import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { act, errorText, SHARE_EXPIRES, signPath } from "./api";
import type { Feed } from "./feed";
import type { ClipGroup } from "./group";
import type { Texts } from "./localize";
import type { ClipPlayer } from "./player";
import { controls } from "./styles";
import type { Formats } from "./time";
import type { Camera, RecordedEvent } from "./types";
import { facts } from "./words";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

export type StageSource =
  | { kind: "none" }
  | { kind: "live"; camera: string }
  | { kind: "clip"; event: RecordedEvent }
  | { kind: "group"; event: RecordedEvent; events: readonly RecordedEvent[] };

/** What a stage that is made again goes on with. */
export interface StageMemory {
  panel: Stage["_panel"];
  problem: string | null;
  rate: number;
  paused: boolean;
  draft: Draft;
}

/** What is being written and not saved yet. */
interface Draft {
  labels?: string;
  note?: string;
}

/** What is watched: the live picture, a clip, or several at once; with all that one can do with it. */
export class Stage extends LitElement {
  static properties = {
    source: { attribute: false },
    texts: { attribute: false },
    formats: { attribute: false },
    info: { attribute: false },
    now: { attribute: false },
    canGroup: { attribute: false },
    canZones: { attribute: false },
    _panel: { state: true },
    _paused: { state: true },
    _rate: { state: true },
    _at: { state: true },
    _busy: { state: true },
    _problem: { state: true },
    _stream: { state: true },
  };

  feed!: Feed;
  source: StageSource = { kind: "none" };
  texts!: Texts;
  formats!: Formats;
  /** Changes when something about the camera has. */
  info: unknown;
  now = 0;
  canGroup = false;
  canZones = false;
  from = 0;
  scrubbing = false;
  /** What the stage before this one showed; taken once. */
  inherited: StageMemory | null = null;
  _panel: "none" | "edit" | "delete" = "none";
  _paused = true;
  _rate = 1;
  _at = 0;
  _busy = false;
  _problem: string | null = null;
  _stream: { camera: string; url: string } | null = null;

  private draft: Draft = {};
  private held = false;

  static styles = [
    controls,
    css`
      :host {
        display: block;
        container-type: inline-size;
      }
      .stage {
        position: relative;
        width: 100%;
        aspect-ratio: 4 / 3;
        max-height: 52vh;
        border-radius: 8px;
        overflow: hidden;
        background: #000;
      }
      .stage:fullscreen {
        max-height: none;
        border-radius: 0;
      }
      .stage > img {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        object-fit: contain;
      }
      .caption {
        position: absolute;
        z-index: 1;
        top: 8px;
        inset-inline-start: 8px;
        display: flex;
        align-items: center;
        box-sizing: border-box;
        max-width: calc(100% - 16px);
        padding: 2px 8px;
        border-radius: 10px;
        background: rgb(0 0 0 / 65%);
        color: #fff;
        font-size: 13px;
        white-space: nowrap;
        pointer-events: none;
      }
      .caption span {
        overflow: hidden;
        text-overflow: ellipsis;
      }
      .caption .name {
        /* Where there is no room for all, the last facts go first. */
        flex: none;
        max-width: 50%;
      }
      .dot {
        flex: none;
        margin-inline-start: 6px;
        width: 8px;
        height: 8px;
        border-radius: 4px;
        background: #f44336;
      }
      .bar,
      .panel {
        display: flex;
        flex-wrap: wrap;
        gap: 2px;
        align-items: center;
        min-height: 40px;
      }
      .panel {
        gap: 8px;
        padding: 4px 0;
      }
      .panel textarea,
      .panel input {
        flex: 1 1 200px;
        padding: 8px;
      }
      .panel label {
        display: flex;
        flex: 1 1 260px;
        gap: 8px;
        align-items: center;
      }
      .ends {
        display: flex;
        gap: 8px;
      }
      input[type="range"] {
        flex: 1 1 100px;
        min-width: 80px;
        border: none;
        background: none;
        accent-color: var(--primary-color, #03a9f4);
      }
      .about {
        flex: 1 1 240px;
        margin: 0;
        min-height: 20px;
        color: var(--secondary-text-color, #555);
        overflow-wrap: anywhere;
      }
      .about b {
        color: var(--primary-text-color, #111);
        font-weight: 500;
      }
      .about.pending {
        flex: 1 1 0;
        --mdc-icon-size: 18px;
      }
      @container (max-width: 500px) {
        .bar input[type="range"],
        .about.pending:has(ha-icon) {
          order: 1;
          flex-basis: 100%;
        }
        .about {
          flex-basis: 100%;
        }
        .spread {
          justify-content: space-between;
        }
        .panel label {
          flex-direction: column;
          align-items: stretch;
          gap: 4px;
        }
        .panel label :is(input, textarea) {
          flex: none;
        }
      }
      .danger {
        color: var(--error-color, #c62828);
      }
    `,
  ];

  protected willUpdate(changed: PropertyValues): void {
    if (changed.has("source")) {
      const before = changed.get("source") as StageSource | undefined;
      const id = (source?: StageSource) => source && "event" in source && source.event.id;
      if (id(before) !== id(this.source)) {
        this._panel = "none";
        this._problem = null;
        this._at = this.from;
        this.draft = {};
        this.held = false;
      }
    }
    if (this.inherited) {
      const { panel, problem, rate, paused, draft } = this.inherited;
      [this._panel, this._problem, this._rate] = [panel, problem, rate];
      this._paused = this.held = paused;
      this.draft = draft;
      this.inherited = null;
    }
    this.findStream();
  }

  public get memory(): StageMemory {
    const { _panel: panel, _problem: problem, _rate: rate, _paused: paused, draft } = this;
    return { panel, problem, rate, paused, draft };
  }

  /** Keep the address of a live stream while it runs: its token changes, the stream goes on. */
  private findStream(): void {
    const camera = this.source.kind === "live" ? this.feed.camera(this.source.camera) : undefined;
    if (!camera || !this.feed.info(camera).streaming) {
      this._stream = null;
    } else if (this._stream?.camera !== camera.id) {
      const state = this.feed.hass.states[camera.entity_id!];
      const picture = state?.attributes.entity_picture;
      this._stream =
        typeof picture === "string"
          ? {
              camera: camera.id,
              url: this.feed.hass.hassUrl(picture.replace("/camera_proxy/", "/camera_proxy_stream/")),
            }
          : null;
    }
  }

  private get player(): ClipPlayer | ClipGroup | null {
    return this.renderRoot.querySelector("magicpi-clip-player, magicpi-clip-group");
  }

  /** The event that is shown. */
  private get event(): RecordedEvent | null {
    return "event" in this.source ? this.source.event : null;
  }

  public seek(at: number): void {
    this.player?.seek(at);
  }

  public play(): void {
    this.player?.play();
    this._paused = false;
  }

  public pause(): void {
    this.player?.pause();
    this._paused = true;
  }

  public toggle(): void {
    if (this.player?.paused) {
      this.play();
    } else {
      this.pause();
    }
  }

  private ask(type: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  private timed(event: CustomEvent<{ at: number }>): void {
    this._at = event.detail.at;
    this.ask("stage-time", event.detail);
  }

  private async fullscreen(): Promise<void> {
    const stage = this.renderRoot.querySelector(".stage")!;
    if (document.fullscreenElement) {
      await document.exitFullscreen();
    } else if ("requestFullscreen" in stage) {
      await stage.requestFullscreen();
    } else {
      // An iPhone shows nothing but videos on its full screen
      const video = this.player?.shadowRoot?.querySelector("video");
      (video as unknown as { webkitEnterFullscreen?: () => void } | null)?.webkitEnterFullscreen?.();
    }
  }

  /** Do something with the event; what goes wrong is shown. */
  private async attempt(work: () => Promise<unknown>): Promise<void> {
    this._busy = true;
    this._problem = null;
    try {
      await work();
      this._panel = "none";
    } catch (error) {
      this._problem = await errorText(this.feed.hass, this.texts, error);
    } finally {
      this._busy = false;
    }
  }

  private protect(event: RecordedEvent): Promise<void> {
    return this.attempt(() =>
      act(this.feed.hass, event.protected ? "unprotect" : "protect", { event_id: event.id }),
    );
  }

  private save(event: RecordedEvent): Promise<void> {
    const value = (name: string) =>
      this.renderRoot.querySelector<HTMLInputElement>(`.panel [name=${name}]`)!.value.trim();
    const labels = value("labels")
      .split(",")
      .map((label) => label.trim())
      .filter(Boolean);
    return this.attempt(() =>
      act(this.feed.hass, "label_event", {
        event_id: event.id,
        labels: [...new Set(labels)],
        description: value("note"),
      }),
    );
  }

  private deleteEvent(event: RecordedEvent): Promise<void> {
    return this.attempt(() => act(this.feed.hass, "delete_event", { event_id: event.id }));
  }

  private download(event: RecordedEvent): Promise<void> {
    return this.attempt(async () => {
      const url = await signPath(this.feed.hass, `${event.clip}?download=1`, 300);
      const link = document.createElement("a");
      link.href = url;
      link.download = "";
      link.click();
    });
  }

  private share(event: RecordedEvent): Promise<void> {
    return this.attempt(async () => {
      const path = await signPath(this.feed.hass, event.clip, SHARE_EXPIRES);
      const url = new URL(path, location.href).href;
      const title = `${this.feed.camera(event.camera)?.name ?? ""} ${this.formats.dateTime(event.start)}`;
      if (navigator.share) {
        await navigator.share({ title, url }).catch((error: Error) => {
          if (error.name !== "AbortError") {
            throw error;
          }
        });
      } else {
        await copy(url);
        this.dispatchEvent(
          new CustomEvent("hass-notification", {
            detail: { message: this.texts.get("link_copied") },
            bubbles: true,
            composed: true,
          }),
        );
      }
    });
  }

  protected render() {
    return html`
      <div class="stage">${this.renderPicture()}</div>
      ${this.renderBar()} ${this.renderPanel()}
      ${this._problem ? html`<p class="about danger" role="alert">${this._problem}</p>` : nothing}
    `;
  }

  private renderPicture() {
    const { source, texts, formats } = this;
    if (source.kind === "clip" || source.kind === "group") {
      const name = this.feed.camera(source.event.camera)?.name ?? "";
      const timed = (event: CustomEvent<{ at: number }>) => this.timed(event);
      const changed = () => {
        this._paused = this.player?.paused ?? true;
      };
      if (source.kind === "group") {
        return html`<magicpi-clip-group
          .feed=${this.feed}
          .events=${source.events}
          .texts=${texts}
          .formats=${formats}
          .rate=${this._rate}
          .at=${this.from}
          @player-time=${timed}
          @player-state=${changed}
        ></magicpi-clip-group>`;
      }
      return html`<magicpi-clip-player
          .feed=${this.feed}
          .from=${this.from}
          .playing=${!this.scrubbing && !this.held}
          .event=${source.event}
          .texts=${texts}
          .formats=${formats}
          .name=${name}
          .rate=${this._rate}
          @player-time=${timed}
          @player-state=${changed}
          @player-ended=${() => {
            // The next clip would take a note away that is being written
            if (this._panel === "none") {
              this.ask("stage-ended");
            }
          }}
        ></magicpi-clip-player>
        <span class="caption"><span>${name}</span></span>`;
    }
    if (source.kind === "live") {
      const camera = this.feed.camera(source.camera);
      return camera ? this.renderLive(camera) : nothing;
    }
    return html`<span class="caption"><span>${texts.get("no_event_here")}</span></span>`;
  }

  private renderLive(camera: Camera) {
    const { texts, formats } = this;
    const info = this.feed.info(camera);
    const picture = this.feed.picture(camera);
    const url = info.streaming ? (this._stream?.url ?? picture?.url) : picture?.url;
    const status = info.status ? this.feed.hass.formatEntityState(info.status) : "";
    const said = info.streaming
      ? [texts.get("live")]
      : picture
        ? [
            status,
            picture.at && texts.get("picture_age", { age: formats.relative(picture.at, this.now) }),
            info.nextCheckIn &&
              info.nextCheckIn > this.now &&
              texts.get("next_check_in", { time: formats.clock(info.nextCheckIn) }),
          ]
        : [status, texts.get("no_picture")];
    return html`
      ${
        url
          ? html`<img
              src=${url}
              alt=${texts.get("live_of", { camera: camera.name })}
              @error=${() => {
                this._stream = null;
              }}
            />`
          : nothing
      }
      <span class="caption">
        <span class="name">${camera.name}</span>
        <span>${said.filter(Boolean).map((fact) => `\u00a0· ${fact}`)}</span>
        ${info.streaming ? html`<i class="dot"></i>` : nothing}
      </span>
    `;
  }

  private button(icon: string, label: string, click: () => void, options: { off?: boolean; pressed?: boolean } = {}) {
    return html`<button
      class="icon"
      aria-label=${label}
      title=${label}
      aria-pressed=${options.pressed === undefined ? nothing : options.pressed}
      ?disabled=${options.off ?? false}
      @click=${click}
    >
      <ha-icon icon=${icon}></ha-icon>
    </button>`;
  }

  private renderBar() {
    const { event, texts } = this;
    const step = (by: number) => this.ask("stage-step", { by });
    const sides = {
      before: this.button("mdi:skip-previous", texts.get("previous_event"), () => step(-1)),
      after: this.button("mdi:skip-next", texts.get("next_event"), () => step(1)),
    };
    if (!event) {
      const camera = this.source.kind === "live" ? this.feed.camera(this.source.camera) : undefined;
      const pending = camera && this.feed.info(camera).pending;
      return html`<div class="bar">
        ${sides.before} ${sides.after}
        <span class="about pending">
          ${pending ? html`<ha-icon icon="mdi:email-arrow-right-outline"></ha-icon> ${pending}` : nothing}
        </span>
        ${
          this.canZones && camera?.picture
            ? this.button("mdi:vector-polygon", texts.get("zones"), () => this.ask("stage-zones"))
            : nothing
        }
        ${
          camera
            ? this.button("mdi:fullscreen", texts.get("fullscreen"), () => void this.fullscreen())
            : nothing
        }
      </div>`;
    }
    const camera = this.feed.camera(event.camera);
    const grouped = this.source.kind === "group";
    const ends =
      this.source.kind === "group"
        ? [
            Math.min(...this.source.events.map((one) => one.start)),
            Math.max(...this.source.events.map((one) => one.end)),
          ]
        : [event.start, event.end];
    return html`
      <div class="bar">
        ${sides.before}
        ${this.button(
          this._paused ? "mdi:play" : "mdi:pause",
          texts.get(this._paused ? "play" : "pause"),
          () => this.toggle(),
        )}
        ${sides.after}
        ${this.button("mdi:step-backward", texts.get("frame_back"), () => this.player?.step(-1))}
        ${this.button("mdi:step-forward", texts.get("frame_on"), () => this.player?.step(1))}
        <input
          type="range"
          aria-label=${texts.get("position")}
          aria-valuetext=${this.formats.time(this._at)}
          min=${ends[0]}
          max=${ends[1]}
          step="10"
          .value=${String(this._at)}
          @input=${(input: Event) => this.seek(Number((input.target as HTMLInputElement).value))}
        />
        <select
          aria-label=${texts.get("speed")}
          @change=${(change: Event) => {
            this._rate = Number((change.target as HTMLSelectElement).value);
          }}
        >
          ${SPEEDS.map((speed) => html`<option value=${speed} ?selected=${speed === this._rate}>${speed}×</option>`)}
        </select>
        ${
          this.canGroup || grouped
            ? this.button("mdi:view-grid-outline", texts.get("all_at_once"), () => this.ask("stage-group"), {
                pressed: grouped,
              })
            : nothing
        }
        ${this.button("mdi:fullscreen", texts.get("fullscreen"), () => void this.fullscreen())}
      </div>
      <div class="bar spread">
        <p class="about">
          <b>${camera?.name} · ${this.formats.dateTime(event.start)}</b> · ${facts(event, texts).join(" · ")}
          ${event.description ? html`<br />${event.description}` : nothing}
        </p>
        ${
          this.feed.may(camera, "control")
            ? html`${this.button(
                event.protected ? "mdi:lock" : "mdi:lock-open-variant-outline",
                texts.get(event.protected ? "unprotect" : "protect"),
                () => void this.protect(event),
                { off: this._busy, pressed: event.protected },
              )}
              ${this.button(
                "mdi:tag-outline",
                texts.get("label"),
                () => {
                  this._panel = this._panel === "edit" ? "none" : "edit";
                  this.draft = {};
                },
                { pressed: this._panel === "edit" },
              )}`
            : nothing
        }
        ${this.button("mdi:download", texts.get("download"), () => void this.download(event), { off: this._busy })}
        ${this.button("mdi:share-variant", texts.get("share"), () => void this.share(event), { off: this._busy })}
        ${
          this.feed.may(camera, "edit")
            ? this.button(
                "mdi:delete-outline",
                texts.get("delete"),
                () => {
                  this._panel = this._panel === "delete" ? "none" : "delete";
                },
                { pressed: this._panel === "delete" },
              )
            : nothing
        }
        ${this.button("mdi:close", texts.get("close"), () => this.ask("stage-close"))}
      </div>
    `;
  }

  private written = (input: Event): void => {
    const { name, value } = input.target as HTMLInputElement;
    this.draft[name as keyof Draft] = value;
  };

  private renderPanel() {
    const { event, texts } = this;
    if (!event || this._panel === "none") {
      return nothing;
    }
    const cancel = html`<button
      @click=${() => {
        this._panel = "none";
      }}
    >
      ${texts.get("cancel")}
    </button>`;
    if (this._panel === "delete") {
      return html`<div class="panel" role="group" aria-label=${texts.get("delete")}>
        <span>${texts.get("delete_sure")}</span>
        <button class="danger" ?disabled=${this._busy} @click=${() => void this.deleteEvent(event)}>
          ${texts.get("delete")}
        </button>
        ${cancel}
      </div>`;
    }
    return html`<div class="panel" role="group" aria-label=${texts.get("label")}>
      <label
        >${texts.get("labels")}
        <input name="labels" .value=${this.draft.labels ?? event.labels.join(", ")} @input=${this.written} />
      </label>
      <label
        >${texts.get("note")}
        <textarea name="note" rows="1" .value=${this.draft.note ?? event.description ?? ""} @input=${this.written}>
        </textarea>
      </label>
      <span class="ends">
        <button ?disabled=${this._busy} @click=${() => void this.save(event)}>${texts.get("save")}</button>
        ${cancel}
      </span>
    </div>`;
  }
}

/** Copy text, also where the page came over plain HTTP and has no clipboard. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

customElements.define("magicpi-stage", Stage);
