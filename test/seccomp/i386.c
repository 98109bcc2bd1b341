// Asks the kernel what it makes of a filter for calls of i386: `i386 FILTER COUNT` prints, for each number below COUNT, what
// `int $0x80` returns. A filter of our own below it answers all of them with 99, so that none is made: of two that refuse, the
// later one's number is told.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(struct sock_filter* instructions, size_t count) {
  struct sock_fprog program = {(unsigned short)count, instructions};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  static struct sock_filter filter[BPF_MAXINSNS];
  int file = open(argv[1], O_RDONLY);
  ssize_t size = read(file, filter, sizeof filter);
  struct sock_filter none[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 99),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  if (size <= 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return perror(argv[1]), 1;
  if (load(none, 4) != 0 || load(filter, (size_t)size / sizeof *filter) != 0) return perror("seccomp"), 1;
  for (int number = 0; number < atoi(argv[2]); number++) {
    int result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    printf("%d\n", result);
  }
  return 0;
}
