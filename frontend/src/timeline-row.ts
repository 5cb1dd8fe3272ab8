import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import type { Thumbnails } from "./api";
import { localize } from "./localize";
import type { Camera, HomeAssistant, RecordedEvent, Span } from "./types";

const MIN_WIDTH = 3;
const REACH = 12;
const TOOLTIP_WIDTH = 176;

/** What a row asks its card for: play from a moment, or move the cursor there while dragging. */
export interface RowMoment {
  camera: string;
  at: number;
  event: RecordedEvent | null;
}

/** The last event that starts at or before an instant; `events` ascend by start. -1 = none. */
export function lastStarting(events: readonly RecordedEvent[], at: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].start <= at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

/** One camera's events on a line, drawn on a canvas: thousands cost no element each. */
export class TimelineRow extends LitElement {
  static properties = {
    hass: { attribute: false },
    camera: { attribute: false },
    events: { attribute: false },
    span: { attribute: false },
    cursor: { attribute: false },
    selected: { attribute: false },
    thumbnails: { attribute: false },
    formatTime: { attribute: false },
    _hover: { state: true },
    _hoverUrl: { state: true },
  };

  hass!: HomeAssistant;
  camera!: Camera;
  events: readonly RecordedEvent[] = [];
  span: Span = { start: 0, end: 1 };
  cursor: number | null = null;
  selected: string | null = null;
  thumbnails!: Thumbnails;
  formatTime!: (at: number) => string;
  _hover: { x: number; event: RecordedEvent } | null = null;
  _hoverUrl: string | null = null;

  private observer = new ResizeObserver(() => this.draw());
  private pointers = new Map<number, number>();
  private dragging = false;

  static styles = css`
    :host {
      display: block;
      position: relative;
      height: 44px;
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
    if (["events", "span", "cursor", "selected", "hass"].some((name) => changed.has(name))) {
      this.draw();
    }
  }

  private index(): number {
    const chosen = this.events.findIndex((event) => event.id === this.selected);
    return chosen >= 0 || this.cursor === null ? chosen : lastStarting(this.events, this.cursor);
  }

  private describe(event: RecordedEvent): string {
    const seconds = Math.max(1, Math.round((event.end - event.start) / 1000));
    const language = this.hass.locale.language;
    return [
      this.formatTime(event.start),
      event.reason,
      `${seconds} s`,
      event.state === "recording" && localize(language, "recording"),
      event.protected && localize(language, "protected"),
      ...event.labels,
    ]
      .filter(Boolean)
      .join(" · ");
  }

  protected render() {
    const language = this.hass.locale.language;
    const index = this.index();
    const event = this.events[index];
    const hover = this._hover;
    const text = event
      ? `${this.describe(event)}, ${localize(language, "event_of", { index: index + 1, count: this.events.length })}`
      : this.events.length > 1
        ? localize(language, "events", { count: this.events.length })
        : localize(language, this.events.length ? "event" : "no_events");
    return html`
      <div
        class="track"
        role="slider"
        tabindex="0"
        aria-label=${localize(language, "events_of", { camera: this.camera.name })}
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
          ? html`<div class="tooltip" style="left:${hover.x}px" aria-hidden="true">
              ${this._hoverUrl ? html`<img src=${this._hoverUrl} alt="" />` : html`<div class="blank"></div>`}
              ${this.describe(hover.event)}
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
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const event of this.events) {
      if (event.end < this.span.start || event.start > this.span.end) {
        continue;
      }
      const left = this.x(event.start, width);
      const wide = Math.max(MIN_WIDTH, this.x(event.end, width) - left);
      context.fillStyle = event.state === "recording" ? running : event.protected ? kept : normal;
      context.fillRect(left, 8, wide, height - 16);
      if (event.id === this.selected) {
        context.fillStyle = chosen;
        context.fillRect(left, 3, wide, 3);
        context.fillRect(left, height - 6, wide, 3);
      }
    }
    if (this.cursor !== null && this.cursor >= this.span.start && this.cursor <= this.span.end) {
      context.fillStyle = chosen;
      context.fillRect(this.x(this.cursor, width) - 1, 0, 2, height);
    }
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

  private tell(type: "row-play" | "row-scrub", at: number, event: RecordedEvent | null): void {
    const detail: RowMoment = { camera: this.camera.id, at, event };
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  private zoom(factor: number, around: number): void {
    this.dispatchEvent(
      new CustomEvent("row-zoom", { detail: { factor, around }, bubbles: true, composed: true }),
    );
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
        void this.thumbnails.get(this.hass, event.thumbnail).then((url) => {
          if (this._hover?.event.id === event.id) {
            this._hoverUrl = url;
          }
        });
      }
    }
    this._hover = { x: left, event };
  }

  private pointerDown(event: PointerEvent): void {
    if (event.button !== 0) {
      return;
    }
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.local(event));
    this.dragging = this.pointers.size === 1;
    if (this.dragging) {
      this.scrub(event);
    }
  }

  private pointerMove(event: PointerEvent): void {
    const x = this.local(event);
    if (this.pointers.size === 2 && this.pointers.has(event.pointerId)) {
      const spread = () => {
        const [one, two] = [...this.pointers.values()];
        return Math.max(1, Math.abs(one - two));
      };
      const before = spread();
      this.pointers.set(event.pointerId, x);
      const [one, two] = [...this.pointers.values()];
      this.zoom(before / spread(), this.at((one + two) / 2));
      return;
    }
    if (this.dragging) {
      this.scrub(event);
    } else {
      this.show(x);
    }
  }

  private scrub(event: PointerEvent): void {
    const x = this.local(event);
    this.show(x);
    this.tell("row-scrub", this.at(x), this.eventNear(x));
  }

  private pointerUp(event: PointerEvent): void {
    const wasDragging = this.dragging && this.pointers.has(event.pointerId);
    this.pointers.delete(event.pointerId);
    this.dragging = false;
    if (wasDragging) {
      const x = this.local(event);
      const found = this.eventNear(x);
      this.tell("row-play", this.at(x), found);
      if (event.pointerType !== "mouse") {
        this._hover = null;
      }
    }
  }

  private pointerLeave(event: PointerEvent): void {
    if (event.type === "pointercancel") {
      this.pointers.delete(event.pointerId);
      this.dragging = false;
    }
    if (!this.dragging) {
      this._hover = null;
    }
  }

  private wheel(event: WheelEvent): void {
    // A plain wheel belongs to the page; with Ctrl it is the pinch of a touch pad.
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(this.local(event)));
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
    if (event.key in target && this.events.length) {
      event.preventDefault();
      const next = this.events[Math.min(this.events.length - 1, Math.max(0, target[event.key]))];
      this.tell("row-play", next.start, next);
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      this.dispatchEvent(new CustomEvent("row-pause", { bubbles: true, composed: true }));
    } else if (event.key === "+" || event.key === "-") {
      event.preventDefault();
      const around = this.cursor ?? (this.span.start + this.span.end) / 2;
      this.zoom(event.key === "+" ? 0.5 : 2, around);
    }
  }
}

customElements.define("magicpi-timeline-row", TimelineRow);
