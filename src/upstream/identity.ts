/** A lane of another box, whose records were carried here, has that box's identity as its name. */
export function isForeign(lane: string): boolean {
  return lane.startsWith('@');
}

/** `<gateway>.<epoch>.<lane>`: what the ids of a lane's records begin with. */
export function identityOf(gateway: string, epoch: string, lane: string): string {
  return isForeign(lane) ? lane.slice(1) : `${gateway}.${epoch}.${lane}`;
}

/** `.<epoch>.<lane>.`: what they end with before the sequence, by which a box that was renamed still knows its own. */
export function idEndOf(epoch: string, lane: string): string {
  const identity = identityOf('', epoch, lane);
  return `${identity.slice(identity.indexOf('.'))}.`;
}
