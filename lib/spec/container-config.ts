import { mergeEnv } from './env.ts';
import type { ImageConfig } from './image-config.ts';
import type { CommonOptions } from './options.ts';

/** An image's configuration with what the options of a container put in its place: what an image made of it would say. */
export function containerConfig(options: CommonOptions, image: ImageConfig = {}): ImageConfig {
  const { entrypoint, command, env = {}, user, cwd, labels, stopSignal } = options;
  const given = Object.keys(env).map((name) => `${name}=${env[name]}`);
  return {
    ...image,
    ...(entrypoint !== undefined && { Entrypoint: entrypoint }),
    // An entrypoint clears the image's Cmd, which was meant for another.
    ...((command !== undefined || entrypoint !== undefined) && { Cmd: command }),
    Env: mergeEnv(image.Env ?? [], given),
    ...(user !== undefined && { User: user }),
    ...(cwd !== undefined && { WorkingDir: cwd }),
    Labels: { ...image.Labels, ...labels },
    ...(stopSignal !== undefined && { StopSignal: stopSignal }),
  };
}
