import { loadTexts, pickerName, type Texts } from "./localize";
import type { HomeAssistant } from "./types";

interface StrategyConfig {
  type: string;
  /** Entity ids of cameras; none = every camera. */
  entities?: string[];
}

type Card = Record<string, unknown>;

/** The cameras that a strategy shows, by name. */
function cameras(config: StrategyConfig, hass: HomeAssistant): string[] {
  const name = (id: string) => String(hass.states[id]?.attributes.friendly_name ?? id);
  return Object.values(hass.entities ?? {})
    .filter((entity) => entity.platform === "magicpi_nvr" && entity.entity_id.startsWith("camera."))
    .map((entity) => entity.entity_id)
    // The registry lists those that the user has no right to, the states do not
    .filter((id) => hass.states[id])
    .filter((id) => !config.entities?.length || config.entities.includes(id))
    .sort((one, two) => name(one).localeCompare(name(two)));
}

function heading(text: string, icon: string): Card {
  return { type: "heading", heading: text, icon };
}

function tiles(ids: string[]): Card[] {
  return ids.map((entity) => ({ type: "custom:magicpi-camera-card", entity }));
}

function parts(config: StrategyConfig, hass: HomeAssistant, texts: Texts): Card[][] {
  const chosen = config.entities?.length ? { entities: config.entities } : {};
  const ids = cameras(config, hass);
  return [
    [heading(texts.get("cameras"), "mdi:cctv"), ...tiles(ids)],
    [
      heading(texts.get("timeline"), "mdi:chart-gantt"),
      { type: "custom:magicpi-timeline-card", ...chosen, grid_options: { columns: "full" } },
    ],
    [
      heading(texts.get("latest"), "mdi:filmstrip"),
      { type: "custom:magicpi-clips-card", ...chosen, grid_options: { columns: "full" } },
    ],
    [
      heading(texts.get("problems"), "mdi:alert-circle-outline"),
      { type: "custom:magicpi-problems-card", ...chosen, grid_options: { columns: "full" } },
    ],
  ];
}

async function view(config: StrategyConfig, hass: HomeAssistant): Promise<Card> {
  const texts = await loadTexts(hass);
  const [tilesPart, timeline, latest, problems] = parts(config, hass, texts);
  const section = (cards: Card[], span: number) => ({ type: "grid", column_span: span, cards });
  return {
    type: "sections",
    max_columns: 2,
    sections: [section(tilesPart, 2), section(timeline, 2), section(latest, 1), section(problems, 1)],
  };
}

class CamerasDashboardStrategy extends HTMLElement {
  /** Made again when cameras come or go. */
  static registryDependencies = ["entities"];

  static async generate(config: StrategyConfig, hass: HomeAssistant): Promise<Card> {
    return {
      title: pickerName("cameras"),
      views: [{ title: pickerName("cameras"), path: "cameras", icon: "mdi:cctv", ...(await view(config, hass)) }],
    };
  }

  /** What the dialog that adds the dashboard proposes. */
  static getCreateSuggestions() {
    return { title: pickerName("cameras"), icon: "mdi:cctv" };
  }
}

class CamerasViewStrategy extends HTMLElement {
  static registryDependencies = ["entities"];

  static generate(config: StrategyConfig, hass: HomeAssistant): Promise<Card> {
    return view(config, hass);
  }
}

class CamerasSectionStrategy extends HTMLElement {
  static registryDependencies = ["entities"];

  static async generate(config: StrategyConfig, hass: HomeAssistant): Promise<Card> {
    const [tilesPart, timeline] = parts(config, hass, await loadTexts(hass));
    return { cards: [...tilesPart, ...timeline.slice(1)] };
  }
}

for (const [kind, strategy] of Object.entries({
  dashboard: CamerasDashboardStrategy,
  view: CamerasViewStrategy,
  section: CamerasSectionStrategy,
})) {
  customElements.define(`ll-strategy-${kind}-magicpi-cameras`, strategy);
}
