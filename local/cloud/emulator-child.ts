import { messageOf } from '../../shared/errors.ts';

/** A server that an emulator's process runs. */
export interface EmulatorServer {
  readonly port: number;
  close(): Promise<void>;
}

/** What an emulator's process tells its parent. */
export type EmulatorMessage =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly reason: string };

const closeWithinMs = 1500;

/**
 * The main program of an emulator's process: starts the server on the data directory that the parent names (none:
 * memory), tells the parent its port, and lives exactly as long as the parent's end of the IPC channel. That end also
 * closes when the parent is killed, so no emulator outlives it.
 */
export async function runEmulator(
  start: (dataDirectory: string | undefined) => Promise<EmulatorServer>,
): Promise<void> {
  const { send } = process;
  if (!send) throw new Error('an emulator runs as the child of the embedded cloud only');
  const tell = (message: EmulatorMessage) =>
    new Promise<void>((resolve) => {
      send.call(process, message, () => resolve());
    });
  // Ctrl-C and its like reach the whole process group; the parent drains first and still needs its tables and queues.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

  let server: EmulatorServer | undefined;
  process.once('disconnect', () => {
    setTimeout(() => process.exit(1), closeWithinMs);
    void (server?.close() ?? Promise.resolve()).finally(() => process.exit(0));
  });
  try {
    server = await start(process.argv[2]);
  } catch (error) {
    await tell({ kind: 'failed', reason: messageOf(error) });
    process.exit(1);
  }
  await tell({ kind: 'listening', port: server.port });
}
