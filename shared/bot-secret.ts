import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import * as z from 'zod';
import type { AwsClientSettings } from './aws-clients.ts';
import { BatonError, messageOf } from './errors.ts';
import { secretFields } from './fleet-resources.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const variable = 'DISCORD_SECRET';
const valueSchema = z.object({
  [secretFields.token]: z.string().optional(),
  [secretFields.publicKey]: z.string().optional(),
});

/**
 * The environment of a function, completed by the secret that `DISCORD_SECRET` names (ARN or name): `DISCORD_TOKEN` and
 * `DISCORD_PUBLIC_KEY` where they are not set themselves. Asks nothing when the variable is unset. Call it once, at the
 * start: a changed token takes effect in new instances.
 * @throws {BatonError} `CONFIG_INVALID` when the secret is missing, empty, unreadable or not of its form; the message
 * never holds its value.
 */
export async function withBotSecret(env: Environment, settings: AwsClientSettings = {}): Promise<Environment> {
  const name = env[variable]?.trim();
  if (name === undefined || name === '') return env;
  const { token, publicKey } = parseSecret(name, await fetchSecret(name, settings));
  return { DISCORD_TOKEN: token, DISCORD_PUBLIC_KEY: publicKey, ...definedOnly(env) };
}

/** A function has ten seconds to start (Lambda, "init phase"); two attempts fit in. */
const requestLimits = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 1000, requestTimeout: 3000, throwOnRequestTimeout: true },
};

async function fetchSecret(name: string, settings: AwsClientSettings): Promise<string> {
  const client = new SecretsManagerClient({ ...requestLimits, ...settings });
  try {
    const { SecretString = '' } = await client.send(new GetSecretValueCommand({ SecretId: name }));
    return SecretString;
  } catch (error) {
    const advice =
      error instanceof Error && error.name === 'ResourceNotFoundException'
        ? `it does not exist or has no value yet: aws secretsmanager put-secret-value --secret-id ${name} --secret-string '{"token":"...","publicKey":"..."}'`
        : messageOf(error);
    throw new BatonError('CONFIG_INVALID', `${variable}=${name} cannot be read: ${advice}`, { cause: error });
  } finally {
    client.destroy();
  }
}

function parseSecret(name: string, text: string): z.infer<typeof valueSchema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, and the text is the secret.
    value = undefined;
  }
  const parsed = valueSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BatonError(
    'CONFIG_INVALID',
    `${variable}=${name} must have a JSON object as its value, {"token":"...","publicKey":"..."}`,
  );
}

function definedOnly(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
}
