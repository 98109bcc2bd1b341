/*
 * What libseccomp makes of a profile, for differential.test.ts.
 *
 *   oracle export            reads a profile, writes the filter
 *   oracle resolve TOKEN...  reads names, writes a line for each: its number per architecture
 *
 * A profile is lines: `default ACTION`, `arch TOKEN`, `rule ACTION NAME [INDEX OP A B]...`, numbers as strtoull reads
 * them. Every architecture is to be listed, this machine's too.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what, const char *which, int error) {
  fprintf(stderr, "%s %s: %s\n", what, which, strerror(-error));
  exit(1);
}

static unsigned long long number(void) {
  const char *word = strtok(NULL, " \n");
  if (word == NULL) fail("number", "missing", -EINVAL);
  return strtoull(word, NULL, 0);
}

static void add_rule(scmp_filter_ctx context) {
  uint32_t action = (uint32_t)number();
  const char *name = strtok(NULL, " \n");
  struct scmp_arg_cmp conditions[6];
  unsigned count = 0;
  const char *index;
  while ((index = strtok(NULL, " \n")) != NULL) {
    struct scmp_arg_cmp *condition = &conditions[count++];
    condition->arg = (unsigned)strtoul(index, NULL, 0);
    condition->op = (enum scmp_compare)number();
    condition->datum_a = number();
    condition->datum_b = number();
  }
  int call = seccomp_syscall_resolve_name(name);
  if (call == __NR_SCMP_ERROR) fail("name", name, -ENOENT);
  int error = seccomp_rule_add_array(context, action, call, count, conditions);
  if (error != 0 && error != -EEXIST) fail("rule", name, error);
}

static int export_filter(void) {
  scmp_filter_ctx context = NULL;
  char line[4096];
  int native_listed = 0;
  seccomp_api_set(6);
  while (fgets(line, sizeof(line), stdin) != NULL) {
    const char *word = strtok(line, " \n");
    if (word == NULL) continue;
    if (strcmp(word, "default") == 0) {
      context = seccomp_init((uint32_t)number());
      if (context == NULL) fail("default", "", -EINVAL);
      int error = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
      if (error != 0) fail("attribute", "bad arch", error);
    } else if (strcmp(word, "arch") == 0) {
      uint32_t token = (uint32_t)number();
      if (token == seccomp_arch_native()) native_listed = 1;
      int error = seccomp_arch_add(context, token);
      if (error != 0 && error != -EEXIST) fail("arch", "", error);
    } else {
      if (!native_listed && seccomp_arch_exist(context, seccomp_arch_native()) == 0)
        seccomp_arch_remove(context, seccomp_arch_native());
      add_rule(context);
    }
  }
  int error = seccomp_export_bpf(context, STDOUT_FILENO);
  if (error != 0) fail("export", "", error);
  return 0;
}

static int resolve(int count, char **tokens) {
  char line[4096];
  while (fgets(line, sizeof(line), stdin) != NULL) {
    const char *name = strtok(line, " \n");
    if (name == NULL) continue;
    printf("%s", name);
    for (int i = 0; i < count; i++)
      printf(" %d", seccomp_syscall_resolve_name_arch((uint32_t)strtoul(tokens[i], NULL, 0), name));
    printf("\n");
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "resolve") == 0) return resolve(argc - 2, argv + 2);
  return export_filter();
}
