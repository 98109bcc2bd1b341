/** Who we are to a registry. */
export type Credentials =
  | { readonly username: string; readonly password: string }
  /** What a token server gave at a login, to be shown to it instead of a password. */
  | { readonly identityToken: string }
  /** Shown to the registry as it is. */
  | { readonly registryToken: string };
