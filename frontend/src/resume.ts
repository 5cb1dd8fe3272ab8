const KEPT = 120_000;
const LATE = 1_000;

const kept = new Map<string, { memory: unknown; at: number }>();
const heirs = new Map<string, (memory: never) => void>();

/**
 * Leave what a card showed to the one that takes its place.
 *
 * Home Assistant makes all cards of a page again after each lost connection: without this, an open
 * clip would close, and a note that is being written would be lost.
 */
export function leave(key: string, memory: unknown): void {
  const heir = heirs.get(key);
  if (heir) {
    heirs.delete(key);
    heir(memory as never);
  } else {
    kept.set(key, { memory, at: Date.now() });
  }
}

/** Take what a card like this one has left, or leaves in a moment: the new one may come before the old one goes. */
export function inherit<Memory>(key: string, take: (memory: Memory) => void): void {
  const found = kept.get(key);
  kept.delete(key);
  if (found && Date.now() - found.at < KEPT) {
    take(found.memory as Memory);
    return;
  }
  heirs.set(key, take as (memory: never) => void);
  window.setTimeout(() => {
    if (heirs.get(key) === take) {
      heirs.delete(key);
    }
  }, LATE);
}
