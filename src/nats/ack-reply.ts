const PREFIX = '$JS.ACK.';
/** Dots of the shortest form: `$JS.ACK.<stream>.<consumer>.<n>.<sseq>.<cseq>.<time>.<pending>`. */
const DOTS_MIN = 8;

/**
 * Hubs send a consumer's message on the consumer's inbox and put the message's own subject behind the reply:
 * `$JS.ACK.…@<subject>`. Returns the two parts, null for any other reply. Names of streams and consumers may hold an
 * `@` themselves; the numbers after them may not, so it is looked for behind the eighth dot.
 */
export function splitAckReply(reply: string): { reply: string; subject: string } | null {
  if (!reply.startsWith(PREFIX)) return null;
  let at = -1;
  for (let dots = 0; dots < DOTS_MIN; dots++) {
    at = reply.indexOf('.', at + 1);
    if (at === -1) return null;
  }
  const mark = reply.indexOf('@', at);
  return mark === -1 ? null : { reply: reply.slice(0, mark), subject: reply.slice(mark + 1) };
}
