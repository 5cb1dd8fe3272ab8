import { css, html, LitElement, nothing } from "lit";
import { now } from "./clock";
import { Feed } from "./feed";
import { formatsOf } from "./time";
import type { CardConfig, HomeAssistant } from "./types";

const LOW_BATTERY = 15;

/** What needs a hand: cameras that do not come, empty batteries, a full disk. Nothing when all is well. */
class MagicPiProblemsCard extends LitElement {
  static properties = { _config: { state: true } };

  _config?: CardConfig;
  private _hass?: HomeAssistant;
  private feed?: Feed;
  private sensorsOf: HomeAssistant["entities"];
  private sensors: string[] = [];
  private release: (() => void) | null = null;

  setConfig(config: CardConfig): void {
    this._config = config;
  }

  set hass(hass: HomeAssistant) {
    const first = !this._hass;
    const shown = this.troubles.join();
    this._hass = hass;
    this.feed ??= Feed.of(hass);
    this.feed.update(hass);
    if (first) {
      this.attach();
      this.requestUpdate();
    } else if (this.troubles.join() !== shown) {
      // The feed tells of the sensors on its tiles only
      this.requestUpdate();
    }
  }

  /** The problem sensors that are on. */
  private get troubles(): string[] {
    const { _hass: hass } = this;
    if (!hass) {
      return [];
    }
    if (hass.entities !== this.sensorsOf) {
      this.sensorsOf = hass.entities;
      this.sensors = Object.values(hass.entities ?? {})
        .filter(
          ({ platform, entity_id }) =>
            platform === "magicpi_nvr" && entity_id.startsWith("binary_sensor."),
        )
        .map(({ entity_id }) => entity_id);
    }
    return this.sensors.filter((id) => {
      const state = hass.states[id];
      return state?.state === "on" && state.attributes.device_class === "problem";
    });
  }

  getCardSize(): number {
    return 1;
  }

  getGridOptions() {
    return { columns: "full" };
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

  private open(entityId: string): void {
    this.dispatchEvent(
      new CustomEvent("hass-more-info", { detail: { entityId }, bubbles: true, composed: true }),
    );
  }

  protected render() {
    const { feed, _hass: hass } = this;
    if (!feed?.texts || !feed.cameras || !hass) {
      return nothing;
    }
    const { texts } = feed;
    const formats = formatsOf(hass);
    const problems: { text: string; icon: string; entity?: string | null }[] = [];
    if (!feed.live) {
      problems.push({ text: texts.get("waiting"), icon: "mdi:lan-disconnect" });
    }
    for (const camera of feed.cameras) {
      const info = feed.info(camera);
      const since = info.status ? Date.parse(info.status.last_changed) : NaN;
      if (info.status && ["late", "offline"].includes(info.status.state)) {
        const said = [camera.name, hass.formatEntityState(info.status), formats.relative(since, now())];
        problems.push({ text: said.join(" · "), icon: "mdi:cctv-off", entity: info.status.entity_id });
      }
      if (info.battery && Number(info.battery.state) <= LOW_BATTERY) {
        const said = [camera.name, hass.formatEntityState(info.battery)];
        problems.push({
          text: said.join(" · "),
          icon: "mdi:battery-alert-variant-outline",
          entity: info.battery.entity_id,
        });
      }
    }
    for (const entity of this.troubles) {
      problems.push({
        text: String(hass.states[entity]?.attributes.friendly_name),
        icon: "mdi:alert-circle-outline",
        entity,
      });
    }
    return html`<ha-card>
      ${
        problems.length
          ? problems.map(
              ({ text, icon, entity }) => html`<button
                ?disabled=${!entity}
                @click=${() => entity && this.open(entity)}
              >
                <ha-icon class="bad" icon=${icon}></ha-icon> ${text}
              </button>`,
            )
          : html`<p><ha-icon icon="mdi:check-circle-outline"></ha-icon> ${texts.get("no_problems")}</p>`
      }
    </ha-card>`;
  }

  static styles = css`
    ha-card {
      padding: 4px 8px;
    }
    p,
    button {
      display: flex;
      gap: 8px;
      align-items: center;
      width: 100%;
      min-height: 40px;
      margin: 0;
      padding: 0 4px;
      border: none;
      background: none;
      font: inherit;
      text-align: start;
      color: var(--primary-text-color, #111);
    }
    button:enabled {
      cursor: pointer;
    }
    button:focus-visible {
      outline: 2px solid var(--primary-color, #03a9f4);
    }
    .bad {
      color: var(--error-color, #c62828);
    }
  `;
}

customElements.define("magicpi-problems-card", MagicPiProblemsCard);
