import { css, html, LitElement, nothing } from "lit";
import { now } from "./clock";
import { Feed } from "./feed";
import { pickerName } from "./localize";
import { formatsOf } from "./time";
import type { HomeAssistant } from "./types";

interface CameraCardConfig {
  type: string;
  entity: string;
}

/** One camera: its last picture, how old it is, and how the camera is. */
class MagicPiCameraCard extends LitElement {
  static properties = { _config: { state: true } };

  _config?: CameraCardConfig;
  private _hass?: HomeAssistant;
  private feed?: Feed;
  private release: (() => void) | null = null;

  static getConfigForm() {
    return {
      schema: [
        {
          name: "entity",
          required: true,
          selector: { entity: { filter: { domain: "camera", integration: "magicpi_nvr" } } },
        },
      ],
      computeLabel: () => pickerName("form_entity"),
    };
  }

  static getStubConfig(hass: HomeAssistant): Partial<CameraCardConfig> {
    return {
      entity: Object.values(hass.entities ?? {}).find(
        (entity) => entity.platform === "magicpi_nvr" && entity.entity_id.startsWith("camera."),
      )?.entity_id,
    };
  }

  setConfig(config: CameraCardConfig): void {
    if (!config.entity?.startsWith("camera.")) {
      throw new Error("entity must be a camera");
    }
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
    return { columns: 6, min_columns: 4 };
  }

  connectedCallback(): void {
    super.connectedCallback();
    this.attach();
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.feed?.removeEventListener("changed", this.changed);
    this.feed?.removeEventListener("tick", this.changed);
    this.release?.();
    this.release = null;
  }

  private attach(): void {
    if (this.feed && !this.release && this.isConnected) {
      this.feed.addEventListener("changed", this.changed);
      this.feed.addEventListener("tick", this.changed);
      this.release = this.feed.use();
    }
  }

  private changed = (): void => this.requestUpdate();

  private open(): void {
    this.dispatchEvent(
      new CustomEvent("hass-more-info", {
        detail: { entityId: this._config!.entity },
        bubbles: true,
        composed: true,
      }),
    );
  }

  protected render() {
    const { feed, _hass: hass } = this;
    const camera = feed?.cameras?.find((one) => one.entity_id === this._config?.entity);
    if (!feed?.texts || !hass || !camera) {
      const text = feed?.cameras && feed.texts?.get("no_camera");
      return html`<ha-card>
        <div class="picture">${text ? html`<span class="none">${text}</span>` : nothing}</div>
      </ha-card>`;
    }
    const { texts } = feed;
    const formats = formatsOf(hass);
    const info = feed.info(camera);
    const picture = feed.picture(camera);
    const at = now();
    const age = picture?.at ? formats.relative(picture.at, at) : "";
    const status = info.status?.state ?? camera.status;
    const battery = Number(info.battery?.state);
    const facts = [
      info.battery && !Number.isNaN(battery)
        ? html`<span class=${battery <= 15 ? "bad" : ""}>
            <ha-icon icon=${battery <= 15 ? "mdi:battery-alert-variant-outline" : "mdi:battery"}></ha-icon>
            ${hass.formatEntityState(info.battery)}
          </span>`
        : nothing,
      info.clipsToday && !Number.isNaN(Number(info.clipsToday.state))
        ? html`<span>
            <ha-icon icon="mdi:filmstrip"></ha-icon>
            ${texts.count("clips_today", Number(info.clipsToday.state), formats)}
          </span>`
        : nothing,
      info.pending
        ? html`<span>
            <ha-icon icon="mdi:email-arrow-right-outline"></ha-icon>
            ${info.pending}
          </span>`
        : nothing,
      info.nextCheckIn && info.nextCheckIn > at && !info.streaming && !info.pending
        ? html`<span>
            <ha-icon icon="mdi:clock-outline"></ha-icon>
            ${texts.get("next_check_in", { time: formats.clock(info.nextCheckIn) })}
          </span>`
        : nothing,
    ];
    return html`<ha-card>
      <button @click=${this.open}>
        <div class="picture">
          ${
            picture
              ? html`<img src=${picture.url} alt=${texts.get("live_of", { camera: camera.name })} />`
              : html`<span class="none">${texts.get("no_picture")}</span>`
          }
          <span class="caption">
            <span class="name">${camera.name}</span>
            ${
              info.status
                ? html`<span class=${status === "asleep" && age ? "calm" : ""}
                    >${"\u00a0· "}${hass.formatEntityState(info.status)}</span
                  >`
                : nothing
            }
            ${age ? html`<span>${"\u00a0· "}${age}</span>` : nothing}
            ${info.streaming ? html`<i class="dot"></i>` : nothing}
          </span>
        </div>
        <div class="facts ${["late", "offline"].includes(status) ? "bad" : ""}">${facts}</div>
      </button>
    </ha-card>`;
  }

  static styles = css`
    ha-card {
      overflow: hidden;
      height: 100%;
    }
    button {
      display: block;
      width: 100%;
      height: 100%;
      padding: 0;
      border: none;
      background: none;
      color: var(--primary-text-color, #111);
      font: inherit;
      text-align: start;
      cursor: pointer;
    }
    button:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
      outline-offset: -2px;
    }
    .picture {
      container-type: inline-size;
      position: relative;
      aspect-ratio: 4 / 3;
      background: #000;
    }
    img {
      width: 100%;
      height: 100%;
      object-fit: cover;
      display: block;
    }
    .none,
    .caption {
      position: absolute;
      inset-inline-start: 8px;
      max-width: calc(100% - 32px);
      bottom: 8px;
      padding: 2px 8px;
      border-radius: 10px;
      background: rgb(0 0 0 / 65%);
      color: #fff;
      font-size: 13px;
    }
    .caption {
      display: flex;
      align-items: center;
      max-width: calc(100% - 16px);
      box-sizing: border-box;
      white-space: nowrap;
    }
    .caption .name {
      overflow: hidden;
      text-overflow: ellipsis;
    }
    .caption span:not(.name) {
      flex: none;
    }
    .none {
      bottom: 50%;
    }
    @container (max-width: 220px) {
      /* The name and the age are what a narrow tile has room for; the line below says that it sleeps. */
      .caption .calm {
        display: none;
      }
    }
    .dot {
      flex: none;
      margin-inline-start: 6px;
      width: 8px;
      height: 8px;
      border-radius: 4px;
      background: #f44336;
    }
    .facts {
      display: flex;
      flex-wrap: wrap;
      gap: 4px 12px;
      padding: 8px 12px;
      min-height: 20px;
      font-size: 13px;
      color: var(--secondary-text-color, #555);
      --mdc-icon-size: 16px;
    }
    .bad {
      font-weight: 500;
      color: var(--primary-text-color, #111);
    }
    .bad ha-icon {
      color: var(--error-color, #c62828);
    }
  `;
}

customElements.define("magicpi-camera-card", MagicPiCameraCard);
