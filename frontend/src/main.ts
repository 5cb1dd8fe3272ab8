import "./camera-card";
import "./clips-card";
import "./group";
import "./minimap";
import "./player";
import "./problems-card";
import "./stage";
import "./strategy";
import "./timeline-card";
import "./timeline-row";
import "./zone-editor";
import { pickerName } from "./localize";
import type { Connection, HomeAssistant } from "./types";
import { announceWaiting } from "./waiting";

interface Offered {
  hassConnection?: Promise<{ conn: Connection }>;
  customCards?: object[];
  customStrategies?: object[];
}

const offered = window as Offered;

/** Whether an entity is a camera of this integration. */
function isCamera(hass: HomeAssistant, entity: string): boolean {
  return entity.startsWith("camera.") && hass.entities?.[entity]?.platform === "magicpi_nvr";
}

// The page's language is known only once Home Assistant has begun: names are read when they are shown.
(offered.customCards ??= []).push(
  {
    type: "magicpi-timeline-card",
    get name() {
      return pickerName("timeline");
    },
    get description() {
      return pickerName("timeline_about");
    },
    preview: true,
    getEntitySuggestion: (hass: HomeAssistant, entity: string) =>
      isCamera(hass, entity)
        ? { label: pickerName("timeline"), config: { type: "custom:magicpi-timeline-card", entities: [entity] } }
        : null,
  },
  {
    type: "magicpi-camera-card",
    get name() {
      return pickerName("camera");
    },
    get description() {
      return pickerName("camera_about");
    },
    preview: true,
    getEntitySuggestion: (hass: HomeAssistant, entity: string) =>
      isCamera(hass, entity)
        ? { label: pickerName("camera"), config: { type: "custom:magicpi-camera-card", entity } }
        : null,
  },
);

for (const strategyType of ["dashboard", "view", "section"]) {
  (offered.customStrategies ??= []).push({
    type: "magicpi-cameras",
    strategyType,
    get name() {
      return pickerName("cameras");
    },
    get description() {
      return pickerName("cameras_about");
    },
  });
}

void announceWaiting(offered.hassConnection);
