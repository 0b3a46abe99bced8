import { pathToFileURL } from 'node:url';
import type { Context } from 'aws-lambda';

/** One invocation, and its answer under the same number. */
export interface Invocation {
  readonly number: number;
  readonly event: unknown;
  readonly context: Omit<Context, 'getRemainingTimeInMillis' | 'done' | 'fail' | 'succeed'>;
  readonly deadlineAtMs: number;
}

export type InvocationAnswer =
  | { readonly number: number; readonly result: unknown }
  | { readonly number: number; readonly failure: string };

/** A bundled function in a process with an environment of its own, as Lambda runs it. Its file is the first argument. */
const { handler } = (await import(pathToFileURL(process.argv[2] as string).href)) as {
  handler: (event: unknown, context: Context) => Promise<unknown>;
};

process.on('message', ({ number, event, context, deadlineAtMs }: Invocation) => {
  const answer = (message: InvocationAnswer) => process.send?.(message);
  handler(event, { ...context, getRemainingTimeInMillis: () => deadlineAtMs - Date.now() } as Context).then(
    (result) => answer({ number, result }),
    (error: unknown) => answer({ number, failure: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('started');
