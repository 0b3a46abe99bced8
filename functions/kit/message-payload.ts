import { BatonError } from '../../shared/errors.ts';
import type { MessageDefinition } from './define-message.ts';

/**
 * The payload of a message between shards, as its schema or type guard lets it through.
 * @throws {BatonError} `MESSAGE_INVALID` when it does not.
 */
export async function checkPayload({ name, check }: MessageDefinition, data: unknown): Promise<unknown> {
  if (typeof check === 'function') {
    if (check(data)) return data;
    throw new BatonError('MESSAGE_INVALID', `message "${name}": the payload is not what its type guard expects`);
  }
  const result = await check['~standard'].validate(data);
  if (!result.issues) return result.value;
  const issues = result.issues.map(({ message }) => message).join('; ');
  throw new BatonError('MESSAGE_INVALID', `message "${name}": ${issues}`);
}
