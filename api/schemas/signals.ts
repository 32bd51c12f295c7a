import { z } from 'zod';
import { MAX_SIGNAL_BYTES } from '../../domain/limits.ts';
import { Bytes } from './common.ts';

export const SignalInput = z
  .strictObject({
    data: Bytes.meta({
      description: `At most ${MAX_SIGNAL_BYTES} bytes. In \`mls\` conversations no MLSMessage`,
      example: 'AgAAAAAAAAADq83vEjRWeJASNFZ4kBI0Vg==',
    }),
  })
  .meta({ id: 'Signal', description: 'For the devices that are connected now. It is stored nowhere' });
