import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import type { Feed } from "./feed";
import type { Texts } from "./localize";
import { lastStarting } from "./store";
import { type Formats, HOUR } from "./time";
import type { RecordedEvent, Span } from "./types";
import { describe } from "./words";

const MIN_WIDTH = 3;
const REACH = 12;
const CLICK_REACH = 5;
const TOOLTIP_WIDTH = 176;

/** What a row asks its card for: play from a moment, or move the cursor there while scrubbing. */
export interface RowMoment {
  camera: string;
  at: number;
  event: RecordedEvent | null;
}

/** One camera's events on a line, drawn on a canvas: thousands cost no element each. */
export class TimelineRow extends LitElement {
  static properties = {
    camera: {},
    name: {},
    events: { attribute: false },
    bands: { attribute: false },
    span: { attribute: false },
    selected: { attribute: false },
    formats: { attribute: false },
    texts: { attribute: false },
    seenVersion: { attribute: false },
    theme: {},
    _hover: { state: true },
    _hoverUrl: { state: true },
  };

  camera!: string;
  name!: string;
  events: readonly RecordedEvent[] = [];
  bands: readonly RecordedEvent[] = [];
  span: Span = { start: 0, end: 1 };
  selected: string | null = null;
  formats!: Formats;
  texts!: Texts;
  seenVersion = 0;
  theme = "";
  feed!: Feed;
  /** Where the card stands; the card draws it over all rows, so it redraws none of them. */
  cursor: number | null = null;
  _hover: { x: number; event: RecordedEvent } | null = null;
  _hoverUrl: string | null = null;
  /** How often the canvas was drawn. */
  draws = 0;

  private observer = new ResizeObserver(() => this.draw());
  private pointers = new Map<number, number>();
  private gesture: "none" | "press" | "pan" | "scrub" | "pinch" = "none";
  private pressedAt = 0;

  static styles = css`
    :host {
      display: block;
      position: relative;
      direction: ltr;
      height: var(--row-height, 44px);
    }
    .track {
      position: absolute;
      inset: 0;
      border-radius: 6px;
      background: var(--secondary-background-color, #e8e8e8);
      cursor: pointer;
      touch-action: pan-y;
      outline-offset: 2px;
    }
    .track:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
    }
    canvas {
      width: 100%;
      height: 100%;
      display: block;
      pointer-events: none;
    }
    .tooltip {
      position: absolute;
      bottom: calc(100% + 6px);
      width: ${TOOLTIP_WIDTH}px;
      box-sizing: border-box;
      padding: 4px;
      border-radius: 8px;
      background: var(--card-background-color, #fff);
      color: var(--primary-text-color, #111);
      box-shadow: 0 2px 10px rgb(0 0 0 / 40%);
      font-size: 12px;
      line-height: 1.4;
      pointer-events: none;
      z-index: 5;
    }
    .tooltip img,
    .tooltip .blank {
      display: block;
      width: 100%;
      aspect-ratio: 4 / 3;
      object-fit: cover;
      border-radius: 5px;
      background: #000;
      margin-bottom: 3px;
    }
  `;

  connectedCallback(): void {
    super.connectedCallback();
    this.observer.observe(this);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.observer.disconnect();
  }

  protected updated(changed: PropertyValues): void {
    const drawn = ["events", "bands", "span", "selected", "seenVersion", "theme"];
    if (drawn.some((name) => changed.has(name))) {
      this.draw();
    }
  }

  private index(): number {
    const chosen = this.events.findIndex((event) => event.id === this.selected);
    return chosen >= 0 || this.cursor === null ? chosen : lastStarting(this.events, this.cursor);
  }

  protected render() {
    const { texts, formats } = this;
    const index = this.index();
    const event = this.events[index];
    const hover = this._hover;
    const text = event
      ? `${describe(event, texts, formats)}, ${texts.get("event_of", { index: index + 1, count: this.events.length })}`
      : this.events.length
        ? texts.count("events", this.events.length, formats)
        : texts.get("no_events");
    return html`
      <div
        class="track"
        role="slider"
        tabindex="0"
        aria-label=${texts.get("events_of", { camera: this.name })}
        aria-valuemin="0"
        aria-valuemax=${this.events.length}
        aria-valuenow=${index + 1}
        aria-valuetext=${text}
        @pointerdown=${this.pointerDown}
        @pointermove=${this.pointerMove}
        @pointerup=${this.pointerUp}
        @pointercancel=${this.pointerLeave}
        @pointerleave=${this.pointerLeave}
        @wheel=${this.wheel}
        @keydown=${this.keyDown}
      >
        <canvas></canvas>
      </div>
      ${
        hover
          ? html`<div class="tooltip" dir="auto" style="left:${hover.x}px" aria-hidden="true">
              ${this._hoverUrl ? html`<img src=${this._hoverUrl} alt="" />` : html`<div class="blank"></div>`}
              ${describe(hover.event, texts, formats)}
            </div>`
          : nothing
      }
    `;
  }

  private x(at: number, width: number): number {
    return ((at - this.span.start) / (this.span.end - this.span.start)) * width;
  }

  private at(x: number): number {
    const { width } = this.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, x / width));
    return this.span.start + part * (this.span.end - this.span.start);
  }

  private draw(): void {
    const canvas = this.renderRoot.querySelector("canvas");
    const { clientWidth: width, clientHeight: height } = this;
    if (!canvas || !width) {
      return;
    }
    this.draws++;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d")!;
    const style = getComputedStyle(this);
    const color = (name: string, fallback: string) => style.getPropertyValue(name).trim() || fallback;
    const normal = color("--primary-color", "#03a9f4");
    const kept = color("--warning-color", "#ffa600");
    const running = color("--error-color", "#db4437");
    const chosen = color("--primary-text-color", "#111");
    const edge = height > 30 ? 8 : 4;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.globalAlpha = 0.3;
    context.fillStyle = normal;
    for (const band of this.bands) {
      if (band.end >= this.span.start && band.start <= this.span.end) {
        const left = this.x(band.start, width);
        context.fillRect(left, height - edge, Math.max(1, this.x(band.end, width) - left), edge - 2);
      }
    }
    let drawn = -1;
    let look = "";
    for (let at = Math.max(0, lastStarting(this.events, this.span.start - HOUR)); at < this.events.length; at++) {
      const event = this.events[at];
      if (event.start > this.span.end) {
        break;
      }
      const left = this.x(event.start, width);
      const wide = Math.max(MIN_WIDTH, this.x(event.end, width) - left);
      if (left + wide < 0) {
        continue;
      }
      const bright = event.state === "recording" || !this.feed.seen.has(event);
      const fill = event.state === "recording" ? running : event.protected ? kept : normal;
      // Thousands fall on the same few pixels: what would look the same is not drawn again.
      if (look !== `${fill}${bright}` || left + wide > drawn + 0.5) {
        look = `${fill}${bright}`;
        drawn = left + wide;
        context.globalAlpha = bright ? 1 : 0.5;
        context.fillStyle = fill;
        context.fillRect(left, edge, wide, height - 2 * edge);
      }
      if (event.id === this.selected) {
        context.globalAlpha = 1;
        context.fillStyle = chosen;
        context.fillRect(left, edge - 4, wide, 3);
        context.fillRect(left, height - edge + 1, wide, 3);
      }
    }
    context.globalAlpha = 1;
  }

  /** The event under a point, else the nearest within a finger's reach. */
  private eventNear(x: number): RecordedEvent | null {
    const { width } = this.getBoundingClientRect();
    const at = this.at(x);
    const index = lastStarting(this.events, at);
    let best: RecordedEvent | null = null;
    let least = REACH;
    for (const event of [this.events[index - 1], this.events[index], this.events[index + 1]]) {
      if (event) {
        const left = this.x(event.start, width);
        const right = Math.max(left + MIN_WIDTH, this.x(event.end, width));
        const distance = x < left ? left - x : Math.max(0, x - right);
        if (distance < least || (distance === 0 && least === 0)) {
          best = event;
          least = distance;
        }
      }
    }
    return best;
  }

  private local(event: PointerEvent | WheelEvent): number {
    return event.clientX - this.getBoundingClientRect().left;
  }

  private ask(type: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  private moment(type: "row-play" | "row-scrub", at: number, event: RecordedEvent | null): void {
    this.ask(type, { camera: this.camera, at, event } satisfies RowMoment);
  }

  private pan(pixels: number): void {
    const { width } = this.getBoundingClientRect();
    this.ask("row-pan", { by: (-pixels / width) * (this.span.end - this.span.start) });
  }

  private zoom(factor: number, around: number): void {
    this.ask("row-zoom", { factor, around });
  }

  private show(x: number): void {
    const event = this.eventNear(x);
    if (!event) {
      this._hover = null;
      return;
    }
    const { width } = this.getBoundingClientRect();
    const left = Math.max(0, Math.min(width - TOOLTIP_WIDTH, x - TOOLTIP_WIDTH / 2));
    if (event.id !== this._hover?.event.id) {
      this._hoverUrl = null;
      if (event.thumbnail) {
        void this.feed.thumbnails.get(this.feed.hass, event.thumbnail).then((url) => {
          if (this._hover?.event.id === event.id) {
            this._hoverUrl = url;
          }
        });
      }
    }
    this._hover = { x: left, event };
  }

  /** Whether a press takes the cursor along: on its line, on the clip that is open, or with Shift. */
  private takesCursor(event: PointerEvent, x: number): boolean {
    const { width } = this.getBoundingClientRect();
    return (
      event.shiftKey ||
      (this.cursor !== null && Math.abs(this.x(this.cursor, width) - x) <= REACH) ||
      (this.selected !== null && this.eventNear(x)?.id === this.selected)
    );
  }

  private pointerDown(event: PointerEvent): void {
    if (event.button !== 0) {
      return;
    }
    const x = this.local(event);
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, x);
    if (this.pointers.size > 1) {
      this.gesture = "pinch";
      this._hover = null;
      return;
    }
    this.pressedAt = x;
    this.gesture = this.takesCursor(event, x) ? "scrub" : "press";
    if (this.gesture === "scrub") {
      this.scrub(x);
    }
  }

  private pointerMove(event: PointerEvent): void {
    const x = this.local(event);
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) {
      if (this.gesture === "none") {
        this.show(x);
      }
      return;
    }
    if (this.gesture === "press" && Math.abs(x - this.pressedAt) >= CLICK_REACH) {
      this.gesture = "pan";
      this._hover = null;
    }
    if (this.gesture === "pinch" && this.pointers.size === 2) {
      const spread = () => {
        const [one, two] = [...this.pointers.values()];
        return Math.max(1, Math.abs(one - two));
      };
      const middle = () => [...this.pointers.values()].reduce((sum, place) => sum + place, 0) / 2;
      const [wide, center] = [spread(), middle()];
      this.pointers.set(event.pointerId, x);
      this.zoom(wide / spread(), this.at(middle()));
      this.pan(middle() - center);
      return;
    }
    if (this.gesture === "press") {
      // The way to where it counts as dragged is not lost
      return;
    }
    this.pointers.set(event.pointerId, x);
    if (this.gesture === "pan") {
      this.pan(x - before);
    } else if (this.gesture === "scrub") {
      this.scrub(x);
    }
  }

  private scrub(x: number): void {
    this.show(x);
    this.moment("row-scrub", this.at(x), this.eventNear(x));
  }

  private pointerUp(event: PointerEvent): void {
    const { gesture } = this;
    this.pointers.delete(event.pointerId);
    if (this.pointers.size) {
      return;
    }
    this.gesture = "none";
    if (gesture === "press" || gesture === "scrub") {
      const x = this.local(event);
      this.moment("row-play", this.at(x), this.eventNear(x));
    }
    if (event.pointerType !== "mouse") {
      this._hover = null;
    }
  }

  private pointerLeave(event: PointerEvent): void {
    if (event.type === "pointercancel") {
      this.pointers.delete(event.pointerId);
      this.gesture = "none";
    }
    if (this.gesture === "none") {
      this._hover = null;
    }
  }

  private wheel(event: WheelEvent): void {
    // A plain wheel belongs to the page. With Ctrl it is the pinch of a touch pad.
    const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(this.local(event)));
    } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
      event.preventDefault();
      this.pan(-sideways);
    }
  }

  private keyDown(event: KeyboardEvent): void {
    const index = this.index();
    const target: Record<string, number> = {
      ArrowLeft: index - 1,
      ArrowDown: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index + 1,
      PageUp: index + 10,
      PageDown: index - 10,
      Home: 0,
      End: this.events.length - 1,
    };
    if (event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.preventDefault();
      this.pan((event.key === "ArrowLeft" ? 0.25 : -0.25) * this.getBoundingClientRect().width);
    } else if (event.key in target && this.events.length) {
      event.preventDefault();
      const next = this.events[Math.min(this.events.length - 1, Math.max(0, target[event.key]))];
      this.moment("row-play", next.start, next);
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      this.ask("row-pause");
    } else if (event.key === "+" || event.key === "-") {
      event.preventDefault();
      const around = this.cursor ?? (this.span.start + this.span.end) / 2;
      this.zoom(event.key === "+" ? 0.5 : 2, around);
    }
  }
}

customElements.define("magicpi-timeline-row", TimelineRow);
