import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AwsClientSettings } from '../../shared/aws-clients.ts';
import { withBotSecret } from '../../shared/bot-secret.ts';

let server: Server;
let settings: AwsClientSettings;
let asked: { target: string | undefined; body: unknown }[];
let answer: { status: number; body: unknown };

/** Secrets Manager, as far as one operation of it goes. */
beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      asked.push({
        target: request.headers['x-amz-target'] as string,
        body: JSON.parse(Buffer.concat(chunks).toString()),
      });
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(answer.body));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  settings = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const secretOf = (value: string) => ({ status: 200, body: { Name: 'baton/discord', SecretString: value } });

test('token and public key come from the secret', async () => {
  answer = secretOf('{"token":"the-token","publicKey":"abcd"}');
  const env = await withBotSecret({ DISCORD_SECRET: 'baton/discord', BATON_FLEET: 'x' }, settings);
  expect(env).toMatchObject({ DISCORD_TOKEN: 'the-token', DISCORD_PUBLIC_KEY: 'abcd', BATON_FLEET: 'x' });
  expect(asked).toEqual([{ target: 'secretsmanager.GetSecretValue', body: { SecretId: 'baton/discord' } }]);
});

test('a variable that is set wins over the secret', async () => {
  answer = secretOf('{"token":"from-the-secret"}');
  const env = await withBotSecret({ DISCORD_SECRET: 'baton/discord', DISCORD_TOKEN: 'by-hand' }, settings);
  expect(env['DISCORD_TOKEN']).toBe('by-hand');
});

test('nothing is asked where no secret is named', async () => {
  await expect(withBotSecret({ DISCORD_TOKEN: 'by-hand' }, settings)).resolves.toEqual({ DISCORD_TOKEN: 'by-hand' });
  expect(asked).toEqual([]);
});

test('a secret without a value is told with the command that puts one in', async () => {
  answer = {
    status: 400,
    body: { __type: 'ResourceNotFoundException', Message: "can't find the specified secret value" },
  };
  await expect(withBotSecret({ DISCORD_SECRET: 'baton/discord' }, settings)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/DISCORD_SECRET=baton\/discord.*put-secret-value --secret-id baton\/discord/),
  });
});

test.each(['not json at all', '"a string"', '{"token":7}'])(
  'a value like %s is refused and not shown',
  async (value) => {
    answer = secretOf(value);
    const refusal = withBotSecret({ DISCORD_SECRET: 'baton/discord' }, settings);
    await expect(refusal).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await refusal.catch((error: Error) => expect(error.message).not.toContain(value));
  },
);
