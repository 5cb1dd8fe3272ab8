interface CardHelpers {
  createRowElement(config: Record<string, unknown>): unknown;
}

let loaded: Promise<boolean> | null = null;

/**
 * Bring in Home Assistant's own date field, which only some rows load; false where it does not come.
 */
export function loadDateInput(): Promise<boolean> {
  loaded ??= (async () => {
    if (customElements.get("ha-date-input")) {
      return true;
    }
    const helpers = (window as { loadCardHelpers?: () => Promise<CardHelpers> }).loadCardHelpers;
    if (!helpers) {
      return false;
    }
    (await helpers()).createRowElement({ type: "date-entity", entity: "date.none" });
    return Promise.race([
      customElements.whenDefined("ha-date-input").then(() => true),
      new Promise<boolean>((done) => window.setTimeout(() => done(false), 5_000)),
    ]);
  })().catch(() => false);
  return loaded;
}
