import { css, html, LitElement, nothing, svg } from "lit";
import { errorText, fetchZones, saveZones } from "./api";
import type { Feed } from "./feed";
import type { Texts } from "./localize";
import { controls } from "./styles";
import type { Camera, Zone } from "./types";

const NUDGE = 0.01;
const LEAST_POINTS = 3;
const NEW_ZONE: [number, number][] = [
  [0.3, 0.3],
  [0.7, 0.3],
  [0.7, 0.7],
  [0.3, 0.7],
];

const clamp = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;

/** Draws the zones of a camera over its last picture: what to watch, and what to ignore. */
export class ZoneEditor extends LitElement {
  static properties = {
    camera: { attribute: false },
    texts: { attribute: false },
    _zones: { state: true },
    _chosen: { state: true },
    _problem: { state: true },
    _busy: { state: true },
  };

  feed!: Feed;
  camera!: Camera;
  texts!: Texts;
  _zones: Zone[] | null = null;
  _chosen = 0;
  _problem: string | null = null;
  _busy = false;

  /** Zones that were being drawn when this was made again; taken once. */
  inherited: Zone[] | null = null;

  private dragged: number | null = null;

  static styles = [
    controls,
    css`
      :host {
        display: block;
      }
      .picture {
        position: relative;
        width: 100%;
        direction: ltr;
        border-radius: 8px;
        overflow: hidden;
        background: #000;
        touch-action: none;
      }
      img {
        display: block;
        width: 100%;
      }
      svg {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        overflow: visible;
      }
      polygon {
        fill: rgb(76 175 80 / 25%);
        stroke: #4caf50;
        stroke-width: 2;
        vector-effect: non-scaling-stroke;
        cursor: pointer;
      }
      polygon.ignore {
        fill: rgb(244 67 54 / 25%);
        stroke: #f44336;
        stroke-dasharray: 6 4;
      }
      polygon.chosen {
        stroke-width: 4;
      }
      .point {
        position: absolute;
        width: 40px;
        height: 40px;
        min-width: 0;
        min-height: 0;
        margin: -20px;
        padding: 0;
        border: none;
        border-radius: 20px;
        background: radial-gradient(circle, #fff 6px, #000 7px, #000 9px, transparent 10px);
        cursor: move;
        touch-action: none;
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 8px;
        align-items: center;
        margin-top: 8px;
      }
      input {
        flex: 1 1 140px;
        padding: 0 8px;
      }
      p {
        margin: 6px 0 0;
        color: var(--secondary-text-color, #555);
      }
      .danger {
        color: var(--error-color, #c62828);
      }
    `,
  ];

  protected firstUpdated(): void {
    void this.load();
  }

  public get memory(): Zone[] | null {
    return this._zones;
  }

  private async load(): Promise<void> {
    if (this.inherited) {
      this._zones = this.inherited;
      return;
    }
    try {
      this._zones = (await fetchZones(this.feed.hass, this.camera.id)) ?? [];
    } catch (error) {
      this._problem = await errorText(this.feed.hass, this.texts, error);
    }
  }

  private change(points: (points: [number, number][]) => [number, number][]): void {
    this.put({ points: points(this._zones![this._chosen].points) });
  }

  private put(part: Partial<Zone>): void {
    this._zones = this._zones!.map((zone, index) => (index === this._chosen ? { ...zone, ...part } : zone));
  }

  private place(event: PointerEvent): [number, number] {
    const { left, top, width, height } = this.renderRoot.querySelector(".picture")!.getBoundingClientRect();
    return [clamp((event.clientX - left) / width), clamp((event.clientY - top) / height)];
  }

  private grab(event: PointerEvent, index: number): void {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    this.dragged = index;
  }

  private drag(event: PointerEvent): void {
    if (this.dragged !== null) {
      const place = this.place(event);
      this.change((points) => points.map((point, index) => (index === this.dragged ? place : point)));
    }
  }

  private drop(): void {
    this.dragged = null;
  }

  private key(event: KeyboardEvent, index: number): void {
    const [x, y] = {
      ArrowLeft: [-NUDGE, 0],
      ArrowRight: [NUDGE, 0],
      ArrowUp: [0, -NUDGE],
      ArrowDown: [0, NUDGE],
    }[event.key] ?? [0, 0];
    if (x || y) {
      event.preventDefault();
      this.change((points) =>
        points.map((point, at) => (at === index ? [clamp(point[0] + x), clamp(point[1] + y)] : point)),
      );
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.removePoint(index);
    } else if (event.key === "+") {
      this.doublePoint(index);
    }
  }

  /** Put a point halfway to the next one. */
  private doublePoint(index: number): void {
    this.change((points) => {
      const [one, two] = [points[index], points[(index + 1) % points.length]];
      const middle: [number, number] = [clamp((one[0] + two[0]) / 2), clamp((one[1] + two[1]) / 2)];
      return [...points.slice(0, index + 1), middle, ...points.slice(index + 1)];
    });
  }

  private removePoint(index: number): void {
    this.change((points) => (points.length > LEAST_POINTS ? points.filter((_, at) => at !== index) : points));
  }

  /** A double click, or tap, puts a point into the nearest side. */
  private addPoint(event: MouseEvent): void {
    if (!this._zones?.length) {
      return;
    }
    const place = this.place(event as PointerEvent);
    this.change((points) => {
      const far = (one: [number, number], two: [number, number]) => Math.hypot(one[0] - two[0], one[1] - two[1]);
      let best = 0;
      let least = Infinity;
      points.forEach((point, index) => {
        const next = points[(index + 1) % points.length];
        const detour = far(point, place) + far(place, next) - far(point, next);
        if (detour < least) {
          [best, least] = [index, detour];
        }
      });
      return [...points.slice(0, best + 1), place, ...points.slice(best + 1)];
    });
  }

  private add(): void {
    const names = new Set(this._zones!.map((zone) => zone.name));
    let number = this._zones!.length + 1;
    while (names.has(this.texts.get("zone_number", { number }))) {
      number++;
    }
    this._zones = [
      ...this._zones!,
      { name: this.texts.get("zone_number", { number }), kind: "watch", points: NEW_ZONE },
    ];
    this._chosen = this._zones.length - 1;
  }

  private deleteZone(): void {
    this._zones = this._zones!.filter((_, index) => index !== this._chosen);
    this._chosen = Math.max(0, this._chosen - 1);
  }

  private async save(): Promise<void> {
    this._busy = true;
    this._problem = null;
    try {
      await saveZones(this.feed.hass, this.camera.id, this._zones!);
      this.close();
    } catch (error) {
      this._problem = await errorText(this.feed.hass, this.texts, error);
    } finally {
      this._busy = false;
    }
  }

  private close(): void {
    this.dispatchEvent(new CustomEvent("zones-close"));
  }

  protected render() {
    const { texts } = this;
    const picture = this.feed.picture(this.camera);
    const zone = this._zones?.[this._chosen];
    return html`
      <div
        class="picture"
        @dblclick=${this.addPoint}
        @pointermove=${this.drag}
        @pointerup=${this.drop}
        @pointercancel=${this.drop}
      >
        ${picture ? html`<img src=${picture.url} alt=${texts.get("live_of", { camera: this.camera.name })} />` : nothing}
        <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
          ${(this._zones ?? []).map(
            (one, index) => svg`<polygon
              class="${one.kind} ${index === this._chosen ? "chosen" : ""}"
              points=${one.points.map((point) => point.join()).join(" ")}
              @click=${() => {
                this._chosen = index;
              }}
            ></polygon>`,
          )}
        </svg>
        ${
          zone?.points.map(
            (point, index) => html`<button
              class="point"
              style="left:${point[0] * 100}%;top:${point[1] * 100}%"
              aria-label=${texts.get("zone_point", { number: index + 1 })}
              @dblclick=${(event: MouseEvent) => {
                event.stopPropagation();
                this.removePoint(index);
              }}
              @pointerdown=${(event: PointerEvent) => this.grab(event, index)}
              @keydown=${(event: KeyboardEvent) => this.key(event, index)}
            ></button>`,
          ) ?? nothing
        }
      </div>
      <div class="bar">
        ${
          zone
            ? html`<select
                  aria-label=${texts.get("zone")}
                  @change=${(event: Event) => {
                    this._chosen = (event.target as HTMLSelectElement).selectedIndex;
                  }}
                >
                  ${this._zones!.map(
                    (one, index) => html`<option ?selected=${index === this._chosen}>${one.name}</option>`,
                  )}
                </select>
                <input
                  aria-label=${texts.get("zone_name")}
                  .value=${zone.name}
                  @change=${(event: Event) => {
                    const name = (event.target as HTMLInputElement).value.trim();
                    if (name) {
                      this.put({ name });
                    }
                  }}
                />
                <select
                  aria-label=${texts.get("zone_kind")}
                  @change=${(event: Event) =>
                    this.put({ kind: (event.target as HTMLSelectElement).value as Zone["kind"] })}
                >
                  ${(["watch", "ignore"] as const).map(
                    (kind) =>
                      html`<option value=${kind} ?selected=${zone.kind === kind}>${texts.get(`zone_${kind}`)}</option>`,
                  )}
                </select>
                <button @click=${this.deleteZone}>${texts.get("delete")}</button>`
            : nothing
        }
        <button ?disabled=${!this._zones} @click=${this.add}>${texts.get("zone_add")}</button>
        <button ?disabled=${!this._zones || this._busy} @click=${() => void this.save()}>${texts.get("save")}</button>
        <button @click=${this.close}>${texts.get("cancel")}</button>
      </div>
      <p>${texts.get("zone_help")}</p>
      ${this._problem ? html`<p class="danger" role="alert">${this._problem}</p>` : nothing}
    `;
  }
}

customElements.define("magicpi-zone-editor", ZoneEditor);
