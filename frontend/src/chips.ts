import { html, nothing } from "lit";
import { type Filters, toggled } from "./filters";
import type { Texts } from "./localize";
import type { Camera } from "./types";

/** What there is to choose from. */
export interface Choices {
  cameras: readonly Camera[];
  labels: readonly string[];
  zones: readonly string[];
  reasons: readonly string[];
  nothingSeen: boolean;
  continuous: boolean;
}

/** The filters as chips: each one a button that is on or off. */
export function renderChips(
  filters: Filters,
  choices: Choices,
  texts: Texts,
  change: (filters: Filters) => void,
) {
  const chip = (name: string, on: boolean, next: Partial<Filters>) => html`<button
    class="chip ${on ? "on" : ""}"
    aria-pressed=${on}
    @click=${() => change({ ...filters, ...next })}
  >
    ${name}
  </button>`;
  return html`<div class="chips" role="group" aria-label=${texts.get("filters")}>
    ${chip(texts.get("unseen"), filters.unseen, { unseen: !filters.unseen })}
    ${chip(texts.get("protected"), filters.protected, { protected: !filters.protected })}
    ${
      choices.reasons.length > 1
        ? choices.reasons.map((reason) =>
            chip(texts.reason(reason), filters.reasons.includes(reason), {
              reasons: toggled(filters.reasons, reason),
            }),
          )
        : nothing
    }
    ${choices.labels.map((label) =>
      chip(texts.label(label), filters.labels.includes(label), { labels: toggled(filters.labels, label) }),
    )}
    ${choices.zones.map((zone) =>
      chip(zone, filters.zones.includes(zone), { zones: toggled(filters.zones, zone) }),
    )}
    ${
      choices.nothingSeen || filters.nothingSeen
        ? chip(texts.get("nothing_seen"), filters.nothingSeen, { nothingSeen: !filters.nothingSeen })
        : nothing
    }
    ${
      choices.continuous || filters.continuous
        ? chip(texts.reason("continuous"), filters.continuous, { continuous: !filters.continuous })
        : nothing
    }
    ${
      choices.cameras.length > 1
        ? choices.cameras.map((camera) =>
            chip(camera.name, filters.cameras.includes(camera.id), {
              cameras: toggled(filters.cameras, camera.id),
            }),
          )
        : nothing
    }
  </div>`;
}
