import { css, html, LitElement, type PropertyValues } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { Feed } from "./feed";
import type { Texts } from "./localize";
import type { ClipPlayer } from "./player";
import type { Formats } from "./time";
import type { RecordedEvent } from "./types";

const CORRECT_EVERY = 250;
const DRIFT = 300;

/** Clips of two to four cameras at one moment: one clock, that of the wall, moves them all. */
export class ClipGroup extends LitElement {
  static properties = {
    events: { attribute: false },
    texts: { attribute: false },
    formats: { attribute: false },
    rate: { attribute: false },
  };

  feed!: Feed;
  events: readonly RecordedEvent[] = [];
  texts!: Texts;
  formats!: Formats;
  rate = 1;
  at = 0;
  paused = false;

  private timer: number | undefined;
  private last = 0;

  static styles = css`
    :host {
      position: absolute;
      inset: 0;
      display: grid;
      grid-template-columns: 1fr 1fr;
      grid-auto-rows: 1fr;
      gap: 2px;
    }
    .cell {
      position: relative;
      background: #000;
    }
    .cell.off {
      opacity: 0.35;
    }
    .name {
      position: absolute;
      inset-inline-start: 8px;
      top: 8px;
      padding: 1px 6px;
      border-radius: 8px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 12px;
    }
  `;

  connectedCallback(): void {
    super.connectedCallback();
    this.last = performance.now();
    this.timer = window.setInterval(() => this.correct(), CORRECT_EVERY);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearInterval(this.timer);
  }

  private get players(): ClipPlayer[] {
    return [...this.renderRoot.querySelectorAll("magicpi-clip-player")] as ClipPlayer[];
  }

  public play(): void {
    if (this.at >= Math.max(...this.events.map((event) => event.end))) {
      this.at = Math.min(...this.events.map((event) => event.start));
    }
    this.paused = false;
    this.correct();
  }

  public pause(): void {
    this.paused = true;
    this.correct();
  }

  public seek(at: number): void {
    this.at = at;
    for (const player of this.players) {
      player.seek(at);
    }
    this.correct();
  }

  public step(by: 1 | -1): void {
    this.pause();
    this.seek(this.at + by * 100);
  }

  protected updated(changed: PropertyValues): void {
    if (changed.has("events")) {
      this.correct();
      this.dispatchEvent(new CustomEvent("player-state"));
    }
  }

  private correct(): void {
    const now = performance.now();
    const end = Math.max(...this.events.map((event) => event.end));
    if (!this.paused) {
      this.at = Math.min(end, this.at + (now - this.last) * this.rate);
    }
    this.last = now;
    for (const player of this.players) {
      const { event } = player;
      const inside = this.at >= event.start && this.at < event.end;
      player.parentElement!.classList.toggle("off", !inside);
      if (!inside || this.paused) {
        if (!player.paused || player.playing) {
          player.pause();
        }
      } else if (player.paused || Math.abs(player.at - this.at) > DRIFT * Math.max(1, this.rate)) {
        player.seek(this.at);
        player.play();
      }
    }
    this.dispatchEvent(new CustomEvent("player-time", { detail: { at: this.at } }));
    if (!this.paused && this.at >= end) {
      this.paused = true;
      this.dispatchEvent(new CustomEvent("player-state"));
    }
  }

  protected render() {
    return repeat(
      this.events,
      (event) => event.id,
      (event) => {
        const name = this.feed.camera(event.camera)?.name ?? "";
        return html`<div class="cell">
          <magicpi-clip-player
            .feed=${this.feed}
            .event=${event}
            .from=${this.at}
            .texts=${this.texts}
            .formats=${this.formats}
            .name=${name}
            .rate=${this.rate}
            @player-time=${(inner: Event) => inner.stopPropagation()}
          ></magicpi-clip-player>
          <span class="name">${name}</span>
        </div>`;
      },
    );
  }
}

customElements.define("magicpi-clip-group", ClipGroup);
