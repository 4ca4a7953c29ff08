/**
 * `npm run test:firmware-kills`: the box, and then the board, is killed at each percent of a firmware transfer.
 *
 * Exit 0: each transfer went on where it was, and the board runs what was sent. 1: not so.
 */
import { type End, killTransfers } from '../support/firmware-kills.ts';
import { Lifetime } from '../support/scope.ts';

for (const end of ['box', 'board'] satisfies End[]) {
  await using life = new Lifetime();
  const wanted = Array.from({ length: 100 }, (_, percent) => ({ end, percent }));
  const { kills, hashes, restarts } = await killTransfers(life, wanted, ({ percent }) => {
    if (percent % 10 === 0) console.error(`firmware-kills: the ${end} at ${percent} %`);
  });
  const wrong = hashes.filter(({ sent, runs }) => sent !== runs).length;
  console.log(
    `${kills.length} kills of the ${end} in ${hashes.length} transfers: ${restarts} began anew, ${wrong} wrong hashes`,
  );
  if (restarts + wrong > 0) process.exitCode = 1;
}
