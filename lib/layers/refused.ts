/** What an archive did wrong, before anybody has said which archive: the edges turn it into a RuntsError. */
export class Refused extends Error {
  readonly hint: string | undefined;
  /** True where nothing is wrong with the archive, but this version of Node or runts cannot read it. */
  readonly unsupported: boolean;

  constructor(reason: string, fields: { readonly hint?: string; readonly unsupported?: boolean } = {}) {
    super(reason);
    this.hint = fields.hint;
    this.unsupported = fields.unsupported ?? false;
  }
}

export const damaged = (why: string): Refused => new Refused(`the compressed data is damaged (${why})`);
