import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { CLIP_EXPIRES, signPath } from "./api";
import type { Feed } from "./feed";
import type { Texts } from "./localize";
import type { Formats } from "./time";
import type { RecordedEvent } from "./types";

const RETRY_FIRST = 2_000;
const RETRY_MOST = 30_000;
const EARLIER = 60_000;
const STEP = 0.1;

type Trouble = "gone" | "unplayable" | "waiting" | null;

/**
 * Plays the clip of one event, with the date and time of the picture over it.
 *
 * Its address is signed and expires: a clip that stops loading is opened again with a new address
 * where it stood, and only then called gone, when Home Assistant says that it is.
 */
export class ClipPlayer extends LitElement {
  static properties = {
    event: { attribute: false },
    texts: { attribute: false },
    formats: { attribute: false },
    name: {},
    rate: { attribute: false },
    _url: { state: true },
    _trouble: { state: true },
    _stamp: { state: true },
  };

  feed!: Feed;
  event!: RecordedEvent;
  texts!: Texts;
  formats!: Formats;
  name = "";
  rate = 1;
  /** Whether it is to play once it can. */
  playing = true;
  /** Where to begin, in epoch milliseconds. */
  from = 0;
  _url: string | null = null;
  _trouble: Trouble = null;
  _stamp = 0;

  private expires = 0;
  private request = 0;
  private renewed = false;
  private delay = RETRY_FIRST;
  private timer: number | undefined;
  private frames: number[] = [];
  private target: number | null = null;

  static styles = css`
    :host {
      position: absolute;
      inset: 0;
      display: block;
    }
    video {
      width: 100%;
      height: 100%;
      object-fit: contain;
      display: block;
    }
    .stamp,
    .trouble {
      position: absolute;
      inset-inline-start: 8px;
      bottom: 8px;
      padding: 2px 8px;
      border-radius: 10px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 13px;
      font-variant-numeric: tabular-nums;
      pointer-events: none;
    }
    .trouble {
      bottom: 50%;
      inset-inline-end: 8px;
      text-align: center;
    }
  `;

  connectedCallback(): void {
    super.connectedCallback();
    this.feed.addEventListener("ready", this.again);
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.feed.removeEventListener("ready", this.again);
    window.clearTimeout(this.timer);
    this.request++;
  }

  protected willUpdate(changed: PropertyValues): void {
    const before = changed.get("event") as RecordedEvent | undefined;
    if (changed.has("event") && before?.id !== this.event.id) {
      this.reset();
      void this.open();
    }
  }

  protected updated(changed: PropertyValues): void {
    if (changed.has("rate") && this.video) {
      this.video.playbackRate = this.rate;
    }
  }

  private reset(): void {
    window.clearTimeout(this.timer);
    this._url = null;
    this._trouble = null;
    this.renewed = false;
    this.frames = [];
    this.delay = RETRY_FIRST;
    this._stamp = Math.max(this.event.start, this.from);
    this.target = this.seconds(this._stamp);
  }

  private get video(): HTMLVideoElement | null {
    return this.renderRoot.querySelector("video");
  }

  public get paused(): boolean {
    return this.video?.paused ?? true;
  }

  /** The instant of the picture that is shown, in epoch ms. */
  public get at(): number {
    return this._stamp;
  }

  private seconds(at: number): number {
    return Math.max(0, Math.min(at, this.event.end) - this.event.start) / 1000;
  }

  /** Show the picture of an instant. */
  public seek(at: number): void {
    this.target = this.seconds(at);
    if (this.video && this.video.readyState > 0) {
      this.video.currentTime = this.target;
      this.target = null;
    }
  }

  public play(): void {
    this.playing = true;
    if (this._trouble || (this._url && Date.now() > this.expires - EARLIER)) {
      this.again();
    } else {
      this.video?.play().catch(() => undefined);
    }
  }

  public pause(): void {
    this.playing = false;
    this.video?.pause();
  }

  /** Go one picture on or back. */
  public step(by: 1 | -1): void {
    const video = this.video;
    if (!video) {
      return;
    }
    this.pause();
    const here = video.currentTime;
    const known = by > 0 ? this.frames.find((at) => at > here + 0.001) : this.frames.findLast((at) => at < here - 0.005);
    if (by > 0 && "requestVideoFrameCallback" in video) {
      // The next picture's time is unknown until it is shown.
      const rate = video.playbackRate;
      video.playbackRate = 0.5;
      video.requestVideoFrameCallback((_now, { mediaTime }) => {
        video.pause();
        video.playbackRate = rate;
        video.currentTime = mediaTime + 0.001;
      });
      video.play().catch(() => undefined);
      return;
    }
    video.currentTime = Math.max(0, known !== undefined ? known + 0.001 : here + by * STEP);
  }

  private again = (): void => {
    if (this._trouble || Date.now() > this.expires - EARLIER) {
      this.renewed = false;
      this.keepPlace();
      void this.open();
    }
  };

  private keepPlace(): void {
    if (this.video?.currentTime) {
      this.target = this.video.currentTime;
    }
  }

  private async open(): Promise<void> {
    const request = ++this.request;
    window.clearTimeout(this.timer);
    try {
      const url = await signPath(this.feed.hass, this.event.clip, CLIP_EXPIRES);
      if (request === this.request) {
        this.expires = Date.now() + CLIP_EXPIRES * 1000;
        this._trouble = null;
        if (url === this._url) {
          // Signed twice within a second: the same address, which the video has given up on
          this.video?.load();
        }
        this._url = url;
      }
    } catch {
      if (request === this.request) {
        this.wait();
      }
    }
  }

  private wait(): void {
    this._trouble = "waiting";
    this.timer = window.setTimeout(() => void this.open(), this.delay);
    this.delay = Math.min(RETRY_MOST, this.delay * 2);
  }

  private async failed(): Promise<void> {
    const request = this.request;
    this.keepPlace();
    if (!this.renewed) {
      this.renewed = true;
      await this.open();
      return;
    }
    let status: number;
    try {
      status = (await this.feed.hass.fetchWithAuth(this.event.clip, { method: "HEAD" })).status;
    } catch {
      status = 0;
    }
    if (request !== this.request) {
      return;
    }
    if (status === 404) {
      this._trouble = "gone";
    } else if (status === 200 || status === 206) {
      this._trouble = "unplayable";
    } else {
      this.wait();
    }
  }

  private loaded(): void {
    const { video } = this;
    if (!video) {
      // The event came after its element was taken away
      return;
    }
    this.renewed = false;
    this.delay = RETRY_FIRST;
    video.playbackRate = this.rate;
    if (this.target !== null) {
      video.currentTime = this.target;
      this.target = null;
    }
    if (this.playing) {
      video.play().catch(() => undefined);
    }
    this.watch(video);
  }

  private watch(video: HTMLVideoElement): void {
    if (!("requestVideoFrameCallback" in video)) {
      return;
    }
    const shown = (_now: number, { mediaTime }: { mediaTime: number }) => {
      if (!this.frames.includes(mediaTime)) {
        this.frames.push(mediaTime);
        this.frames.sort((one, two) => one - two);
      }
      this.note(mediaTime);
      if (video === this.video) {
        video.requestVideoFrameCallback(shown);
      }
    };
    video.requestVideoFrameCallback(shown);
  }

  private note(seconds: number): void {
    this._stamp = this.event.start + seconds * 1000;
    this.dispatchEvent(new CustomEvent("player-time", { detail: { at: this._stamp } }));
  }

  private tell(type: string): void {
    this.dispatchEvent(new CustomEvent(type));
  }

  protected render() {
    return html`
      ${
        this._url
          ? html`<video
              src=${this._url}
              aria-label="${this.name}, ${this.formats.dateTime(this.event.start)}"
              preload="auto"
              muted
              playsinline
              @loadedmetadata=${this.loaded}
              @timeupdate=${(event: Event) => {
                const video = event.target as HTMLVideoElement;
                if (!video.seeking) {
                  this.note(video.currentTime);
                }
              }}
              @play=${() => this.tell("player-state")}
              @pause=${() => this.tell("player-state")}
              @ended=${() => this.tell("player-ended")}
              @error=${() => void this.failed()}
              .muted=${true}
            ></video>`
          : nothing
      }
      <span class="stamp" dir="auto">${this.formats.dateTime(this._stamp)}</span>
      ${
        this._trouble
          ? html`<span class="trouble" role="alert">${this.texts.get(`clip_${this._trouble}`)}</span>`
          : nothing
      }
    `;
  }
}

customElements.define("magicpi-clip-player", ClipPlayer);
