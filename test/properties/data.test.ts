// Bytes: the messages that systemd is sent.
import fc from 'fast-check';
import { test } from 'vitest';
import { decodeMessage, messageLength } from '../../lib/dbus/message.ts';
import { runs } from './runs.ts';

test('a message of any bytes is read, or refused by the reader itself', () => {
  const head = fc.constantFrom([0x6c, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0], [0x6c, 1, 0, 1], []);
  fc.assert(
    fc.property(head, fc.uint8Array({ maxLength: 120 }), (start, rest) => {
      const bytes = Uint8Array.from([...start, ...rest]);
      try {
        void messageLength(bytes);
        void decodeMessage(bytes);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }),
    runs(2000),
  );
});
