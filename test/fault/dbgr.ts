import { Lifetime } from '../support/scope.ts';
import { apply, planOf, startGround } from './random-faults.ts';
import { judgeRandom } from './random-verdict.ts';
const plan = planOf(42010, 8);
const corrupt = plan[4]!;
console.log(JSON.stringify(corrupt), Math.floor(corrupt.steps.onTheBox!.share * 3000) % 3);
const only = process.argv[2] === 'corrupt' ? [corrupt] : [corrupt, plan[5]!, plan[6]!];
for (let i = 0; i < Number(process.argv[3] ?? 3); i++) {
  await using life = new Lifetime();
  const ground = await startGround(life, { seed: 42010, procedure: 'own', build: null, messagesPerSecond: 500, say: () => {} });
  const { rig } = ground;
  await rig.whilePublishing('r', async () => {
    await new Promise((r) => setTimeout(r, 6000));
    for (const round of only) {
      await apply(ground, round);
      console.log(round.text, rig.box.log.filter((l) => (l.level ?? 0) >= 40 || /lost|salvag|store/.test(l.msg ?? '')).map((l) => JSON.stringify(l).slice(0, 400)).join('\n'));
    }
  });
  const v = await judgeRandom(rig, true);
  console.log(i, v.acked, v.audit.messages, v.declared, v.epochs, JSON.stringify(v.audit.lanes), v.faults);
}
