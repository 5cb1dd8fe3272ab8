import { css, html, LitElement, type PropertyValues } from "lit";
import type { RecordedEvent, Span } from "./types";

/** The whole of the base on a thin line, and the part of it in view as a window to drag. */
export class Minimap extends LitElement {
  static properties = {
    lists: { attribute: false },
    base: { attribute: false },
    view: { attribute: false },
    theme: {},
  };

  lists: readonly (readonly RecordedEvent[])[] = [];
  base: Span = { start: 0, end: 1 };
  view: Span = { start: 0, end: 1 };
  theme = "";

  private observer = new ResizeObserver(() => this.draw());
  private grip: number | null = null;

  static styles = css`
    :host {
      display: block;
      position: relative;
      height: 20px;
      direction: ltr;
    }
    .track {
      position: absolute;
      inset: 0;
      border-radius: 4px;
      background: var(--secondary-background-color, #e8e8e8);
      cursor: grab;
      touch-action: none;
    }
    canvas {
      width: 100%;
      height: 100%;
      display: block;
    }
    .window {
      position: absolute;
      inset-block: 0;
      min-width: 6px;
      box-sizing: border-box;
      border: 2px solid var(--primary-text-color, #111);
      border-radius: 4px;
      pointer-events: none;
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
    if (["lists", "base", "theme"].some((name) => changed.has(name))) {
      this.draw();
    }
  }

  protected render() {
    const size = this.base.end - this.base.start;
    const left = ((this.view.start - this.base.start) / size) * 100;
    const width = ((this.view.end - this.view.start) / size) * 100;
    return html`<div
      class="track"
      aria-hidden="true"
      @pointerdown=${this.down}
      @pointermove=${this.move}
      @pointerup=${this.up}
      @pointercancel=${this.up}
    >
      <canvas></canvas>
      <div class="window" style="left:${left}%;width:${width}%"></div>
    </div>`;
  }

  private draw(): void {
    const canvas = this.renderRoot.querySelector("canvas");
    const { clientWidth: width, clientHeight: height } = this;
    if (!canvas || !width) {
      return;
    }
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d")!;
    context.fillStyle = getComputedStyle(this).getPropertyValue("--primary-color").trim() || "#03a9f4";
    context.globalAlpha = 0.6;
    const scale = width / (this.base.end - this.base.start);
    for (const list of this.lists) {
      let last = -1;
      for (const event of list) {
        const left = Math.round((event.start - this.base.start) * scale);
        if (left !== last && left >= 0 && left <= width) {
          context.fillRect(left, 5, Math.max(1, (event.end - event.start) * scale), height - 10);
          last = left;
        }
      }
    }
  }

  private at(event: PointerEvent): number {
    const { left, width } = this.getBoundingClientRect();
    return this.base.start + ((event.clientX - left) / width) * (this.base.end - this.base.start);
  }

  private down(event: PointerEvent): void {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    const at = this.at(event);
    const inside = at >= this.view.start && at <= this.view.end;
    this.grip = inside ? at - this.view.start : (this.view.end - this.view.start) / 2;
    this.move(event);
  }

  private move(event: PointerEvent): void {
    if (this.grip !== null) {
      const by = this.at(event) - this.grip - this.view.start;
      const most = this.base.end - this.view.end;
      const least = this.base.start - this.view.start;
      this.dispatchEvent(
        new CustomEvent("row-pan", {
          detail: { by: Math.min(most, Math.max(least, by)) },
          bubbles: true,
          composed: true,
        }),
      );
    }
  }

  private up(): void {
    this.grip = null;
  }
}

customElements.define("magicpi-minimap", Minimap);
