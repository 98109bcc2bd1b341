#!/usr/bin/env node
import { main } from '../dist/lib/cli/main.js';
import { createWorld } from '../dist/lib/node/world.js';

process.exitCode = await main(process.argv.slice(2), createWorld());
