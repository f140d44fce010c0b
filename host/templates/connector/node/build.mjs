// Bundles the connector into one module, and makes a component of it.
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';
import { rolldown } from 'rolldown';

const [source, target] = process.argv.slice(2);
const bundle = await rolldown({ input: source, external: /^wasi:/ });
const { output } = await bundle.generate({ format: 'esm' });
const { component } = await componentize(output[0].code, {
  witPath: 'wit',
  worldName: 'connector',
  // The world has its own clocks, HTTP and log; there is no use for those of the web.
  disableFeatures: ['clocks', 'http', 'random', 'stdio', 'fetch-event'],
});
await writeFile(target, component);
