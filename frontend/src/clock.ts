const NOTICEABLE = 60_000;

let ahead = 0;
let offset = Date.now() - performance.now();

/** What time it is for Home Assistant: the clock of a tablet on the wall may be hours off. */
export function now(): number {
  return Date.now() + ahead;
}

/** Learn from an answer of Home Assistant that says what time it was there. */
export function learn(hostNow: number | undefined, asked: number): void {
  if (hostNow !== undefined) {
    const difference = hostNow - (asked + Date.now()) / 2;
    ahead = Math.abs(difference) < NOTICEABLE ? 0 : difference;
    offset = Date.now() - performance.now();
  }
}

/** Whether this device's clock was set since. */
export function wasSet(): boolean {
  return Math.abs(Date.now() - performance.now() - offset) > NOTICEABLE;
}
