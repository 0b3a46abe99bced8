import { verifyKey } from 'discord-interactions';
import nacl from 'tweetnacl';
import { expect, test } from 'vitest';
import { RequestSignature } from '../../../../functions/interactions/endpoint/request-signature.ts';
import { type Random, randomBelow, seededRandom } from '../../../../shared/random.ts';
import { SigningKey } from './signed-requests.ts';

interface Sent {
  readonly publicKey: string;
  readonly signature: string;
  readonly timestamp: string;
  readonly body: Buffer;
}

const own = (sent: Sent) => new RequestSignature(sent.publicKey).isValid(sent);
const byDiscord = ({ body, signature, timestamp, publicKey }: Sent) => verifyKey(body, signature, timestamp, publicKey);
const byTweetNacl = ({ body, signature, timestamp, publicKey }: Sent) =>
  nacl.sign.detached.verify(
    Buffer.concat([Buffer.from(timestamp), body]),
    Buffer.from(signature, 'hex'),
    Buffer.from(publicKey, 'hex'),
  );

const bodies = ['', '{"type":1}', '{"name":"größer 🎲 \\u0000"}', ' {"type" : 1}\n', '\u{feff}{}', 'x'.repeat(20_000)];

test.each(bodies.map((body) => ({ body })))('agrees with two other libraries about $body', async ({ body }) => {
  const key = new SigningKey();
  const timestamp = '1763805600';
  const sent = { publicKey: key.publicKey, timestamp, body: Buffer.from(body), signature: key.sign(timestamp, body) };
  const altered = [
    sent,
    { ...sent, signature: sent.signature.toUpperCase() },
    { ...sent, timestamp: '1763805601' },
    { ...sent, body: Buffer.concat([sent.body, Buffer.from(' ')]) },
    { ...sent, publicKey: new SigningKey().publicKey },
    { ...sent, signature: key.sign(timestamp, `${body} `) },
  ];
  const verdicts = altered.map(own);
  expect(verdicts).toEqual([true, true, false, false, false, false]);
  expect(await Promise.all(altered.map(byDiscord))).toEqual(verdicts);
  expect(altered.map(byTweetNacl)).toEqual(verdicts);
});

test('what tweetnacl signs is right, whatever its bytes', () => {
  const { publicKey, secretKey } = nacl.sign.keyPair();
  const body = Buffer.from([0, 255, 128, 10, 13, 34]);
  const message = Buffer.concat([Buffer.from('1763805600'), body]);
  const signature = Buffer.from(nacl.sign.detached(message, secretKey)).toString('hex');
  const sent = { publicKey: Buffer.from(publicKey).toString('hex'), timestamp: '1763805600', body, signature };
  expect(own(sent)).toBe(true);
  expect(own({ ...sent, body: Buffer.from(body.toString()) })).toBe(false);
});

/** One change at random. */
function tampered(sent: Sent, otherKey: string, random: Random): Sent {
  const flipped = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    const at = randomBelow(random, copy.length);
    copy[at] = (copy[at] as number) ^ (1 << randomBelow(random, 8));
    return copy;
  };
  switch (randomBelow(random, 8)) {
    case 0:
      return { ...sent, signature: flipped(Buffer.from(sent.signature, 'hex')).toString('hex') };
    case 1:
      return { ...sent, body: flipped(sent.body) };
    case 2: {
      const digits = sent.timestamp.split('');
      const at = randomBelow(random, digits.length);
      digits[at] = String((Number(digits[at]) + 1 + randomBelow(random, 9)) % 10);
      return { ...sent, timestamp: digits.join('') };
    }
    case 3:
      return { ...sent, publicKey: otherKey };
    case 4:
      return { ...sent, body: sent.body.subarray(0, randomBelow(random, sent.body.length)) };
    case 5:
      return { ...sent, signature: sent.signature.slice(0, randomBelow(random, 128)) };
    case 6:
      return { ...sent, signature: `${sent.signature}${sent.signature.slice(0, 2 + 2 * randomBelow(random, 63))}` };
    default:
      return { ...sent, signature: Buffer.from(sent.signature, 'hex').reverse().toString('hex') };
  }
}

test('of 200 tampered requests it accepts none, and neither do the two', async () => {
  const random = seededRandom(20_261_122);
  const other = new SigningKey().publicKey;
  const accepted = { own: 0, discord: 0, tweetNacl: 0 };
  for (let n = 0; n < 200; n += 1) {
    const key = new SigningKey();
    const timestamp = String(1_763_805_600 + n);
    const body = Buffer.from(`{"type":2,"id":"${n}","data":{"name":"ping"}}`);
    const sent = { publicKey: key.publicKey, timestamp, body, signature: key.sign(timestamp, body) };
    expect(own(sent)).toBe(true);
    const changed = tampered(sent, other, random);
    if (own(changed)) accepted.own += 1;
    if (await byDiscord(changed)) accepted.discord += 1;
    // It throws at a signature of another length, and an empty one is no signature.
    if (changed.signature.length === 128 && byTweetNacl(changed)) accepted.tweetNacl += 1;
  }
  expect(accepted).toEqual({ own: 0, discord: 0, tweetNacl: 0 });
}, 60_000);

test.each([undefined, '', 'zz'.repeat(64), '00'.repeat(64), `${'00'.repeat(64)}00`, ' '.repeat(128)])(
  'takes %j for no signature, without throwing',
  (signature) => {
    const verifier = new RequestSignature(new SigningKey().publicKey);
    expect(verifier.isValid({ signature, timestamp: '1', body: Buffer.alloc(0) })).toBe(false);
    expect(verifier.isValid({ signature, timestamp: undefined, body: Buffer.alloc(0) })).toBe(false);
  },
);

test('a key of any 32 bytes makes a verifier, if only one that refuses', () => {
  const verifier = new RequestSignature('ff'.repeat(32));
  expect(verifier.isValid({ signature: '11'.repeat(64), timestamp: '1', body: Buffer.from('{}') })).toBe(false);
});
