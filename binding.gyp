{
  'variables': {
    'ops': [
      'native/ops/cgroup.cc',
      'native/ops/files.cc',
      'native/ops/identity.cc',
      'native/ops/mounts.cc',
      'native/ops/namespaces.cc',
      'native/ops/path.cc',
      'native/ops/process.cc',
      'native/ops/root.cc',
      'native/ops/terminal.cc',
      'native/program/verify.cc',
    ],
    # Calls and returns that lead where they are to; and where the init has its canary. In arm64 code it is shorter to follow a register than to look up an address.
    'conditions': [
      ['target_arch=="arm64"', {
        'branches': ['-mbranch-protection=standard'],
        'canary': [
          '-mstack-protector-guard=sysreg', '-mstack-protector-guard-reg=tpidr_el0', '-mstack-protector-guard-offset=0',
        ],
      }, {
        'branches': ['-fcf-protection=full'],
        'canary': ['-mstack-protector-guard=global'],
      }],
    ],
    'warnings': ['-Wall', '-Wextra', '-Werror', '-Wconversion', '-Wno-unused-parameter'],
  },
  'targets': [
    {
      # The init: static, freestanding, the same bytes whatever libc the host has.
      'target_name': 'runts-init',
      'type': 'executable',
      'sources': [
        '<@(ops)',
        'native/ops/copy.cc',
        'native/ops/fuse.cc',
        'native/ops/hook.cc',
        'native/ops/meminfo.cc',
        'native/ops/move.cc',
        'native/ops/network.cc',
        'native/ops/schedule.cc',
        'native/ops/tree.cc',
        'native/ops/unpack.cc',
        'native/ops/view.cc',
        'native/program/commands.cc',
        'native/program/run.cc',
        'native/init/bare.cc',
        'native/init/channel.cc',
        'native/init/keep.cc',
        'native/init/log.cc',
        'native/init/main.cc',
        'native/init/reap.cc',
        'native/init/zygote.cc',
      ],
      # Nothing that Node's own flags say is meant for a program without a libc: a trailing "=" replaces a list.
      'include_dirs=': [],
      'defines=': [],
      'libraries=': [],
      'cflags=': [
        '<@(warnings)',
        '-Os', '-g0', '-ffreestanding', '-fno-asynchronous-unwind-tables', '-fno-unwind-tables', '-fPIE', '-fvisibility=hidden',
        '-fno-strict-aliasing', '-ffunction-sections', '-fdata-sections', '-fomit-frame-pointer',
        # bare.cc has the canary, which is no thread's, and what a checked memcpy calls.
        '-fstack-protector-strong', '<@(canary)', '-fstack-clash-protection',
        '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=3',
        # Without effect in a program without a libc, which is what enables it.
        '-fcf-protection=none',
      ],
      'cflags_cc=': ['-std=c++17', '-fno-exceptions', '-fno-rtti', '-fno-threadsafe-statics'],
      # common-page-size: the linker would leave up to a page unused in the file, and the file is memory of each program.
      'ldflags=': [
        '-static-pie', '-nostdlib', '-nostartfiles', '-Wl,-T,../native/init/stays.ld',
        '-Wl,-s,--build-id=none,--no-dynamic-linker,-z,text,-z,noexecstack,-z,norelro,-z,common-page-size=256,-z,noseparate-code,--gc-sections',
      ],
      'configurations': {
        'Release': { 'cflags=': [], 'ldflags=': [] },
        'Debug': { 'cflags=': [], 'ldflags=': [] },
      },
    },
    {
      'target_name': 'runts',
      'dependencies': ['runts-init'],
      'sources': [
        '<@(ops)',
        'native/addon/addon.cc',
        'native/addon/blob.cc',
        'native/addon/cgroups.cc',
        'native/addon/channel.cc',
        'native/addon/clone.cc',
        'native/addon/device_filter.cc',
        'native/addon/devices.cc',
        'native/addon/errand.cc',
        'native/addon/exit.cc',
        'native/addon/handle.cc',
        'native/addon/hear.cc',
        'native/addon/image.cc',
        'native/addon/look.cc',
        'native/addon/low.cc',
        'native/addon/maps.cc',
        'native/addon/opening.cc',
        'native/addon/primitives.cc',
        'native/addon/quota.cc',
        'native/addon/reading.cc',
        'native/addon/sockets.cc',
        'native/addon/spawn.cc',
        'native/addon/state.cc',
        'native/addon/stay.cc',
        'native/addon/system.cc',
        'native/addon/terminal.cc',
        'native/addon/value.cc',
        'native/addon/watch.cc',
        'native/addon/zygote.cc',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")', '<(SHARED_INTERMEDIATE_DIR)'],
      'defines': [
        'NAPI_VERSION=8',
        'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        # In a worker that is being ended nothing can be thrown any more; that is no reason to end the process.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        '_GNU_SOURCE',
      ],
      'cflags': [
        '<@(warnings)', '-Wno-missing-field-initializers',
        '-fvisibility=hidden', '-fstack-protector-strong', '-fstack-clash-protection', '-Wformat', '-Wformat-security',
        '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=3', '<@(branches)',
      ],
      # nodelete: a thread of the pool may still be in our code when a worker's end unloads it.
      'ldflags': ['-Wl,-z,relro,-z,now,-z,nodelete,-z,noexecstack'],
      'actions': [
        {
          'action_name': 'embed_init',
          'inputs': ['<(PRODUCT_DIR)/runts-init', 'native/addon/embed.cjs'],
          'outputs': ['<(SHARED_INTERMEDIATE_DIR)/init_image.gen.h'],
          'action': ['node', 'native/addon/embed.cjs', '<(PRODUCT_DIR)/runts-init', '<@(_outputs)'],
        },
      ],
    },
  ],
}
