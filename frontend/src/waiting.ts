import { loadTexts } from "./localize";
import { formatsOf } from "./time";
import type { Connection, HomeAssistant } from "./types";

const RETRY_MOST = 60_000;
const SHOWN_FOR = 8_000;

/** A setting that a user has changed while its camera sleeps. */
interface Waiting {
  camera: string;
  setting: string;
  next_check_in: number | null;
}

/**
 * Say on any page of Home Assistant when a camera gets what was just changed.
 *
 * A setting shows what is wanted at once: without this it looks as if the camera had it.
 */
export async function announceWaiting(connecting: Promise<{ conn: Connection }> | undefined): Promise<void> {
  const connection = (await connecting)?.conn;
  let attempt = 0;
  let delay = 1_000;
  const subscribe = () => {
    const mine = ++attempt;
    connection
      ?.subscribeMessage<Waiting>(
        (waiting) => void (mine === attempt && announce(waiting)),
        { type: "magicpi_nvr/subscribe_waiting" },
        { resubscribe: false },
      )
      .then(
        () => {
          delay = 1_000;
        },
        () => {
          // Right after a restart Home Assistant does not know it yet
          window.setTimeout(() => mine === attempt && subscribe(), delay);
          delay = Math.min(RETRY_MOST, delay * 2);
        },
      );
  };
  connection?.addEventListener("ready", subscribe);
  subscribe();
}

async function announce(waiting: Waiting): Promise<void> {
  const page = document.querySelector<HTMLElement & { hass?: HomeAssistant }>("home-assistant");
  const hass = page?.hass;
  if (!hass || document.visibilityState !== "visible") {
    return;
  }
  const texts = await loadTexts(hass);
  const { camera, setting, next_check_in: at } = waiting;
  const message = at
    ? texts.get("waits_check_in", { camera, setting, time: formatsOf(hass).clock(at) })
    : texts.get("waits_connection", { camera, setting });
  page.dispatchEvent(new CustomEvent("hass-notification", { detail: { message, duration: SHOWN_FOR } }));
}
