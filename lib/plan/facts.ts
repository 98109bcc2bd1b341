/** What this host can do: an input to the compiler, recorded with every golden. Gathered by lib/host/probe.ts. */
export interface Facts {
  readonly kernel: string;
  readonly arch: 'x64' | 'arm64';
  /** Ours, in the user namespace that we are in. */
  readonly uid: number;
  readonly gid: number;
  /** CAP_SYS_ADMIN over our mount namespace: mounts can be cloned for a container that may not do it by itself. */
  readonly privileged: boolean;
  /**
   * We are in a user namespace below the host's own: rights over the machine itself (device nodes, device filters) are not to
   * be had, whatever our capabilities. Absent on the host itself.
   */
  readonly nested?: true | undefined;
  /** Our user namespace denies setgroups(2), and so does every one below it. Absent where it does not. */
  readonly groupsDenied?: true | undefined;
  /** Subordinate ids that a container may map, first range first; empty without newuidmap or without an entry. */
  readonly subordinate: { readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[] };
  /**
   * The ids that exist in the user namespace that we are in, where those are not all: in a container, root can give to
   * its own containers only what it was given. Absent on the host itself.
   */
  readonly available?: { readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[] } | undefined;
  readonly cgroup: CgroupFacts;
  /** Where something is mounted below /proc that hides a part of it. Absent where nothing is. */
  readonly hiddenProc?: readonly string[] | undefined;
  /** For `host: true`: what the host has at its top level, and `usr/local`. */
  readonly hostRoot: Readonly<Record<string, 'directory' | { readonly link: string }>>;
}

export interface IdRange {
  readonly start: number;
  readonly count: number;
}

export interface CgroupFacts {
  readonly mode: 'unified' | 'hybrid' | 'legacy' | 'none';
  /** Where cgroup v2 is mounted. */
  readonly mount: string | undefined;
  /** The directory of the cgroup that we are in; undefined where it is not below what is mounted. */
  readonly own: string | undefined;
  /** The cgroup v2 directory below which we may make cgroups; undefined where we may not. */
  readonly parent: string | undefined;
  /** Controllers that can be enabled there. */
  readonly controllers: readonly string[];
  /** Processes live in `parent`: it can give its children nothing but what it gives them already. */
  readonly occupied: boolean;
  /** Controllers that cgroup v1 has, by their names in version 2: version 2 cannot have them, too. */
  readonly legacy: readonly string[];
}
