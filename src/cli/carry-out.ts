import { describeError, GatewayError } from '../core/errors.ts';
import { sentences } from '../ops/words.ts';
import { EXIT_CONFIG, EXIT_USAGE } from './command.ts';

/**
 * Does what the arguments ask for; gives the exit code. `read` throws where they make no sense, which is told with the
 * usage (64). What the world refuses `act` throws, and that is told with its cure: 1, or 78 for a wrong configuration.
 */
export async function carryOut<T>(
  command: { readonly name: string; readonly usage: string },
  read: () => T | Promise<T>,
  act: (asked: T) => number | Promise<number>,
): Promise<number> {
  let asked: T;
  try {
    asked = await read();
  } catch (error) {
    process.stderr.write(
      `petiole ${command.name}: ${error instanceof Error ? error.message : error}\n\n${command.usage}`,
    );
    return EXIT_USAGE;
  }
  try {
    return await act(asked);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { message, hint } = describeError(error);
    process.stderr.write(`${sentences(message, hint)}\n`);
    return error instanceof GatewayError && error.code === 'config_invalid' ? EXIT_CONFIG : 1;
  }
}
